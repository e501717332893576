"""One contract for every bus: the table bus on the test's database, and genuine Apache Kafka (marked `services`)."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.ports import Bus, BusMessage
from tests import app_kit
from tests.kafka_kit import Brokers, read_all

HOMES = tuple(f"VZZ{number:02}" for number in range(1, 8))


def event(number: int, key: str = "VZZ01", body: str = '{"transfer":"t"}') -> BusMessage:
    return BusMessage(f"e{key}-{number}", key, number, "version.published", body, app_kit.START + timedelta(microseconds=number))


@pytest.fixture(params=["table", pytest.param("kafka", marks=pytest.mark.services)])
def open_bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Bus]]:
    """Opens the same bus again, as another process would."""
    opened: list[Bus] = []
    if request.param == "table":
        with app_kit.kit(tmp_path) as kit:
            yield lambda: type(kit.exchange.bus)(kit.exchange.store)  # type: ignore[call-arg]  # TableBus
        return
    brokers: Brokers = request.getfixturevalue("kafka")
    topic = f"wardpost.test.{tmp_path.name}"

    def another() -> Bus:
        opened.append(brokers.bus(topic, session_seconds=2))
        return opened[-1]

    yield another
    for bus in opened:
        bus.close()


def test_what_is_published_is_fetched_as_it_was_in_order_of_each_mailbox(open_bus: Callable[[], Bus]) -> None:
    bus = open_bus()
    events = [event(number, key) for number in range(1, 21) for key in HOMES]
    bus.publish(events)
    found = read_all(lambda: taken(bus), len(events))
    by_key: dict[str, list[BusMessage]] = defaultdict(list)
    for message in found:
        by_key[message.key].append(message)
    assert dict(by_key) == {key: [event(number, key) for number in range(1, 21)] for key in HOMES}


def taken(bus: Bus, group: str = "g") -> list[BusMessage]:
    found = list(bus.fetch(group, 16))
    bus.commit(group)
    return found


def test_the_same_comes_again_until_it_is_committed(open_bus: Callable[[], Bus]) -> None:
    bus = open_bus()
    bus.publish([event(number) for number in range(1, 6)])
    first = read_all(lambda: bus.fetch("g", 2), 2)
    assert [message.sequence for message in first] == [1, 2]
    assert list(bus.fetch("g", 2)) == first
    bus.commit("g")
    rest = read_all(lambda: taken(bus), 3)
    assert [message.sequence for message in rest] == [3, 4, 5]
    assert list(bus.fetch("g", 2)) == []


def test_who_comes_after_us_goes_on_from_what_is_committed(open_bus: Callable[[], Bus]) -> None:
    bus = open_bus()
    bus.publish([event(number) for number in range(1, 7)])
    assert [message.sequence for message in read_all(lambda: bus.fetch("g", 3), 3)] == [1, 2, 3]
    bus.commit("g")
    assert [message.sequence for message in read_all(lambda: bus.fetch("g", 3), 3)] == [4, 5, 6]
    bus.close()  # without saying that they had their effect
    assert [message.sequence for message in read_all(lambda: taken(open_bus()), 3)[:3]] == [4, 5, 6]


def test_each_group_reads_everything_from_the_beginning(open_bus: Callable[[], Bus]) -> None:
    bus = open_bus()
    bus.publish([event(1), event(2)])
    read_all(lambda: taken(bus, "a"), 2)
    bus.publish([event(3)])
    assert [message.sequence for message in read_all(lambda: taken(bus, "b"), 3)] == [1, 2, 3]
    assert [message.sequence for message in read_all(lambda: taken(bus, "a"), 1)] == [3]


def test_published_again_is_seen_again(open_bus: Callable[[], Bus]) -> None:
    """What the sweeper relies on: who is past an event gets it once more."""
    bus = open_bus()
    bus.publish([event(1), event(2)])
    read_all(lambda: taken(bus), 2)
    bus.publish([event(1)])
    assert read_all(lambda: taken(bus), 1) == [event(1)]


def test_nothing_is_nothing(open_bus: Callable[[], Bus]) -> None:
    bus = open_bus()
    bus.publish([])
    assert list(bus.fetch("g", 10)) == []
    bus.commit("g")
    bus.ping()
