"""Bad input, from the MLLP port to the API: each has a clear answer, the service goes on, and fsck is clean at the end."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.errors import NotFound, Refused
from exchange.model import Environment
from exchange.records import AuditEvent, Hold, Submission, Transfer
from tests.app_kit import CLOSED_HOME, HOME, Kit, kit
from tests.e2e.api_kit import FORM, api, check, code_of
from tests.service_kit import Service, running_service, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("bad")) as found:
        yield found
        assert found.cli("fsck").endswith("fsck: clean")


HEADER = b"MSH|^~\\&|PAS|RZZ01|W|W|20261127163000||ADT^A08^ADT_A01|%s|T|2.4\rEVN|A08|20261127163000\r"
PID = b"PID|1||9990000018^^^NHS^NH||Testperson^Ada||19380514|F\rPV1|1|I|W6||||||||||||||||V5\r"
FRAMES: dict[str, tuple[bytes, str]] = {
    "binary rubbish": (bytes(b for b in range(256) if b not in (0x0B, 0x1C)) * 4, "AE"),
    "empty": (b"", "AE"),
    "no MSH-10": (HEADER % b"" + PID, "AE"),
    "unsupported message": (HEADER.replace(b"ADT^A08^ADT_A01", b"SIU^S12") % b"B1" + PID, "AA"),
    "NUL inside": (HEADER % b"B2" + PID.replace(b"Ada", b"A\x00da"), "AA"),
    "control characters": (HEADER % b"B3" + PID.replace(b"Ada", b"A\x01\x02\x1b[31mda"), "AA"),
    "not its character set": (
        HEADER.replace(b"|2.4\r", b"|2.4||||||UNICODE UTF-8\r", 1) % b"B4" + PID.replace(b"Ada", b"A\xff\xfeda"),
        "AA",
    ),
    "unknown character set": (HEADER.replace(b"|2.4\r", b"|2.4||||||KLINGON\r", 1) % b"B5" + PID, "AA"),
    "wrong check digit": (HEADER % b"B6" + PID.replace(b"9990000018", b"9990000019"), "AA"),
    "placeholder number": (HEADER % b"B7" + PID.replace(b"9990000018", b"0000000000"), "AA"),
    "two people": (HEADER % b"B8" + PID + PID.replace(b"9990000018", b"9990000026").replace(b"V5", b"V6"), "AA"),
    "a lone delimiter line": (b"MSH|\r", "AE"),
    "a long line": (HEADER % b"B9" + PID + b"ZZZ|" + b"x" * 1_000_000 + b"\r", "AA"),
    "many segments": (HEADER % b"B10" + PID + b"ZZZ|1\r" * 20_000, "AA"),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_bad_frame_has_an_answer_and_the_next_one_too(service: Service, name: str) -> None:
    raw, code = FRAMES[name]
    good = HEADER % f"G{list(FRAMES).index(name)}".encode() + PID
    assert service.mllp(raw, good) == [code, "AA"]


def test_a_truncated_frame_has_no_answer_and_leaves_nothing(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.mllp_port), timeout=10) as link:
        link.sendall(b"\x0b" + HEADER % b"CUT1" + PID[:20])
        link.shutdown(socket.SHUT_WR)
        assert link.recv(100) == b""
    assert service.mllp(HEADER % b"CUT1" + PID) == ["AA"]


def test_an_oversized_frame_is_refused_by_name(service: Service) -> None:
    raw = HEADER % b"BIG1" + PID + b"ZZZ|" + b"x" * (20 * 1024 * 1024) + b"\r"
    assert service.mllp(raw, HEADER % b"BIG2" + PID) == ["AR", "AA"]


def test_what_is_held_says_why_and_what_it_waits_for(service: Service) -> None:
    service.mllp(FRAMES["two people"][0])
    wait_until(lambda: "two_people" in service.cli("holds", "list"), "the hold")


ACKS = {
    "plain": b"MSH|^~\\&|AAA|BBB|CCC|DDD|20260114163000||ADT^A08^ADT_A01|H1|P|2.4\r",
    "components": b"MSH|^~\\&|AAA^1.2.3^ISO|BBB^4.5.6^ISO|CCC|DDD|20260114163000||ADT^A08^ADT_A01|H2|P|2.4\r",
    "delimiters": b"MSH$:*@+$AAA$BBB$CCC$DDD$20260114163000$$ADT:A08:ADT_A01$H3$P$2.4\r",
}


@pytest.mark.parametrize("name", ACKS)
def test_case_36_the_acknowledgement_turns_round(service: Service, name: str) -> None:
    raw = ACKS[name] + PID
    with socket.create_connection(("127.0.0.1", service.mllp_port), timeout=10) as link:
        link.sendall(b"\x0b" + raw + b"\x1c\r")
        answer = link.recv(65536)
    sent, got = raw.split(b"\r")[0], answer[1:-2].split(b"\r")
    fields, told = sent.split(sent[3:4]), got[0].split(sent[3:4])
    assert told[2:6] == [fields[4], fields[5], fields[2], fields[3]]
    assert told[9] != fields[9]
    assert told[10:12] == [b"P", b"2.4"]
    assert got[1].split(sent[3:4])[1:3] == [b"AA", fields[9]]


def test_case_35_the_end_bytes_apart(service: Service) -> None:
    raw = HEADER % b"F1" + PID
    with socket.create_connection(("127.0.0.1", service.mllp_port), timeout=10) as link:
        cut = raw.index(b"Testp") + 3
        for piece in (b"\x0b", raw[:cut], raw[cut:-1], raw[-1:] + b"\x1c"):
            link.sendall(piece)
        link.settimeout(0.3)
        with pytest.raises(TimeoutError):
            link.recv(10)
        link.settimeout(10)
        link.sendall(b"\r")
        assert b"MSA|AA|F1" in link.recv(65536)
        link.sendall(b"\x0b" + HEADER % b"F2" + PID + b"\x1c\r")
        assert b"MSA|AA|F2" in link.recv(65536)
    with socket.create_connection(("127.0.0.1", service.mllp_port), timeout=10) as link:
        for byte in b"\x0b" + HEADER % b"F3" + PID + b"\x1c\r":
            link.sendall(bytes([byte]))
        assert b"MSA|AA|F3" in link.recv(65536)


# In process: what people and feeds do wrong


def states(found: Kit) -> list[str]:
    return [str(row.state) for row in found.exchange.store.read(lambda uow: uow.find(Submission, order="accepted_at"))]


def test_an_unknown_and_a_closed_site_are_refused(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        found.story(0, confirmed=False)
        with pytest.raises(NotFound, match="organisation"):
            found.exchange.confirm_site("V1001", "VNONE", found.worker)
        with pytest.raises(Refused, match="site_closed"):
            found.exchange.confirm_site("V1001", CLOSED_HOME, found.worker)
        with pytest.raises(Refused, match="not_a_home"):
            found.exchange.confirm_site("V1001", "RZZ02", found.worker)
        with pytest.raises(NotFound, match="stay"):
            found.exchange.confirm_site("V9999", HOME, found.worker)
        with pytest.raises((Refused, NotFound)):
            found.exchange.confirm_site("V1001", HOME, found.carer)
        assert found.exchange.poll(found.caller()) == ([], False)
        assert found.findings() == []


def test_a_dead_person_is_held_and_nothing_leaves(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        person = people(found.clock())[0]
        found.send(admission(person, found.clock.at))
        dead = admission(person, found.clock.at, "A31").replace(b"\rPV1", b"|||||||||||||||||||||Y\rPV1", 1)
        pid = next(line for line in dead.split(b"\r") if line.startswith(b"PID"))
        fields = pid.split(b"|") + [b""] * 31
        fields[30] = b"Y"
        found.send(dead.replace(pid, b"|".join(fields[:31])))
        found.send(letter(person, found.clock.at))
        found.drain()
        found.exchange.confirm_site(person.visit, HOME, found.worker)
        found.drain()
        assert [str(h.kind) for h in found.exchange.list_holds()] == ["dead"]
        assert found.exchange.poll(found.caller()) == ([], False)
        assert found.findings() == []


def test_a_test_message_is_held_on_a_live_system(tmp_path: Path) -> None:
    with kit(tmp_path, environment=Environment.LIVE) as found:
        person = people(found.clock())[0]
        found.send(admission(person, found.clock.at))
        found.drain()
        assert states(found) == ["held"]
        assert [str(h.kind) for h in found.exchange.list_holds()] == ["test"]


def test_a_reused_number_with_other_bytes_is_a_new_submission_and_flagged(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        person = people(found.clock())[0]
        raw = admission(person, found.clock.at)
        assert found.send(raw) == found.send(raw)
        assert found.send(raw + b"ZZZ|1\r") != found.send(raw)
        found.drain()
        assert len(states(found)) == 2
        assert found.exchange.store.read(lambda uow: uow.count(Hold, kind="reused_id")) == 1
        assert found.findings() == []


def test_nothing_of_another_home_by_any_route(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(0)
        item = found.kit.exchange.poll(found.kit.caller())[0][-1]
        task = found.fhir("GET", f"/fhir/Task/{item.delivery.id}").json()
        for path in [f"/fhir/{kind}/{p.id}" for p in item.parts for kind in ("Bundle", "Binary")] + [
            f"/fhir/DocumentReference/{item.delivery.id}",
            f"/fhir/Task/{item.delivery.id}",
        ]:
            theirs = found.fhir("GET", path, "other", 404)
            nobodys = found.fhir("GET", path[:-4] + "0000", "other", 404)
            assert theirs.json() == nobodys.json()
        found.fhir("PUT", f"/fhir/Task/{item.delivery.id}", "other", 404, json=task, headers={"If-Match": 'W/"1-0"'})
        found.fhir("POST", f"/transfers/{transfer}/supplements", "other", 403, json={"by": found.kit.other_carer})
        found.fhir("GET", f"/transfers/{transfer}", "other", 403)
        cookie = found.http.post(found.link(found.kit.other_carer)).headers["set-cookie"].split(";")[0]
        pages = [f"/home/{transfer}", f"/home/{transfer}/version/1", *(f"/home/{transfer}/letters/{p.id}" for p in item.parts)]
        for path in pages:
            assert found.http.get(path, headers={"cookie": cookie}).status_code == 404, path
        refused = found.kit.exchange.store.read(lambda uow: uow.find(AuditEvent, type="access.refused"))
        assert len({row.client_id or row.person_id for row in refused}) == 2
        assert len(refused) >= len(item.parts)
        assert found.kit.findings() == []


def test_tokens_that_are_not_good(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        now = int(found.kit.clock().timestamp())
        stolen = found.assertion("home", signed_by="other")
        bad = {
            "expired": found.assertion("home", exp=now - 1),
            "too long": found.assertion("home", exp=now + 3600),
            "not yet": found.assertion("home", nbf=now + 600),
            "other audience": found.assertion("home", aud="https://elsewhere.example/token"),
            "two audiences": found.assertion("home", aud=[found.token_url, "https://elsewhere.example"]),
            "another's name": found.assertion("home", iss="other", sub="other"),
            "another's key": stolen,
            "unknown kid": found.assertion("home", header={"kid": "nobody"}),
            "no jti": found.assertion("home", jti=""),
            "alg none": "eyJhbGciOiJub25lIiwia2lkIjoiIn0." + stolen.split(".")[1] + ".",
            "rubbish": "a.b.c",
            "empty": "",
            "not ASCII": "é.é.é",
            "huge": "a" * 20_000,
        }
        for name, assertion in bad.items():
            answer = found.ask(assertion)
            assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), name
        used = found.assertion("home")
        assert [found.ask(used).status_code for _ in range(3)] == [200, 401, 401]
        assert found.ask(found.assertion("home"), scope="system/Supplement.c").status_code == 400
        assert found.ask(found.assertion("home"), grant_type="password").status_code == 401
        for header in ("", "Bearer", "Bearer x", "Basic Zm9v", "Bearer " + "a" * 43, "Bearer " + "é" * 43):
            answer = found.http.get("/fhir/DocumentReference", headers={"Authorization": header.encode()})
            assert answer.status_code == 401, header
            check(answer)
        headers = found.token("home")
        found.kit.clock.forward(seconds=301)
        assert found.http.get("/fhir/DocumentReference", headers=headers).status_code == 401


def test_a_person_in_a_url_is_refused(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        found.kit.story(0)
        number = "https://fhir.nhs.uk/Id/nhs-number|9990000018"
        names = "patient subject patient.identifier subject.identifier subject:identifier patient:identifier identifier related "
        names += "patient:Patient.identifier subject:Patient.identifier _has:Patient:identifier"
        for name in names.split():
            answer = found.fhir("GET", "/fhir/DocumentReference", status=400, params={name: number})
            assert code_of(answer) == "parameter", name
            assert "9990000018" not in answer.text
        assert code_of(found.fhir("GET", "/fhir/AuditEvent", status=400, params={"patient.identifier": number})) == "parameter"
        # A parameter that we do not have is said, never answered with everybody.
        found.fhir("POST", "/fhir/DocumentReference/_search", status=400, data={"patient": "Patient/1"}, headers=FORM)
        # By POST a query in the URL is no way round.
        for path in ("/fhir/AuditEvent/_search", "/fhir/DocumentReference/_search"):
            found.fhir("POST", path, status=400, params={"patient.identifier": number}, content="", headers=FORM)


TASKS: dict[str, bytes] = {
    "not JSON": b"{",
    "twice": b'{"resourceType":"Task","resourceType":"Task"}',
    "NaN": b'{"resourceType":"Task","x":NaN}',
    "half a character": b'{"resourceType":"Task","id":"\\ud800"}',
    "NUL": b'{"resourceType":"Task","id":"\\u0000"}',
    "not UTF-8": b'{"resourceType":"\xff"}',
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "huge number": b'{"resourceType":"Task","x":' + b"9" * 5_000 + b"}",
}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_that_is_no_json_of_ours(tmp_path: Path, name: str) -> None:
    with api(tmp_path) as found:
        found.kit.story(2)
        id = found.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]["id"]
        status = 413 if len(TASKS[name]) > 65_536 else 400
        found.fhir("PUT", f"/fhir/Task/{id}", status=status, content=TASKS[name], headers={"If-Match": 'W/"1-0"'})
        found.fhir("PUT", f"/fhir/Task/{id}", status=413, content=b" " * 70_000, headers={"If-Match": 'W/"1-0"'})
        found.fhir("PUT", f"/fhir/Task/{id}", status=400, content=b"[" * 100 + b"]" * 100, headers={"If-Match": 'W/"1-0"'})


INVALID: dict[str, dict] = {
    "another resource": {"resourceType": "Patient"},
    "another id": {"resourceType": "Task", "id": "x", "status": "accepted", "intent": "order"},
    "no status": {"resourceType": "Task", "intent": "order"},
    "a list": [],  # type: ignore[dict-item]
    "text": "x",  # type: ignore[dict-item]
    "status and businessStatus disagree": {"status": "accepted", "businessStatus": {"coding": [{"code": "seen"}]}},
    "unknown businessStatus": {"status": "accepted", "businessStatus": {"coding": [{"code": "yes"}]}},
    "no time": {"status": "accepted", "businessStatus": {"coding": [{"code": "can-take"}]}},
    "no reason": {"status": "rejected", "businessStatus": {"coding": [{"code": "cannot"}]}},
    "unknown reason": {
        "status": "rejected",
        "businessStatus": {"coding": [{"code": "cannot"}]},
        "statusReason": {"coding": [{"code": "D77"}]},
    },
    "not a period": {
        "status": "accepted",
        "businessStatus": {"coding": [{"code": "can-take"}]},
        "restriction": {"period": {"end": "2026"}},
    },
}


@pytest.mark.parametrize("name", INVALID)
def test_a_task_that_is_no_answer(tmp_path: Path, name: str) -> None:
    with api(tmp_path) as found:
        found.kit.story(2)
        id = found.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]["id"]
        answer = found.fhir("GET", f"/fhir/Task/{id}")
        body = INVALID[name]
        sent = {**answer.json(), **body} if isinstance(body, dict) and "resourceType" not in body else body
        found.fhir("PUT", f"/fhir/Task/{id}", status=422, json=sent, headers={"If-Match": answer.headers["etag"]})
        assert found.kit.exchange.poll(found.kit.caller())[0][-1].answers == ()


def test_supplements_that_are_not_good(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(2)
        path = f"/transfers/{transfer}/supplements"
        by = found.kit.worker
        for body, status in (
            (json.dumps({"by": by, "unknown": 1}).encode(), 422),
            (json.dumps({"by": by, "allergies": {"none_known": "yes"}}).encode(), 422),
            (b'{"by": "x", "by": "y"}', 400),
            (b" " * 300_000, 413),
            (b"[]", 422),
            (json.dumps({"by": "nobody"}).encode(), 404),
            (json.dumps({"by": found.kit.carer}).encode(), 404),
        ):
            found.fhir("POST", path, "hospital", status, content=body, headers={"content-type": "application/json"})
        found.fhir("POST", "/transfers/nobody/supplements", "hospital", 404, json={"by": by})


def test_unknown_addresses_methods_and_media(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        found.fhir("GET", "/fhir/Patient/1", status=404)
        found.fhir("GET", "/fhir/DocumentReference/%00", status=404)
        found.fhir("GET", "/fhir/Bundle/" + "x" * 3000, status=404)
        found.fhir("DELETE", "/fhir/DocumentReference", status=405)
        found.fhir("PATCH", "/fhir/Task/1", status=405)
        for path in ("/fhir/AuditEvent/_search", "/fhir/DocumentReference/_search"):
            found.fhir("POST", path, status=415, files={"a": b"b"})
            found.fhir("POST", path, status=415, json={})
            found.fhir("POST", path, status=413, content="a=" + "b" * 20_000, headers=FORM)
            found.fhir("POST", path, status=400, content="&".join(f"a{n}=1" for n in range(60)), headers=FORM)
        assert found.kit.exchange.store.read(lambda uow: uow.count(Transfer)) == 0


def test_no_address_of_ours_repeats_what_was_asked(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        found.kit.story(0)
        found.kit.story(1)
        name = "Zqfamily"
        for path in ("/fhir/DocumentReference/", "/fhir/AuditEvent/", "/home/", "/health/"):
            answer = found.http.get(f"{path}?patient.identifier={name}", headers=found.token("home"))
            assert answer.status_code == 404
            assert name not in str(answer.headers)
        form = {"_count": "1", "_format": name, "family": name, "_sort": name, "status": name}
        body = found.fhir("POST", "/fhir/DocumentReference/_search", data=form).json()
        assert any(link["relation"] == "next" for link in body["link"])
        assert name not in json.dumps(body["link"])
