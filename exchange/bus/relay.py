"""The relay: carries events from the outbox to the bus. By state, never by "number greater than the last"."""

from datetime import timedelta

from exchange.errors import Conflict, WardpostError
from exchange.ports import Bus, BusMessage, FailPoints, Store, UnitOfWork
from exchange.records import Lease, OutboxEvent

# Longer than a publish may take (kafka.PATIENCE_SECONDS): who publishes still holds the lease when the bus answers.
LEASE = timedelta(seconds=15)
_BATCH = 200


def relay_once(store: Store, bus: Bus, fail: FailPoints, holder: str = "") -> int:
    """Publish what is new, in order within each mailbox, and mark it; how many. Dying in between repeats, never loses.

    One relay at a time (`holder`: which): two would mix the order within a mailbox. One that was paused past its lease may
    still publish again what the next one has published; consumers know each event by its id and its number.
    """
    if not store.read(lambda uow: uow.find(OutboxEvent, limit=1, state="new")) or not _hold_lease(store, holder):
        return 0
    events = store.read(lambda uow: uow.find(OutboxEvent, order="key,sequence", limit=_BATCH, state="new"))
    fail("relay.before_publish")
    try:
        bus.publish([BusMessage.of(event) for event in events])
    except WardpostError:
        # What keeps this process from the bus, a wrong password for one, need not keep the next.
        store.write(lambda uow: uow.update(Lease, {"until": uow.now}, id="relay", holder=holder))
        raise
    fail("relay.after_publish")

    def mark(uow: UnitOfWork) -> None:
        if not uow.update(Lease, {"until": uow.now + LEASE}, id="relay", holder=holder):
            raise Conflict("relay_lease_lost", "Another relay has taken over.", next_step="Nothing: the other one does it.")
        uow.update(OutboxEvent, {"state": "published", "published_at": uow.now}, id__in=[event.id for event in events], state="new")

    store.write(mark)
    fail("relay.after_mark")
    return len(events)


def _hold_lease(store: Store, holder: str) -> bool:
    """Take the lease or go on holding it; is it ours, with most of it left?"""

    def take(uow: UnitOfWork) -> bool:
        lease = uow.lock(Lease, "relay")
        if lease is None:
            uow.insert(Lease("relay", holder, uow.now + LEASE))
            return True
        if lease.holder != holder and lease.until > uow.now:
            return False
        uow.update(Lease, {"holder": holder, "until": uow.now + LEASE}, id="relay")
        return True

    def has_time(uow: UnitOfWork) -> bool:
        lease = uow.get(Lease, "relay")
        return lease is not None and lease.holder == holder and lease.until - uow.now > LEASE * 0.8

    try:
        return store.read(has_time) or store.write(take)
    except Conflict:
        return False  # another one took it in the same moment
