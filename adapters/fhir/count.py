"""How many of each kind the source has, counted from the bytes. Shares no code with the reader, so that each can show the other wrong."""

import json
import re
from collections.abc import Iterator
from html import unescape

from lxml import etree

_KINDS = {"AllergyIntolerance": "allergies", "Condition": "diagnoses", "Procedure": "procedures", "MedicationStatement": "medicines"}
_UNSEEN = ("script", "style", "head", "title")
_TAG = re.compile(r"<[^<>]*>")


def count(raw: bytes) -> dict[str, int]:
    """allergies, diagnoses, procedures, medicines, sections, letters of bytes that could be read as FHIR.

    Sections: those of the Composition whose own narrative has words. Medicines: statements, and the requests that no statement is
    based on. Letters: the document, and each file in it.
    """
    text = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    found = list(_of_xml(text) if text.startswith(b"<") else _of_json(text))
    counts = dict.fromkeys((*_KINDS.values(), "sections"), 0) | {"letters": 1}
    based = {reference.rpartition("/")[2].rpartition(":")[2].lstrip("#").lower() for _, _, references in found for reference in references}
    for kind, names, _ in found:
        if kind == "MedicationRequest" and not names & based:
            counts["medicines"] += 1
        elif kind in _KINDS:
            counts[_KINDS[kind]] += 1
        elif kind in ("file", "section"):
            counts["letters" if kind == "file" else "sections"] += 1
    return counts


def _last(name: object) -> str:
    return str(name or "").rpartition("/")[2].rpartition(":")[2].lower()


def _of_json(raw: bytes) -> Iterator[tuple[str, set[str], list[str]]]:
    todo: list[tuple[object, object]] = [(json.loads(raw), "")]
    while todo:
        node, url = todo.pop()
        if isinstance(node, list):
            todo += [(one, url) for one in node]
        if not isinstance(node, dict):
            continue
        kind = node.get("resourceType")
        if isinstance(kind, str) and url != "-":
            links = [*_listed(node.get("basedOn")), *_listed(node.get("derivedFrom"))] if kind == "MedicationStatement" else []
            yield kind, {_last(node.get("id")), _last(url)} - {""}, [str(one.get("reference")) for one in links if isinstance(one, dict)]
            yield from _sections(node) if kind == "Composition" else ()
        if any(_is_file(node.get(name)) for name in ("data", "content")) and isinstance(node.get("contentType"), str):
            yield "file", set(), []
        todo += [
            (one, node.get("fullUrl") if name == "resource" else "" if name in ("entry", "contained") else "-")
            for name, one in node.items()
        ]


def _sections(node: dict[str, object]) -> Iterator[tuple[str, set[str], list[str]]]:
    for section in _listed(node.get("section")):
        if isinstance(section, dict):
            told = section.get("text")
            if isinstance(told, dict) and _has_words(str(told.get("div") or "")):
                yield "section", set(), []
            yield from _sections(section)


def _has_words(div: str | etree._Element) -> bool:
    """Whether a narrative shows words; bars and colons alone are none: the reader puts them between cells."""
    if isinstance(div, str):
        try:
            return _has_words(etree.fromstring(div.encode(), etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)))
        except (etree.XMLSyntaxError, UnicodeError):
            return bool(re.sub(r"[\s|:]+", "", unescape(_TAG.sub(" ", div))))
    todo, found = [div], ""
    while todo and not found:
        node = todo.pop()
        is_seen = isinstance(node.tag, str) and etree.QName(node).localname.lower() not in _UNSEEN
        texts = [
            node.text if is_seen else "",
            node.get("alt") if str(node.tag).endswith("img") else "",
            node.tail if node is not div else "",
        ]
        found = re.sub(r"[\s|:]+", "", "".join(filter(None, texts)))
        todo += [*node] if is_seen else []
    return bool(found)


def _of_xml(raw: bytes) -> Iterator[tuple[str, set[str], list[str]]]:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True)
    for node in etree.fromstring(raw, parser).iter("{*}*"):
        above = node.getparent()
        if above is not None and etree.QName(above).localname in ("resource", "contained"):
            entry = above.getparent()
            url = entry.find("{*}fullUrl") if entry is not None else None
            names = {_last(one.get("value")) for one in (node.find("{*}id"), url) if one is not None}
            statement = etree.QName(node).localname == "MedicationStatement"
            links = (
                [one for name in ("basedOn", "derivedFrom") for one in node.iterfind(f"{{*}}{name}/{{*}}reference")] if statement else []
            )
            yield etree.QName(node).localname, names, [str(one.get("value")) for one in links]
        if etree.QName(node).localname == "section" and any(etree.QName(one).localname == "Composition" for one in node.iterancestors()):
            div = node.find("{*}text/{*}div")
            if div is not None and _has_words(div):
                yield "section", set(), []
        data = next((one for one in (node.find("{*}data"), node.find("{*}content")) if one is not None), None)
        if data is not None and _is_file(data.get("value")) and node.find("{*}contentType") is not None:
            yield "file", set(), []


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_file(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())
