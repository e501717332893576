"""An event that fails holds up its own mailbox and nobody else's; it is tried again, then a person has it; lost ones come again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.bus.relay import LEASE, relay_once
from exchange.cli.demo_story import admission, letter, people
from exchange.cli.main import app
from exchange.errors import Conflict, NotFound
from exchange.mailbox import parking
from exchange.ports import BusMessage, UnitOfWork, no_fail_points
from exchange.records import Delivery, Hold, Lease, OutboxEvent, ParkedEvent
from tests.app_kit import HOME, OTHER_HOME, Kit, kit
from tests.fault import defects


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Kit]:
    with kit(tmp_path) as made:
        yield made


def publish(service: Kit, which: int, home: str) -> None:
    """One of the demo's people, up to the outbox."""
    person = people(service.clock())[which]
    service.send(admission(person, service.clock.at))
    service.send(letter(person, service.clock.at))
    while service.exchange.work_once():
        pass
    service.exchange.confirm_site(person.visit, home, service.worker)
    while service.exchange.work_once():
        pass


def there(service: Kit, home: str = HOME) -> list[int]:
    """The event numbers of what is in a mailbox, in the mailbox's order."""

    def look(uow: UnitOfWork) -> list[int]:
        number = {event.id: event.sequence for event in uow.find(OutboxEvent)}
        return [number[row.event_id] for row in uow.find(Delivery, order="sequence", recipient_org=home)]

    return service.exchange.store.read(look)


class Broken:
    """A wiring in which one event has no effect until it is mended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception] = OSError) -> None:
        self.is_mended, self.tries, right = False, 0, parking.deliver

        def deliver(uow: UnitOfWork, event: OutboxEvent) -> None:
            if event.sequence == number and event.key == HOME and not self.is_mended:
                self.tries += 1
                right(uow, event)  # whatever it did is rolled back
                raise error("broken")
            right(uow, event)

        monkeypatch.setattr(parking, "deliver", deliver)


def test_a_failure_holds_up_one_mailbox_until_it_passes(service: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(monkeypatch, 1)
    publish(service, 0, HOME)
    publish(service, 1, HOME)
    publish(service, 2, OTHER_HOME)
    service.drain()
    assert (there(service), there(service, OTHER_HOME), broken.tries) == ([], [1], 1)
    service.drain()
    assert broken.tries == 1, "tried again before its pause was over"
    assert service.findings() == []
    broken.is_mended = True
    service.clock.forward(seconds=3)
    service.drain()
    assert there(service) == [1, 2]
    assert service.exchange.list_parked() == []
    assert service.exchange.list_holds() == []
    assert service.findings() == []


def test_after_eight_tries_a_person_has_it_and_the_mailbox_goes_on(service: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(monkeypatch, 1)
    publish(service, 0, HOME)
    publish(service, 1, HOME)
    for _ in range(parking.GIVE_UP_AFTER):
        assert there(service) == []
        service.drain()
        service.clock.forward(seconds=130)
    assert (there(service), broken.tries) == ([2], parking.GIVE_UP_AFTER)
    (dead,) = service.exchange.list_parked()
    assert (dead.state, dead.code) == ("dead", "OSError")
    assert [hold.kind for hold in service.exchange.list_holds()] == ["undelivered"]
    assert service.findings() == []
    with pytest.raises(OSError, match="broken"):
        service.exchange.settle_parked(dead.id, service.worker, is_replay=True)
    assert service.exchange.list_parked() == [dead]
    broken.is_mended = True
    service.exchange.settle_parked(dead.id, service.worker, is_replay=True)
    assert there(service) == [2, 1]
    assert service.exchange.list_parked() + service.exchange.list_holds() == []
    with pytest.raises(NotFound):
        service.exchange.settle_parked(dead.id, service.worker, is_replay=True)
    assert service.findings() == []


def test_what_cannot_be_mended_by_trying_is_dead_at_once_and_can_be_discarded(service: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(monkeypatch, 1, ValueError)
    publish(service, 0, HOME)
    publish(service, 1, HOME)
    service.drain()
    assert (there(service), broken.tries) == ([2], 1)
    (dead,) = service.exchange.list_parked()
    service.exchange.settle_parked(dead.id, service.worker, is_replay=False)
    broken.is_mended = True
    service.drain()
    assert there(service) == [2]
    assert [row.state for row in service.exchange.list_parked()] == ["discarded"]
    assert service.exchange.store.read(lambda uow: uow.find(Hold, resolved_at=None)) == []
    assert service.findings() == []


def test_what_the_bus_lost_is_published_again_by_the_sweeper_alone(service: Kit) -> None:
    publish(service, 0, HOME)
    exchange = service.exchange
    events = exchange.store.read(lambda uow: uow.find(OutboxEvent))
    exchange.store.write(lambda uow: defects.mark(uow, events))  # marked, and never on the bus
    service.drain()
    assert exchange.sweep() == 0, "it is not late yet"
    assert there(service) == []
    service.clock.forward(minutes=6)
    service.drain()
    assert there(service) == [], "without the sweeper it stays lost"
    assert exchange.sweep() == 1
    service.drain()
    assert there(service) == [1]
    assert exchange.sweep() == 0
    assert service.findings() == []


@pytest.mark.parametrize("right", [True, False], ids=["by number", "by arrival"])
def test_events_that_arrive_in_the_wrong_order(service: Kit, right: bool) -> None:
    if not right:
        defects.order_of_arrival(service.exchange)
    publish(service, 0, HOME)
    publish(service, 1, HOME)
    events = service.exchange.store.read(lambda uow: uow.find(OutboxEvent, order="-sequence"))
    service.exchange.bus.publish([BusMessage.of(event) for event in events])
    service.exchange.deliver_once()
    assert there(service) == ([1, 2] if right else [2, 1])


def test_a_gap_on_the_bus_is_closed_by_the_next_event(service: Kit) -> None:
    publish(service, 0, HOME)
    publish(service, 1, HOME)
    last = service.exchange.store.read(lambda uow: uow.find(OutboxEvent, order="-sequence", limit=1))[0]
    service.exchange.bus.publish([BusMessage.of(last)])
    service.exchange.deliver_once()
    assert there(service) == [1, 2]


def test_a_message_that_is_not_of_this_database_changes_nothing(service: Kit) -> None:
    service.story(0)
    before = there(service)
    last = service.exchange.store.read(lambda uow: uow.find(OutboxEvent, order="-sequence", limit=1))[0]
    service.exchange.bus.publish([replace(BusMessage.of(last), event_id="e", key="AWAY", sequence=99)])
    service.exchange.deliver_once()
    assert there(service) == before
    assert service.exchange.store.read(lambda uow: uow.count(ParkedEvent)) == 0


def test_one_relay_at_a_time_and_a_paused_one_marks_nothing(service: Kit) -> None:
    publish(service, 0, HOME)
    store, bus = service.exchange.store, service.exchange.bus

    def paused(point: str) -> None:
        """The first relay stops between publishing and marking; meanwhile its lease runs out and another one works."""
        if point == "relay.after_publish":
            assert relay_once(store, bus, no_fail_points, "two") == 0, "the lease is still the first one's"
            service.clock.forward(seconds=LEASE.total_seconds() + 1)
            assert relay_once(store, bus, no_fail_points, "two") == 1

    with pytest.raises(Conflict, match="relay_lease_lost"):
        relay_once(store, bus, paused, "one")
    assert store.read(lambda uow: uow.find(Lease))[0].holder == "two"
    service.drain()
    assert there(service) == [1]
    assert service.findings() == []


def test_a_person_looks_and_settles_by_command(service: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = Broken(monkeypatch, 1)
    publish(service, 0, HOME)
    for _ in range(parking.GIVE_UP_AFTER):
        service.drain()
        service.clock.forward(seconds=130)
    (dead,) = service.exchange.list_parked()
    data, by = ["--data", str(service.settings.data)], ["--by", service.worker]

    def run(*command: str) -> str:
        done = CliRunner().invoke(app, ["events", *command, *data], catch_exceptions=False, env={"COLUMNS": "200"})
        assert done.exit_code == 0, done.output
        return done.stdout

    assert dead.id in run("list")
    shown = run("show", dead.id)
    assert f"tried {parking.GIVE_UP_AFTER} times" in shown
    assert people(service.clock())[0].number not in shown
    with pytest.raises(OSError, match="broken"):
        run("replay", dead.id, *by)
    broken.is_mended = True
    assert run("replay", dead.id, *by).strip() == "carried out"
    assert there(service) == [1]
    assert "Every event had its effect." in run("list")
    with pytest.raises(NotFound):
        run("show", "0" * 36)
    assert service.findings() == []


def test_a_dead_letter_is_discarded_by_command(service: Kit, monkeypatch: pytest.MonkeyPatch) -> None:
    Broken(monkeypatch, 1)
    publish(service, 0, HOME)
    for _ in range(parking.GIVE_UP_AFTER):
        service.drain()
        service.clock.forward(seconds=130)
    (dead,) = service.exchange.list_parked()
    command = ["events", "discard", dead.id, "--by", service.worker, "--data", str(service.settings.data)]
    done = CliRunner().invoke(app, command, catch_exceptions=False)
    assert done.stdout.strip() == "discarded"
    service.drain()
    assert there(service) == []
    assert [row.state for row in service.exchange.list_parked()] == ["discarded"]
    with pytest.raises((Conflict, NotFound)):
        CliRunner().invoke(app, command, catch_exceptions=False)
