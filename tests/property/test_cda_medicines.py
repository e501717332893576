"""Generated medicines lists are found character for character in the built document; every value of a document is accounted for once."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from adapters.cda import read
from exchange.fhir.document import build_document
from exchange.fhir.draft import ReadingProfile
from exchange.fhir.json import dump
from exchange.fhir.narrative import visible
from tests import cda_kit as kit
from tests.draft_kit import HOME, SENDER, assemble, source

# What XML can hold and a reader can see; one line, since an attribute has no lines.
words = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp", "Zs", "Cn", "Co"), include_characters=" "), min_size=1, max_size=30
).map(lambda text: " ".join(text.split()))
names = words.filter(bool)
doses = st.from_regex(r"[0-9]{1,6}([.,][0-9]{1,6})?", fullmatch=True) | st.sampled_from(["½", "1-2", "0.10", ".5", "007", "1e3", "<1", "٣"])
units = st.sampled_from(["mg", "tablet", "microgram/hour", "ml", "[iU]", "puff(s)", "mg/kg"])
rows = st.lists(st.tuples(names, doses, units, words), min_size=1, max_size=60)


def escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def document_of(listed: list[tuple[str, str, str, str]]) -> str:
    text = "".join(f'<paragraph ID="m{n}">{escaped(said)}</paragraph>' for n, (*_, said) in enumerate(listed))
    entries = [
        kit.drug(
            escaped(name),
            "39732311000001104",
            dose=f'<doseQuantity value="{escaped(dose)}" unit="{unit}"/>',
            more=kit.directions(f"#m{n}") if said else "",
        )
        for n, (name, dose, unit, said) in enumerate(listed)
    ]
    return kit.document(kit.medicines(*entries, text=text))


@settings(max_examples=60, deadline=None)
@given(rows)
def test_medicines_survive_to_the_character(listed: list[tuple[str, str, str, str]]) -> None:
    found = read(document_of(listed).encode(), ReadingProfile())
    assert found.counts["medicines"] == len(listed)
    content = assemble(transfer_id="11111111-1111-4111-8111-111111111111", version=1, sender=SENDER, site=HOME, sources=[source(found)])
    assert content.conflicts == ()
    bundle = dump(build_document(content)).decode()
    built: Any = json.loads(bundle)
    statements = [e["resource"] for e in built["entry"] if e["resource"]["resourceType"] == "MedicationStatement"]
    given_doses = [(s["medicationCodeableConcept"]["coding"][0]["display"], s["dosage"][0]["text"]) for s in statements]
    assert given_doses == [(name, said or f"{dose} {unit}") for name, dose, unit, said in listed]
    shown = json.dumps([s["text"]["div"] for s in built["entry"][0]["resource"]["section"]], ensure_ascii=False)
    for name, _, _, said in listed:
        for text in (name, said):
            assert json.dumps(escaped(visible(text)), ensure_ascii=False)[1:-1] in shown


@settings(max_examples=40, deadline=None)
@given(rows)
def test_every_value_is_accounted_for_once(listed: list[tuple[str, str, str, str]]) -> None:
    """The tree is walked by lxml alone: each attribute and text stands in the report, in number and value."""
    raw = document_of(listed).encode()
    items = read(raw, ReadingProfile()).items
    values = []
    for element in etree.fromstring(raw).iter():
        values += [value for value in element.attrib.values() if value.strip()]
        values += [text.strip() for text in (element.text, element.tail) if text and text.strip()]
    assert sorted(item.value for item in items) == sorted(map(str, values))
    assert len({item.position for item in items}) == len(items)
