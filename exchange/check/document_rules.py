"""What we promise of our own Bundle beyond R4, UK Core and the profile `DOCUMENT`: what no profile can say (standards.md 3).

Before a document is sealed it is held to all of them. A failed structured version is held and the letter goes alone, so a rule here is
about the document's truth and shape, never about what the hospital left out (that is the gate's). No text holds patient data: an issue
says where, not what.
"""

from collections.abc import Iterator, Mapping

from lxml import etree

from exchange.check.issue import Issue
from exchange.fhir import codes
from exchange.fhir.narrative import TAGS, visible
from exchange.fhir.r4 import xml
from exchange.fhir.shape import concept_text, part, parts, text

Found = Mapping[str, object]
DOCUMENT = "https://fhir.wardpost.example/StructureDefinition/document"
# What the standard only advises, and we promise.
PROMISED = {"control-character", "document-backwards", "dom-6", "reference-lost"}
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
    return [*_narratives(composition, resources), *_stand(urls, resources, composition), *_lost(resources, expected or {})]


def _error(code: str, expression: str, words: str, rule: str) -> Issue:
    return Issue("error", code, expression, words, rule)


def _narratives(composition: Found, resources: list[Found]) -> Iterator[Issue]:
    """Narrative is in our own few tags: nothing that can act, not even a link."""
    holders = [(f"Bundle.entry[{at}].resource", resource) for at, resource in enumerate(resources)]
    holders += [(f"Bundle.entry[0].resource.section[{at}]", section) for at, section in enumerate(parts(composition, "section"))]
    for where, holder in holders:
        if div := text(holder, "text", "div"):
            root = parse_xhtml(div)
            if root is None or any(node.tag not in ALLOWED or node.attrib for node in root.iter()):
                yield _error("structure", f"{where}.text.div", "The narrative has a tag or attribute that is not ours.", "doc-narrative")


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
