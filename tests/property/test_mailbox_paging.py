"""A poller that pages through a mailbox while papers arrive and change: it sees every delivery as it is in the end, and skips none.

Two pollers, as homes' software does it: one follows the pages (`after_change`), one starts again from the newest `lastUpdated` that it
has seen plus a millisecond (what `_lastUpdated=gt…` means), with and without a clock that moves between the changes.
"""

import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import exchange.mailbox.deliver as delivering
from exchange.cli.demo_story import Person, admission, letter, people
from exchange.intake.accept import instant
from exchange.mailbox.collect import InboxItem
from exchange.model import Caller
from exchange.ports import UnitOfWork
from exchange.records import Delivery, Mailbox
from exchange.store.unit import Unit
from exchange.wiring import open_exchange
from tests.app_kit import HOME, START, Kit, SteppingClock, set_up
from tests.databases import settings_for

CALLER = Caller(HOME, client="software")
NUMBERS = ("9990000018", "9990000034", "9990000042")
# What can happen between two pages: a version or a withdrawal of one of three people; the clock moves, or is set back.
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("version"), st.integers(0, 2)),
        st.tuples(st.just("withdraw"), st.integers(0, 2)),
        st.tuples(st.just("page"), st.integers(1, 3)),
        st.tuples(st.just("tick"), st.integers(-3, 3)),
    ),
    min_size=4,
    max_size=14,
)


@dataclass
class StandingClock(SteppingClock):
    """A clock that moves only when a test moves it."""

    def __call__(self) -> datetime:
        return self.at


@dataclass
class Hospital:
    """Three people of one home; each further letter is a new version, a cancelled discharge withdraws, the next letter takes that back."""

    service: Kit
    persons: list[Person] = field(
        default_factory=lambda: [replace(people(START)[n % 2], number=number, visit=f"V{n + 1}") for n, number in enumerate(NUMBERS)]
    )
    sent: int = 0
    transfers: dict[str, str] = field(default_factory=dict)

    def version(self, which: int) -> None:
        person = self.persons[which]
        if person.visit not in self.transfers:
            self.send(admission(person, self.now()))
        raw = letter(person, self.now())
        self.send(raw.replace(b"T02-V", b"T%d-V" % (self.sent + 10)).replace(b"chest infection", b"infection %d" % self.sent))
        if person.visit not in self.transfers:
            transfer = self.service.exchange.confirm_site(person.visit, HOME, self.service.worker)
            self.transfers[person.visit] = transfer.id
            self.service.drain()

    def withdraw(self, which: int) -> None:
        person = self.persons[which]
        if person.visit in self.transfers:
            self.send(admission(person, self.now(), "A13").replace(b"A13-V", b"A13-%d-V" % self.sent))

    def now(self) -> datetime:
        """The hospital's clock: each message is a second younger than the one before, whatever ours does."""
        return START + timedelta(seconds=self.sent)

    def send(self, raw: bytes) -> None:
        self.sent += 1
        self.service.send(raw)
        self.service.drain()


@dataclass
class Poller:
    """What a home's software remembers: its place, and the last state of everything that it was told."""

    service: Kit
    by_time: bool
    seen: dict[str, Delivery] = field(default_factory=dict)
    after_change: int = 0
    since: datetime | None = None

    def page(self, count: int) -> bool:
        """Ask for one page; is there more?"""
        if self.by_time:
            items, more = self.service.exchange.poll(CALLER, since=self.since, count=count)
        else:
            items, more = self.service.exchange.poll(CALLER, after_change=self.after_change, count=count)
        self.take(items)
        return more

    def take(self, items: Sequence[InboxItem]) -> None:
        changes = [item.delivery.change for item in items]
        assert changes == sorted(set(changes)), "a page is in order and names nothing twice"
        for item in items:
            self.seen[item.delivery.id] = item.delivery
        if items:
            last = items[-1].delivery
            # Over HTTP a moment is a text with milliseconds, and `gt` starts at the next one.
            self.after_change = last.change
            self.since = datetime.fromisoformat(instant(last.updated_at)) + timedelta(milliseconds=1)


def play(service: Kit, steps: Sequence[tuple[str, int]], count: int) -> None:
    """Do the steps, paging in between; in the end both pollers hold the mailbox as it is."""
    hospital, pollers = Hospital(service), [Poller(service, by_time=False), Poller(service, by_time=True)]
    for what, number in steps:
        if what == "version":
            hospital.version(number)
        elif what == "withdraw":
            hospital.withdraw(number)
        elif what == "tick":
            service.clock.forward(milliseconds=number)
        else:
            for poller in pollers:
                poller.page(number)
    finish(service, pollers, count)


def finish(service: Kit, pollers: Sequence[Poller], count: int) -> None:
    """Page to the end; then the mailbox is known as it is."""
    for poller in pollers:
        pages = 0
        while poller.page(count):
            pages += 1
            assert pages < 100, "paging never comes to an end"
    rows = {row.id: row for row in service.exchange.store.read(lambda uow: uow.find(Delivery, recipient_org=HOME))}
    for poller in pollers:
        way = "by time" if poller.by_time else "by page"
        assert set(poller.seen) == set(rows), f"{way}: skipped {len(set(rows) - set(poller.seen))}"
        old = [row.number for row in rows.values() if poller.seen[row.id] != row]
        assert not old, f"{way}: old state of {old}"
    assert service.findings() == []


@contextmanager
def service_at(clock: SteppingClock) -> Iterator[Kit]:
    """A fresh service over a folder of its own: hypothesis has one tmp_path for all of its examples."""
    with tempfile.TemporaryDirectory(prefix="wardpost-paging-") as folder:
        chosen = settings_for(Path(folder))
        exchange = open_exchange(chosen, clock=clock)
        # The conformance check is a port; here it would only take time.
        exchange.check = lambda document, expected: []
        try:
            yield set_up(exchange, clock, chosen, "{}")
        finally:
            exchange.store.close()


@settings(max_examples=60, deadline=None)
@given(stands=st.booleans(), steps=STEPS, count=st.integers(1, 3))
def test_a_poller_sees_every_delivery_as_it_is_in_the_end(stands: bool, steps: list[tuple[str, int]], count: int) -> None:
    with service_at(StandingClock() if stands else SteppingClock()) as service:
        play(service, steps, count)


def test_a_poller_beside_a_busy_hospital(tmp_path: Path) -> None:
    """Pages are asked for while another thread publishes, replaces and withdraws: what a page shows is always whole."""
    with service_at(StandingClock()) as service, ThreadPoolExecutor(1) as beside:
        hospital, pollers = Hospital(service), [Poller(service, by_time=False), Poller(service, by_time=True)]

        def work() -> None:
            for turn in range(12):
                hospital.version(turn % 3)
                if turn % 4 == 3:
                    hospital.withdraw(turn % 3)

        busy = beside.submit(work)
        while not busy.done():
            for poller in pollers:
                poller.page(2)
        busy.result()
        finish(service, pollers, 2)
        assert len(pollers[0].seen) == 12


SKIPPED = [("version", 0), ("page", 3), ("version", 1), ("version", 0), ("page", 1), ("withdraw", 1)]


def test_a_time_that_does_not_rise_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: numbers rise, times only with the clock."""

    def careless(uow: UnitOfWork, mailbox: Mailbox, more: dict[str, object]) -> Mailbox:
        return uow.replace(mailbox, last_change=mailbox.last_change + 1, last_updated_at=uow.now, **more)

    monkeypatch.setattr(delivering, "_next_change", careless)
    with service_at(StandingClock()) as service, pytest.raises(AssertionError, match="by time: skipped"):
        play(service, SKIPPED, 1)


def test_a_change_that_keeps_its_number_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a version is replaced where it stands, behind the poller's back."""

    def careless(uow: UnitOfWork, mailbox: Mailbox, delivery: Delivery, changes: dict[str, object]) -> Mailbox:
        uow.update(Delivery, changes, id=delivery.id)
        return mailbox

    monkeypatch.setattr(delivering, "_change", careless)
    with service_at(SteppingClock()) as service, pytest.raises(AssertionError, match="by page: old state"):
        play(service, SKIPPED, 1)


def test_a_page_in_order_of_arrival_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a page cut by arrival, not by change."""
    find = Unit.find

    def careless(self: Unit, kind: type[Delivery], /, *, order: str = "", **more: object) -> list[Delivery]:
        return find(self, kind, order="sequence" if order == "change" else order, **more)  # type: ignore[arg-type]

    with service_at(SteppingClock()) as service:
        monkeypatch.setattr(Unit, "find", careless)
        with pytest.raises(AssertionError, match="in order"):
            play(service, [("version", 0), ("version", 1), ("version", 0), ("page", 3)], 3)
