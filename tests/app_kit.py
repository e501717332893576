"""The service in this process, over a temporary folder: what tests use when no process or socket matters."""

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.cli.demo_story import admission, letter, people
from exchange.cli.fsck import Finding, check_all
from exchange.config import Settings
from exchange.directory.entries import add_organisation, add_person, add_sender
from exchange.model import Caller, Environment, PersonRole
from exchange.ports import FailPoints, no_fail_points
from exchange.records import Organisation, Sender
from exchange.wiring import open_exchange
from tests.databases import settings_for

HOSPITAL, OTHER_HOSPITAL, HOME, OTHER_HOME, CLOSED_HOME = "RZZ01", "RZZ02", "VZZ01", "VZZ02", "VZZ09"
START = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)  # a Friday


@dataclass
class SteppingClock:
    """A clock that tests move; each look moves it by a microsecond, so that no two moments are the same."""

    at: datetime = START
    ticks: Iterator[int] = field(default_factory=itertools.count)

    def __call__(self) -> datetime:
        return self.at + timedelta(microseconds=next(self.ticks))

    def forward(self, **delta: float) -> None:
        self.at += timedelta(**delta)


@dataclass
class Kit:
    """A set-up service: one hospital with a feed, two homes, a closed one, people at each."""

    exchange: Exchange
    clock: SteppingClock
    settings: Settings
    worker: str
    carer: str
    manager: str
    other_carer: str
    sender: Sender

    def send(self, raw: bytes) -> str:
        """Accept bytes; the submission's id."""
        return self.exchange.accept(self.sender, raw, "mllp", "x-application/hl7-v2+er7").result().submission

    def drain(self, limit: int = 200) -> None:
        """Do everything that is due, through relay and delivery, until nothing is left."""
        for _ in range(limit):
            done = self.exchange.work_once()
            done += relay_once(self.exchange.store, self.exchange.bus, self.exchange.fail)
            done += self.exchange.deliver_once()
            if not done:
                return
        raise AssertionError("the service does not come to rest")

    def findings(self) -> list[Finding]:
        return self.exchange.store.read(lambda uow: check_all(uow, self.exchange.environment))

    def caller(self, person: str | None = None) -> Caller:
        return Caller(HOME, person=person or self.carer)

    def story(self, which: int = 0, *, confirmed: bool = True, supplemented: bool = True) -> str:
        """Play one of the demo's people up to the mailbox; the transfer's id."""
        person = people(self.clock())[which]
        self.send(admission(person, self.clock.at))
        self.send(letter(person, self.clock.at))
        self.drain()
        if not confirmed:
            return ""
        transfer = self.exchange.confirm_site(person.visit, HOME, self.worker).id
        if supplemented and person.supplement is not None:
            self.exchange.add_supplement(transfer, self.worker, person.supplement)
        self.drain()
        return transfer


@contextmanager
def kit(
    folder: Path, *, fail: FailPoints = no_fail_points, environment: Environment = Environment.TRIAL, profile: str = "{}"
) -> Iterator[Kit]:
    """A fresh service in a folder, closed at the end."""
    settings = settings_for(folder, environment=environment)
    clock = SteppingClock()
    exchange = open_exchange(settings, clock=clock, fail=fail)
    try:
        yield set_up(exchange, clock, settings, profile)
    finally:
        exchange.store.close()


def set_up(exchange: Exchange, clock: SteppingClock, settings: Settings, profile: str) -> Kit:
    organisations = [
        Organisation(HOSPITAL, "Sample General Hospital", "hospital", phone="01632 960100"),
        Organisation(OTHER_HOSPITAL, "Other Trial Hospital", "hospital"),
        Organisation(HOME, "Sample Meadow", "home", "1 Rehearsal Row", "Testmouth", "NM4 7QA", "01632 960111", has_mailbox=True),
        Organisation(OTHER_HOME, "Sample Court", "home", "3 Rehearsal Row", "Testmouth", "NM4 7QA", "01632 960112", has_mailbox=True),
        Organisation(CLOSED_HOME, "Closed Grange", "home", "9 Old Lane", "Testmouth", "NM9 9XX", closed_on="2026-08-01", has_mailbox=True),
    ]
    for organisation in organisations:
        exchange.store.write(lambda uow, o=organisation: add_organisation(uow, o))

    def person(org: str, role: PersonRole, name: str) -> str:
        return exchange.store.write(lambda uow: add_person(uow, org, role, name, f"{name.split()[0].lower()}@test.example")).id

    return Kit(
        exchange,
        clock,
        settings,
        worker=person(HOSPITAL, PersonRole.SITE_MANAGER, "Rob Manager-Test"),
        carer=person(HOME, PersonRole.CARER, "Ama Carer-Test"),
        manager=person(HOME, PersonRole.HOME_MANAGER, "Mia Homemanager-Test"),
        other_carer=person(OTHER_HOME, PersonRole.CARER, "Ola Carer-Test"),
        sender=exchange.store.write(lambda uow: add_sender(uow, "PAS", HOSPITAL, "mllp", 0, profile)),
    )


def dies_at(name: str, after: int = 1) -> Callable[[str], None]:
    """A fail point that raises at the n-th pass of a name: what a killed process leaves behind, without a process."""
    left = itertools.count(1)

    def fail(point: str) -> None:
        if point == name and next(left) == after:
            raise Died(name)

    return fail


class Died(BaseException):
    """The process would be gone here. Not an Exception: no loop may catch it and go on."""
