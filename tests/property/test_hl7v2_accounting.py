"""Every non-empty value of a message stands in the report once. This splitter goes by characters and shares no code with the adapter."""

import hashlib
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2 import read
from adapters.hl7v2.events import EVENTS, NOT_USED
from exchange.fhir.draft import Outcome, ReadingProfile, SourceKind

ESCAPES = {"F": "|", "S": "^", "T": "&", "R": "~", "E": "\\"}


def split_by_hand(text: str) -> Counter[tuple[str, str]]:
    """(position, value as written) of every non-empty piece between delimiters; positions by the rules of the report."""
    found: Counter[tuple[str, str]] = Counter()
    seen: Counter[str] = Counter()
    for line in text.split("\r"):
        if not line:
            continue
        name = line[:3]
        seen[name] += 1
        label = name if seen[name] == 1 else f"{name}[{seen[name]}]"
        field, rest = 0, line
        if name in ("MSH", "FHS", "BHS"):
            found[f"{label}-1", "|"] += 1
            found[f"{label}-2", "^~\\&"] += 1
            field, rest = 2, line[8:]
        places, piece = [1, 1, 1], ""
        fields: dict[int, list[tuple[int, int, int, str]]] = {}
        for character in rest + "|":
            if character not in "|~^&":
                piece += character
                continue
            if field and not (field == 2 and label.startswith(("MSH", "FHS", "BHS"))):
                fields.setdefault(field, []).append((places[0], places[1], places[2], piece))
            piece = ""
            if character == "|":
                field, places = field + 1, [1, 1, 1]
            elif character == "~":
                places = [places[0] + 1, 1, 1]
            elif character == "^":
                places = [places[0], places[1] + 1, 1]
            else:
                places[2] += 1
        for number, pieces in fields.items():
            for repetition, component, sub, value in pieces:
                if not value:
                    continue
                alone = [other for other in pieces if other[0] == repetition]
                has_subs = any(other[1] == component and other[2] > 1 for other in alone)
                has_components = any(other[1] > 1 for other in alone)
                at = f"{label}-{number}" + (f"[{repetition}]" if repetition > 1 else "")
                if has_subs:
                    at += f".{component}.{sub}"
                elif has_components:
                    at += f".{component}"
                found[at, value] += 1
    return found


def unescape(text: str) -> str:
    result, at = "", 0
    while at < len(text):
        if text[at] == "\\" and text[at + 2 : at + 3] == "\\" and text[at + 1] in ESCAPES:
            result, at = result + ESCAPES[text[at + 1]], at + 3
        else:
            result, at = result + text[at], at + 1
    return result


def words_of(value: object) -> str:
    """Every text in these resources, one under the other."""
    if isinstance(value, dict):
        return "\n".join(words_of(member) for member in value.values())
    if isinstance(value, list | tuple):
        return "\n".join(words_of(member) for member in value)
    return str(value)


# What is mapped to one of these is there as it was written; a number may have lost its spaces.
VERBATIM = (
    "family",
    "given",
    "prefix",
    "suffix",
    "line",
    "city",
    "district",
    "state",
    "postalCode",
    "country",
    "text",
    "display",
    "name",
    "description",
)
MORE = ("IAM", "ORC", "OBR", "RXO", "RXE", "RXD", "RXA", "RXR", "TQ1")
WORDS = st.text(alphabet="Test ABé19", min_size=0, max_size=6) | st.sampled_from(
    ['""', "9990000018", "NHS", "20260114", "1", "Y", "M", "L", "A\\T\\E", "a\\F\\b", "H", "SCT", "AU", "DS", "F", "TX", "Ada", "BAD"]
)
COMPONENT = st.lists(WORDS, min_size=1, max_size=3).map("&".join) | WORDS
REPETITION = st.lists(COMPONENT, min_size=1, max_size=9).map("^".join) | WORDS
FIELD = st.lists(REPETITION, min_size=1, max_size=3).map("~".join) | REPETITION | st.just("")
NAMES = st.sampled_from(["PD1", "NK1", "PV1", "PV2", "AL1", "DG1", "PR1", "OBX", "TXA", "ZU1", "EVN", "MRG", "ARV", "NTE", *MORE])
SEGMENT = st.tuples(NAMES, st.lists(FIELD, min_size=1, max_size=45)).map(lambda pair: pair[0] + "|" + "|".join(pair[1]))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*EVENTS, *NOT_USED, "SIU^S12"]), st.lists(FIELD, max_size=40), st.lists(SEGMENT, max_size=8), st.booleans())
def test_every_value_is_accounted_for_once(event: str, pid: list[str], segments: list[str], batch: bool) -> None:
    lines = [f"MSH|^~\\&|EPR|TEST|W|TEST|20260114163000||{event}|C1|P|2.4||||||UNICODE UTF-8", "PID|" + "|".join(pid), *segments]
    lines = ["FHS|^~\\&|EPR", *lines, "FTS|1"] if batch else lines
    text = "\r".join(lines)
    draft = read(text.encode(), ReadingProfile())
    wanted = Counter({(position, unescape(value)): count for (position, value), count in split_by_hand(text).items()})
    got = Counter((item.position, item.value) for item in draft.items)
    digests = {position for position, value in got if value.startswith("sha256:")}
    assert {k: v for k, v in got.items() if k[0] not in digests} == {k: v for k, v in wanted.items() if k[0] not in digests}
    assert {position for position, _ in got} == {position for position, _ in wanted}
    for item in draft.items:
        assert item.outcome is not Outcome.MAPPED or item.path
        assert item.outcome not in (Outcome.NOT_CARRIED, Outcome.WITHHELD) or item.reason
    said = words_of((draft.patient, draft.encounter, [entry.resource for entry in draft.entries]))
    for item in draft.items:
        if item.outcome is Outcome.MAPPED and item.path.endswith(VERBATIM) and not item.path.startswith("DocumentReference"):
            assert item.value.strip() in said, (item.position, item.path)
    if draft.kind is SourceKind.NOT_USED:
        assert {item.outcome for item in draft.items} <= {Outcome.NOT_CARRIED, Outcome.WITHHELD}


def test_a_file_is_reported_by_its_digest() -> None:
    text = (
        "MSH|^~\\&|E|T|W|T|2026||MDM^T02|C1|P|2.4\rPID|1||9990000018^^^NHS\rTXA|1|DS|||||||||||||||AU\rOBX|1|ED|||^AP^PDF^Base64^JVBERg=="
    )
    digest = "sha256:" + hashlib.sha256(b"%PDF").hexdigest()
    assert [
        i.value for i in read(text.encode(), ReadingProfile()).items if i.outcome is Outcome.ATTACHMENT and i.position == "OBX-5.5"
    ] == [digest]
