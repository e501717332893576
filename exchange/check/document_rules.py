"""The document rules: what must hold of our own Bundle before it is sealed (standards.md 3). All issues at once.

A failed structured version is held and the letter goes alone, so a rule here is about the document's truth and shape, never about
what the hospital left out (that is the gate's). No text holds patient data: an issue says where, not what.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from lxml import etree

from exchange.fhir import codes
from exchange.fhir.narrative import TAGS, visible
from exchange.fhir.shape import concept_text, is_nhs_number, is_real_moment, part, parts, text

XHTML = "{http://www.w3.org/1999/xhtml}"
SECTION_OF = {
    "AllergyIntolerance": "allergies-and-adverse-reaction",
    "MedicationStatement": "medications-and-medical-devices",
    "Condition": "diagnoses",
    "Procedure": "procedures",
}
LETTERS = "documents-including-correspondence-audio-and-images"
INSTANTS = frozenset(("timestamp", "lastUpdated", "issued", "recorded"))
MOMENTS = re.compile(r"(^(start|end|date|birthDate|authoredOn|dateAsserted|recordedDate|onset|performed)|Date|DateTime)$")
_DAY = r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?"
_FULL = r"\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d)"
_MOMENT, _INSTANT = re.compile(f"{_DAY}|{_FULL}"), re.compile(_FULL)


class Issue(NamedTuple):
    """One OperationOutcome.issue: `severity` error or warning, `code` an issue type, `expression` a FHIRPath, `rule` HL7's id or ours."""

    severity: str
    code: str
    expression: str
    text: str
    rule: str


def check_document(bundle: Mapping[str, object], expected: Mapping[str, int] | None = None) -> list[Issue]:
    """Every issue of one document Bundle, in document order within each rule; an empty list means that it may leave.
    `expected`: how many of each resource type went in (`Content.counts()`), so that nothing is lost on the way."""
    resources = [part(entry, "resource") for entry in parts(bundle, "entry")]
    urls = [text(entry, "fullUrl") for entry in parts(bundle, "entry")]
    composition = resources[0] if resources else {}
    return [
        *_head(bundle, composition),
        *_places(urls, resources),
        *_references(urls, resources),
        *_narratives(composition, resources),
        *_stand(urls, resources, composition),
        *_lost(resources, expected or {}),
        *_identity(resources),
        *_moments(bundle, "Bundle"),
    ]


def _error(code: str, expression: str, words: str, rule: str) -> Issue:
    return Issue("error", code, expression, words, rule)


def _head(bundle: Mapping[str, object], composition: Mapping[str, object]) -> Iterator[Issue]:
    """bdl-9, bdl-10, bdl-11 and the mandatory elements of Composition."""
    if text(bundle, "resourceType") != "Bundle" or text(bundle, "type") != "document":
        yield _error("value", "Bundle.type", "This is not a Bundle of type document.", "doc-type")
    if not (text(bundle, "identifier", "system") and text(bundle, "identifier", "value")):
        yield _error("invariant", "Bundle.identifier", "A document needs an identifier with system and value.", "bdl-9")
    if not _INSTANT.fullmatch(text(bundle, "timestamp")):
        yield _error("invariant", "Bundle.timestamp", "A document needs the instant at which it was put together.", "bdl-10")
    if text(composition, "resourceType") != "Composition":
        yield _error("invariant", "Bundle.entry[0].resource", "The first entry must be a Composition.", "bdl-11")
        return
    for name in ("status", "type", "subject", "date", "author", "title", "custodian", "section"):
        if not composition.get(name):
            yield _error("required", f"Bundle.entry[0].resource.{name}", "A Composition needs this element.", "doc-composition")


def _places(urls: list[str], resources: list[Mapping[str, object]]) -> Iterator[Issue]:
    """bdl-5, bdl-7, and fullUrl = urn:uuid: + id."""
    for at, (url, resource) in enumerate(zip(urls, resources, strict=True)):
        where = f"Bundle.entry[{at}]"
        if not text(resource, "resourceType"):
            yield _error("invariant", where, "An entry needs a resource.", "bdl-5")
        elif url != f"urn:uuid:{text(resource, 'id')}":
            yield _error("value", f"{where}.fullUrl", "The fullUrl must be urn:uuid: and the id of the resource.", "doc-full-url")
        if urls.index(url) != at:
            yield _error("invariant", f"{where}.fullUrl", "Two entries have the same fullUrl.", "bdl-7")


def _references(urls: list[str], resources: list[Mapping[str, object]]) -> Iterator[Issue]:
    """Each reference is the fullUrl of an entry, and each entry is reached from the Composition (R4 documents.html)."""
    known = {url: at for at, url in enumerate(urls)}
    targets: list[list[int]] = []
    for at, resource in enumerate(resources):
        found = list(_references_in(resource, f"Bundle.entry[{at}].resource"))
        for where, target in found:
            if target not in known:
                yield _error("not-found", where, "This reference points to nothing in the document.", "doc-reference")
        targets.append([known[target] for _, target in found if target in known])
    reached, to_see = {0}, [0] if resources else []
    while to_see:
        fresh = set(targets[to_see.pop()]) - reached
        reached |= fresh
        to_see.extend(fresh)
    for at in sorted(set(range(len(resources))) - reached):
        yield _error("invariant", f"Bundle.entry[{at}]", "Nothing leads from the Composition to this entry.", "doc-reachable")


def _references_in(value: object, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        if isinstance(target := value.get("reference"), str):
            yield where, target
        for name, member in value.items():
            if isinstance(member, Mapping | list):
                yield from _references_in(member, f"{where}.{name}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _references_in(item, f"{where}[{at}]")


def _narratives(composition: Mapping[str, object], resources: list[Mapping[str, object]]) -> Iterator[Issue]:
    """cmp-1, dom-6, txt-1, txt-2: every section and every resource has text that can be read and nothing that can act."""
    for at, resource in enumerate(resources):
        yield from _narrative(text(resource, "text", "div"), f"Bundle.entry[{at}].resource.text")
    for at, section in enumerate(parts(composition, "section")):
        where = f"Bundle.entry[0].resource.section[{at}]"
        yield from _narrative(text(section, "text", "div"), f"{where}.text")
        if not parts(part(section, "code"), "coding") or not text(section, "title"):
            yield _error("required", where, "A section needs a title and a code.", "doc-section")


def _narrative(div: str, where: str) -> Iterator[Issue]:
    if not div:
        yield _error("required", where, "There is no narrative.", "dom-6")
        return
    root = parse_xhtml(div)
    if root is None:
        yield _error("structure", f"{where}.div", "The narrative is not well-formed XHTML.", "txt-1")
        return
    elements = list(root.iter())
    if root.tag != f"{XHTML}div" or any(not _is_allowed(element) for element in elements):
        yield _error("structure", f"{where}.div", "The narrative has a tag or attribute that is not allowed.", "txt-1")
    elif not "".join(root.itertext()).strip():
        yield _error("invariant", f"{where}.div", "The narrative has no words.", "txt-2")


def _is_allowed(element: etree._Element) -> bool:
    return isinstance(element.tag, str) and element.tag.removeprefix(XHTML) in TAGS and not element.attrib


def parse_xhtml(div: str) -> etree._Element | None:
    """The one hardened reader of narrative: no DTD, no entities, no network, no huge trees; None when it is not well-formed."""
    if "<!" in div or "<?" in div:
        return None
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=False)
    try:
        return etree.fromstring(div.encode("utf-8", "surrogatepass"), parser)
    except etree.XMLSyntaxError:
        return None


def _stand(urls: list[str], resources: list[Mapping[str, object]], composition: Mapping[str, object]) -> Iterator[Issue]:
    """Each medicine, allergy, diagnosis and procedure stands in one List of its section and by name in its text; each letter likewise."""
    by_url = dict(zip(urls, resources, strict=True))
    listed: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for section in parts(composition, "section"):
        code = next((text(c, "code") for c in parts(part(section, "code"), "coding") if text(c, "system") == codes.HEADINGS), "")
        entries = [text(entry, "reference") for entry in parts(section, "entry")]
        items = [text(item, "item", "reference") for entry in entries for item in parts(by_url.get(entry), "entry")]
        root = parse_xhtml(text(section, "text", "div"))
        listed[code], words[code] = entries + items, _squeezed("".join(map(str, root.itertext()))) if root is not None else ""
    for at, (url, resource) in enumerate(zip(urls, resources, strict=True)):
        kind = text(resource, "resourceType")
        where = f"Bundle.entry[{at}].resource"
        if kind == "List" and bool(resource.get("entry")) == bool(resource.get("emptyReason")):
            yield _error("invariant", where, "A List has entries or says why it is empty, never both.", "lst-1")
        if kind in SECTION_OF:
            name = concept_text(part(resource, "medicationCodeableConcept" if kind == "MedicationStatement" else "code"))
            yield from _stands_once(url, name, listed.get(SECTION_OF[kind], []), words.get(SECTION_OF[kind], ""), where)
        elif kind == "DocumentReference":
            title = next((text(c, "attachment", "title") for c in parts(resource, "content")), "")
            yield from _stands_once(url, title, listed.get(LETTERS, []), words.get(LETTERS, ""), where)


def _stands_once(url: str, name: str, listed: list[str], words: str, where: str) -> Iterator[Issue]:
    if listed.count(url) != 1:
        yield _error("incomplete", where, "This must stand once in a List or as an entry of its section.", "doc-count")
    if not name or _squeezed(visible(name)) not in words:
        yield _error("incomplete", where, "The section's text does not name this.", "doc-named")


def _lost(resources: list[Mapping[str, object]], expected: Mapping[str, int]) -> Iterator[Issue]:
    kinds = [text(resource, "resourceType") for resource in resources]
    for kind, count in expected.items():
        if kinds.count(kind) != count:
            where = f"Bundle.entry.resource.ofType({kind})"
            yield _error("incomplete", where, f"{count} went in and {kinds.count(kind)} stand here.", "doc-content")


def _squeezed(words: str) -> str:
    return "".join(words.split())


def _identity(resources: list[Mapping[str, object]]) -> Iterator[Issue]:
    """One Patient; the NHS number, where there is one, with its check digit."""
    patients = [(at, resource) for at, resource in enumerate(resources) if text(resource, "resourceType") == "Patient"]
    if len(patients) != 1:
        yield _error("invariant", "Bundle.entry", "A document is about one person.", "doc-one-patient")
    for at, patient in patients:
        for number, identifier in enumerate(parts(patient, "identifier")):
            if text(identifier, "system") == codes.NHS_NUMBER and not is_nhs_number(text(identifier, "value")):
                where = f"Bundle.entry[{at}].resource.identifier[{number}].value"
                yield _error("value", where, "This is not a possible NHS number.", "doc-nhs-number")


def _moments(value: object, where: str) -> Iterator[Issue]:
    """Each date, dateTime and instant has R4's form and is a day that exists."""
    if isinstance(value, Mapping):
        for name, member in value.items():
            if isinstance(member, str):
                shape = _INSTANT if name in INSTANTS else _MOMENT if MOMENTS.search(name) else None
                if shape and not (shape.fullmatch(member) and is_real_moment(member)):
                    yield _error("value", f"{where}.{name}", "This is not a date or time as FHIR R4 writes it.", "doc-date-time")
            else:
                yield from _moments(member, f"{where}.{name}")
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _moments(item, f"{where}[{at}]")
