"""Unmodified clients of others against the running service: python-hl7 sends by MLLP, fhirpy polls, with nothing of ours between."""

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from fhirpy import SyncFHIRClient
from hl7.client import MLLPClient

from exchange.cli.demo_story import HOME, admission, letter, people
from tests.service_kit import Service, running_service, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("peers")) as found:
        yield found
        assert found.cli("fsck").endswith("fsck: clean")


def test_python_hl7_sends_and_fhirpy_polls(service: Service) -> None:
    picker = service.cli("people", "add", "Rob Manager-Test", "--org", "RZZ01", "--role", "site_manager", "--email", "rob@test.example")
    everyone = people(datetime.now(UTC))
    with MLLPClient("127.0.0.1", service.mllp_port) as sender:
        for person in everyone:
            for message in (admission(person, datetime.now(UTC)), letter(person, datetime.now(UTC))):
                answer = sender.send_message(message)
                assert b"MSA|AA|" in answer, answer
    for person in everyone:
        wait_until(lambda: _confirm(service, person.visit, picker), "the stay")  # noqa: B023  # called before the loop goes on
    client = SyncFHIRClient(f"http://127.0.0.1:{service.port}/fhir", authorization=f"Bearer {service.token('home')}")
    papers = client.resources("DocumentReference").search(_lastUpdated__gt="2020-01-01").limit(2)
    wait_until(lambda: len(papers.fetch_all()) == len(everyone), "the papers")
    found = papers.fetch_all()
    assert len({paper["id"] for paper in found}) == len(everyone)
    document = client.execute(found[0]["content"][0]["attachment"]["url"], "get")
    assert document["resourceType"] == "Bundle"
    task = client.reference("Task", found[0]["id"]).to_resource()
    assert task["status"] in ("requested", "received")


def _confirm(service: Service, visit: str, picker: str) -> bool:
    try:
        service.cli("sites", "confirm", visit, HOME, "--by", picker)
    except AssertionError as refused:
        if "stay:" not in str(refused):
            raise
        return False
    return True
