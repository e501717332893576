"""FHIR XML both ways over the type tables: `read` gives the JSON form as a dict, `write` gives bytes.

Nothing is lost or guessed: what the tables do not know is refused with its path. Decimals, ids and dates keep their characters; a
value that is not of
its type stays a string, for the checker to judge. Comments and processing instructions are dropped. Narrative written is the string as
given;
narrative read is equal in content (entities and quotes may be written otherwise).
"""

import re
from collections.abc import Mapping
from copy import deepcopy
from decimal import Decimal

from lxml import etree

from exchange.errors import WardpostError
from exchange.fhir.r4.number import number
from exchange.fhir.r4.tables import Facts, Slot, TypeTables

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"
DEPTH = 100
MAX_ATTRIBUTES = 16  # id, url, value, and what others put on a root
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PROLOG = re.compile(r"\A(?:\ufeff|\s|<\?.*?\?>|<!--.*?-->)*", re.DOTALL)
_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
# The prolog, then a DOCTYPE with nothing but a name and an external id.
_BARE_DOCTYPE = (
    rb"\A((?:\xef\xbb\xbf)?(?:<\?xml[^<>]*\?>)?(?:\s|<!--(?:[^-]|-[^-])*-->)*)"
    rb"<!DOCTYPE\s+%s\s+(?:SYSTEM|PUBLIC\s+(?:\"[^\"<>]*\"|'[^'<>]*'))\s+(?:\"[^\"<>]*\"|'[^'<>]*')\s*>"
)
_LIMITS = {etree.ErrorTypes.ERR_RESOURCE_LIMIT, etree.ErrorTypes.ERR_ENTITY_LOOP}
_NUMERIC = {"decimal", "integer", "positiveInt", "unsignedInt"}


class XmlRefused(WardpostError, ValueError):
    """These bytes are no FHIR XML, or this resource cannot be written as such. `reason` is finer than the code."""

    def __init__(self, reason: str, text: str, where: str = "") -> None:
        step = "Send FHIR R4 XML in the order of the definitions, without a DOCTYPE."
        super().__init__("xml_refused", f"{text} at {where}." if where else f"{text}.", next_step=step)
        self.reason = reason
        self.where = where


def parse(data: bytes, *, bare_doctype: bytes = b"") -> etree._Element:
    """The root of hostile XML: no entity, network, DTD or huge tree; a DOCTYPE is refused. Raises `XmlRefused`.

    `bare_doctype` names a root whose DOCTYPE with a system id alone is cut out before anything reads it; one with an internal subset stays
    and is refused. `xml-limit` is a text above 10 MB or a nesting beyond 256 (the parser's own limits).
    """
    if bare_doctype:
        data = re.sub(_BARE_DOCTYPE % re.escape(bare_doctype), rb"\1", data, count=1)
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except etree.XMLSyntaxError as error:
        if error.code in _LIMITS:
            raise XmlRefused("xml-limit", f"A text, an entity or the nesting is beyond the limit (line {error.lineno})") from None
        raise XmlRefused("xml-syntax", f"Not well-formed XML (line {error.lineno})") from None
    except ValueError:
        raise XmlRefused("xml-syntax", "Not XML") from None
    if root.getroottree().docinfo.doctype:
        raise XmlRefused("xml-doctype", "A DOCTYPE is not allowed")
    return root


def read(data: bytes, tables: TypeTables | None = None, *, tolerant: bool = False) -> dict[str, object]:
    """The resource in `data`, as FHIR JSON would have it. Raises `XmlRefused`.

    `tolerant` is for what others send: elements in any order, and those that R4 does not have (STU3) in the shape that they show.
    """
    return (_Tolerant if tolerant else _Reader)(tables or TypeTables.load()).resource(parse(data), "", 0)


def write(resource: Mapping[str, object], tables: TypeTables | None = None) -> bytes:
    """The resource as FHIR XML in UTF-8. Raises `XmlRefused` for a property or value that FHIR XML cannot hold."""
    writer = _Writer(tables or TypeTables.load())
    writer.resource(resource, "", 0)
    return ('<?xml version="1.0" encoding="UTF-8"?>' + "".join(writer.out)).encode()


class _Reader:
    def __init__(self, tables: TypeTables) -> None:
        self.tables = tables

    def resource(self, node: etree._Element, where: str, depth: int) -> dict[str, object]:
        name = etree.QName(node)
        facts = self.resource_facts(name.localname) if name.namespace == FHIR else None
        if facts is None or facts["kind"] != "resource" or facts.get("abstract"):
            raise XmlRefused("xml-type", "No R4 resource", where or "the root")
        children = facts["children"]
        return {"resourceType": name.localname, **self.members(node, children, where or name.localname, depth)}

    def resource_facts(self, name: str) -> Facts | None:
        return self.tables.facts(name)

    def slot(self, slots: Mapping[str, Slot], tag: str, child: etree._Element) -> Slot | None:
        return slots.get(tag)

    def members(self, node: etree._Element, children: dict[str, Facts], where: str, depth: int) -> dict[str, object]:
        if depth > DEPTH:
            raise XmlRefused("xml-depth", "Nested too deeply", where)
        slots = self.tables.slots(children)
        out: dict[str, object] = {}
        if len(node.attrib) > MAX_ATTRIBUTES:
            raise XmlRefused("xml-attribute", "More attributes than FHIR has", where)
        for key, value in node.attrib.items():
            slot = slots.get(str(key))
            if str(key).startswith("{"):
                self.foreign(where)
            elif slot is None or not slot.facts.get("attr"):
                raise XmlRefused("xml-attribute", "An attribute that FHIR does not have", where)
            else:
                out[str(key)] = str(value)
        order = {name: index for index, name in enumerate(slots)}
        last = -1
        self.no_text(node.text, where)
        for child in node:
            self.no_text(child.tail, where)
            name = etree.QName(child)
            tag = name.localname
            slot = self.slot(slots, tag, child)
            if slot is None or slot.facts.get("attr") or name.namespace != (XHTML if slot.type == "xhtml" else FHIR):
                raise XmlRefused("xml-element", "An element that FHIR does not have here", f"{where}.{tag if slot else '?'}")
            last = self.ordered(last, order.get(tag, last), f"{where}.{tag}")
            self.put(out, tag, slot, child, f"{where}.{tag}", depth)
        return out

    def put(self, out: dict[str, object], tag: str, slot: Slot, child: etree._Element, where: str, depth: int) -> None:
        found = self.tables.facts(slot.type)
        if found and found["kind"] == "primitive":
            value, shadow = self.primitive(child, slot.type, where, depth)
        elif found and found["kind"] == "resource":
            if len(child) != 1:
                raise XmlRefused("xml-type", "One resource belongs here", where)
            value, shadow = self.resource(child[0], where, depth + 1), None
        else:
            value, shadow = (
                self.members(child, self.tables.children(slot.facts) if slot.name == tag else (found or {})["children"], where, depth + 1),
                None,
            )
        if not slot.facts.get("many"):
            if tag in out or f"_{tag}" in out:
                return self.again(out, tag, value, where)
            if value is not None:
                out[tag] = value
            if shadow:
                out[f"_{tag}"] = shadow
            return
        items = out.setdefault(tag, [])
        assert isinstance(items, list)
        items.append(value)
        shadows = out.get(f"_{tag}")
        if shadow or shadows:
            shadows = out.setdefault(f"_{tag}", [None] * (len(items) - 1))
            assert isinstance(shadows, list)
            shadows.append(shadow or None)

    def primitive(self, node: etree._Element, type_: str, where: str, depth: int) -> tuple[object, dict[str, object] | None]:
        if type_ == "xhtml":
            alone = deepcopy(node)
            alone.tail = None
            etree.cleanup_namespaces(alone)
            return etree.tostring(alone, encoding="unicode"), None
        text = node.attrib.pop("value", None)
        if not (len(node) or node.attrib or node.text):  # nearly all: a value and nothing else
            return (None if text is None else typed(str(text), type_)), None
        element = self.tables.facts("Element")
        assert element is not None
        shadow = self.members(node, element["children"], where, depth + 1)
        return (None if text is None else typed(str(text), type_)), shadow or None

    def foreign(self, where: str) -> None:
        raise XmlRefused("xml-attribute", "An attribute that FHIR does not have", where)

    def ordered(self, last: int, at: int, where: str) -> int:
        if at < last:
            raise XmlRefused("xml-order", "An element out of order", where)
        return at

    def again(self, out: dict[str, object], tag: str, value: object, where: str) -> None:
        raise XmlRefused("xml-repeat", "An element twice that FHIR has once", where)

    def no_text(self, text: str | None, where: str) -> None:
        if text and not text.isspace():
            raise XmlRefused("xml-text", "Text where FHIR has none", where)


class _Tolerant(_Reader):
    """Refuses only what cannot be said in JSON. A foreign attribute (xsi:schemaLocation) is nothing of FHIR's and is left."""

    def resource_facts(self, name: str) -> Facts | None:
        return self.tables.facts(name) or self.tables.facts("Basic")

    def slot(self, slots: Mapping[str, Slot], tag: str, child: etree._Element) -> Slot | None:
        """The slot of R4; for a code that R4 made a CodeableConcept, and for elements of STU3, one by the look of the element."""
        known = slots.get(tag)
        facts = self.tables.facts(known.type) if known else None
        if known and not ("value" in child.attrib and facts and facts["kind"] == "complex"):
            return known
        if "value" in child.attrib:
            return Slot("", "string", {})
        ends = (tag[at:] for at, letter in enumerate(tag) if letter.isupper())
        by_name = next((end for end in ends if (self.tables.facts(end) or {}).get("kind") == "complex"), "")
        inside = {etree.QName(one).localname for one in child}
        by_look = next((type_ for part, type_ in _LOOKS.items() if part in inside), "BackboneElement")
        return Slot("", by_name or by_look, {})

    def foreign(self, where: str) -> None:
        pass

    def ordered(self, last: int, at: int, where: str) -> int:
        return last

    def again(self, out: dict[str, object], tag: str, value: object, where: str) -> None:
        before = out.get(tag)
        if isinstance(before, list):
            before.append(value)
        else:
            out[tag] = [before, value]


_LOOKS = {"coding": "CodeableConcept", "reference": "Reference", "code": "Coding", "start": "Period", "end": "Period"}


def typed(text: str, type_: str) -> object:
    """The JSON value of a primitive's text; the text itself when it is not of the type."""
    if type_ == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if type_ in _NUMERIC and (match := _NUMBER.fullmatch(text)) and len(text) < 1000:
        try:
            return int(text) if not match[1] and not match[2] and text != "-0" else number(text)
        except ValueError:
            return text
    return text


class _Writer:
    def __init__(self, tables: TypeTables) -> None:
        self.tables = tables
        self.out: list[str] = []

    def resource(self, value: object, where: str, depth: int) -> None:
        name = value.get("resourceType") if isinstance(value, Mapping) else None
        facts = self.tables.facts(name) if isinstance(name, str) else None
        if facts is None or facts["kind"] != "resource" or not isinstance(value, Mapping):
            raise XmlRefused("xml-type", "No R4 resource", where or "the root")
        where = where or str(name)
        self.members(str(name), value, facts["children"], where, depth, f' xmlns="{FHIR}"')

    def members(self, tag: str, value: object, children: dict[str, Facts], where: str, depth: int, head: str = "") -> None:
        if depth > DEPTH:
            raise XmlRefused("xml-depth", "Nested too deeply", where)
        if not isinstance(value, Mapping):
            raise XmlRefused("xml-value", "An object belongs here", where)
        slots = self.tables.slots(children)
        for key in value:
            if key != "resourceType" and (not isinstance(key, str) or key.removeprefix("_") not in slots):
                raise XmlRefused("xml-element", "A property that FHIR does not have", where)
        attributes = "".join(
            f" {name}={self.text(value[name], where)}" for name, slot in slots.items() if slot.facts.get("attr") and name in value
        )
        self.out.append(f"<{tag}{head}{attributes}>")
        for name, slot in slots.items():
            if not slot.facts.get("attr") and (name in value or f"_{name}" in value):
                self.property(name, slot, value.get(name), value.get(f"_{name}"), f"{where}.{name}", depth)
        self.out.append(f"</{tag}>")

    def property(self, name: str, slot: Slot, value: object, shadow: object, where: str, depth: int) -> None:
        values, shadows = (value, shadow) if slot.facts.get("many") else ([value], [shadow])
        values, shadows = [] if values is None else values, [] if shadows is None else shadows
        if not isinstance(values, list) or not isinstance(shadows, list):
            raise XmlRefused("xml-value", "An array belongs here", where)
        found = self.tables.facts(slot.type)
        for index in range(max(len(values), len(shadows))):
            item = values[index] if index < len(values) else None
            extra = shadows[index] if index < len(shadows) else None
            if found and found["kind"] == "primitive":
                self.primitive(name, slot.type, item, extra, where, depth)
            elif found and found["kind"] == "resource":
                self.out.append(f"<{name}>")
                self.resource(item, where, depth + 1)
                self.out.append(f"</{name}>")
            else:
                self.members(
                    name, item, self.tables.children(slot.facts) if slot.name == name else (found or {})["children"], where, depth + 1
                )

    def primitive(self, name: str, type_: str, value: object, shadow: object, where: str, depth: int) -> None:
        if type_ == "xhtml":
            self.out.append(self.narrative(value, where))
            return
        element = self.tables.facts("Element")
        assert element is not None
        head = "" if value is None else f" value={self.text(value, where)}"
        self.members(name, {} if shadow is None else shadow, element["children"], where, depth + 1, head)

    def narrative(self, value: object, where: str) -> str:
        if not isinstance(value, str):
            raise XmlRefused("xml-value", "XHTML text belongs here", where)
        if _FORBIDDEN.search(value):
            raise XmlRefused("xml-character", "A character that XML cannot hold", where)
        if parse(value.encode()).tag != f"{{{XHTML}}}div":
            raise XmlRefused("xml-value", "A div in the XHTML namespace belongs here", where)
        return _PROLOG.sub("", value).rstrip()

    def text(self, value: object, where: str) -> str:
        match value:
            case bool():
                text = "true" if value else "false"
            case str():
                text = value
            case int() | float() | Decimal():
                text = str(value)
            case _:
                raise XmlRefused("xml-value", "A plain value belongs here", where)
        if _FORBIDDEN.search(text):
            raise XmlRefused("xml-character", "A character that XML cannot hold", where)
        return f'"{text.translate(_ESCAPES)}"'
