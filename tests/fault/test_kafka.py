"""Apache Kafka killed, frozen and poisoned under load, consumers that lose their turn: genuine brokers, compared from the outside."""

import gc
import signal
import subprocess
import sys
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from exchange.bus import kafka as kafka_bus
from exchange.bus.kafka import KafkaBus
from exchange.cli.demo_story import admission, letter
from exchange.errors import Conflict, Refused, Unavailable
from exchange.ports import BusMessage, UnitOfWork
from exchange.records import Delivery, OutboxEvent
from exchange.roles import Loops, RunRole
from exchange.wiring import open_exchange
from tests import app_kit
from tests.app_kit import HOME, Kit
from tests.contract.test_buses import event, taken
from tests.databases import settings_for
from tests.fault.test_killed_service import made_up
from tests.kafka_kit import Brokers, read_all
from tests.service_kit import wait_until

# aiokafka forgets a connection that was still being made when our patience ended; it is closed when it is collected, here and now.
pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def bus(kafka: Brokers) -> Iterator[KafkaBus]:
    made = kafka.bus(patience_seconds=2, session_seconds=2)
    yield made
    made.close()
    gc.collect()


def test_the_client_is_set_up_so_that_nothing_is_lost(bus: KafkaBus) -> None:
    bus.publish([event(1)])
    read_all(lambda: taken(bus), 1)
    assert bus._producer is not None
    assert bus._producer._sender._acks == -1  # all
    assert bus._producer._txn_manager is not None  # idempotent
    assert bus._producer._txn_manager.transactional_id is None
    consumer = bus._readers["g"].consumer
    assert (consumer._enable_auto_commit, consumer._auto_offset_reset) == (False, "earliest")
    assert kafka_bus_lease() > kafka_bus.PATIENCE_SECONDS + kafka_bus._CLOSING_SECONDS


def kafka_bus_lease() -> float:
    from exchange.bus.relay import LEASE

    return LEASE.total_seconds()


def test_a_frozen_broker_ends_our_patience_and_nothing_is_lost(kafka: Brokers, bus: KafkaBus) -> None:
    """An idempotent send of aiokafka would wait for ever."""
    bus.publish([event(1)])
    kafka.signal(signal.SIGSTOP)
    try:
        with pytest.raises(Unavailable, match="bus_away"):
            bus.publish([event(2)])
        with pytest.raises(Unavailable, match="bus_away"):
            bus.ping()
    finally:
        kafka.signal(signal.SIGCONT)
    wait_until(lambda: published(bus, [event(2), event(3)]), "the broker")
    assert {message.sequence for message in read_all(lambda: taken(bus), 3)} >= {1, 2, 3}


def published(bus: KafkaBus, events: list[BusMessage]) -> bool:
    try:
        bus.publish(events)
    except Unavailable:
        return False
    return True


def test_a_refused_batch_poisons_nothing(kafka: Brokers, bus: KafkaBus) -> None:
    """The broker refuses one for good. With the same producer every later one to its partition would fail as well."""
    bus._topic = f"wardpost.test.{uuid.uuid4().hex}"
    topic = NewTopic(bus._topic, kafka_bus.PARTITIONS, 1, topic_configs={"max.message.bytes": "2000"})

    async def make() -> None:
        async with bus._admin() as admin:
            await admin.create_topics([topic])

    bus._run(make(), 10)
    bus.publish([event(1)])
    with pytest.raises(Unavailable):
        bus.publish([event(2, body="x" * 50_000)])
    for number in (3, 4):
        wait_until(lambda n=number: published(bus, [event(n)]), "the producer")  # type: ignore[misc]
    assert [message.sequence for message in read_all(lambda: taken(bus), 3)] == [1, 3, 4]
    with pytest.raises(Refused, match="event_too_large"):
        bus.publish([event(5), event(6, body="x" * 200_000)])
    assert list(bus.fetch("g", 9)) == []


def test_a_consumer_paused_past_its_session_cannot_commit(kafka: Brokers, bus: KafkaBus) -> None:
    bus.publish([event(1), event(2)])
    assert len(read_all(lambda: bus.fetch("g", 9), 2)) == 2
    other, go_on = kafka.bus(bus._topic, session_seconds=2), threading.Event()
    bus._loop.call_soon_threadsafe(go_on.wait)  # no heartbeat leaves any more
    try:
        assert [message.sequence for message in read_all(lambda: taken(other), 2)] == [1, 2]
        go_on.set()
        with pytest.raises(Conflict, match="bus_offset_refused"):
            bus.commit("g")
        other.publish([event(3)])
        both = read_all(lambda: [*taken(other), *bus.fetch("g", 9)], 1)
        assert {message.sequence for message in both} == {3}
    finally:
        go_on.set()
        other.close()


def test_another_number_of_partitions_is_refused(bus: KafkaBus) -> None:
    async def make() -> None:
        async with bus._admin() as admin:
            await admin.create_topics([NewTopic(bus._topic, 3, 1)])

    bus._run(make(), 10)
    with pytest.raises(Refused, match="bus_partitions"):
        wait_until(lambda: published(bus, [event(1)]), "the topic")


def test_the_sample_subscriber_prints_every_event_once_and_in_order(kafka: Brokers) -> None:
    bus = kafka.bus("wardpost.events.v1")
    try:
        bus.publish([event(number) for number in (1, 2)])
        bus.publish([event(number) for number in (1, 2, 3)])  # as after a relay that died
        command = [sys.executable, ROOT / "docker" / "examples" / "subscriber.py", uuid.uuid4().hex]
        with subprocess.Popen(command, env={"WARDPOST_KAFKA": kafka.servers}, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(3)]
            process.terminate()
        assert lines == [f'VZZ01 {number} wardpost.version.published.v1 {{"transfer": "t"}}\n' for number in (1, 2, 3)]
    finally:
        bus.close()


def test_a_broker_is_killed_and_frozen_under_load_with_two_relays(kafka: Brokers, tmp_path: Path) -> None:
    """Intake and polls go on meanwhile. In the end: everything once, in order, on the bus too."""
    exchange = open_exchange(settings_for(tmp_path))
    exchange.bus = bus = kafka.bus(patience_seconds=3, session_seconds=3)
    kit = app_kit.set_up(exchange, app_kit.SteppingClock(exchange.store.read(lambda uow: uow.now)), settings_for(tmp_path), "{}")
    loops = [Loops(exchange, [RunRole.WORKER, RunRole.RELAY], "one"), Loops(exchange, [RunRole.RELAY], "two")]
    expected = [made_up(number) for number in range(9)]
    try:
        for person in expected:
            kit.send(admission(person, kit.clock.at))
        while exchange.work_once():
            pass
        for person in expected:
            exchange.confirm_site(person.visit, HOME, kit.worker)
        for each in loops:
            each.start()
        send(kit, expected[:3])
        wait_until(lambda: delivered(kit) >= 1, "a delivery", 60)
        kafka.signal(signal.SIGKILL)
        send(kit, expected[3:6])
        before = exchange.poll(kit.caller(), count=200)[0]
        assert before
        wait_until(lambda: waiting(kit) > 0, "events that wait for the broker", 60)
        kafka.start()
        wait_until(lambda: delivered(kit) >= 4, "deliveries after the kill", 120)
        kafka.signal(signal.SIGSTOP)
        send(kit, expected[6:])
        assert exchange.poll(kit.caller(), count=200)[0]
        wait_until(lambda: waiting(kit) > 0, "events that wait for the frozen broker", 60)
        kafka.signal(signal.SIGCONT)
        wait_until(lambda: delivered(kit) >= len(expected) and unsettled(kit) == 0, "everything", 120)
        for each in loops:
            each.stop()
        loops = []
        rows = exchange.store.read(lambda uow: uow.find(Delivery, order="sequence", recipient_org=HOME))
        numbers = {row.id: row.sequence for row in exchange.store.read(lambda uow: uow.find(OutboxEvent))}
        assert [row.sequence for row in rows] == list(range(1, len(expected) + 1))
        assert Counter(row.number for row in rows) == {1: len(expected)}
        assert [numbers[row.event_id] for row in rows] == sorted(numbers[row.event_id] for row in rows)
        assert kit.findings() == []
        seen: set[str] = set()
        wait_until(lambda: seen.update(m.event_id for m in taken(bus, "outside")) or seen >= set(numbers), "every event on the bus", 60)
    finally:
        for each in loops:
            each.stop()
        bus.close()
        exchange.store.close()
        gc.collect()


def send(kit: Kit, people: list) -> None:  # type: ignore[type-arg]  # Person of the demo's story
    for person in people:
        assert kit.send(letter(replace(person), kit.clock.at))


def delivered(kit: Kit) -> int:
    return kit.exchange.store.read(lambda uow: uow.count(Delivery))


def waiting(kit: Kit) -> int:
    return kit.exchange.store.read(lambda uow: uow.count(OutboxEvent, state="new"))


def unsettled(kit: Kit) -> int:
    def count(uow: UnitOfWork) -> int:
        return uow.count(OutboxEvent, settled_at=None)

    return kit.exchange.store.read(count)
