"""The loops of a running service. `wardpost run` starts them all in one process; `--role` starts some, in as many processes as wanted.

worker: accept's work and the deliver consumer, both work on the database that scales with the number of workers; relay: one at a
time, the others stand by; clock: what is due by the hour, the sweeper, and notices; intake: the MLLP listeners and the folders; api: HTTP.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path

import structlog

from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.config import Settings
from exchange.directory.profiles import parse_profile
from exchange.errors import Unavailable
from exchange.intake.folder import WatchedFolder
from exchange.intake.mllp import MllpListener, Reply
from exchange.intake.tls import server_context
from exchange.intake.work import RENEW_SECONDS
from exchange.metrics import LOOP_DONE, LOOP_FAILED, MLLP_ANSWERS
from exchange.model import Receipt
from exchange.ports import Store
from exchange.records import Sender

log = structlog.get_logger("wardpost.roles")
_POLL_SECONDS = 0.25
_LONGEST_PAUSE_SECONDS = 5.0
_FEW, _REST_SECONDS = 16, 0.02
_CLOCK_SECONDS = 60.0
_NOTICES_SECONDS = 15.0
_HEARING_SECONDS = 0.5
_LISTENERS_SECONDS = 1.0
HL7_MEDIA_TYPE = "x-application/hl7-v2+er7"


class RunRole(StrEnum):
    """What a process does; all of them when nothing is said."""

    API = "api"
    INTAKE = "intake"
    WORKER = "worker"
    RELAY = "relay"
    CLOCK = "clock"


class Loop:
    """One thread that calls `step` until there is nothing left, then sleeps until woken or `pause` has passed (longer after failures)."""

    def __init__(self, name: str, step: Callable[[], int], pause: float = _POLL_SECONDS) -> None:
        self._name, self._step, self._pause = name, step, pause
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"wardpost-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def wake(self) -> None:
        self._wake.set()

    def stop(self) -> None:
        self._stopping = True
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        while not self._stopping:
            self._wake.clear()
            try:
                done = self._step()
                failures = 0
                LOOP_DONE.labels(self._name).inc(done)
            except Exception as problem:  # noqa: BLE001  # the loop: it says what happened and goes on
                log.error("loop_failed", loop=self._name, error=type(problem).__name__, code=getattr(problem, "code", ""))
                done, failures = 0, failures + 1
                LOOP_FAILED.labels(self._name).inc()
            if 0 < done < _FEW:  # each round has commits of its own: what comes singly is soon taken together
                time.sleep(_REST_SECONDS)
            if not done:
                self._wake.wait(max(self._pause, min(_LONGEST_PAUSE_SECONDS, _POLL_SECONDS * 2**failures) if failures else 0))


class Loops:
    """The loops of some roles over one Exchange; each wakes the next. `name` is this process's own, for the relay's lease; `notify`
    plans and sends what is due to be told."""

    def __init__(
        self, exchange: Exchange, roles: Collection[RunRole], name: str, notify: Callable[[], int] = int, folder_seconds: float = 1.0
    ) -> None:
        deliver = Loop("deliver", exchange.deliver_once)
        relay = Loop("relay", lambda: _then(relay_once(exchange.store, exchange.bus, exchange.fail, name), deliver.wake))
        worker = Loop("worker", lambda: _then(exchange.work_once(), relay.wake))
        leases = Loop("leases", lambda: exchange.renew_leases() and 0, RENEW_SECONDS)
        clock = Loop("clock", lambda: (exchange.erase_due() + exchange.sweep() + exchange.judge_again()) and 0, _CLOCK_SECONDS)
        # A thread of its own: a mail server that hangs keeps nothing else waiting.
        notices = Loop("notices", lambda: notify() and 0, _NOTICES_SECONDS)
        # Two looks at one file must lie apart in time, so that a pass always rests.
        folders = Loop("folders", Folders(exchange).look, folder_seconds)
        of_role = {
            RunRole.INTAKE: [folders],
            RunRole.WORKER: [worker, leases, deliver],
            RunRole.RELAY: [relay],
            RunRole.CLOCK: [clock, notices],
        }
        self._loops = [loop for role, loops in of_role.items() if role in roles for loop in loops]
        if {RunRole.WORKER, RunRole.RELAY} & set(roles) and set(roles) != set(RunRole):
            # Other processes write what these wait for; without the hint they would see it at their next look.
            waiting = {"work": worker, "outbox": relay, "bus_log": deliver}
            self._loops.append(Loop("hints", lambda: _hear(exchange.store, waiting), pause=0))
        exchange.woken = worker.wake

    def start(self) -> None:
        for loop in self._loops:
            loop.start()

    def stop(self) -> None:
        """Each ends the piece that it is at; what was leased beyond that is free again when its lease runs out."""
        for loop in self._loops:
            loop.stop()


def _then(done: int, wake: Callable[[], None]) -> int:
    if done:
        wake()
    return done


def _hear(store: Store, waiting: Mapping[str, Loop]) -> int:
    names = waiting.keys() & store.heard(_HEARING_SECONDS)
    for name in names:
        waiting[name].wake()
    return len(names)


class Folders:
    """The watched folder of each sender of that channel; senders added while we run are taken up with the next look."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._watched: dict[Sender, WatchedFolder] = {}

    def look(self) -> int:
        """One pass over all folders. Always 0: nothing here may be looked at again at once."""
        senders = self._exchange.store.read(lambda uow: uow.find(Sender, channel="folder"))
        self._watched = {sender: self._watched.get(sender) or self._watch(sender) for sender in senders}
        for folder in self._watched.values():
            folder.look()
        return 0

    def _watch(self, sender: Sender) -> WatchedFolder:
        def take(raw: bytes) -> Receipt:
            return self._exchange.accept(sender, raw, "folder", "application/octet-stream").result()

        return WatchedFolder(Path(sender.folder), take, self._exchange.fail)


class Listeners:
    """One MLLP listener per configured sender; senders added while we run are taken up within a second."""

    def __init__(self, exchange: Exchange, settings: Settings) -> None:
        self._exchange, self._host, self._default_port = exchange, settings.host, settings.mllp_port
        self._tls = server_context(settings, for_mllp=True)
        self._running: dict[str, tuple[Sender | None, MllpListener]] = {}
        self.ports: dict[str, int] = {}

    async def run(self, stopping: asyncio.Event) -> None:
        while not stopping.is_set():
            try:
                await self.refresh()
            except Unavailable as problem:  # those that listen go on listening, and take nothing
                log.warning("listeners_not_refreshed", code=problem.code)
            try:
                await asyncio.wait_for(stopping.wait(), _LISTENERS_SECONDS)
            except TimeoutError:
                continue
        for _, listener in self._running.values():
            await listener.stop()

    async def refresh(self) -> None:
        """Start listeners of new senders, restart changed ones. Without any sender, one port refuses everybody and says why."""
        senders = await asyncio.to_thread(self._exchange.store.read, lambda uow: uow.find(Sender, channel="mllp"))
        wanted: dict[str, Sender | None] = {sender.id: sender for sender in senders} or {"": None}
        for name in [name for name, (sender, _) in self._running.items() if wanted.get(name, ...) != sender]:
            _, listener = self._running.pop(name)
            self.ports.pop(name, None)
            await listener.stop()
        for name, sender in wanted.items():
            if name in self._running:
                continue
            listener = MllpListener(
                lambda raw, sender=sender: self._take(sender, raw),  # type: ignore[misc]  # the default binds the loop's value
                host=self._host,
                port=(sender.port if sender else 0) or self._default_port,
                ssl_context=self._tls,
                client_name=parse_profile(sender.profile).client_name if sender and self._tls else "",
            )
            try:
                await listener.start()
            except OSError as problem:
                log.error("mllp_port_taken", sender=name, port=sender.port if sender else self._default_port, error=problem.errno)
                continue
            self._running[name] = (sender, listener)
            self.ports[name] = listener.port

    async def _take(self, sender: Sender | None, raw: bytes) -> Reply:
        reply = await self._answer(sender, raw)
        MLLP_ANSWERS.labels(reply.code if not reply.close else "none").inc()
        return reply

    async def _answer(self, sender: Sender | None, raw: bytes) -> Reply:
        """Custody first, understanding later (architecture decision 2)."""
        if sender is None:
            return Reply("AR", "unknown_sender: no sender is set up here; run: wardpost senders add")
        try:
            await asyncio.wrap_future(self._exchange.accept(sender, raw, "mllp", HL7_MEDIA_TYPE))
        except Unavailable:
            return Reply(close=True)
        self._exchange.fail("accept.after_commit")
        if not self._exchange.readers.source_id(raw):
            return Reply("AE", "no_header: kept for a person to look at, but no MSH-10 can be read")
        return Reply("AA")
