"""Holds settled by a named person: on the command line's path, by API and on the page; and nobody else's."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from exchange.cli.demo_story import letter, people
from exchange.directory.entries import add_person
from exchange.errors import Conflict, NotFound, Refused
from exchange.intake.holds import WORDS
from exchange.model import HoldKind, PersonRole, SubmissionState, TransferState
from exchange.records import Hold, Submission, Transfer, Version
from tests.app_kit import HOME, HOSPITAL, OTHER_HOSPITAL, Kit, kit
from tests.e2e.api_kit import api
from tests.e2e.test_pages_http import sign_in


def unaddressed(found: Kit) -> Hold:
    found.story(0, confirmed=False)
    (hold,) = found.exchange.list_holds()
    assert hold.kind is HoldKind.UNADDRESSED
    return hold


def unreadable(found: Kit) -> Hold:
    found.send(b"rubbish")
    found.drain()
    (hold,) = found.exchange.list_holds()
    return hold


def rows(found: Kit, kind: type) -> list:  # type: ignore[type-arg]
    return found.exchange.store.read(lambda uow: uow.find(kind))


def test_address_is_the_pick_and_the_letter_goes(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        hold = unaddressed(found)
        assert found.exchange.settle_hold(hold.id, "address", found.worker, HOME) == 1
        found.drain()
        (transfer,) = rows(found, Transfer)
        assert (transfer.recipient_org, transfer.confirmed_by, transfer.state) == (HOME, found.worker, TransferState.PUBLISHED)
        with pytest.raises(Refused, match="hold_not_addressable"):
            found.exchange.settle_hold(hold.id, "address", found.worker, HOME)
        assert found.findings() == []


def test_a_refused_message_is_used_for_nothing_and_is_erased_on_its_day(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        hold = unreadable(found)
        with pytest.raises(Refused, match="resolution_unknown"):
            found.exchange.settle_hold(hold.id, "refuse", found.worker, "because I say so")
        found.exchange.settle_hold(hold.id, "refuse", found.worker, "test")
        (submission,) = rows(found, Submission)
        assert (submission.state, submission.reason) == (SubmissionState.NOT_USED, "refused_test")
        assert submission.erase_after is not None
        assert "Rob Manager-Test" in [line.by for line in found.exchange.trace(submission.id) if line.type == "submission.unused"]
        with pytest.raises(Refused, match="hold_not_replayable"):
            found.exchange.settle_hold(hold.id, "replay", found.worker)
        found.clock.forward(days=15)
        assert found.exchange.erase_due() == 1
        assert found.findings() == []


def test_refusing_a_letter_without_a_home_ends_its_transfer_and_a_person_can_still_pick(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        hold = unaddressed(found)
        found.exchange.settle_hold(hold.id, "refuse", found.worker, "not_for_a_home")
        found.drain()
        (transfer,) = rows(found, Transfer)
        assert (transfer.state, transfer.withdrawn_reason) == (TransferState.WITHDRAWN, "refused")
        assert found.exchange.list_holds() == []
        assert rows(found, Version) == []
        found.exchange.confirm_site(transfer.stay_id, HOME, found.worker)
        found.drain()
        assert len(rows(found, Version)) == 1
        assert found.findings() == []


def test_refusing_what_was_set_aside_lets_the_rest_of_the_stay_go_on(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        found.story(0)
        person = people(found.clock())[0]
        other = replace(person, born="19010203")
        found.send(letter(other, found.clock.at).replace(f"T02-{person.visit}".encode(), b"T02-OTHER"))
        found.drain()
        (hold,) = found.exchange.list_holds()
        assert hold.kind is HoldKind.IDENTITY
        found.exchange.settle_hold(hold.id, "refuse", found.worker, "wrong_person")
        found.drain()
        assert found.exchange.list_holds() == []
        assert [row.reason for row in rows(found, Submission) if row.state is SubmissionState.NOT_USED] == ["refused_wrong_person"]
        assert found.findings() == []


def test_a_hold_is_its_own_hospitals_and_never_an_auditors(tmp_path: Path) -> None:
    with kit(tmp_path) as found:
        hold = unreadable(found)
        store = found.exchange.store
        stranger = store.write(lambda uow: add_person(uow, OTHER_HOSPITAL, PersonRole.SITE_MANAGER, "Other Manager-Test", "o@test.example"))
        auditor = store.write(lambda uow: add_person(uow, HOSPITAL, PersonRole.AUDITOR, "Ann Auditor-Test", "a@test.example"))
        for act in ("replay", "release", "refuse", "link", "address"):
            for person in (stranger.id, found.carer):
                with pytest.raises(NotFound, match="hold"):
                    found.exchange.settle_hold(hold.id, act, person, "test")
            with pytest.raises(Refused, match="scope"):
                found.exchange.settle_hold(hold.id, act, auditor.id, "test")
        with pytest.raises(NotFound, match="hold"):
            found.exchange.settle_hold(hold.id, "replay", found.worker, "", OTHER_HOSPITAL)
        with pytest.raises(Refused, match="hold_act"):
            found.exchange.settle_hold(hold.id, "burn", found.worker)
        found.exchange.settle_hold(hold.id, "release", found.worker, "checked")
        with pytest.raises(Conflict, match="hold_closed"):
            found.exchange.settle_hold(hold.id, "release", found.worker, "checked")


def test_holds_by_api(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        hold = unreadable(found.kit)
        found.register("other-hospital", OTHER_HOSPITAL, "hospital")

        def ask(method: str, path: str, status: int, client: str = "hospital", body: object = None):  # type: ignore[no-untyped-def]
            answer = found.http.request(method, path, headers=found.token(client), json=body)
            assert answer.status_code == status, answer.text
            return answer.json()

        (listed,) = ask("GET", "/holds", 200)["holds"]
        assert (listed["id"], listed["words"], listed["acts"]) == (hold.id, WORDS[HoldKind.UNREADABLE], ["replay", "release", "refuse"])
        assert ask("GET", "/holds", 200, "other-hospital") == {"holds": []}
        ask("GET", "/holds", 403, "home")
        by = {"by": found.kit.worker}
        ask("POST", f"/holds/{hold.id}/refuse", 404, "other-hospital", {**by, "as": "test"})
        ask("POST", f"/holds/{hold.id}/refuse", 403, "home", {**by, "as": "test"})
        ask("POST", f"/holds/{hold.id}/refuse", 404, body={"as": "test"})
        ask("POST", f"/holds/{hold.id}/refuse", 422, body={**by, "as": "x"})
        ask("POST", f"/holds/{hold.id}/burn", 422, body=by)
        assert ask("POST", f"/holds/{hold.id}/refuse", 200, body={**by, "as": "test"}) == {"hold": hold.id, "act": "refuse", "count": 1}
        ask("POST", f"/holds/{hold.id}/release", 409, body={**by, "as": "checked"})
        assert found.http.post(f"/holds/{hold.id}/refuse", json=by).status_code == 401


def test_holds_on_the_page(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        hold = unreadable(found.kit)
        worker = sign_in(found, found.kit.worker)
        page = found.http.get("/board/holds", headers=worker)
        assert (page.status_code, WORDS[HoldKind.UNREADABLE] in page.text, "Use it for nothing" in page.text) == (200, True, True)
        assert found.http.get("/board/holds", headers=sign_in(found, found.kit.carer)).status_code == 403
        (csrf, *_) = re.findall(r'name="csrf" value="([0-9a-f]+)"', page.text)
        form = {"csrf": csrf, "hold": hold.id, "act": "refuse", "value": "test"}
        assert found.http.post("/board/holds", headers=worker, data={**form, "csrf": "x"}).status_code == 422
        wrong = found.http.post("/board/holds", headers=worker, data={**form, "value": "x"})
        assert (wrong.status_code, "Error: Holds" in wrong.text) == (422, True)
        assert found.http.post("/board/holds", headers=worker, data=form).headers["location"] == "/board/holds"
        assert "Nothing waits." in found.http.get("/board/holds", headers=worker).text
        assert found.kit.findings() == []
