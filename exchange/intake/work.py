"""The work queue: leased rows with a fencing number, in the same database and the same transactions as everything else."""

from datetime import datetime, timedelta

from exchange.errors import Conflict
from exchange.ports import UnitOfWork
from exchange.records import Work

# Whoever works renews it every RENEW_SECONDS, however long a piece takes; what a dead process held is taken over this soon.
LEASE = timedelta(seconds=12)
RENEW_SECONDS = 3.0
_BACKOFF_LIMIT_SECONDS = 300
GIVE_UP_AFTER = 10


class StaleLease(Conflict):
    """Another worker holds this work now: whatever was being written is rolled back."""

    def __init__(self) -> None:
        super().__init__("stale_lease", "The lease on this work has passed to another worker.", next_step="Nothing: the other one does it.")


def enqueue(uow: UnitOfWork, kind: str, subject: str, due_at: datetime | None = None) -> None:
    """Ask for work. If it is asked for already, it is done once more after what is under way."""
    work_id = f"{kind}:{subject}"
    known = uow.lock(Work, work_id)
    due = due_at or uow.now
    if known is None:
        uow.insert(Work(work_id, kind, subject, due))
    else:
        uow.update(Work, {"again": known.again + 1, "due_at": min(due, known.due_at), "attempts": 0}, id=work_id)


def claim(uow: UnitOfWork, limit: int) -> list[Work]:
    """Lease due work to the caller: first what a worker left behind, then the oldest."""
    due = uow.take(Work, order="due_at", limit=limit, due_at__le=uow.now, leased_until__lt=uow.now)
    due += uow.take(Work, order="due_at", limit=limit - len(due), due_at__le=uow.now, leased_until=None)
    return [uow.replace(work, fence=work.fence + 1, attempts=work.attempts + 1, leased_until=uow.now + LEASE) for work in due]


def renew(uow: UnitOfWork, work: Work) -> bool:
    """Go on holding a lease; False when it has passed to another worker."""
    return bool(uow.update(Work, {"leased_until": uow.now + LEASE}, id=work.id, fence=work.fence, leased_until__ne=None))


def complete(uow: UnitOfWork, work: Work) -> None:
    """Finish leased work in the transaction that holds its effect. Raises StaleLease, and the whole transaction goes."""
    if uow.delete(Work, id=work.id, fence=work.fence, again=work.again):
        return
    # It was asked for again meanwhile: give the lease back, so that it runs once more on the newer facts.
    if not uow.update(Work, {"leased_until": None, "due_at": uow.now, "attempts": 0}, id=work.id, fence=work.fence):
        raise StaleLease


def give_back(uow: UnitOfWork, work: Work, error_code: str) -> bool:
    """Put failed work off with growing pauses; True when it has failed too often and a person must look."""
    pause = min(_BACKOFF_LIMIT_SECONDS, 2**work.attempts)
    changes: dict[str, object] = {"leased_until": None, "due_at": uow.now + timedelta(seconds=pause), "error_code": error_code}
    is_ours = uow.update(Work, changes, id=work.id, fence=work.fence)
    return bool(is_ours) and work.attempts >= GIVE_UP_AFTER
