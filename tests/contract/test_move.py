"""From SQLite to PostgreSQL: nothing is lost, nothing changes, whenever it is interrupted; documents come out the same, byte for byte."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.cli.fsck import check_all
from exchange.config import Settings
from exchange.errors import Refused
from exchange.records import TABLES, BusOffset, Submission
from exchange.transfer import publish
from exchange.transfer.publish import Prepared
from exchange.wiring import move_to, open_exchange
from tests.app_kit import Died, SteppingClock, set_up
from tests.databases import database_for

pytestmark = pytest.mark.services


@pytest.fixture
def told(tmp_path: Path) -> tuple[Settings, list[str]]:
    """A stopped SQLite service that has seen two people, and their transfers."""
    settings, clock = Settings(data=tmp_path / "data"), SteppingClock()
    exchange = open_exchange(settings, clock=clock)
    kit = set_up(exchange, clock, settings, "{}")
    transfers = [kit.story(0), kit.story(1)]
    exchange.store.close()
    return settings, transfers


@pytest.fixture
def target(server: str, tmp_path: Path) -> str:
    return database_for(tmp_path, server)


def files(settings: Settings) -> dict[str, str]:
    """The database itself; the index of its log is rebuilt by every reader."""
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in settings.data.iterdir() if not f.name.endswith(("-shm", "-wal"))}


def first_document(exchange: Exchange, transfer: str) -> bytes:
    """Assembled again from the accepted rows, as for version 1."""
    gathered = exchange.store.read(lambda uow: publish.gather(uow, transfer, exchange.readers.read))
    assert gathered is not None
    as_first = replace(gathered, last=None, transfer=replace(gathered.transfer, versions=0))
    prepared = exchange.store.read(lambda uow: publish.prepare(as_first, uow.now, exchange.check))
    assert isinstance(prepared, Prepared)
    assert prepared.document is not None
    return prepared.document


def test_a_moved_database_is_the_same_and_makes_the_same_documents(told: tuple[Settings, list[str]], target: str) -> None:
    settings, transfers = told
    before = files(settings)
    rows = move_to(settings, target, lambda *_: None)
    assert files(settings) == before
    old, new = open_exchange(settings), open_exchange(replace(settings, postgres=target))
    try:
        counts = [[exchange.store.read(lambda uow, k=kind: uow.count(k)) for kind in TABLES] for exchange in (old, new)]
        assert counts[0] == counts[1]
        assert sum(counts[0]) == rows
        for transfer in transfers:
            assert first_document(new, transfer) == first_document(old, transfer)
        assert new.store.read(lambda uow: check_all(uow, new.environment)) == []
        # And it goes on from there.
        assert new.work_once() + relay_once(new.store, new.bus, new.fail) + new.deliver_once() == 0
    finally:
        old.store.close()
        new.store.close()


def test_a_move_that_dies_anywhere_is_run_again(told: tuple[Settings, list[str]], target: str) -> None:
    settings, _ = told
    on_target = replace(settings, postgres=target)

    def die_at(step: int) -> bool:
        left = [step]

        def progress(table: str, done: int, total: int) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Died(table)

        try:
            move_to(settings, target, progress)
        except Died:
            return True
        return False

    step = 1
    while die_at(step):
        with pytest.raises(Refused, match="move_unfinished"):
            open_exchange(on_target)
        step += 7
    assert step > 2 * len(TABLES) - 7
    exchange = open_exchange(on_target)
    assert exchange.store.read(lambda uow: check_all(uow, exchange.environment)) == []
    exchange.store.close()
    with pytest.raises(Refused, match="move_target"):
        move_to(settings, target, lambda *_: None)


def test_a_source_that_somebody_writes_to_is_not_moved(told: tuple[Settings, list[str]], target: str) -> None:
    settings, _ = told
    exchange = open_exchange(settings)

    def busy(table: str, done: int, total: int) -> None:
        if table == "audit_event" and not done:
            exchange.store.write(lambda uow: uow.insert(BusOffset("meanwhile", 1)))

    with pytest.raises(Refused, match="move_source"):
        move_to(settings, target, busy)
    exchange.store.close()
    with pytest.raises(Refused, match="move_unfinished"):
        open_exchange(replace(settings, postgres=target))
    move_to(settings, target, lambda *_: None)
    moved = open_exchange(replace(settings, postgres=target))
    assert moved.store.read(lambda uow: uow.count(BusOffset, id="meanwhile")) == 1
    assert moved.store.read(lambda uow: uow.count(Submission)) == 4
    moved.store.close()
