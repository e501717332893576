"""Any bytes give a Draft or Unreadable, in bounded time. Seeds: corpus, documents from parts, public samples; and mutations of them."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.cda import read, sniff, source_id
from exchange.fhir.draft import Draft, ReadingProfile, Unreadable
from tests import cda_kit as kit

TESTS = Path(__file__).parents[1]
SAMPLES = TESTS.parents[1] / "shared" / "samples"
PLAIN = kit.document(
    kit.medicines(
        kit.drug("A", "1", times=kit.during("2026", "202602") + kit.every("4", "h", "6"), more=kit.directions("#x")), text="<b ID='x'>y</b>"
    ),
    kit.section("48765-2", "Allergies", "none", kit.allergy("B", "2", more=kit.reaction("Rash", "3", "6736007")), kit.allergy("", "")),
    kit.section("11450-4", "Problems", "<table><tr><td>z</td></tr></table>", kit.problem("C", "4")),
    legal=kit.SIGNED,
)
SEEDS = [PLAIN.encode(), kit.distribution_envelope(PLAIN).encode()]
SEEDS += [path.read_bytes() for path in sorted([*TESTS.glob("corpus/cda-*/input.xml"), *SAMPLES.glob("*cda*/*.xml")])]
SPICE = [
    b'nullFlavor="UNK"', b' negationInd="true"', b"<section>", b"</section>", b"<entry/>", b'<reference value="#x"/>', b"&amp;", b"&#0;",
    b"<!--", b"<![CDATA[<ClinicalDocument ]]>", b'<value xsi:type="PQ" value="1e999999" unit="mg"/>', b'value="-"', b'value="99999999"',
    b"\xff", b"\x00", b'<code code="11450-4"/>', b"<effectiveTime><low/></effectiveTime>", b'extension=""', b"<text/>", b"<title/>",
    b"\xef\xbb\xbf", b"<id/>",
]  # fmt: skip


def outcome(raw: bytes) -> Draft | str:
    """The draft, or the code of Unreadable. Anything else that is raised fails the test."""
    sniff(raw)
    source_id(raw)
    try:
        return read(raw, ReadingProfile())
    except Unreadable as problem:
        return problem.code


def mutated(seed: bytes, rng: random.Random) -> bytes:
    """Pieces of elements moved, repeated, taken out or changed, so that much of it stays well-formed."""
    data = seed
    for _ in range(rng.randint(1, 5)):
        tags = (
            [at for at in range(len(data)) if data[at : at + 1] == b"<"]
            if len(data) < 20_000
            else [rng.randrange(len(data)) for _ in range(9)]
        )
        at = rng.choice(tags or [0])
        end = data.find(b">", at) + 1
        match rng.randrange(6):
            case 0:
                data = data[:at] + rng.choice(SPICE) + data[at:]
            case 1 if data[end - 2 : end] == b"/>":
                data = data[:at] + data[end:]
            case 2:
                start = data.find(b'"', at)
                data = data[: start + 1] + rng.choice([b"", b" ", b"x" * 300, b"2026", b"true"]) + data[data.find(b'"', start + 1) :]
            case 3 if data[end - 2 : end] == b"/>":
                data = data[:end] + data[at:end] * rng.randrange(4) + data[end:]
            case 4:
                start = data.find(b' code="', at)
                data = data[:start] + b" nullFlavor" + data[start + 5 :] if start > 0 else data
            case _:
                data = data[:at] if rng.random() < 0.1 else data
    return data


def test_mutations_of_documents() -> None:
    rng = random.Random(8)
    codes = set()
    for _ in range(600):
        result = outcome(mutated(rng.choice(SEEDS), rng))
        codes.add(result if isinstance(result, str) else "draft")
    assert {"draft", "xml_refused"} <= codes


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(SPICE) | st.binary(max_size=5), max_size=10).map(b"".join))
def test_any_bytes_in_a_document(raw: bytes) -> None:
    outcome(raw)
    outcome(kit.document(kit.section("", "x", "WHERE")).encode().replace(b"WHERE", raw))
    outcome(kit.document(kit.section("11450-4", "x", "y", "<WHERE/>")).encode().replace(b"<WHERE/>", raw))


MANY = "".join(kit.problem("Asthma of some kind", "195967001", more='<text><reference value="#x"/></text>') for _ in range(4_000))
LARGE = {
    "references to a long text": kit.document(kit.section("11348-0", "x", f"<paragraph ID='x'>{'word ' * 400_000}</paragraph>", MANY)),
    "nested text": kit.document(kit.section("18776-5", "x", "<content>a" * 200 + "</content>" * 200)),
    "wide table": kit.document(kit.section("18776-5", "x", f"<table><tbody><tr>{'<td>x</td>' * 60_000}</tr></tbody></table>")),
    "long text": kit.document(kit.section("18776-5", "x", "<br/>y " * 40_000)),
    "nested sections": kit.document("<section><title>x</title><component>" * 100 + "</component></section>" * 100),
    "starts of documents": "ClinicalDocument <ClinicalDocument " * 300_000,
    "starts in an envelope": kit.distribution_envelope(f"<![CDATA[{'<ClinicalDocument ' * 300_000}]]>"),
    "brackets": "<" * 5_000_000,
    "name without end": "<ClinicalDocument " + "x" * 5_000_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_input_takes_bounded_time(name: str) -> None:
    began = time.process_time()
    outcome(LARGE[name].encode())
    assert time.process_time() - began < 10
