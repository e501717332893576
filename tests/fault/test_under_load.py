"""Servers that die, freeze and come back, processes that are killed and paused, under load, with one process per role: real ones all."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from exchange.cli.demo_story import admission
from tests.conftest import SCRIPT as POSTGRES
from tests.databases import database_for
from tests.fault.deployment import Deployment, Fate, Load, judge
from tests.fault.runner import KILLED, NOW, made_up
from tests.fault.test_crash import POINTS
from tests.kafka_kit import Brokers
from tests.service_kit import wait_until

pytestmark = pytest.mark.services
ROLE_OF = {"accept": "intake", "folder": "intake", "relay": "relay", "collect": "api", "answer": "api"}
ROLES = ("api", "intake", "worker", "relay", "clock")


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


def test_killed_at_every_step_of_every_role(deployment: Deployment) -> None:
    """Each process dies at one step after the other, is started again at once, and dies at the next; all roles at the same time."""
    fates: dict[str, list[Fate]] = {role: [Fate(f"store.{when}_commit", at) for at in (1, 3) for when in ("before", "after")] for role in ROLES}
    fates["clock"] = [Fate("store.before_commit"), Fate("store.after_commit"), Fate("store.before_commit", 2)]
    for point in POINTS:
        if not point.startswith("store."):
            fates[ROLE_OF.get(point.partition(".")[0], "worker")].append(Fate(point, 2))
    deployment.start_all()
    with Load(deployment) as load:
        load.goes_on(shown=1)
        left = {role: iter(own) for role, own in fates.items()}
        for role in ROLES:
            deployment.stop(role, signal.SIGKILL)
            deployment.start(role, next(left[role]))
        living = set(ROLES)

        def have_died() -> bool:
            for role in sorted(living):
                process = deployment.processes[role]
                if process.exitcode is not None:
                    assert process.exitcode == KILLED, deployment.log(role).read_text()[-2000:]
                    fate = next(left[role], None)
                    deployment.start(role, fate)
                    if fate is None:
                        living.discard(role)
            return not living

        wait_until(have_died, "the end of every life", 100)
        load.end()
    judge(deployment, load)
