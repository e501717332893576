"""Move a database from SQLite to PostgreSQL: every row as it is stored, sealed values still shut, counted and digested on both sides.

One transaction a table. A move that was killed is run again: tables that are equal are passed over, others are copied anew. Until the
last table is equal the target says `moving` in place of its revision, and no service starts on it. The source is only read.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path

import psycopg

from exchange.errors import Refused
from exchange.records import TABLES, Record
from exchange.store.migrate import HEAD, MOVING, migrate, schema_of
from exchange.store.postgres import connect
from exchange.store.tables import columns_of

Row = Sequence[object]
Progress = Callable[[str, int, int], None]
_STEP = 1000


def move(source: Path, target: str, progress: Progress) -> int:
    """Copy all tables; how many rows there are. `progress`: table, rows done, rows in all, as it goes on.

    Raises Refused `move_source`, `move_target`, `move_differs`; Unavailable `database_away`, and then: run it again.
    """
    if not source.exists() or schema_of(source) != HEAD:
        step = "Start this version on it once, stop it, and move then."
        raise Refused("move_source", f"There is no database of this version at {source}.", next_step=step)
    found = schema_of(target)
    if found != MOVING:
        migrate(target)
    with closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, isolation_level=None)) as file, connect(target) as link:
        if found != MOVING and any(link.execute(f"SELECT 1 FROM {kind.META.table} LIMIT 1").fetchone() for kind in TABLES):  # noqa: S608
            raise Refused("move_target", "The PostgreSQL database has rows of its own.", next_step="Name an empty one.")
        link.execute("UPDATE alembic_version SET version_num = %s", [MOVING])
        was = file.execute("PRAGMA data_version").fetchone()
        file.execute("BEGIN")
        total = sum(_move_table(file, link, kind, progress) for kind in TABLES)
        file.execute("ROLLBACK")
        if file.execute("PRAGMA data_version").fetchone() != was:
            raise Refused("move_source", "Somebody wrote to the source meanwhile.", next_step="Stop the service and run the move again.")
        link.execute("UPDATE alembic_version SET version_num = %s", [HEAD])
    return total


def _move_table(file: sqlite3.Connection, link: "psycopg.Connection[tuple[object, ...]]", kind: type[Record], progress: Progress) -> int:
    table = kind.META.table
    columns = [(name, column.kind == "bool") for column in columns_of(kind).values() for name in column.sql_names]
    names = ", ".join(name for name, _ in columns)
    query = f"SELECT {names} FROM {table} ORDER BY {columns[0][0]}"  # noqa: S608
    total = int(file.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608
    progress(table, 0, total)
    wanted = _digest(file.execute(query))
    with link.transaction():
        if _digest(_rows(link, query)) != wanted:
            link.execute(f"DELETE FROM {table}")  # noqa: S608
            with link.cursor() as cursor, cursor.copy(f"COPY {table} ({names}) FROM STDIN") as copy:
                for number, row in enumerate(file.execute(query), 1):
                    copy.write_row(
                        [bool(cell) if is_bool and cell is not None else cell for cell, (_, is_bool) in zip(row, columns, strict=True)]
                    )
                    if number % _STEP == 0:
                        progress(table, number, total)
            if _digest(_rows(link, query)) != wanted:
                raise Refused("move_differs", f"{table} is not the same on both sides.", next_step="Report this as a defect; move nothing.")
    progress(table, total, total)
    return total


def _rows(link: "psycopg.Connection[tuple[object, ...]]", query: str) -> Iterator[Row]:
    """Row by row: a table may be larger than memory."""
    with link.cursor("moved", binary=True) as cursor:
        yield from cursor.execute(query)


def _digest(rows: Iterable[Row]) -> tuple[int, str]:
    """How many rows and what is in them; a truth value counts as the 0 or 1 that SQLite keeps."""
    number, digest = 0, hashlib.sha256()
    for row in rows:
        number += 1
        digest.update(repr([int(cell) if isinstance(cell, bool) else cell for cell in row]).encode())
    return number, digest.hexdigest()
