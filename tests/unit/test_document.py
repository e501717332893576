"""build_document: the shape of data-model.md, safe narrative, and values kept character for character."""

import re
import tomllib
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from lxml import etree

from exchange.fhir import codes
from exchange.fhir.content import ROLES, Content, Medicine
from exchange.fhir.document import build_document, document_identifier, letter_digest
from exchange.fhir.json import dump, load_strict
from exchange.fhir.narrative import TAGS, bullets, escape, facts, narrative, paragraph, table
from exchange.fhir.shape import is_nhs_number, part, parts, spoken, text
from exchange.fhir.stated import Infection, Nursing, Stated
from exchange.wiring import broken_rules
from tests.draft_kit import PDF, allergy, arthur, doris, edith, entry

STORIES = [edith(), arthur(), doris()]


def resources(content: Content, kind: str) -> list[dict[str, object]]:
    return [dict(part(e, "resource")) for e in parts(build_document(content), "entry") if text(e, "resource", "resourceType") == kind]


def section(content: Content, code: str) -> dict[str, object]:
    composition = resources(content, "Composition")[0]
    return next(dict(s) for s in parts(composition, "section") if text(parts(part(s, "code"), "coding")[0], "code") == code)


def div(content: Content, code: str) -> str:
    return text(section(content, code), "text", "div")


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.name)
def test_a_story_passes_every_document_rule(story):
    content = story.content()
    assert broken_rules(build_document(content), content.counts()) == []


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.name)
def test_same_content_same_bytes(story):
    assert dump(build_document(story.content())) == dump(build_document(story.content()))


@pytest.mark.parametrize("story", STORIES, ids=lambda s: s.name)
def test_sections_stand_in_their_order_with_both_codings(story):
    found = parts(resources(story.content(), "Composition")[0], "section")
    assert [text(s, "title") for s in found] == [heading.title for heading in codes.SECTIONS]
    for heading, each in zip(codes.SECTIONS, found, strict=True):
        codings = parts(part(each, "code"), "coding")
        assert [text(c, "system") for c in codings] == [codes.HEADINGS, codes.LOINC][: 2 if heading.loinc else 1]


def test_the_headings_are_uk_cores_own():
    shipped = Path(__file__).parents[3] / "shared" / "ukcore" / "codesystems" / "CodeSystem-UKCore-RecordStandardHeadings.xml"
    if not shipped.exists():
        pytest.skip("../shared/ukcore is not here")
    ns = "{http://hl7.org/fhir}"
    known = {c.find(f"{ns}code").get("value"): c.find(f"{ns}display").get("value") for c in etree.parse(shipped).iter(f"{ns}concept")}
    assert {h.code: h.title for h in codes.SECTIONS} == {h.code: known[h.code] for h in codes.SECTIONS}


def test_bundle_is_read_by_fhir_resources():
    from fhir.resources.R4B.bundle import Bundle

    for story in STORIES:
        Bundle.model_validate_json(dump(build_document(story.content())))


def test_a_later_version_replaces_the_one_before():
    first, second = (build_document(edith().content(version=n)) for n in (1, 2))
    assert first["identifier"] != second["identifier"]
    composition = part(parts(second, "entry")[0], "resource")
    assert parts(composition, "relatesTo") == [{"code": "replaces", "targetIdentifier": first["identifier"]}]
    assert document_identifier(edith().transfer_id, 1) == first["identifier"]


def test_letter_is_named_by_digest_and_number():
    content = edith().content()
    (reference,) = resources(content, "DocumentReference")
    assert reference["masterIdentifier"] == {"system": codes.DIGEST, "value": letter_digest(content.letters[0])}
    assert reference["docStatus"] == "final"
    attachment = part(parts(reference, "content")[0], "attachment")
    assert attachment == {"contentType": "application/pdf", "size": len(PDF), "title": "Discharge letter"}


def test_stopped_and_held_are_not_among_those_to_give():
    lists = {text(parts(part(r, "code"), "coding")[0], "code"): r for r in resources(edith().content(), "List")}
    flags = {
        code: [text(part(e, "flag"), "coding") or parts(part(e, "flag"), "coding") for e in parts(r, "entry")] for code, r in lists.items()
    }
    assert [[text(c, "code") for c in f] for f in flags[codes.STOPPED_LIST.code]] == [["5"], ["6"]]
    assert [[text(c, "code") for c in f] for f in flags[codes.ACTIVE_LIST.code]] == [["4"], ["2"], []]


def test_list_said_to_be_in_the_letter_is_unavailable_not_empty():
    content = replace(doris().content(), stated=Stated(full_list_in_letter=True))
    found = next(r for r in resources(content, "List") if r["title"] == codes.ACTIVE_LIST.title)
    assert "entry" not in found
    assert text(parts(part(found, "emptyReason"), "coding")[0], "code") == "unavailable"
    assert "full list stands in the signed letter" in text(parts(found, "note")[0], "text")


def test_nothing_recorded_is_said_and_is_never_none():
    content = doris().content()
    found = next(r for r in resources(content, "List") if r["title"] == codes.ALLERGY_LIST.title)
    assert text(parts(part(found, "emptyReason"), "coding")[0], "code") == "no-content-recorded"
    assert "Not recorded" in div(content, "allergies-and-adverse-reaction")
    assert "None known" not in dump(build_document(content)).decode()
    assert resources(content, "AllergyIntolerance") == []


def test_none_known_infection_differs_from_not_recorded():
    blank = replace(doris().content(), stated=Stated())
    none = replace(blank, stated=Stated(infection=Infection("none known")))
    assert "<dt>Infection</dt><dd>Not recorded</dd>" in div(blank, "safety-alerts")
    assert "<dt>Infection</dt><dd>None known" in div(none, "safety-alerts")


@pytest.mark.parametrize("only_drugs", [allergy("AL1[1]", "No known drug allergy", code="409137002"), allergy("AL1[1]", "NKDA")])
def test_no_known_drug_allergy_says_nothing_of_food_and_latex(only_drugs):
    shown = div(replace(doris().content(), allergies=(only_drugs,)), "allergies-and-adverse-reaction")
    assert "<dt>Food</dt><dd>Not recorded</dd><dt>Latex</dt><dd>Not recorded</dd>" in shown


def test_same_as_before_never_stands_for_skin_and_lines():
    content = replace(doris().content(), stated=Stated(nursing=Nursing(same_as_before=True, says="Nora Nurseperson")))
    shown = div(content, "individual-requirements")
    assert "<dd>Same as before admission, says Nora Nurseperson</dd>" in shown
    assert "<dt>Skin</dt><dd>Not recorded</dd><dt>Lines and tubes</dt><dd>Not recorded</dd>" in shown
    assert "Moving" not in shown


def test_what_was_entered_in_error_says_so():
    wrong = entry("diagnosis", "DG1[1]", code={"text": "Fall"}, verificationStatus={"coding": [{"code": "entered-in-error"}]})
    assert "Fall; entered-in-error" in div(replace(doris().content(), diagnoses=(wrong,)), "diagnoses")


def test_a_medicine_without_word_of_change_has_no_flag_and_says_so():
    medicine = Medicine("M1", {"medicationCodeableConcept": {"text": "Senna 7.5 mg tablets"}})
    content = replace(doris().content(), medicines=(medicine,))
    (entry_,) = parts(next(r for r in resources(content, "List") if r["title"] == codes.ACTIVE_LIST.title), "entry")
    assert "flag" not in entry_
    assert "did not say if this changed" in div(content, "medications-and-medical-devices")


def test_a_bare_day_stays_a_day():
    content = arthur().content()
    (stay,) = resources(content, "Encounter")
    assert parts(stay, "extension")[-1] == {"url": codes.EXPECTED_LEAVING, "valueDateTime": "2026-11-28"}
    assert "28 November 2026, time not known" in div(content, "discharge-details")
    assert "00:00" not in div(content, "discharge-details")


def test_decimals_and_texts_are_kept_character_for_character():
    dose = {"text": "1.50  mg,\ntwice", "doseAndRate": [{"doseQuantity": {"value": Decimal("1.50"), "unit": "mg"}}]}
    medicine = Medicine("M1", {"medicationCodeableConcept": {"text": "A & B <5 mg>"}, "dosage": [dose]}, change="new", next_due="with tea")
    content = replace(doris().content(), medicines=(medicine,))
    written = dump(build_document(content))
    assert b'"value":1.50,' in written
    (statement,) = [
        dict(part(e, "resource"))
        for e in parts(load_strict(written), "entry")
        if text(e, "resource", "resourceType") == "MedicationStatement"
    ]
    (kept,) = parts(statement, "dosage")
    assert kept["text"] == dose["text"]
    assert text(part(statement, "medicationCodeableConcept"), "text") == "A & B <5 mg>"
    assert "A &amp; B &lt;5 mg&gt;" in div(content, "medications-and-medical-devices")
    assert [text(i, "text") for i in parts(kept, "additionalInstruction")] == ["with tea"]
    assert broken_rules(build_document(content), content.counts()) == []


def test_hostile_text_stays_text():
    hostile = '<script>alert(1)</script>\x01\u202egnp.exe & "q" <img src=x onerror=y>'
    named = Medicine("M1", {"medicationCodeableConcept": {"text": hostile}})
    content = replace(doris().content(), medicines=(named,), diagnoses=(entry("diagnosis", "DG1[1]", code={"text": hostile}),))
    shown = div(content, "medications-and-medical-devices") + div(content, "diagnoses")
    assert set(re.findall(r"</?([a-z0-9]+)", shown)) <= TAGS
    assert "\u2401" in shown
    assert "[U+202E]" in shown
    assert "\u202e" not in shown
    assert b"\\u0001" not in dump(build_document(content))
    assert broken_rules(build_document(content), content.counts()) == []


def test_two_entries_of_one_position_both_stand():
    twins = (entry("diagnosis", "DG1", code={"text": "Fall"}), entry("diagnosis", "DG1", code={"text": "Delirium"}))
    content = replace(doris().content(), diagnoses=twins)
    assert len(resources(content, "Condition")) == 2
    assert broken_rules(build_document(content), content.counts()) == []


def test_every_role_has_a_known_type():
    assert {kind for kind in ROLES.values() if kind} <= {
        "AllergyIntolerance",
        "Condition",
        "Procedure",
        "MedicationStatement",
        "MedicationRequest",
        "MedicationDispense",
        "MedicationAdministration",
        "Observation",
        "Location",
        "Practitioner",
        "Organization",
    }


def test_narrative_blocks():
    assert narrative()["div"] == '<div xmlns="http://www.w3.org/1999/xhtml"><p>Not recorded</p></div>'
    assert facts([("a", ""), ("b", "c")]) == "<dl><dt>b</dt><dd>c</dd></dl>"
    assert facts([("a", "")]) == bullets([]) == table(["h"], []) == ""
    assert paragraph("a\r\nb\tc") == "<p>a<br/>b\tc</p>"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [("\x00", "\u2400"), ("\x7f", "[U+007F]"), ("\u2066", "[U+2066]"), ("\ud800", "[U+D800]"), ("\u2028", "[U+2028]"), ("é", "é")],
)
def test_hidden_characters_are_made_visible(raw, shown):
    assert escape(raw) == shown


@pytest.mark.parametrize(
    ("moment", "said"),
    [
        ("2026-11-28", "28 November 2026"),
        ("2026-11", "2026-11"),
        ("2026-11-28T18:00:00+00:00", "28 November 2026, 18:00"),
        ("2026-07-01T18:00:00+01:00", "1 July 2026, 18:00"),
        ("2026-07-01T17:00:00Z", "1 July 2026, 17:00 (UTC)"),
        ("2026-10-25T01:30:00+01:00", "25 October 2026, 01:30 (UTC+01:00)"),
        ("2026-10-25T01:30:00+00:00", "25 October 2026, 01:30 (UTC)"),
        ("with breakfast", "with breakfast"),
        ("2026-13-45", "2026-13-45"),
        ("", ""),
    ],
)
def test_spoken_times_are_never_moved(moment, said):
    assert spoken(moment) == said


@pytest.mark.parametrize(
    ("number", "good"), [("9990000026", True), ("9990000027", False), ("999000002", False), ("٩٩٩٠٠٠٠٠٢٦", False), ("", False)]
)
def test_nhs_number_check_digit(number, good):
    assert is_nhs_number(number) is good


def test_the_profiles_folder_ships_in_the_wheel():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert "fhir_profiles" in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
