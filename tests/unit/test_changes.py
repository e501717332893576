"""What changed between two versions: every change that a reader could see is a line, in the order that matters, and nothing else is."""

from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from exchange.web.home import transfer_view
from exchange.web.home.changes import Change, changes, only_what_differs
from tests import page_kit as kit


def compare(result: dict[str, object] | None = None, facts: dict[str, Any] | None = None, **changed: object) -> tuple[Change, ...]:
    old = transfer_view(kit.bundle(), kit.gate(), kit.facts(), kit.NOW)
    new = transfer_view(kit.bundle(version=2, **changed), result or kit.gate(), kit.facts(version=2, **(facts or {})), kit.NOW)
    return changes(old, new)


def test_the_same_papers_have_no_change() -> None:
    assert compare() == ()


def test_medicines_come_first_and_those_not_to_give_lead() -> None:
    found = compare(medicines=kit.CHANGED_MEDICINES, expected_leaving="2026-11-28T07:30:00+00:00", result=kit.gate(count=2))
    assert [(change.title, change.advice) for change in found[:4]] == [
        ("Ramipril 5mg capsules: status, why, what to do, who restarts it changed", "Do not give: stopped."),
        ("Bisoprolol 2.5mg tablets: not in version 2", "Ask the ward before you give or stop it."),
        ("Atorvastatin 20mg tablets: not in version 2", "Ask the ward before you give or stop it."),
        ("Bisoprolol 1.25mg tablets: new in version 2", ""),
    ]
    areas = [change.area for change in found]
    assert areas == sorted(areas, key=["medicine", "alert", "letter", "gap", "coming", "call", "section"].index)


@pytest.mark.parametrize("place", range(len(kit.MEDICINES)))
@pytest.mark.parametrize("what", ["gone", "dose", "again"])
def test_a_change_of_one_medicine_is_never_lost(place: int, what: str) -> None:
    rows = list(kit.MEDICINES)
    dose: dict[str, object] = {**rows[place].resource, "dosage": [{"text": "0.50 mg once"}]}
    match what:
        case "gone":
            del rows[place]
        case "dose":
            rows[place] = replace(rows[place], resource=dose)
        case "again":
            rows.append(replace(rows[place], position="again"))
    found = [change for change in compare(medicines=tuple(rows)) if change.area == "medicine"]
    name = kit.MEDICINES[place].resource["medicationCodeableConcept"]["text"]  # type: ignore[index]  # a known shape
    assert any(change.title.startswith(str(name)) for change in found)
    if what == "dose":
        assert any("0.50 mg once" in line.now.text for change in found for line in change.lines)


@pytest.mark.parametrize(
    "changed",
    [{"contact": None}, {"allergies": ()}, {"diagnoses": ()}, {"notes": ()}, {"people": ()}, {"encounter": {}}, {"expected_leaving": ""},
     {"patient": {**kit.content().patient, "birthDate": "1942-03-15"}}, {"stated": structs.replace(kit.STATED, nursing=None)},
     {"letters": (kit.TEXT_LETTER,)}, {"letters": (replace(kit.TEXT_LETTER, signed_by="Dr Other Exampleton"), kit.PDF_LETTER)}],
    ids=lambda changed: next(iter(changed)),
)  # fmt: skip
def test_a_change_of_anything_else_is_a_line(changed: dict[str, object]) -> None:
    assert compare(**changed)


def test_a_letter_is_compared_by_line_and_a_file_says_that_it_cannot_be() -> None:
    texts = kit.facts().letters
    new_text = replace(texts[0], text=str(texts[0].text).replace("2.5 mg     once a day", "1.25 mg    once a day"))
    (change,) = compare(facts={"letters": (new_text, texts[1])})
    (line,) = change.lines
    assert ("was 5 mg" in line.was.text, "1.25 mg" in line.now.text, "Dear colleague" in line.now.text) == (True, True, False)
    unknown = compare(facts={"letters": (texts[0], replace(texts[1], size_bytes=5))})
    assert [change.advice for change in unknown if change.area == "letter"][-1] == (
        "We cannot compare a letter that is no plain text: read all of it."
    )


def test_a_document_against_letters_alone_is_not_compared() -> None:
    old = transfer_view(kit.bundle(), kit.gate(), kit.facts(), kit.NOW)
    new = transfer_view(None, kit.gate("letter only", 0), kit.facts(version=2), kit.NOW)
    (change,) = changes(old, new)
    assert change.title == "Version 2 came as letters alone, version 1 came as a document and letters"
    assert change.advice.endswith("read all of it.")


def test_lines_that_only_moved_are_shown_whole() -> None:
    assert only_what_differs("a\nb", "b\na") == ("a\nb", "b\na")
    assert only_what_differs("a\nb\nb", "a\nb") == ("b\nb", None)
