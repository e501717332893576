"""assemble: one test per row of the ownership table (docs/data-model.md, "From Draft to Document")."""

from dataclasses import replace

import pytest

from exchange.fhir.content import Content
from exchange.fhir.draft import Draft, LetterStatus, SourceKind
from exchange.fhir.shape import concept_text, part, parts, text
from exchange.transfer.assemble import Source, assemble, letters_of
from tests.draft_kit import (
    FULL,
    HOME,
    SENDER,
    WARD_CONTACTS,
    allergy,
    encounter,
    entry,
    facts,
    letter,
    letter_draft,
    patient,
    source,
    supplement,
)

PERSON = patient("9990000026", "Testperson", "Edith", "1942-03-14")
EARLY, NOON, LATE = "2026-11-25T08:00:00+00:00", "2026-11-25T12:00:00+00:00", "2026-11-25T18:00:00+00:00"


def merged(*drafts: Draft, said: tuple = (), **more: object) -> Content:
    return assemble(
        transfer_id="55555555-5555-4555-8555-555555555555",
        version=1,
        sender=SENDER,
        site=HOME,
        sources=[source(d) for d in drafts],
        supplements=said,
        ward_contacts=WARD_CONTACTS,
        **more,
    )


def names(content: Content) -> list[str]:
    return [concept_text(part(m.resource, "medicationCodeableConcept")) for m in content.medicines]


def test_different_nhs_numbers_are_a_conflict_and_not_settled():
    other = patient("9990000034", "Testperson", "Edith", "1942-03-14")
    found = merged(facts(PERSON, "1"), facts(other, "2", sent_at=LATE)).conflicts
    assert [c.element for c in found] == ["identity"]
    assert "999" not in repr(found)


def test_different_birth_dates_are_a_conflict():
    other = PERSON | {"birthDate": "1942-03-15"}
    assert [c.element for c in merged(facts(PERSON, "1"), letter_draft(other, "2", letter("D"))).conflicts] == ["identity"]


def test_a_source_without_number_takes_it_from_the_others():
    bare = PERSON | {"identifier": [{"system": "https://fhir.nhs.uk/Id/local-patient-identifier", "value": "T1"}]}
    content = merged(letter_draft(PERSON, "1", letter("D"), sent_at=EARLY), facts(bare, "2", sent_at=LATE))
    assert [text(n, "value") for n in parts(content.patient, "identifier")] == ["9990000026", "T1"]
    assert content.conflicts == ()


def test_newest_feed_owns_the_name_and_no_letter_overrides_it():
    newer = PERSON | {"name": [{"text": "Edith New"}]}
    old_letter = PERSON | {"name": [{"text": "Edith Letter"}]}
    content = merged(
        facts(PERSON, "1", sent_at=EARLY), facts(newer, "2", sent_at=NOON), letter_draft(old_letter, "3", letter("D"), sent_at=LATE)
    )
    assert content.patient["name"] == [{"text": "Edith New"}]


def test_a_letter_fills_what_no_feed_has():
    bare = {name: value for name, value in PERSON.items() if name != "contact"}
    content = merged(facts(bare, "1"), letter_draft(PERSON, "2", letter("D")))
    assert content.patient["contact"] == PERSON["contact"]


@pytest.mark.parametrize("deleted", [None, []])
def test_a_blank_says_nothing_and_a_deletion_clears(deleted):
    blank = {name: value for name, value in PERSON.items() if name != "address"}
    assert merged(facts(PERSON, "1", sent_at=EARLY), facts(blank, "2", sent_at=LATE)).patient["address"] == PERSON["address"]
    assert "address" not in merged(facts(PERSON, "1", sent_at=EARLY), facts(PERSON | {"address": deleted}, "2", sent_at=LATE)).patient


def test_a_sensitive_address_said_once_holds_for_every_message():
    content = merged(
        facts(PERSON, "1", sent_at=EARLY),
        letter_draft(PERSON, "2", letter("D")),
        facts(PERSON, "3", sent_at=LATE, is_sensitive_address=True),
    )
    assert "address" not in content.patient
    late = merged(facts(PERSON, "1", sent_at=EARLY, is_sensitive_address=True), facts(PERSON, "2", sent_at=LATE))
    assert "address" not in late.patient
    assert "Meadow" not in repr(late.patient)


def test_ward_and_consultant_come_from_the_newest_feed_that_has_them():
    moved = facts(PERSON, "2", sent_at=LATE)
    moved = replace(moved, entries=(entry("ward", "PV1-3", name="Ward 9", identifier=[{"value": "W9"}]),))
    content = merged(facts(PERSON, "1", sent_at=EARLY), moved)
    assert [(e.role, text(e.resource, "name")) for e in content.people if e.role == "ward"] == [("ward", "Ward 9")]
    assert [e.role for e in content.people] == ["ward", "consultant", "gp-practice"]
    assert content.contact is None  # ward 9 has no line in the directory


def test_a_discharge_sets_the_leaving_fact_and_a_cancel_takes_it_back():
    gone = facts(
        PERSON,
        "2",
        sent_at=NOON,
        event="ADT^A03",
        left_at=NOON,
        encounter=encounter(status="finished", period={"start": EARLY, "end": NOON}),
    )
    assert merged(facts(PERSON, "1", sent_at=EARLY), gone).left_at == NOON
    back = facts(PERSON, "3", sent_at=LATE, event="ADT^A13", kind=SourceKind.CANCEL_DISCHARGE, encounter={})
    content = merged(facts(PERSON, "1", sent_at=EARLY), gone, back)
    assert content.left_at == ""
    assert content.encounter["status"] == "in-progress"
    assert content.encounter["period"] == {"start": EARLY}


def test_times_are_compared_by_the_clock_not_by_their_text():
    summer = facts(PERSON, "1", sent_at="2026-07-01T10:30:00+01:00", expected_leaving="2026-07-02")
    later = facts(PERSON, "2", sent_at="2026-07-01T10:00:00+00:00", expected_leaving="2026-07-03")
    assert merged(later, summer).expected_leaving == "2026-07-03"


def test_letters_that_travel():
    sources = [
        source(letter_draft(PERSON, "1", letter("A", title="first"), sent_at=EARLY)),
        source(letter_draft(PERSON, "2", letter("A", title="second"), sent_at=NOON)),
        source(letter_draft(PERSON, "3", letter("A", title="draft", status=LetterStatus.DRAFT), sent_at=LATE)),
        source(letter_draft(PERSON, "4", letter("B", title="replaced"), sent_at=EARLY)),
        source(letter_draft(PERSON, "5", letter("C", title="replacing", replaces="B"), sent_at=NOON)),
        source(letter_draft(PERSON, "6", letter("D", title="cancelled"), sent_at=EARLY)),
        source(letter_draft(PERSON, "7", letter("D", status=LetterStatus.CANCELLED, content=b""), sent_at=NOON)),
        source(letter_draft(PERSON, "8", letter("", title="no number"), sent_at=LATE)),
    ]
    assert [found.title for found in letters_of(sources)] == ["no number", "replacing", "second"]
    assert letters_of(sources) == letters_of(list(reversed(sources)))


def test_parts_of_one_letter_stay_together():
    both = letter_draft(PERSON, "1", letter("A", position="OBX[1]-5", media_type="text/plain"), letter("A", position="OBX[2]-5"))
    assert [found.media_type for found in letters_of([source(both)])] == ["text/plain", "application/pdf"]


def test_a_draft_letter_carries_no_clinical_facts():
    medicine = entry("medicine-new", "M1", medicationCodeableConcept={"text": "Apixaban"})
    draft = letter_draft(
        PERSON, "1", letter("A", status=LetterStatus.DRAFT), entries=(medicine, entry("diagnosis", "DG1", code={"text": "x"}))
    )
    content = merged(facts(PERSON, "2"), draft)
    assert content.medicines == content.diagnoses == content.letters == ()


def test_structured_letter_owns_diagnoses_as_a_whole_list():
    feed = facts(
        PERSON, "1", entry("diagnosis", "DG1[1]", code={"text": "Query fall"}), entry("procedure", "PR1[1]", code={"text": "X-ray"})
    )
    structured = letter_draft(PERSON, "2", letter("D"), entries=(entry("diagnosis", "L1", code={"text": "Hip fracture"}),))
    content = merged(feed, structured)
    assert [text(e.resource, "code", "text") for e in content.diagnoses] == ["Hip fracture"]
    assert [text(e.resource, "code", "text") for e in content.procedures] == ["X-ray"]


def test_allergies_of_feed_and_ward_are_both_shown_and_a_contradiction_is_data():
    said = (supplement({"allergies": {"none_known": True, "asked": ["drug", "food", "latex"]}}),)
    content = merged(facts(PERSON, "1", allergy("AL1[1]", "Penicillin")), said=said)
    assert [text(e.resource, "code", "text") for e in content.allergies] == ["Penicillin", "No known allergy"]
    assert [(c.element, c.rule) for c in content.conflicts] == [("allergies", "10")]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (["drug", "food", "latex"], ["716186003"]),
        (["drug"], ["409137002"]),
        (["drug", "food"], ["409137002", "429625007"]),
        (["latex"], [""]),
    ],
)
def test_none_known_says_only_what_was_asked(asked, found):
    content = merged(facts(PERSON, "1"), said=(supplement({"allergies": {"none_known": True, "asked": asked}}),))
    assert ["".join(text(c, "code") for c in parts(part(e.resource, "code"), "coding")) for e in content.allergies] == found
    assert all(e.resource["recordedDate"] == "2026-11-27T15:30:00+00:00" for e in content.allergies)


def structured(*medicines: tuple[str, str, str]) -> Draft:
    rows = tuple(
        entry(role, f"M{n}", medicationCodeableConcept={"text": name}, **({"dosage": [{"text": dose}]} if dose else {}))
        for n, (role, name, dose) in enumerate(medicines)
    )
    return letter_draft(PERSON, "9", letter("D"), entries=rows)


def test_without_a_structured_letter_there_is_no_list_only_what_was_said():
    content = merged(facts(PERSON, "1"), said=(supplement(FULL),))
    assert not content.has_list
    assert [m.change for m in content.medicines] == ["stopped", "held", "new", "changed", ""]


def test_one_source_owns_the_list_and_a_line_fills_it():
    line = {"lines": [{"medicine": "Bisoprolol", "status": "changed", "was": "2.50 mg", "reason": "Slow pulse"}]}
    content = merged(
        structured(("medicine", "Bisoprolol", "1.25 mg"), ("medicine-unchanged", "Senna", "")), said=(supplement({"changes": line}),)
    )
    assert content.has_list
    assert names(content) == ["Bisoprolol", "Senna"]
    first = content.medicines[0]
    assert (first.change, parts(first.resource, "dosage"), parts(first.resource, "note")) == (
        "changed",
        [{"text": "1.25 mg"}],
        [{"text": "Was: 2.50 mg"}],
    )
    assert content.conflicts == ()


@pytest.mark.parametrize("line", [{"status": "stopped"}, {"status": "new", "now": "5 mg"}])
def test_what_differs_is_shown_twice_and_is_a_conflict_of_rule_12(line):
    said = (supplement({"changes": {"lines": [{"medicine": "Apixaban", **line}]}}),)
    content = merged(structured(("medicine-new", "Apixaban", "2.5 mg")), said=said)
    assert names(content) == ["Apixaban", "Apixaban"]
    assert [(c.element, c.rule) for c in content.conflicts] == [("medicines", "12")]


@pytest.mark.parametrize(("status", "change"), [("stopped", "stopped"), ("on-hold", "held"), ("active", ""), ("completed", "stopped")])
def test_a_status_that_means_do_not_give_is_heard_without_a_flag(status, change):
    row = entry("medicine", "M1", status=status, medicationCodeableConcept={"text": "Senna"})
    assert merged(letter_draft(PERSON, "9", letter("D"), entries=(row,))).medicines[0].change == change


def test_last_dose_supply_and_class_stand_on_the_medicine_itself():
    content = merged(facts(PERSON, "1"), said=(supplement(FULL),))
    patch = next(m for m in content.medicines if m.position.startswith("supplement.critical"))
    assert patch.classes == ("opioid", "controlled", "weekly-or-patch")
    assert (patch.last_dose, patch.next_due, patch.supply) == ("2026-11-24", "Tuesday 1 December", "in-bag")
    apixaban = content.medicines[2]
    assert (apixaban.change, apixaban.classes, apixaban.last_dose) == ("new", ("anticoagulant",), "2026-11-27T08:00:00+00:00")


def test_nothing_changed_makes_the_ticked_ones_unchanged():
    ticked = [{"class": "insulin", "present": True, "medicine": "Insulin glargine"}]
    changes = {"nothing_changed": True, "decided_by": {"name": "P", "role": "pharmacist"}}
    assert merged(facts(PERSON, "1"), said=(supplement({"critical": ticked, "changes": changes}),)).medicines[0].change == "unchanged"
    assert merged(facts(PERSON, "1"), said=(supplement({"critical": ticked}),)).medicines[0].change == ""


def test_missing_from_the_bag_stands_on_the_medicine():
    bag = {"missing": [{"medicine": "Senna", "plan": "Taxi at 15:00"}, {"medicine": "Thyroxine"}]}
    content = merged(structured(("medicine-unchanged", "Senna", "")), said=(supplement({"bag": bag}),))
    assert [(n, m.supply, m.plan) for n, m in zip(names(content), content.medicines, strict=True)] == [
        ("Senna", "not-supplied", "Taxi at 15:00"),
        ("Thyroxine", "not-supplied", ""),
    ]


def test_newest_statement_wins_per_member():
    said = (
        supplement({"infection": {"status": "present", "text": "Flu"}, "full_list_in_letter": True}, said_at=EARLY, number=9),
        supplement({"infection": {"status": "none known"}}, said_at=LATE, number=2, person="Newer Nurse"),
    )
    content = merged(facts(PERSON, "1"), said=said)
    assert content.stated.infection.status == "none known"
    assert content.stated.full_list_in_letter is True
    assert {member: s.person for member, s in content.said.items()} == {
        "full_list_in_letter": "Nora Nurseperson",
        "infection": "Newer Nurse",
    }


def test_the_wards_number_is_the_directorys_until_somebody_says_one():
    assert merged(facts(PERSON, "1")).contact == WARD_CONTACTS["W6"]
    said = (supplement({"contact": {"who": "Ward 6", "phone": "01632 960222"}}),)
    assert merged(facts(PERSON, "1"), said=said).contact.phone == "01632 960222"


def test_a_wrong_count_is_data():
    short = facts(PERSON, "1", allergy("AL1[1]", "Penicillin"), counts={"allergies": 2})
    assert [(c.element, c.rule) for c in merged(short).conflicts] == [("count", "10")]
    mended = facts(PERSON, "2", allergy("AL1[1]", "Penicillin"), sent_at=LATE, counts={"allergies": 1})
    assert merged(short, mended).conflicts == ()


def test_timestamp_is_the_newest_accept_time():
    sources = [source(facts(PERSON, "1"), accepted_at=f"2026-11-2{n}T10:00:00.000000+00:00") for n in (5, 7, 6)]
    sources = [Source(s.draft, s.accepted_at, f"sha256:{n:064}") for n, s in enumerate(sources)]
    content = assemble(transfer_id="55555555-5555-4555-8555-555555555555", version=1, sender=SENDER, site=HOME, sources=sources)
    assert content.accepted_at == "2026-11-27T10:00:00.000000+00:00"


def test_composition_date_is_the_newest_word_as_written():
    assert merged(facts(PERSON, "1"), said=(supplement(FULL),)).written_at == "2026-11-27T15:30:00+00:00"


@pytest.mark.parametrize(
    ("none", "named", "conflicts"),
    [
        ("NKDA", {"agent": "Penicillin", "kind": "drug"}, 1),
        ("No known drug allergies", {"agent": "Penicillin"}, 1),
        ("NKDA", {"agent": "Peanut", "kind": "food"}, 0),
        ("No known allergies", {"agent": "Peanut", "kind": "food"}, 1),
        ("No known latex allergy", {"agent": "Latex gloves", "kind": "latex"}, 1),
        ("No known latex allergy", {"agent": "Penicillin"}, 0),
        ("Latex", {"agent": "Penicillin"}, 0),
    ],
)
def test_none_known_contradicts_only_its_own_kind(none, named, conflicts):
    said = (supplement({"allergies": {"list": [named]}}),)
    assert len(merged(facts(PERSON, "1", allergy("AL1[1]", none)), said=said).conflicts) == conflicts


def recorded(message: str, *entries: tuple[str, str, dict], sent_at: str = NOON) -> Draft:
    """A records Draft (orders, dispenses, administrations, results)."""
    made = tuple(entry(role, position, **resource) for role, position, resource in entries)
    return Draft("hl7v2", "RAS^O17", SourceKind.RECORDS, message, sent_at=sent_at, patient=PERSON, entries=made)


DRUG = {"text": "Apixaban 2.5 mg tablets", "coding": [{"system": "https://dmd.nhs.uk", "code": "1"}]}


def given(at: str, status: str = "completed", drug: dict | None = None, **dosage: object) -> tuple[str, str, dict]:
    body = {"status": status, "medicationCodeableConcept": drug or DRUG, "effectiveDateTime": at, "dosage": dosage}
    return "medicine-dose", f"RXA {at}", body


def dispensed(value: int, at: str = NOON, status: str = "in-progress") -> tuple[str, str, dict]:
    body = {"status": status, "medicationCodeableConcept": DRUG, "quantity": {"value": value, "unit": "days"}, "whenPrepared": at}
    return "medicine-supply", "RXD", body


LISTED = structured(("medicine", "Apixaban 2.5 mg tablets", "One twice a day"))


def test_records_add_last_dose_and_supply_and_never_a_row():
    heparin = given(NOON, drug={"text": "Heparin"})
    drafts = [LISTED, recorded("18", given(EARLY), given(NOON), heparin), recorded("19", dispensed(14), given(LATE, "not-done"))]
    for order in (drafts, drafts[::-1]):
        (row,) = merged(*order).medicines
        assert [(e.role, e.resource.get("effectiveDateTime")) for e in row.records] == [("medicine-dose", NOON), ("medicine-supply", None)]
    assert merged(*drafts[1:]).medicines == ()


def test_a_dose_taken_back_or_of_another_route_is_not_the_last():
    taken_back = recorded("19", given(NOON, "entered-in-error"), sent_at=LATE)
    (row,) = merged(LISTED, recorded("18", given(EARLY), given(NOON)), taken_back).medicines
    assert [e.resource["effectiveDateTime"] for e in row.records] == [EARLY]
    by_mouth = replace(LISTED.entries[-1], resource={**LISTED.entries[-1].resource, "dosage": [{"text": "x", "route": {"text": "Oral"}}]})
    oral = replace(LISTED, entries=(by_mouth,))
    into_vein = recorded("18", given(NOON, route={"text": "Intravenous"}))
    assert merged(oral, into_vein).medicines[0].records == ()
    assert len(merged(oral, recorded("18", given(NOON, route={"text": "Oral"}))).medicines[0].records) == 1


@pytest.mark.parametrize(
    ("at", "rules", "shown"),
    [
        ("2026-11-26T07:00:00+00:00", [], 0),  # before the one that the ward names
        ("2026-11-26T12:00:00+00:00", ["16"], 1),  # after it, and the ward had time to know
        ("2026-11-27T23:00:00+00:00", [], 1),  # after the ward spoke
    ],
)
def test_a_later_dose_than_the_wards_last_one_is_shown_beside_it(at, rules, shown):
    line = {"class": "anticoagulant", "present": True, "medicine": DRUG["text"], "last_dose": "2026-11-26T08:00:00+00:00"}
    said = supplement({"critical": [line]}, said_at="2026-11-26T18:00:00+00:00")
    content = merged(LISTED, recorded("18", given(at)), said=(said,))
    assert [c.rule for c in content.conflicts] == rules
    assert (content.medicines[0].last_dose, len(content.medicines[0].records)) == ("2026-11-26T08:00:00+00:00", shown)


@pytest.mark.parametrize(("plan", "rules"), [("", ["19"]), ("Ward 6 sends it on", [])])
def test_dispensed_and_not_in_the_bag_is_a_conflict_without_a_plan(plan, rules):
    said = supplement({"bag": {"missing": [{"medicine": DRUG["text"], **({"plan": plan} if plan else {})}]}})
    assert [c.rule for c in merged(LISTED, recorded("18", dispensed(14)), said=(said,)).conflicts] == rules


def test_a_record_that_lost_a_medicine_waits_whatever_came_later():
    short = replace(recorded("18", dispensed(14), sent_at=EARLY), counts={"medicines": 2})
    whole = replace(recorded("19", dispensed(14), sent_at=LATE), counts={"medicines": 1})
    assert [(c.element, c.rule) for c in merged(LISTED, short, whole).conflicts] == [("count", "11")]


def test_results_are_there_once_and_a_taken_back_one_is_gone():
    def result(value: str, status: str = "final", order: str = "F1") -> tuple[str, str, dict]:
        body = {"status": status, "code": {"text": "Potassium"}, "valueString": value, "basedOn": [{"identifier": {"value": order}}]}
        return "result", "OBX", body

    old, new = recorded("18", result("4.1"), result("3", order="F2")), recorded("19", result("5.0", "corrected"), sent_at=LATE)
    assert [r.resource["valueString"] for r in merged(LISTED, new, old).results] == ["3", "5.0"]
    back = recorded("19", result("", "entered-in-error"), sent_at=LATE)
    assert [r.resource["valueString"] for r in merged(LISTED, old, back).results] == ["3"]


def test_single_changes_of_allergies_follow_the_whole_list():
    def change(role: str, message: str, agent: str, number: str = "", sent_at: str = NOON) -> Draft:
        made = allergy("IAM", agent)
        resource = {**made.resource, "identifier": [{"value": number}] if number else []}
        return replace(facts(PERSON, message, sent_at=sent_at), entries=(replace(made, role=role, resource=resource),))

    def agents(*drafts: Draft) -> list[str]:
        return [concept_text(e.resource["code"]) for e in merged(*drafts).allergies]

    whole = facts(PERSON, "1", allergy("AL1", "Penicillin"), allergy("AL1[2]", "Latex"), sent_at=EARLY)
    added, removed = change("allergy-added", "2", "Aspirin", "A1"), change("allergy-removed", "3", "Penicillin", sent_at=LATE)
    assert agents(removed, added, whole) == ["Latex", "Aspirin"]
    renamed = change("allergy-added", "4", "Aspirin 75 mg", "A1", sent_at=LATE)
    assert agents(whole, added, renamed) == ["Penicillin", "Latex", "Aspirin 75 mg"]
    assert agents(whole, added, replace(facts(PERSON, "5", sent_at=LATE), cleared=("allergy",))) == []


def test_an_expected_day_is_taken_back_and_the_class_speaks_where_no_event_does():
    said = facts(PERSON, "1", sent_at=EARLY, expected_leaving="2026-11-27")
    off = facts(PERSON, "2", sent_at=LATE, expected_leaving=None)
    assert (merged(said).expected_leaving, merged(off, said).expected_leaving) == ("2026-11-27", "")
    bare = {name: value for name, value in encounter().items() if name != "status"}
    assert merged(facts(PERSON, "1", encounter=bare)).encounter["status"] == "in-progress"
    left = facts(PERSON, "1", sent_at=EARLY, left_at=EARLY, encounter={**bare, "period": {"start": EARLY, "end": NOON}})
    later = facts(PERSON, "2", sent_at=LATE, encounter={**bare, "period": {"start": EARLY}})
    assert (merged(left, later).encounter["status"], merged(left, later).encounter["period"]) == ("finished", {"start": EARLY, "end": NOON})
    again = facts(PERSON, "3", sent_at=LATE, left_at=None, encounter={**bare, "period": {"end": None}})
    assert (merged(left, again).left_at, merged(left, again).encounter["period"]) == ("", {"start": EARLY})
