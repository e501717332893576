"""Bring a database to the schema of this version; refuse one that is newer."""

from pathlib import Path

import sqlalchemy as sa

from exchange.errors import Refused

HEAD = "0001"
_FOLDER = Path(__file__).with_name("migrations")


def schema_of(connection: sa.Connection) -> str | None:
    """The revision of a database; None when it is empty."""
    if "alembic_version" not in sa.inspect(connection).get_table_names():
        return None
    return connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar()


def migrate(engine: sa.Engine) -> None:
    """Upgrade to HEAD in one transaction. Raises Refused `schema_newer`."""
    with engine.begin() as connection:
        if connection.dialect.name == "sqlite":  # its driver begins no transaction for DDL: half a schema would be left behind
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        found = schema_of(connection)
        if found == HEAD:
            return
        if found is not None and found > HEAD:
            raise Refused("schema_newer", "A newer version of wardpost made this database.", next_step="Start that version, or restore.")
        # Imported here: a database that is up to date starts without Alembic's quarter of a second.
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_FOLDER))
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
