"""The composition root: the only place that knows which store, bus, keys and adapters run."""

import os
import resource
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Protocol

import adapters.hl7v2 as hl7v2
from exchange.app import Exchange
from exchange.bus.table import TableBus
from exchange.check import Checker
from exchange.check.document_rules import DOCUMENT, PROMISED, check_document
from exchange.config import Settings
from exchange.errors import Refused
from exchange.fhir.draft import Draft, ReadingProfile, Unreadable
from exchange.ports import Clock, FailPoints, UnitOfWork, no_fail_points
from exchange.records import IndexKey, Sealed
from exchange.seal.kek import create_kek_file, load_kek_file
from exchange.seal.sealer import KekSealer
from exchange.store.migrate import migrate
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
ADAPTERS: tuple[Adapter, ...] = (hl7v2,)


class AdapterReaders:
    """Implements ports.Readers: content decides the adapter, never the media type."""

    def source_id(self, raw: bytes) -> str:
        adapter = _adapter_of(raw)
        return adapter.source_id(raw) if adapter else ""

    def read(self, raw: bytes, profile: ReadingProfile) -> Draft:
        if adapter := _adapter_of(raw):
            return adapter.read(raw, profile)
        raise Unreadable("unknown_format", "These bytes are no format that we read.")


def _adapter_of(raw: bytes) -> Adapter | None:
    return next((adapter for adapter in ADAPTERS if adapter.sniff(raw)), None)


def broken_rules(document: Mapping[str, object], expected: Mapping[str, int]) -> list[str]:
    """Implements ports.DocumentCheck: R4, UK Core and our own profile by the checker, and what we promise beyond that."""
    issues = Checker.load().check(dict(document), profiles=[DOCUMENT])
    found = {issue.rule for issue in issues if issue.severity in ("error", "fatal") or issue.rule in PROMISED}
    return sorted(found | {issue.rule for issue in check_document(document, expected)})


def open_exchange(
    settings: Settings, *, clock: Clock = now_utc, new_id: Callable[[], str] = new_uuid, fail: FailPoints = no_fail_points
) -> Exchange:
    """The service over the embedded store; makes data folder, KEK and tables the first time.

    Raises Refused `kek_missing` when a database is there and its KEK is not, KekRefused when the KEK file is not safe.
    """
    # Keys and plaintext live in this process: no core dumps.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    is_new = not settings.database.exists()
    settings.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    if not settings.kek.exists():
        if not is_new:
            step = f"Put the file back at {settings.kek}, or name it with WARDPOST_KEK_FILE."
            raise Refused("kek_missing", "The key file of this database is not there; without it nothing can be read.", next_step=step)
        kek = create_kek_file(settings.kek, data_folder=settings.data, now=int(clock().timestamp()), random_bytes=os.urandom)
    else:
        kek = load_kek_file(settings.kek, data_folder=settings.data)
    migrate(settings.database)
    settings.database.chmod(0o600)
    store = SqliteStore(settings.database, KekSealer(kek, os.urandom), clock, new_id, fail)
    if is_new or store.read(lambda uow: uow.count(IndexKey)) == 0:
        store.write(_first_index_key)
    return Exchange(store, TableBus(store), AdapterReaders(), broken_rules, settings.environment, fail)


def _first_index_key(uow: UnitOfWork) -> None:
    if uow.count(IndexKey) == 0:
        uow.insert(IndexKey("1", 1, "index", Sealed.of(uow.random_bytes(32))))
