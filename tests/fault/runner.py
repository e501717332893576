"""A process that plays a fixed story over a data folder and dies at a named fail point: what a power switch leaves behind.

    python -m tests.fault.runner FOLDER [--die POINT] [--at N] [--defect NAME]      one life
    python -m tests.fault.runner                                                    many, on request (see `serve`)

Every step that was acknowledged is written to FOLDER/believed.ndjson (the data lie in FOLDER/data) with fsync right after the call
returned: what the outside world believes. Played again, it leaves out what is believed and sends again what is not, drains, and writes
FOLDER/seen.json: what is really there.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import os
import signal
import socket
import sys
import tempfile
import threading
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.cli.demo_story import Person as MadeUp
from exchange.cli.demo_story import admission, letter, people
from exchange.cli.fsck import check_all
from exchange.config import Settings
from exchange.directory.entries import add_organisation, add_person, add_sender
from exchange.errors import Conflict, WardpostError
from exchange.intake.accept import raw_bytes
from exchange.intake.folder import WatchedFolder
from exchange.mailbox.collect import open_content
from exchange.mailbox.deliver import GROUP
from exchange.model import AnswerKind, Caller, DeliveryState, PersonRole
from exchange.notices.send import Notifier
from exchange.ports import UnitOfWork
from exchange.records import (
    Answer,
    AuditEvent,
    BusEntry,
    BusOffset,
    Delivery,
    Hold,
    Notice,
    Organisation,
    OutboxEvent,
    Part,
    Person,
    Sender,
    Submission,
    Supplement,
    Transfer,
    Work,
)
from exchange.roles import Listeners
from exchange.wiring import open_exchange
from tests.databases import settings_for

HOSPITAL, HOME, OTHER_HOME = "RZZ01", "VZZ01", "VZZ02"
NOW = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)
PEOPLE = tuple(zip(people(NOW), (HOME, HOME, OTHER_HOME), strict=True))
KILLED = 137
DAMAGED = b"MSH|^~\\&|PAS|RZZ01|W|W|20261127163000||ADT^A01^ADT_A01|DAMAGED|T|2.4\rPID|1||9990000018^^^NHS^NH||Test\0person\r"


def made_up(number: int) -> MadeUp:
    """A person with a valid number of the 999 range and a visit of her own."""
    while True:
        digits = f"999{number:06}"
        check = 11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=True)) % 11
        if check != 10:
            return replace(PEOPLE[0][0], number=f"{digits}{check % 11}", visit=f"K{number:06}")
        number += 500_000


def digest(*contents: bytes) -> str:
    return hashlib.sha256(b"".join(contents)).hexdigest()


class Stopped(Exception):
    """The story cannot go on: something that was acknowledged is not there."""


class Story:
    """The story's steps over one service; each is done once, however often the process dies."""

    def __init__(self, exchange: Exchange, folder: Path) -> None:
        self.exchange = exchange
        self.folder = folder
        self.relay = relay_once
        self.book = folder / "believed.ndjson"
        self.believed: dict[str, dict[str, str]] = {}
        if self.book.exists():
            for line in self.book.read_text().splitlines():
                row = json.loads(line)
                self.believed[row["step"]] = row

    def step(self, name: str, work: Callable[[], tuple[str, str]]) -> str:
        """Do it unless it was acknowledged before; then write down what we were told: an id, and a digest where bytes went over."""
        if name not in self.believed:
            told, content = work()
            row = {"step": name, "id": told, "digest": content}
            with self.book.open("a") as book:
                book.write(json.dumps(row) + "\n")
                book.flush()
                os.fsync(book.fileno())
            self.believed[name] = row
        return self.believed[name]["id"]

    def drain(self) -> None:
        exchange = self.exchange
        for _ in range(200):
            if not exchange.work_once() + self.relay(exchange.store, exchange.bus, exchange.fail) + exchange.deliver_once():
                return
        raise Stopped("the service does not come to rest")

    def play(self) -> None:
        store, exchange = self.exchange.store, self.exchange
        if not store.read(lambda uow: uow.find(Person)):
            store.write(lambda uow: set_up(uow, '{"erase_raw_after_days": 0}'))
        self.drain()
        worker = store.read(lambda uow: uow.find(Person, org=HOSPITAL))[0].id
        carers = {home: store.read(lambda uow, o=home: uow.find(Person, org=o))[0].id for home in (HOME, OTHER_HOME)}
        sender = store.read(lambda uow: uow.find(Sender))[0]
        with listening(exchange, sender) as port:
            for person, home in PEOPLE:
                visit, carer, software = person.visit, Caller(home, person=carers[home]), Caller(home, client="software")
                self.step(f"send admission {visit}", lambda p=person: send(port, admission(p, NOW)))
                self.drain()
                self.step(f"send letter {visit}", lambda p=person: self.lay_down(sender, f"{p.visit}.hl7", letter(p, NOW)))
                self.drain()
                transfer = self.step(f"confirm {visit}", lambda v=visit, h=home: (exchange.confirm_site(v, h, worker).id, ""))
                self.drain()
                if person.supplement is not None:
                    self.step(f"supplement {visit}", lambda t=transfer, p=person: self.supplement(t, worker, p.supplement))
                    self.drain()
                self.step(f"collect {visit}", lambda t=transfer, by=software: self.collect(by, t))
                self.step(f"answer {visit}", lambda t=transfer, by=carer: self.answer(by, t))
                self.drain()
            first, second, third = (person for person, _ in PEOPLE)
            later = NOW.replace(hour=18)
            self.step("send cancelled", lambda: send(port, admission(second, later, "A13")))
            self.drain()
            # These three come at once, so that relay and deliver carry several events in one go, and a kill falls in between.
            for person in (first, third, second):
                moment = later.replace(hour=20)
                self.step(f"send leaves {person.visit}", lambda p=person, m=moment: send(port, admission(p, m, "A03")))
            self.drain()
            self.step("lay aside damaged", lambda: send(port, DAMAGED))
            self.step("lay aside nobody's", lambda: send(port, admission(made_up(1), NOW)))
            self.drain()
            self.step("replay hold", lambda: self.settle_hold(lambda hold: exchange.settle_hold(hold, "replay", worker)))
            self.drain()
            self.step("release hold", lambda: self.settle_hold(lambda hold: exchange.settle_hold(hold, "release", worker, "discarded")))
            self.step("erase", lambda: (str(exchange.erase_due()), ""))
            self.drain()
        Notifier(store, self, "https://wardpost.test", "team@test.example", exchange.fail).work_once()

    def settle_hold(self, act: Callable[[str], object]) -> tuple[str, str]:
        """Who was not told looks whether it is still open."""
        for hold in self.exchange.list_holds():
            if hold.submission_id is not None:
                act(hold.id)
        return "", ""

    def send(self, address: str, subject: str, body: str, id: str = "") -> None:
        """The mail server of the story: what was handed over outlives the process."""
        with (self.folder / "mail").open("a") as mail:
            mail.write(id + "\n")
            mail.flush()
            os.fsync(mail.fileno())

    def _mail(self, uow: UnitOfWork) -> list[int]:
        """Notices that are left, that are marked and never went, and e-mails beyond one for each and one more for each death."""
        mail = self.folder / "mail"
        went = Counter(mail.read_text().split() if mail.exists() else ())
        sent = {row.id for row in uow.find(Notice, state="sent")}
        deaths = len((self.folder / "lives").read_text()) - 1
        return [uow.count(Notice, state="due"), len(sent - set(went)), max(0, went.total() - len(went) - deaths)]

    def lay_down(self, sender: Sender, name: str, raw: bytes) -> tuple[str, str]:
        """Into the watched folder, unless it was taken in an earlier life or still lies there; the stub says what became of it."""
        inbox = self.folder / "in"
        inbox.mkdir(exist_ok=True)
        watched = WatchedFolder(inbox, lambda data: self.exchange.accept(sender, data, "folder", "").result(), self.exchange.fail)
        for _ in range(2):
            for _ in range(3):
                watched.look()
            if found := list(inbox.rglob(f"{name}.*.json")):
                return str(json.loads(found[0].read_text())["submission"]), digest(raw)
            (inbox / f".{name}").write_bytes(raw)
            (inbox / f".{name}").rename(inbox / name)
        raise Stopped("the folder was not read")

    def supplement(self, transfer: str, by: str, content: object) -> tuple[str, str]:
        """Who was not told looks before sending again."""
        there = self.exchange.store.read(lambda uow: uow.find(Supplement, transfer_id=transfer))
        return (there[0].id if there else self.exchange.add_supplement(transfer, by, content).id), ""

    def collect(self, by: Caller, transfer: str) -> tuple[str, str]:
        parts = self.exchange.delivery(by, self.newest(transfer).id).parts
        return parts[0].version_id, digest(*(self.exchange.collect_part(by, part.id)[1] for part in parts))

    def answer(self, by: Caller, transfer: str) -> tuple[str, str]:
        """Open, read, answer; who was not told whether it was taken sends again, as the first answer there is."""
        opened = self.exchange.open_version(by, transfer)
        delivery = opened.item.delivery.id
        try:
            return self.exchange.answer(by, delivery, AnswerKind.SEEN, "", {}, seen=0).id, ""
        except Conflict:
            return self.exchange.store.read(lambda uow: uow.find(Answer, delivery_id=delivery))[0].id, ""

    def newest(self, transfer: str) -> Delivery:
        found = self.exchange.store.read(lambda uow: uow.find(Delivery, order="-number", transfer_id=transfer))
        if not found:
            raise Stopped("nothing was delivered")
        return found[0]

    def seen(self) -> dict[str, object]:
        """What is really there, in words that are the same in every playing wherever the ids are not."""
        return self.exchange.store.read(self._seen)

    def _seen(self, uow: UnitOfWork) -> dict[str, object]:
        visits = {row["id"]: step.split()[1] for step, row in self.believed.items() if step.startswith("confirm")}
        offset = uow.get(BusOffset, GROUP)
        passed = offset.position if offset else 0
        return {
            "believed": list(self.believed.values()),
            "submissions": [[row.id, row.state, digest(raw_bytes(row))] for row in uow.find(Submission, state__in=["accepted", "read"])],
            "aside": sorted(row.state for row in uow.find(Submission, state__in=["held", "not_used", "erased"])),
            "answers": [[row.id, visits.get(row.transfer_id), row.number] for row in uow.find(Answer, order="answered_at")],
            "supplements": [[row.id, visits.get(row.transfer_id)] for row in uow.find(Supplement, order="received_at")],
            "mailboxes": {home: self._mailbox(uow, home, visits) for home in (HOME, OTHER_HOME)},
            "versions": sorted([visits.get(row.id), row.versions, row.state] for row in uow.find(Transfer)),
            "contents": {row.version_id: self._content(uow, row) for row in uow.find(Delivery)},
            "disclosed": sorted({row.detail_id for row in uow.find(AuditEvent) if row.type.endswith(".collected")}),
            "parts": {row.id: row.version_id for row in uow.find(Part)},
            "holds": sorted([row.kind, row.code, row.resolution or ""] for row in uow.find(Hold)),
            "mail": self._mail(uow),
            "waiting": [uow.count(Work), uow.count(OutboxEvent, state="new"), uow.count(BusEntry, position__gt=passed)],
            "findings": sorted(str(finding) for finding in check_all(uow, self.exchange.environment)),
        }

    @staticmethod
    def _mailbox(uow: UnitOfWork, home: str, visits: dict[str, str]) -> list[list[object]]:
        rows = uow.find(Delivery, order="sequence", recipient_org=home)
        return [
            [row.sequence, visits.get(row.transfer_id), row.number, row.state, bool(row.collected_at), bool(row.opened_at)] for row in rows
        ]

    def _content(self, uow: UnitOfWork, delivery: Delivery) -> str:
        """What was sealed is still there, also when the home may no longer see it."""
        shown = replace(delivery, state=DeliveryState.CURRENT)
        parts = uow.find(Part, order="position", version_id=delivery.version_id)
        return digest(*(open_content(uow, self.exchange.environment, shown, part) for part in parts))


def set_up(uow: UnitOfWork, profile: str = "{}") -> None:
    add_organisation(uow, Organisation(HOSPITAL, "Sample General Hospital", "hospital"))
    add_person(uow, HOSPITAL, PersonRole.SITE_MANAGER, "Rob Manager-Test", "rob@test.example")
    for home, name in ((HOME, "Sample Meadow"), (OTHER_HOME, "Sample Court")):
        add_organisation(uow, Organisation(home, name, "home", postcode="NM4 7QA", has_mailbox=True))
        add_person(uow, home, PersonRole.CARER, f"Ama Carer-{home}", "ama@test.example")
    add_sender(uow, "PAS", HOSPITAL, "mllp", 0, profile)


@contextmanager
def listening(exchange: Exchange, sender: Sender) -> Iterator[int]:
    """The product's own MLLP listener in a thread; its port."""
    listeners, ready, stopping = Listeners(exchange, Settings(mllp_port=0)), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        await listeners.refresh()
        ready.set()
        await listeners.run(stopping)

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield listeners.ports[sender.id]
    finally:
        loops[0].call_soon_threadsafe(stopping.set)
        thread.join(20)


def send(port: int, raw: bytes) -> tuple[str, str]:
    """What a hospital's engine does: a frame, and "AA" or nothing. It learns no id, only that these bytes are in custody."""
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as link:
        link.sendall(b"\x0b" + raw + b"\x1c\r")
        while not answer.endswith(b"\x1c\r"):
            chunk = link.recv(65536)
            assert chunk, "no answer"
            answer += chunk
    assert b"MSA|AA|" in answer, answer
    return "", digest(raw)


def dying(point: str, at: int, passes: Counter[str]) -> Callable[[str], None]:
    """A fail point function: counts, and ends the process at the n-th pass of one name. No `finally`, no flush, no goodbye."""

    def fail(name: str) -> None:
        passes[name] += 1
        if name == point and passes[name] == at:
            os._exit(KILLED)

    return fail


def main(folder: Path, point: str = "", at: int = 1, defect: str = "") -> None:
    """One life of the process."""
    lives = folder / "lives"
    lives.write_text(lives.read_text() + "x" if lives.exists() else "x")
    # Each life begins when the leases of the one before have run out, and its clock never stands still.
    start, ticks, passes = NOW + timedelta(minutes=2 * len(lives.read_text())), itertools.count(), Counter[str]()
    exchange = open_exchange(settings_for(folder), clock=lambda: start + timedelta(milliseconds=next(ticks)), fail=dying(point, at, passes))
    story = Story(exchange, folder)
    if defect:
        from tests.fault.defects import DEFECTS

        DEFECTS[defect](story)
    stopped = ""
    try:
        story.play()
    except (WardpostError, Stopped) as problem:
        stopped = f"{type(problem).__name__}: {problem}"
    (folder / "seen.json").write_text(json.dumps({**story.seen(), "stopped": stopped, "passes": passes}, indent=1))
    exchange.store.close()


def serve() -> None:
    """Lives on request, each in a process of its own: a line of JSON arguments in, an exit code out.

    The interpreter starts and warms up once, in one playing; a fork of it then lives for a quarter of a second instead of one.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
    for line in sys.stdin:
        folder, *rest = json.loads(line)
        child = os.fork()
        if not child:
            _live(Path(folder), *rest)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), file=answers, flush=True)


def _live(folder: Path, *rest: Any) -> NoReturn:
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(log, stream)
    signal.alarm(60)  # whoever hangs ends with -14
    code = 1
    try:
        main(folder, *rest)
        code = 0
    except BaseException:  # noqa: BLE001  # nothing may return into the server's loop
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def asked(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    named = argparse.ArgumentParser()
    named.add_argument("folder", type=Path, nargs="?", help="without one: serve")
    named.add_argument("--die", default="")
    named.add_argument("--at", type=int, default=1)
    named.add_argument("--defect", default="")
    return named.parse_args(arguments)


if __name__ == "__main__":
    wanted = asked()
    if wanted.folder:
        main(wanted.folder, wanted.die, wanted.at, wanted.defect)
    else:
        serve()
