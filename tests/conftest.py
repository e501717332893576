"""Rules of the whole suite: in CI a skip that is not listed here, with its reason, is a failure."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import databases
from tests.kafka_kit import Brokers

SCRIPT = Path(__file__).parents[1] / "docker" / "local" / "postgres.sh"
ALLOWED_SKIPS = (
    # Shared material lies beside the checkout on the project's own machines; elsewhere its tests are skipped by name.
    *(f"../shared/{name} is not here" for name in ("samples", "hospital", "cases", "ukcore")),
    # HL7's engine is a Java program: where Maven is not at hand, the comparison is skipped by name.
    "WARDPOST_ORACLE is not set",
    "Maven, Java or ../shared is not here",
    "about the SQLite file",
    # A file that may not be read: nothing is forbidden to root, and CI is root.
    "root may read everything",
    "Maven or Java is not here: Apache Kafka cannot be started",
    # A container may forbid to watch a process.
    "strace is not here, or not allowed: no record of what was flushed",
)
_seen: set[str] = set()


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The URL of a PostgreSQL server; one of our own when none was named."""
    if databases.SERVER:
        yield databases.SERVER
        return
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)  # the server's own user must get in
        yield subprocess.run([SCRIPT, "start", f"{folder}/pg"], check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run([SCRIPT, "stop", f"{folder}/pg", "immediate"], check=True)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """One genuine broker for the whole session."""
    yield from _brokers(tmp_path_factory, 1)


@pytest.fixture
def three_brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    yield from _brokers(tmp_path_factory, 3)


@pytest.fixture(scope="module")
def secure_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """One genuine broker that wants TLS and a SCRAM login."""
    yield from _brokers(tmp_path_factory, 1, secure=True)


def _brokers(tmp_path_factory: pytest.TempPathFactory, count: int, *, secure: bool = False) -> Iterator[Brokers]:
    brokers = Brokers(tmp_path_factory.mktemp("kafka"), count, secure=secure)
    try:
        brokers.start()
        yield brokers
    finally:
        brokers.stop()


@pytest.fixture(autouse=True)
def _databases() -> Iterator[None]:
    """No test sees the PostgreSQL databases of another one."""
    yield
    databases.drop_all()


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    if report.skipped and isinstance(report.longrepr, tuple):
        _seen.add(report.longrepr[2].removeprefix("Skipped: "))


def pytest_sessionfinish(session: pytest.Session) -> None:
    unknown = sorted(_seen - set(ALLOWED_SKIPS))
    if os.environ.get("CI") and unknown:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        print(f"\nskipped for reasons that tests/conftest.py does not list: {unknown}")
