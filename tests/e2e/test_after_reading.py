"""A08, A13 and a second letter after the home has read version 1: what the page shows, what a poller learns, what is refused."""

import re
from pathlib import Path

from exchange.cli.demo_story import admission, letter, people
from exchange.model import AnswerKind
from tests.e2e.api_kit import Api, api
from tests.e2e.test_pages_http import sign_in


def poll(found: Api, since: str) -> tuple[list[tuple[str, str]], str]:
    """(what changed since a moment, the newest moment): all that a home's software keeps is `_lastUpdated`."""
    body = found.fhir("GET", f"/fhir/DocumentReference?_lastUpdated=gt{since}").json()
    rows = [entry["resource"] for entry in body.get("entry", [])]
    return [(row["description"][:9], row["status"]) for row in rows], max((row["meta"]["lastUpdated"] for row in rows), default=since)


def second_letter(found: Api) -> None:
    """The letter again, signed later, with another dose; it takes the place of the first one."""
    found.kit.clock.forward(minutes=20)
    text = letter(people(found.kit.clock())[0], found.kit.clock.at).decode()
    text = text.replace("T02-V1001", "T02-V1001-2").replace("one each morning - CHANGED", "half of one each morning - CHANGED")
    found.kit.send(text.encode())
    found.kit.drain()


def test_each_change_reaches_the_page_and_the_poller(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(0)
        first, since = poll(found, "2026-01-01T00:00:00Z")
        assert first == [("Version 1", "current")]
        carer = sign_in(found, found.kit.carer)
        url = f"/home/{transfer}"
        assert "changed after you read" not in found.http.get(url, headers=carer).text
        item = found.kit.exchange.version_item(found.kit.caller(), transfer, 1)
        found.kit.exchange.answer(found.kit.caller(), item.delivery.id, AnswerKind.CAN_TAKE, "", {"at": "2026-11-28T08:00:00+00:00"})

        second_letter(found)
        learned, since = poll(found, since)
        assert learned == [("Version 1", "superseded"), ("Version 2", "current")]
        page = found.http.get(url, headers=carer).text
        assert "changed after you read it" in page
        assert "half of one each morning" in page
        assert "to version 1: can take" in page
        assert "Throw away any print of version 1 or older" in page
        assert "out of date, version 2 has come" in found.http.get(f"{url}/version/1", headers=carer).text
        csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
        assert csrf
        sent = found.http.post(f"{url}/answer", headers=carer, data={"csrf": csrf[1], "kind": "seen", "version": "2"})
        assert sent.status_code == 303
        page = found.http.get(url, headers=carer).text
        assert "after you read it" not in page
        assert "What changed since version 1" in page

        found.kit.clock.forward(minutes=20)
        a08 = admission(people(found.kit.clock())[0], found.kit.clock.at, "A08").decode().replace("Fall at home", "Fall on the stairs")
        found.kit.send(a08.encode())
        found.kit.drain()
        learned, since = poll(found, since)
        assert learned == [("Version 2", "superseded"), ("Version 3", "current")]
        assert "Fall on the stairs" in found.http.get(url, headers=carer).text

        found.kit.clock.forward(minutes=20)
        found.kit.send(admission(people(found.kit.clock())[0], found.kit.clock.at, "A13"))
        found.kit.drain()
        learned, since = poll(found, since)
        assert {status for _, status in learned} == {"entered-in-error"}
        assert len(learned) == 3
        gone = found.http.get(url, headers=carer)
        assert gone.status_code == 410
        for words in (
            "is not coming",
            "Sample General Hospital took this back on Friday 27 November",
            "Throw away any print",
            "01632 9601",
        ):
            assert words in gone.text
        assert "Apixaban" not in gone.text
        references = found.fhir("GET", "/fhir/DocumentReference").json()["entry"]
        for part in references[-1]["resource"]["content"]:
            path = part["attachment"]["url"].split("8080", 1)[1]
            refused = found.fhir("GET", path, status=410).json()
            assert "Throw away any print" in refused["issue"][0]["diagnostics"]
        task = found.fhir("GET", f"/fhir/Task/{references[-1]['resource']['id']}").json()
        assert (task["status"], task["businessStatus"]["coding"][0]["code"]) == ("cancelled", "withdrawn")
        assert poll(found, since) == ([], since)
        assert found.kit.findings() == []


def test_conditions_ticked_on_the_page_are_in_the_task(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer = found.kit.story(1)
        item = found.kit.exchange.version_item(found.kit.caller(), transfer, 1)
        content: dict[str, object] = {"at": "2026-11-28T08:00:00+00:00", "conditions": ["The skin check", "A plan for co-careldopa"]}
        found.kit.exchange.answer(found.kit.caller(), item.delivery.id, AnswerKind.CAN_TAKE, "", content)
        answer = found.fhir("GET", f"/fhir/Task/{item.delivery.id}")
        task = answer.json()
        assert task["statusReason"]["text"] == "Only if put right first: The skin check; A plan for co-careldopa"
        assert [output["valueString"] for output in task["output"]] == content["conditions"]
        # What a client reads, it can send back.
        found.fhir("PUT", f"/fhir/Task/{item.delivery.id}", json=task, headers={"If-Match": answer.headers["etag"]})
        again = found.fhir("GET", f"/fhir/Task/{item.delivery.id}").json()
        assert [output["valueString"] for output in again["output"]] == content["conditions"]
