"""`python -m tests.bench.survival [FOLDER…]`: what becomes of each value of a source, per format, beside the speed of conversion.

The values are found by a walk of the bytes that shares no code with the adapters: lxml for XML, `json` for JSON, splitting for HL7 v2 and
CSV. "accounted": stands in the conversion report, as often as in the source. "in document": stands somewhere in the built document, in any
shape (loose: a code that became another code is not found). Files that are refused are counted by their reason. Nothing is asserted here.
"""

import csv
import html
import io
import json
import re
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

from lxml import etree

from exchange.cli.conversion import convert_bytes
from exchange.directory.profiles import SenderProfile
from exchange.fhir.draft import Outcome, Unreadable
from exchange.fhir.json import dump

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "tests" / "corpus", ROOT.parent / "shared" / "samples")
_LEAST_SECONDS = 0.3
_XHTML = "{http://www.w3.org/1999/xhtml}"
# What travels byte for byte: the report names it once as an attachment and does not repeat it.
_PAYLOAD = re.compile(r"[A-Za-z0-9+/=\s]{12,}|<.*|\{\\rtf.*|.*\n.*", re.S)


def of_hl7v2(raw: bytes) -> Iterator[str]:
    """Each non-empty sub-component, its escaped delimiters put back."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    start = text.find("MSH")
    bar, (hat, tilde, _, sub) = text[start + 3], text[start + 4 : start + 8]
    plain = {"F": bar, "S": hat, "T": sub, "R": tilde, "E": "\\"}
    for line in text[start:].replace("\r\n", "\r").replace("\n", "\r").split("\r"):
        for number, field in enumerate(line.split(bar)[1:], 1):
            if line.startswith(("MSH", "FHS", "BHS")) and number == 1:
                continue
            cells = [value for cell in field.split(tilde) for part in cell.split(hat) for value in part.split(sub)]
            yield from (re.sub(r"\\([FSTRE])\\", lambda found: plain[found[1]], value) for value in cells)


def of_xml(raw: bytes) -> Iterator[str]:
    tree = etree.fromstring(raw, etree.XMLParser(resolve_entities=False, huge_tree=True))
    for narrative in [element for element in tree.iter(f"{_XHTML}div") if not element.getparent().tag.startswith(_XHTML)]:
        yield "<div>" + html.escape("".join(narrative.itertext()))  # one value, as the standard has it
        narrative.clear(keep_tail=True)
    for element in tree.iter():
        yield from map(str, element.attrib.values())
        yield from ((element.text if isinstance(element.tag, str) else "") or "", element.tail or "")


def of_json(raw: bytes) -> Iterator[str]:
    def leaves(value: object) -> Iterator[str]:
        if isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from leaves(each)
        elif value is not None:
            yield str(value).lower() if isinstance(value, bool) else str(value)

    return leaves(json.loads(raw, parse_float=str, parse_int=str))


def of_table(raw: bytes) -> Iterator[str]:
    yield from (cell for row in list(csv.reader(io.StringIO(raw.decode("utf-8"))))[1:] for cell in row)


def words_of(value: str) -> str:
    """The value; of a narrative its words, however it is marked up."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", "", value)).split()) if value.startswith("<div") else value.strip()


def walk_of(raw: bytes) -> tuple[str, Callable[[bytes], Iterator[str]]] | None:
    """The format as its bytes look, and its walk."""
    head = raw[:4000].lstrip(b"\xef\xbb\xbf\x0b \r\n\t")
    if head.startswith((b"MSH", b"FHS", b"BHS")):
        return "HL7 v2", of_hl7v2
    if head.startswith(b"{"):
        return "FHIR JSON", of_json
    if head.startswith(b"<"):
        kinds = ((b"ReportMsg", "Kettering"), (b"ClinicalDocument", "CDA"), (b"http://hl7.org/fhir", "FHIR XML"))
        return next(((name, of_xml) for mark, name in kinds if mark in raw), None)
    return ("table", of_table) if b"medicine" in head.split(b"\n")[0].lower() else None


def main() -> None:
    figures: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for path in (path for folder in map(Path, sys.argv[1:] or SOURCES) for path in sorted(folder.rglob("*")) if path.is_file()):
        raw = path.read_bytes()
        found = walk_of(raw) if path.name not in ("expected.json", "NOTE") else None
        if found is None:
            continue
        name, walk = found
        try:
            document, items = convert_bytes(raw, SenderProfile())
        except Unreadable as problem:
            refused[f"{name}: {problem.code}"] += 1
            continue
        wanted = Counter(words_of(value) for value in walk(raw) if value.strip())
        told = Counter(words_of(item.value) for item in items)
        payloads = sum(bool(_PAYLOAD.fullmatch(value)) for value in wanted - told)
        carried = sum(item.outcome is Outcome.ATTACHMENT for item in items)
        text = dump(document).decode()
        shown = json.dumps(text, ensure_ascii=False) + text
        row = figures[name]
        row["files"] += 1
        row["values"] += wanted.total()
        row["accounted"] += (wanted & told).total() + min(payloads, carried)
        row["shown"] += sum(count for value, count in wanted.items() if value in shown)
        began, times = time.process_time(), 0
        while time.process_time() - began < _LEAST_SECONDS:
            convert_bytes(raw, SenderProfile())
            times += 1
        seconds[name] += (time.process_time() - began) / times
    print(f"{'format':12}{'files':>7}{'values':>9}{'accounted':>11}{'in document':>13}{'files/CPU-s':>13}")
    for name, row in sorted(figures.items()):
        share = (f"{100 * row[part] / max(row['values'], 1):.1f} %" for part in ("accounted", "shown"))
        print(f"{name:12}{row['files']:7}{row['values']:9}{next(share):>11}{next(share):>13}{row['files'] / seconds[name]:13.0f}")
    for reason, count in sorted(refused.items()):
        print(f"refused {count:4}  {reason}")


if __name__ == "__main__":
    main()
