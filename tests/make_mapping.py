"""`python -m tests.make_mapping` writes docs/mapping-hl7v2.md (triggers and code tables from the code, rows from what the corpus shows) and
docs/mapping-documents.md (the rows of the other formats).

A row stands there because a case of tests/corpus goes through it, which is its test; the test of the page fails for a path of the code
that no case reaches.
"""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

from adapters.hl7v2.events import EVENTS, NOT_USED

ROOT = Path(__file__).parents[1]
PAGE, OTHERS = ROOT / "docs" / "mapping-hl7v2.md", ROOT / "docs" / "mapping-documents.md"
FORMATS = {
    "cda": "CDA",
    "fhir": "FHIR (R4, STU3)",
    "kettering": "Kettering XML",
    "tabular": "Medicines table",
    "pdf": "A file with its JSON part",
}
HEAD = """# HL7 v2: every mapping row

Made from the code by `python -m tests.make_mapping`; a test holds it current. The functions in `adapters/hl7v2/` name their row of the
HL7 v2-to-FHIR guide, or say that it is our decision. What is not listed is not carried, and each message's report says so value by value.
`\"\"` deletes; a note (NTE) belongs to the segment before it; Z-segments are kept as not interpreted; a batch holds one message.
"""


OTHERS_HEAD = """# Documents: every mapping row of CDA, FHIR, Kettering XML, the medicines table and files

Made by `python -m tests.make_mapping` from what the cases of tests/corpus show; a test holds it current. Positions leave out repetitions.
What is not listed is not carried, stands in narrative or is withheld, and each document's report says so value by value.
"""


def rows(kind: str = "hl7v2") -> dict[tuple[str, str], str]:
    """(source position without repetitions, path) → the first corpus case that shows it."""
    found: dict[tuple[str, str], str] = {}
    for case in sorted((ROOT / "tests" / "corpus").glob(f"{kind}-*/expected.json")):
        facts = json.loads(case.read_text("utf-8"))
        told = [*facts.get("carried", {}).items(), *((at, f"withheld: {rule}") for at, rule in facts.get("withheld", {}).items())]
        for position, path in told:
            found.setdefault((re.sub(r"\[\d+\]", "", position), path), case.parent.name.removeprefix(f"{kind}-"))
    return found


def _order(row: tuple[tuple[str, str], str]) -> tuple[object, ...]:
    position, path = row[0]
    name, _, rest = position.partition("-")
    return name, [int(part) for part in rest.split(".")], path


def lines() -> Iterator[str]:
    yield HEAD
    yield "## Triggers\n"
    yield "| trigger | kind | contributes | Encounter.status |\n|---|---|---|---|"
    for event, use in EVENTS.items():
        yield f"| `{event}` | {use.kind} | {use.contributes} | {use.status or '–'} |"
    for event, reason in NOT_USED.items():
        yield f"| `{event}` | not used | {reason} | – |"
    yield "| any other | not used | unsupported event | – |"
    yield "\n## Rows\n\n| from | to | shown by |\n|---|---|---|"
    for (position, path), case in sorted(rows().items(), key=_order):
        yield f"| {position} | {path} | {case} |"
    yield "\n## Code tables\n\n`fhir_profiles/maps`; data, with their source.\n\n| table | codes | source |\n|---|---|---|"
    maps = files("fhir_profiles").joinpath("maps")
    for name, table in json.loads(maps.joinpath("hl7v2.json").read_text("utf-8"))["tables"].items():
        yield f"| {name} | {len(table['map'])} | {table['source'].replace('|', ',')} |"
    for name, countries in json.loads(maps.joinpath("uk-core-codes.json").read_text("utf-8"))["tables"].items():
        for country, table in countries.items():
            yield f"| {name}, {country} | {len(table['codes'])} | {table['system']} {table['version']} |"


def other_lines() -> Iterator[str]:
    yield OTHERS_HEAD
    for kind, title in FORMATS.items():
        yield f"## {title}\n\n| from | to | shown by |\n|---|---|---|"
        for (position, path), case in sorted(rows(kind).items()):
            yield f"| {position} | {path} | {case} |"
        yield ""


def page() -> str:
    return "\n".join(lines()) + "\n"


def other_page() -> str:
    return "\n".join(other_lines())


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    OTHERS.write_text(other_page(), "utf-8")
