"""The work queue: leases and fences; and what accept puts into it."""

from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, people
from exchange.intake import work
from exchange.ports import UnitOfWork
from exchange.records import BusOffset, Work
from tests.app_kit import kit


def test_a_worker_paused_past_its_lease_writes_nothing_and_gives_nothing_back(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        store = service.exchange.store
        store.write(lambda uow: work.enqueue(uow, "read", "s"))
        (slow,) = store.write(lambda uow: work.claim(uow, 9))
        assert store.write(lambda uow: work.claim(uow, 9)) == []
        service.clock.forward(seconds=61)
        (quick,) = store.write(lambda uow: work.claim(uow, 9))
        assert quick.fence == slow.fence + 1

        def effect(uow: UnitOfWork) -> None:
            uow.insert(BusOffset("effect", 1))
            work.complete(uow, slow)

        with pytest.raises(work.StaleLease):
            store.write(effect)
        assert store.read(lambda uow: uow.count(BusOffset)) == 0
        tired = Work("read:s", "read", "s", slow.due_at, fence=slow.fence, attempts=work.GIVE_UP_AFTER)
        assert not store.write(lambda uow: work.give_back(uow, tired, "x"))
        store.write(lambda uow: work.complete(uow, quick))
        assert store.read(lambda uow: uow.count(Work)) == 0


def test_a_slow_worker_keeps_its_lease_and_a_dead_one_loses_it_soon(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        exchange, taken = service.exchange, []
        service.send(admission(people(service.clock())[0], service.clock.at))

        def slow(uow: UnitOfWork) -> None:
            taken.extend(work.claim(uow, 9))

        def reading(name: str) -> None:
            if name != "work.claimed" or taken:
                return
            for _ in range(5):  # a minute of work, renewed as the loop does it
                service.clock.forward(seconds=10)
                assert exchange.renew_leases() == 1
                exchange.store.write(slow)
                assert taken == []

        exchange.fail = reading
        assert exchange.work_once() == 1
        assert exchange.renew_leases() == 0
        exchange.store.write(lambda uow: work.enqueue(uow, "read", "s"))
        (dead,) = exchange.store.write(lambda uow: work.claim(uow, 9))
        service.clock.forward(seconds=13)
        assert [piece.fence for piece in exchange.store.write(lambda uow: work.claim(uow, 9))] == [dead.fence + 1]
        assert not exchange.store.write(lambda uow: work.renew(uow, dead)), "the fence keeps it out"


def test_asked_for_again_while_leased_runs_once_more(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        store = service.exchange.store
        store.write(lambda uow: work.enqueue(uow, "read", "s"))
        (first,) = store.write(lambda uow: work.claim(uow, 9))
        store.write(lambda uow: work.enqueue(uow, "read", "s"))
        store.write(lambda uow: work.complete(uow, first))
        (second,) = store.write(lambda uow: work.claim(uow, 9))
        store.write(lambda uow: work.complete(uow, second))
        assert store.read(lambda uow: uow.count(Work)) == 0


def test_an_endless_message_number_is_no_reason_to_refuse_custody(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        raw = admission(people(service.clock())[0], service.clock.at).replace(b"A01-V1001", b"X" * 70_000)
        assert service.send(raw) == service.send(raw)
        service.drain()
        assert service.findings() == []
