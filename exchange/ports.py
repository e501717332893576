"""What the domain asks of the outside, as Protocols. `store` and `bus` implement them; `wiring` chooses."""

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from exchange.fhir.draft import Draft, ReadingProfile
from exchange.model import SERVICE, Scope
from exchange.records import Indexed, OutboxEvent, Record

R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Clock(Protocol):
    def __call__(self) -> datetime:
        """The present instant, aware, UTC."""
        ...


class Readers(Protocol):
    """The adapters, chosen by what the bytes are. Pure."""

    def source_id(self, raw: bytes) -> str:
        """The sender's own message id, read without trusting anything else; "" when there is none."""
        ...

    def read(self, raw: bytes, profile: ReadingProfile) -> Draft:
        """Raises Unreadable."""
        ...


class DocumentCheck(Protocol):
    """The conformance check that runs before every publish."""

    def __call__(self, document: Mapping[str, object], expected: Mapping[str, int]) -> Sequence[str]:
        """Ids of the rules that the document breaks (severity error), sorted; `expected`: how many of each resource type went in."""
        ...


class Mailer(Protocol):
    """Hands e-mails to a mail server; `exchange/notices/smtp.py` implements it."""

    def send(self, address: str, subject: str, body: str, id: str = "") -> None:
        """`id` makes the Message-ID, so that a second try is known as one.
        Raises Refused `mail_refused` (another try gives the same), Unavailable `mail_away`."""
        ...


class FailPoints(Protocol):
    """Named places before and after each durable step. The product's own does nothing; tests kill the process there."""

    def __call__(self, name: str) -> None: ...


def no_fail_points(name: str) -> None:
    """The wiring of the product: nothing happens at a fail point."""


class Sealer(Protocol):
    """The cryptography that the store needs; `exchange/seal/sealer.py` implements it. Keys are named by 32 hex digits."""

    def new_key(self) -> tuple[str, bytes, bytes]:
        """A fresh data key: its id, the key, and the key wrapped for the data_key table."""
        ...

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes: ...
    def seal(self, key_id: str, key: bytes, table: str, column: str, row: str, plaintext: bytes) -> bytes: ...
    def open(self, key: bytes, table: str, column: str, row: str, value: bytes) -> bytes: ...
    def key_id(self, value: bytes) -> str:
        """Which data key a sealed value names."""
        ...

    def index(self, key: bytes, field: str, scope: str, value: str) -> bytes | None: ...
    def random_bytes(self, n: int) -> bytes: ...


class UnitOfWork(Protocol):
    """One transaction, seen from one Scope: rows of others do not exist for it.

    `where` takes field names, with an optional suffix: `__gt __ge __lt __le __ne __in`; None means "is null".
    For an Indexed field, `__in` takes what `indexes` gave. `order` is a comma list of fields, `-` for descending.
    """

    scope: Scope
    now: datetime

    def new_id(self) -> str: ...
    def random_bytes(self, n: int) -> bytes: ...
    def insert(self, record: Record) -> None: ...
    def get(self, kind: type[R], id: str) -> R | None: ...
    def find(self, kind: type[R], /, *, order: str = "", limit: int | None = None, offset: int = 0, **where: object) -> list[R]: ...
    def take(self, kind: type[R], /, *, order: str, limit: int, **where: object) -> list[R]:
        """Like find, for who changes what he finds: rows are locked, and those that somebody else has locked are passed over."""
        ...

    def count(self, kind: type[Record], /, **where: object) -> int: ...
    def update(self, kind: type[Record], changes: Mapping[str, object], /, **where: object) -> int:
        """Change plain fields of all rows that match; how many there were."""
        ...

    def replace(self, record: R, /, **changes: object) -> R:
        """The record with changes, written; Sealed values are sealed anew."""
        ...

    def delete(self, kind: type[Record], /, **where: object) -> int: ...
    def lock(self, kind: type[R], id: str) -> R | None:
        """Like get, and no other transaction can change the row until this one ends."""
        ...

    def know_keys(self, owner_kind: str, owner_ids: Collection[str]) -> None:
        """Look the data keys of many owners up at once, before their rows are opened one by one."""
        ...

    def cell(self, kind: type[Record], column: str, row: str) -> bytes:
        """One sealed value as it is stored, still shut. Raises Gone `erased` when the row does not have it."""
        ...

    def index(self, field: str, scope: str, value: str) -> Indexed | None:
        """The blind index under the newest key; None when the value cannot be indexed."""
        ...

    def indexes(self, field: str, scope: str, value: str) -> Sequence[Indexed]:
        """The blind indexes under all live keys, for look-ups."""
        ...


class Store(Protocol):
    """The database. A write is answered only after its COMMIT; a read sees one snapshot.

    Writes are as if they ran one after another, however many processes write: what `work` read still holds when it commits.
    So that this is true on every database, `work` may be run again: it has no effect but through its unit.
    Raises Unavailable `database_away` (what was asked may have been done) or `database_busy` (it was not).
    """

    keeps_order: bool  # what one caller submits is done in that order

    def write(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> T: ...
    def submit(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> "Future[T]": ...
    def read(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> T: ...
    def heard(self, seconds: float) -> Collection[str]:
        """The tables in which some process has put rows of late, waiting for up to so long: a hint, any of which may be lost."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class BusMessage:
    """One event as the bus carries it: `sequence` counts within `key` (the mailbox), `body` is JSON with ids only."""

    event_id: str
    key: str
    sequence: int
    type: str
    body: str
    created_at: datetime

    @classmethod
    def of(cls, event: OutboxEvent) -> "BusMessage":
        return cls(event.id, event.key, event.sequence, event.type, event.body, event.created_at)


class Bus(Protocol):
    """At-least-once delivery of published events, in order of publishing per key. One caller per group in a process."""

    def publish(self, events: Sequence[BusMessage]) -> None:
        """Durable when it returns. Raises Unavailable, and then nobody knows: publish again. Who is past an event sees it again."""
        ...

    def fetch(self, group: str, limit: int) -> Sequence[BusMessage]:
        """What comes after the group's offset; the same again until it is committed. Raises Unavailable."""
        ...

    def commit(self, group: str) -> None:
        """What the last fetch gave has had its effect. Raises Conflict `bus_offset_refused` when others took over meanwhile."""
        ...

    def ping(self) -> None:
        """Raises Unavailable when nothing can be published now."""
        ...

    def close(self) -> None: ...
