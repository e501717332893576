"""Bytes to the resources of one document, what their references lead to, and the account of what became of every value.

A value is known by its container and name, so that the STU3 rules may move it about (`move`) and its position stays the source's.
Whoever reads a value claims it; `Source.items` lists every value once at the end.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from adapters.common import code_table
from exchange.fhir.draft import Item, Outcome, Unreadable
from exchange.fhir.json import JsonRefused, load_strict
from exchange.fhir.r4.xml import XmlRefused
from exchange.fhir.r4.xml import read as read_xml
from exchange.fhir.shape import part, parts, text

Node = dict[str, object]
table = partial(code_table, "fhir")
MAX_VALUES = 200_000
UUID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NO_PLACE = "has no place in the document; stands in the letter"
# The last names of positions that hold a document together and say nothing of a person.
_STRUCTURE = ("resourceType", "id", "fullUrl", "reference", "url", "versionId", "lastUpdated", "profile")


class Claim(NamedTuple):
    """What became of a value: where it went, or the reason why not. `value` replaces the reported text (digests of attachments)."""

    outcome: Outcome
    path: str = ""
    reason: str = ""
    value: str = ""


@dataclass(eq=False, slots=True)
class Found:
    """One resource of the source. `url` its fullUrl, `holder` the resource that contains it, `told` whether a reader has dealt with it."""

    type: str
    position: str
    node: Node = field(repr=False)
    url: str = field(default="", repr=False)
    holder: "Found | None" = field(default=None, repr=False)
    told: bool = False


class Source:
    """One submission: `bundle`, its resources in order (nested bundles and contained resources too), and the account."""

    def __init__(self, raw: bytes) -> None:
        self.bundle = _load(raw)
        self.found: list[Found] = []
        self._places: dict[tuple[int, str], str] = {}
        self._values: dict[str, object] = {}
        self._claims: dict[str, Claim] = {}
        self._alive: list[object] = []  # so that no id() is given twice
        self._walk(self.bundle, text(self.bundle, "resourceType"))
        self._collect(self.bundle, "Bundle")
        self._by_url: dict[str, Found] = {}
        self._by_id: dict[str, list[Found]] = {}
        for found in self.found:
            if found.holder is None:
                self._by_url.setdefault(found.url, found)
                self._by_id.setdefault(text(found.node, "id"), []).append(found)

    def _walk(self, node: object, at: str) -> None:
        """Notes the position of every value, depth first, in the order of the source."""
        self._alive.append(node)
        self._refuse_many()
        members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, value in members:
            here = f"{at}[{name}]" if isinstance(name, int) else f"{at}.{name[name.startswith('_') :]}"
            if isinstance(value, dict | list):
                self._walk(value, here)
            elif value is not None and value != "":
                here = here if here not in self._values else f"{here} ({len(self._values)})"
                self._places[id(node), str(name)] = here
                self._values[here] = value
                self._refuse_many()

    def _refuse_many(self) -> None:
        if len(self._values) + len(self._alive) > MAX_VALUES:
            raise _too_many()

    def _collect(self, bundle: Node, at: str) -> None:
        for number, entry in enumerate(_objects(bundle.get("entry"))):
            node, here = entry.get("resource"), f"{at}.entry[{number}].resource"
            if not isinstance(node, dict) or not text(node, "resourceType"):
                continue
            found = Found(text(node, "resourceType"), here, node, text(entry, "fullUrl"))
            self.found.append(found)
            if found.type == "Bundle":
                self._collect(node, here)
            for index, inner in enumerate(_objects(node.get("contained"))):
                self.found.append(Found(text(inner, "resourceType"), f"{here}.contained[{index}]", inner, "", found))

    def of(self, *types: str) -> list[Found]:
        return [found for found in self.found if found.type in types]

    def target(self, reference: object, at: Found) -> Found | None:
        """The resource that a Reference (or its text) leads to from `at`; None when it leads out of the document or nowhere.

        As found in the wild: the urn's prefix left out, and Type/id between entries that have urns. Never by id alone to another server.
        """
        said = reference if isinstance(reference, str) else text(reference, "reference")
        owner = at.holder or at
        if said.startswith("#"):
            return next((one for one in self.found if one.holder is owner and text(one.node, "id") == said[1:]), None)
        said = said.partition("/_history/")[0]
        if not said or said in self._by_url:
            return self._by_url.get(said) if said else None
        for url in (f"urn:uuid:{said}", f"urn:uuid:{said.lower().removeprefix('urn:uuid:')}"):
            if url in self._by_url:
                return self._by_url[url]
        type_, _, name = said.rpartition("/")
        base = owner.url.removesuffix(f"{owner.type}/{text(owner.node, 'id')}")
        if base != owner.url and f"{base}{said}" in self._by_url:
            return self._by_url[f"{base}{said}"]
        alike = [one for one in self._by_id.get(name, []) if ":" not in type_ and type_ in ("", one.type)]
        return alike[0] if len(alike) == 1 else None

    def claim(self, node: object, name: str | int, claim: Claim) -> None:
        """The value `name` of this container, if it is one."""
        if (place := self._places.get((id(node), str(name)))) and place not in self._claims:
            self._claims[place] = claim

    def settle(self, node: object, claim: Claim) -> None:
        """Every value at or under this container that nobody has claimed."""
        members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for name, value in members:
            if isinstance(value, dict | list):
                self.settle(value, claim)
            else:
                self.claim(node, name, claim)

    def move(self, node: Node, name: str, to: Node, new: str) -> None:
        """Puts a member elsewhere; its values keep their positions."""
        value = to[new] = node.pop(name)
        self._alive.append((to, value))
        if place := self._places.pop((id(node), name), None):
            self._places[id(to), new] = place

    def items(self, unused: str = "") -> tuple[Item, ...]:
        """Every value with its outcome. `unused`: why nothing of this document is carried."""
        return tuple(self._item(position, value, unused) for position, value in self._values.items())

    def _item(self, position: str, value: object, unused: str) -> Item:
        structure = position.rpartition(".")[2].partition("[")[0] in _STRUCTURE or ".text.div" in position
        rest = Claim(Outcome.NOT_CARRIED, "", "structure of the source" if structure else NO_PLACE)
        outcome, path, reason, shown = self._claims.get(position, rest)
        if unused and outcome is not Outcome.WITHHELD:
            outcome, path, reason = Outcome.NOT_CARRIED, "", unused
        said = str(value).lower() if isinstance(value, bool) else str(value)
        return Item(position, shown or said, outcome, path, reason)


def _too_many() -> Unreadable:
    return Unreadable("too_many_values", f"The document has more than {MAX_VALUES} values and objects.")


def _objects(value: object) -> Iterator[Node]:
    yield from (one for one in value if isinstance(one, dict)) if isinstance(value, list) else ()


def _load(raw: bytes) -> Node:
    """The Bundle in these bytes, JSON or XML by its first character; a resource that is none is no document."""
    raw = raw.removeprefix(b"\xef\xbb\xbf").lstrip()
    if raw.startswith(b"<") and raw.count(b"<") > 4 * MAX_VALUES:
        raise _too_many()
    try:
        node = read_xml(raw, tolerant=True) if raw.startswith(b"<") else load_strict(raw)
    except XmlRefused as refused:
        raise Unreadable("fhir_xml", refused.message) from None
    except JsonRefused as refused:
        raise Unreadable("fhir_json", refused.message) from None
    if not isinstance(node, dict) or node.get("resourceType") != "Bundle":
        raise Unreadable("fhir_not_document", "This is FHIR, and no Bundle with a document in it.")
    return node


def first_identifier(node: object) -> str:
    """identifier.value, for a member that is one Identifier or several."""
    one = part(node, "identifier") or next(iter(parts(node, "identifier")), {})
    return text(one, "value").strip()


def document_number(node: object) -> str:
    """The number of a document by its identifier; a bare UUID and its urn are the same number (standards.md 2.2)."""
    said = first_identifier(node)
    number = said.lower().removeprefix("urn:uuid:")
    return number if UUID.fullmatch(number) else said
