"""What one poll reads in a mailbox of 1,000 and of 100,000 deliveries: it must not grow. On the database that tests/databases.py says."""

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import fields
from datetime import timedelta
from functools import partial
from pathlib import Path

import psycopg

import exchange.store.sqlite as sqlite_store
from exchange.config import Settings
from exchange.mailbox.collect import InboxItem
from exchange.records import Delivery
from tests.app_kit import START, kit

SIZES = (1_000, 100_000)


def fill(settings: Settings, count: int) -> None:
    """Put so many older deliveries of other papers into the mailbox beside those that are there."""
    own = {
        **{name: f"'f' || {name} || i" for name in ("id", "transfer_id", "version_id", "event_id")},
        **dict.fromkeys(("sequence", "change"), "i"),
        "updated_at": f"updated_at - ({count} - i + 1) * 1000",
    }
    names = [field.name for field in fields(Delivery)]
    statements = (
        f"UPDATE delivery SET sequence = sequence + {count}, change = change + {count}",
        f"INSERT INTO delivery ({', '.join(names)}) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count}) "
        f"SELECT {', '.join(own.get(name, name) for name in names)} FROM n, (SELECT * FROM delivery ORDER BY sequence LIMIT 1) AS newer",
    )
    if settings.postgres:
        with psycopg.connect(settings.postgres, autocommit=True) as link:
            link.execute("SET session_replication_role = replica")  # nothing else hangs on these rows
            for statement in (*statements, "ANALYZE delivery"):
                link.execute(statement)  # type: ignore[arg-type]
    else:
        with closing(sqlite3.connect(settings.sqlite)) as file:
            for statement in statements:
                file.execute(statement)
            file.commit()


def read_by(settings: Settings, work: Callable[[], object]) -> int:
    """PostgreSQL: rows and index entries that it read. SQLite, which counts no rows: steps of its virtual machine."""
    if settings.postgres:
        before = _postgres_rows(settings)
        work()
        return _postgres_rows(settings) - before
    steps = 0

    def step() -> int:
        nonlocal steps
        steps += 1
        return 0

    run = sqlite_store._Connection.run

    def counted(connection: sqlite_store._Connection, sql: str, parameters: object) -> object:
        connection.raw.set_progress_handler(step, 1)
        try:
            return run(connection, sql, parameters)  # type: ignore[arg-type]
        finally:
            connection.raw.set_progress_handler(None, 1)

    sqlite_store._Connection.run = counted  # type: ignore[assignment, method-assign]
    try:
        work()
    finally:
        sqlite_store._Connection.run = run  # type: ignore[method-assign]
    return steps


def _postgres_rows(settings: Settings) -> int:
    """What the sessions have told by now; each is made to tell it."""
    with psycopg.connect(settings.postgres, autocommit=True) as link:
        query = (
            "SELECT sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes "
            "WHERE schemaname = current_schema()) FROM pg_stat_user_tables WHERE schemaname = current_schema()"
        )
        found = link.execute(query).fetchone()
        assert found is not None
        return int(found[0])


def reading_of_polls(folder: Path, sizes: Sequence[int] = SIZES) -> list[dict[str, int]]:
    """What one poll of each kind reads at each of these sizes, once what is read only the first time has been."""
    found: list[dict[str, int]] = []
    with kit(folder) as service:
        for which in range(3):
            service.story(which)
        poll, store = partial(service.exchange.poll, service.caller(), count=2), service.exchange.store

        def tell() -> None:
            if service.settings.postgres:  # else a session tells what it has read now and then
                store.read(lambda uow: uow._db.run("SELECT pg_stat_force_next_flush()", {}))  # type: ignore[attr-defined]

        def read(work: Callable[[], tuple[list[InboxItem], bool]], expected: int = 2) -> int:
            assert len(work()[0]) == expected
            tell()
            return read_by(service.settings, lambda: (work(), tell()))

        for before, size in zip((0, *sizes), sizes, strict=False):
            fill(service.settings, size - before)
            found.append(
                {
                    "after a number": read(partial(poll, after_change=size)),
                    "since a moment": read(partial(poll, since=START)),
                    "when nothing is new": read(partial(poll, since=START + timedelta(days=1)), expected=0),
                    "within two moments": read(partial(poll, since=START, before=START + timedelta(days=1))),
                }
            )
    return found
