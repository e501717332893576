"""Every row of a medicines table stands in the document, its narrative and the page, character for character, beside a letter."""

import csv
import html
import io
import re
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.tabular import read, sniff, source_id
from exchange.fhir.content import Content, OrganisationFacts
from exchange.fhir.document import build_document
from exchange.fhir.draft import Draft, Letter, LetterStatus, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.narrative import visible
from exchange.transfer.assemble import Source, assemble
from exchange.web.home.render import Renderer
from exchange.web.home.view import transfer_view
from tests.page_kit import FRAME, NOW, facts, gate

COLUMNS = ("list_id", "nhs_number", "birth_date", "visit_number", "checked_by", "checked_at", "medicine", "directions", "status", "reason")
SHARED = ("L-1", "9990000018", "1938-05-14", "V1", "Priya Pharmacist-Test", "2026-11-27T15:10")
TEXT = st.text(
    st.one_of(st.sampled_from("½µ°–<>&\"'|;,/%() 0123456789"), st.characters(codec="utf-8", categories=["L", "N", "P", "S"])),
    min_size=1,
    max_size=30,
).filter(lambda text: text == text.strip() and text != "")
STATUS = st.sampled_from(["new", "changed", "stopped", "held", "tapering", "unchanged", ""])
ROWS = st.lists(st.tuples(TEXT, TEXT, STATUS, TEXT), min_size=1, max_size=60)
RENDER = Renderer(static_url=".").render


def table(rows: list[tuple[str, str, str, str]]) -> bytes:
    out = io.StringIO()
    csv.writer(out).writerows([COLUMNS, *(SHARED + row for row in rows)])
    return out.getvalue().encode()


def content_of(draft: Draft) -> Content:
    """The table beside a signed letter of later that day."""
    letter = Letter("TXA", "text/plain", b"Letter", "Letter", LetterStatus.FINAL, "D1")
    other = Draft("hl7v2", "MDM^T02", SourceKind.LETTER, "2", sent_at="2026-11-27T18:00:00+00:00", patient=draft.patient, letters=(letter,))
    sources = [Source(one, "2026-11-27T18:00:00Z", f"sha256:{number}") for number, one in enumerate((draft, other))]
    here = OrganisationFacts("RZZ01", "Sample General Hospital")
    return assemble(transfer_id="6f3c2b1e-7a56-4d0e-9a55-0d5d5f6a9b10", version=1, sender=here, site=here, sources=sources)


@given(ROWS)
@settings(max_examples=12, deadline=None)
def test_every_row_reaches_the_page(rows: list[tuple[str, str, str, str]]) -> None:
    draft = read(table(rows), ReadingProfile())
    assert draft.counts["medicines"] == len(rows)
    content = content_of(draft)
    assert content.has_list
    assert not content.conflicts
    document = build_document(content)
    page = RENDER("transfer.html", view=transfer_view(document, gate(), facts(), NOW), frame=FRAME).decode()
    page_text = html.unescape(re.sub(r"<[^>]*>", "", page))
    composition = document["entry"][0]["resource"]  # type: ignore[index]  # the document's own shape
    div = next(section["text"]["div"] for section in composition["section"] if section["title"].startswith("Medications"))
    narrative = html.unescape(re.sub(r"<[^>]*>", "\n", div))
    assert "checked by Priya Pharmacist-Test" in narrative
    for medicine, directions, status, reason in rows:
        for value in (medicine, directions, reason) if status else (medicine, directions):
            assert visible(value) in narrative
            assert visible(value) in page_text


@given(st.binary(max_size=300), st.lists(st.lists(st.text(max_size=9), max_size=11), max_size=5))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_draft_or_unreadable(raw: bytes, rows: list[list[str]]) -> None:
    out = io.StringIO()
    csv.writer(out, escapechar="\\").writerows([list(COLUMNS), *rows])
    for one in (raw, table([]) + raw, out.getvalue().encode("utf-8", "replace")):
        sniff(one)
        source_id(one)
        try:
            read(one, ReadingProfile())
        except Unreadable:
            continue


def test_the_example_of_the_page_is_read() -> None:
    page = (Path(__file__).parents[2] / "docs" / "medicines-table.md").read_text("utf-8")
    draft = read(page.split("```csv\n")[1].split("```")[0].encode(), ReadingProfile())
    assert [entry.role for entry in draft.entries] == ["medicine-new", "medicine-changed", "medicine-stopped", "note"]


def test_a_lost_row_holds_the_structured_version() -> None:
    """A reader that drops a row (the seeded defect) gives entries that the count of the bytes contradicts."""
    draft = read(table([("Senna", "2 at night", "new", "x"), ("Senna", "1 at night", "new", "x")]), ReadingProfile())
    assert [(c.element, c.rule) for c in content_of(replace(draft, entries=draft.entries[1:])).conflicts] == [("count", "11")]
