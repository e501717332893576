"""Collect and open: what a home's software or a named person at the home gets to see, and the audit row before it."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from exchange.audit.events import of_transfer, record
from exchange.directory.keys import Directory, holder, private_key
from exchange.errors import Gone, NotFound
from exchange.model import Caller, DeliveryState, Environment
from exchange.ports import UnitOfWork
from exchange.records import Answer, Delivery, Mailbox, Part, Person, Transfer, Version
from exchange.seal.envelope import open_manifest, open_part
from exchange.transfer.match import PartLabel, Summary, read_label, read_summary
from exchange.transfer.transfers import emit

_SEEN_STEP = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class InboxItem:
    """One delivery with what a list shows of it."""

    delivery: Delivery
    version: Version
    transfer: Transfer
    person: Summary
    parts: tuple[Part, ...]
    labels: tuple[PartLabel, ...]
    answers: tuple[Answer, ...]


@dataclass(frozen=True, slots=True)
class Opened:
    """A version with its contents. `versions`: every delivery of the transfer, oldest first; `contents` by part id, only what the page
    shows (document, text letters); `names` by person id; `before`: of the newest version, the one that was read before it."""

    item: InboxItem
    versions: tuple[Delivery, ...]
    contents: Mapping[str, bytes]
    gate: bytes
    names: Mapping[str, str]
    before: "Opened | None" = None


def items_of(uow: UnitOfWork, deliveries: Sequence[Delivery]) -> list[InboxItem]:
    """Deliveries with what belongs to them, in five look-ups however many they are; those of an erased transfer are left out."""
    versions = {row.id: row for row in uow.find(Version, id__in=[d.version_id for d in deliveries])}
    transfers = {row.id: row for row in uow.find(Transfer, id__in=[d.transfer_id for d in deliveries])}
    parts: dict[str, list[Part]] = defaultdict(list)
    for part in uow.find(Part, order="position", version_id__in=list(versions)):
        parts[part.version_id].append(part)
    answers: dict[str, list[Answer]] = defaultdict(list)
    for answer in uow.find(Answer, order="answered_at", transfer_id__in=list(transfers)):
        answers[answer.transfer_id].append(answer)
    uow.know_keys("transfer", list(transfers))
    items = []
    for delivery in deliveries:
        version, transfer = versions.get(delivery.version_id), transfers.get(delivery.transfer_id)
        if version is not None and transfer is not None:
            given = tuple(answers[transfer.id])
            mine = tuple(parts[version.id])
            labels = tuple(read_label(part.label) for part in mine)
            items.append(InboxItem(delivery, version, transfer, read_summary(version.person), mine, labels, given))
    return items


def item_of(uow: UnitOfWork, delivery: Delivery) -> InboxItem:
    """Raises NotFound `delivery` when the transfer was erased."""
    found = items_of(uow, [delivery])
    if not found:
        raise NotFound("delivery", "There is no such document here.", next_step="Look at your list again.")
    return found[0]


def get_delivery(uow: UnitOfWork, delivery_id: str, org: str) -> Delivery:
    """Raises NotFound `delivery`: the same answer for another home's."""
    found = uow.get(Delivery, delivery_id)
    if found is None or found.recipient_org != org:
        raise NotFound("delivery", "There is no such document here.", next_step="Look at your list again.")
    return found


@dataclass(frozen=True, slots=True)
class Page:
    """What a list is asked for: after a change number, within times, at most `count`, of one person when a number is given."""

    after_change: int
    since: datetime | None
    before: datetime | None
    count: int
    nhs_number: str = field(default="", repr=False)


def page(uow: UnitOfWork, org: str, asked: Page) -> tuple[list[InboxItem], bool]:
    """The mailbox's deliveries in the order of their last change; is there more?

    A change while somebody pages moves a delivery to the end: it may come twice, it is never skipped.
    """
    where: dict[str, object] = {"recipient_org": org, "change__gt": asked.after_change}
    if asked.since is not None:
        where["change__gt"] = max(asked.after_change, _last_change_before(uow, org, asked.since))
    if asked.before is not None:
        where["change__le"] = _last_change_before(uow, org, asked.before)
    if asked.nhs_number:
        versions = uow.find(Version, recipient_org=org, nhs_number=uow.indexes("nhs_number", "", asked.nhs_number))
        where["version_id__in"] = [version.id for version in versions]
    rows = uow.find(Delivery, order="change", limit=asked.count + 1, **where)
    return items_of(uow, rows[: asked.count]), len(rows) > asked.count


def _last_change_before(uow: UnitOfWork, org: str, moment: datetime) -> int:
    """The mailbox's newest change that is older than this; 0 when none is. `updated_at` rises strictly with `change`, so a search from the
    newest backwards, in steps that double, reads a few rows where a filter would read the mailbox."""

    def newest(up_to: int) -> Delivery | None:
        found = uow.find(Delivery, order="-change", limit=1, recipient_org=org, change__le=up_to)
        return found[0] if found else None

    last = newest(sys.maxsize)
    if last is None or last.updated_at < moment:
        return last.change if last else 0
    young, step = last.change, 1  # this one is not older
    while (row := newest(young - step)) is not None and row.updated_at >= moment:
        young, step = row.change, step * 2
    old = row.change if row else 0
    while young - old > 1:
        row = newest((old + young) // 2)
        if row is None or row.updated_at < moment:
            old = (old + young) // 2
        else:
            young = row.change
    return old


def needs_note(uow: UnitOfWork, org: str, items: list[InboxItem]) -> bool:
    """Whether a list disclosed something new, or last-seen is a minute old: else a poll writes nothing."""
    mailbox = uow.get(Mailbox, org)
    if mailbox is None:
        return False
    is_new = any(item.delivery.change > mailbox.listed_change for item in items)
    return is_new or mailbox.polled_at is None or mailbox.polled_at < uow.now - _SEEN_STEP


def note_listed(uow: UnitOfWork, caller: Caller, items: list[InboxItem]) -> None:
    """Audit a list when it disclosed something new; otherwise only the mailbox's last-seen moves."""
    mailbox = uow.lock(Mailbox, caller.org)
    if mailbox is None:
        return
    newest = max((item.delivery.change for item in items), default=0)
    if newest > mailbox.listed_change:
        for item in items:
            if item.delivery.change > mailbox.listed_change:
                record(uow, "inbox.searched", caller, of_transfer(item.transfer.id, detail=item.delivery.id, to=item.delivery.sender_org))
    uow.update(Mailbox, {"polled_at": uow.now, "listed_change": max(newest, mailbox.listed_change)}, id=mailbox.id)


def open_content(uow: UnitOfWork, environment: Environment, delivery: Delivery, part: Part) -> bytes:
    """The plaintext of one part, after every check of the envelope. Raises Gone `withdrawn`, EnvelopeRefused."""
    if delivery.state is DeliveryState.WITHDRAWN:
        raise Gone(
            "withdrawn", "The hospital took this document back.", next_step="Throw away any print; call the ward if you expect her or him."
        )
    version = uow.get(Version, delivery.version_id)
    if version is None:
        raise NotFound("delivery", "There is no such document here.", next_step="Look at your list again.")
    me = holder(uow, delivery.recipient_org)
    now = int(uow.now.timestamp())
    verified = open_manifest(
        version.jws,
        directory=Directory(uow),
        environment="live" if environment is Environment.LIVE else "trial",
        now=now,
        received_at=int(delivery.delivered_at.timestamp()),
        me=me,
        seen=None,
    )
    key = private_key(uow, verified.manifest.to_kid)
    return open_part(verified, part.position, part.jwe.open(), key, "site")


def open_version(uow: UnitOfWork, environment: Environment, caller: Caller, transfer_id: str, number: int | None) -> Opened:
    """Decrypt what a page shows of a version, and of the one read before it. Raises NotFound `delivery`, EnvelopeRefused."""
    rows = uow.find(Delivery, order="number", transfer_id=transfer_id, recipient_org=caller.org)
    chosen = next((row for row in rows if row.number == number), None) if number is not None else (rows[-1] if rows else None)
    if chosen is None:
        raise NotFound("delivery", "There is no such document here.", next_step="Look at your list again.")
    item = item_of(uow, chosen)
    contents: dict[str, bytes] = {}
    if chosen.state is not DeliveryState.WITHDRAWN:
        shown = [part for part in item.parts if part.media_type in ("application/fhir+json", "text/plain")]
        contents = {part.id: open_content(uow, environment, chosen, part) for part in shown}
    people = {answer.person_id for answer in item.answers} | {row.opened_by for row in rows}
    known = {person: uow.get(Person, person) for person in people if person}
    names = {person: row.name.text() for person, row in known.items() if row is not None}
    before = None
    if chosen.state is DeliveryState.CURRENT:
        answered = {answer.number for answer in item.answers}
        read = [row.number for row in rows if row.state is DeliveryState.REPLACED and (row.opened_at or row.number in answered)]
        before = open_version(uow, environment, caller, transfer_id, max(read)) if read else None
    return Opened(item, tuple(rows), contents, item.version.gate.open(), names, before)


def note_opened(uow: UnitOfWork, caller: Caller, opened: Opened) -> None:
    """One audit row for each part whose content is shown; of a withdrawn version, that a person saw that it is."""
    if opened.before is not None:
        note_opened(uow, caller, opened.before)
    delivery = opened.item.delivery
    is_first = delivery.state is DeliveryState.WITHDRAWN and delivery.withdrawal_seen_at is None and caller.person is not None
    if is_first and uow.update(Delivery, {"withdrawal_seen_at": uow.now}, id=delivery.id, withdrawal_seen_at=None):
        record(uow, "withdrawal.seen", caller, of_transfer(delivery.transfer_id, detail=delivery.id))
    for part in opened.item.parts:
        if part.id in opened.contents:
            is_letter = part.media_type != "application/fhir+json"
            note_disclosed(uow, caller, opened.item.delivery, part, opened=True, is_letter=is_letter)


def note_disclosed(uow: UnitOfWork, caller: Caller, delivery: Delivery, part: Part | None, *, opened: bool, is_letter: bool) -> None:
    """The audit row of a disclosure; committed before the first byte leaves. The first one moves the delivery on."""
    version = uow.get(Version, delivery.version_id)
    noun = "letter" if is_letter else "document"
    record(
        uow,
        f"{noun}.{'opened' if opened else 'collected'}",
        caller,
        of_transfer(
            delivery.transfer_id,
            detail=part.id if part else delivery.id,
            nhs_number=version.nhs_number if version else None,
            to=delivery.sender_org,
        ),
    )
    about: dict[str, object] = {"delivery": delivery.id, "transfer": delivery.transfer_id}
    if opened and delivery.opened_at is None and caller.person is not None:
        if uow.update(Delivery, {"opened_at": uow.now, "opened_by": caller.person}, id=delivery.id, opened_at=None):
            emit(uow, "delivery.opened", delivery.recipient_org, about)
    elif not opened and uow.update(Delivery, {"collected_at": uow.now}, id=delivery.id, collected_at=None):
        emit(uow, "delivery.collected", delivery.recipient_org, about)
