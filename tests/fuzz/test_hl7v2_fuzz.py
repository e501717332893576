"""Any bytes give a Draft or Unreadable, in bounded time. Seeds: the corpus and its mutations; every crash found becomes a corpus case."""

import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2 import read, sniff
from adapters.hl7v2.reader import MAX_VALUES
from exchange.fhir.draft import Draft, ReadingProfile, Unreadable

SEEDS = [path.read_bytes() for path in sorted(Path(__file__).parents[1].glob("corpus/hl7v2-*/input.hl7"))]
PROFILES = [
    ReadingProfile(),
    ReadingProfile(charset="8859/1", pv1_36="", pv1_37="destination or home code", country="Scotland", letter_types=("DS",)),
]
SPICE = [
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b'""',
    b"\\X",
    b"\\X0\\",
    b"\\XFF\\",
    b"\\X00\\",
    b"\\.br\\",
    b"\\.sp999\\",
    b"\r",
    b"\n",
    b"\x0b",
    b"\x1c\r",
    b"\x00",
    b"\xff",
    b"MSH|^~\\&|",
    b"PID|1||",
    b"OBX|1|ED|||^AP^PDF^Base64^!!",
    b"OBX|1|TX|||",
    b"99999999999999",
    b"+9999",
    b"2026023023",
    b"\xc3\xa9",
    b"#",
]


def outcome(raw: bytes, profile: ReadingProfile = PROFILES[0]) -> Draft | str:
    """The draft, or the code of Unreadable. Anything else that is raised fails the test."""
    sniff(raw)
    try:
        return read(raw, profile)
    except Unreadable as problem:
        return problem.code


def mutated(seed: bytes, rng: random.Random) -> bytes:
    data = bytearray(seed)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data) + 1)
        match rng.randrange(5):
            case 0:
                data[at:at] = rng.choice(SPICE)
            case 1:
                del data[at : at + rng.choice([1, 3, 40])]
            case 2 if at < len(data):
                data[at] = rng.randrange(256)
            case 3:
                piece = data[at : at + rng.choice([5, 50, 300])]
                where = rng.randrange(len(data) + 1)
                data[where:where] = piece
            case _:
                data = data[:at] if rng.random() < 0.2 else data
    return bytes(data)


def test_mutations_of_the_corpus() -> None:
    rng = random.Random(8)
    assert SEEDS
    codes = set()
    for _ in range(3000):
        result = outcome(mutated(rng.choice(SEEDS), rng), rng.choice(PROFILES))
        codes.add(result if isinstance(result, str) else "draft")
    assert {"draft", "hl7_segment", "control_character", "character_set"} <= codes


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(raw: bytes) -> None:
    outcome(raw)
    outcome(b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.4\rPID|" + raw)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(SPICE) | st.binary(max_size=5), max_size=40).map(b"".join))
def test_delimiters_and_escapes_in_any_order(raw: bytes) -> None:
    outcome(b"MSH|^~\\&|A|B|C|D|2026||MDM^T02|1|P|2.4\rPID|1||9990000018^^^NHS||" + raw + b"\rTXA|" + raw + b"\rOBX|1|TX|||" + raw)


HEADER = b"MSH|^~\\&|A|B|C|D|2026||MDM^T02|1|P|2.4\rPID|1||9990000018^^^NHS\rTXA|1|DS|||||||||||||||AU\r"
LARGE = {
    "separators": HEADER + b"OBX|1|TX|||" + b"|" * 4_000_000,
    "repetitions": HEADER + b"OBX|1|TX|||" + b"~x" * 1_000_000,
    "segments": HEADER + b"OBX|1|TX|||x\r" * 300_000,
    "escapes": HEADER + b"OBX|1|TX|||" + b"\\T\\" * 1_000_000,
    "open escapes": HEADER + b"OBX|1|TX|||" + b"\\" * 3_000_000,
    "hexadecimal": HEADER + b"OBX|1|TX|||\\X" + b"41" * 1_500_000,
    "spaces": HEADER + b"OBX|1|TX|||" + b"\\.sp999\\" * 30_000,
    "short segments": HEADER + b"OBX\r" * 4_000_000,
    "line feeds": HEADER + b"\n" * 4_000_000,
    "base64": HEADER + b"OBX|1|ED|||^AP^PDF^Base64^" + b"QUJD" * 4_000_000,
    "no separators": b"MSH" + b"x" * 5_000_000,
}


@pytest.mark.parametrize("name", LARGE)
def test_large_input_takes_bounded_time(name: str) -> None:
    began = time.process_time()
    outcome(LARGE[name])
    assert time.process_time() - began < 8


def test_too_many_values_are_refused_by_name() -> None:
    assert outcome(HEADER + b"ZZZ" + b"|1" * (MAX_VALUES + 1)) == "too_many_values"
