"""What we promise of our own Bundle beyond R4 and UK Core, which the Checker holds it to, before it is sealed (standards.md 3).

All issues at once. A failed structured version is held and the letter goes alone, so a rule here is about the document's truth and
shape, never about what the hospital left out (that is the gate's). No text holds patient data: an issue says where, not what.
"""

from collections.abc import Iterator, Mapping

from lxml import etree

from exchange.check.issue import Issue
from exchange.fhir import codes
from exchange.fhir.narrative import TAGS, visible
from exchange.fhir.r4 import xml
from exchange.fhir.shape import concept_text, is_nhs_number, part, parts, text

Found = Mapping[str, object]
NEEDED = ("status", "type", "subject", "date", "author", "title", "custodian", "section")
ALLOWED = {f"{{{xml.XHTML}}}{tag}" for tag in TAGS}
SECTION_OF = {
    "AllergyIntolerance": "allergies-and-adverse-reaction",
    "MedicationStatement": "medications-and-medical-devices",
    "Condition": "diagnoses",
    "Procedure": "procedures",
    "DocumentReference": "documents-including-correspondence-audio-and-images",
}


def check_document(bundle: Found, expected: Mapping[str, int] | None = None) -> list[Issue]:
    """Every issue of one document Bundle, in document order within each rule; an empty list means that it may leave.
    `expected`: how many of each resource type went in (`Content.counts()`), so that nothing is lost on the way."""
    resources = [part(entry, "resource") for entry in parts(bundle, "entry")]
    urls = [text(entry, "fullUrl") for entry in parts(bundle, "entry")]
    composition = resources[0] if resources else {}
    return [
        *_head(bundle, composition),
        *_references(urls, resources),
        *_narratives(composition, resources),
        *_stand(urls, resources, composition),
        *_lost(resources, expected or {}),
        *_identity(resources),
    ]


def _error(code: str, expression: str, words: str, rule: str) -> Issue:
    return Issue("error", code, expression, words, rule)


def _head(bundle: Found, composition: Found) -> Iterator[Issue]:
    if text(bundle, "resourceType") != "Bundle" or text(bundle, "type") != "document":
        yield _error("value", "Bundle.type", "This is not a Bundle of type document.", "doc-type")
    for name in NEEDED if text(composition, "resourceType") == "Composition" else ():
        if not composition.get(name):
            yield _error("required", f"Bundle.entry[0].resource.{name}", "A Composition needs this element.", "doc-composition")


def _references(urls: list[str], resources: list[Found]) -> Iterator[Issue]:
    """Each fullUrl is urn:uuid: + id, each reference one of them, and each entry is reached from the Composition (R4 documents.html)."""
    known = {url: at for at, url in enumerate(urls)}
    targets: list[list[int]] = []
    for at, (url, resource) in enumerate(zip(urls, resources, strict=True)):
        if url != f"urn:uuid:{text(resource, 'id')}":
            words = "The fullUrl must be urn:uuid: and the id of the resource."
            yield _error("value", f"Bundle.entry[{at}].fullUrl", words, "doc-full-url")
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


def _narratives(composition: Found, resources: list[Found]) -> Iterator[Issue]:
    """Every resource and every section has text, in our own few tags: nothing that can act, not even a link."""
    for at, resource in enumerate(resources):
        yield from _narrative(text(resource, "text", "div"), f"Bundle.entry[{at}].resource.text")
    for at, section in enumerate(parts(composition, "section")):
        where = f"Bundle.entry[0].resource.section[{at}]"
        yield from _narrative(text(section, "text", "div"), f"{where}.text")
        if not parts(section, "code", "coding") or not text(section, "title"):
            yield _error("required", where, "A section needs a title and a code.", "doc-section")


def _narrative(div: str, where: str) -> Iterator[Issue]:
    root = parse_xhtml(div)
    if not div:
        yield _error("required", where, "There is no narrative.", "dom-6")
    elif root is None:
        yield _error("structure", f"{where}.div", "The narrative is not well-formed XHTML.", "txt-1")
    elif any(node.tag not in ALLOWED or node.attrib for node in root.iter()):
        yield _error("structure", f"{where}.div", "The narrative has a tag or attribute that is not allowed.", "txt-1")


def parse_xhtml(div: str) -> etree._Element | None:
    """Narrative without declarations, comments and instructions; None when it has one, or is not well-formed."""
    if "<!" in div or "<?" in div:
        return None
    try:
        return xml.parse(div.encode("utf-8", "surrogatepass"))
    except xml.XmlRefused:
        return None


def _stand(urls: list[str], resources: list[Found], composition: Found) -> Iterator[Issue]:
    """Each medicine, allergy, diagnosis, procedure and letter stands once in its section, as an entry or in a List there, and by name in
    its text."""
    by_url = dict(zip(urls, resources, strict=True))
    listed: dict[str, list[str]] = {}
    shown: dict[str, str] = {}
    for section in parts(composition, "section"):
        code = next((text(c, "code") for c in parts(section, "code", "coding") if text(c, "system") == codes.HEADINGS), "")
        entries = [text(entry, "reference") for entry in parts(section, "entry")]
        root = parse_xhtml(text(section, "text", "div"))
        listed[code] = [*entries, *(text(item, "item", "reference") for entry in entries for item in parts(by_url.get(entry), "entry"))]
        shown[code] = "" if root is None else _squeezed("".join(map(str, root.itertext())))
    for at, (url, resource) in enumerate(zip(urls, resources, strict=True)):
        kind, where = text(resource, "resourceType"), f"Bundle.entry[{at}].resource"
        if kind == "List" and bool(resource.get("entry")) == bool(resource.get("emptyReason")):
            yield _error("invariant", where, "A List has entries or says why it is empty, never both.", "lst-1")
        if kind in SECTION_OF:
            name = _name(resource)
            if listed.get(SECTION_OF[kind], []).count(url) != 1:
                yield _error("incomplete", where, "This must stand once in a List or as an entry of its section.", "doc-count")
            if not name or _squeezed(visible(name)) not in shown.get(SECTION_OF[kind], ""):
                yield _error("incomplete", where, "The section's text does not name this.", "doc-named")


def _name(resource: Found) -> str:
    """What the section's text has to name: the drug, the condition or agent, or the letter's title."""
    titles = (text(content, "attachment", "title") for content in parts(resource, "content"))
    return concept_text(resource.get("medicationCodeableConcept") or resource.get("code")) or next(titles, "")


def _squeezed(words: str) -> str:
    return "".join(words.split())


def _lost(resources: list[Found], expected: Mapping[str, int]) -> Iterator[Issue]:
    kinds = [text(resource, "resourceType") for resource in resources]
    for kind, count in expected.items():
        if kinds.count(kind) != count:
            where = f"Bundle.entry.resource.ofType({kind})"
            yield _error("incomplete", where, f"{count} went in and {kinds.count(kind)} stand here.", "doc-content")


def _identity(resources: list[Found]) -> Iterator[Issue]:
    """One Patient; the NHS number, where there is one, with its check digit."""
    patients = [(at, resource) for at, resource in enumerate(resources) if text(resource, "resourceType") == "Patient"]
    if len(patients) != 1:
        yield _error("invariant", "Bundle.entry", "A document is about one person.", "doc-one-patient")
    for at, patient in patients:
        for number, identifier in enumerate(parts(patient, "identifier")):
            if text(identifier, "system") == codes.NHS_NUMBER and not is_nhs_number(text(identifier, "value")):
                where = f"Bundle.entry[{at}].resource.identifier[{number}].value"
                yield _error("value", where, "This is not a possible NHS number.", "doc-nhs-number")
