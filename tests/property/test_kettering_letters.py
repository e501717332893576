"""A medicines change is never lost on the way of a Kettering letter: each line of the HTML stands in the document's narrative, in the
text of the page that the home reads, and the letter itself travels byte for byte."""

import html
import re

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.kettering import read
from adapters.kettering.html import CELL, to_lines
from exchange.fhir.draft import ReadingProfile
from exchange.fhir.narrative import visible
from exchange.web.home.render import Renderer
from exchange.web.home.view import transfer_view
from tests.kettering_kit import kettering
from tests.page_kit import FRAME, NOW, bundle, facts, gate

RENDER = Renderer(static_url=".").render
# What a line can hold: doses, fractions, units, marks of other scripts; no control characters and no CDATA end.
WORDS = st.text(
    st.one_of(st.sampled_from("½µ°é–—<>&\"'|;:.,/%()[]^_*+-→≥× 0123456789"), st.characters(codec="utf-8", categories=["L", "N", "P", "S"])),
    min_size=1,
    max_size=40,
).map(lambda text: " ".join(text.split()))
LINES = st.lists(WORDS.filter(lambda text: text and "]]>" not in text), min_size=1, max_size=60)


def letter(lines: list[str], style: int) -> str:
    """The lines as a word processor would write them: a table, a list, paragraphs or line breaks."""
    safe = [html.escape(line) for line in lines]
    match style:
        case 0:
            rows = "".join(f"<tr><td><p>{number}</p></td><td>{line}</td></tr>" for number, line in enumerate(safe, 1))
            body = f"<table>{rows}</table>"
        case 1:
            body = "<ol>" + "".join(f"<li><b>{line}</b>\n" for line in safe) + "</ol>"
        case 2:
            body = "".join(f"<P class=MsoNormal><span lang=EN-GB>{line}<o:p></o:p></span></P>" for line in safe)
        case _:
            body = "<br>".join(safe)
    return f"<html><body>{body}</body></html>"


def shown(lines: list[str], style: int) -> list[str]:
    """The lines as a reader sees them."""
    return [f"{number}{CELL}{line}" if style == 0 else f"{number}. {line}" if style == 1 else line for number, line in enumerate(lines, 1)]


@given(LINES, st.integers(0, 3))
@settings(max_examples=150, deadline=None)
def test_every_line_is_a_line_of_the_text(lines: list[str], style: int) -> None:
    assert to_lines(letter(lines, style)) == shown(lines, style)


@given(LINES, st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_every_line_is_in_the_document_and_on_the_page(lines: list[str], style: int) -> None:
    source = letter(lines, style)
    draft = read(kettering(source, event="20261110"), ReadingProfile())
    assert [one.content for one in draft.letters] == [source.encode()]
    notes = tuple(entry for entry in draft.entries if entry.role == "note")
    document = bundle(notes=notes, letters=draft.letters)
    composition = document["entry"][0]["resource"]  # type: ignore[index]  # the document's own shape
    divs = [section["text"]["div"] for section in composition["section"] if section["title"] == "Clinical summary"]
    narrative = {visible(line) for line in re.split(r"<br/>|</?(?:p|h4|div)[^>]*>", divs[0])}
    page = RENDER("transfer.html", view=transfer_view(document, gate(), facts(), NOW), frame=FRAME).decode()
    page_text = html.unescape(re.sub(r"<[^>]*>", "", page))
    for line in shown(lines, style):
        assert visible(line) in {html.unescape(one) for one in narrative}
        assert visible(line) in page_text
