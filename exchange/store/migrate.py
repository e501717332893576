"""Bring a database to the schema of this version; refuse one that is newer. One history for SQLite and PostgreSQL."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from exchange.errors import Refused

if TYPE_CHECKING:
    import sqlalchemy as sa

HEAD = "0005"
MOVING = "moving"  # written in place of a revision while `wardpost move` fills a database
_FOLDER = Path(__file__).with_name("migrations")
_LOCK = 0x77617264  # any number of ours: two processes that start at once do not both make the tables


def schema_of(database: Path | str) -> str | None:
    """The revision of a database (SQLite by its path, PostgreSQL by its URL); None when it has none."""
    if isinstance(database, str):
        from exchange.store.postgres import connect

        with connect(database) as link:
            is_there = link.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
            found = link.execute("SELECT version_num FROM alembic_version").fetchone() if is_there == (True,) else None
        return str(found[0]) if found else None
    with closing(sqlite3.connect(database, timeout=30)) as file:
        try:
            row = file.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return str(row[0]) if row else None


def migrate(database: Path | str) -> None:
    """Upgrade to HEAD in one transaction. Raises Refused `schema_newer`, `move_unfinished`."""
    found = schema_of(database)
    if found == MOVING:
        raise Refused("move_unfinished", "A move into this database was not finished.", next_step="Run the same wardpost move again.")
    if found is not None and found > HEAD:
        raise Refused("schema_newer", "A newer version of wardpost made this database.", next_step="Start that version, or restore.")
    if found == HEAD:
        return
    # Imported here: a database that is up to date starts without SQLAlchemy, SQLModel and Alembic.
    from alembic import command
    from alembic.config import Config

    engine = engine_of(database)
    try:
        with engine.begin() as connection:
            # SQLite's driver begins no transaction for DDL: half a schema would be left behind.
            begin = f"SELECT pg_advisory_xact_lock({_LOCK})" if isinstance(database, str) else "BEGIN IMMEDIATE"
            connection.exec_driver_sql(begin)
            config = Config()
            config.set_main_option("script_location", str(_FOLDER))
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    finally:
        engine.dispose()


def engine_of(database: Path | str) -> "sa.Engine":
    """SQLAlchemy's view of a database, for migrations alone."""
    import sqlalchemy as sa

    if isinstance(database, Path):
        return sa.create_engine(f"sqlite:///{database}")
    import psycopg

    # The URL stays with the driver: SQLAlchemy would show parts of it in its own errors.
    return sa.create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(database))
