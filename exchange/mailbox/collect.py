"""Collect and open: what a home's software or a named person at the home gets to see, and the audit row before it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec

from exchange.audit.events import of_transfer, record
from exchange.directory.keys import Directory, holder, private_key
from exchange.errors import Conflict, Gone, NotFound
from exchange.model import AnswerKind, Caller, DeliveryState, Environment
from exchange.ports import UnitOfWork
from exchange.records import Answer, Delivery, Mailbox, Part, Person, Transfer, Version
from exchange.seal.envelope import open_manifest, open_part
from exchange.transfer.match import PartLabel, Summary, read_label, read_summary
from exchange.transfer.transfers import emit

_SEEN_STEP = timedelta(minutes=1)
# What came and who was to leave longer ago stands in the pages of the past: a list is as long as two weeks, not as its history.
NEAR = timedelta(days=14)
MOST_UNREAD, PAST_ROWS = 200, 30


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
    is_shut: bool = False


# What a home can say of a new resident that opens the papers (practice.md 1).
_OPENS = (AnswerKind.OURS, AnswerKind.CAN_TAKE, AnswerKind.AGREED)


def is_shut(transfer: Transfer, answers: Sequence[Answer]) -> bool:
    """A heads-up of a new resident: who comes, from where and when; nothing clinical before the home says that the person is theirs."""
    return transfer.is_heads_up and not any(answer.kind in _OPENS for answer in answers)


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
    if not deliveries:
        return []
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
            person = read_summary(version.person)
            if is_shut(transfer, given):
                items.append(
                    InboxItem(delivery, version, transfer, msgspec.structs.replace(person, missing=()), (), (), given, is_shut=True)
                )
            else:
                items.append(InboxItem(delivery, version, transfer, person, mine, labels, given))
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
    where: dict[str, Any] = {"recipient_org": org, "change__gt": asked.after_change}
    # Times rise with the changes, so that a time is a change: two steps into an index, however many deliveries lie before it.
    if asked.since is not None:
        first = _change_from(uow, org, asked.since)
        if first is None:
            return [], False
        where["change__gt"] = max(asked.after_change, first - 1)
    if asked.before is not None and (end := _change_from(uow, org, asked.before)) is not None:
        where["change__lt"] = end
    if asked.nhs_number:
        versions = uow.find(Version, recipient_org=org, nhs_number=uow.indexes("nhs_number", "", asked.nhs_number))
        where["version_id__in"] = [version.id for version in versions]
    rows = uow.find(Delivery, order="change", limit=asked.count + 1, **where)
    return items_of(uow, rows[: asked.count]), len(rows) > asked.count


@dataclass(frozen=True, slots=True)
class HomeList:
    """What a home's list shows: everything of these days, and one page of the past. `unread_left`: how many more than MOST_UNREAD wait."""

    near: list[InboxItem]
    past: list[InboxItem]
    has_more: bool
    unread_left: int
    now: datetime


def home_list(uow: UnitOfWork, org: str, earlier: int) -> HomeList:
    """The newest papers that nobody has read, the transfers of these days, and page `earlier` (from 0) of those before, newest first."""
    unread: dict[str, Any] = {"recipient_org": org, "state": DeliveryState.CURRENT, "opened_at": None}
    back: dict[str, Any] = {"recipient_org": org, "state": DeliveryState.WITHDRAWN, "withdrawal_seen_at": None}
    since = uow.now - NEAR
    horizon = since.date().isoformat()
    fresh = [row for which in (unread, back) for row in uow.find(Delivery, order="-opened_at,-change", limit=MOST_UNREAD, **which)]
    # Who came lately belongs here whatever is known of the day: it may be unknown, or wrong.
    fresh += uow.find(Delivery, order="updated_at", recipient_org=org, updated_at__ge=since)
    near = {row.transfer_id for row in fresh} | {row.id for row in uow.find(Transfer, recipient_org=org, leaving_on__ge=horizon)}
    gone = uow.find(
        Transfer, order="-leaving_on,-id", limit=PAST_ROWS + 1, offset=PAST_ROWS * earlier, recipient_org=org, leaving_on__lt=horizon
    )
    past = [row.id for row in gone[:PAST_ROWS] if row.id not in near]
    shown = items_of(uow, uow.find(Delivery, order="change", transfer_id__in=[*near, *past]))
    left = max(0, uow.count(Delivery, **unread) - MOST_UNREAD)
    of_past = set(past)
    return HomeList(
        [item for item in shown if item.transfer.id not in of_past],
        [item for item in shown if item.transfer.id in of_past],
        len(gone) > PAST_ROWS,
        left,
        uow.now,
    )


def _change_from(uow: UnitOfWork, org: str, moment: datetime) -> int | None:
    """The number of the mailbox's first change at a moment or after it; None when there is none."""
    found = uow.find(Delivery, order="updated_at", limit=1, recipient_org=org, updated_at__ge=moment)
    return found[0].change if found else None


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


def refuse_shut(uow: UnitOfWork, delivery: Delivery) -> None:
    """Raises Conflict `not_ours_yet` while a new resident's papers wait for the home's word."""
    transfer = uow.get(Transfer, delivery.transfer_id)
    if transfer is not None and is_shut(transfer, uow.find(Answer, transfer_id=transfer.id)):
        step = "Say first whether this is your resident: “ours”, or “not our resident”."
        raise Conflict("not_ours_yet", "These papers open when your home says that the person is yours.", next_step=step)


def open_content(uow: UnitOfWork, environment: Environment, delivery: Delivery, part: Part) -> bytes:
    """The plaintext of one part, after every check of the envelope. Raises Gone `withdrawn`, EnvelopeRefused."""
    if delivery.state is DeliveryState.WITHDRAWN:
        raise Gone(
            "withdrawn", "The hospital took this document back.", next_step="Throw away any print; call the ward if you expect her or him."
        )
    refuse_shut(uow, delivery)
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
    if chosen.state is not DeliveryState.WITHDRAWN and not item.is_shut:
        shown = [part for part in item.parts if part.media_type in ("application/fhir+json", "text/plain")]
        contents = {part.id: open_content(uow, environment, chosen, part) for part in shown}
    people = {answer.person_id for answer in item.answers} | {row.opened_by for row in rows}
    known = {person: uow.get(Person, person) for person in people if person}
    names = {person: row.name.text() for person, row in known.items() if row is not None}
    before = None
    if chosen.state is DeliveryState.CURRENT and not item.is_shut:
        answered = {answer.number for answer in item.answers}
        read = [row.number for row in rows if row.state is DeliveryState.REPLACED and (row.opened_at or row.number in answered)]
        before = open_version(uow, environment, caller, transfer_id, max(read)) if read else None
    return Opened(item, tuple(rows), contents, b"{}" if item.is_shut else item.version.gate.open(), names, before)


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
