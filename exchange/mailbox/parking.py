"""The consumer's book: which events have had their effect, which wait for another try, which wait for a person.

A message on the bus says no more than "this mailbox has events up to this number"; what they are stands in the outbox. So order of
arrival, repeats and gaps on the bus change nothing. All that changes a mailbox happens under its lock, one event a transaction.
"""

from datetime import timedelta

from exchange.directory.entries import SERVICE_ORG
from exchange.errors import Conflict, NotFound, Unavailable, WardpostError
from exchange.intake.holds import raise_hold, resolve_if_open
from exchange.mailbox.deliver import deliver, transfer_of
from exchange.model import HoldKind
from exchange.ports import UnitOfWork
from exchange.records import Mailbox, OutboxEvent, ParkedEvent, Transfer

_BATCH = 200
_LONGEST_PAUSE_SECONDS = 120
# With pauses of 2, 4, 8 … seconds a mailbox is held up for about six minutes; then a person has it, and the mailbox goes on.
GIVE_UP_AFTER = 8
# An event that is published and has had no effect for so long is published again.
OVERDUE = timedelta(minutes=5)


def unsettled(uow: UnitOfWork, key: str, up_to: int) -> list[OutboxEvent]:
    """The events of a mailbox up to a number that have had no effect yet, in order."""
    return uow.find(OutboxEvent, order="sequence", limit=_BATCH, key=key, settled_at=None, sequence__le=up_to)


def settle(uow: UnitOfWork, event: OutboxEvent) -> bool:
    """Carry an event out, once. False: it waits for another try, and what is behind it in its mailbox waits too."""
    if _is_settled(uow, event):
        return True
    parked = uow.get(ParkedEvent, event.id)
    if parked is not None and parked.due_at > uow.now:
        return False
    deliver(uow, event)
    uow.delete(ParkedEvent, id=event.id)
    uow.update(OutboxEvent, {"settled_at": uow.now}, id=event.id)
    return True


def park(uow: UnitOfWork, event: OutboxEvent, problem: Exception) -> bool:
    """Its effect failed: try again later, or (True) leave it to a person and let its mailbox go on."""
    if _is_settled(uow, event):
        return True
    known = uow.get(ParkedEvent, event.id)
    attempts = known.attempts + 1 if known else 1
    # What we refuse ourselves, or cannot read, is the same at the next try.
    is_final = isinstance(problem, WardpostError | ValueError | LookupError | TypeError) and not isinstance(problem, Conflict | Unavailable)
    is_dead = is_final or attempts >= GIVE_UP_AFTER
    code = problem.code if isinstance(problem, WardpostError) else type(problem).__name__
    due_at = uow.now + timedelta(seconds=min(_LONGEST_PAUSE_SECONDS, 2**attempts))
    state = "dead" if is_dead else "waiting"
    uow.delete(ParkedEvent, id=event.id)
    uow.insert(
        ParkedEvent(event.id, event.key, event.sequence, event.type, code, state, attempts, known.failed_at if known else uow.now, due_at)
    )
    if is_dead:
        uow.update(OutboxEvent, {"settled_at": uow.now}, id=event.id)
        transfer = uow.get(Transfer, transfer_of(event))
        org, about = (transfer.sender_org, transfer.id) if transfer else (SERVICE_ORG, None)
        raise_hold(uow, HoldKind.UNDELIVERED, org=org, code=code, transfer=about, subject=event.id)
    return is_dead


def due(uow: UnitOfWork) -> list[tuple[str, int]]:
    """Mailboxes whose waiting event is due for another try, each with the newest number that is published."""
    keys = {row.key for row in uow.find(ParkedEvent, order="due_at", limit=_BATCH, state="waiting", due_at__le=uow.now)}
    newest = {key: uow.find(OutboxEvent, order="-sequence", limit=1, key=key, state="published") for key in sorted(keys)}
    return [(key, events[0].sequence) for key, events in newest.items() if events]


def sweep(uow: UnitOfWork) -> int:
    """Publish again what was published long ago and has had no effect, in mailboxes that no failure holds up; how many."""
    waiting = {row.key for row in uow.find(ParkedEvent, state="waiting")}
    late = uow.find(OutboxEvent, order="published_at", limit=_BATCH, state="published", settled_at=None, published_at__lt=uow.now - OVERDUE)
    again = [event.id for event in late if event.key not in waiting]
    return uow.update(OutboxEvent, {"state": "new"}, id__in=again, state="published", settled_at=None) if again else 0


def replay(uow: UnitOfWork, event_id: str, person: str | None) -> None:
    """A person says that the cause is mended: carry the dead letter out now. Raises NotFound, or what its effect raises."""
    event = _dead(uow, event_id)
    deliver(uow, event)
    uow.delete(ParkedEvent, id=event_id)
    resolve_if_open(uow, HoldKind.UNDELIVERED, event_id, "replayed", person)


def discard(uow: UnitOfWork, event_id: str, person: str | None) -> None:
    """A person says that the dead letter shall have no effect; it stays in the table, under that name. Raises NotFound."""
    _dead(uow, event_id)
    uow.update(ParkedEvent, {"state": "discarded"}, id=event_id)
    resolve_if_open(uow, HoldKind.UNDELIVERED, event_id, "discarded", person)


def _dead(uow: UnitOfWork, event_id: str) -> OutboxEvent:
    event, parked = uow.get(OutboxEvent, event_id), uow.get(ParkedEvent, event_id)
    if event is None or parked is None or parked.state != "dead":
        raise NotFound("event", "No dead letter has this id.", next_step="List them: wardpost events list")
    uow.lock(Mailbox, event.key)
    return event


def _is_settled(uow: UnitOfWork, event: OutboxEvent) -> bool:
    """Under the lock of the mailbox, so that nobody else is at it."""
    uow.lock(Mailbox, event.key)
    found = uow.get(OutboxEvent, event.id)
    return found is None or found.settled_at is not None
