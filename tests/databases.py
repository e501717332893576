"""Which database the tests run on: SQLite in the folder, or, with WARDPOST_TEST_POSTGRES (the URL of a server), one schema a folder."""

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from exchange.config import Settings

SERVER = os.environ.get("WARDPOST_TEST_POSTGRES", "")
# For tests that look into SQLite's own file, or damage it in its own dialect.
sqlite_only = pytest.mark.skipif(bool(SERVER), reason="about the SQLite file")
_made: set[tuple[str, str]] = set()


def settings_for(folder: Path, **more: object) -> Settings:
    """Settings over a folder. The same folder gives the same database, also in another process."""
    return Settings(data=folder / "data", postgres=database_for(folder) if SERVER else "", **more)  # type: ignore[arg-type]


def database_for(folder: Path, server: str = "") -> str:
    """The URL of the folder's own place (a schema: quicker than a database) on a PostgreSQL server; made when it is not there."""
    server = server or SERVER
    name = "w" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
    with psycopg.connect(server, autocommit=True) as link:
        link.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    _made.add((server, name))
    return f"{server}?options=-csearch_path%3D{name}"


def first_cell(settings: Settings, query: str) -> int:
    """One number, read beside the service."""
    if settings.postgres:
        with psycopg.connect(settings.postgres, autocommit=True) as link:
            rows = link.execute(query).fetchall()  # type: ignore[arg-type]  # the tests' own text
    else:
        with closing(sqlite3.connect(f"file:{settings.sqlite}?mode=ro", uri=True, timeout=10)) as file:
            rows = file.execute(query).fetchall()
    return int(rows[0][0])


def drop_all() -> None:
    """Drop what this process made."""
    while _made:
        server, name = _made.pop()
        with psycopg.connect(server, autocommit=True) as link:
            link.execute("SET lock_timeout = '10s'; SET client_min_messages = warning")
            link.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(name)))
