"""The composition root: the only place that knows which store, bus, keys and adapters run."""

import os
import resource
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from adapters import cda, fhir, hl7v2, kettering, pdf, tabular
from exchange.app import Exchange
from exchange.bus.table import TableBus
from exchange.check import Checker
from exchange.check.document_rules import DOCUMENT, PROMISED, check_document
from exchange.config import Settings
from exchange.errors import Refused
from exchange.fhir.draft import Draft, Item, Outcome, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.shape import is_one_person
from exchange.ports import Bus, Clock, FailPoints, Store, UnitOfWork, no_fail_points
from exchange.records import IndexKey, Sealed
from exchange.seal.kek import Kek, create_kek_file, load_kek_file
from exchange.seal.sealer import KekSealer
from exchange.store.migrate import migrate, schema_of
from exchange.store.sqlite import SqliteStore


def now_utc() -> datetime:
    return datetime.now(UTC)


def new_uuid() -> str:
    return str(uuid.uuid4())


class Adapter(Protocol):
    """A reader of one source format: a module of `adapters` with these functions (adapters/README.md). Pure and total."""

    def sniff(self, raw: bytes) -> bool:
        """Whether these bytes look like this format, judged by content and never by a media type."""
        ...

    def source_id(self, raw: bytes) -> str:
        """The sender's own message id, read from bytes that nobody has checked yet; "" when there is none. Raises nothing."""
        ...

    def read(self, raw: bytes, profile: ReadingProfile) -> Draft:
        """Raises Unreadable and nothing else."""
        ...


# In the order in which they are asked.
ADAPTERS: tuple[Adapter, ...] = (hl7v2, fhir, cda, kettering, pdf, tabular)
# Formats that a letter of another format may bring along: MDM with a FHIR document in its OBX.
INSIDE: tuple[Adapter, ...] = (fhir, cda)


class AdapterReaders:
    """Implements ports.Readers: content decides the adapter, never the media type."""

    def source_id(self, raw: bytes) -> str:
        adapter = _adapter_of(raw)
        return adapter.source_id(raw) if adapter else ""

    def read(self, raw: bytes, profile: ReadingProfile) -> Draft:
        adapter = _adapter_of(raw)
        if adapter is None:
            raise Unreadable("unknown_format", "These bytes are no format that we read.")
        draft = adapter.read(raw, profile)
        return draft if adapter in INSIDE else _with_inside(draft, profile)


def _adapter_of(raw: bytes, adapters: Sequence[Adapter] = ADAPTERS) -> Adapter | None:
    return next((adapter for adapter in adapters if adapter.sniff(raw)), None)


def _with_inside(draft: Draft, profile: ReadingProfile) -> Draft:
    """The Draft with the facts of a document that it carries as a letter; who, where and when stay the outer message's word.

    Raises Unreadable `two_people` when the document is about somebody else. One that cannot be read still travels, as the letter.
    """
    for letter in draft.letters:
        adapter = _adapter_of(letter.content, INSIDE)
        if adapter is None or draft.kind is not SourceKind.LETTER:
            continue
        try:
            inner = adapter.read(letter.content, profile)
        except Unreadable as problem:
            note = Item(f"{letter.position}#inside", "", Outcome.NOT_CARRIED, reason=f"the document inside cannot be read: {problem.code}")
            draft = replace(draft, items=(*draft.items, note))
            continue
        if not is_one_person(draft.patient, inner.patient):
            raise Unreadable("two_people", "The message and the document inside it are about two people.", position=letter.position)
        entries = tuple(replace(entry, position=f"{letter.position}#{entry.position}") for entry in inner.entries)
        items = tuple(msgspec.structs.replace(item, position=f"{letter.position}#{item.position}") for item in inner.items)
        counts = {**draft.counts, **{kind: count for kind, count in inner.counts.items() if kind != "letters"}}
        draft = replace(draft, entries=(*draft.entries, *entries), items=(*draft.items, *items), counts=counts)
    return draft


def broken_rules(document: Mapping[str, object], expected: Mapping[str, int]) -> list[str]:
    """Implements ports.DocumentCheck: R4, UK Core and our own profile by the checker, and what we promise beyond that."""
    issues = Checker.load().check(dict(document), profiles=[DOCUMENT])
    found = {issue.rule for issue in issues if issue.severity in ("error", "fatal") or issue.rule in PROMISED}
    return sorted(found | {issue.rule for issue in check_document(document, expected)})


def open_exchange(
    settings: Settings, *, clock: Clock = now_utc, new_id: Callable[[], str] = new_uuid, fail: FailPoints = no_fail_points
) -> Exchange:
    """The service over its store; makes data folder, KEK and tables the first time.

    Raises Refused `kek_missing` when a database is there and its KEK is not, KekRefused when the KEK file is not safe.
    """
    # Keys and plaintext live in this process: no core dumps.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if settings.postgres:
        check_database(settings)
        is_new = schema_of(settings.postgres) is None
    else:
        is_new = not settings.sqlite.exists()
        settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    sealer = KekSealer(_kek(settings, clock, is_new), os.urandom)
    migrate(settings.database)
    store: Store
    if settings.postgres:
        from exchange.store.postgres import PostgresStore

        store = PostgresStore(settings.postgres, sealer, clock, new_id, fail)
    else:
        settings.sqlite.chmod(0o600)
        store = SqliteStore(settings.sqlite, sealer, clock, new_id, fail)
    if store.read(lambda uow: uow.count(IndexKey)) == 0:
        store.write(_first_index_key)
    return Exchange(store, _bus(settings, store), AdapterReaders(), broken_rules, settings.environment, fail)


def _bus(settings: Settings, store: Store) -> Bus:
    """Kafka when it is named, else the tables. Nothing connects before it is used. Raises Refused `setting`."""
    return kafka_bus(settings) if settings.kafka else TableBus(store)


def kafka_bus(settings: Settings) -> Bus:
    from exchange.bus.kafka import KafkaAccess, KafkaBus  # here: aiokafka is loaded only where it is wanted

    try:
        password = settings.kafka_password_file.read_text().strip() if settings.kafka_password_file else ""
        return KafkaBus(KafkaAccess(settings.kafka, settings.kafka_user, password, str(settings.kafka_ca_file or "")))
    except OSError as problem:
        step = "Check WARDPOST_KAFKA_PASSWORD_FILE."
        raise Refused("setting", "The file with the password for Kafka cannot be read.", next_step=step) from problem


def check_database(settings: Settings) -> None:
    """Raises Unavailable `database_away`, Refused `database_unsafe`. Only PostgreSQL can be wrong: SQLite is set up by us."""
    if settings.postgres:
        from exchange.store.postgres import check_server  # here: the driver is loaded only where it is wanted

        check_server(settings.postgres)


def move_to(settings: Settings, target: str, progress: Callable[[str, int, int], None]) -> int:
    """Copy the SQLite database of these settings into an empty PostgreSQL one; how many rows. Raises what `store.move` raises."""
    from exchange.store.move import move
    from exchange.store.postgres import check_server

    check_server(target)
    return move(settings.sqlite, target, progress)


def _kek(settings: Settings, clock: Clock, is_new: bool) -> Kek:
    if settings.kek.exists():
        return load_kek_file(settings.kek, data_folder=settings.data)
    if not is_new:
        step = f"Put the file back at {settings.kek}, or name it with WARDPOST_KEK_FILE."
        raise Refused("kek_missing", "The key file of this database is not there; without it nothing can be read.", next_step=step)
    return create_kek_file(settings.kek, data_folder=settings.data, now=int(clock().timestamp()), random_bytes=os.urandom)


def _first_index_key(uow: UnitOfWork) -> None:
    if uow.count(IndexKey) == 0:
        uow.insert(IndexKey("1", 1, "index", Sealed.of(uow.random_bytes(32))))
