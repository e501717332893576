"""What every store promises, on SQLite and on PostgreSQL: one writer at a time in effect, however many write.

Each race is run by threads that have an Exchange of their own each, as processes have; one is run by real processes.
"""

import multiprocessing
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from exchange import roles
from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.cli.demo_story import Person, admission, letter, people
from exchange.config import Settings
from exchange.directory.links import make_link, use_link
from exchange.errors import Conflict, Gone, Refused, Unavailable, WardpostError
from exchange.intake import holds, work
from exchange.model import AnswerKind, HoldKind, TransferState
from exchange.ports import UnitOfWork
from exchange.records import (
    AuditEvent,
    BusEntry,
    BusOffset,
    DataKey,
    Delivery,
    Hold,
    IndexKey,
    Mailbox,
    Organisation,
    OutboxEvent,
    Sealed,
    Session,
    Stay,
    Submission,
    Supplement,
    Transfer,
    Work,
)
from exchange.store import postgres as store_module
from exchange.wiring import _first_index_key, now_utc, open_exchange
from tests.app_kit import HOME, HOSPITAL, OTHER_HOME, START, Kit, SteppingClock, set_up
from tests.databases import database_for
from tests.service_kit import wait_until

T = TypeVar("T")
RACERS = 6


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.services)])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    url = database_for(tmp_path, request.getfixturevalue("server")) if request.param == "postgres" else ""
    return Settings(data=tmp_path / "data", postgres=url)


@contextmanager
def service(settings: Settings) -> Iterator[Kit]:
    clock = SteppingClock()
    exchange = open_exchange(settings, clock=clock)
    try:
        yield set_up(exchange, clock, settings, "{}")
    finally:
        exchange.store.close()


@pytest.fixture
def kit(settings: Settings) -> Iterator[Kit]:
    with service(settings) as made:
        yield made


def race(kit: Kit, act: Callable[[Exchange, int], T]) -> list[T | WardpostError]:
    """The same act by several at once, each over connections of its own; results, or what was refused."""
    start = threading.Barrier(RACERS)

    def run(number: int) -> T | WardpostError:
        exchange = open_exchange(kit.settings, clock=kit.clock)
        try:
            exchange.store.read(lambda uow: uow.count(Stay))
            start.wait(30)
            return act(exchange, number)
        except WardpostError as problem:
            return problem
        finally:
            exchange.store.close()

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def count(kit: Kit, kind: type, **where: object) -> int:
    return kit.exchange.store.read(lambda uow: uow.count(kind, **where))


def drain(exchange: Exchange) -> None:
    """Until nothing is left that is due; others may be at it, too."""
    while exchange.work_once() + relay_once(exchange.store, exchange.bus, exchange.fail) + exchange.deliver_once():
        pass


def made_up(number: int) -> Person:
    """Another visit of one of the demo's people: a stay of its own."""
    return replace(people(START)[number % 2], visit=f"R{number:04}")


# One at a time


def test_a_failed_piece_leaves_nothing_and_an_answered_one_is_there(kit: Kit) -> None:
    def bad(uow: UnitOfWork) -> None:
        uow.insert(BusOffset("bad", 1))
        raise KeyError("ours")

    with pytest.raises(KeyError):
        kit.exchange.store.write(bad)
    kit.exchange.store.submit(lambda uow: uow.insert(BusOffset("good", 1))).result(10)
    assert [row.id for row in kit.exchange.store.read(lambda uow: uow.find(BusOffset))] == ["good"]


def test_a_second_row_of_one_key_is_a_conflict_and_the_piece_can_go_on(kit: Kit) -> None:
    def twice(uow: UnitOfWork) -> str:
        uow.insert(BusOffset("one", 1))
        try:
            uow.insert(BusOffset("one", 2))
        except Conflict as problem:
            uow.insert(BusOffset("two", 1))
            return problem.code
        return ""

    assert kit.exchange.store.write(twice) == "duplicate"
    assert count(kit, BusOffset) == 2


def test_texts_sort_by_bytes_and_bytes_come_back(kit: Kit) -> None:
    names = ["a", "B", "é", "Z", "_", "ß", "0", "b"]
    kit.exchange.store.write(lambda uow: [uow.insert(BusEntry(n, i, n, i, "t", "☃", uow.now)) for i, n in enumerate(names)])
    rows = kit.exchange.store.read(lambda uow: uow.find(BusEntry, order="id"))
    assert [row.id for row in rows] == sorted(names)
    secret = bytes(range(256)) * 5000
    kit.exchange.store.write(lambda uow: uow.insert(Stay("s", HOSPITAL, uow.now, None, None, Sealed.of(secret))))
    assert kit.exchange.store.read(lambda uow: uow.find(Stay))[0].identity.open() == secret


def test_a_text_with_nul_is_nowhere(kit: Kit) -> None:
    assert kit.exchange.store.read(lambda uow: uow.get(Organisation, "VZZ\x0001")) is None
    assert kit.exchange.store.read(lambda uow: uow.find(Organisation, id__in=["\x00"]) + uow.find(Organisation, name="\x00")) == []


def test_a_read_sees_one_moment(kit: Kit) -> None:
    def look(uow: UnitOfWork) -> tuple[int, int]:
        before = uow.count(BusOffset)
        kit.exchange.store.write(lambda other: other.insert(BusOffset("later", 1)))
        return before, uow.count(BusOffset)

    assert kit.exchange.store.read(look) == (0, 0)
    assert count(kit, BusOffset) == 1


def test_a_read_changes_nothing(kit: Kit) -> None:
    with pytest.raises(Exception, match=r"read.?only|database_away"):
        kit.exchange.store.read(lambda uow: uow.insert(BusOffset("x", 1)))
    assert count(kit, BusOffset) == 0


def test_what_was_erased_cannot_be_opened_by_who_held_it(kit: Kit) -> None:
    kit.exchange.store.write(lambda uow: uow.insert(Stay("s", HOSPITAL, uow.now, None, None, Sealed.of("Canaryname"))))
    row = kit.exchange.store.read(lambda uow: uow.find(Stay))[0]
    other = open_exchange(kit.settings, clock=kit.clock)
    other.store.write(lambda uow: uow.delete(DataKey, owner_kind="stay", owner_id="s"))
    other.store.close()
    with pytest.raises(Gone, match="erased"):
        row.identity.open()


def test_the_whole_story_is_clean(kit: Kit) -> None:
    for which in (0, 1):
        kit.story(which)
    assert len(kit.exchange.poll(kit.caller())[0]) == 2
    assert kit.findings() == []


# Several at once


def test_writes_are_as_if_one_came_after_the_other(kit: Kit) -> None:
    """Write skew: each may take the last place only while there is one, and reads rows that it does not change."""

    def take_place(uow: UnitOfWork, number: int) -> None:
        if uow.count(BusOffset) < 3:
            uow.insert(BusOffset(f"place {number}", 1))

    race(kit, lambda exchange, n: exchange.store.write(lambda uow: take_place(uow, n)))
    assert count(kit, BusOffset) == 3


def test_a_counter_loses_no_step(kit: Kit) -> None:
    kit.exchange.store.write(lambda uow: uow.insert(BusOffset("n", 0)))

    def step(uow: UnitOfWork) -> None:
        row = uow.lock(BusOffset, "n")
        assert row is not None
        uow.update(BusOffset, {"position": row.position + 1}, id="n")

    results = race(kit, lambda exchange, _: [exchange.store.write(step) for _ in range(20)])
    assert not [result for result in results if isinstance(result, WardpostError)]
    assert kit.exchange.store.read(lambda uow: uow.find(BusOffset))[0].position == 20 * RACERS


def test_one_message_that_many_bring_is_one_submission(kit: Kit) -> None:
    raw = admission(made_up(1), START)
    receipts = race(kit, lambda exchange, _: exchange.accept(kit.sender, raw, "mllp", "").result())
    assert len({receipt.submission for receipt in receipts if not isinstance(receipt, WardpostError)}) == 1
    assert count(kit, Submission) == 1


def test_messages_of_one_visit_make_one_stay_and_one_transfer(kit: Kit) -> None:
    for hour in range(RACERS * 2):
        kit.send(admission(made_up(1), START + timedelta(hours=hour)))
    race(kit, lambda exchange, _: drain(exchange))
    kit.drain()
    assert (count(kit, Stay), count(kit, Transfer)) == (1, 1)
    assert kit.findings() == []


def test_two_who_pick_different_homes_leave_one_transfer(kit: Kit) -> None:
    kit.story(0, confirmed=False)
    visit = people(START)[0].visit
    race(kit, lambda exchange, n: exchange.confirm_site(visit, (HOME, OTHER_HOME)[n % 2], kit.worker))
    assert count(kit, Transfer, state__ne=TransferState.WITHDRAWN) == 1
    kit.drain()
    assert kit.findings() == []


def test_workers_claim_each_piece_once(kit: Kit) -> None:
    kit.exchange.store.write(lambda uow: [work.enqueue(uow, "read", f"s{n}") for n in range(40)])
    kit.clock.forward(seconds=1)
    claimed = race(kit, lambda exchange, _: [piece.id for _ in range(4) for piece in exchange.store.write(lambda uow: work.claim(uow, 4))])
    pieces = [piece for each in claimed if not isinstance(each, WardpostError) for piece in each]
    assert sorted(pieces) == sorted(f"read:s{n}" for n in range(40))


def test_numbers_of_a_mailbox_have_no_gap_when_everything_runs_several_times(kit: Kit) -> None:
    everybody = [made_up(n) for n in range(10)]
    for person in everybody:
        kit.send(admission(person, START))
    kit.drain()
    for person in everybody:
        kit.exchange.confirm_site(person.visit, HOME, kit.worker)
        kit.send(letter(person, START))
    race(kit, lambda exchange, _: drain(exchange))
    for _ in range(10):
        kit.clock.forward(minutes=6)
        kit.drain()
    rows = kit.exchange.store.read(lambda uow: uow.find(Delivery, order="sequence"))
    assert [(row.sequence, row.number) for row in rows] == [(n, 1) for n in range(1, 11)]
    assert kit.findings() == []
    assert count(kit, Work) == 0


def test_a_hold_is_raised_once(kit: Kit) -> None:
    stay = kit.exchange.store.read(lambda uow: uow.new_id())

    def raised(uow: UnitOfWork) -> Hold:
        return holds.raise_hold(uow, HoldKind.IDENTITY, org=HOSPITAL, code="x", stay=stay)

    race(kit, lambda exchange, _: exchange.store.write(raised))
    assert (count(kit, Hold), count(kit, AuditEvent, type="hold.raised")) == (1, 1)


def test_one_owner_has_one_data_key(kit: Kit) -> None:
    def state(uow: UnitOfWork, number: int) -> None:
        uow.insert(Supplement(f"s{number}", "t", HOSPITAL, kit.worker, uow.now, Sealed.of(f"words {number}")))

    results = race(kit, lambda exchange, n: exchange.store.write(lambda uow: state(uow, n)))
    assert not [result for result in results if isinstance(result, WardpostError)]
    assert count(kit, DataKey, owner_id="t") == 1
    rows = kit.exchange.store.read(lambda uow: uow.find(Supplement, order="id"))
    assert [row.content.text() for row in rows] == [f"words {n}" for n in range(RACERS)]


def test_the_first_index_key_is_made_once(kit: Kit) -> None:
    kit.exchange.store.write(lambda uow: uow.delete(IndexKey))
    race(kit, lambda exchange, _: exchange.store.write(_first_index_key))
    assert count(kit, IndexKey) == 1


def test_a_link_lets_one_in(kit: Kit) -> None:
    kit.exchange.store.write(lambda uow: make_link(uow, kit.carer, b"l" * 32))
    results = race(kit, lambda exchange, n: exchange.store.write(lambda uow: use_link(uow, b"l" * 32, bytes([n]) * 32)))
    assert Counter(type(result) for result in results)[Refused] == RACERS - 1
    assert count(kit, Session) == 1


def test_of_answers_that_know_of_none_one_is_taken(kit: Kit) -> None:
    kit.story(0)
    delivery = kit.exchange.poll(kit.caller())[0][0].delivery.id
    results = race(kit, lambda exchange, _: exchange.answer(kit.caller(), delivery, AnswerKind.SEEN, "", {}, seen=0))
    assert [result.code for result in results if isinstance(result, WardpostError)] == ["answered_meanwhile"] * (RACERS - 1)
    assert kit.findings() == []


def test_a_document_that_several_open_at_once_is_first_opened_once(kit: Kit) -> None:
    transfer = kit.story(0)
    race(kit, lambda exchange, _: exchange.open_version(kit.caller(), transfer))
    assert count(kit, OutboxEvent, type="delivery.opened") == 1
    assert count(kit, AuditEvent, type="document.opened") == RACERS


def test_an_erased_stay_does_not_come_back_half(kit: Kit) -> None:
    """A message for a stay comes in the very moment in which the stay is erased."""
    alone = made_up(3)
    kit.send(admission(alone, START).replace(b"1 Rehearsal Row", b"7 Own Street"))
    kit.drain()
    kit.clock.forward(days=15)
    kit.send(letter(alone, START))
    race(kit, lambda exchange, n: exchange.erase_due() if n % 2 else exchange.work_once())
    kit.clock.forward(minutes=6)
    kit.drain()
    assert kit.findings() == []


# Real processes


def _process(settings: Settings, at: datetime) -> None:
    exchange = open_exchange(settings, clock=lambda: max(at, now_utc()))
    drain(exchange)
    exchange.store.close()


def _in_processes(settings: Settings, target: Callable[..., None], arguments: Sequence[object], number: int = 3) -> None:
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=target, args=(settings, *arguments)) for _ in range(number)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * number


def test_processes_share_the_work_and_do_it_once(settings: Settings) -> None:
    with service(settings) as kit:
        everybody = [made_up(n) for n in range(8)]
        for person in everybody:
            kit.send(admission(person, START))
        kit.drain()
        for person in everybody:
            kit.exchange.confirm_site(person.visit, HOME, kit.worker)
            kit.send(letter(person, START))
        _in_processes(settings, _process, [START + timedelta(minutes=1)])
        for _ in range(10):
            kit.clock.forward(minutes=6)
            kit.drain()
        rows = kit.exchange.store.read(lambda uow: uow.find(Delivery, order="sequence"))
        assert [(row.sequence, row.number) for row in rows] == [(n, 1) for n in range(1, 9)]
        assert kit.findings() == []


def _first_start(settings: Settings) -> None:
    open_exchange(settings).store.close()


def test_processes_that_start_on_an_empty_database_make_it_once(settings: Settings) -> None:
    """The key file is there, as it is where several machines start together."""
    first = replace(settings, data=settings.data.with_name("other"), postgres="")
    open_exchange(first).store.close()
    os.rename(first.kek, settings.kek)
    _in_processes(settings, _first_start, [])
    with service(settings) as kit:
        assert count(kit, IndexKey) == 1
        assert count(kit, Organisation) == 5


# What is PostgreSQL's own


@pytest.fixture
def postgres(server: str, tmp_path: Path) -> Iterator[Kit]:
    with service(Settings(data=tmp_path / "data", postgres=database_for(tmp_path, server))) as made:
        yield made


@pytest.mark.services
def test_an_error_that_the_work_hides_is_no_silent_rollback(postgres: Kit) -> None:
    """PostgreSQL answers COMMIT with ROLLBACK and no error after a failed statement."""

    def hide(uow: UnitOfWork) -> None:
        uow.insert(BusOffset("x", 1))
        with pytest.raises(psycopg.Error):
            uow._db.run("SELECT nonsense", {})  # type: ignore[attr-defined]  # a statement that fails

    with pytest.raises(Unavailable, match="database_busy"):
        postgres.exchange.store.write(hide)
    assert count(postgres, BusOffset) == 0


@pytest.mark.services
def test_every_text_column_sorts_by_bytes(postgres: Kit) -> None:
    others = "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()"
    others += " AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'"
    with psycopg.connect(postgres.settings.postgres, autocommit=True) as link:
        assert link.execute(others).fetchall() == []


@pytest.mark.services
def test_durability_is_asked_for_whatever_the_server_says(postgres: Kit) -> None:
    def look(uow: UnitOfWork) -> list[object]:
        names = ("synchronous_commit", "transaction_isolation")
        return [uow._db.run(f"SELECT current_setting('{name}')", {})[0][0][0] for name in names]  # type: ignore[attr-defined]

    assert postgres.exchange.store.write(look) == ["on", "serializable"]
    assert postgres.exchange.store.read(look) == ["on", "repeatable read"]


@pytest.mark.services
def test_who_is_paused_in_the_middle_of_a_write_holds_nobody_up_for_long(postgres: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database ends the write of a process that stands still, and with it its locks; the process hears it when it wakes."""
    assert "'5s'" in store_module._WRITE
    monkeypatch.setattr(store_module, "_WRITE", store_module._WRITE.replace("'5s'", "'100ms'"))
    store = postgres.exchange.store

    def stands_still(uow: UnitOfWork) -> None:
        uow.lock(Mailbox, HOME)
        with psycopg.connect(postgres.settings.postgres) as link:  # waits for the lock
            link.execute("UPDATE mailbox SET last_change = 7 WHERE id = %s", [HOME])
        uow.update(Mailbox, {"last_change": 8}, id=HOME)

    with pytest.raises(Unavailable, match="database_away"):
        store.write(stands_still)
    assert [box.last_change for box in store.read(lambda uow: uow.find(Mailbox, id=HOME))] == [7]


@pytest.mark.services
@pytest.mark.parametrize("is_heard", [True, False], ids=["heard", "lost"])
def test_a_hint_wakes_other_processes_and_a_lost_one_costs_time_only(
    postgres: Kit, is_heard: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roles.Loop.__init__, "__defaults__", (3.0,))
    if not is_heard:
        monkeypatch.setattr(store_module.PostgresStore, "heard", lambda self, seconds: time.sleep(seconds) or ())
    other = open_exchange(postgres.settings, clock=postgres.clock)
    loops = roles.Loops(other, [roles.RunRole.WORKER, roles.RunRole.RELAY], "other")
    loops.start()
    try:
        time.sleep(0.5)  # the loops have looked once and rest
        began = time.monotonic()
        postgres.send(admission(people(START)[0], START))
        wait_until(lambda: count(postgres, Work) == 0, "the work")
        assert (time.monotonic() - began < 1.5) is is_heard
    finally:
        loops.stop()
        other.store.close()


@pytest.mark.services
def test_connections_that_are_cut_are_replaced(postgres: Kit) -> None:
    store = postgres.exchange.store

    def end(pids: list[int]) -> None:
        with psycopg.connect(postgres.settings.postgres, autocommit=True) as link:
            link.execute("SELECT pg_terminate_backend(pid) FROM unnest(%s) AS pid", [pids])

    store.write(lambda uow: uow.insert(BusOffset("before", 1)))
    end([idle.raw.info.backend_pid for idle in store._idle.queue])  # type: ignore[attr-defined]  # the store's own
    store.write(lambda uow: uow.insert(BusOffset("after", 1)))

    def cut(uow: UnitOfWork) -> None:
        uow.insert(BusOffset("lost", 1))
        end([uow._db.raw.info.backend_pid])  # type: ignore[attr-defined]  # the connection of this very piece
        uow.count(BusOffset)

    with pytest.raises(Unavailable, match="database_away"):
        store.write(cut)
    assert [row.id for row in store.read(lambda uow: uow.find(BusOffset, order="id"))] == ["after", "before"]
