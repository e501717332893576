"""The type tables: R4 structure as compiled facts, shared by the XML codec and the checker.

A table file is zlib-compressed text, one record a line: `<kind> <name>\\t<json>`, sorted. Records are parsed when first asked for, so that
loading costs a decompression and a split. `python -m exchange.check.compile` writes the files; no prose of the standard is in them.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TypedDict, cast


class TypeRef(TypedDict, total=False):
    """One allowed type of an element: its code, profiles on it, and for references the profiles of what it may point to."""

    code: str
    profiles: list[str]
    targets: list[str]


class Binding(TypedDict, total=False):
    """`set` is the value set's canonical; `max` that of the maxValueSet extension."""

    strength: str
    set: str
    max: str


class Slicing(TypedDict, total=False):
    """`on`: discriminators as [type, path]; `rules`: open, closed, openAtEnd; `slices`: facts that differ from the unsliced element."""

    on: list[list[str]]
    rules: str
    slices: "dict[str, Facts]"


class Facts(TypedDict, total=False):
    """What the standard says of one element, or (with `kind`) of one type. Absent: min 0, max 1. `max` -1 is `*`."""

    types: list[TypeRef]
    min: int
    max: int
    many: bool  # a JSON array: the base definition repeats
    attr: bool  # an XML attribute
    same: str  # contentReference: the path whose children these are
    binding: Binding
    fixed: object
    pattern: object
    rules: dict[str, str]  # invariant key: severity
    children: "dict[str, Facts]"
    slicing: Slicing
    kind: str  # primitive, complex, resource
    base: str
    abstract: bool
    regex: str


class Records:
    """Lazily parsed records of one or more table files."""

    def __init__(self, lines: Iterable[str]) -> None:
        self._text = dict(line.split("\t", 1) for line in lines if line)
        self._parsed: dict[str, object] = {}

    def get(self, kind: str, name: str) -> object | None:
        """The record, or None when these tables do not know it."""
        key = f"{kind} {name}"
        if key in self._parsed:
            return self._parsed[key]
        text = self._text.get(key)
        if text is None:
            return None
        value: object = json.loads(text)
        self._parsed[key] = value
        return value

    def names(self, kind: str) -> list[str]:
        prefix = f"{kind} "
        return [key[len(prefix) :] for key in self._text if key.startswith(prefix)]


@dataclass(frozen=True, slots=True)
class Slot:
    """One property of an object as JSON and XML name it: `valueString` is the string slot of `value[x]`."""

    name: str  # as in the definition: value[x]
    type: str
    facts: Facts


class TypeTables:
    """The types of FHIR R4. `facts("Patient")` is None for a name that R4 does not have."""

    def __init__(self, records: Records) -> None:
        self._records = records
        self._lines: dict[str, list[str]] = {}
        self._slots: dict[int, dict[str, Slot]] = {}

    @staticmethod
    @cache
    def load() -> "TypeTables":
        return TypeTables(Records(read_table("exchange.fhir.r4", "types.jsonl.z")))

    def facts(self, name: str) -> Facts | None:
        return cast("Facts | None", self._records.get("type", name))

    def names(self) -> list[str]:
        return self._records.names("type")

    def children(self, facts: Facts) -> "dict[str, Facts]":
        """The children of an element: its own, those of the path it refers to, or those of its one type (of a primitive: id and
        extension).
        """
        if "children" in facts:
            return facts["children"]
        if "same" in facts:
            return self.children(self.at(facts["same"]))
        types = facts.get("types", [])
        found = self.facts(types[0]["code"]) if len(types) == 1 else None
        if found and found["kind"] == "primitive":
            found = self.facts("Element")
        return found.get("children", {}) if found else {}

    def at(self, path: str) -> Facts:
        """The facts at a full path such as `Questionnaire.item`; raises KeyError for a path that does not exist."""
        first, *rest = path.split(".")
        facts = self.facts(first)
        if facts is None:
            raise KeyError(path)
        for step in rest:
            facts = self.children(facts)[step]
        return facts

    def slots(self, children: "dict[str, Facts]") -> dict[str, Slot]:
        """Property name → slot, in the order of the definition. `children` must come from these tables (it is the cache key)."""
        found = self._slots.get(id(children))
        if found is None:
            found = self._slots[id(children)] = dict(slots_of(children))
        return found

    def ancestry(self, name: str) -> list[str]:
        """The type and what it specialises, nearest first: `Age` → Age, Quantity, Element."""
        if name not in self._lines:
            facts = self.facts(name)
            if facts is None:
                return []
            self._lines[name] = [name, *self.ancestry(facts.get("base", ""))]
        return self._lines[name]


def slots_of(children: "dict[str, Facts]") -> Iterable[tuple[str, Slot]]:
    for name, facts in children.items():
        types = facts.get("types", [])
        if name.endswith("[x]"):
            for ref in types:
                yield name[:-3] + ref["code"][0].upper() + ref["code"][1:], Slot(name, ref["code"], facts)
        else:
            yield name, Slot(name, types[0]["code"] if types else "", facts)


def read_table(package: str, name: str) -> list[str]:
    return zlib.decompress(resources.files(package).joinpath(name).read_bytes()).decode().split("\n")


def table_bytes(records: Mapping[str, object]) -> bytes:
    """The file of these records (`<kind> <name>` → JSON value): sorted, so that the same facts are the same bytes."""
    lines = (f"{key}\t{json.dumps(value, separators=(',', ':'), ensure_ascii=False)}" for key, value in sorted(records.items()))
    return zlib.compress("\n".join(lines).encode(), 9)
