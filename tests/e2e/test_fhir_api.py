"""The FHIR API as its clients meet it: tokens, search, collect, Task, audit, errors; every body is read by fhir.resources."""

import json
import re
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from exchange.check.document_rules import DOCUMENT
from exchange.cli.demo_story import admission, letter, people
from exchange.fhir.codes import CONTENT_DIGEST
from exchange.intake.accept import digest_of
from exchange.mailbox.collect import Caller
from exchange.records import AuditEvent, Delivery
from tests.app_kit import HOME
from tests.draft_kit import EXAMPLES
from tests.e2e.api_kit import FORM, KEYS, Api, api, code_of

INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def pages(service: Api, first: str) -> list[list[dict]]:
    """Every page from a first address to the end of the next links."""
    found, path = [], first
    while path:
        body = service.fhir("GET", path).json()
        found.append([entry["resource"] for entry in body["entry"]])
        path = next((path_of(link["url"]) for link in body["link"] if link["relation"] == "next"), "")
    return found


def many(service: Api, count: int) -> None:
    """Deliver several papers: one person after the other, by visit and NHS number of our own."""
    person = people(service.kit.clock())[0]
    numbers = nhs_numbers()
    for n in range(count):
        number = next(numbers)
        put = lambda raw, n=n, number=number: service.kit.send(  # noqa: E731
            raw.replace(b"V1001", b"V7%03d" % n).replace(person.number.encode(), number).replace(b"|P|2", b"%03d|P|2" % n, 1)
        )
        put(admission(person, service.kit.clock.at))
        put(letter(person, service.kit.clock.at))
        service.kit.drain()
        service.kit.exchange.confirm_site(f"V7{n:03}", HOME, service.kit.worker)
        service.kit.drain()


def nhs_numbers():  # type: ignore[no-untyped-def]
    for body in range(999_100_000, 999_200_000):
        check = 11 - sum(int(d) * (10 - i) for i, d in enumerate(str(body))) % 11
        if check != 10:
            yield f"{body}{0 if check == 11 else check}".encode()


@pytest.mark.parametrize("alg", sorted(KEYS))
def test_a_token_by_every_algorithm(tmp_path: Path, alg: str) -> None:
    with api(tmp_path) as service:
        service.register("algorithms", HOME, "home", alg)
        service.fhir("GET", "/fhir/DocumentReference", "algorithms")


def test_the_same_instant_is_paged_without_loss(tmp_path: Path) -> None:
    """Case 34: 25 deliveries of one and the same lastUpdated."""
    with api(tmp_path) as service:
        many(service, 25)
        at = service.kit.clock.at
        service.kit.exchange.store.write(lambda uow: uow.update(Delivery, {"updated_at": at}, recipient_org=HOME))
        since = at.isoformat().replace("+00:00", "Z")
        for count in (10, 1, 25):
            found = pages(service, f"/fhir/DocumentReference?_lastUpdated=ge{since}&_count={count}")
            ids = [resource["id"] for page in found for resource in page]
            assert (len(ids), len(set(ids))) == (25, 25)
            assert {len(page) for page in found[:-1]} <= {count}
        service.kit.story(1, supplemented=False)
        again = {r["id"] for page in pages(service, f"/fhir/DocumentReference?_lastUpdated=ge{since}") for r in page}
        assert len(again) == 26
        assert set(ids) <= again


def test_last_updated_prefixes(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        service.kit.story(2)
        stamp = service.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]["meta"]["lastUpdated"]
        assert INSTANT.fullmatch(stamp)
        expected = {"ge": 1, "gt": 0, "le": 1, "lt": 0, "eq": 1, "": 1}
        for prefix, count in expected.items():
            body = service.fhir("GET", f"/fhir/DocumentReference?_lastUpdated={prefix}{stamp}").json()
            assert len(body.get("entry", [])) == count, prefix
        for bad in ("xx2026", "2026-13-45", "ge", "ne2026-01-01", "%00"):
            answer = service.fhir("GET", f"/fhir/DocumentReference?_lastUpdated={bad}", status=400)
            assert code_of(answer) == "parameter"
        for bad in ("-1", "ten", "%D9%A1"):
            service.fhir("GET", f"/fhir/DocumentReference?_count={bad}", status=400)
        service.fhir("GET", "/fhir/DocumentReference?_count=99999999999999999999999999", status=400)
        service.fhir("GET", "/fhir/DocumentReference?_page=99999999999999999999999999", status=400)


def test_search_by_person_is_a_form_and_finds_that_person_alone(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        service.kit.story(0)
        service.kit.story(2)

        def found(**data: str) -> set[str]:
            body = service.fhir("POST", "/fhir/DocumentReference/_search", data=data, headers=FORM).json()
            return {entry["resource"]["subject"]["identifier"]["value"] for entry in body.get("entry", [])}

        assert found() == {"9990000018", "9990000042"}
        assert found(**{"patient.identifier": "https://fhir.nhs.uk/Id/nhs-number|9990000042"}) == {"9990000042"}
        assert found(**{"subject:identifier": "9990000018"}) == {"9990000018"}
        assert found(**{"patient.identifier": "9990000026"}) == set()
        for wrong in ("https://elsewhere.example|9990000018", "https://fhir.nhs.uk/Id/nhs-number|"):
            service.fhir("POST", "/fhir/DocumentReference/_search", status=400, data={"patient.identifier": wrong}, headers=FORM)


def test_paging_while_others_write_skips_nothing(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        many(service, 6)
        known = {r["id"] for page in pages(service, "/fhir/DocumentReference") for r in page}
        writer = threading.Thread(target=service.kit.story, args=(1,))
        writer.start()
        seen = {r["id"] for page in pages(service, "/fhir/DocumentReference?_count=1") for r in page}
        writer.join()
        assert known <= seen


def test_content_is_the_bundle_then_the_letters_each_audited(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        transfer = service.kit.story(0)
        entry = service.fhir("GET", "/fhir/DocumentReference?_count=200").json()["entry"][-1]["resource"]
        assert ID.fullmatch(entry["id"])
        assert f"urn:uuid:{transfer}" in [i["value"] for i in entry["identifier"]]
        kinds = []
        for content in entry["content"]:
            attachment = content["attachment"]
            kinds.append(attachment["contentType"])
            answer = service.fhir("GET", path_of(attachment["url"]))
            assert len(answer.content) == attachment["size"]
            assert attachment["extension"] == [{"url": CONTENT_DIGEST, "valueString": digest_of(answer.content)}]
            assert answer.headers["cache-control"] == "no-store"
        assert kinds[0] == "application/fhir+json"
        assert len(kinds) >= 2
        rows = service.kit.exchange.store.read(lambda uow: uow.find(AuditEvent, entity_id=transfer, client_id="home"))
        types = [row.type for row in rows]
        assert types.count("document.collected") == 1
        assert types.count("letter.collected") == len(kinds) - 1
        assert service.kit.findings() == []


def test_a_withdrawn_document_is_gone(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        service.kit.story(0)
        entry = service.fhir("GET", "/fhir/DocumentReference?_count=200").json()["entry"][-1]["resource"]
        service.kit.clock.forward(minutes=5)
        service.kit.send(admission(people(service.kit.clock())[0], service.kit.clock.at, "A13"))
        service.kit.drain()
        for content in entry["content"]:
            assert code_of(service.fhir("GET", path_of(content["attachment"]["url"]), status=410)) == "withdrawn"
        now = service.fhir("GET", f"/fhir/DocumentReference/{entry['id']}").json()
        assert now["status"] == "entered-in-error"
        task = service.fhir("GET", f"/fhir/Task/{entry['id']}").json()
        assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("cancelled", "withdrawn")


ANSWERS = [
    ("in-progress", "seen", {}),
    ("accepted", "can-take", {"restriction": {"period": {"start": "2026-11-28T10:00:00+00:00"}}}),
    ("rejected", "cannot", {"statusReason": {"coding": [{"code": "D01"}], "text": "Full"}}),
    ("on-hold", "question", {"statusReason": {"coding": [{"code": "Q01"}], "text": "Where is the list?"}}),
]


@pytest.mark.parametrize(("status", "business", "more"), ANSWERS, ids=[a[1] for a in ANSWERS])
def test_the_life_of_a_task(tmp_path: Path, status: str, business: str, more: dict) -> None:
    with api(tmp_path) as service:
        service.kit.story(2)
        read = service.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]
        answer = service.fhir("GET", f"/fhir/Task/{read['id']}")
        task, etag = answer.json(), answer.headers["etag"]
        assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("requested", "delivered")
        assert etag == f'W/"{task["meta"]["versionId"]}"'
        service.fhir("GET", path_of(read["content"][0]["attachment"]["url"]))
        task = service.fhir("GET", f"/fhir/Task/{read['id']}").json()
        assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("received", "collected")
        given = {**task, "status": status, "businessStatus": {"coding": [{"code": business}]}, **more}
        put = service.fhir("PUT", f"/fhir/Task/{read['id']}", json=given, headers={"If-Match": etag})
        assert put.json()["status"] == status
        assert put.json()["businessStatus"]["coding"][0]["code"] == business
        for name, value in more.items():
            if name == "restriction":
                assert put.json()[name]["period"]["start"] == value["period"]["start"]
            else:
                assert put.json()[name]["coding"][0]["code"] == value["coding"][0]["code"]
                assert put.json()[name]["text"] == value["text"]
        assert put.headers["etag"] != etag
        assert (
            code_of(service.fhir("PUT", f"/fhir/Task/{read['id']}", status=412, json=given, headers={"If-Match": etag}))
            == "answered_meanwhile"
        )
        assert code_of(service.fhir("PUT", f"/fhir/Task/{read['id']}", status=428, json=given)) == "if_match_missing"
        assert len(service.kit.exchange.transfer_status(read["identifier"][0]["value"].removeprefix("urn:uuid:"), "RZZ01")["answers"]) == 1


def test_agreement_is_the_managers_by_task_too(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        service.kit.story(2)
        id = service.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]["id"]
        for person, status in ((None, 422), (service.kit.carer, 422), (service.kit.other_carer, 404), (service.kit.manager, 200)):
            answer = service.fhir("GET", f"/fhir/Task/{id}")
            task = answer.json() | {"status": "completed", "businessStatus": {"coding": [{"code": "admission-agreed"}]}}
            if person:
                reference = {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{person}"}}
                task["note"] = [{"authorReference": reference, "text": "agreed"}]
            service.fhir("PUT", f"/fhir/Task/{id}", status=status, json=task, headers={"If-Match": answer.headers["etag"]})


def search(service: Api, client: str, status: int = 200, **fields: str):  # type: ignore[no-untyped-def]
    names = {name.replace("__", ":").replace("_dot_", "."): value for name, value in fields.items()}
    return service.fhir("POST", "/fhir/AuditEvent/_search", client, status, data=names, headers=FORM)


def test_audit_search(tmp_path: Path) -> None:
    """By person, entity, type, date, paging; own organisation only; the question is audited; case 37: by agent."""
    with api(tmp_path) as service:
        transfer = service.kit.story(0)
        service.kit.exchange.open_version(service.kit.caller(), transfer)
        number = people(service.kit.clock())[0].number
        by_number = search(service, "home", patient_dot_identifier=f"https://fhir.nhs.uk/Id/nhs-number|{number}").json()
        assert {"version.published", "document.opened"} <= types_of(by_number)
        assert number not in str([link["url"] for link in by_number["link"]])
        assert number not in str(by_number)
        assert types_of(search(service, "home", type="document.opened").json()) == {"document.opened"}
        assert types_of(search(service, "home", entity=f"urn:uuid:{transfer}").json()) >= {"delivery.made"}
        for agent in (f"Practitioner/{service.kit.carer}", f"{service.kit.settings.public_url}/fhir/Practitioner/{service.kit.carer}"):
            found = search(service, "home", agent=agent).json()
            assert found["entry"]
            assert all(service.kit.carer in str(entry["resource"]["agent"]) for entry in found["entry"])
        identified = search(service, "home", agent__identifier=f"urn:ietf:rfc:3986|urn:uuid:{service.kit.carer}").json()
        assert len(identified["entry"]) == len(found["entry"])
        assert search(service, "home", agent="Practitioner/nobody").json().get("entry", []) == []
        assert search(service, "other", agent=f"Practitioner/{service.kit.carer}").json().get("entry", []) == []
        assert code_of(search(service, "home", status=400, purpose="x")) == "parameter"
        asked = service.kit.exchange.store.read(lambda uow: uow.find(AuditEvent, type="audit.searched", client_id="home"))
        assert len(asked) >= 6
        day = service.kit.clock.at.date().isoformat()
        both = service.fhir(
            "POST",
            "/fhir/AuditEvent/_search",
            content=f"agent=Practitioner/{service.kit.carer}&date=ge{day}&date=lt2027-01-01",
            headers=FORM,
        ).json()
        assert len(both["entry"]) == len(found["entry"])


def types_of(bundle: dict) -> set[str]:
    return {entry["resource"]["subtype"][1]["code"] for entry in bundle.get("entry", [])}


def test_audit_pages_give_each_event_once(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        service.kit.story(0)
        entity = service.kit.exchange.poll(Caller(HOME))[0][0].transfer.id
        everything = [e["resource"]["id"] for e in search(service, "home", entity=entity, _count="200").json()["entry"]]
        got: list[str] = []
        body = search(service, "home", entity=entity, _count="2").json()
        while True:
            got += [entry["resource"]["id"] for entry in body["entry"]]
            following = next((link["url"] for link in body["link"] if link["relation"] == "next"), "")
            if not following:
                break
            body = service.fhir("POST", path_of(following), content=f"entity={entity}&_count=2", headers=FORM).json()
        assert len(got) == len(set(got))
        assert sorted(got) == sorted(everything)


def test_metadata_is_a_capability_statement(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        body = service.fhir("GET", "/fhir/metadata", "").json()
        assert (body["resourceType"], body["fhirVersion"], body["kind"]) == ("CapabilityStatement", "4.0.1", "instance")


def test_validate_judges_and_keeps_nothing(tmp_path: Path) -> None:
    with api(tmp_path) as service:
        good = {"resourceType": "Patient", "birthDate": "1942-03-14"}
        answer = service.fhir("POST", "/fhir/Patient/$validate", json=good).json()
        assert {issue["severity"] for issue in answer["issue"]} == {"warning"}  # it has no narrative
        bad = service.fhir("POST", "/fhir/Patient/$validate", json={**good, "birthDate": "1942-14-03", "gender": "zzz"}).json()
        found = {issue["expression"][0] for issue in bad["issue"] if issue["severity"] == "error"}
        assert found == {"Patient.birthDate", "Patient.gender"}
        assert "1942-14-03" not in str(bad)
        xml = b'<Patient xmlns="http://hl7.org/fhir"><gender value="zzz"/></Patient>'
        said = service.fhir("POST", "/fhir/Patient/$validate", content=xml, headers={"Content-Type": "application/fhir+xml"}).json()
        assert [issue["expression"] for issue in said["issue"] if issue["severity"] == "error"] == [["Patient.gender"]]
        unknown = service.fhir("POST", "/fhir/Patient/$validate?profile=https://nowhere.example/p", status=422, json=good)
        assert code_of(unknown) == "unknown_profile"
        for wrong in (b"{", b"<Patient", b"[]", b'{"resourceType":"Observation"}'):
            service.fhir("POST", "/fhir/Patient/$validate", status=400, content=wrong)
        service.fhir("POST", "/fhir/Patient/$validate", "", status=401, json=good)


def test_validate_holds_a_document_to_our_profile(tmp_path: Path) -> None:
    address = f"/fhir/Bundle/$validate?profile={DOCUMENT}"
    document = json.loads((EXAMPLES / "document-valid.json").read_text())
    with api(tmp_path) as service:
        said = service.fhir("POST", address, json=document).json()
        assert {issue["severity"] for issue in said["issue"]} == {"information"}
        del document["identifier"], document["entry"][0]["resource"]["title"], document["entry"][1]["resource"]["id"]
        said = service.fhir("POST", address, json=document).json()
        found = {(issue["details"]["coding"][0]["code"], issue["expression"][0]) for issue in said["issue"] if issue["severity"] == "error"}
        assert found == {("bdl-9", "Bundle"), ("min", "Bundle.entry[0].resource"), ("wp-doc-2", "Bundle.entry[1]")}
