"""The store on PostgreSQL: each write is one SERIALIZABLE transaction, each read one snapshot, from any number of processes.

SQLite has one writer, so whatever a piece of work has read is still true when it commits. Here the database promises the same: it
ends one of two transactions that could not have run one after the other, and the store runs that one's work again. Locks and unique
keys make this rare, they are not what makes it right; so a forgotten lock costs time and never an answer.
A COMMIT whose answer got lost may have happened: it is never repeated here, the caller hears `database_away` and asks again.
"""

import functools
import queue
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any, TypeVar, cast

import psycopg
from psycopg import errors
from psycopg.types.numeric import Int8BinaryDumper

from exchange.errors import Refused, Unavailable
from exchange.model import SERVICE, Scope
from exchange.ports import Clock, FailPoints, Sealer, UnitOfWork, no_fail_points
from exchange.store.unit import Unit

T = TypeVar("T")
# A process that is paused in the middle of a write holds its locks, a mailbox's for one, no longer than this.
_WRITE = "BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL idle_in_transaction_session_timeout = '5s'"
_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Nothing was done, and on the facts as they are now it may go well. InFailedSqlTransaction: the work hid such an error from us.
_AGAIN = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation, errors.InFailedSqlTransaction)
# The session is over; nobody knows whether a COMMIT under way came through.
_GONE = (psycopg.OperationalError, psycopg.InterfaceError, errors.IdleInTransactionSessionTimeout)
_ATTEMPTS = 16
_LONGEST_PAUSE = 0.25
_SUBMITTERS = 8
# The tables of which somebody is told that there is more: the work queue, the outbox and the table bus.
HINTED = frozenset({"work", "outbox", "bus_log"})
_IDLE = 16
# Whatever the server's own settings say. Without sequential scans a small table is locked by the row and not as a whole.
_SESSION = """
SET synchronous_commit = on; SET enable_seqscan = off; SET client_min_messages = warning;
SET statement_timeout = '60s'; SET idle_in_transaction_session_timeout = '60s'
"""
_CONNECTING = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 15_000}


def connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    """A session in autocommit mode. Raises Unavailable `database_away`, Refused `setting`; neither shows the URL and its password."""
    try:
        raw = psycopg.connect(url, autocommit=True, application_name="wardpost", **_CONNECTING)  # type: ignore[arg-type]  # libpq's own words
        raw.execute(_SESSION)
    except psycopg.ProgrammingError:
        step = "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE."
        raise Refused("setting", "WARDPOST_DATABASE is no PostgreSQL URL.", next_step=step) from None
    except psycopg.OperationalError as problem:
        raise _away() from problem
    raw.adapters.register_dumper(int, Int8BinaryDumper)  # one type for one column: one prepared statement, and its index
    return raw


def check_server(url: str) -> None:
    """Raises Refused `database_unsafe` when this server could lose what it has confirmed, or cannot keep our texts."""
    with connect(url) as raw:
        named = ("fsync", "full_page_writes", "synchronous_commit", "server_encoding")
        found = {name: raw.execute("SELECT current_setting(%s)", [name]).fetchone() for name in named}
        version = raw.info.server_version
    wanted = {"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on", "server_encoding": "UTF8"}
    wrong = [name for name in named if found[name] != (wanted[name],)] + (["version"] if version < 150000 else [])
    if wrong:
        step = "Version 15 or newer, fsync, full_page_writes and synchronous_commit on, UTF8; no pooler in between."
        raise Refused("database_unsafe", f"This PostgreSQL is not set up for us: {', '.join(wrong)}.", next_step=step)


def _away() -> Unavailable:
    return Unavailable("database_away", "The database did not answer.", next_step="Try again.")


@functools.lru_cache(maxsize=4096)
def _placeholders(sql: str) -> str:
    return re.sub(r":(\w+)", r"%(\1)s", sql)


class _Connection:
    lock_suffix = " FOR UPDATE"

    def __init__(self, url: str) -> None:
        self.raw = connect(url)
        self._cursor = self.raw.cursor(binary=True)

    def run(self, sql: str, parameters: Mapping[str, object]) -> tuple[Sequence[Sequence[Any]], int]:
        cursor = self._cursor.execute(_placeholders(sql), parameters)
        return (cursor.fetchall() if cursor.description else ()), cursor.rowcount

    def commit(self) -> None:
        """A transaction in which a statement failed is rolled back by COMMIT, and PostgreSQL calls that a success."""
        if self._cursor.execute("COMMIT", prepare=False).statusmessage != "COMMIT":
            raise errors.InFailedSqlTransaction("a statement had failed")


class PostgresStore:
    """Implements ports.Store over one database. `retried` counts the pieces of work that had to be run again."""

    keeps_order = False

    def __init__(self, url: str, sealer: Sealer, clock: Clock, new_id: Callable[[], str], fail: FailPoints = no_fail_points) -> None:
        self._url = url
        self._sealer = sealer
        self._clock = clock
        self._new_id = new_id
        self._fail = fail
        self._idle: queue.LifoQueue[_Connection] = queue.LifoQueue()
        self._submitters = ThreadPoolExecutor(_SUBMITTERS, "wardpost-writer")
        self._ear: psycopg.Connection[tuple[Any, ...]] | None = None
        self.retried = 0

    def write(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> T:
        for attempt in range(_ATTEMPTS):
            try:
                result = self._transact(_WRITE, work, scope)
            except _AGAIN:
                self.retried += 1
                # Spread out, so that those who met do not meet again.
                time.sleep(min(_LONGEST_PAUSE, 0.001 * 2**attempt) * self._sealer.random_bytes(1)[0] / 255)
            except _GONE as problem:
                raise _away() from problem
            else:
                self._fail("store.after_commit")
                return result
        raise Unavailable("database_busy", "Others changed the same rows again and again.", next_step="Try again.")

    def submit(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> "Future[T]":
        return self._submitters.submit(self.write, work, scope)

    def read(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> T:
        try:
            return self._transact(_READ, work, scope)
        except _GONE as problem:
            raise _away() from problem

    def heard(self, seconds: float) -> Collection[str]:
        try:
            if self._ear is None:
                self._ear = connect(self._url)
                self._ear.execute("LISTEN wardpost")
            return {name for note in self._ear.notifies(timeout=seconds, stop_after=1) for name in note.payload.split(",")}
        except _GONE as problem:
            self._ear = None
            raise _away() from problem

    def close(self) -> None:
        """Finish what was submitted, then close."""
        self._submitters.shutdown()
        if self._ear is not None:
            self._ear.close()
        with suppress(queue.Empty):
            while True:
                self._idle.get_nowait().raw.close()

    def _transact(self, begin: str, work: Callable[[UnitOfWork], T], scope: Scope) -> T:
        connection = self._begun(begin)
        unit = Unit(connection, self._sealer, scope, self._clock(), self._new_id, self._later)
        try:
            result = work(unit)
            if begin is _WRITE:
                self._fail("store.before_commit")
            connection.commit()
            if changed := unit.written & HINTED:
                with suppress(psycopg.Error):  # in a transaction of its own: inside the write it would serialise all commits
                    connection.raw.execute(f"NOTIFY wardpost, '{','.join(sorted(changed))}'")
            return result
        except BaseException:
            with suppress(psycopg.Error):
                connection.run("ROLLBACK", {})
            raise
        finally:
            unit.ended()
            is_fit = connection.raw.info.transaction_status is psycopg.pq.TransactionStatus.IDLE
            if is_fit and self._idle.qsize() < _IDLE:
                self._idle.put(connection)
            else:
                connection.raw.close()

    def _begun(self, begin: str) -> _Connection:
        """A connection with a transaction begun. One that waited here may have died with its server: then the next, at last a new one."""
        while True:
            try:
                connection, is_new = self._idle.get_nowait(), False
            except queue.Empty:
                connection, is_new = _Connection(self._url), True
            try:
                connection.raw.execute(begin)
                return connection
            except psycopg.OperationalError:
                connection.raw.close()
                if is_new:
                    raise

    def _later(self, work: Callable[[Unit], bytes]) -> bytes:
        return self.read(lambda uow: work(cast(Unit, uow)))
