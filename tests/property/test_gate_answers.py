"""The gate over any part of what a ward can say: an answer closes and never opens, a conflict always opens, an override changes nothing."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.fhir import codes
from exchange.fhir.document import build_document
from exchange.fhir.draft import SourceKind
from exchange.gate.evaluate import GateResult, evaluate, gate_input
from exchange.gate.rules import Profile
from tests.draft_kit import (
    FULL,
    HOME,
    NOW,
    SENDER,
    WARD_CONTACTS,
    allergy,
    assemble,
    entry,
    facts,
    letter,
    letter_draft,
    patient,
    source,
    supplement,
)

PERSON = patient("9990000026", "Testperson", "Edith", "1942-03-14")
MEMBERS = sorted(FULL.keys() - {"said_at", "contact"})
PROFILES = st.sampled_from(list(Profile))
PARTS = st.sets(st.sampled_from(MEMBERS))
OVERRIDE = st.fixed_dictionaries(
    {
        "code": st.sampled_from(sorted(codes.OVERRIDES)),
        "promise": st.sampled_from(["2026-11-26", "2026-11-28", "2026-11-27T09:00:00+00:00"]),
        "note": st.text("abc ", min_size=1),
    }
)


def judged(parts: set[str], profile: Profile, *entries: object, listed: tuple[object, ...] = (), records: tuple[object, ...] = (),
           **more: object) -> GateResult:  # fmt: skip
    """The gate of one stay with some members of a full Supplement, each stated by itself, and more of them."""
    told = [{name: FULL[name]} for name in sorted(parts - more.keys())] + [{name: value} for name, value in more.items()]
    sources = [source(facts(PERSON, "1", *entries)), source(letter_draft(PERSON, "2", letter("D"), entries=listed))]  # type: ignore[arg-type]
    sources.append(source(facts(PERSON, "3", *records, kind=SourceKind.RECORDS, event="RAS^O17")))  # type: ignore[arg-type]
    content = assemble(
        transfer_id="44444444-4444-4444-8444-444444444444", version=1, sender=SENDER, site=HOME, sources=sources,
        supplements=[supplement(each, number=at) for at, each in enumerate(told)], ward_contacts=WARD_CONTACTS,
    )  # fmt: skip
    return evaluate(gate_input(content, build_document(content), profile, now=NOW))


def opened(found: GateResult) -> set[str]:
    return {gap.rule for gap in (*found.gaps, *found.warnings)}


@settings(max_examples=60, deadline=None)
@given(PARTS, st.sampled_from(MEMBERS), st.sampled_from([Profile.LETTER_AND_CHECKED, Profile.STRUCTURED, Profile.EMERGENCY_RETURN]))
def test_an_answer_that_conflicts_with_nothing_opens_no_rule(parts: set[str], answer: str, profile: Profile) -> None:
    # Who comes chooses the rules: of somebody in A&E the ward says that, for "returner" would contradict the feed.
    who = {"person": {"kind": "emergency return"}} if profile is Profile.EMERGENCY_RETURN else {}
    said = {name: value for name, value in who.items() if name in parts | {answer}}
    before = judged(parts - {answer}, profile, **({} if answer == "person" else said))
    after = judged(parts | {answer}, profile, **said)
    assert opened(after) <= opened(before)


@settings(max_examples=40, deadline=None)
@given(PARTS, PROFILES)
def test_a_conflict_about_allergies_opens_the_rule_whatever_else_is_said(parts: set[str], profile: Profile) -> None:
    none = {"none_known": True, "asked": ["drug", "food", "latex"]}
    found = judged(parts, profile, allergy("AL1[1]", "Penicillin"), allergies=none)
    assert "10-allergies" in {gap.rule for gap in found.gaps}
    assert found.badge.endswith("missing")


@settings(max_examples=40, deadline=None)
@given(PARTS, PROFILES, st.sampled_from(["new", "stopped", "held", "unchanged"]))
def test_a_conflict_about_a_medicine_opens_the_rule(parts: set[str], profile: Profile, status: str) -> None:
    row = entry("medicine-changed", "M1", medicationCodeableConcept={"text": "Bisoprolol"}, dosage=[{"text": "One"}])
    changes = {"decided_by": {"name": "Phil", "role": "pharmacist"}, "lines": [{"medicine": "Bisoprolol", "status": status, "reason": "x"}]}
    found = judged(parts, profile, listed=(row,), changes=changes)
    assert "12-medicines-changes" in {gap.rule for gap in found.gaps}


@settings(max_examples=40, deadline=None)
@given(PARTS, PROFILES, st.sampled_from(["16-last-dose", "19-supply"]))
def test_a_conflict_about_a_dose_or_a_supply_opens_its_rule_for_pharmacy(parts: set[str], profile: Profile, rule: str) -> None:
    drug = {"text": "Bisoprolol"}
    row = entry("medicine-unchanged", "M1", medicationCodeableConcept=drug, dosage=[{"text": "One"}])
    last = {"class": "time-critical", "present": True, "medicine": "Bisoprolol", "last_dose": "2026-11-26T08:00:00+00:00", "next_due": "x",
            "in_bag": True}  # fmt: skip
    dose = {"status": "completed", "medicationCodeableConcept": drug, "effectiveDateTime": "2026-11-27T08:00:00+00:00"}
    if rule == "16-last-dose":
        found = judged(parts, profile, listed=(row,), records=(entry("medicine-dose", "RXA", **dose),), critical=[last])
    else:
        supply = entry("medicine-supply", "RXD", status="in-progress", medicationCodeableConcept=drug, quantity={"value": 14})
        found = judged(parts, profile, listed=(row,), records=(supply,), bag={"missing": [{"medicine": "Bisoprolol"}]})
    assert {gap.rule: gap.owner for gap in found.gaps}[rule] == "pharmacy"


@settings(max_examples=60, deadline=None)
@given(PARTS, PROFILES, OVERRIDE)
def test_no_override_turns_anything_green(parts: set[str], profile: Profile, override: dict[str, str]) -> None:
    plain, overridden = judged(parts, profile), judged(parts, profile, override=override)
    assert (overridden.badge, overridden.lines, overridden.not_asked) == (plain.badge, plain.lines, plain.not_asked)
    assert overridden.warnings == plain.warnings
    is_broken = override["promise"] != "2026-11-28" and plain.gaps
    assert {gap.owner for gap in overridden.gaps} == ({"discharge contact"} if is_broken else {gap.owner for gap in plain.gaps})
    assert bool(overridden.override) == bool(plain.gaps)


@pytest.mark.parametrize("member", MEMBERS)
def test_each_member_answers_something_or_is_only_told(member: str) -> None:
    """So that the property above is not true of answers that no rule looks at."""
    without = judged(set(MEMBERS) - {member}, Profile.LETTER_AND_CHECKED, allergy("AL1[1]", "Penicillin"))
    closes = opened(without) - opened(judged(set(MEMBERS), Profile.LETTER_AND_CHECKED, allergy("AL1[1]", "Penicillin")))
    assert closes or member == "allergies"
