"""The relay: carries events from the outbox to the bus. By state, never by "number greater than the last"."""

from exchange.ports import Bus, BusMessage, FailPoints, Store, UnitOfWork
from exchange.records import OutboxEvent

_BATCH = 200


def relay_once(store: Store, bus: Bus, fail: FailPoints) -> int:
    """Publish what is new, in order within each mailbox, and mark it; how many. Dying in between repeats, never loses."""

    def new(uow: UnitOfWork) -> list[OutboxEvent]:
        return uow.find(OutboxEvent, order="key,sequence", limit=_BATCH, state="new")

    events = store.read(new)
    if not events:
        return 0
    fail("relay.before_publish")
    bus.publish([BusMessage(event.id, 0, event.key, event.type, event.body) for event in events])
    fail("relay.after_publish")

    def mark(uow: UnitOfWork) -> None:
        uow.update(OutboxEvent, {"state": "published"}, id__in=[event.id for event in events])

    store.write(mark)
    fail("relay.after_mark")
    return len(events)
