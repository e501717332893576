"""Bring a database to the schema of this version; refuse one that is newer."""

import sqlite3
from contextlib import closing
from pathlib import Path

from exchange.errors import Refused

HEAD = "0002"
_FOLDER = Path(__file__).with_name("migrations")


def schema_of(path: Path) -> str | None:
    """The revision of a database; None when it has none."""
    with closing(sqlite3.connect(path, timeout=30)) as database:
        try:
            row = database.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return str(row[0]) if row else None


def migrate(path: Path) -> None:
    """Upgrade to HEAD in one transaction. Raises Refused `schema_newer`."""
    found = schema_of(path)
    if found is not None and found > HEAD:
        raise Refused("schema_newer", "A newer version of wardpost made this database.", next_step="Start that version, or restore.")
    if found == HEAD:
        return
    # Imported here: a database that is up to date starts without SQLAlchemy, SQLModel and Alembic.
    import sqlalchemy as sa
    from alembic import command
    from alembic.config import Config

    engine = sa.create_engine(f"sqlite:///{path}")
    try:
        with engine.begin() as connection:
            # The driver begins no transaction for DDL: half a schema would be left behind.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            config = Config()
            config.set_main_option("script_location", str(_FOLDER))
            config.attributes["connection"] = connection
            command.upgrade(config, HEAD)
    finally:
        engine.dispose()
