"""A process that dies in the middle of a migration leaves the schema as it was, and the next start goes on from there."""

import itertools
import os
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from exchange.store import migrate as migration
from tests.databases import database_for
from tests.fault.deployment import forks
from tests.fault.runner import KILLED

FOREVER = 10_000


def die_at(database: Path | str, at: int, head: str) -> None:
    """Migrate to a revision, and be gone before the n-th statement."""
    numbers = itertools.count(1)

    def count(*_: Any) -> None:
        if next(numbers) == at:
            os._exit(KILLED)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    migration.HEAD = head
    migration.migrate(database)


def lived(database: Path | str, at: int = FOREVER, head: str = migration.HEAD) -> int:
    process = forks.Process(target=die_at, args=(database, at, head))
    process.start()
    process.join(60)
    assert process.exitcode in (0, KILLED)
    return process.exitcode


def schema(database: Path | str) -> list[tuple[Any, ...]]:
    engine = migration.engine_of(database)
    try:
        with engine.connect() as link:
            tables = sorted(sa.inspect(link).get_table_names())
            return [
                (t, sorted(str(c) for c in sa.inspect(link).get_columns(t)), sorted(str(i) for i in sa.inspect(link).get_indexes(t)))
                for t in tables
            ]
    finally:
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path | str, Path | str]:
    """One to die in, and one that nobody disturbs."""
    if request.param == "sqlite":
        return tmp_path / "killed.sqlite", tmp_path / "whole.sqlite"
    server = request.getfixturevalue("server")
    return database_for(tmp_path / "killed", server), database_for(tmp_path / "whole", server)


@pytest.mark.parametrize("before", [None, "0001"], ids=["from nothing", "from 0001"])
def test_killed_in_a_migration(databases: tuple[Path | str, Path | str], before: str | None) -> None:
    killed, whole = databases
    assert lived(whole) == 0
    if before:
        assert lived(killed, head=before) == 0
    deaths = 0
    while lived(killed, 2 + 15 * deaths) == KILLED:
        deaths += 1
        assert migration.schema_of(killed) == before
    assert deaths >= (1 if before else 3)
    assert migration.schema_of(killed) == migration.HEAD
    assert schema(killed) == schema(whole)
