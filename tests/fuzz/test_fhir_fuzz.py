"""Any bytes give a Draft or Unreadable, in bounded time. Seeds: made documents and their mutations, of bytes and of the tree."""

import json
import random
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.fhir import read, sniff, source_id
from exchange.fhir.draft import Draft, ReadingProfile, Unreadable
from tests.fhir_kit import as_json, as_xml, document, medicine, url

OTHERS = {
    "drug": {"resourceType": "Medication", "id": "1", "code": {"text": "Digoxin"}, "form": {"text": "tablet"}},
    "row": {"resourceType": "MedicationStatement", "status": "active", "medicationReference": {"reference": url("drug")}},
    "ask": {"resourceType": "MedicationRequest", "status": "active", "intent": "order", "medicationCodeableConcept": {"text": "x"}},
    "all": {"resourceType": "AllergyIntolerance", "code": {"text": "Penicillin"}, "reaction": [{"manifestation": [{"text": "rash"}]}]},
    "con": {"resourceType": "Condition", "code": {"text": "Fall"}, "recordedDate": "2026-11-20"},
    "obs": {"resourceType": "Observation", "status": "final", "code": {"text": "INR"}, "valueQuantity": {"value": 2, "unit": "x"}},
    "bin": {"resourceType": "Binary", "contentType": "application/pdf", "data": "JVBERi0="},
}
SEED = document([medicine("Digoxin", "0.10 mg", change="4"), medicine("Warfarin", "1 mg", "stopped")], OTHERS)
SEEDS = [as_json(SEED), as_xml(SEED)]
SPICE = [b'"', b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"1e999", b"-0", b"\\ud800", b"\x00", b"\xff", b"<", b"/>", b"&x;",
         b"<!--", b"<![CDATA[", b' value="', b"urn:uuid:", b"#", b'"resourceType":"Bundle"', b"\xef\xbb\xbf"]  # fmt: skip
VALUES: list[Any] = [None, "", " ", 0, -1, True, [], {}, [None], [[]], "x" * 300, {"reference": "#"}, {"reference": "Patient/"},
                     {"coding": "x"}, {"extension": [{"url": 1}]}, "2026", "0001-01-01T00:00", "9999-12-31T23:59",
                     [{"valueString": None}], "urn:uuid:"]  # fmt: skip


def outcome(raw: bytes) -> Draft | str:
    """The draft, or the code of Unreadable. Anything else that is raised fails the test."""
    sniff(raw)
    source_id(raw)
    try:
        draft = read(raw, ReadingProfile())
    except Unreadable as problem:
        return problem.code
    assert len({item.position for item in draft.items}) == len(draft.items)
    json.dumps([draft.patient, draft.encounter, [entry.resource for entry in draft.entries]], default=str)
    return draft


def mutated(seed: bytes, rng: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(3):
            case 0:
                data[at:at] = rng.choice(SPICE)
            case 1:
                del data[at : at + rng.choice([1, 3, 40])]
            case _:
                piece = data[at : at + rng.choice([5, 50, 300])]
                where = rng.randrange(len(data) + 1)
                data[where:where] = piece
    return bytes(data)


def shaken(node: Any, rng: random.Random, odds: float) -> Any:
    """The tree with members replaced, renamed, wrapped in lists or taken out of them: what a careless sender makes of it."""
    if rng.random() < odds:
        return rng.choice([*VALUES, [node], {"extension": node}])
    if isinstance(node, dict):
        names = {name: rng.choice(list(node)) if rng.random() < odds else f"_{name}" if rng.random() < odds else name for name in node}
        return {names[name]: shaken(value, rng, odds) for name, value in node.items()}
    if isinstance(node, list):
        return [shaken(one, rng, odds) for one in node for _ in range(1 + (rng.random() < odds))]
    return node


def test_mutations_of_bytes() -> None:
    rng = random.Random(8)
    codes = {result if isinstance(result := outcome(mutated(rng.choice(SEEDS), rng)), str) else "draft" for _ in range(600)}
    assert {"draft", "fhir_json", "fhir_xml"} <= codes


def test_mutations_of_the_tree() -> None:
    rng = random.Random(15)
    for _ in range(800):
        outcome(as_json(shaken(SEED, rng, rng.choice([0.002, 0.01, 0.05]))))


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    outcome(raw)
    outcome(b"{" + raw)
    outcome(b'<Bundle xmlns="http://hl7.org/fhir">' + raw)


LARGE = {
    "values": b'{"resourceType":"Bundle","type":"document","a":[' + b"1," * 4_000_000 + b"1]}",
    "names": b'{"resourceType":"Bundle",' + b",".join(b'"%d":1' % n for n in range(500_000)) + b"}",
    "elements": b'<Bundle xmlns="http://hl7.org/fhir">' + b"<id/>" * 1_000_000 + b"</Bundle>",
    "attributes": b'<Bundle xmlns="http://hl7.org/fhir" ' + b" ".join(b'a%d=""' % n for n in range(200_000)) + b"/>",
    "open tags": b'<Bundle xmlns="http://hl7.org/fhir">' + b"<entry>" * 2_000_000,
    "narrative": as_json(document(section=[{"text": {"div": "<" * 3_000_000}}])),
    "medicines": as_json(document([medicine("x", "y")] * 5_000)),
    "sections": as_json(document(section=[{"title": "t", "text": {"div": "<div>x</div>"}}] * 20_000)),
}


@pytest.mark.parametrize("name", LARGE)
def test_large_input_takes_bounded_time(name: str) -> None:
    began = time.process_time()
    outcome(LARGE[name])
    assert time.process_time() - began < 15
