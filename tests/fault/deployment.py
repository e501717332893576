"""A deployment of real processes, one or more per role, under load. What the load was told is kept here, outside of it.

The processes are forked from one that has the program loaded already. Each runs `wardpost run --role ROLE` as it is, but for two things:
leases and sessions are short, so that a test need not wait for them, and a fail point may end it or stop it (`Fate`).
"""

import asyncio
import itertools
import json
import multiprocessing
import os
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from joserfc.jwk import ECKey

from exchange import roles
from exchange.app import Exchange
from exchange.bus import kafka, relay
from exchange.check import Checker
from exchange.cli import serve
from exchange.cli.demo_story import Person, admission, letter
from exchange.cli.fsck import check_all
from exchange.config import Settings, load_settings
from exchange.directory.entries import add_client, add_sender, default_scopes
from exchange.intake import work
from exchange.model import Caller
from exchange.ports import UnitOfWork
from exchange.records import Answer, AuditEvent, Delivery, OutboxEvent, Part, Submission
from exchange.roles import RunRole
from exchange.wiring import open_exchange
from tests.app_kit import HOME, HOSPITAL, SteppingClock, set_up
from tests.fault.runner import KILLED, made_up
from tests.service_kit import Service, free_port, wait_until

ENGINES = 3
LEASE = timedelta(seconds=2)
SESSION_SECONDS = 2.0


@dataclass(frozen=True)
class Fate:
    """What happens at the n-th pass of a fail point: the process is gone, or stands still until somebody wakes it."""

    point: str = ""
    at: int = 1
    stops: bool = False


def live(role: str, environ: dict[str, str], log: Path, fate: Fate) -> None:
    """One process of a role, from start to stop."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(file, stream)
    passes = itertools.count(1)

    def fail(name: str) -> None:
        if name == fate.point and next(passes) == fate.at:
            if fate.stops:
                signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)  # this very thread goes no step further
            else:
                os._exit(KILLED)

    relay.LEASE = work.LEASE = LEASE
    roles.RENEW_SECONDS = LEASE.total_seconds() / 4
    kafka.KafkaBus = partial(kafka.KafkaBus, topic=environ["TOPIC"], session_seconds=SESSION_SECONDS, patience_seconds=4.0)  # type: ignore[misc, assignment]
    serve.open_exchange = partial(open_exchange, fail=fail)
    asyncio.run(serve.serve(load_settings(environ), [RunRole(role)]))


forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload([__name__, "alembic.command", "exchange.store.schema"])
if multiprocessing.current_process().name != "MainProcess":
    Checker.load()


class Deployment:
    """Processes over one PostgreSQL database and one bus; `service` speaks to the API, the listener and the command line."""

    def __init__(self, folder: Path, database: str, servers: str = "") -> None:
        self.service = Service(folder, more_environ={"WARDPOST_DATABASE": database, "WARDPOST_KAFKA": servers})
        self.watched = folder / "in"
        self.processes: dict[str, BaseProcess] = {}
        self.ports: dict[str, int] = {}
        self.worker = ""

    @property
    def is_on_kafka(self) -> bool:
        return bool(self.settings.kafka)

    @property
    def settings(self) -> Settings:
        return load_settings(self.service.environ)

    def set_up(self) -> None:
        self.watched.mkdir()
        with self.opened() as exchange:
            made = set_up(exchange, SteppingClock(), self.settings, "{}")
            self.worker = made.worker
            exchange.store.write(self._more)

    def _more(self, uow: UnitOfWork) -> None:
        add_sender(uow, "FILES", HOSPITAL, "folder", 0, "{}", str(self.watched))
        for client, org, kind in (("home", HOME, "home"), ("hospital", HOSPITAL, "hospital")):
            key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True)
            key.ensure_kid()
            self.service.keys[client] = key
            public = json.dumps(key.as_dict(private=False))
            add_client(uow, client, org, client, default_scopes(kind), [(str(key.kid), "ES256", public)])

    @contextmanager
    def opened(self) -> Iterator[Exchange]:
        exchange = open_exchange(self.settings)
        try:
            yield exchange
        finally:
            exchange.bus.close()
            exchange.store.close()

    def start(self, role: str, fate: Fate | None = None, name: str = "", **environ: str) -> None:
        self.ports[name or role] = port = self.service.port if role == "api" else free_port()
        environ = {**self.service.environ, "WARDPOST_PORT": str(port), "TOPIC": f"wardpost.test.{self.service.folder.name}", **environ}
        arguments = (role, environ, self.log(name or role), fate or Fate())
        self.processes[name or role] = process = forks.Process(target=live, args=arguments, daemon=True)
        process.start()

    def start_all(self) -> None:
        for role in RunRole:
            self.start(role)
        wait_until(lambda: self.service.http("GET", "/ready")[0] == 200 and self.service.is_listening(), "the deployment", 40)

    def ready(self, name: str) -> tuple[int, str]:
        """The status of a process's /ready, and what it says of the bus; (0, "") when it does not answer."""
        status, _, body = Service(self.service.folder, self.ports[name]).http("GET", "/ready")
        return status, json.loads(body)["bus"] if body else ""

    def is_at_rest(self) -> bool:
        status, _, body = self.service.http("GET", "/ready")
        return status == 200 and not any(json.loads(body)["waiting"][what] for what in ("unpublished", "unsettled", "work"))

    def log(self, name: str) -> Path:
        return self.service.folder / f"{name}.log"

    def logs(self, codes: str, *names: str) -> int:
        """How often the processes of these names have logged one of the codes (with `|` between)."""
        return sum(len(re.findall(f'"({codes})"', self.log(name).read_text())) for name in names if self.log(name).exists())

    def wake(self, name: str) -> None:
        _tell(self.processes[name], signal.SIGCONT)

    def is_stopped(self, name: str) -> bool:
        return Path(f"/proc/{self.processes[name].pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"

    def stop(self, name: str, how: signal.Signals = signal.SIGTERM) -> int | None:
        process = self.processes.pop(name)
        _tell(process, signal.SIGCONT)
        _tell(process, how)
        process.join(30)
        if process.exitcode is None:
            process.kill()
        return process.exitcode

    def close(self) -> None:
        for name in list(self.processes):
            self.stop(name, signal.SIGKILL)


def _tell(process: BaseProcess, how: signal.Signals) -> None:
    if process.pid is not None and process.is_alive():
        os.kill(process.pid, how)


class Load:
    """Engines that send people and their letters, a desk that picks the home, a home that polls, collects and answers; all at once.

    Each goes on with a step until it is told "yes", as such software does. `told`, `collected` and `answered`: what they believe.
    """

    def __init__(self, deployment: Deployment) -> None:
        self._service, self._deployment = deployment.service, deployment
        self._numbers, self._stopping, self._failed = itertools.count(), threading.Event(), list[BaseException]()
        self._threads = [threading.Thread(target=self._safely, args=(run,), daemon=True) for run in [*[self._send] * ENGINES, self._read]]
        self._tokens = {client: self._service.token(client) for client in ("home", "hospital")}
        self.told: set[str] = set()
        self.shown: list[str] = []
        self.collected: set[str] = set()
        self.answered: set[str] = set()
        self.polls = 0

    def __enter__(self) -> "Load":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()

    def _safely(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException as problem:  # noqa: BLE001  # the test thread raises it
            self._failed.append(problem)

    def goes_on(self, *, letters: int = 2, polls: int = 2, shown: int = 0, seconds: float = 40) -> None:
        """Wait until so many more were acknowledged, polled and shown from now on."""
        wanted = (len(self.told) + letters, self.polls + polls, len(self.shown) + shown)

        def has() -> bool:
            assert not self._failed, self._failed
            return all(is_ >= want for is_, want in zip((len(self.told), self.polls, len(self.shown)), wanted, strict=True))

        wait_until(has, f"{wanted} letters, polls and deliveries, not {len(self.told)}, {self.polls}, {len(self.shown)}", seconds)

    def end(self, seconds: float = 60) -> None:
        """No new people; those that are under way arrive, and everything is read, collected and answered."""
        self._stopping.set()
        for thread in self._threads[:-1]:
            thread.join(seconds)
        wait_until(
            lambda: bool(self._failed) or len(self.answered) >= len(self.told),
            f"all of {len(self.told)}, {len(self.answered)} are there",
            seconds,
        )
        self._threads[-1].join(10)
        assert not self._failed, self._failed
        assert not any(thread.is_alive() for thread in self._threads)

    def _until(self, is_told: Callable[[], object]) -> None:
        """Again and again, as a sender does who was not answered."""
        while True:
            try:
                if is_told():
                    return
            except OSError:
                pass
            time.sleep(0.1)

    def _send(self) -> None:
        while not self._stopping.is_set():
            number = next(self._numbers)
            person, now = made_up(number), datetime.now(UTC)
            self._until(lambda: self._service.mllp(admission(person, now)) == ["AA"])  # noqa: B023  # called at once
            self._until(lambda: self._picked(person))  # noqa: B023
            raw = letter(person, now)
            if number % 2:
                self._until(lambda: self._service.mllp(raw) == ["AA"])  # noqa: B023
            else:
                self._lay_down(f"{person.visit}.hl7", raw)
            self.told.add(person.number)

    def _lay_down(self, name: str, raw: bytes) -> None:
        watched = self._deployment.watched
        (watched / f".{name}").write_bytes(raw)
        (watched / f".{name}").rename(watched / name)
        self._until(lambda: list((watched / "taken").glob(f"{name}.*.json")))

    def _picked(self, person: Person) -> bool:
        pick = {"stay": person.visit, "site": HOME, "by": self._deployment.worker}
        return self._service.http("POST", "/transfers/confirm", json.dumps(pick).encode(), token=self._tokens["hospital"])[0] == 200

    def _read(self) -> None:
        """The home's software: what has changed since it last looked, once each, then the papers and an answer."""
        since = ""
        while not (self._stopping.is_set() and len(self.answered) >= len(self.told) and not any(t.is_alive() for t in self._threads[:-1])):
            found = self._asked("GET", f"/fhir/DocumentReference?_count=50{since and '&_lastUpdated=gt' + since}")
            self.polls += found is not None
            for entry in (found or {}).get("entry", []):
                document = entry["resource"]
                since = document["meta"]["lastUpdated"].replace("+", "%2B")
                self.shown.append(document["subject"]["identifier"]["value"])
                for content in document["content"]:
                    path = "/fhir/" + content["attachment"]["url"].partition("/fhir/")[2]
                    self._until(lambda: self._service.http("GET", path, token=self._tokens["home"])[0] == 200)  # noqa: B023
                    self.collected.add(path.rpartition("/")[2])
                self._until(lambda: self._has_answered(document["id"]))  # noqa: B023
                self.answered.add(document["id"])
            time.sleep(0.05)

    def _asked(self, method: str, path: str) -> dict[str, Any] | None:
        status, _, body = self._service.http(method, path, token=self._tokens["home"])
        return dict(json.loads(body)) if status == 200 else None

    def _has_answered(self, delivery: str) -> bool:
        task = self._asked("GET", f"/fhir/Task/{delivery}")
        if task is None or task["status"] == "in-progress":
            return task is not None
        task |= {"status": "in-progress", "businessStatus": {"coding": [{"code": "seen"}]}}
        etag = f'W/"{task["meta"]["versionId"]}"'
        body = json.dumps(task).encode()
        path, token = f"/fhir/Task/{delivery}", self._tokens["home"]
        return self._service.http("PUT", path, body, token=token, media_type="application/fhir+json", If_Match=etag)[0] == 200


def judge(deployment: Deployment, load: Load) -> None:
    """What the outside world believes is what is there, once, in order, and with an audit row for whatever was given out."""
    wait_until(deployment.is_at_rest, "rest", 40)
    assert Counter(load.shown) == Counter(load.told), "shown and acknowledged differ"
    with deployment.opened() as exchange:
        exchange.store.read(lambda uow: _judge(uow, exchange, load))


def _judge(uow: UnitOfWork, exchange: Exchange, load: Load) -> None:
    rows = uow.find(Delivery, order="sequence", recipient_org=HOME)
    items = {item.delivery.id: item.person.nhs_number for item in exchange.poll(Caller(HOME), count=1000)[0]}
    assert Counter(items[row.id] for row in rows) == Counter(load.told)
    assert [(row.sequence, row.number, row.state) for row in rows] == [(n, 1, "current") for n in range(1, len(rows) + 1)]
    numbers = {event.id: event.sequence for event in uow.find(OutboxEvent)}
    assert [numbers[row.event_id] for row in rows] == sorted(numbers[row.event_id] for row in rows), "out of order"
    assert uow.count(OutboxEvent, state="new") + uow.count(OutboxEvent, settled_at=None) == 0
    assert uow.count(Submission) == 2 * len(load.told) == uow.count(Submission, state="read")
    assert Counter(load.answered) == Counter(row.delivery_id for row in uow.find(Answer))
    assert load.collected == {part.id for part in uow.find(Part)}
    disclosed = {row.detail_id for row in uow.find(AuditEvent) if row.type.endswith(".collected")}
    assert load.collected <= disclosed, "given out, and no audit row says so"
    assert check_all(uow, exchange.environment) == []
