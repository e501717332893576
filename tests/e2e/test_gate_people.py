"""Person × policy of the feed × rule set → badge and missing ids: the table of practice.md 4, each as source messages over HTTP.

One hospital with a feed for each gate profile; all people at once, so that they could meet each other. The rule set stands on each result.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.directory.entries import add_sender
from exchange.gate.rules import RULE_SET_VERSION, RULES
from tests.app_kit import CLOSED_HOME, HOME, HOSPITAL
from tests.e2e.api_kit import Api, api, code_of
from tests.e2e.test_pages_http import sign_in
from tests.service_kit import WARDPOST

FEEDS = {"LTR": "letter only", "CHK": "letter and checked", "STR": "structured", "AED": "emergency return"}
GONE = object()
NO = {kind: {"class": kind, "present": False} for kind in ("insulin", "anticoagulant", "opioid", "controlled", "time-critical",
                                                          "weekly-or-patch")}  # fmt: skip
SAME = {"same_as_before": True, "says": "Nora Nurse-Test", "skin": "Intact, checked today", "lines": "All out"}
JOURNEY = {"day": "2026-11-28", "window": "10:00 to 12:00", "transport": "Patient transport", "escort": "Daughter"}
COMPLETE: dict[str, Any] = {
    "full_list_in_letter": True, "changes": {"nothing_changed": True, "decided_by": {"name": "Erin Doctor-Test", "role": "prescriber"}},
    "critical": [*NO.values()], "last_doses": {"chart_copy_in_bag": True},
    "bag": {"items": 9, "shortest_supply_days": 14, "nothing_missing": True}, "infection": {"status": "none known"},
    "contact": {"phone": "01632 960106", "who": "Ward 6", "hours": "day and night"},
    "resuscitation": {"form": "no"}, "nursing": SAME, "person": {"kind": "returner"}, "leaving": JOURNEY,
    "plan": {"follow_up": "None"},
}  # fmt: skip
RETURNS_FROM_AED = {
    "person": {"kind": "emergency return"}, "changes": COMPLETE["changes"], "contact": COMPLETE["contact"], "leaving": JOURNEY,
    "plan": {"given": "Paracetamol 1 g at 14:00", "follow_up": "None"},
}  # fmt: skip


def ticks(kind: str, **more: object) -> list[dict[str, object]]:
    return [{**NO, kind: {"class": kind, "present": True, "last_dose": "2026-11-27T13:00:00+00:00", **more}}[each] for each in NO]


def said(**members: object) -> dict[str, Any]:
    return {name: value for name, value in (COMPLETE | members).items() if value is not GONE}


def emergency(**members: object) -> dict[str, Any]:
    return {name: value for name, value in (RETURNS_FROM_AED | members).items() if value is not GONE}


APIXABAN = "Apixaban 2.5mg tablets"
ASPIRIN = ((APIXABAN, "new", "Irregular heartbeat"), ("Aspirin 75mg tablets", "", ""))
LISTED = ((APIXABAN, "new", "Irregular heartbeat"), ("Aspirin 75mg tablets", "stopped", "Apixaban started"))
BLOOD_THINNER = ticks("anticoagulant", medicine=APIXABAN, next_due="20:00", in_bag=True)
MORPHINE = [*ticks("opioid", medicine="Morphine 10mg/ml ampoules", next_due="when in pain", in_bag=True)[:3],
            *ticks("controlled", medicine="Morphine 10mg/ml ampoules", next_due="when in pain", in_bag=True)[3:]]  # fmt: skip
INSULIN = ticks("insulin", medicine="Insulin glargine 100 units/ml", next_due="22:00", in_bag=True, note="Pen; district nurse gives it")
SENNA = "Senna 7.5mg tablets"
DMD = {SENNA: "321154009"}
HELD = {"medicine": "Metformin 500mg tablets", "status": "held", "reason": "Kidney function"}


@dataclass(frozen=True)
class Case:
    """What came of one person, and what has to come of it. `edit` changes the admission's text; `medicines` is a checked table;
    `more` are further messages, each a function of the admission."""

    name: str
    feed: str
    badge: str
    missing: tuple[str, ...] = ()
    supplements: tuple[dict[str, Any], ...] = ()
    edit: tuple[tuple[str, str], ...] = ()
    medicines: tuple[tuple[str, str, str], ...] = ()
    is_pdf: bool = False
    warned: tuple[str, ...] = ()
    due: str = ""
    versions: int = 0
    more: tuple[str, ...] = field(default=())


def decided(*lines: dict[str, str]) -> dict[str, object]:
    return {"decided_by": {"name": "Priya Pharmacist-Test", "role": "pharmacist"}, "lines": list(lines)}


OK, LETTER = "papers complete", "letter only"
TABLE = (
    # The nine of dataset.md 1.
    Case("Parkinson's, co-careldopa due, not in the bag", "LTR", "2 missing", ("18-time-critical", "19-supply"),
         (said(critical=ticks("time-critical", medicine="Co-careldopa 25mg/100mg tablets", next_due="18:00", in_bag=False)),)),
    Case("apixaban started, old aspirin not marked", "STR", "1 missing", ("12-medicines-changes",),
         (said(changes=GONE, critical=BLOOD_THINNER),), medicines=ASPIRIN),
    Case("the same, and aspirin is marked stopped", "STR", OK, (), (said(changes=GONE, critical=BLOOD_THINNER),), medicines=LISTED),
    Case("NKDA, nothing changed, all complete", "LTR", OK, (), (COMPLETE,)),
    Case("new resident without a GP", "LTR", "2 missing", ("08-gp", "28-daily-needs"), (said(person={"kind": "new resident"}),)),
    Case("C. difficile, vancomycin for six days", "LTR", OK, (),
         (said(infection={"status": "present", "text": "C. difficile, day 4: single room, vancomycin 6 days left"}),)),
    Case("PEG, feed for one day", "LTR", "1 missing", ("34-feeding-tube",),
         (said(nursing={**SAME, "lines": "PEG in", "feeding_tube": True, "feed": "1 litre at night", "feed_days": 1}),)),
    Case("end of life, morphine counted and sealed", "LTR", OK, (),
         (said(person={"kind": "returner", "end_of_life": True, "anticipatory": "in the bag with the chart"}, critical=MORPHINE,
               bag={"items": 3, "shortest_supply_days": 7, "nothing_missing": True, "controlled": {"count": 5, "seal": "T-1"}},
               resuscitation={"form": "yes", "kind": "ReSPECT", "original_in_bag": True, "valid_outside_hospital": True}),)),
    Case("insulin changes after the first version", "LTR", OK, (),
         (said(critical=INSULIN), said(critical=[{**INSULIN[0], "note": "Pen; 8 units, was 12"}, *INSULIN[1:]])), versions=2),
    Case("a PDF and nothing more", "LTR", LETTER, is_pdf=True),
    # Of practice.md.
    Case("a trust with PDF alone, policy letter and checked", "CHK", "13 missing", warned=("08-gp",), is_pdf=True, missing=(
         "03-leaving-time", "07-contact", "11-medicines-list", "12-medicines-changes", "16-last-dose", "18-time-critical", "19-supply",
         "20-controlled", "26-infection", "27-skin", "28-daily-needs", "35-lines", "36-resuscitation")),
    Case("emergency return", "AED", OK, (), (RETURNS_FROM_AED,)),
    Case("emergency return, of a hospital's ward feed", "LTR", OK, (), (RETURNS_FROM_AED,)),
    Case("emergency return, nothing said of what was given", "AED", "1 missing", ("16-given-today",),
         (emergency(plan={"follow_up": "None"}),)),
    Case("emergency return of which nobody said anything", "AED", "6 missing",
         ("03-leaving-time", "07-contact", "12-medicines-changes", "16-given-today", "24-follow-up", "42-transport")),
    Case("held metformin, nobody says who restarts it", "LTR", OK, (), (said(changes=decided(HELD)),), warned=("12-held-restart",)),
    Case("held metformin, the GP restarts it", "LTR", OK, (), (said(changes=decided(HELD | {"restart": "GP, after a blood test"})),)),
    Case("no known drug allergy, food unknown: nobody asked", "LTR", "1 missing", ("10-allergies",), (COMPLETE,),
         edit=(("AL1|1|DA|409137002^No known drug allergies^SCT", "AL1|1|DA|1631000175102^Not asked^SCT"),)),
    Case("one source none, another penicillin", "LTR", "1 missing", ("10-allergies",),
         (said(allergies={"none_known": False, "list": [{"agent": "Penicillin", "kind": "drug"}]}),)),
    Case("the conflict shows in a letter-only feed, too", "LTR", "1 missing", ("10-allergies",),
         ({"allergies": {"none_known": False, "list": [{"agent": "Penicillin", "kind": "drug"}]}},)),
    Case("a twin", "LTR", LETTER), Case("the other twin", "LTR", OK, (), (COMPLETE,)),
    Case("A03 keyed six hours late", "LTR", OK, (), (COMPLETE,), more=("A03",)),
    Case("leaves on Easter Monday", "LTR", LETTER, edit=(("||||||20261128", "||||||20270329"),)),
    Case("leaves on Easter Monday, policy checked", "CHK", "1 missing", ("07-contact",), (said(contact=GONE, leaving=GONE),),
         edit=(("||||||20261128", "||||||20270329"),), due="2027-03-25T12:00:00+00:00", warned=("03-leaving-time",)),
    Case("leaves on the October Sunday, policy checked", "CHK", "1 missing", ("07-contact",), (said(contact=GONE, leaving=GONE),),
         edit=(("||||||20261128", "||||||20271031"),), due="2027-10-29T12:00:00+01:00", warned=("03-leaving-time",)),
    Case("sensitive address", "LTR", OK, (), (COMPLETE,), edit=(("\rPV1|", "\rPD1||||||||||||Y\rPV1|"),)),
    Case("a dispense without an order", "LTR", OK, (), (COMPLETE,), more=("RDS",)),
    Case("a dose that goes down in steps which nobody wrote", "STR", OK, (), (said(changes=GONE),),
         warned=("15-taper-steps", "15-how-long"),
         medicines=(("Prednisolone 5mg tablets", "tapering", "Chest"), ("Doxycycline 100mg capsules", "new", "Chest infection"))),
    Case("the list has insulin, the ward ticks no", "STR", "1 missing", ("16-kinds-agree",), (said(changes=GONE),),
         medicines=(("Insulin glargine 100 units/ml", "unchanged", ""),)),
    Case("sent before it is complete: an override", "LTR", "1 missing", ("27-skin",),
         (said(nursing={**SAME, "skin": "not checked"}, override={"code": "O2", "note": "Mia Homemanager-Test"}),)),
)  # fmt: skip


def number_of(at: int) -> str:
    """A possible NHS number of the range that is never issued."""
    for digits in range(at * 11, at * 11 + 11):
        body = f"9991{digits:05}"
        check = 11 - sum(int(d) * (10 - n) for n, d in enumerate(body)) % 11
        if check != 10:
            return body + str(check % 11)
    raise AssertionError


class Ward:
    """Plays the table into a hospital with the four feeds, by HTTP."""

    def __init__(self, found: Api) -> None:
        self.found, self.transfers = found, dict[str, str]()
        for name, profile in FEEDS.items():
            text = json.dumps({"gate_profile": profile})
            found.kit.exchange.store.write(lambda uow, n=name, p=text: add_sender(uow, n, HOSPITAL, "http", 0, p))

    def send(self, feed: str, raw: bytes, media_type: str = "x-application/hl7-v2+er7") -> None:
        self.found.fhir("POST", f"/submissions?sender={feed}", "hospital", 202, content=raw, headers={"content-type": media_type})

    def post(self, path: str, body: dict[str, Any], status: int = 201) -> dict[str, Any]:
        answer = self.found.http.post(path, json={**body, "by": self.found.kit.worker}, headers=self.found.token("hospital"))
        assert answer.status_code == status, answer.text
        return answer.json()  # type: ignore[no-any-return]

    def status(self, case: Case) -> dict[str, Any]:
        answer = self.found.http.get(f"/transfers/{self.transfers[case.name]}", headers=self.found.token("hospital"))
        return answer.json()  # type: ignore[no-any-return]

    def play(self, at: int, case: Case) -> None:
        now = self.found.kit.clock.at
        base = people(now)[2 if case.is_pdf else 1]
        visit, number = f"T{at:03}", number_of(at)

        def mine(raw: bytes) -> bytes:
            text = raw.decode().replace(base.visit, visit).replace(base.number, number)
            return (text if "twin" in case.name else text.replace(base.family, f"Case{at:03}")).encode()

        admitted = mine(admission(base, now)).decode()
        for old, new in case.edit:
            assert old in admitted, (case.name, old)
            admitted = admitted.replace(old, new)
        self.send(case.feed, admitted.encode())
        self.send(case.feed, mine(letter(base, now)))
        if case.medicines:
            head = "nhs_number,birth_date,visit_number,checked_by,checked_at,medicine,directions,status,reason,code"
            who = f"{number},{base.born[:4]}-{base.born[4:6]}-{base.born[6:]},{visit},Priya Pharmacist-Test,2026-11-27T15:10"
            rows = [f"{who},{name},One a day,{status},{reason},{DMD.get(name, '')}" for name, status, reason in case.medicines]
            self.send(case.feed, "\n".join([head, *rows]).encode(), "text/csv")
        self.found.kit.drain()
        self.transfers[case.name] = self.post("/transfers/confirm", {"stay": visit, "site": HOME}, 200)["transfer"]
        self.found.kit.drain()
        for supplement in case.supplements:
            self.post(f"/transfers/{self.transfers[case.name]}/supplements", supplement)
            self.found.kit.drain()
        if "A03" in case.more:
            left = mine(admission(base, now, "A03")).decode().replace("A03-T", "A03-LATE-T")
            self.send(case.feed, left.encode())
        if "RDS" in case.more:
            head, pid = admitted.split("\r")[0].replace("ADT^A01^ADT_A01", "RDS^O13").replace("A01-", "RDS-"), admitted.split("\r")[2]
            self.send(case.feed, "\r".join([head, pid, f"PV1|1|I|W06|{'|' * 14}|{visit}", "ORC|RE|O1|D1",
                                            "RXD|1|^Senna 7.5mg tablets|202611271200|14|tablet"]).encode())  # fmt: skip
        self.found.kit.drain()


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with api(tmp_path_factory.mktemp("people")) as found:
        made = Ward(found)
        for at, case in enumerate(TABLE, 1):
            made.play(at, case)
        yield made
        assert found.kit.findings() == []


@pytest.mark.parametrize("case", TABLE, ids=lambda case: case.name)
def test_each_person_has_their_badge(ward: Ward, case: Case) -> None:
    status = ward.status(case)
    assert sorted(gap["rule"] for gap in status["gaps"]) == sorted(case.missing)
    assert status["badge"] == case.badge
    assert set(case.warned) <= {gap["rule"] for gap in status["warnings"]}
    assert not case.due or {gap["due"] for gap in status["gaps"]} == {case.due}
    assert status["version"] >= case.versions
    assert status["rule_set"] == f"wardpost-default {RULE_SET_VERSION}"


def test_an_override_is_told_to_the_home_and_turns_nothing_green(ward: Ward) -> None:
    case = next(case for case in TABLE if "override" in case.name)
    transfer = ward.transfers[case.name]
    words = "agreed with the home by phone. Mia Homemanager-Test"
    assert words in ward.status(case)["override"]
    page = ward.found.http.get(ward.found.link(ward.found.kit.carer))
    assert page.status_code in (200, 303)
    kit = ward.found.kit
    opened = kit.exchange.open_version(kit.caller(), transfer)
    assert words in json.loads(opened.item.version.gate.open())["override"]
    assert opened.item.version.badge == "1 missing"
    assert "supplement.added" in [line.type for line in kit.exchange.trace(transfer)]


def test_a_command_overrides_too(ward: Ward) -> None:
    kit, case = ward.found.kit, next(case for case in TABLE if case.name.startswith("PEG"))
    transfer, badge = ward.transfers[case.name], case.badge
    command = [WARDPOST, "override", transfer, "--by", kit.worker, "--code", "O4", "--data", str(kit.settings.data)]
    wrong = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (wrong.returncode, "override.promise" in wrong.stderr) == (1, True)
    subprocess.run([*command, "--promise", "2026-11-28"], capture_output=True, timeout=60, check=True)
    kit.drain()
    body = kit.exchange.transfer_status(transfer, HOSPITAL)
    assert (body["badge"], "until 28 November" in str(body["override"])) == (badge, True)


def test_a_profile_that_names_no_rule_is_refused(ward: Ward, tmp_path: Path) -> None:
    file = tmp_path / "profile.json"
    file.write_text('{"does_not_send": ["24-follow-up", "99-typo"]}')
    command = [WARDPOST, "senders", "add", "NEW", "--org", HOSPITAL, "--profile", str(file), "--data", str(ward.found.kit.settings.data)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, "99-typo" in done.stderr, "24-follow-up" in done.stderr) == (1, True, False)


def test_twins_stay_two(ward: Ward) -> None:
    one, other = (ward.transfers[name] for name in ("a twin", "the other twin"))
    assert one != other


def test_a_closed_home_is_not_picked(ward: Ward) -> None:
    answer = ward.found.http.post("/transfers/confirm", json={"stay": "T004", "site": CLOSED_HOME, "by": ward.found.kit.worker},
                                  headers=ward.found.token("hospital"))  # fmt: skip
    assert (answer.status_code, code_of(answer)) == (422, "site_closed")


def test_an_override_by_phone_names_who_agreed(ward: Ward) -> None:
    path, said_by = f"/transfers/{ward.transfers['a twin']}/supplements", {"by": ward.found.kit.worker}
    answer = ward.found.http.post(path, json={"override": {"code": "O2"}, **said_by}, headers=ward.found.token("hospital"))
    assert (answer.status_code, code_of(answer)) == (422, "supplement_invalid")


def test_the_gate_looks_again_when_the_last_day_begins_and_when_the_day_moves(tmp_path: Path) -> None:
    """Friday 16:30, leaves on Monday: a warning. It is a STOP from Sunday on, without a message; moved to Tuesday it is a warning again."""
    with api(tmp_path) as found:
        made, kit = Ward(found), found.kit
        case = Case("x", "CHK", "", supplements=(said(leaving=GONE),), edit=(("||||||20261128", "||||||20261130"),))
        made.play(900, case)
        first = made.status(case)
        assert (first["badge"], first["version"]) == (OK, 1 + len(case.supplements))
        assert kit.exchange.judge_again() == 0
        kit.clock.forward(days=2)
        assert kit.exchange.judge_again() == 1
        kit.drain()
        then = made.status(case)
        assert [gap["rule"] for gap in then["gaps"]] == ["03-leaving-time"]
        assert then["evaluated_at"] > first["evaluated_at"]
        assert kit.exchange.judge_again() == 0  # once is enough
        base = people(kit.clock.at)[1]
        moved = admission(base, kit.clock.at, "A08").decode().replace(base.visit, "T900").replace(base.number, number_of(900))
        made.send("CHK", moved.replace(base.family, "Case900").replace("||||||20261130", "||||||20261201").encode())
        kit.drain()
        last = made.status(case)
        assert (last["badge"], {gap["due"] for gap in last["warnings"]}) == (OK, {"2026-11-30T12:00:00+00:00"})
        assert kit.findings() == []


def test_a_broken_promise_goes_to_the_discharge_contact(tmp_path: Path) -> None:
    """The bag's papers were promised for Saturday 15:00. Then the gap moves on, without a message."""
    with api(tmp_path) as found:
        made, kit = Ward(found), found.kit
        promise = {"code": "O4", "promise": "2026-11-28T15:00:00+00:00"}
        case = Case("x", "CHK", "", supplements=(said(bag={"items": 1}, override=promise),))
        made.play(901, case)
        first = made.status(case)
        assert (first["badge"], [gap["owner"] for gap in first["gaps"]]) == ("1 missing", ["pharmacy"])
        kit.clock.forward(hours=22)
        assert kit.exchange.judge_again() == 0
        kit.clock.forward(hours=1)
        assert kit.exchange.judge_again() == 1
        kit.drain()
        then = made.status(case)
        (gap,) = then["gaps"]
        assert (then["badge"], gap["owner"], gap["due"], gap["at_once"]) == ("1 missing", "discharge contact", promise["promise"], False)
        assert "Promised until 28 November 2026, 15:00" in gap["detail"]
        assert "was promised, and has not come," in then["override"]
        command = [WARDPOST, "rules", "explain", made.transfers["x"], "--data", str(kit.settings.data)]
        told = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
        assert all(f"  {rule.id} " in told for rule in RULES)
        assert "  19-supply             not established\n" in told
        assert "discharge contact, by 28 November 2026, 15:00: " in told
        board = found.http.get("/board", headers=sign_in(found, kit.worker)).text
        assert "Discharge desk" in board
        assert "15:00 has passed" in board
        assert kit.exchange.judge_again() == 0  # once is enough
        assert kit.findings() == []


def test_what_two_systems_say_of_a_medicine_is_shown_both_ways_and_is_pharmacys(tmp_path: Path) -> None:
    """The chart's system records a dose after the ward's last one, the pharmacy's a supply of what the ward says is not in the bag.
    One joins the list's row by exact text, one by dm+d code; what has neither joins nothing."""
    with api(tmp_path) as found:
        made, kit = Ward(found), found.kit
        ticked = ticks("anticoagulant", medicine=APIXABAN, next_due="20:00", in_bag=True, note="Irregular heartbeat")
        told = said(changes=GONE, critical=ticked, bag={"items": 1, "missing": [{"medicine": SENNA}]})
        case = Case("x", "STR", "", supplements=(told,), medicines=((APIXABAN, "unchanged", ""), (SENNA, "unchanged", "")))
        made.play(904, case)
        base = people(kit.clock.at)[1]
        head, _, pid, *_ = admission(base, kit.clock.at).decode().replace(base.number, number_of(904)).split("\r")
        pid, visit = pid.replace(base.family, "Case904").replace(base.visit, "T904"), f"PV1|1|I|W06|{'|' * 14}|T904"
        for kind, rows in (
            ("RAS^O17^RAS_O17", ("ORC|RE|O1|F1", f"RXA|0|1|20261127150000||^{APIXABAN}|1|tablet", "RXR|PO^Oral^HL70162",
                                 "ORC|RE|O2|F2", "RXA|0|1|20261127160000||^Heparin|1|dose")),
            ("RDS^O13^RDS_O13", ("ORC|RE|O3|D1", f"RXD|1|{DMD[SENNA]}^SENNA TAB^DMD|202611271200|14|tablet",
                                 "ORC|RE|O4|D2", "RXD|1|^SENNA TAB|202611271300|99|tablet")),
        ):  # fmt: skip
            made.send("STR", "\r".join([head.replace("ADT^A01^ADT_A01", kind).replace("A01-", kind[:3]), pid, visit, *rows]).encode())
        kit.drain()
        gaps = {gap["rule"]: gap["owner"] for gap in made.status(case)["gaps"]}
        assert gaps == {"16-last-dose": "pharmacy", "19-supply": "pharmacy"}
        page = found.http.get(f"/home/{made.transfers['x']}", headers=sign_in(found, kit.carer)).text
        card = page[page.index(APIXABAN) :]
        assert "Fri 27 Nov, 13:00" in card
        assert "Fri 27 Nov, 15:00" in card
        assert "NOT in the bag. No plan yet." in page
        assert "14 tablet" in page
        assert "Heparin" not in page
        assert "99 tablet" not in page


def test_the_strict_policy_counts_more_and_is_tried_in_shadow_first(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        made, kit = Ward(found), found.kit
        strict = json.dumps({"gate_profile": "letter and checked", "gate_policy": "strict"})
        kit.exchange.store.write(lambda uow: add_sender(uow, "HARD", HOSPITAL, "http", 0, strict))
        silent = said(person=GONE, plan=GONE)
        easy, hard = Case("easy", "CHK", "", supplements=(silent,)), Case("hard", "HARD", "", supplements=(silent,))
        made.play(902, easy)
        made.play(903, hard)
        assert made.status(easy)["badge"] == OK
        assert sorted(gap["rule"] for gap in made.status(hard)["gaps"]) == ["05-who-comes", "07-medicines-line", "24-follow-up"]
        assert made.status(hard)["rule_set"] == f"wardpost-strict {RULE_SET_VERSION}"
        command = [WARDPOST, "rules", "shadow", "--data", str(kit.settings.data), "--format"]
        shown = subprocess.run(
            [*command, "text"], capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "COLUMNS": "200"}
        ).stdout
        assert ["24-follow-up", "2", "0", "0", "no"] in [line.replace("│", " ").split() for line in shown.splitlines()]
        command.append("json")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        told = json.loads(done.stdout)
        assert told["24-follow-up"] == {"transfers": 2, "answered": 0, "overridden": 0, "may_count": False}
        assert told["03-leaving-time"] == {"transfers": 2, "answered": 2, "overridden": 0, "may_count": True}
        assert told["14-as-needed"]["transfers"] == 0  # these feeds are not asked
