"""One worker writes what it reads in the order of arrival, whatever the store: SQLite, and PostgreSQL among the services."""

import time
from pathlib import Path
from typing import Any

import pytest

from exchange import app
from exchange.cli.demo_story import admission
from tests import databases
from tests.app_kit import kit
from tests.fault.runner import made_up


def test_what_is_read_is_written_in_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    true = app.receive

    def slow_at_first(uow: Any, piece: Any, *more: Any) -> None:
        if not written:
            time.sleep(0.3)
        true(uow, piece, *more)
        written.append(piece.subject_id)

    with kit(tmp_path) as service:
        sent = [service.send(admission(made_up(number), service.clock.at)) for number in range(6)]
        monkeypatch.setattr(app, "receive", slow_at_first)
        service.drain()
    assert written == sent


@pytest.mark.services
def test_nor_does_postgresql_change_it(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "SERVER", server)
    test_what_is_read_is_written_in_its_order(tmp_path, monkeypatch)
