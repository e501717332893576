"""Medicines of order messages come out character for character, and one that the reader loses is noticed by the independent count."""

import re
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2 import orders, read
from exchange.fhir.draft import ReadingProfile
from exchange.fhir.json import dump
from exchange.fhir.shape import concept_text, parts, text
from exchange.transfer.assemble import _miscounts
from tests.draft_kit import source

# Segment, and the fields of the medicine, the directions and the amount.
KINDS = {
    "ORM^O01": ("RXO", 1, 7, 2),
    "RDE^O11": ("RXE", 2, 7, 3),
    "RDE^O25": ("RXE", 2, 7, 3),
    "RDS^O13": ("RXD", 2, 9, 4),
    "RAS^O17": ("RXA", 5, 9, 6),
}
ESCAPES = {"|": "\\F\\", "^": "\\S\\", "~": "\\R\\", "&": "\\T\\", "\\": "\\E\\"}
WORDS = (
    st.text(st.characters(blacklist_categories=["Cc", "Cs"]), min_size=1, max_size=40).map(str.strip).filter(lambda w: w not in ("", '""'))
)
NUMBERS = st.from_regex(r"[0-9]{1,6}(\.[0-9]{1,6})?", fullmatch=True)


def escaped(words: str) -> str:
    return "".join(ESCAPES.get(character, character) for character in words)


def message(event: str, rows: list[tuple[str, str, str]]) -> bytes:
    name, drug_at, words_at, amount_at = KINDS[event]
    lines = [f"MSH|^~\\&|EPMA|T1|W|T1|20260714160000||{event}|C1|P|2.5.1||||||UNICODE UTF-8", "PID|1||9990000018^^^NHS"]
    for drug, directions, amount in rows:
        fields = {drug_at: f"^{escaped(drug)}", words_at: f"^{escaped(directions)}", amount_at: amount}
        lines += ["ORC|NW|P1", name + "".join(f"|{fields.get(number, '')}" for number in range(1, 12))]
    return "\r".join(lines).encode()


@settings(max_examples=120, deadline=None)
@given(st.sampled_from(sorted(KINDS)), st.lists(st.tuples(WORDS, WORDS, NUMBERS), min_size=1, max_size=60))
def test_a_list_comes_out_character_for_character(event: str, rows: list[tuple[str, str, str]]) -> None:
    draft = read(message(event, rows), ReadingProfile())
    assert draft.counts["medicines"] == len(rows)
    found = [entry.resource for entry in draft.entries if entry.role.startswith("medicine-")]
    assert [concept_text(one["medicationCodeableConcept"]) for one in found] == [drug for drug, _, _ in rows]
    said = [text(one, "dosage", "text") or next((text(dose, "text") for dose in parts(one, "dosageInstruction")), "") for one in found]
    assert said == [directions for _, directions, _ in rows]
    # Nothing but zeros before the number goes; every digit after it stays.
    amounts = [re.findall(r'"value":(-?[0-9.]+)[,}]', dump(one).decode()) for one in found]
    assert amounts == [[re.sub(r"^0+(?=[0-9])", "", amount)] for _, _, amount in rows]
    assert [Decimal(one) for (one,) in amounts] == [Decimal(amount) for _, _, amount in rows]


def test_a_medicine_that_the_reader_loses_is_a_conflict(monkeypatch: pytest.MonkeyPatch) -> None:
    """The seeded mistake: the reader of order groups leaves out the last one."""
    raw = message("RDE^O11", [("Apixaban", "one", "1"), ("Ramipril", "one", "1")])
    assert [*_miscounts([source(read(raw, ReadingProfile()))])] == []
    whole = orders.orders
    monkeypatch.setattr(orders, "orders", lambda *given: whole(*given)[:-1])
    (lost,) = _miscounts([source(read(raw, ReadingProfile()))])
    assert (lost.element, lost.rule) == ("count", "11")
