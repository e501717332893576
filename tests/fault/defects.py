"""Seeded defects: mistakes that services of this kind really make. The crash tests must see each of them.

Each takes a Story and wires its service wrongly. All but `relay_by_number` behave perfectly until the process dies at the wrong moment.
"""

import re
import sqlite3
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

from exchange.app import Exchange
from exchange.intake.accept import accept
from exchange.mailbox import collect
from exchange.mailbox.deliver import GROUP, deliver
from exchange.model import Caller, Receipt
from exchange.ports import Bus, BusMessage, FailPoints, Store, UnitOfWork
from exchange.records import Delivery, OutboxEvent, Part, Record
from exchange.transfer import publish

if TYPE_CHECKING:
    from tests.fault.runner import Story


def ack_before_commit(story: "Story") -> None:
    """The sender hears "yes" while its bytes are still in memory."""
    exchange = story.exchange
    waiting: list[tuple[str, Any, bytes, str, str]] = []

    def hasty(sender: Any, raw: bytes, channel: str, media_type: str) -> "Future[Receipt]":
        promised: Future[Receipt] = Future()
        promised.set_result(Receipt(str(uuid.uuid4()), "", ""))
        waiting.append((promised.result().submission, sender, raw, channel, media_type))
        return promised

    def late() -> None:
        exchange.fail("defect.after_ack")
        while waiting:
            row_id, sender, raw, channel, media_type = waiting.pop(0)
            source_id = exchange.readers.source_id(raw)
            exchange.store.write(partial(_accept_as, row_id, sender, raw, channel, media_type, source_id))

    exchange.accept = hasty  # type: ignore[method-assign]
    _before_work(story, lambda: waiting and late())


def _accept_as(row_id: str, sender: Any, raw: bytes, channel: str, media_type: str, source_id: str, uow: UnitOfWork) -> None:
    """Accept under the id that was promised."""
    ids, new_id = [row_id], uow.new_id
    uow.new_id = lambda: ids.pop() if ids else new_id()  # type: ignore[method-assign]
    accept(uow, sender, raw, channel=channel, media_type=media_type, source_id=source_id)


def mark(uow: UnitOfWork, events: Sequence[OutboxEvent]) -> None:
    uow.update(OutboxEvent, {"state": "published", "published_at": uow.now}, id__in=[event.id for event in events])


def mark_before_publish(story: "Story") -> None:
    """The outbox says "published" before the bus has it."""

    def relay(store: Store, bus: Bus, fail: FailPoints) -> int:
        found = store.read(lambda uow: uow.find(OutboxEvent, order="key,sequence", state="new"))
        if found:
            store.write(lambda uow: mark(uow, found))
            fail("relay.after_mark")
            bus.publish([BusMessage.of(event) for event in found])
        return len(found)

    story.relay = relay


def relay_by_number(story: "Story") -> None:
    """The relay asks for "number greater than the last one", and what gets a lower number later is never seen."""

    def relay(store: Store, bus: Bus, fail: FailPoints) -> int:
        def new(uow: UnitOfWork) -> list[OutboxEvent]:
            last = uow.find(OutboxEvent, order="-sequence", limit=1, state="published")
            return uow.find(OutboxEvent, order="sequence", sequence__gt=last[0].sequence if last else 0)

        found = store.read(new)
        if found:
            bus.publish([BusMessage.of(event) for event in found])
            store.write(lambda uow: mark(uow, found))
        return len(found)

    story.relay = relay


def offset_before_effect(story: "Story") -> None:
    """The consumer says "done" before it has done it."""
    exchange = story.exchange

    def deliver_once() -> int:
        messages = exchange.bus.fetch(GROUP, 64)
        if messages:
            exchange.bus.commit(GROUP)
        for message in messages:
            exchange._bring_up(message.key, message.sequence)
        return len(messages)

    exchange.deliver_once = deliver_once  # type: ignore[method-assign]


class _Forgetful:
    """A unit of work in which no event was ever seen before."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def __getattr__(self, name: str) -> Any:
        return getattr(self._uow, name)

    def count(self, kind: type[Record], /, **where: object) -> int:
        return 0 if "event_id" in where else self._uow.count(kind, **where)


def no_event_key(story: "Story") -> None:
    """The consumer does what comes as it comes: nobody looks whether an event was seen, and no unique key of the table helps."""
    exchange = story.exchange
    with closing(sqlite3.connect(exchange.store.path)) as database:  # type: ignore[attr-defined]  # the embedded store
        sql = database.execute("SELECT sql FROM sqlite_master WHERE name = 'delivery'").fetchone()[0]
        without = re.sub(r",\s*CONSTRAINT uq_delivery_(event|version)_id UNIQUE \(\w+\)", "", sql)
        if without != sql:
            database.executescript(f"DROP TABLE delivery; {without};")
    each_as_it_comes(exchange, lambda uow: _Forgetful(uow))  # type: ignore[arg-type, return-value]  # the part that deliver uses


def order_of_arrival(exchange: Exchange) -> None:
    """The consumer does what comes as it comes, each once; what comes early is early."""
    each_as_it_comes(exchange, lambda uow: uow)


def each_as_it_comes(exchange: Exchange, seen_as: Callable[[UnitOfWork], UnitOfWork]) -> None:
    def settle(uow: UnitOfWork, id: str) -> None:
        event = uow.get(OutboxEvent, id)
        assert event is not None
        deliver(seen_as(uow), event)
        uow.update(OutboxEvent, {"settled_at": uow.now}, id=id)

    def deliver_once() -> int:
        messages = exchange.bus.fetch(GROUP, 64)
        for message in messages:
            exchange.store.write(lambda uow, m=message: settle(uow, m.event_id))  # type: ignore[misc]
            exchange.fail("deliver.after_commit")
        if messages:
            exchange.bus.commit(GROUP)
        return len(messages)

    exchange.deliver_once = deliver_once  # type: ignore[method-assign]


def event_in_a_second_transaction(story: "Story") -> None:
    """The version is committed first and announced afterwards (the "dual write" that an outbox is there against)."""
    waiting: list[tuple[str, str, dict[str, object]]] = []
    emit, exchange = publish.emit, story.exchange
    work_once = exchange.work_once

    def later(uow: UnitOfWork, type: str, mailbox_id: str, body: dict[str, object]) -> str:
        waiting.append((type, mailbox_id, body))
        return ""

    def work() -> int:
        done = work_once()
        while waiting:
            event = waiting.pop(0)
            exchange.store.write(lambda uow, e=event: emit(uow, *e))  # type: ignore[misc]
        return done

    publish.emit = later
    exchange.work_once = work  # type: ignore[method-assign]


def bytes_before_audit(story: "Story") -> None:
    """The home has the document before the audit row of its disclosure is durable."""
    exchange = story.exchange
    waiting: list[tuple[Caller, Delivery, Part]] = []

    def hasty(caller: Caller, part_id: str) -> tuple[Part, bytes]:
        def fetch(uow: UnitOfWork) -> tuple[Delivery, Part, bytes]:
            part = uow.get(Part, part_id)
            assert part is not None
            delivery = uow.find(Delivery, version_id=part.version_id)[0]
            return delivery, part, collect.open_content(uow, exchange.environment, delivery, part)

        delivery, part, content = exchange.store.read(fetch)
        waiting.append((caller, delivery, part))
        return part, content

    def late() -> None:
        exchange.fail("defect.after_disclosure")
        while waiting:
            caller, delivery, part = waiting.pop(0)
            letter = part.media_type != publish.FHIR_JSON
            exchange.store.write(
                lambda uow, c=caller, d=delivery, p=part, n=letter: collect.note_disclosed(uow, c, d, p, opened=False, is_letter=n)  # type: ignore[misc]
            )

    exchange.collect_part = hasty  # type: ignore[method-assign]
    _before_work(story, lambda: waiting and late())


def _before_work(story: "Story", late: Callable[[], object]) -> None:
    work_once = story.exchange.work_once

    def work() -> int:
        late()
        return work_once()

    story.exchange.work_once = work  # type: ignore[method-assign]


DEFECTS: dict[str, Callable[["Story"], None]] = {
    wrong.__name__: wrong
    for wrong in (
        ack_before_commit,
        mark_before_publish,
        relay_by_number,
        offset_before_effect,
        no_event_key,
        event_in_a_second_transaction,
        bytes_before_audit,
    )
}
