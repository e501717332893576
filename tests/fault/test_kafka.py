"""Apache Kafka frozen and poisoned, consumers that hang or lose their turn: genuine brokers. Under load: test_under_load.py.

What aiokafka is known to do wrong, our guard, and what fails without it:

| it does                                               | guard                              | test                                        |
|-------------------------------------------------------|------------------------------------|---------------------------------------------|
| a batch refused for good poisons its partition        | any error ends the producer; size  | a_refused_batch_poisons_nothing             |
| an idempotent send to a frozen broker waits for ever  | our own patience                   | a_frozen_broker_ends_our_patience           |
| acks get lost, a plain producer then sends twice      | idempotence on; events known by id | the_client_is_set_up; test_under_load       |
| transactions speak version 0 alone                    | none are used                      | the_client_is_set_up                        |
| errors that could be tried again are given up         | the relay tries again by state     | a_refused_batch…; a_frozen_broker…          |
| a refused login is hidden, or a KeyError              | one broker is asked why            | test_kafka_secure                           |
| a consumer stands still although there is more        | the watchdog makes it anew         | a_consumer_that_stands_still_is_made_anew   |
| a hung reader keeps its partitions by its heartbeats  | max_poll_interval_ms               | a_consumer_that_never_asks_again_loses…     |
| it leaks with OpenTelemetry's instrumentation         | not a dependency                   | none                                        |
"""

import gc
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka.admin import NewTopic

from exchange.bus import kafka as kafka_bus
from exchange.bus.kafka import KafkaBus
from exchange.errors import Conflict, Refused, Unavailable
from exchange.ports import BusMessage
from tests.contract.test_buses import HOMES, event, taken
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


def test_a_consumer_that_stands_still_is_made_anew(bus: KafkaBus) -> None:
    """It lives, its heartbeats go out, it holds its partitions, and nothing comes: as after a broker's restart (aiokafka 1154)."""
    bus._patience = 10  # the leaders of a new topic may take their time
    bus.publish([event(1)])
    assert len(read_all(lambda: taken(bus), 1)) == 1
    stuck = bus._readers["g"]
    stuck.moved_at -= 3 * bus._patience + 1
    assert taken(bus) == []
    assert bus._readers["g"] is stuck, "nothing waits: idle is not stuck"
    bus._loop.call_soon_threadsafe(stuck.consumer.pause, *stuck.consumer.assignment())
    bus.publish([event(2)])
    wait_until(lambda: bool(stuck.consumer.paused()), "its stand-still")
    assert taken(bus) == []
    stuck.moved_at -= 3 * bus._patience + 1
    assert [message.sequence for message in read_all(lambda: taken(bus), 1)] == [2]
    assert bus._readers["g"] is not stuck


def test_a_consumer_that_never_asks_again_loses_its_partitions(kafka: Brokers, bus: KafkaBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread hangs in an effect; its loop lives and goes on sending heartbeats."""
    bus._patience = 10
    monkeypatch.setattr(kafka_bus, "CONSUMER", {**kafka_bus.CONSUMER, "max_poll_interval_ms": 3000})
    bus.publish([event(1, key) for key in HOMES])
    bus.publish([event(2, "VZZ01")])
    read_all(lambda: bus.fetch("g", 9), 1)
    other = kafka.bus(bus._topic, session_seconds=2)
    try:
        # All of them: the share that any second member is given would not be enough.
        found = read_all(lambda: taken(other), len(HOMES) + 1)
        assert {message.key for message in found} == set(HOMES)
        with pytest.raises(Conflict, match="bus_offset_refused"):
            bus.commit("g")
    finally:
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
