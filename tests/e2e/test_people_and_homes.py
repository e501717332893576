"""People of practice.md whose home is the matter: not ours, a sold home, a test message. Each as source messages over HTTP; the home and
the hospital act by API and page. fsck is the oracle."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.directory.entries import add_sender
from exchange.directory.imports import import_file
from exchange.errors import Conflict, Gone
from exchange.mailbox.envelopes import envelope_file
from exchange.model import Environment, HoldKind, TransferState
from exchange.records import Hold, Part, Submission, Transfer
from tests.app_kit import HOME, HOSPITAL, OTHER_HOME
from tests.e2e.api_kit import Api, api, code_of
from tests.e2e.test_notices import desk
from tests.e2e.test_pages_http import sign_in
from tests.unit.test_directory_import import ods

HERE = "NM4 7QA"
ANSWER_REASON = "https://fhir.wardpost.example/CodeSystem/answer-reason"


@contextmanager
def hospital(folder: Path, environment: Environment = Environment.TRIAL) -> Iterator[Api]:
    with api(folder, environment=environment) as found:
        found.kit.exchange.store.write(lambda uow: add_sender(uow, "WEB", HOSPITAL, "http", 0, "{}"))
        yield found


def send(found: Api, raw: bytes) -> None:
    more = {"content": raw, "headers": {"content-type": "x-application/hl7-v2+er7"}}
    found.fhir("POST", "/submissions?sender=WEB", "hospital", 202, **more)
    found.kit.drain()


def arrive(found: Api, which: int = 0, visit: str = "") -> str:
    """A person's admission and signed letter; the visit number."""
    person = people(found.kit.clock())[which]
    for raw in (admission(person, found.kit.clock.at), letter(person, found.kit.clock.at)):
        send(found, raw.replace(person.visit.encode(), visit.encode()) if visit else raw)
    return visit or person.visit


def pick(found: Api, visit: str, site: str = HOME, status: int = 200, **more: str) -> dict[str, Any]:
    body = {"stay": visit, "site": site, "by": found.kit.worker, **more}
    answer = found.http.post("/transfers/confirm", json=body, headers=found.token("hospital"))
    assert answer.status_code == status, answer.text
    found.kit.drain()
    return answer.json()  # type: ignore[no-any-return]


def say(found: Api, business: tuple[str, str], reason: str = "", person: str = "") -> str:
    """The home's software answers the newest delivery; its id."""
    (entry, *_) = reversed(found.fhir("GET", "/fhir/DocumentReference").json()["entry"])
    id = str(entry["resource"]["id"])
    shown = found.fhir("GET", f"/fhir/Task/{id}")
    task = shown.json()
    task["status"], task["businessStatus"]["coding"][0]["code"] = business
    if reason:
        task["statusReason"] = {"coding": [{"system": ANSWER_REASON, "code": reason}]}
    found.fhir("PUT", f"/fhir/Task/{id}", json=task, headers={"If-Match": shown.headers["etag"]})
    return id


def open_holds(found: Api) -> list[Hold]:
    return found.kit.exchange.list_holds(HOSPITAL)


@pytest.mark.parametrize(("business", "reason"), [(("rejected", "cannot"), "D14"), (("on-hold", "question"), "Q22")])
def test_not_ours_locks_at_once_and_only_a_person_opens_it_again(tmp_path: Path, business: tuple[str, str], reason: str) -> None:
    with hospital(tmp_path) as found:
        visit = arrive(found)
        transfer = pick(found, visit)["transfer"]
        kit = found.kit
        item = kit.exchange.version_item(kit.caller(), transfer, 1)
        say(found, business, reason)
        # Before the bus has moved anything: the content is shut, for software and people.
        with pytest.raises(Gone, match="withdrawn"):
            kit.exchange.collect_part(kit.caller(), item.parts[0].id)
        assert kit.exchange.open_version(kit.caller(), transfer).contents == {}
        (hold,) = open_holds(found)
        assert (hold.kind, hold.transfer_id, hold.owner) == (HoldKind.NOT_OURS, transfer, "who picked the home")
        events = [(line.type, line.code) for line in kit.exchange.trace(transfer)]
        assert ("near_miss.recorded", "wrong_home") in events
        kit.drain()
        with pytest.raises(Conflict, match="withdrawn"):
            kit.exchange.answer(kit.caller(), item.delivery.id, kind="seen", reason_code="", content={})  # type: ignore[arg-type]  # its text
        # A letter, a leaving and a cancelled one: no message opens it again or makes another transfer.
        person = people(kit.clock())[0]
        for event in ("A08", "A13", "A03"):
            kit.clock.forward(minutes=1)
            send(found, admission(person, kit.clock.at, event))
        send(found, letter(person, kit.clock.at).replace(b"T02-", b"T02B-").replace(b"DOC-", b"DOC2-"))
        (row,) = kit.exchange.store.read(lambda uow: uow.find(Transfer))
        assert (row.state, row.versions, row.withdrawn_reason) == (TransferState.WITHDRAWN, 1, "not_ours")
        # The same home again is against its own word: a second person. Another home, by the hold, settles it.
        assert pick(found, visit, postcode=HERE, spoke_to="Mia")["waits_for"] == "second_person"
        body = {"by": kit.worker, "site": OTHER_HOME}
        done = found.http.post(f"/holds/{hold.id}/address", json=body, headers=found.token("hospital"))
        assert done.status_code == 200, done.text
        kit.drain()
        assert [one.kind for one in open_holds(found)] == []
        (entry,) = found.fhir("GET", "/fhir/DocumentReference").json()["entry"]
        assert entry["resource"]["status"] == "entered-in-error"
        (entry,) = found.fhir("GET", "/fhir/DocumentReference", "other").json()["entry"]
        assert entry["resource"]["status"] == "current"
        assert kit.findings() == []


def test_not_ours_is_told_to_who_picked_then_to_the_desk(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(0)
        found.kit.exchange.open_version(found.kit.caller(), transfer)
        found.tick()
        item = found.kit.exchange.version_item(
            found.kit.caller(), transfer, found.kit.exchange.poll(found.kit.caller())[0][-1].delivery.number
        )
        found.kit.exchange.answer(found.kit.caller(), item.delivery.id, kind="cannot", reason_code="D14", content={})  # type: ignore[arg-type]
        found.kit.drain()
        assert found.tick() == ["rob"]  # who picked; nobody at the home is told what the home said
        assert "not their resident" in found.book.sent[-1][2]
        assert found.tick(hours=1) == ["dot"]


def test_a_sold_home_keeps_what_it_has_and_the_new_owner_is_picked_anew(tmp_path: Path) -> None:
    """Papers for the old owner; the monthly ODS file moves the code to another provider: closed here until a person has called."""
    with hospital(tmp_path) as found:
        kit = found.kit
        import_file(kit.exchange.store, "ods", [ods("VZZ10"), ods("VZZ20", provider="VZZ5")], lambda _: None)
        visit = arrive(found)
        first = pick(found, visit, "VZZ10")["transfer"]
        import_file(kit.exchange.store, "ods", [ods("VZZ10", provider="VZZ5")], lambda _: None)
        again = arrive(found, visit="AGAIN1")
        assert code_of_json(pick(found, again, "VZZ10", 422)) == "site_closed"
        held = [hold for hold in open_holds(found) if hold.kind is HoldKind.UNADDRESSED]
        assert [hold.owner for hold in held] == ["ward"]
        second = pick(found, again, "VZZ20")["transfer"]
        rows = {row.id: row for row in kit.exchange.store.read(lambda uow: uow.find(Transfer))}
        assert (rows[first].recipient_org, rows[second].recipient_org) == ("VZZ10", "VZZ20")
        new = kit.exchange.store.read(lambda uow: uow.find(Transfer, recipient_org="VZZ20"))
        assert [row.id for row in new] == [second]  # nothing of the old owner's
        assert kit.findings() == []


def test_a_test_message_on_a_live_system_waits_with_an_owner_and_reaches_nobody(tmp_path: Path) -> None:
    with hospital(tmp_path, environment=Environment.LIVE) as found:
        kit = found.kit
        person = people(kit.clock())[0]
        for raw in (admission(person, kit.clock.at), letter(person, kit.clock.at)):
            # Without an NHS number, so that MSH-11 alone says that it is a test.
            send(found, raw.replace(f"{person.number}^^^NHS^NH~".encode(), b"").replace(b"|P|2.", b"|T|2."))
        held = open_holds(found)
        assert {(hold.kind, hold.code, hold.owner) for hold in held} == {(HoldKind.TEST, "test_message", "integration team")}
        assert kit.exchange.store.read(lambda uow: uow.count(Transfer)) == 0
        pick(found, person.visit)
        assert kit.exchange.poll(kit.caller())[0] == []
        for hold in held:
            body = {"by": kit.worker, "as": "test"}
            assert found.http.post(f"/holds/{hold.id}/refuse", json=body, headers=found.token("hospital")).status_code == 200
        kit.drain()
        assert {str(row.state) for row in kit.exchange.store.read(lambda uow: uow.find(Submission))} == {"not_used"}
        assert kit.exchange.poll(kit.caller())[0] == []
        assert kit.findings() == []


def code_of_json(body: dict[str, Any]) -> str:
    return str(body["issue"][0]["details"]["coding"][0]["code"])


def test_a_new_resident_is_a_heads_up_until_the_home_says_ours(tmp_path: Path) -> None:
    """No message names this home: who, from where and when, and nothing clinical to software, page, file or list."""
    with hospital(tmp_path) as found:
        kit, person = found.kit, people(found.kit.clock())[0]
        for raw in (admission(person, kit.clock.at), letter(person, kit.clock.at)):
            send(found, raw.replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", b"7 Elsewhere Road^^Testmouth^^NM8 1AA"))
        transfer = pick(found, person.visit, postcode=HERE, spoke_to="Mia on the phone")["transfer"]
        reference = found.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]
        assert [list(one["attachment"]) for one in reference["content"]] == [["title"]]
        part = kit.exchange.store.read(lambda uow: uow.find(Part, transfer_id=transfer, order="position"))[0]
        assert code_of(found.fhir("GET", f"/fhir/Bundle/{part.id}", status=409)) == "not_ours_yet"
        with pytest.raises(Conflict, match="not_ours_yet"):
            kit.exchange.store.read(lambda uow: envelope_file(uow, HOME, reference["id"]))
        carer = sign_in(found, kit.carer)
        pages = found.http.get(f"/home/{transfer}", headers=carer).text + found.http.get("/home", headers=carer).text
        assert person.family in pages
        assert not re.search(r"<dd>\d{4}-\d{2}", pages), "a day as no carer reads it"
        assert re.search(r"Born</dt><dd>\d+ \w+ \d{4} \(\d+ years\)", pages)
        for clinical in ("Penicillin", "missing", person.letter[0][:20], "Fall at home"):
            assert clinical not in pages
        assert f"/home/{transfer}/letters" not in pages
        assert kit.findings() == []
        (csrf, *_) = re.findall(r'name="csrf" value="([0-9a-f]+)"', pages)
        said = found.http.post(f"/home/{transfer}/answer", headers=carer, data={"csrf": csrf, "kind": "ours", "version": "1"})
        assert said.status_code == 303
        assert "our resident" in found.http.get("/home", headers=carer).text
        assert "Penicillin" in found.http.get(f"/home/{transfer}", headers=carer).text
        found.fhir("GET", f"/fhir/Bundle/{part.id}")
        worker = sign_in(found, kit.worker)
        assert "their resident" in found.http.get(f"/board/{transfer}", headers=worker).text
        assert kit.findings() == []


def test_a_new_resident_of_another_home_is_refused_by_its_software(tmp_path: Path) -> None:
    with hospital(tmp_path) as found:
        kit, person = found.kit, people(found.kit.clock())[0]
        for raw in (admission(person, kit.clock.at), letter(person, kit.clock.at)):
            send(found, raw.replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", b"7 Elsewhere Road^^Testmouth^^NM8 1AA"))
        pick(found, person.visit, postcode=HERE, spoke_to="Mia")
        say(found, ("rejected", "cannot"), "D14")
        assert [hold.kind for hold in open_holds(found)] == [HoldKind.NOT_OURS]
        kit.drain()
        assert found.fhir("GET", "/fhir/DocumentReference").json()["entry"][0]["resource"]["status"] == "entered-in-error"
        assert kit.findings() == []
        (gone,) = kit.exchange.store.read(lambda uow: uow.find(Transfer))
        page = found.http.get(f"/home/{gone.id}", headers=sign_in(found, kit.carer))
        assert (page.status_code, "not your resident" in page.text, "Penicillin" in page.text) == (410, True, False)
        # A returner's open at once.
        visit = arrive(found, 1)
        transfer = pick(found, visit, postcode=HERE, spoke_to="Mia")["transfer"]
        assert kit.exchange.open_version(kit.caller(), transfer).contents


@pytest.mark.parametrize(("business", "opens"), [(("in-progress", "seen"), False), (("in-progress", "ours"), True)])
def test_only_the_homes_word_opens_a_heads_up(tmp_path: Path, business: tuple[str, str], opens: bool) -> None:
    with hospital(tmp_path) as found:
        kit, person = found.kit, people(found.kit.clock())[0]
        for raw in (admission(person, kit.clock.at), letter(person, kit.clock.at)):
            send(found, raw.replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", b"7 Elsewhere Road^^Testmouth^^NM8 1AA"))
        transfer = pick(found, person.visit, postcode=HERE, spoke_to="Mia")["transfer"]
        say(found, business)
        assert bool(kit.exchange.open_version(kit.caller(), transfer).contents) is opens
