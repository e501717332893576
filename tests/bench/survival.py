"""`python -m tests.bench.survival [FOLDER…]`: what becomes of each value of a source, per format, beside the speed of conversion.

The values are found by a walk of the bytes that shares no code with the adapters: lxml for XML, `json` for JSON, splitting for HL7 v2 and
CSV. "accounted": stands in the conversion report, as often as in the source. "in document": stands somewhere in the built document, in any
shape (loose: a code that became another code is not found). "at its place": a clinical value (CLINICAL) stands in the resource that was
read, or in the built document, at the path that the report names. Files that are refused are counted by their reason.

`--misses` lists what is not at its place. Nothing is asserted here.

The peers that pip can install (PEERS) are measured over the same files, each in an environment of its own under the cache folder; one that
cannot be installed is named.
"""

import csv
import html
import io
import json
import os
import re
import resource
import subprocess
import sys
import time
import venv
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lxml import etree

from exchange.cli.conversion import convert_bytes
from exchange.directory.profiles import SenderProfile
from exchange.fhir.draft import Item, Outcome, Unreadable
from exchange.fhir.json import dump
from exchange.wiring import AdapterReaders

ROOT = Path(__file__).parents[2]
SOURCES = (ROOT / "tests" / "corpus", ROOT.parent / "shared" / "samples")
_LEAST_SECONDS = 0.3
# Name, version, the formats that it reads, and the Python that makes one source text a document.
PEERS = (
    ("ccda-to-fhir", "0.3", ("CDA",), "from ccda_to_fhir import convert_document as convert"),
    ("brightohir", "2.1.2", ("HL7 v2",), "from brightohir import v2_to_r5 as convert"),
)
# Who the person is, where they were, what they have and take: by position, repetitions left out.
CLINICAL = {
    "HL7 v2": r"PID-(3\.1|5\.1\.1|5\.[12]|7|11\.(1|1\.1|3|5)|13\.1)|PV1-(3\.1|7\.2|19|44|45)|AL1-3\.2|AL1-5|IAM-3\.2"
    r"|DG1-(3\.2|5)|PR1-(3\.2|5)|RXO-(1\.2|2|4|7\.2)|RXE-(2\.2|3|5|7\.2)|RXD-(2\.2|4)|RXA-(3|5\.2|6)|RXR-1\.2|TQ1-3|OBX-[567]|TXA-12|NK1-2\.[12]",
    "CDA": r".*/(patientRole/id/@extension|patient/name/(given|family)/text\(\)|patientRole/addr/\w+/text\(\)|birthTime/@value"
    r"|section/text/.*text\(\)|manufacturedMaterial/(name/text\(\)|code/@displayName)|doseQuantity/@(value|unit)|playingEntity/code/@displayName"
    r"|entry/procedure/code/@displayName|templateId.*/value/@displayName)",
    "FHIR": r".*\.(birthDate|name\.family|resource\.code\.text|medicationCodeableConcept\..*(display|text)|dosage\.text|reasonCode.*text"
    r"|statusReason.*text|doseQuantity\.(value|unit)|section\.text\.div)",
    "Kettering": r".*/(Id/IdValue|FamilyName|GivenName|UnstructAddressLine|PostCode|BirthDate|EventDate|EventDateEnd|ReportID)",
    "table": r"row\.(nhs_number|birth_date|visit_number|medicine|code|directions|reason|was)",
}
# The rest is withheld or refused by a named rule: it has no place to be found at.
_PLACED = (Outcome.MAPPED, Outcome.NARRATIVE, Outcome.ATTACHMENT)
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


def places(document: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(path without indices, value) of each value; a resource begins its path anew."""
    if isinstance(document, dict):
        here = str(document["resourceType"]) if "resourceType" in document else path
        for name, value in document.items():
            yield from places(value, f"{here}.{name}")
    elif isinstance(document, list):
        for value in document:
            yield from places(value, path)
        if all(isinstance(value, str) for value in document):
            yield path, " ".join(document)  # given names
    else:
        yield path, str(document)


def bare(value: str) -> str:
    """Letters and figures alone: a date, a number or a name however it is punctuated."""
    return re.sub(r"[\W_]", "", value).casefold()


def at_its_place(item: Item, found: list[tuple[str, str]], narrative: str) -> bool:
    """Whether the document has the value where the report says; a time may have got its zone, a number lost its scheme."""
    wanted = bare(words_of(item.value.removeprefix("tel:").removeprefix("mailto:")))
    if item.outcome is not Outcome.MAPPED:
        return item.outcome is Outcome.ATTACHMENT or (item.outcome is Outcome.NARRATIVE and wanted in narrative)
    day = wanted[:8] if wanted[:8].isdigit() else wanted
    return any(path.startswith(item.path) and (wanted in value or value.startswith(day)) for path, value in found)


def peer(name: str, version: str, code: str, paths: list[Path]) -> dict[str, tuple[str, float]]:
    """What a peer makes of each file, as text, and its CPU seconds; a refused file has no text. Raises when there is no peer."""
    home = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wardpost-peers" / f"{name}-{version}"
    python = home / "bin" / "python"
    if not (home / "made").exists():
        venv.create(home, with_pip=True, clear=True)
        subprocess.run(
            [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", f"{name}=={version}"], check=True, capture_output=True
        )
        (home / "made").touch()
    made = subprocess.run(
        [python, Path(__file__).with_name("peer_convert.py"), code, str(_LEAST_SECONDS)],
        input="\n".join(map(str, paths)), capture_output=True, text=True, check=True,
    )  # fmt: skip
    return {path: (text, seconds) for path, text, seconds in map(json.loads, made.stdout.splitlines())}


def main(arguments: Sequence[str] = ()) -> None:
    figures: dict[str, Counter[str]] = defaultdict(Counter)
    seconds: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    read: dict[str, list[tuple[Path, Counter[str]]]] = defaultdict(list)
    for path in (
        path
        for folder in map(Path, [name for name in arguments if name != "--misses"] or SOURCES)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ):
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
        draft = AdapterReaders().read(raw, SenderProfile().reading)
        read_as = [{**draft.patient, "resourceType": "Patient"}, {**draft.encounter, "resourceType": "Encounter"}]
        read_as += [entry.resource for entry in draft.entries]  # an order alone is no row of a document yet
        where = [(at, bare(words_of(value))) for at, value in places([document, read_as])]
        narrative = "".join(value for at, value in where if at.endswith(".div"))
        clinical = [
            item
            for item in items
            if re.fullmatch(CLINICAL[name.split()[0] if name.startswith("FHIR") else name], re.sub(r"\[\d+\]", "", item.position))
        ]
        clinical = [item for item in clinical if item.outcome in _PLACED or item.reason.startswith("has no place")]
        row["clinical"] += len(clinical)
        misses = [item for item in clinical if not at_its_place(item, where, narrative)]
        row["placed"] += len(clinical) - len(misses)
        if "--misses" in arguments:
            print(
                *(f"{path.name} {item.position} {item.outcome} {item.path or item.reason}: {item.value[:60]}" for item in misses), sep="\n"
            )
        read[name].append((path, wanted))
        row["shown"] += sum(count for value, count in wanted.items() if value in shown)
        began, times = time.process_time(), 0
        while time.process_time() - began < _LEAST_SECONDS:
            convert_bytes(raw, SenderProfile())
            times += 1
        seconds[name] += (time.process_time() - began) / times
    print(f"{'format':12}{'files':>7}{'values':>9}{'accounted':>11}{'at its place':>14}{'in document':>13}{'files/CPU-s':>13}")
    for name, row in sorted(figures.items()):
        shares = [row["accounted"] / max(row["values"], 1), row["placed"] / max(row["clinical"], 1), row["shown"] / max(row["values"], 1)]
        told = "".join(f"{100 * share:{width}.1f} %" for share, width in zip(shares, (9, 12, 11), strict=True))
        print(f"{name:12}{row['files']:7}{row['values']:9}{told}{row['files'] / seconds[name]:13.0f}")
    print(f"resident memory of all of it: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    for reason, count in sorted(refused.items()):
        print(f"refused {count:4}  {reason}")
    for name, version, formats, code in PEERS:
        for kind in formats:
            print_peer(f"{name} {version}", kind, read[kind], lambda paths, said=(name, version, code): peer(*said, paths))


def print_peer(
    title: str, kind: str, files: list[tuple[Path, Counter[str]]], convert: Callable[[list[Path]], dict[str, tuple[str, float]]]
) -> None:
    """The looser measure, over the files that we read, too: a file that the peer refuses loses its values."""
    try:
        made = convert([path for path, _ in files])
    except (OSError, subprocess.CalledProcessError) as problem:
        print(f"{title}: not measured ({type(problem).__name__}: it could not be installed or run)")
        return
    total = sum(wanted.total() for _, wanted in files)
    shown = sum(count for path, wanted in files for value, count in wanted.items() if value in made[str(path)][0])
    spent = [seconds for text, seconds in made.values() if text]
    print(
        f"{title}, {kind}: {100 * shown / max(total, 1):.1f} % of the values anywhere; {len(files) - len(spent)} of {len(files)} files"
        f" refused; {len(spent) / max(sum(spent), 1e-9):.0f} files/CPU-s"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
