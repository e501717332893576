"""TLS and SCRAM-SHA-512 against a genuine broker: who may in gets in, who may not is told why, `/ready` and `doctor` say the same."""

import gc
import json
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from exchange.cli.doctor import look_at
from exchange.config import Settings, load_settings
from exchange.errors import Refused
from exchange.wiring import kafka_bus
from tests.contract.test_buses import event, taken
from tests.databases import database_for
from tests.e2e.test_tls import Authority
from tests.kafka_kit import Brokers, read_all
from tests.service_kit import WARDPOST, Service, wait_until

# aiokafka forgets connections that were refused; they are closed when they are collected, here and now.
pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


@pytest.fixture(autouse=True)
def _collected() -> Iterator[None]:
    yield
    gc.collect()


@pytest.fixture
def access(secure_kafka: Brokers, tmp_path: Path) -> dict[str, str]:
    """The settings of somebody who may in; the copy of the password is the test's own."""
    password = tmp_path / "password"
    password.write_text((secure_kafka.folder / "password").read_text())
    return {
        "WARDPOST_KAFKA": secure_kafka.servers,
        "WARDPOST_KAFKA_USER": "wardpost",
        "WARDPOST_KAFKA_PASSWORD_FILE": str(password),
        "WARDPOST_KAFKA_CA_FILE": str(secure_kafka.folder / "ca.pem"),
    }


def wrongly(settings: Settings, wrong: str, folder: Path) -> Settings:
    if wrong == "an unknown authority":
        return replace(settings, kafka_ca_file=Authority(folder).file)
    if wrong == "an unknown user":
        return replace(settings, kafka_user="nobody")
    other = folder / "other"
    other.write_text("" if wrong == "no password" else "another one")
    return replace(settings, kafka_password_file=other)


def test_events_go_over_tls_with_a_login(access: dict[str, str]) -> None:
    with closing(kafka_bus(load_settings(access))) as bus:
        bus.ping()
        bus.publish([event(1), event(2)])
        assert read_all(lambda: taken(bus, "secure"), 2) == [event(1), event(2)]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ("a wrong password", "bus_login"),
        ("no password", "bus_login"),
        ("an unknown user", "bus_login"),
        ("an unknown authority", "bus_tls"),
    ],
)
def test_who_may_not_in_is_told_why(access: dict[str, str], tmp_path: Path, wrong: str, code: str) -> None:
    settings = wrongly(load_settings(access), wrong, tmp_path)
    with closing(kafka_bus(settings)) as bus:
        for call in (bus.ping, lambda: bus.publish([event(3)]), lambda: bus.fetch("g", 1)):
            with pytest.raises(Refused, match=code) as told:
                call()
            assert "WARDPOST_KAFKA" in told.value.diagnostics()
            assert "another one" not in told.value.diagnostics()


@pytest.mark.parametrize("name", ["WARDPOST_KAFKA_CA_FILE", "WARDPOST_KAFKA_PASSWORD_FILE"])
def test_a_file_that_is_not_there_is_said_at_the_start(access: dict[str, str], name: str) -> None:
    with pytest.raises(Refused, match="setting"):
        kafka_bus(load_settings({**access, name: "nowhere"}))


def test_ready_and_doctor_tell_the_truth(access: dict[str, str], tmp_path: Path, server: str) -> None:
    """A relay with each of the settings: it stays up and says why it cannot do its part; with the right ones it can."""
    database = database_for(tmp_path, server)
    cases = {
        "bus_login": {**access, "WARDPOST_KAFKA_USER": "nobody"},
        "bus_tls": {**access, "WARDPOST_KAFKA_CA_FILE": str(Authority(tmp_path).file)},
        "there": access,
    }
    for code, environ in cases.items():
        service = Service(tmp_path, more_environ={"WARDPOST_DATABASE": database, **environ})
        service.launch(WARDPOST, "run", "--role", "relay")
        try:
            wait_until(lambda s=service: s.http("GET", "/ready")[0] != 0, "the relay")  # type: ignore[misc]
            status, _, body = service.http("GET", "/ready")
            assert (status, json.loads(body)["bus"]) == (200 if code == "there" else 503, code)
        finally:
            assert service.stop() == 0
        said = " ".join(note.words for note in look_at(load_settings(service.environ), date(2026, 11, 25)))
        assert ("WARDPOST_KAFKA" in said) is (code != "there"), said
