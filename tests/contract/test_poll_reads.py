"""A poll reads no more of a large mailbox than of a small one, however it asks: SQLite, and PostgreSQL when the suite runs on it."""

from pathlib import Path

import pytest

from tests import databases
from tests.bench.poll_reads import reading_of_polls


def test_no_poll_reads_more_in_a_larger_mailbox(tmp_path: Path) -> None:
    small, large = reading_of_polls(tmp_path, (200, 5_000))
    assert min(small.values()) > 0
    assert {way: (small[way], large[way]) for way in small if large[way] > 1.3 * small[way]} == {}


@pytest.mark.services
def test_nor_on_postgresql(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "SERVER", server)
    test_no_poll_reads_more_in_a_larger_mailbox(tmp_path)
