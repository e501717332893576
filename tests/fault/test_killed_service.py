"""SIGKILL to a real `wardpost run` while three engines send: whatever was acknowledged is there once, read, and with the home."""

import random
import signal
import threading
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.cli.demo_story import Person, admission, letter
from exchange.cli.fsck import check_all
from exchange.intake.accept import raw_bytes
from exchange.ports import Clock, UnitOfWork
from exchange.records import BusEntry, BusOffset, Delivery, OutboxEvent, Sender, Submission, Transfer, Work
from exchange.records import Person as KnownPerson
from exchange.wiring import now_utc, open_exchange
from tests.databases import settings_for
from tests.fault.runner import HOME, HOSPITAL, made_up, set_up
from tests.service_kit import Service

ENGINES = 3
EXPECTED, OTHERS = 12, 60  # people with a confirmed home, and people of whom nobody knows yet where they go


def drain(exchange: Exchange) -> None:
    for _ in range(400):
        if not exchange.work_once() + relay_once(exchange.store, exchange.bus, exchange.fail) + exchange.deliver_once():
            return
    raise AssertionError("the service does not come to rest")


def opened(folder: Path, clock: Clock = now_utc) -> Exchange:
    return open_exchange(settings_for(folder), clock=clock)


class Engines:
    """What the hospital believes: control ids that were answered "AA". An engine whose link breaks stops."""

    def __init__(self, service: Service, messages: Sequence[tuple[str, bytes]]) -> None:
        self._service = service
        self._changed = threading.Condition()
        self._threads = [threading.Thread(target=self._send, args=(messages[n::ENGINES],), daemon=True) for n in range(ENGINES)]
        self.acknowledged: list[str] = []

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.acknowledged) >= count, timeout=30)

    def join(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _send(self, messages: Sequence[tuple[str, bytes]]) -> None:
        for control_id, raw in messages:
            try:
                code = self._service.mllp(raw)[0]
            except OSError:
                return
            if code != "AA":
                return
            with self._changed:
                self.acknowledged.append(control_id)
                self._changed.notify_all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_service_that_is_killed_under_load_loses_nothing(seed: int, tmp_path: Path) -> None:
    dice = random.Random(seed)
    now = datetime.now(UTC)
    expected = [made_up(number) for number in range(EXPECTED)]
    others = [made_up(1000 + number) for number in range(OTHERS)]
    known = {f"A01-{person.visit}" for person in expected}
    messages = [(f"T02-{person.visit}", letter(person, now)) for person in expected]
    messages += [(f"A01-{person.visit}", admission(person, now)) for person in others]
    dice.shuffle(messages)
    prepare(tmp_path, expected, now)

    service = Service(tmp_path)
    service.start()
    try:
        engines = Engines(service, messages)
        engines.start()
        engines.wait_for(dice.randint(5, len(messages) - 4 * ENGINES))
        assert service.stop(signal.SIGKILL) == -signal.SIGKILL
        engines.join()
        believed = set(engines.acknowledged)
        lost = [raw for control_id, raw in messages if control_id not in believed]
        assert lost, "the load was over before the kill"
        assert set(submissions(tmp_path)) >= believed | known, "acknowledged, and gone with the process"

        service.start()
        again = dice.sample([raw for control_id, raw in messages if control_id in believed], 3)
        assert set(service.mllp(*lost, *again)) == {"AA"}
        assert service.stop() == 0
    finally:
        if service.process is not None:
            service.stop(signal.SIGKILL)

    # What the dead process had leased waits for the end of its lease; here that has come.
    exchange = opened(tmp_path, lambda: now_utc() + timedelta(minutes=5))
    try:
        drain(exchange)
        exchange.store.read(lambda uow: judge(uow, expected, exchange))
    finally:
        exchange.store.close()
    assert submissions(tmp_path) == Counter([*known, *(control_id for control_id, _ in messages)])


def prepare(folder: Path, expected: Sequence[Person], now: datetime) -> None:
    """People whose home is confirmed and whose letter has not come yet."""
    exchange = opened(folder)
    try:
        exchange.store.write(set_up)
        by = exchange.store.read(lambda uow: uow.find(KnownPerson, org=HOSPITAL))[0].id
        sender = exchange.store.read(lambda uow: uow.find(Sender))[0]
        for person in expected:
            exchange.accept(sender, admission(person, now), "mllp", "").result()
        drain(exchange)
        for person in expected:
            exchange.confirm_site(person.visit, HOME, by)
        drain(exchange)
    finally:
        exchange.store.close()


def submissions(folder: Path) -> Counter[str]:
    """Control ids of what is really in custody, with how many rows each has."""
    exchange = opened(folder)
    try:
        return exchange.store.read(lambda uow: Counter(exchange.readers.source_id(raw_bytes(row)) for row in uow.find(Submission)))
    finally:
        exchange.store.close()


def judge(uow: UnitOfWork, expected: Sequence[Person], exchange: Exchange) -> None:
    assert Counter(row.state for row in uow.find(Submission)) == Counter({"read": 2 * EXPECTED + OTHERS})
    rows = uow.find(Delivery, order="sequence", recipient_org=HOME)
    assert [(row.sequence, row.number, row.state) for row in rows] == [(n + 1, 1, "current") for n in range(len(expected))]
    confirmed = {row.id for row in uow.find(Transfer, recipient_org=HOME)}
    assert {row.transfer_id for row in rows} == confirmed
    assert len(confirmed) == len(expected)
    assert uow.count(Work) == 0
    assert uow.count(OutboxEvent, state="new") == 0
    assert uow.find(BusOffset)[0].position == uow.count(BusEntry)
    assert check_all(uow, exchange.environment) == []
