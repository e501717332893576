"""The relay and the table bus: nothing left behind, nothing twice, the offset never back."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.bus.relay import relay_once
from exchange.bus.table import TableBus
from exchange.cli.demo_story import admission, people
from exchange.errors import Unavailable
from exchange.mailbox.deliver import GROUP, deliver
from exchange.model import DeliveryState, HoldKind
from exchange.ports import BusMessage, Store, UnitOfWork, no_fail_points
from exchange.records import AuditEvent, BusOffset, Delivery, Hold, Mailbox, OutboxEvent, Stay
from exchange.transfer import transfers
from exchange.wiring import open_exchange
from tests import app_kit
from tests.app_kit import Kit
from tests.databases import settings_for


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = open_exchange(settings_for(tmp_path)).store
    yield made
    made.close()


def emit(store: Store, key: str, sequence: int) -> None:
    store.write(lambda uow: uow.insert(OutboxEvent(uow.new_id(), "test.event", key, sequence, "{}", uow.now)))


def keys(bus: TableBus, group: str = "g") -> list[tuple[int, str]]:
    return [(message.sequence, message.key) for message in bus.fetch(group, 100)]


def test_a_version_that_comes_after_its_withdrawal_was_forgotten_never_shows_as_current(tmp_path: Path) -> None:
    """Parked, then taken back, then confirmed anew: what was taken back stays so, whenever its event comes."""
    with app_kit.kit(tmp_path) as kit:
        kit.story(0, confirmed=False)
        exchange = kit.exchange
        transfer_id = exchange.confirm_site("V1001", app_kit.HOME, kit.worker).id
        while exchange.work_once():
            pass
        exchange.store.write(lambda uow: _off_and_on_again(uow, transfer_id))
        published, withdrawn = exchange.store.read(
            lambda uow: [uow.find(OutboxEvent, type=kind)[0] for kind in ("version.published", "transfer.withdrawn")]
        )
        for event in (withdrawn, published):
            exchange.store.write(lambda uow, e=event: deliver(uow, e))  # type: ignore[misc]
        (delivery,) = exchange.store.read(lambda uow: uow.find(Delivery, transfer_id=transfer_id))
        assert delivery.state is DeliveryState.WITHDRAWN
        kit.drain()
        assert kit.findings() == []


def _off_and_on_again(uow: UnitOfWork, transfer_id: str) -> None:
    transfer = transfers.get_transfer(uow, transfer_id)
    stay = uow.get(Stay, transfer.stay_id)
    assert stay is not None
    transfers.withdraw(uow, transfer, stay, "tested")
    transfers.reopen(uow, transfers.get_transfer(uow, transfer_id))


def test_an_event_with_a_lower_number_that_commits_later_is_published(store: Store) -> None:
    """Number 7 of one mailbox is out before number 1 of another: by "greater than the last" the second would be lost."""
    bus = TableBus(store)
    emit(store, "VZZ01", 7)
    assert relay_once(store, bus, no_fail_points) == 1
    emit(store, "VZZ02", 1)
    assert relay_once(store, bus, no_fail_points) == 1
    assert keys(bus) == [(7, "VZZ01"), (1, "VZZ02")]
    assert relay_once(store, bus, no_fail_points) == 0


def test_a_relay_that_the_bus_refuses_makes_way_for_another_one(store: Store) -> None:
    emit(store, "VZZ01", 1)
    bus, refused = TableBus(store), TableBus(store)

    def refuse(events: Sequence[BusMessage]) -> None:
        raise Unavailable("bus_away", "", next_step="")

    refused.publish = refuse  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        relay_once(store, refused, no_fail_points, "one")
    assert relay_once(store, bus, no_fail_points, "two") == 1
    emit(store, "VZZ01", 2)
    assert relay_once(store, bus, no_fail_points, "one") == 0, "two is at it"


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
