"""Which home: candidates with reasons, look-alikes, the pick and what makes it sure; and the directory for software."""

import re
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, people
from exchange.directory.entries import add_organisation, add_person
from exchange.errors import NotFound, Refused
from exchange.model import Caller, PersonRole, TransferState
from exchange.records import Organisation, Transfer
from exchange.transfer.candidates import Pick, names_address
from tests.app_kit import CLOSED_HOME, HOME, HOSPITAL, OTHER_HOME, OTHER_HOSPITAL, Kit, kit
from tests.e2e.api_kit import api, code_of
from tests.e2e.test_pages_http import sign_in

HERE, ELSEWHERE = "NM4 7QA", "NM9 9XX"


def stay_of(found: Kit) -> str:
    found.story(0, confirmed=False)
    return found.exchange.list_holds()[0].stay_id or ""


def second(found: Kit) -> str:
    return found.exchange.store.write(
        lambda uow: add_person(uow, HOSPITAL, PersonRole.DISCHARGE_DESK, "Dot Desk-Test", "dot@test.example")
    ).id


def reasons(found: Kit, stay: str) -> dict[str, tuple[bool, str]]:
    return {
        one.site.id: (one.is_backed, "; ".join(one.reasons))
        for one in found.exchange.candidates(Caller(HOSPITAL, person=found.worker), stay)
    }


def test_a_candidate_has_a_reason_and_its_look_alikes_beside_it_and_nothing_leaves(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        far = Organisation("VZZ20", "The Sample Meadow Care Home", "home", "8 Far Road", "Elsewhere", ELSEWHERE)
        found.exchange.store.write(lambda uow: add_organisation(uow, far))
        stay = stay_of(found)
        assert reasons(found, stay) == {
            HOME: (True, "The person’s address in a message: street and postcode"),
            OTHER_HOME: (False, "Same postcode as Sample Meadow"),
            "VZZ20": (False, "Looks like Sample Meadow: a like name"),
        }
        (transfer,) = found.exchange.store.read(lambda uow: uow.find(Transfer))
        assert (transfer.recipient_org, transfer.state) == (None, TransferState.POSSIBLE)
        with pytest.raises(NotFound, match="stay"):
            found.exchange.candidates(Caller(OTHER_HOSPITAL, person=found.worker), stay)
        assert [line.type for line in found.exchange.trace(stay)].count("transfer.viewed") == 1


def test_an_alias_and_the_last_pick_are_reasons(tmp_path: Path) -> None:
    profile = '{"reading": {"pv1_37": "destination or home code", "aliases": {"LOCAL7": "VZZ02"}}}'
    with kit(tmp_path, profile=profile) as found:
        person = people(found.clock())[0]
        found.story(0)
        again = (
            admission(person, found.clock.at)
            .replace(person.visit.encode(), b"AGAIN7")
            .replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", b"^^^^")
        )
        line = next(row for row in again.split(b"\r") if row.startswith(b"PV1"))
        fields = line.split(b"|") + [b""] * 40
        fields[37] = b"LOCAL7"
        found.send(again.replace(line, b"|".join(fields[:46])))
        found.drain()
        told = reasons(found, "AGAIN7")
        assert told[OTHER_HOME][0]
        assert "feed’s code" in told[OTHER_HOME][1]
        assert "Picked for this person on 27 November 2026" in told[HOME][1]


def test_a_number_of_a_house_is_a_whole_word() -> None:
    home = Organisation("VZZ30", "X", "home", "1 Old Lane", "", "NM4 7QA")
    assert names_address("1, old lane, Testmouth, nm47qa", home)
    assert not names_address("21 Old Lane, Testmouth, NM4 7QA", home)
    assert not names_address("1 Old Laneside, NM4 7QA", home)
    assert not names_address("NM4 7QA", home)


def test_a_first_pick_needs_the_postcode_and_a_call_and_a_returner_the_postcode_alone(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        stay = stay_of(found)

        def pick(site: str, *typed: str) -> Transfer:
            return found.exchange.confirm_site(stay, site, found.worker, pick=Pick(*typed))

        with pytest.raises(Refused, match="postcode_differs"):
            pick(HOME, ELSEWHERE, "Mia")
        with pytest.raises(Refused, match="call_back"):
            pick(HOME, HERE, "  ")
        transfer = pick(HOME, "nm47qa", "Mia at the desk\r\nx")
        assert (transfer.recipient_org, transfer.confirmed_by) == (HOME, found.worker)
        how = [line.code for line in found.exchange.trace(transfer.id) if line.type == "transfer.confirmed"]
        assert how == ["postcode typed; spoke to Mia at the desk x on the directory number"]
        person = people(found.clock())[0]
        found.send(admission(person, found.clock.at).replace(person.visit.encode(), b"AGAIN8"))
        found.drain()
        stay = "AGAIN8"
        assert pick(HOME, HERE).recipient_org == HOME
        assert found.findings() == []


def test_a_pick_against_the_messages_waits_for_a_second_person(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        stay, typed, other = stay_of(found), Pick(HERE, "Ola"), second(found)
        for _ in range(2):  # the same person twice is one person
            waits = found.exchange.confirm_site(stay, OTHER_HOME, found.worker, pick=typed)
            assert (waits.recipient_org, waits.state, waits.proposed_site) == (None, TransferState.POSSIBLE, OTHER_HOME)
        found.drain()
        assert found.exchange.list_holds()  # the letter still waits
        done = found.exchange.confirm_site(stay, OTHER_HOME, other, pick=typed)
        assert (done.recipient_org, done.confirmed_by, done.proposed_site) == (OTHER_HOME, other, "")
        proposed = [line for line in found.exchange.trace(done.id) if line.type == "transfer.proposed"]
        assert {(line.by, line.other_org) for line in proposed} == {("Rob Manager-Test", "")}
        found.drain()
        assert found.findings() == []


def test_a_later_pick_that_fits_ends_a_proposal(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        stay, other = stay_of(found), second(found)
        found.exchange.confirm_site(stay, OTHER_HOME, found.worker, pick=Pick(HERE, "Ola"))
        assert found.exchange.confirm_site(stay, HOME, found.worker, pick=Pick(HERE, "Mia")).recipient_org == HOME
        # The first proposal is gone: this is one person again.
        waits = found.exchange.confirm_site(stay, OTHER_HOME, other, pick=Pick(HERE, "Ola"))
        assert (waits.recipient_org, waits.proposed_by) == (HOME, other)


def test_a_message_with_another_address_never_re_routes(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        transfer = found.story(0)
        person = people(found.clock())[0]
        moved = admission(person, found.clock.at).replace(b"ADT^A01", b"ADT^A08").replace(b"1 Rehearsal Row", b"3 Rehearsal Row")
        found.send(moved.replace(b"A01-", b"A08-"))
        found.drain()
        (row,) = found.exchange.store.read(lambda uow: uow.find(Transfer))
        assert (row.id, row.recipient_org) == (transfer, HOME)


def test_the_page_preselects_nothing_finds_by_postcode_and_picks(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        stay_of(found.kit)
        (transfer,) = found.kit.exchange.store.read(lambda uow: uow.find(Transfer))
        worker, path = sign_in(found, found.kit.worker), f"/board/{transfer.id}/home"
        page = found.http.get(path, headers=worker).text
        assert f'href="{path}"' in found.http.get(f"/board/{transfer.id}", headers=worker).text
        assert re.findall(r"<input[^>]*radio[^>]* checked", page) == []
        assert "The person’s address in a message" in page
        (csrf, *_) = re.findall(r'name="csrf" value="([0-9a-f]+)"', page)
        searched = found.http.post(path, headers=worker, data={"csrf": csrf, "postcode": ELSEWHERE, "search": "1"}).text
        assert re.search(rf'value="{CLOSED_HOME}"[^>]*disabled', searched)
        assert "Closed on" in searched
        wrong = found.http.post(path, headers=worker, data={"csrf": csrf, "postcode": ELSEWHERE, "site": HOME, "spoke_to": "Mia"})
        assert (wrong.status_code, "not this home’s" in wrong.text or "not this home" in wrong.text) == (422, True)
        good = {"csrf": csrf, "postcode": HERE, "site": OTHER_HOME, "spoke_to": "Ola"}
        assert found.http.post(path, headers=worker, data=good).headers["location"] == path
        assert "Ask another person" in found.http.get(path, headers=worker).text
        assert found.http.post(path, headers=worker, data={**good, "site": HOME}).headers["location"] == f"/board/{transfer.id}"
        assert found.http.get(path, headers=sign_in(found, found.kit.carer)).status_code == 403
        assert found.http.get("/board/nothing/home", headers=worker).status_code == 404


def test_a_pick_by_api_is_checked_when_it_says_how(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        stay = stay_of(found.kit)

        def ask(status: int, **more: str) -> dict[str, str]:
            body = {"stay": stay, "by": found.kit.worker, **more}
            answer = found.http.post("/transfers/confirm", headers=found.token("hospital"), json=body)
            assert answer.status_code == status, answer.text
            return answer.json()  # type: ignore[no-any-return]

        ask(422, site=HOME, postcode=ELSEWHERE, spoke_to="Mia")
        assert ask(200, site=OTHER_HOME, postcode=HERE, spoke_to="Ola")["waits_for"] == "second_person"
        assert ask(200, site=HOME, postcode=HERE, spoke_to="Mia")["state"] == "confirmed"


def test_software_searches_the_directory_by_post(tmp_path: Path) -> None:
    with api(tmp_path) as found:

        def ask(status: int = 200, **form: str):  # type: ignore[no-untyped-def]
            return found.fhir("POST", "/fhir/Organization/_search", status=status, data=form)

        def codes(**form: str) -> list[str]:
            return [entry["resource"]["id"] for entry in ask(**form).json().get("entry", [])]

        assert codes(**{"address-postalcode": "nm47qa"}) == [OTHER_HOME, HOME]
        assert codes(name="meadow") == [HOME]
        assert codes(identifier="https://fhir.nhs.uk/Id/ods-site-code|vzz01") == [HOME]
        assert codes(identifier="https://fhir.nhs.uk/Id/nhs-number|VZZ01") == []
        assert codes(**{"address-postalcode": ELSEWHERE, "active": "true"}) == []
        assert codes(**{"address-postalcode": ELSEWHERE}) == [CLOSED_HOME]
        for wrong in (
            {"_count": "5"},
            {"name": "ab"},
            {"patient": "x"},
            {"name": "sample", "_count": "1"},
            {"active": "perhaps", "name": "sample"},
        ):
            assert code_of(ask(400, **wrong)) == "parameter"
        assert found.fhir("GET", f"/fhir/Organization/{HOME}").json()["name"] == "Sample Meadow"
        found.fhir("GET", "/fhir/Organization/VZZ77", status=404)
        found.fhir("POST", "/fhir/Organization/_search", client="", status=401, data={"name": "sample"})
