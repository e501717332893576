"""`wardpost fsck`: every invariant that the database must satisfy. The oracle of the tests and of an operator after a bad night."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, get_type_hints

from exchange.audit.leaf import SALT_BYTES, commit
from exchange.directory.keys import Directory
from exchange.errors import Gone, WardpostError
from exchange.intake.accept import digest_of
from exchange.model import DeliveryState, Environment, HoldKind, SubmissionState, TransferState
from exchange.ports import BusMessage, UnitOfWork
from exchange.records import (
    TABLES,
    Answer,
    AuditEvent,
    BusEntry,
    DataKey,
    Delivery,
    Hold,
    Mailbox,
    Notice,
    OutboxEvent,
    ParkedEvent,
    Part,
    Record,
    Sealed,
    Stay,
    Submission,
    Supplement,
    Transfer,
    Version,
    Work,
)  # fmt: skip
from exchange.seal.columns import read_key_id
from exchange.seal.envelope import check_part_bytes, open_manifest


@dataclass(frozen=True, slots=True)
class Finding:
    """One broken invariant: the rule's name, words, and which row (no patient data)."""

    rule: str
    words: str
    row: str


def check_all(uow: UnitOfWork, environment: Environment) -> list[Finding]:
    """All findings of all rules; one that cannot be evaluated is a finding itself."""
    found: list[Finding] = []
    for rule in RULES:
        try:
            found += rule(uow, environment)
        except Exception as problem:  # noqa: BLE001  # a damaged row is what we look for; the other rules go on
            found.append(Finding(rule.__name__, f"could not be checked: {_code(problem)}", ""))
    return found


def states(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Every state, kind and role is a word that the model knows."""
    for kind in TABLES:
        for name, words in get_type_hints(kind).items():
            if isinstance(words, type) and issubclass(words, StrEnum):
                unknown = uow.count(kind) - uow.count(kind, **{f"{name}__in": list(words)})
                if unknown:
                    yield Finding("states", f"{kind.META.table}.{name}: {unknown} rows with a word that is not known", "")


def custody(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Every submission is done, waits in the work queue, or in an open or resolved hold; its digest is that of its bytes."""
    waiting = {work.subject_id for work in uow.find(Work, kind="read")}
    held = {hold.submission_id or f"{hold.kind}:{hold.stay_id}" for hold in uow.find(Hold)}
    for row in uow.find(Submission):
        if row.state is SubmissionState.ACCEPTED and row.id not in waiting:
            yield Finding("custody", "accepted, and nobody is going to read it", row.id)
        can_leave = row.stay_id is None or uow.count(Transfer, stay_id=row.stay_id, state__ne=TransferState.WITHDRAWN)
        if row.state is SubmissionState.HELD and can_leave and not {row.id, f"{HoldKind.IDENTITY}:{row.stay_id}"} & held:
            yield Finding("custody", "held, and no hold names it", row.id)
        if row.state is SubmissionState.READ and (row.stay_id is None or uow.get(Stay, row.stay_id) is None):
            yield Finding("custody", "read, and belongs to no stay", row.id)
        if (row.content is None) != (row.state is SubmissionState.ERASED):
            yield Finding("custody", "bytes and state disagree", row.id)
        if row.content is not None and not _is_digest_of(uow, row, row.content):
            yield Finding("custody", "its digest or size is not that of its bytes", row.id)


def _is_digest_of(uow: UnitOfWork, row: Submission, content: Sealed) -> bool:
    """Also true when it cannot be said: bytes that do not open are for `sealed_values`, a retired index key makes no index."""
    try:
        raw = content.open()
    except WardpostError:
        return True
    made = {index.generation: index for index in uow.indexes("source_id", row.sender_org, digest_of(raw))}
    return row.digest is not None and len(raw) == row.size_bytes and made.get(row.digest.generation, row.digest) == row.digest


def sealed_values(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Every sealed value is under the data key of its row's owner and opens, unless that owner was erased as a whole."""
    owners = {key.id: (key.owner_kind, key.owner_id) for key in uow.find(DataKey)}
    alive = set(owners.values())
    for kind in TABLES:
        owner_kind, owner_field = kind.META.owner
        for row in uow.find(kind) if owner_kind else []:
            owner = (owner_kind, getattr(row, owner_field))
            for name in names_of(kind):
                value = getattr(row, name)
                if not isinstance(value, Sealed):
                    continue
                where = f"{kind.META.table}.{name}"
                try:
                    named = owners.get(read_key_id(uow.cell(kind, name, _key(row))).hex())
                    if named != owner and (named is not None or owner in alive):
                        yield Finding("sealed_values", f"{where}: not under the data key of its owner", _key(row))
                    value.open()
                except Gone:
                    continue
                except Exception as problem:  # noqa: BLE001  # one damaged value; the other ones are looked at, too
                    yield Finding("sealed_values", f"{where}: {_code(problem)}", _key(row))


def data_keys(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """No data key without an owner that still is there."""
    owners: dict[str, type[Record]] = {"submission": Submission, "stay": Stay, "transfer": Transfer}
    for key in uow.find(DataKey):
        kind = owners.get(key.owner_kind)
        if kind is not None and uow.get(kind, key.owner_id) is None:
            yield Finding("data_keys", f"the key of a {key.owner_kind} that is gone", key.id)


def transfers(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """State, confirmed site and versions fit together; versions are numbered without a gap and are for the transfer's home."""
    versions: dict[str, list[Version]] = defaultdict(list)
    for version in uow.find(Version, order="number"):
        versions[version.transfer_id].append(version)
    for row in uow.find(Transfer):
        mine = versions.pop(row.id, [])
        numbers = [version.number for version in mine]
        for version in mine:
            if (version.sender_org, version.recipient_org) != (row.sender_org, row.recipient_org):
                yield Finding("transfers", "a version from or for others than the transfer says", version.id)
        if numbers != list(range(1, row.versions + 1)):
            yield Finding("transfers", "its versions are not numbered 1 to the newest", row.id)
        if row.state in (TransferState.CONFIRMED, TransferState.PUBLISHED) and not (row.recipient_org and row.confirmed_by):
            yield Finding("transfers", "confirmed by nobody or for no home", row.id)
        if row.state is TransferState.PUBLISHED and not numbers:
            yield Finding("transfers", "published without a version", row.id)
        if uow.get(Stay, row.stay_id) is None:
            yield Finding("transfers", "its stay is not here", row.id)
    for transfer_id in versions:
        yield Finding("transfers", "versions of a transfer that is not here", transfer_id)


def envelopes(uow: UnitOfWork, environment: Environment) -> Iterator[Finding]:
    """Every version's envelope verifies, names its row, chains to the one before, and seals exactly its parts."""
    directory = Directory(uow)
    before: dict[str, str] = {}
    for row in uow.find(Version, order="transfer_id,number"):
        env = "live" if environment is Environment.LIVE else "trial"
        at = int(row.published_at.timestamp())
        try:
            verified = open_manifest(row.jws, directory=directory, environment=env, now=at + 300, received_at=at, me=None, seen=None)  # type: ignore[arg-type]
        except WardpostError as problem:
            yield Finding("envelopes", f"refused: {problem.code}", row.id)
            continue
        manifest = verified.manifest
        said = (manifest.transfer, manifest.version, manifest.from_ods, manifest.to_ods, verified.digest)
        if said != (row.transfer_id, row.number, row.sender_org, row.recipient_org, row.manifest_digest):
            yield Finding("envelopes", "manifest and row disagree", row.id)
        if manifest.prev != before.get(row.transfer_id):
            yield Finding("envelopes", "does not follow the version before", row.id)
        before[row.transfer_id] = verified.digest
        parts = uow.find(Part, order="position", version_id=row.id)
        if [part.position for part in parts] != list(range(len(manifest.parts))):
            yield Finding("envelopes", "parts are missing or too many", row.id)
            continue
        for part in parts:
            try:
                check_part_bytes(verified, part.position, part.jwe.open())
            except Gone:
                continue
            except WardpostError as problem:
                yield Finding("envelopes", f"part {part.position}: {problem.code}", row.id)


def events(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Every version has its event; sequences rise without a gap; what is published is on the table bus, if in use, and the reverse."""
    outbox = {row.id: row for row in uow.find(OutboxEvent)}
    bus = {row.id: row for row in uow.find(BusEntry)}
    announced = Counter(_members(row.body).get("version") for row in outbox.values() if row.type == "version.published")
    for version in uow.find(Version):
        if announced[version.id] != 1:
            yield Finding("events", f"announced {announced[version.id]} times", version.id)
    # Kafka keeps no log here. After a move to it the table bus ends with its last event.
    end = max((outbox[id].published_at or outbox[id].created_at for id in bus if id in outbox), default=None)
    for row in outbox.values():
        if row.published_at is not None and end is not None and row.published_at <= end and row.id not in bus:
            yield Finding("events", "marked published and not on the bus", row.id)
    for entry in bus.values():
        event = outbox.get(entry.id)
        if event is None:
            yield Finding("events", "on the bus and not in the outbox", entry.id)
        elif BusMessage.of(event) != BusMessage(entry.id, entry.key, entry.sequence, entry.type, entry.body, entry.created_at):
            yield Finding("events", "bus and outbox disagree", entry.id)
    for mailbox in uow.find(Mailbox):
        numbers = sorted(row.sequence for row in outbox.values() if row.key == mailbox.id)
        if numbers != list(range(1, mailbox.last_event + 1)):
            yield Finding("events", "its events are not numbered 1 to the newest", mailbox.id)


def mailboxes(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Numbers of a mailbox are unique and below its counters; times rise with changes."""
    rows: dict[str, list[Delivery]] = defaultdict(list)
    for delivery in uow.find(Delivery, order="change"):
        rows[delivery.recipient_org].append(delivery)
    for mailbox in uow.find(Mailbox):
        mine = rows.pop(mailbox.id, [])
        times = [row.updated_at for row in mine]
        if times != sorted(set(times)):
            yield Finding("mailboxes", "times do not rise with changes", mailbox.id)
        if sorted(row.sequence for row in mine) != list(range(1, mailbox.last_sequence + 1)):
            yield Finding("mailboxes", "deliveries are not numbered 1 to the newest", mailbox.id)
        if any(row.change > mailbox.last_change for row in mine):
            yield Finding("mailboxes", "a change number above the counter", mailbox.id)
    for ods in rows:
        yield Finding("mailboxes", "deliveries for a mailbox that is not here", ods)


def deliveries(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """A delivery goes to the site that its version is sealed for, its event is settled, and none but the newest is current."""
    settled = {row.id for row in uow.find(OutboxEvent, settled_at__ne=None)}
    newest: dict[str, Delivery] = {}
    for row in uow.find(Delivery, order="number"):
        newest[row.transfer_id] = row
        version = uow.get(Version, row.version_id)
        if version is None or version.recipient_org != row.recipient_org or version.number != row.number:
            yield Finding("deliveries", "delivered to another site than it is sealed for", row.id)
        if row.event_id not in settled:
            yield Finding("deliveries", "its event is not settled", row.id)
    for row in uow.find(Delivery):
        if row.state is DeliveryState.CURRENT and row.id != newest[row.transfer_id].id:
            yield Finding("deliveries", "current, and a newer version is here", row.id)
        if row.state is DeliveryState.REPLACED and row.id == newest[row.transfer_id].id:
            yield Finding("deliveries", "replaced, and no newer version is here", row.id)


def effects(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """A settled event had its effect, or a person has it as a dead letter; nothing is settled before what comes before it."""
    delivered = {row.event_id for row in uow.find(Delivery)}
    current = {row.transfer_id: row.number for row in uow.find(Delivery, state=DeliveryState.CURRENT, order="-number")}
    parked = {row.id: row.state for row in uow.find(ParkedEvent)}
    held = {hold.id for hold in uow.find(Hold, kind=HoldKind.UNDELIVERED)}
    for id, state in parked.items():
        if state != "waiting" and f"{HoldKind.UNDELIVERED}:{id}" not in held:
            yield Finding("effects", "a dead letter that nobody owns", id)
    open_in: dict[str, str] = {}
    for event in uow.find(OutboxEvent, order="key,sequence"):
        if event.settled_at is None:
            open_in[event.key] = event.id
            continue
        if event.key in open_in:
            yield Finding("effects", "settled before an event that comes before it", event.id)
        if event.id in parked:
            if parked[event.id] == "waiting":
                yield Finding("effects", "settled, and waiting for another try", event.id)
            continue
        body = _members(event.body)
        if event.type == "version.published" and event.id not in delivered:
            yield Finding("effects", "settled and not delivered", event.id)
        if event.type == "transfer.withdrawn" and 0 < current.get(body.get("transfer", ""), 0) <= body.get("up_to", 0):
            yield Finding("effects", "withdrawn, and still current in the mailbox", event.id)


def answers(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """An answer belongs to a delivery of the same home and version, and to a person or a client."""
    for row in uow.find(Answer):
        delivery = uow.get(Delivery, row.delivery_id)
        if delivery is None or (delivery.recipient_org, delivery.number) != (row.recipient_org, row.number):
            yield Finding("answers", "answers a version that this home does not have", row.id)
        if row.person_id is None and row.client_id is None:
            yield Finding("answers", "given by nobody", row.id)


def audit(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Each leaf says what its row says and commits to its body; what must have been audited was."""
    seen: Counter[tuple[str, str]] = Counter()
    moments: set[tuple[str, str | None, datetime]] = set()
    for row in uow.find(AuditEvent):
        leaf = _members(row.leaf)
        said = tuple(leaf.get(name) for name in ("id", "org", "type", "outcome", "entity"))
        if said != (row.id, row.org, row.type, row.outcome, row.entity_id):
            yield Finding("audit", "leaf and row disagree", row.id)
        try:
            body = row.body.open() if row.body is not None else None
        except WardpostError:  # erased, or for `sealed_values`
            body = None
        if body is not None and (len(body) < SALT_BYTES or commit(body[:SALT_BYTES], body[SALT_BYTES:]) != leaf.get("c")):
            yield Finding("audit", "the body is not what the leaf commits to", row.id)
        seen[row.type, row.detail_id or row.entity_id or ""] += 1
        moments.add((row.type, row.entity_id, row.recorded_at))
    wanted: list[tuple[str, str]] = [("submission.accepted", row.id) for row in uow.find(Submission)]
    wanted += [("version.published", row.id) for row in uow.find(Version)]
    wanted += [("delivery.made", row.id) for row in uow.find(Delivery)]
    wanted += [("answer.given", row.id) for row in uow.find(Answer)]
    wanted += [("supplement.added", row.id) for row in uow.find(Supplement)]
    wanted += [("notice.sent", row.id) for row in uow.find(Notice, sent_at__ne=None)]
    for type, row_id in wanted:
        if seen[type, row_id] != 1:
            yield Finding("audit", f"{type} is recorded {seen[type, row_id]} times", row_id)
    for types, entity, at, row_id in _changes(uow):
        if at is not None and not any((type, entity, at) in moments for type in types):
            yield Finding("audit", f"{' or '.join(types)} is not recorded at its moment", row_id)


def _changes(uow: UnitOfWork) -> Iterator[tuple[tuple[str, ...], str, datetime | None, str]]:
    """Changes of a state as the rows date them: (one of these event types, about, when, the row). Row and event share a transaction."""
    for transfer in uow.find(Transfer):
        yield ("transfer.confirmed",), transfer.id, transfer.confirmed_at, transfer.id
        yield ("transfer.withdrawn",), transfer.id, transfer.withdrawn_at, transfer.id
    for row in uow.find(Delivery):
        yield ("document.collected", "letter.collected"), row.transfer_id, row.collected_at, row.id
        yield ("document.opened", "letter.opened"), row.transfer_id, row.opened_at, row.id
        yield ("withdrawal.seen",), row.transfer_id, row.withdrawal_seen_at, row.id


def holds(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Every open hold has an owner and a deadline after it was raised."""
    for row in uow.find(Hold, resolved_at=None):
        if not row.owner or row.deadline_at <= row.raised_at:
            yield Finding("holds", "waits without an owner or a deadline", row.id)


def work_queue(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
    """Nothing is leased for longer than a lease, and every piece names something that is here."""
    for row in uow.find(Work):
        if row.leased_until is not None and row.leased_until > uow.now + timedelta(minutes=5):
            yield Finding("work_queue", "leased far into the future", row.id)
        if uow.get(Submission if row.kind == "read" else Transfer, row.subject_id) is None:
            yield Finding("work_queue", "work on something that is not here", row.id)


RULES: tuple[Callable[[UnitOfWork, Environment], Iterator[Finding]], ...] = (
    states, custody, sealed_values, data_keys, transfers, envelopes, events, mailboxes, deliveries, effects, answers, audit, holds,
    work_queue,
)  # fmt: skip


def names_of(kind: type[Record]) -> list[str]:
    return [item.name for item in fields(kind)]


def _key(row: Record) -> str:
    return str(getattr(row, names_of(type(row))[0]))


def _code(problem: Exception) -> str:
    return problem.code if isinstance(problem, WardpostError) else type(problem).__name__


def _members(text: str | bytes) -> dict[str, Any]:
    """The members of a JSON object; of a damaged one none, and then whoever compares them finds it."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
