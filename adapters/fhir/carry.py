"""Copies what R4 knows of a resource into a Draft, without ids and references, and tells the rest in words. Each value is claimed.

`Carrier.copy` goes by R4's type tables: an element that R4 lacks and a value that is not of its type stay out, with the reason.
A reference becomes the words of its target. `Carrier.tell` makes one line of anything, for what has no place as data.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from adapters.fhir.source import Claim, Found, Node, Source
from adapters.fhir.stu3 import UK_EXTENSION
from exchange.fhir.draft import Outcome, Unreadable
from exchange.fhir.r4.tables import Slot, TypeTables
from exchange.fhir.shape import concept_text, joined, part, text
from exchange.fhir.words import person_name

# What the document builder writes itself, or what only holds the source together.
OWN = ("resourceType", "id", "meta", "implicitRules", "language", "text", "contained", "subject", "patient", "encounter", "context",
       "derivedFrom", "partOf", "basedOn", "photo")  # fmt: skip
_MOMENTS = ("date", "dateTime", "instant")
_QUIET = ("system", "url", "reference", "id", "resourceType", "version", "userSelected", "profile", "div", "fullUrl", "data")
_PLAIN = ("text", "display", "value", "code", "unit", "coding")
_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_NOT_KNOWN = Claim(Outcome.NOT_CARRIED, "", "FHIR R4 has no such element here")
_FOREIGN = Claim(Outcome.NOT_CARRIED, "", "an extension that UK Core does not define; stands in the letter")
_LEADS_OUT = Claim(Outcome.NOT_CARRIED, "", "leads out of the document")


class Carrier:
    """Reads one Source for one feed: times without a zone are those of `zone`."""

    def __init__(self, source: Source, zone: str) -> None:
        self.source = source
        self.tables = TypeTables.load()
        try:
            self.zone = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError):
            raise Unreadable("zone_unknown", "The sender's profile names a time zone that does not exist.") from None

    def resource(self, found: Found, as_type: str = "", *, without: tuple[str, ...] = ()) -> Node:
        """The resource as `as_type` (its own type when empty), without what the builder writes and without the members named."""
        kind = as_type or found.type
        facts = self.tables.facts(kind)
        assert facts is not None
        found.told = True
        for name in OWN[7:11]:
            self.source.settle(part(found.node, name), Claim(Outcome.MAPPED, f"{kind}.{name}"))
        slots = self.tables.slots(facts["children"])
        return {"resourceType": kind, **self.members(found.node, slots, kind, found, (*OWN, *without))}

    def members(
        self, node: Mapping[str, object], slots: Mapping[str, Slot], path: str, found: Found, without: tuple[str, ...] = ("id",)
    ) -> Node:
        made: Node = {}
        for name, value in node.items():
            slot = slots.get(name.removeprefix("_"))
            if name.removeprefix("_") in without:
                continue
            if slot is None or slot.type == "Resource":
                self._leave(node, name, _NOT_KNOWN)
                continue
            many = bool(slot.facts.get("many"))
            values = value if isinstance(value, list) else [value]
            holder: object = value if isinstance(value, list) else node
            copies = []
            for index, one in enumerate(values if many else values[:1]):
                copies.append(self._one(one, holder, index if isinstance(value, list) else name, name, slot, f"{path}.{name}", found))
            # The two halves of a list of primitives (`given`, `_given`) keep their places.
            has_halves = name.startswith("_") or f"_{name}" in node
            kept = [copy or None for copy in copies] if has_halves else [copy for copy in copies if copy not in (None, {}, [])]
            if any(copy is not None for copy in kept):
                made[name] = kept if many else kept[0]
        return made

    def _one(self, value: object, holder: object, at: str | int, name: str, slot: Slot, path: str, found: Found) -> object:
        type_ = "Element" if name.startswith("_") else slot.type
        facts = self.tables.facts(type_)
        is_primitive = facts is not None and facts["kind"] == "primitive" and type_ != "xhtml"
        if isinstance(value, dict) and not is_primitive:
            if type_ == "Reference":
                return self.reference(value, path, found)
            if type_ == "Extension" and not _may_travel(value, path):
                self.source.settle(value, _FOREIGN)
                return None
            children = self.tables.children(slot.facts) if slot.name == name else (facts or {}).get("children", {})
            return self.members(value, self.tables.slots(children), path, found)
        copy = self.proper(value, type_) if is_primitive else None
        claim = Claim(Outcome.MAPPED, path) if copy is not None else Claim(Outcome.NOT_CARRIED, "", f"is no FHIR {type_ or 'element'}")
        self.source.claim(holder, at, claim)
        self.source.settle(value, claim)
        return copy

    def _leave(self, node: Mapping[str, object], name: str, claim: Claim) -> None:
        self.source.claim(node, name, claim)
        self.source.settle(node[name], claim)

    def reference(self, value: Mapping[str, object], path: str, found: Found) -> Node:
        """A Reference as words: its own display, else those of its target; identifier and type as they are."""
        target = self.source.target(value, found)
        said = text(value, "display") or (self.words(target, set()) if target else "")
        self.source.claim(value, "display", Claim(Outcome.MAPPED, f"{path}.display"))
        claim = Claim(Outcome.MAPPED, f"{path}.display") if target and said else _LEADS_OUT if target is None else _NOT_KNOWN
        self.source.claim(value, "reference", claim)
        return {"display": said} if said else {}

    def words(self, found: Found, seen: set[int]) -> str:
        """Who or what a resource is, in a few words; references are followed once each, so that a loop ends."""
        if id(found) in seen:
            return ""
        seen.add(id(found))
        node = found.node
        inner = [self.source.target(part(node, name), found) for name in ("practitioner", "organization", "medicationReference")]
        told = [self.words(one, seen) for one in inner if one]
        return person_name(node) or joined(", ", *told) or concept_text(node.get("code")) or concept_text(node.get("type"))

    def tell(self, node: Mapping[str, object], path: str, found: Found, *, without: tuple[str, ...] = ()) -> str:
        """Every value of an object as "Label: value, value; Label: …", in its order; what is told is claimed as narrative at `path`."""
        claim = Claim(Outcome.NARRATIVE, path)
        told = []
        for name, value in node.items():
            if name not in (*OWN, *without) and not (name == "text" and "div" in part(node, name)):
                words = list(dict.fromkeys(self._leaves(value, node, name, claim, found)))
                told += [f"{_WORD.sub(' ', name).capitalize()}: {', '.join(words)}"] if words else []
        return "; ".join(told)

    def _leaves(self, value: object, holder: object, at: str | int, claim: Claim, found: Found) -> Iterator[str]:
        if isinstance(value, dict):
            if (target := self.source.target(value, found)) and not text(value, "display"):
                self.source.claim(value, "reference", claim)
                yield self.words(target, set()) or target.type
            for name, inner in value.items():
                if name not in _QUIET:
                    label = "" if name in _PLAIN or name.startswith("value") else f"{_WORD.sub(' ', name).lower()} "
                    for words in self._leaves(inner, value, name, claim, found):
                        yield label + words
                        label = ""
        elif isinstance(value, list):
            for index, inner in enumerate(value):
                yield from self._leaves(inner, value, index, claim, found)
        elif value is not None and value != "":
            self.source.claim(holder, at, claim)
            yield str(value).lower() if isinstance(value, bool) else str(value)

    def proper(self, value: object, type_: str) -> object:
        """The value when it is one of this primitive type; a time gets the zone and the seconds that FHIR asks for; else None."""
        if type_ == "boolean":
            return {"true": True, "false": False}.get(value) if isinstance(value, str) else value if isinstance(value, bool) else None
        if type_ in ("decimal", "integer", "positiveInt", "unsignedInt"):
            fits = isinstance(value, int | Decimal) and not isinstance(value, bool)
            return value if fits and (type_ == "decimal" or not isinstance(value, Decimal)) else None
        if not isinstance(value, str) or not value.strip():
            return None
        if type_ in _MOMENTS:
            return self.moment(value, type_)
        return value if _form(type_).fullmatch(value) else None

    def moment(self, value: str, type_: str = "dateTime") -> str | None:
        """A date or time as written. An hour that the zone has twice or never is not guessed: its day alone stays."""
        try:
            at = datetime.fromisoformat(value) if len(value) >= 10 else None
        except ValueError:
            return None
        if not _form(type_).fullmatch(value) and at and re.fullmatch(r"[^T]{10}T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?", value):
            clock, offset = re.findall(r"^(.*?)(Z|[+-]\d\d:\d\d)?$", value)[0]
            early, late = (at.replace(tzinfo=self.zone, fold=fold) for fold in (0, 1))
            if not offset and early.utcoffset() != late.utcoffset():
                value = value[:10]
            else:
                value = clock + ("" if clock.count(":") == 2 else ":00") + (offset or early.isoformat()[-6:])
        return value if _form(type_).fullmatch(value) else None


def _may_travel(extension: Mapping[str, object], path: str) -> bool:
    """Inside an extension all of it; else those of UK Core and of HL7 that hold no reference."""
    url = text(extension, "url")
    is_known = url.startswith((UK_EXTENSION, "http://hl7.org/fhir/StructureDefinition/")) or ".extension." in path
    return is_known and "valueReference" not in extension


@cache
def _form(type_: str) -> re.Pattern[str]:
    """The published pattern of a primitive type; a type without one is text without control characters."""
    facts = TypeTables.load().facts(type_)
    regex = (facts or {}).get("regex") or "(?s:.+)"
    return re.compile(regex if type_ not in ("string", "markdown") else "(?s:.+)", re.ASCII)


def notes(made: Node, *said: str) -> None:
    """Adds Annotations."""
    before = made.get("note")
    added = [{"text": words} for words in said if words]
    if added:
        made["note"] = [*(before if isinstance(before, list) else ()), *added]
