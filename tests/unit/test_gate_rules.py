"""Each rule of the gate in four cases (met, missing, blank, not established), then badges, profiles and deadlines."""

import time
from dataclasses import replace
from typing import get_args

import msgspec
import pytest

from exchange.fhir.content import Content, Contradiction, Medicine
from exchange.fhir.document import build_document
from exchange.fhir.draft import Entry
from exchange.fhir.json import dump
from exchange.fhir.stated import Contact, Stated
from exchange.gate.evaluate import GateResult, due_for, evaluate, gate_input
from exchange.gate.rules import RULES, Force, Owner, Profile, State
from tests.draft_kit import FULL, NOW, allergy, arthur, doris, edith, entry, letter, patient

GONE = object()
CONTENT = edith().content()
PERSON = CONTENT.patient
CRITICAL = {line["class"]: line for line in FULL["critical"]}


def with_stated(**members: object) -> Content:
    """The complete person, some members of the Supplement changed or GONE; allergies only as the document has them."""
    merged = {name: value for name, value in (FULL | members).items() if value is not GONE}
    return replace(CONTENT, stated=msgspec.convert(merged, Stated))


def with_facts(**members: object) -> Content:
    return replace(CONTENT, **members)


def ticks(**changes: object) -> list[object]:
    """The tick list with some classes changed (words with _ for -) or GONE."""
    changed = {name.replace("_", "-"): value for name, value in changes.items()}
    return [line | changed.get(kind, {}) for kind, line in CRITICAL.items() if changed.get(kind) is not GONE]


def person(**members: object) -> Content:
    return with_facts(patient=PERSON | members)


def bag(**members: object) -> Content:
    return with_stated(bag={name: value for name, value in (FULL["bag"] | members).items() if value is not GONE})


def no_answer_about(*kinds: str) -> Content:
    return with_stated(critical=ticks(**dict.fromkeys(kinds, GONE)))


INSULIN = {"class": "insulin", "present": True, "medicine": "Insulin glargine", "last_dose": "2026-11-27", "in_bag": True}
PARKINSON = {"class": "time-critical", "present": True, "medicine": "Co-careldopa", "last_dose": "2026-11-27", "next_due": "19:00"}
NAMELESS = {k: v for k, v in PERSON.items() if k != "name"}
DUBIOUS = [{**PERSON["identifier"][0], "extension": [{"url": "x", "valueCodeableConcept": {"coding": [{"code": "05"}]}}]}]
UNSIGNED = (letter("D", signed_by="", author=""),)
PRACTICE = tuple(e for e in CONTENT.people if e.role != "gp-practice")
UNKNOWN_PRACTICE = (*PRACTICE, entry("gp-practice", "PD1-3", name="x", identifier=[{"system": "s", "value": "V81999"}]))
NOBODY_ASKED: tuple[Entry, ...] = (allergy("A", "Not asked", code="1631000175102"),)

# rule: met, missing, blank, not established
CASES: dict[str, tuple[Content, Content, Content, Content]] = {
    "01-identity": (
        CONTENT,
        person(identifier=[{**PERSON["identifier"][0], "value": "9990000027"}]),
        person(identifier=[]),
        person(identifier=DUBIOUS),
    ),
    "02-site": (CONTENT, CONTENT, CONTENT, with_facts(site=replace(CONTENT.site, ods_code=""))),
    "03-leaving-time": (
        CONTENT,
        with_facts(expected_leaving=""),
        with_facts(expected_leaving=""),
        with_facts(expected_leaving="2026-11-28"),
    ),
    "06-signed-letter": (CONTENT, with_facts(letters=()), with_facts(letters=()), with_facts(letters=UNSIGNED)),
    "07-contact": (
        CONTENT,
        with_facts(contact=Contact(who="Ward 6")),
        with_facts(contact=None),
        with_facts(contact=Contact(phone="01632 960106")),
    ),
    "08-gp": (CONTENT, with_facts(people=PRACTICE), with_facts(people=()), with_facts(people=UNKNOWN_PRACTICE)),
    "10-allergies": (
        CONTENT,
        with_facts(conflicts=(Contradiction("allergies", "10", "One none, one some."),)),
        replace(with_stated(allergies=GONE), allergies=()),
        replace(with_stated(allergies=GONE), allergies=NOBODY_ASKED),
    ),
    "11-medicines-list": (CONTENT, with_stated(full_list_in_letter=False), with_stated(full_list_in_letter=GONE), with_facts(letters=())),
    "12-medicines-changes": (
        CONTENT,
        with_facts(conflicts=(Contradiction("medicines", "12", "They differ."),)),
        with_stated(changes=GONE),
        with_stated(changes={"nothing_changed": True}),
    ),
    "12-change-reasons": (
        CONTENT,
        with_stated(changes={"lines": [{"medicine": "X", "status": "held", "reason": "Low sodium"}]}),
        with_stated(changes=GONE),
        with_stated(changes={}),
    ),
    "16-last-dose": (
        CONTENT,
        with_stated(critical=ticks(anticoagulant={"last_dose": ""})),
        with_stated(critical=GONE),
        no_answer_about("opioid"),
    ),
    "18-time-critical": (
        CONTENT,
        with_stated(critical=[*ticks(time_critical=GONE), PARKINSON | {"in_bag": False}]),
        with_stated(critical=[]),
        no_answer_about("time_critical"),
    ),
    "19-supply": (CONTENT, bag(nothing_missing=GONE, missing=[{"medicine": "Senna"}]), with_stated(bag=GONE), bag(nothing_missing=GONE)),
    "20-controlled": (CONTENT, bag(controlled={"seal": "T"}), with_stated(critical=GONE), no_answer_about("controlled")),
    "26-infection": (
        CONTENT,
        with_stated(infection={}),
        with_stated(infection=GONE),
        with_stated(infection={"status": "present", "text": " "}),
    ),
    "27-skin": (
        CONTENT,
        with_stated(nursing={"same_as_before": True, "says": "N"}),
        with_stated(nursing=GONE),
        with_stated(nursing={"skin": "Not checked."}),
    ),
    "28-daily-needs": (
        CONTENT,
        with_stated(nursing={"mobility": "One person"}),
        with_stated(nursing=GONE),
        with_stated(nursing={"same_as_before": True}),
    ),
    "35-lines": (
        CONTENT,
        with_stated(nursing={"same_as_before": True, "says": "N"}),
        with_stated(nursing=GONE),
        with_stated(nursing={"lines": "Unknown"}),
    ),
    "36-resuscitation": (
        CONTENT,
        with_stated(resuscitation={"form": "yes", "original_in_bag": False}),
        with_stated(resuscitation=GONE),
        with_stated(resuscitation={"form": "unknown"}),
    ),
}
STATES = (State.MET, State.MISSING, State.MISSING, State.NOT_ESTABLISHED)
NAMES = ("met", "missing", "blank", "not established")
TABLE = [
    pytest.param(rule, content, state, id=f"{rule}: {name}")
    for rule, contents in CASES.items()
    for content, state, name in zip(contents, STATES, NAMES, strict=True)
]


def verdict(rule: str, content: Content, *, without_home: bool = False, **more: object) -> State:
    document = build_document(content)
    if without_home:
        next(e["resource"] for e in document["entry"] if e["resource"]["resourceType"] == "Encounter")["hospitalization"] = {}
    found = evaluate(gate_input(content, document, Profile.LETTER_AND_CHECKED, now=NOW, **more))
    assert found.not_asked == ()
    return next((State(gap.state) for gap in (*found.gaps, *found.warnings) if gap.rule == rule), State.MET)


def result(content: Content, profile: Profile = Profile.LETTER_AND_CHECKED, **more: object) -> GateResult:
    return evaluate(gate_input(content, build_document(content), profile, now=NOW, **more))


@pytest.mark.parametrize(("rule", "content", "state"), TABLE)
def test_rule(rule, content, state):
    assert verdict(rule, content, without_home=rule == "02-site" and state is State.MISSING) is state


def test_every_rule_has_its_four_cases():
    assert set(CASES) == {rule.id for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_rule_metadata_is_whole(rule):
    assert all((rule.row, rule.title, rule.what, rule.why, rule.closes))
    assert rule.owner in get_args(Owner)
    assert rule.force in get_args(Force)
    assert rule.id.startswith(rule.row[:2]) or rule.row.endswith(rule.id[:2])
    for words in (rule.why, rule.closes):
        assert words.endswith(".")
        assert "ready" not in words
        assert "safe" not in words


def test_ids_are_unique():
    assert len({rule.id for rule in RULES}) == len(RULES)


@pytest.mark.parametrize(
    ("content", "rule", "state"),
    [
        (person(birthDate=""), "01-identity", State.MISSING),
        (with_facts(patient=NAMELESS), "01-identity", State.MISSING),
        (with_stated(critical=[*ticks(insulin=GONE), INSULIN]), "18-time-critical", State.MISSING),  # no next dose
        (with_stated(critical=[*ticks(time_critical=GONE), PARKINSON | {"in_bag": False, "plan": "Taxi"}]), "18-time-critical", State.MET),
        (with_stated(critical=[*ticks(time_critical=GONE), PARKINSON]), "18-time-critical", State.MISSING),  # in the bag: nobody said
        (with_stated(critical=ticks(opioid={"in_bag": False})), "19-supply", State.MISSING),
        (bag(nothing_missing=GONE, missing=[{"medicine": "Senna", "plan": "Pharmacy, Monday"}]), "19-supply", State.MET),
        (bag(controlled={"count": 4}), "20-controlled", State.MISSING),
        (bag(controlled={"count": 0, "seal": "T"}), "20-controlled", State.MISSING),
        (with_stated(critical=ticks(controlled={"present": False})), "20-controlled", State.MISSING),  # none, yet counted
        (with_stated(critical=ticks(controlled={"present": False}), bag={"nothing_missing": True}), "20-controlled", State.MET),
        (with_stated(resuscitation={"form": "no"}), "36-resuscitation", State.MET),
        (with_stated(resuscitation={"form": "yes", "original_in_bag": True}), "36-resuscitation", State.NOT_ESTABLISHED),
        (with_stated(allergies=GONE), "10-allergies", State.MET),  # the feed's own
        (replace(with_stated(allergies={"none_known": False}), allergies=()), "10-allergies", State.NOT_ESTABLISHED),
        (with_facts(conflicts=(Contradiction("count", "11", "Two, one read."),)), "11-medicines-list", State.MISSING),
        (replace(with_stated(full_list_in_letter=GONE), has_list=True), "11-medicines-list", State.MET),
        (with_facts(left_at="2026-11-28T10:00:00+00:00", expected_leaving=""), "03-leaving-time", State.MET),
    ],
)
def test_edges(content, rule, state):
    assert verdict(rule, content) is state


@pytest.mark.parametrize(("is_returner", "state"), [(True, State.MET), (None, State.MET), (False, State.MISSING)])
def test_same_as_before_is_no_answer_for_a_new_resident(is_returner, state):
    assert verdict("28-daily-needs", CONTENT, is_returner=is_returner) is state


def test_a_contradiction_says_its_own_words():
    (gap,) = result(with_facts(conflicts=(Contradiction("medicines", "12", "The letter and the ward differ."),))).gaps
    assert (gap.rule, gap.detail) == ("12-medicines-changes", "The letter and the ward differ.")


def test_the_three_badges():
    assert [story.gate().badge for story in (edith(), arthur(), doris())] == ["papers complete", "7 missing", "letter only"]


def test_arthur_is_told_who_fixes_what():
    found = arthur().gate()
    assert {gap.rule: gap.owner for gap in found.gaps} == {
        "10-allergies": "ward",
        "18-time-critical": "ward",
        "19-supply": "pharmacy",
        "27-skin": "ward",
        "28-daily-needs": "ward",
        "35-lines": "ward",
        "36-resuscitation": "doctor",
    }
    assert [gap.rule for gap in found.warnings] == ["03-leaving-time", "12-change-reasons"]


def test_a_letter_only_feed_is_never_missing_what_it_cannot_send():
    found = doris().gate()
    assert (found.badge, found.profile, found.gaps, found.warnings) == ("letter only", "letter only", (), ())
    assert "10-allergies" in found.not_asked
    assert "07-contact" not in found.not_asked


def listed(*changes: str, reason: str = "") -> Content:
    """A structured letter's own list, one medicine for each change, and no word of the ward about changes."""
    why = [{"text": reason}] if reason else []
    rows = [
        Medicine(f"M{n}", {"medicationCodeableConcept": {"text": f"Medicine {n}"}, "statusReason": why}, change=change)
        for n, change in enumerate(changes)
    ]
    return replace(with_stated(changes=GONE, full_list_in_letter=GONE, critical=GONE), medicines=tuple(rows), has_list=True)


def test_a_structured_list_answers_what_changed_by_itself():
    whole = result(listed("unchanged", "new", "stopped", reason="Tested"), Profile.STRUCTURED)
    assert whole.profile == "structured"
    open_rules = {gap.rule for gap in (*whole.gaps, *whole.warnings)}
    assert not open_rules & {"11-medicines-list", "12-medicines-changes", "12-change-reasons"}
    assert "16-last-dose" in open_rules


def test_a_structured_list_with_a_silent_row_names_it():
    found = result(listed("unchanged", ""), Profile.STRUCTURED)
    (gap,) = [gap for gap in found.gaps if gap.rule == "12-medicines-changes"]
    assert gap.detail == "Not said whether new, changed or the same: Medicine 1"
    bare = result(listed("new", "unchanged"), Profile.STRUCTURED)
    assert [gap.detail for gap in bare.warnings if gap.rule == "12-change-reasons"] == ["No reason: Medicine 0"]


def test_a_structured_feed_without_a_list_is_missing_it():
    found = result(doris().content(), Profile.STRUCTURED)
    assert "11-medicines-list" in [gap.rule for gap in found.gaps]
    assert found.badge.endswith("missing")


def test_a_contradiction_is_a_gap_in_every_profile():
    content = replace(doris().content(), conflicts=(Contradiction("allergies", "10", "One none, one some."),))
    assert [gap.rule for gap in result(content, Profile.LETTER_ONLY).gaps] == ["10-allergies"]


def test_a_letter_only_feed_without_its_letter_is_missing_one():
    assert result(replace(doris().content(), letters=()), Profile.LETTER_ONLY).badge == "1 missing"


def test_answers_a_to_f_make_it_letter_and_checked():
    full, partial = with_stated(), with_stated(last_doses=GONE)
    assert result(full, Profile.LETTER_ONLY).profile == "letter and checked"
    assert result(partial, Profile.LETTER_ONLY).badge == "letter only"
    assert result(replace(full, contact=None), Profile.LETTER_ONLY).profile == "letter only"
    without_hours = result(replace(full, contact=Contact(phone="01632 960106")), Profile.LETTER_ONLY)
    assert (without_hours.badge, [gap.rule for gap in without_hours.gaps]) == ("1 missing", ["07-contact"])


def test_a_checked_feed_without_supplement_is_missing_and_never_complete():
    found = result(doris().content(), Profile.LETTER_AND_CHECKED)
    assert found.profile == "letter and checked"
    stops = [rule.id for rule in RULES if rule.force == "STOP" and not rule.in_letter_only and rule.id != "07-contact"]
    assert [gap.rule for gap in found.gaps] == stops
    assert found.badge == f"{len(stops)} missing"


def test_a_warning_never_counts():
    found = result(with_facts(expected_leaving="2026-11-28"))
    assert found.badge == "papers complete"
    assert [gap.rule for gap in found.warnings] == ["03-leaving-time"]


@pytest.mark.parametrize(
    ("expected", "now", "due"),
    [
        ("2026-11-28", "2026-11-26T09:00:00+00:00", ("2026-11-27T12:00:00+00:00", False)),
        ("2026-11-28T18:00:00+00:00", "2026-11-27T11:59:59+00:00", ("2026-11-27T12:00:00+00:00", False)),
        ("2026-11-28", "2026-11-27T12:00:00+00:00", ("2026-11-27T12:00:00+00:00", True)),
        ("2026-07-02", "2026-06-30T09:00:00+00:00", ("2026-07-01T12:00:00+01:00", False)),
        ("2026-07-02", "2026-07-01T11:30:00+00:00", ("2026-07-01T11:30:00+00:00", True)),
        ("", NOW, (NOW, True)),
        ("2026-11", NOW, (NOW, True)),
    ],
)
def test_due_is_noon_the_day_before_else_at_once(expected, now, due):
    assert due_for(expected, now) == due


def test_result_is_plain_json_and_names_its_rule_set():
    told = arthur().gate().to_dict()
    assert dump(told)
    assert (told["rule_set"], told["rule_set_version"], told["evaluated_at"]) == ("wardpost-default", "1", NOW)
    assert set(told["gaps"][0]) == {"rule", "row", "title", "state", "owner", "due", "at_once", "what", "why", "closes", "detail"}


def test_gate_takes_under_two_milliseconds():
    content = arthur().content()
    facts = gate_input(content, build_document(content), Profile.LETTER_ONLY, now=NOW)
    runs = []
    for _ in range(20):
        began = time.process_time()
        evaluate(facts)
        runs.append(time.process_time() - began)
    assert sorted(runs)[len(runs) // 2] < 0.002


def test_patient_is_not_in_a_repr():
    number = patient("9990000026", "Testperson", "Edith", "1942-03-14")["identifier"][0]["value"]
    assert number not in repr(gate_input(CONTENT, build_document(CONTENT), Profile.LETTER_ONLY, now=NOW))
