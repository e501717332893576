"""The relay and the table bus: nothing left behind, nothing twice, the offset never back."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.bus.relay import relay_once
from exchange.bus.table import TableBus
from exchange.cli.demo_story import admission, people
from exchange.mailbox.deliver import GROUP
from exchange.model import HoldKind
from exchange.ports import Store, no_fail_points
from exchange.records import AuditEvent, BusOffset, Delivery, Hold, Mailbox, OutboxEvent
from exchange.transfer import transfers
from exchange.wiring import open_exchange
from tests import app_kit
from tests.app_kit import Kit
from tests.databases import settings_for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    exchange = open_exchange(settings_for(tmp_path))
    yield exchange.store
    exchange.store.close()


def emit(store: Store, key: str, sequence: int) -> None:
    store.write(lambda uow: uow.insert(OutboxEvent(uow.new_id(), "test.event", key, sequence, "{}", uow.now)))


def keys(bus: TableBus, group: str = "g") -> list[tuple[int, str]]:
    return [(message.sequence, message.key) for message in bus.fetch(group, 100)]


def test_an_event_with_a_lower_number_that_commits_later_is_published(store: Store) -> None:
    """Number 7 of one mailbox is out before number 1 of another: by "greater than the last" the second would be lost."""
    bus = TableBus(store)
    emit(store, "VZZ01", 7)
    assert relay_once(store, bus, no_fail_points) == 1
    emit(store, "VZZ02", 1)
    assert relay_once(store, bus, no_fail_points) == 1
    assert keys(bus) == [(7, "VZZ01"), (1, "VZZ02")]
    assert relay_once(store, bus, no_fail_points) == 0


def test_events_of_one_mailbox_keep_their_order(store: Store) -> None:
    bus = TableBus(store)
    for sequence in (3, 1, 2):
        emit(store, "VZZ01", sequence)
    relay_once(store, bus, no_fail_points)
    sequences = store.read(lambda uow: {event.id: event.sequence for event in uow.find(OutboxEvent)})
    assert [sequences[found.event_id] for found in bus.fetch("g", 100)] == [1, 2, 3]


def what_is_there(kit: Kit) -> tuple[object, ...]:
    read = kit.exchange.store.read
    return (
        read(lambda uow: uow.find(Delivery, order="id")),
        read(lambda uow: uow.find(Mailbox, order="id")),
        read(lambda uow: uow.count(AuditEvent)),
    )


def from_the_beginning(kit: Kit) -> None:
    """Another group's offset would do it too; here nothing is known to be settled either."""
    kit.exchange.store.write(lambda uow: uow.delete(BusOffset, id=GROUP))


def test_a_replay_from_the_beginning_has_no_second_effect(tmp_path: Path) -> None:
    with app_kit.kit(tmp_path) as kit:
        kit.story()
        kit.story(1)
        kit.send(admission(people(kit.clock())[1], kit.clock.at + timedelta(hours=2), "A13"))
        kit.drain()
        before = what_is_there(kit)
        from_the_beginning(kit)
        assert kit.exchange.deliver_once() == 3  # two versions, and one taken back
        assert what_is_there(kit) == before
        assert kit.findings() == []


def test_a_poison_event_is_parked_once_and_the_others_go_on(tmp_path: Path) -> None:
    """It has an owner and a deadline; the events behind it, of its own mailbox too, have their effect; a repeat parks nothing more."""
    with app_kit.kit(tmp_path) as kit:
        kit.exchange.store.write(
            lambda uow: transfers.emit(uow, "version.published", app_kit.HOME, {"version": "none", "transfer": "none", "number": 1})
        )
        kit.story()
        holds = kit.exchange.store.read(lambda uow: uow.find(Hold, resolved_at=None))
        assert [(hold.kind, hold.code) for hold in holds] == [(HoldKind.UNDELIVERED, "event_without_version")]
        assert kit.exchange.store.read(lambda uow: uow.count(Delivery, recipient_org=app_kit.HOME)) == 1
        assert kit.exchange.bus.fetch(GROUP, 100) == []
        before = what_is_there(kit)
        from_the_beginning(kit)
        kit.drain()
        assert what_is_there(kit) == before
        assert kit.exchange.store.read(lambda uow: uow.find(Hold, resolved_at=None)) == holds
