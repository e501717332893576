"""What whoever runs the service sees: health, readiness, metrics, traces; and roles as processes of their own."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, people
from tests.databases import database_for
from tests.fault.runner import NOW
from tests.service_kit import WARDPOST, Service, running_service, wait_until

LABELS = {
    "loop": {"worker", "relay", "deliver", "leases", "clock", "notices", "folders", "hints"},
    "code": {"AA", "AE", "AR", "none"},
    "method": {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "other"},
    "what": {"unpublished", "unsettled", "parked", "dead", "work", "holds"},
}


def test_health_readiness_metrics_and_traces(tmp_path: Path) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    with running_service(tmp_path) as service:
        assert service.mllp(admission(people(NOW)[0], NOW)) == ["AA"]
        service.http("GET", "/transfers/9990000018", traceparent=f"00-{trace}-b7ad6b7169203331-01")
        service.http("BREW", "/in/secret-of-a-link")
        assert json.loads(service.http("GET", "/health")[2])["status"] == "up"
        wait_until(lambda: json.loads(service.http("GET", "/ready")[2])["waiting"]["work"] == 0, "the work")
        status, _, body = service.http("GET", "/ready")
        found = json.loads(body)
        assert (status, found["status"], found["database"], found["bus"]) == (200, "ready", "there", "there")
        assert found["oldest_seconds"]["unsettled"] == 0
        text = service.http("GET", "/metrics")[2].decode()
        assert 'wardpost_mllp_answers_total{code="AA"} 1.0' in text
        assert 'route="/transfers/{id}"' in text
        for name, allowed in LABELS.items():
            assert set(re.findall(rf'[{{,]{name}="([^"]*)"', text)) <= allowed
        assert people(NOW)[0].number == "9990000018"
        assert not re.search(r"RZZ01|VZZ01|9990000018|secret|Testperson", text)
        assert service.stop() == 0
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert [line["route"] for line in lines if line.get("trace_id") == trace] == ["/transfers/{id}"]
    read = next(line for line in lines if line["event"] == "work_done")
    assert read["trace_id"] == read["work"].partition(":")[2].replace("-", "")


def test_roles_are_refused_on_sqlite(tmp_path: Path) -> None:
    service = Service(tmp_path)
    assert "role_needs_postgres" in service.cli("run", "--role", "worker", exit=1)
    assert "role is one of" in service.cli("run", "--role", "king", exit=2)


@contextmanager
def running(service: Service, role: str) -> Iterator[subprocess.Popen[bytes]]:
    with service.log.open("ab") as log:
        process = subprocess.Popen([WARDPOST, "run", "--role", role], env=service.environ, stdout=log, stderr=log)
    try:
        wait_until(lambda: service.http("GET", "/health")[0] == 200, role, 60)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0, "it does not stop gracefully"


@pytest.mark.services
def test_without_kafka_the_relay_is_not_ready_and_the_api_is(server: str, tmp_path: Path) -> None:
    environ = {"WARDPOST_DATABASE": database_for(tmp_path, server), "WARDPOST_KAFKA": "127.0.0.1:1"}
    services = {role: Service(tmp_path, more_environ=environ) for role in ("api", "relay", "worker")}
    services["api"].cli("sites", "add", "RZZ01", "Sample General Hospital", "--kind", "hospital")
    with ExitStack() as stack:
        for role, service in services.items():
            stack.enter_context(running(service, role))
        answers = {role: service.http("GET", "/ready") for role, service in services.items()}
        assert {role: status for role, (status, _, _) in answers.items()} == {"api": 200, "relay": 503, "worker": 503}
        assert {json.loads(body)["bus"] for _, _, body in answers.values()} == {"bus_away"}
        assert services["relay"].http("GET", "/fhir/metadata")[0] == 404, "a relay serves no API"
        assert b"wardpost_loop_failed_total" in services["relay"].http("GET", "/metrics")[2]
