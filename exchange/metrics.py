"""What a process counts, for Prometheus, and how far behind the service is. Labels come from closed sets: no codes, no ids."""

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from exchange.ports import UnitOfWork
from exchange.records import Hold, OutboxEvent, ParkedEvent, Work

REGISTRY = CollectorRegistry()
LOOP_DONE = Counter("wardpost_loop_done", "Pieces that a loop has done.", ["loop"], registry=REGISTRY)
LOOP_FAILED = Counter("wardpost_loop_failed", "Steps of a loop that raised.", ["loop"], registry=REGISTRY)
MLLP_ANSWERS = Counter("wardpost_mllp_answers", "Answers to MLLP frames; none: the link was closed.", ["code"], registry=REGISTRY)
REQUESTS = Counter("wardpost_requests", "HTTP requests by route pattern.", ["method", "route", "status"], registry=REGISTRY)
REQUEST_SECONDS = Histogram("wardpost_request_seconds", "How long they took.", ["route"], registry=REGISTRY)
_BACKLOG = Gauge("wardpost_backlog", "What waits, in rows of the database.", ["what"], registry=REGISTRY)
_OLDEST = Gauge("wardpost_backlog_oldest_seconds", "The age of the oldest that waits.", ["what"], registry=REGISTRY)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: how many rows, and the age of the oldest in seconds where that says something."""

    rows: dict[str, int]
    oldest_seconds: dict[str, float]


def backlog(uow: UnitOfWork) -> Backlog:
    """The truth about lag is in the database, whichever bus carries the events."""
    rows = {
        "unpublished": uow.count(OutboxEvent, state="new"),
        "unsettled": uow.count(OutboxEvent, settled_at=None),
        "parked": uow.count(ParkedEvent, state="waiting"),
        "dead": uow.count(ParkedEvent, state="dead"),
        "work": uow.count(Work),
        "holds": uow.count(Hold, resolved_at=None),
    }
    events = {
        "unpublished": uow.find(OutboxEvent, order="created_at", limit=1, state="new"),
        "unsettled": uow.find(OutboxEvent, order="created_at", limit=1, settled_at=None),
    }
    oldest = {name: (uow.now - found[0].created_at).total_seconds() if found else 0.0 for name, found in events.items()}
    due = uow.find(Work, order="due_at", limit=1)
    return Backlog(rows, {**oldest, "work": max(0.0, (uow.now - due[0].due_at).total_seconds()) if due else 0.0})


def render(found: Backlog) -> bytes:
    """The text that Prometheus reads."""
    for name, number in found.rows.items():
        _BACKLOG.labels(name).set(number)
    for name, seconds in found.oldest_seconds.items():
        _OLDEST.labels(name).set(seconds)
    return generate_latest(REGISTRY)
