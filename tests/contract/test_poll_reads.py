"""A poll reads no more of a large mailbox than of a small one, however it asks: SQLite, and PostgreSQL when the suite runs on it."""

import random
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from exchange.mailbox.collect import _last_change_before
from tests import databases
from tests.app_kit import START
from tests.bench.poll_reads import reading_of_polls


def test_no_poll_reads_more_in_a_larger_mailbox(tmp_path: Path) -> None:
    small, large = reading_of_polls(tmp_path, (200, 5_000))
    assert min(small.values()) > 0
    assert {way: (small[way], large[way]) for way in small if large[way] > 1.3 * small[way]} == {}


@pytest.mark.services
def test_nor_on_postgresql(tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(databases, "SERVER", server)
    test_no_poll_reads_more_in_a_larger_mailbox(tmp_path)


class Rows:
    """A mailbox of (change, updated_at), as much of a unit of work as the search asks of it."""

    def __init__(self, changes: list[int]) -> None:
        self.rows = [SimpleNamespace(change=change, updated_at=START + timedelta(seconds=change)) for change in changes]

    def find(self, _: object, *, change__le: int, **__: object) -> list[SimpleNamespace]:
        return [row for row in reversed(self.rows) if row.change <= change__le][:1]


@pytest.mark.parametrize("seed", range(20))
def test_the_search_finds_what_a_filter_would_whatever_the_gaps(seed: int) -> None:
    draw = random.Random(seed)
    changes = sorted(draw.sample(range(1, 300), draw.randrange(1, 60)))
    for second in range(302):
        expected = max((change for change in changes if change < second), default=0)
        found = _last_change_before(Rows(changes), "", START + timedelta(seconds=second))  # type: ignore[arg-type]
        assert [change for change in changes if expected < change] == [change for change in changes if found < change], (changes, second)
