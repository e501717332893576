"""Bytes to the one ClinicalDocument in them, as light nodes that remember what became of each of their values.

Whoever reads a value says where it goes (`take`, `claim`, `settle`); `account` walks every value once at the end and lists the rest as
not carried. XML is read by the one hardened reader (exchange/fhir/r4/xml.py): no DOCTYPE, entity, network, text above 10 million
characters or nesting above 256. A file above about 7.5 MB inside a document can therefore not be read.
"""

import binascii
import hashlib
import re
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from lxml import etree

from exchange.fhir.draft import Item, Outcome, Unreadable
from exchange.fhir.r4.xml import XmlRefused, parse

MAX_VALUES = 150_000
MAX_ATTRIBUTES = 200  # of one element; lxml looks each one up among all
MAX_NEAR = 20_000  # characters of a text in which the words of an entry are looked for
TEXT = ""
_XSI = "{http://www.w3.org/2001/XMLSchema-instance}"
START = re.compile(rb"<(?:[\w.-]+:)?ClinicalDocument[\s>]")
_STRUCTURE = frozenset((
    "classCode", "moodCode", "typeCode", "determinerCode", "contextConductionInd", "contextControlCode", "inversionInd", "operator", "ID",
    "institutionSpecified", "mediaType", "representation", "xsi:type", "xsi:schemaLocation", "partType", "assigningAuthorityName",
    "listType", "codeSystem", "codeSystemVersion",
))  # fmt: skip
_STRUCTURAL = frozenset(("templateId", "typeId", "contentId", "messageType", "realmCode", "seperatableInd", "languageCode"))


class Claim(NamedTuple):
    """What became of a value: where it went, or the reason why not. `value` replaces the reported text (digests of attachments)."""

    outcome: Outcome
    path: str = ""
    reason: str = ""
    value: str = ""


def _not_carried(reason: str) -> Claim:
    return Claim(Outcome.NOT_CARRIED, "", reason)


TRANSPORT = _not_carried("belongs to the transport")
_REST = _not_carried("has no place of its own: stands in the document that travels as the letter")
_SHAPE = _not_carried("structure of the document")
_LAYOUT = _not_carried("layout of the text")
_ABSENT = _not_carried("says that a value is absent")
_SYSTEM_NAME = _not_carried("name of a code system")
_NARRATIVE = Claim(Outcome.NARRATIVE, "Composition.section.text")
NARRATIVE = _NARRATIVE


class Node:
    """One element without its namespace. `whole` speaks for all values below that nobody claimed; `near` is the text beside an entry."""

    __slots__ = ("attrs", "children", "claims", "name", "near", "position", "tail", "text", "whole")

    def __init__(self, name: str, attrs: dict[str, str], text: str, tail: str, position: str) -> None:
        self.name, self.attrs, self.text, self.tail, self.position = name, attrs, text, tail, position
        self.children: list[Node] = []
        self.claims: dict[str, Claim] = {}
        self.whole: Claim | None = None
        self.near = ""

    def all(self, *names: str) -> "list[Node]":
        """The nodes at the end of a path of names, in order."""
        found = [self]
        for name in names:
            found = [child for node in found for child in node.children if child.name == name]
        return found

    def first(self, *names: str) -> "Node":
        """The first node at the end of a path; an empty one when there is none."""
        node = self
        for name in names:
            node = next((child for child in node.children if child.name == name), NOTHING)
        return node

    def value(self, key: str = "value") -> str:
        """An attribute, or the element's own text (`TEXT`); "" where nullFlavor says that there is none."""
        if "nullFlavor" in self.attrs:
            return ""
        return (self.attrs.get(key, "") if key else " ".join(self.text.split())).strip()

    def take(self, path: str, key: str = "value") -> str:
        """The value, claimed for `path` when there is one."""
        value = self.value(key)
        if value:
            self.claims[key] = Claim(Outcome.MAPPED, path)
        return value

    def claim(self, path: str, *keys: str) -> None:
        """These attributes go to `path`."""
        for key in keys:
            self.claims[key] = Claim(Outcome.MAPPED, path)

    def settle(self, claim: Claim) -> None:
        """One claim for everything here and below that nobody claimed."""
        self.whole = claim

    def descendants(self) -> "Iterator[Node]":
        """Everything below, in the order of the file."""
        stack = self.children[::-1]
        while stack:
            yield (node := stack.pop())
            if node.children:
                stack += node.children[::-1]

    def __bool__(self) -> bool:
        return self is not NOTHING


NOTHING = Node("", {}, "", "", "")


class Source(NamedTuple):
    """What was sent: all of it as a node, the document within, and the document's own bytes, which travel as the letter."""

    root: Node
    document: Node
    content: bytes


def open_source(raw: bytes) -> Source:
    """Unwraps SOAP and the ITK distribution envelope, also around a base64 payload. Raises Unreadable with the reason."""
    element = _parsed(raw)
    found = list(element.iter("{*}ClinicalDocument"))
    content = raw
    if not found:
        content = _payload(element)
        inner = _parsed(content)
        found = [inner] if etree.QName(inner).localname == "ClinicalDocument" else []
        if not found:
            raise Unreadable("cda_no_document", "There is no ClinicalDocument in it, or it is wrapped more than once.")
        document, root = _Builder(found[0]).root, _Builder(element).root
        payload = next(node for node in (root, *root.descendants()) if node.name == "payload" and not node.children)
        payload.claims[TEXT] = attached(content)
        payload.children.append(document)
        return Source(root, document, content)
    if len(found) > 1:
        raise Unreadable("cda_several_documents", "There is more than one ClinicalDocument in one submission.")
    builder = _Builder(element)
    if found[0] is not element:
        content = _own_bytes(raw, element)
    return Source(builder.root, builder.document, content)


def _parsed(raw: bytes) -> etree._Element:
    try:
        return parse(raw)
    except XmlRefused as problem:
        raise Unreadable("xml_refused", str(problem)) from None


def _payload(element: etree._Element) -> bytes:
    """The one base64 payload of a distribution envelope. No archive is opened."""
    texts = ["".join((payload.text or "").split()) for payload in element.iter("{*}payload") if not len(payload)]
    if len(texts) != 1 or not texts[0]:
        raise Unreadable("cda_no_document", "There is no ClinicalDocument in it.")
    try:
        content = binascii.a2b_base64(texts[0], strict_mode=True)
    except ValueError:
        raise Unreadable("attachment_damaged", "The payload is neither XML nor base64.", position="payload") from None
    if content[:2] in (b"\x1f\x8b", b"PK"):
        raise Unreadable("cda_compressed", "The payload is compressed; no archive is opened.", position="payload")
    return content


def _own_bytes(raw: bytes, element: etree._Element) -> bytes:
    """The document cut out of its envelope, when it can stand alone; else all that was sent, so that no byte is made up."""
    encoding = (element.getroottree().docinfo.encoding or "UTF-8").upper()
    start = START.search(raw) if encoding in ("UTF-8", "ASCII", "US-ASCII") else None
    own = raw[start.start() : raw.find(b">", raw.rfind(b"ClinicalDocument")) + 1] if start else b""
    try:
        return own if etree.QName(parse(own)).localname == "ClinicalDocument" else raw
    except XmlRefused:
        return raw


class _Names(dict[object, str]):
    """Names without their namespace, made once each; `xsi:type` keeps its prefix."""

    def __missing__(self, key: object) -> str:
        name = str(key)
        self[key] = found = f"xsi:{name[len(_XSI) :]}" if name.startswith(_XSI) else name.rpartition("}")[2]
        return found


class _Keys(dict[object, str]):
    """The same for attributes: one of another namespace never hides one without."""

    def __missing__(self, key: object) -> str:
        name = str(key)
        local = f"xsi:{name[len(_XSI) :]}" if name.startswith(_XSI) else f"*:{name.rpartition('}')[2]}"
        self[key] = found = local if name.startswith("{") else name
        return found


class _Builder:
    """Elements to nodes. Positions are XPaths of local names; those in the document begin at /ClinicalDocument."""

    def __init__(self, element: etree._Element) -> None:
        self.values = 0
        self.document = NOTHING
        self.names, self.keys = _Names(), _Keys()
        self.root = self.node(element, "/" + self.names[element.tag])

    def node(self, element: etree._Element, position: str) -> Node:
        names, keys = self.names, self.keys
        name, attrs = names[element.tag], {}
        if len(own := element.keys()) > MAX_ATTRIBUTES:
            raise Unreadable("too_many_values", f"An element has more than {MAX_ATTRIBUTES} attributes.", position=position)
        if own:
            attrs = {keys[key]: str(value) for key, value in element.items()}
        made = Node(name, attrs, element.text or "", element.tail or "", position)
        if name == "ClinicalDocument":
            self.document = made
            made.position = position = "/ClinicalDocument"
        self.values += 1 + len(attrs)
        if self.values > MAX_VALUES:
            raise Unreadable("too_many_values", f"The document has more than {MAX_VALUES} values.")
        children = list(element)
        if len(children) == 1:
            made.children = [self.node(children[0], f"{position}/{names[children[0].tag]}")]
        elif children:
            tags = [names[child.tag] for child in children]
            repeated = _repeated(tags)
            seen: dict[str, int] = {}
            for child, tag in zip(children, tags, strict=True):
                at = f"{position}/{tag}"
                if tag in repeated:
                    seen[tag] = number = seen.get(tag, 0) + 1
                    at = f"{at}[{number}]"
                made.children.append(self.node(child, at))
        return made


def _repeated(tags: list[str]) -> set[str]:
    once: set[str] = set()
    return {tag for tag in tags if tag in once or once.add(tag)} if len(set(tags)) < len(tags) else set()  # type: ignore[func-returns-value]  # add gives None: false


def attached(content: bytes) -> Claim:
    """A file travels byte for byte as a letter; it is reported by its digest."""
    path = "DocumentReference.content.attachment"
    return Claim(Outcome.ATTACHMENT, path, value=f"sha256:{hashlib.sha256(content).hexdigest()}")


def account(source: Source, *, unused: str = "") -> tuple[Item, ...]:
    """Every non-empty value of what was sent, once: attributes and texts in the order of the file. `unused`: why none of it is used."""
    items: list[Item] = []
    if unused:
        _account(source.root, _not_carried(unused), "", items)
        return tuple(
            item if item.outcome is Outcome.WITHHELD else msgspec.structs.replace(item, outcome=Outcome.NOT_CARRIED, path="", reason=unused)
            for item in items
        )
    source.root.whole = TRANSPORT
    source.document.whole = _REST
    _account(source.root, _REST, "", items)
    return tuple(items)


def _account(node: Node, whole: Claim, near: str, items: list[Item]) -> None:
    whole, near, claims, position = node.whole or whole, node.near or near, node.claims, node.position
    for key, value in node.attrs.items():
        if value and not value.isspace():
            claim = claims.get(key) or _unclaimed(node, key, value, whole, near)
            items.append(Item(f"{position}/@{key}", claim.value or value, claim.outcome, claim.path, claim.reason))
    number = 0
    if node.text:
        number = 1
        if not node.text.isspace():
            claim = claims.get(TEXT) or _unclaimed(node, TEXT, node.text.strip(), whole, near)
            items.append(Item(f"{position}/text()", claim.value or node.text.strip(), claim.outcome, claim.path, claim.reason))
    for child in node.children:
        _account(child, whole, near, items)
        if child.tail:
            number += 1
            if not child.tail.isspace():
                claim = claims.get(TEXT) or _unclaimed(node, TEXT, child.tail.strip(), whole, near)
                at = f"{position}/text()[{number}]" if number > 1 else f"{position}/text()"
                items.append(Item(at, child.tail.strip(), claim.outcome, claim.path, claim.reason))


def _unclaimed(node: Node, key: str, value: str, whole: Claim, near: str) -> Claim:
    """What becomes of a value that nobody claimed: the claim of what is around it, its kind, or the same words in the text beside it."""
    if whole.outcome is Outcome.NARRATIVE:
        return whole if key == TEXT else _LAYOUT
    if whole is not _REST:
        return whole
    if key == "nullFlavor":
        return _ABSENT
    if key == "codeSystemName":
        return _SYSTEM_NAME
    if key in _STRUCTURE or node.name in _STRUCTURAL:
        return _SHAPE
    if near and key in ("displayName", "value", TEXT) and len(value) > 2 and value in near:
        return _NARRATIVE
    return _REST
