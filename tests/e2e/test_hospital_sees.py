"""What the hospital sees of its transfers and submissions: by API and on the command line, and nothing of others."""

import csv
import io
import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest

from exchange.model import AnswerKind
from exchange.records import Submission
from tests.app_kit import HOSPITAL, OTHER_HOSPITAL, Kit
from tests.e2e.api_kit import Api, api
from tests.e2e.test_pages_http import sign_in
from tests.service_kit import WARDPOST


def ask(found: Api, path: str, client: str = "hospital", status: int = 200) -> dict[str, object]:
    answer = found.http.get(path, headers=found.token(client))
    assert answer.status_code == status, answer.text
    body: dict[str, object] = answer.json()
    return body


def read_and_answer(kit: Kit, transfer: str, kind: AnswerKind = AnswerKind.CAN_TAKE, reason: str = "") -> None:
    opened = kit.exchange.open_version(kit.caller(), transfer)
    kit.exchange.answer(kit.caller(), opened.item.delivery.id, kind, reason, {"at": "2026-11-28T08:00:00+00:00"})


def test_a_submission_says_what_became_of_it(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(1)
        ids = [row.id for row in found.kit.exchange.store.read(lambda uow: uow.find(Submission))]
        rubbish = found.kit.send(b"MSH|^~\\&|PAS|X|Y|Z|20261127||ADT^A01|cut")
        found.kit.drain()
        body = ask(found, f"/submissions/{ids[0]}")
        assert (body["state"], body["reason"]) == ("read", None)
        assert [(row["id"], row["home"], row["state"]) for row in body["transfers"]] == [(transfer, "VZZ01", "published")]  # type: ignore[attr-defined]
        held = ask(found, f"/submissions/{rubbish}")
        assert (held["state"], [hold["kind"] for hold in held["holds"]]) == ("held", ["unreadable"])  # type: ignore[attr-defined]
        assert "Trialman" not in json.dumps([body, held])


def test_a_transfer_says_who_opened_and_answered_at_once(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(1)
        before = ask(found, f"/transfers/{transfer}")
        assert [(row["version"], row["opened_at"], row["opened_by"]) for row in before["deliveries"]] == [(1, None, None)]  # type: ignore[attr-defined]
        assert {(gap["owner"], bool(gap["due"])) for gap in before["gaps"]} >= {("pharmacy", True), ("ward", True)}  # type: ignore[attr-defined]
        read_and_answer(found.kit, transfer, AnswerKind.ASK, "Q02")
        after = ask(found, f"/transfers/{transfer}")
        assert [row["opened_by"] for row in after["deliveries"]] == ["Ama Carer-Test"]  # type: ignore[attr-defined]
        assert [(row["kind"], row["reason"], row["by"]) for row in after["answers"]] == [("ask", "Q02", "Ama Carer-Test")]  # type: ignore[attr-defined]
        assert found.kit.findings() == []


def test_another_hospital_and_a_home_see_nothing(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(0)
        submission = found.kit.send(b"rubbish")
        found.register("other-hospital", OTHER_HOSPITAL, "hospital")
        for path in (f"/transfers/{transfer}", f"/submissions/{submission}", "/submissions/x"):
            assert ask(found, path, "other-hospital", 404)["resourceType"] == "OperationOutcome"
            ask(found, path, "home", 403)
            assert found.http.get(path).status_code == 401
        assert found.kit.exchange.open_standings(OTHER_HOSPITAL) == []
        assert [row.transfer.id for row in found.kit.exchange.open_standings(HOSPITAL)] == [transfer]


@pytest.mark.parametrize("format", ["text", "json", "csv"])
def test_the_friday_list_on_the_command_line_and_its_page(tmp_path: Path, format: str) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(1)
        page = found.http.get("/board/friday", headers=sign_in(found, found.kit.worker))
        assert (page.status_code, "Trialman" in page.text) == (200, True)
        assert found.http.get("/board/friday", headers=sign_in(found, found.kit.carer)).status_code == 403
    command = [WARDPOST, "friday", "--org", HOSPITAL, "--format", format, "--data", str(tmp_path / "data")]
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "250"}, capture_output=True, text=True, timeout=60, check=True)
    if format == "json":
        assert [row["id"] for row in json.loads(done.stdout)["transfers"]] == [transfer]
    assert transfer in done.stdout
    assert "Pharmacy" in done.stdout
    assert "Trialman" not in done.stdout


@pytest.mark.parametrize("format", ["text", "json", "csv"])
def test_the_list_on_the_command_line(tmp_path: Path, format: str) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(1)
        read_and_answer(found.kit, transfer, AnswerKind.ASK, "Q02")
    command = [WARDPOST, "transfers", "--format", format, "--data", str(tmp_path / "data")]
    done = subprocess.run(command, env={**os.environ, "COLUMNS": "250"}, capture_output=True, text=True, timeout=60, check=True)
    if format == "json":
        body = json.loads(done.stdout)
        assert (body["page"], body["pages"], [row["id"] for row in body["transfers"]]) == (1, 1, [transfer])
    elif format == "csv":
        (row,) = csv.DictReader(io.StringIO(done.stdout))
        assert row["id"] == transfer
        assert "Pharmacy" in row["who fixes what"]
    assert transfer in done.stdout
    assert "A medicine is not in the bag" in done.stdout or format == "json"
    assert "Trialman" not in done.stdout


def test_the_board_is_for_a_named_person_of_the_hospital(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(1)
        worker, carer = sign_in(found, found.kit.worker), sign_in(found, found.kit.carer)
        board = found.http.get("/board", headers=worker)
        assert (board.status_code, "Trialman" in board.text, "Not opened" in board.text) == (200, True, True)
        page = found.http.get(f"/board/{transfer}", headers=worker)
        assert (page.status_code, page.headers["cache-control"]) == (200, "no-store")
        read_and_answer(found.kit, transfer, AnswerKind.ASK, "Q02")
        page = found.http.get(f"/board/{transfer}", headers=worker).text
        assert "The home asks: " in page
        assert "Ama Carer-Test" in page
        for path in ("/board", f"/board/{transfer}"):
            refused = found.http.get(path, headers=carer)
            assert (refused.status_code, "Trialman" in refused.text) == (403, False)
            assert found.http.get(path).status_code == 401
        assert found.http.get("/home", headers=worker).status_code == 403
        assert found.http.get("/board/nothing", headers=worker).status_code == 404
        viewed = [line for line in found.kit.exchange.trace(transfer) if line.type == "transfer.viewed"]
        assert len(viewed) == 2
        assert found.kit.findings() == []


@pytest.mark.parametrize("query", ["page=0", "page=-1", "page=x", "page=%C2%B2", "show=x&owner=%00", "owner=" + "x" * 900])
def test_an_odd_choice_on_the_board_is_no_error(tmp_path: Path, query: str) -> None:
    with api(tmp_path) as found:
        found.kit.story(1)
        assert found.http.get(f"/board?{query}", headers=sign_in(found, found.kit.worker)).status_code == 200


def test_a_supplement_said_in_the_future_is_refused_and_wins_over_nothing(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, now = found.kit.story(1), found.kit.clock.at

        def state(minutes: int) -> tuple[int, str]:
            body = {
                "by": found.kit.worker,
                "said_at": (now + timedelta(minutes=minutes)).isoformat(),
                "infection": {"status": "none known"},
            }
            answer = found.http.post(f"/transfers/{transfer}/supplements", headers=found.token("hospital"), json=body)
            return answer.status_code, answer.text

        status, text = state(6)
        assert (status, "said_in_future" in text) == (422, True)
        assert [state(minutes)[0] for minutes in (4, 0, -600)] == [201, 201, 201]
