"""Servers that die, freeze and come back, processes that are killed and paused, under load, with one process per role: real ones all."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exchange.cli.demo_story import admission
from exchange.roles import RunRole
from tests.conftest import SCRIPT as POSTGRES
from tests.databases import database_for
from tests.fault.deployment import LEASE, Deployment, Fate, Load, judge
from tests.fault.runner import KILLED, NOW, made_up
from tests.fault.test_crash import POINTS
from tests.kafka_kit import Brokers
from tests.service_kit import wait_until

pytestmark = pytest.mark.services
# `./dev campaign --crash N` dies at another turn of each step in each pass.
TURN = int(os.environ.get("WARDPOST_CRASH_TURN", "0"))
# Who passes a fail point, by its noun.
ROLE_OF = {
    **dict.fromkeys(("accept", "folder"), RunRole.INTAKE),
    **dict.fromkeys(("work", "read", "publish", "deliver"), RunRole.WORKER),
    "relay": RunRole.RELAY,
    **dict.fromkeys(("collect", "answer"), RunRole.API),
}


class Server:
    """A PostgreSQL of the test's own: it may be stopped."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = self.start()

    def start(self) -> str:
        return subprocess.run([POSTGRES, "start", self.folder], check=True, capture_output=True, text=True).stdout.strip()

    def stop(self) -> None:
        subprocess.run([POSTGRES, "stop", self.folder, "immediate"], check=True)

    def cut(self) -> int:
        """End every session of ours, in the middle of whatever it does; how many."""
        with psycopg.connect(self.url, autocommit=True) as link:
            query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'wardpost'"
            found = link.execute(query).fetchone()
            assert found is not None
            return int(found[0])


@pytest.fixture(params=["postgres", "kafka"])
def deployment(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Deployment]:
    kafka: Brokers | None = request.getfixturevalue("kafka") if request.param == "kafka" else None
    made = Deployment(tmp_path, database_for(tmp_path, request.getfixturevalue("server")), kafka.servers if kafka else "")
    made.set_up()
    yield made
    made.close()


def fates_of(role: str) -> list[Fate]:
    """Before and after its commits, and at every point of its own that the product names."""
    fates = [Fate(f"store.{when}_commit", at) for at in ((1, 2) if role == "clock" else (1, 3)) for when in ("before", "after")]
    return fates + [Fate(point, 2 + TURN % 3) for point in POINTS if ROLE_OF.get(point.partition(".")[0]) == role]


def test_killed_at_every_step_of_every_role(deployment: Deployment) -> None:
    """Each process dies at one step after the other, is started again at once, and dies at the next; all roles at the same time."""
    # Notices need a mail server, which this deployment has not: test_crash.py dies there.
    assert {point.partition(".")[0] for point in POINTS} == {"store", "notice", *ROLE_OF}
    deployment.start_all()
    with Load(deployment) as load:
        load.goes_on(shown=1)
        left = {role: iter(fates_of(role)) for role in RunRole}
        living = set(RunRole)
        for role in RunRole:
            assert deployment.stop(role, signal.SIGKILL) == -signal.SIGKILL
            deployment.start(role, next(left[role]))

        def have_died() -> bool:
            for role in sorted(living):
                code = deployment.processes[role].exitcode
                if code is not None:
                    assert code == KILLED, deployment.log(role).read_text()[-2000:]
                    fate = next(left[role], None)
                    deployment.start(role, fate)
                    living.difference_update([] if fate else [role])
            return not living

        wait_until(have_died, "the end of every life", 100)
        load.end()
    judge(deployment, load)


def test_who_was_paused_past_the_lease_writes_nothing(deployment: Deployment) -> None:
    """Two workers and two relays. One of each stops in the middle of a step and wakes when the other one has done it."""
    deployment.start_all()
    with Load(deployment) as load:
        load.goes_on(shown=1)
        # name of the paused one, its role, where it stops, and what it must say when it wakes
        for name, role, point, code in (
            ("reader", "worker", "read.before_commit", "work_lease_lost"),
            # Also refused, before its lease is looked at, when the other one has published this very transfer: `transfer_state`.
            ("publisher", "worker", "publish.before_commit", "work_lease_lost|transfer_state"),
            ("consumer", "worker", "deliver.before_offset", "loop_failed" if deployment.is_on_kafka else ""),
            ("second relay", "relay", "relay.after_publish", "relay_lease_lost"),
        ):
            deployment.start(role, Fate(point, stops=True), name)
            deployment.stop(role)  # so that its turn comes to the other one
            wait_until(lambda n=name: deployment.is_stopped(n), f"the pause of the {name}", 40)  # type: ignore[misc]
            deployment.start(role)
            over = time.monotonic() + 2 * LEASE.total_seconds()
            load.goes_on(shown=4)
            wait_until(lambda end=over: time.monotonic() > end, "the end of lease and session")  # type: ignore[misc]
            before = deployment.logs(code, name)
            deployment.wake(name)
            wait_until(lambda n=name, c=code, b=before: not c or deployment.logs(c, n) > b, f"{code} of the {name}", 20)  # type: ignore[misc]
            assert deployment.stop(name) == 0
        load.end()
    judge(deployment, load)


def test_a_database_that_is_restarted_and_connections_that_are_cut(tmp_path: Path) -> None:
    """Nobody is told "yes" meanwhile, every process outlives it, and what was asked for twice is there once."""
    folder = Path(tempfile.mkdtemp(prefix="wardpost-pg-"))  # its own user must get there
    folder.chmod(0o755)
    server = Server(folder / "pg")
    deployment = Deployment(tmp_path, server.url)
    try:
        deployment.set_up()
        deployment.start_all()
        with Load(deployment) as load:
            cut = 0
            for _ in range(5):
                load.goes_on(letters=1)
                cut += server.cut()  # not every process has a new connection yet each time
            assert cut > 10
            server.stop()
            assert deployment.service.mllp(admission(made_up(900_000), NOW)) == [""], "no answer: nobody has custody"
            assert deployment.service.http("GET", "/ready")[0] == 503
            told = len(load.told)
            wait_until(lambda: deployment.logs("listeners_not_refreshed", "intake") > 0, "a look at the senders", 20)
            assert len(load.told) == told
            server.start()
            load.goes_on(shown=2)
            server.stop()
            server.start()
            load.goes_on()
            load.end()
            assert all(process.is_alive() for process in deployment.processes.values())
        judge(deployment, load)
    finally:
        deployment.close()
        server.stop()
        shutil.rmtree(folder)


def test_a_broker_that_is_killed_and_frozen(kafka: Brokers, server: str, tmp_path: Path) -> None:
    """Intake, picks and polls go on meanwhile; what the broker has not told us it has is published again."""
    deployment = Deployment(tmp_path, database_for(tmp_path, server), kafka.servers)
    try:
        deployment.set_up()
        deployment.start_all()
        deployment.start("relay", name="second relay")
        with Load(deployment) as load:
            for end, again in ((signal.SIGKILL, kafka.start), (signal.SIGSTOP, lambda: kafka.signal(signal.SIGCONT))):
                load.goes_on(shown=1)
                kafka.signal(end)
                load.goes_on(letters=4, polls=4)
                wait_until(lambda: deployment.logs("bus_away", "relay", "second relay", "worker") > 0, "a broker that is missed", 40)
                assert deployment.service.http("GET", "/ready")[0] == 200, "the API does its part"
                again()
            load.goes_on(shown=2)
            load.end()
        judge(deployment, load)
    finally:
        deployment.close()
