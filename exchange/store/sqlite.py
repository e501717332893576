"""The embedded store: SQLite in WAL mode with synchronous=FULL, one writer thread, group commit.

Each piece of work runs in its own savepoint and its caller is answered only after the COMMIT of the group, so a durable write
costs one disk flush for many; one that fails rolls back alone and loses nobody else's work. `NORMAL` would lose acknowledged
commits in a power cut (measured), so it is never used. Other processes (the command line) write through SQLite's own lock.
"""

import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar, cast

from exchange.errors import Unavailable
from exchange.model import SERVICE, Scope
from exchange.ports import Clock, FailPoints, Sealer, UnitOfWork, no_fail_points
from exchange.store.unit import Keys, Unit

T = TypeVar("T")
_GROUP = 64
_BUSY_SECONDS = 30.0


class _Connection:
    lock_suffix = ""  # one writer: everything it reads is locked already

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self.raw = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False, cached_statements=256)
        self._to_wal(time.monotonic() + _BUSY_SECONDS)
        for pragma in ("synchronous=FULL", "secure_delete=ON", "foreign_keys=ON", "temp_store=MEMORY"):
            self.raw.execute(f"PRAGMA {pragma}").fetchall()
        if read_only:
            self.raw.execute("PRAGMA query_only=ON")

    def _to_wal(self, until: float) -> None:
        """SQLite does not wait for others when it changes the journal of a new file: processes that start together do it here."""
        while self.raw.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                self.raw.execute("PRAGMA journal_mode=WAL").fetchall()
            except sqlite3.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.01)

    def run(self, sql: str, parameters: Mapping[str, object]) -> tuple[Sequence[Sequence[Any]], int]:
        cursor = self.raw.execute(sql, parameters)
        return cursor.fetchall(), cursor.rowcount


def _away() -> Unavailable:
    return Unavailable("database_away", "The database did not answer.", next_step="Try again.")


class SqliteStore:
    """Implements ports.Store over one file."""

    keeps_order = True

    def __init__(self, path: Path, sealer: Sealer, clock: Clock, new_id: Callable[[], str], fail: FailPoints = no_fail_points) -> None:
        self.path = path
        self._clock = clock
        self._new_id = new_id
        self._fail = fail
        self._sealer = sealer
        self._jobs: queue.SimpleQueue[tuple[Callable[[UnitOfWork], Any], Scope, Future[Any]] | None] = queue.SimpleQueue()
        self._readers: queue.SimpleQueue[_Connection] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        self._starting = threading.Lock()

    def write(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> T:
        return self.submit(work, scope).result()

    def submit(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> "Future[T]":
        if self._writer is None:
            with self._starting:
                if self._writer is None:
                    self._writer = threading.Thread(target=self._run, name="wardpost-writer", daemon=True)
                    self._writer.start()
        future: Future[T] = Future()
        self._jobs.put((work, scope, future))
        return future

    def read(self, work: Callable[[UnitOfWork], T], scope: Scope = SERVICE) -> T:
        try:
            try:
                connection = self._readers.get_nowait()
            except queue.Empty:
                connection = _Connection(self.path, read_only=True)
            try:
                connection.run("BEGIN", {})
                unit = self._unit(connection, scope)
                try:
                    return work(unit)
                finally:
                    unit.ended()
                    connection.run("ROLLBACK", {})
            finally:
                self._readers.put(connection)
        except sqlite3.OperationalError as problem:
            raise _away() from problem

    def heard(self, seconds: float) -> Collection[str]:
        """One process serves this file and wakes its own loops."""
        time.sleep(seconds)
        return ()

    def close(self) -> None:
        """Finish what was submitted, then close."""
        if self._writer is not None:
            self._jobs.put(None)
            self._writer.join()
            self._writer = None
        while True:
            try:
                self._readers.get_nowait().raw.close()
            except queue.Empty:
                return

    def _unit(self, connection: _Connection, scope: Scope, keys: Keys | None = None) -> Unit:
        return Unit(connection, self._sealer, scope, self._clock(), self._new_id, self._later, keys)

    def _later(self, work: Callable[[Unit], bytes]) -> bytes:
        return self.read(lambda uow: work(cast(Unit, uow)))

    def _run(self) -> None:
        connection: _Connection | None = None
        is_open = True
        while is_open:
            group = [self._jobs.get()]
            while len(group) < _GROUP:
                try:
                    group.append(self._jobs.get_nowait())
                except queue.Empty:
                    break
            is_open = None not in group
            # A caller that went away before we began has no answer to wait for; from here on none can be cancelled.
            jobs = [job for job in group if job is not None and job[2].set_running_or_notify_cancel()]
            try:
                connection = connection or _Connection(self.path, read_only=False)
            except sqlite3.Error:
                for _, _, future in jobs:
                    future.set_exception(_away())
                continue
            if jobs:
                self._commit_group(connection, jobs)
        if connection is not None:
            connection.raw.close()

    def _commit_group(self, connection: _Connection, group: list[tuple[Callable[[UnitOfWork], Any], Scope, Future[Any]]]) -> None:
        done: list[tuple[Future[Any], Any, Unit]] = []
        keys = Keys()
        try:
            connection.run("BEGIN IMMEDIATE", {})
            for work, scope, future in group:
                unit = self._unit(connection, scope, keys)
                connection.run("SAVEPOINT one", {})
                try:
                    result = work(unit)
                except BaseException as problem:  # noqa: BLE001  # it belongs to the caller, who gets it; the others go on
                    keys.forget()  # one that this work made is not in the database any more
                    connection.run("ROLLBACK TO one", {})
                    connection.run("RELEASE one", {})
                    future.set_exception(_away() if isinstance(problem, sqlite3.OperationalError) else problem)
                else:
                    connection.run("RELEASE one", {})
                    done.append((future, result, unit))
            self._fail("store.before_commit")
            connection.run("COMMIT", {})
            self._fail("store.after_commit")
        except sqlite3.Error:
            if connection.raw.in_transaction:
                connection.run("ROLLBACK", {})
            for _, _, future in group:
                if not future.done():
                    future.set_exception(_away())
            return
        if any(unit.has_erased for _, _, unit in done):
            # The old pages of the log still hold the wrapped keys: empty it now, not some day.
            with contextlib.suppress(sqlite3.Error):
                connection.run("PRAGMA wal_checkpoint(TRUNCATE)", {})
        for future, result, unit in done:
            unit.ended()
            future.set_result(result)
