"""The ward's two-minute form over HTTP, filled in as a browser would: what stands in its inputs, changed here and there, posted back."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.directory.entries import add_person
from exchange.model import PersonRole
from exchange.records import Supplement
from tests.app_kit import HOME, OTHER_HOSPITAL
from tests.e2e.api_kit import Api, api
from tests.e2e.test_pages_http import rows, sign_in

ALL = {
    "full_list_in_letter": "yes",
    "changes.nothing_changed": "yes", "changes.decided_by.name": "Priya Pharmacist-Test", "changes.decided_by.role": "pharmacist",
    "critical.rest": "yes", "last_doses.chart_copy_in_bag": "yes",
    "bag.items": "4", "bag.shortest_supply_days": "7", "bag.nothing_missing": "yes",
    "contact.phone": "01632 960106", "contact.who": "Ward 6, nurse in charge", "contact.hours": "day and night",
    "infection.status": "none known", "resuscitation.form": "no",
    "nursing.skin": "Intact, checked today", "nursing.lines": "All out", "nursing.same_as_before": "yes",
    "nursing.says": "Nora Nurse-Test",
    "leaving.day": "2026-11-28", "leaving.window": "10:00 to 12:00",
}  # fmt: skip


class Form(HTMLParser):
    """What a browser would post of the form of class `ward`, untouched."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}
        self.names: set[str] = set()
        self.area = ""
        self.feed(page[page.index('<form class="ward"') :])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        name = found.get("name", "")
        self.names |= {name}
        if tag == "input" and (found.get("type") not in ("radio", "checkbox") or "checked" in found):
            self.fields[name] = re.sub("[\r\n]", "", found.get("value", ""))
        if tag == "textarea":
            self.area, self.fields[name] = name, ""

    def handle_data(self, data: str) -> None:
        if self.area:
            self.fields[self.area] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "textarea":
            self.fields[self.area] = self.fields[self.area].removeprefix("\n").replace("\n", "\r\n")
            self.area = ""


def open_form(found: Api, headers: dict[str, str], transfer: str) -> dict[str, str]:
    page = found.http.get(f"/board/{transfer}/ward", headers=headers)
    assert page.status_code == 200, page.text
    return Form(page.text).fields


def send(found: Api, headers: dict[str, str], transfer: str, fields: dict[str, str]):  # type: ignore[no-untyped-def]
    answer = found.http.post(f"/board/{transfer}/ward", headers=headers, data=fields)
    found.kit.drain()
    return answer


def badge(found: Api, transfer: str) -> str:
    standing = found.kit.exchange.open_standings()
    return next(str(each.newest.badge) for each in standing if each.transfer.id == transfer and each.newest)


def test_the_form_alone_makes_the_papers_complete(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        assert badge(found, transfer) != "papers complete"
        link = f'href="/board/{transfer}/ward"'
        assert link in found.http.get(f"/board/{transfer}", headers=worker).text
        answer = send(found, worker, transfer, {**open_form(found, worker, transfer), **ALL})
        assert (answer.status_code, answer.headers["location"]) == (303, f"/board/{transfer}/ward/kept")
        assert badge(found, transfer) == "papers complete"
        kept = found.http.get(f"/board/{transfer}/ward/kept", headers=worker).text
        assert "Nothing is missing." in kept
        page = found.http.get(f"/board/{transfer}/ward", headers=worker).text
        assert "nothing left to answer" in page
        assert "step--gap" not in page
        assert found.kit.findings() == []


def test_what_is_left_is_said_with_its_owner(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        send(found, worker, transfer, {**open_form(found, worker, transfer), **ALL, "nursing.skin": "", "bag.nothing_missing": "no"})
        kept = found.http.get(f"/board/{transfer}/ward/kept", headers=worker).text
        assert "2 still missing" in kept
        assert "Who fixes it:" in kept


def test_sent_twice_is_stated_once_and_untouched_is_not_restated(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        fields = {**open_form(found, worker, transfer), **ALL}
        assert [send(found, worker, transfer, fields).status_code for _ in range(2)] == [303, 303]
        assert len(rows(found, Supplement)) == 1
        again = open_form(found, worker, transfer)
        assert send(found, worker, transfer, again).status_code == 303
        assert len(rows(found, Supplement)) == 1
        send(found, worker, transfer, {**again, "nursing.skin": "Heel red, 2 cm"})
        last = json.loads(rows(found, Supplement)[-1].content.open())
        assert set(last) == {"nursing"}


@pytest.mark.parametrize("which", [0, 1])
def test_what_came_by_api_is_shown_and_not_restated(tmp_path: Path, which: int) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(which), sign_in(found, found.kit.worker)
        send(found, worker, transfer, open_form(found, worker, transfer))
        assert len(rows(found, Supplement)) == 1
        send(found, worker, transfer, {**open_form(found, worker, transfer), "critical.0.medicine": "x", "critical.0.present": "yes"})
        supplement = people(found.kit.clock())[which].supplement
        assert supplement is not None
        last = json.loads(rows(found, Supplement)[-1].content.open())
        assert last["critical"][1:] == supplement["critical"][1:]  # type: ignore[index]


def test_two_people_at_once_do_not_overwrite_each_other(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        stale = open_form(found, worker, transfer)
        send(found, worker, transfer, {**stale, "nursing.skin": "Intact"})
        refused = send(found, worker, transfer, {**stale, "nursing.skin": "Heel red"})
        assert refused.status_code == 422
        assert "Somebody answered this while you wrote" in refused.text
        assert "Heel red" in refused.text
        assert send(found, worker, transfer, Form(refused.text).fields).status_code == 303
        assert len(rows(found, Supplement)) == 2


WRONG = {
    "items": ({"bag.items": "-1"}, "bag.items"),
    "items in words": ({"bag.items": "four"}, "bag.items"),
    "a number that is none": ({"contact.phone": "call me"}, "contact.phone"),
    "hours without a number": ({"contact.hours": "day"}, "contact.phone"),
    "nobody decided": ({"changes.nothing_changed": "yes"}, "changes.decided_by.name"),
    "who, without role": ({"changes.nothing_changed": "yes", "changes.decided_by.name": "P Test"}, "changes.decided_by.role"),
    "a status without a medicine": ({"changes.lines.1.status": "stopped"}, "changes.lines.1.medicine"),
    "a medicine without a status": ({"changes.lines.1.medicine": "Aspirin"}, "changes.lines.1.status"),
    "insulin without a name": ({"critical.0.present": "yes"}, "critical.0.medicine"),
    "no, and a name": ({"critical.0.present": "no", "critical.0.medicine": "Insulin"}, "critical.0.present"),
    "a time without a day": ({"critical.0.present": "yes", "critical.0.medicine": "X", "critical.0.last_time": "22:00"},
                            "critical.0.last_dose"),
    "an hour that came twice": ({"critical.0.present": "yes", "critical.0.medicine": "X", "critical.0.last_dose": "2026-10-25",
                                 "critical.0.last_time": "01:30"}, "critical.0.last_dose"),
    "an hour that never was": ({"critical.0.present": "yes", "critical.0.medicine": "X", "critical.0.last_dose": "2026-03-29",
                                "critical.0.last_time": "01:30"}, "critical.0.last_dose"),
    "none known, nothing asked": ({"allergies.none_known": "yes"}, "allergies.asked"),
    "a word that is no choice": ({"infection.status": "<b>maybe"}, "infection.status"),
    "neither yes nor no": ({"full_list_in_letter": "maybe"}, "full_list_in_letter"),
    "too long": ({"nursing.skin": "x" * 2001}, "nursing.skin"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_stands_beside_its_field_and_nothing_typed_is_lost(tmp_path: Path, case: str) -> None:
    typed, field = WRONG[case]
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        other = {"nursing.lines": 'One "cannula" <left> & \u202earm'}
        answer = send(found, worker, transfer, {**open_form(found, worker, transfer), **other, **typed})
        assert answer.status_code == 422
        assert f'id="{field}-error"' in answer.text
        assert f'href="#{field}"' in answer.text
        assert re.search(rf' id="{re.escape(field)}"', answer.text)
        again = Form(answer.text).fields
        kept = {name: value for name, value in {**other, **typed}.items() if name not in ("infection.status", "full_list_in_letter")}
        assert {name: again.get(name) for name in kept} == kept
        assert rows(found, Supplement) == []


@pytest.mark.parametrize("add", ["changes.lines", "bag.missing", "allergies.list", "critical.insulin", "x" * 999])
def test_more_rows_keep_what_was_typed_and_send_nothing(tmp_path: Path, add: str) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        before = open_form(found, worker, transfer)
        answer = send(found, worker, transfer, {**before, "nursing.skin": "Heel red", "more": add})
        after = Form(answer.text).fields
        assert (answer.status_code, after["nursing.skin"]) == (200, "Heel red")
        assert (len(after) > len(before)) == (len(add) < 99)
        assert rows(found, Supplement) == []


def test_the_form_is_for_a_named_person_of_this_hospital(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        fields = {**open_form(found, worker, transfer), **ALL}

        def person(org: str, role: PersonRole) -> str:
            return found.kit.exchange.store.write(lambda uow: add_person(uow, org, role, "Oda Other-Test", "oda@test.example")).id

        others = ((person(OTHER_HOSPITAL, PersonRole.WARD), 404), (found.kit.carer, 403), (person("RZZ01", PersonRole.AUDITOR), 422))
        for who, status in others:
            stranger = sign_in(found, who)
            assert found.http.get(f"/board/{transfer}/ward", headers=stranger).status_code in (status, 403)
            csrf = re.search(r'name="csrf" value="([0-9a-f]+)"', found.http.get("/board", headers=stranger).text + found.http.get(
                "/home", headers=stranger).text)  # fmt: skip
            refused = send(found, stranger, transfer, {**fields, "csrf": csrf[1] if csrf else ""})
            assert refused.status_code in (status, 403)
            assert "Trialman" not in refused.text
        assert found.http.get(f"/board/{transfer}/ward").status_code == 401
        for bad in ({"csrf": ""}, {"csrf": "0" * 64}):
            assert send(found, worker, transfer, {**fields, **bad}).status_code == 422
        assert send(found, {**worker, "sec-fetch-site": "cross-site"}, transfer, fields).status_code == 422
        assert rows(found, Supplement) == []


def test_odd_fields_are_no_error_of_ours(tmp_path: Path) -> None:
    odd = {"base": "\x00", "changes.lines.999.status": "new", "changes.lines.999.medicine": "x", "changes.lines.x.y": "1",
           "critical.99999": "1",
           "changes": "1", "bag": "1", "critical.1.class": "<script>", "critical.1.present": "yes", "nursing.skin\x00": "é",
           "allergies.asked.stone": "yes", "said_at": "2099-01-01T00:00:00Z", "bag.items": "٣"}  # fmt: skip
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        answer = send(found, worker, transfer, {**open_form(found, worker, transfer), **odd})
        assert answer.status_code == 422
        assert "<script>" not in answer.text
        assert send(found, worker, transfer, {f"x{n}": "" for n in range(3000)}).status_code == 400
        assert rows(found, Supplement) == []


def test_the_heading_counts_lines_and_names_what_the_form_cannot_answer(tmp_path: Path) -> None:
    """The badge counts what the home misses, the heading what this form asks: a letter-only feed's lines, and nobody's NHS number."""
    with api(tmp_path) as found:
        person = people(found.kit.clock())[2]
        found.kit.send(admission(person, found.kit.clock.at).replace(person.number.encode(), b""))
        found.kit.send(letter(person, found.kit.clock.at).replace(person.number.encode(), b""))
        found.kit.drain()
        transfer = found.kit.exchange.confirm_site(person.visit, HOME, found.kit.worker).id
        found.kit.drain()
        assert badge(found, transfer) == "1 missing"
        worker = sign_in(found, found.kit.worker)
        page = found.http.get(f"/board/{transfer}/ward", headers=worker).text
        assert ": 6 lines to answer</h1>" in page
        assert "<strong>1 missing</strong>. Due at once." in page
        assert "Asked when a to f are answered" in page
        assert "Page made Friday 27 November" in page
        assert "This hospital sends a letter only" in page
        assert "Missing, and not answered in this form:" in page
        assert "NHS number, name and date of birth" in page


def test_the_journey_and_an_override_go_by_the_form(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        why = {"override.code": "O4", "override.promise": "2026-11-28", "override.promise_time": "15:00"}
        fields = {**open_form(found, worker, transfer), **ALL, "nursing.skin": "", **why, "person.kind": "returner"}
        assert send(found, worker, transfer, fields).status_code == 303
        assert badge(found, transfer) == "1 missing"
        last = json.loads(rows(found, Supplement)[-1].content.open())
        assert last["override"] == {"code": "O4", "promise": "2026-11-28T15:00:00+00:00"}
        opened = found.kit.exchange.open_version(found.kit.caller(), transfer)
        assert "The rest is promised until 28 November 2026, 15:00" in json.loads(opened.item.version.gate.open())["override"]
        home = found.http.get(f"/home/{transfer}", headers=sign_in(found, found.kit.carer)).text
        assert "chose to send these papers before they were complete" in home
        assert "10:00 to 12:00" in home
        again = open_form(found, worker, transfer)
        assert again["override.promise_time"] == "15:00"
        assert send(found, worker, transfer, again).status_code == 303
        assert len(rows(found, Supplement)) == 1


def test_one_tap_says_what_is_usual_in_the_name_of_who_taps(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        fields = {**open_form(found, worker, transfer), "usual.nursing": "yes", "usual.last_doses": "yes"}
        other = send(found, worker, transfer, {**fields, "nursing.skin": "Heel red, 2 cm"})
        assert (other.status_code, "Skin, lines and daily care: You tick the usual answer, and another stands here" in other.text) == (
            422,
            True,
        )
        assert 'name="usual.nursing" value="yes" checked' in other.text
        assert send(found, worker, transfer, fields).status_code == 303
        said = json.loads(rows(found, Supplement)[-1].content.open())
        assert {name: said[name] for name in said if name != "said_at"} == {
            "nursing": {"skin": "Intact, checked today", "lines": "All out", "same_as_before": True, "says": "Rob Manager-Test"},
            "infection": {"status": "none known"}, "last_doses": {"chart_copy_in_bag": True}, "bag": {"nothing_missing": True},
        }  # fmt: skip
        page = found.http.get(f"/board/{transfer}/ward", headers=worker).text
        assert "usual." not in page  # what is answered is not offered again


def test_a_new_resident_is_never_as_before(tmp_path: Path) -> None:
    with api(tmp_path, '{"gate_profile": "letter and checked"}') as found:
        transfer, worker = found.kit.story(0, supplemented=False), sign_in(found, found.kit.worker)
        assert "usual.nursing" in open_form_names(found, worker, transfer)
        found.kit.exchange.add_supplement(transfer, found.kit.worker, {"person": {"kind": "new resident"}})
        assert "usual.nursing" not in open_form_names(found, worker, transfer)


def open_form_names(found: Api, headers: dict[str, str], transfer: str) -> set[str]:
    return Form(found.http.get(f"/board/{transfer}/ward", headers=headers).text).names
