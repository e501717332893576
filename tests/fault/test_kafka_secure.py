"""TLS and SCRAM against a genuine broker: the whole way over it, and who is refused is told why and says so in /ready."""

from pathlib import Path

import pytest

from exchange.bus.kafka import KafkaAccess, KafkaBus
from exchange.errors import Refused, Unavailable
from tests.contract.test_buses import event
from tests.databases import database_for
from tests.e2e.test_tls import Authority
from tests.fault.deployment import Deployment, Load, judge
from tests.kafka_kit import Brokers
from tests.service_kit import wait_until

pytestmark = [pytest.mark.services, pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")]


def test_the_way_over_tls_and_scram(tmp_path: Path, server: str, secure_kafka: Brokers) -> None:
    password = secure_kafka.folder / "password"
    assert password.stat().st_mode & 0o077 == 0
    wrong = tmp_path / "wrong"
    wrong.write_text("guessed")
    ours = {"KAFKA_USER": "wardpost", "KAFKA_PASSWORD_FILE": str(password), "KAFKA_CA_FILE": str(secure_kafka.folder / "ca.pem")}
    deployment = Deployment(tmp_path, database_for(tmp_path, server), secure_kafka.servers)
    deployment.service.more_environ |= {f"WARDPOST_{name}": value for name, value in ours.items()}
    deployment.set_up()
    others = {
        "bus_login": {"WARDPOST_KAFKA_PASSWORD_FILE": str(wrong)},
        "bus_certificate": {"WARDPOST_KAFKA_CA_FILE": str(Authority(tmp_path, "stranger").file)},
        "bus_away": {"WARDPOST_KAFKA_CA_FILE": ""},  # a login without TLS
    }
    try:
        # The refused ones come first: a relay of theirs may hold the lease, and must not keep the others from it for good.
        for code, settings in others.items():
            deployment.start("relay", name=code, **settings)
        for code in others:
            wait_until(lambda c=code: deployment.ready(c) == (503, c), f"{code}, not {deployment.ready(code)}")  # type: ignore[misc]
        deployment.start("api", WARDPOST_KAFKA_PASSWORD_FILE=str(wrong))
        # Polling goes on there, and it says what is the matter.
        wait_until(lambda: deployment.ready("api") == (200, "bus_login"), "the API")
        deployment.stop("api")
        deployment.start_all()
        with Load(deployment) as load:
            load.goes_on(letters=3, shown=3)
            load.end()
        judge(deployment, load)
        assert deployment.ready("relay") == (200, "there")
    finally:
        deployment.close()


def test_each_refusal_has_its_own_words(tmp_path: Path, secure_kafka: Brokers) -> None:
    password, authority = (secure_kafka.folder / "password").read_text().strip(), str(secure_kafka.folder / "ca.pem")
    stranger = str(Authority(tmp_path, "stranger").file)
    for access, kind, code in (
        (KafkaAccess(secure_kafka.servers, "wardpost", "guessed", authority), Refused, "bus_login"),
        (KafkaAccess(secure_kafka.servers, "nobody", password, authority), Refused, "bus_login"),
        (KafkaAccess(secure_kafka.servers, "wardpost", password, stranger), Refused, "bus_certificate"),
        (KafkaAccess(secure_kafka.servers.replace("127.0.0.1", "127.0.0.2"), "wardpost", password, authority), Unavailable, "bus_away"),
        (KafkaAccess(secure_kafka.servers, ca_file=authority), Unavailable, "bus_away"),
        (KafkaAccess(secure_kafka.servers), Unavailable, "bus_away"),
    ):
        bus = KafkaBus(access, topic="wardpost.test.secure", patience_seconds=4)
        try:
            for ask in (bus.ping, lambda b=bus: b.publish([event(1)]), lambda b=bus: b.fetch("g", 1)):  # type: ignore[misc]
                with pytest.raises(kind, match=code) as refused:
                    ask()
                assert password not in refused.value.diagnostics()
        finally:
            bus.close()


def test_an_authority_that_cannot_be_used_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "no.pem").write_text("no certificate")
    for name in ("no.pem", "nowhere.pem"):
        with pytest.raises(Refused, match="bus_certificate"):
            KafkaBus(KafkaAccess("127.0.0.1:1", ca_file=str(tmp_path / name)))
