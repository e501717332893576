"""The tables as the walk wants them: for every type and profile a `Node` of `Element`s with all that can be worked out beforehand.

Nodes are built when first met and kept, so that a service that checks Patients never builds an ImagingStudy.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from exchange.check.invariants import INVARIANTS, ONLY_WITH, Test
from exchange.check.issue import Severity
from exchange.check.matching import Match, discriminator, every
from exchange.check.overlay import overlay, slice_facts
from exchange.check.primitives import NUMBERS, Accept, Primitives
from exchange.check.terminology import Terms, ValueSet
from exchange.fhir.r4.tables import Facts, Records, TypeRef, TypeTables

PRIMITIVE, COMPLEX, RESOURCE, EXTENSION, SHADOW, XHTML = range(6)
CORE = "http://hl7.org/fhir/StructureDefinition/"
_WALKED = {"txt-1", "txt-2", "ref-1"}  # narrative and references have modules of their own


@dataclass(slots=True, eq=False)
class Rule:
    """An invariant on a node or element. `test` is None for one that is not checked here."""

    key: str
    severity: Severity
    test: Test | None


@dataclass(slots=True, eq=False)
class Bound:
    """A binding: value sets with how strongly each binds, the binding's own and a maximum where there is one. None: a set not at hand."""

    strength: str
    url: str
    demands: tuple[tuple[ValueSet | None, str], ...]


@dataclass(slots=True, eq=False)
class Slices:
    """The slices of an element: `parts` as (match, element). `unsure` says why they cannot be told apart here."""

    parts: list[tuple[Match, "Element"]]
    closed: bool
    unsure: str = ""


@dataclass(slots=True, eq=False)
class Element:
    """One JSON property of an object."""

    key: str
    step: str  # as FHIRPath says it: value.ofType(Quantity)
    path: str  # as definitions say it: Observation.value[x]
    type: str
    kind: int
    many: bool
    min: int
    max: int  # -1: any number
    choice: str = ""
    accept: Accept = bool
    node: "Node | None" = None
    build: "Callable[[], Node] | None" = None
    bound: Bound | None = None
    fixed: object = None
    pattern: object = None
    rules: tuple[Rule, ...] = ()
    slices: Slices | None = None
    by_url: "dict[str, Element]" = field(default_factory=dict)  # slices of an extension
    targets: dict[str, list[str]] | None = None  # type: profiles of it, one of which must hold; None: anything
    plain: bool = True  # a complex element without anything of its own to check
    quick: bool = False  # a single primitive that is no choice: the usual property

    def built(self) -> "Node":
        """The node of a complex element, built when first met."""
        assert self.build is not None
        self.node = self.build()
        return self.node


@dataclass(slots=True, eq=False)
class Node:
    """The properties of one kind of object."""

    type: str
    path: str
    elements: dict[str, Element]
    required: tuple[tuple[str, tuple[str, ...], Element], ...]
    rules: tuple[Rule, ...]
    guarded: dict[str, tuple[Rule, ...]]  # rules that only an object with this property can break
    sliced: tuple[Element, ...]  # elements of which some slice is required
    resource: bool  # of a resource type that is not abstract


@dataclass(slots=True, eq=False)
class Profile:
    """A profile, or an extension definition with the contexts that it may stand in."""

    url: str
    type: str
    version: str
    status: str
    base: str
    contexts: list[list[str]]
    modifier: bool
    unless: bool  # it has a context invariant, which is not checked
    node: Node
    source: str


class Plan:
    """Builds nodes and profiles from the tables."""

    def __init__(self, types: TypeTables, tables: Mapping[str, Records]) -> None:
        self.types = types
        self.terms = Terms(*tables.values())
        self.primitives = Primitives(types)
        self._tables = tables
        self._nodes: dict[str, Node] = {}
        self._profiles: dict[str, Profile] = {}
        self._bounds: dict[tuple[str, str, str], Bound] = {}
        self.extension = cast(Node, self.type_node("Extension"))

    def profile_names(self) -> Iterator[tuple[str, str]]:
        """(canonical, source) of everything compiled in."""
        for source, records in self._tables.items():
            for url in records.names("profile"):
                yield url, source

    def record(self, url: str) -> tuple[dict[str, Any], str] | None:
        for source, records in self._tables.items():
            if (found := records.get("profile", url)) is not None:
                return cast("dict[str, Any]", found), source
        return None

    def profile(self, url: str) -> Profile | None:
        """The profile, or resource type of R4, with this canonical, without version; None for one that is not compiled in."""
        if url not in self._profiles:
            found = self.record(url)
            if found is None:
                node = self.type_node(url.removeprefix(CORE)) if url.startswith(CORE) else None
                if node is None or not node.resource:
                    return None
                self._profiles[url] = Profile(url, node.type, "4.0.1", "active", "", [], False, False, node, "r4")
                return self._profiles[url]
            record, source = found
            node = self._node(record["type"], record["type"], self.snapshot([url], record["type"]))
            self._profiles[url] = Profile(
                url, record["type"], record.get("version", ""), record.get("status", ""), record["base"], record.get("contexts", []),
                "modifier" in record, "unless" in record, node, source,
            )  # fmt: skip
        return self._profiles[url]

    def snapshot(self, profiles: list[str], type_: str) -> Facts:
        """The facts of a type under profiles; unknown ones add nothing."""
        facts = self.types.facts(type_) or Facts()
        for url in profiles:
            found = self.record(url.split("|")[0])
            if found:
                facts = overlay(facts, found[0]["facts"], self.types)
        return facts

    def type_node(self, name: str) -> Node | None:
        if name not in self._nodes:
            facts = self.types.facts(name)
            if facts is None:
                return None
            self._nodes[name] = self._node(name, name, facts)
        return self._nodes[name]

    def _at_path(self, path: str) -> Node:
        """The node of a contentReference, which contains itself."""
        if path not in self._nodes:
            self._nodes[path] = self._node("BackboneElement", path, self.types.at(path))
        return self._nodes[path]

    def _node(self, type_: str, path: str, facts: Facts) -> Node:
        elements: dict[str, Element] = {}
        required, sliced = [], []
        for name, child in facts.get("children", {}).items():
            keys: list[str] = []
            for element in self._elements(name, child, f"{path}.{name}"):
                elements[element.key] = element
                keys.append(element.key)
                parts = [part for _, part in element.slices.parts] if element.slices else []
                if any(part.min for part in (*parts, *element.by_url.values())):
                    sliced.append(element)
            if child.get("min", 0) and keys:
                required.append((keys[0], tuple(keys[1:]), elements[keys[0]]))
            if name.endswith("[x]"):  # a type that a profile asks for
                parts_of = child.get("slicing", {}).get("slices", {})
                required += [(key, (), elements[key]) for key in keys if parts_of.get(key, {}).get("min", 0)]
        resource = facts.get("kind") == "resource" and not facts.get("abstract", False)
        rules = self._rules(facts)
        guarded: dict[str, tuple[Rule, ...]] = {}
        for rule in rules:
            for name in (ONLY_WITH[rule.key], f"_{ONLY_WITH[rule.key]}") if rule.key in ONLY_WITH else ():
                guarded[name] = (*guarded.get(name, ()), rule)
        always = tuple(rule for rule in rules if rule.key not in ONLY_WITH)
        return Node(type_, path, elements, tuple(required), always, guarded, tuple(sliced), resource)

    def _rules(self, facts: Facts) -> tuple[Rule, ...]:
        return tuple(
            Rule(key.partition("@")[0], cast(Severity, severity), INVARIANTS.get(key))
            for key, severity in facts.get("rules", {}).items()
            if key not in _WALKED
        )

    def _elements(self, name: str, facts: Facts, path: str) -> Iterator[Element]:
        """The properties of one element: one for each type of a choice, and the `_name` beside every primitive."""
        refs = facts.get("types") or [TypeRef(code="")]
        choice = name.endswith("[x]")
        slices = facts.get("slicing", {}).get("slices", {}) if choice else {}
        for ref in refs:
            own, key, step = facts, name, name
            if choice:
                key = name[:-3] + ref["code"][0].upper() + ref["code"][1:]
                if slices and facts["slicing"].get("rules") == "closed" and key not in slices:
                    continue
                step = f"{name[:-3]}.ofType({ref['code']})"
                own = facts.copy()
                own.pop("slicing", None)
                own["types"] = [ref]
                if key in slices:
                    own = overlay(own, slices[key], self.types)
                elif len(refs) > 1:
                    own.pop("children", None)
            element = self._element(key, step, path, own)
            element.choice = name if choice else ""
            element.quick = element.kind == PRIMITIVE and not (choice or element.many or element.max == 0)
            yield element
            if element.kind in (PRIMITIVE, XHTML):
                build = self._builder(
                    "Element", path, own if element.kind == PRIMITIVE and "children" in own else (self.types.facts("Element") or Facts())
                )
                yield Element(f"_{key}", step, path, element.type, SHADOW, element.many, 0, element.max, element.choice, build=build)

    def _element(self, key: str, step: str, path: str, facts: Facts) -> Element:
        ref = (facts.get("types") or [TypeRef(code="")])[0]
        type_ = ref["code"]
        found = self.types.facts(type_)
        kind = COMPLEX
        if type_ == "Extension":
            kind = EXTENSION
        elif type_ == "xhtml":
            kind = XHTML
        elif found:
            kind = {"primitive": PRIMITIVE, "resource": RESOURCE}.get(found["kind"], COMPLEX)
        element = Element(key, step, path, type_, kind, facts.get("many", False), facts.get("min", 0), facts.get("max", 1))
        element.fixed, element.pattern = facts.get("fixed"), facts.get("pattern")
        if "binding" in facts:
            element.bound = self._bound(facts)
        if kind == PRIMITIVE:
            element.rules = self._rules(facts)
            element.accept = self._accept(element)
        elif kind == COMPLEX:
            element.build = self._builder(type_, path if "children" in facts else type_, self._complex(ref, facts))
            if "same" in facts:
                path = facts["same"]
                element.build = lambda: self._at_path(path)
            own = facts.get("rules", {})
            element.rules = () if "children" in facts and type_ in ("BackboneElement", "Element") else self._rules({"rules": own})
            if type_ == "Reference":
                element.targets = self._targets(ref)
        elif kind == RESOURCE and type_ not in ("Resource", "DomainResource"):
            element.targets = {type_: ref.get("profiles", [])}
        if "slicing" in facts:
            self._slice(element, facts)
        element.plain = not (element.bound or element.rules or element.slices or element.fixed is not None or element.pattern is not None)
        return element

    def _complex(self, ref: TypeRef, facts: Facts) -> Facts:
        """The facts of an object: those of its type, under the type's profiles, with the element's own differences."""
        snapshot = self.snapshot(ref.get("profiles", []), ref["code"])
        if "children" not in facts:
            return snapshot
        if ref["code"] in ("BackboneElement", "Element", ""):
            return facts
        rules = snapshot.get("rules", {})
        return {**overlay(snapshot, {"children": facts["children"]}, self.types), "rules": rules}

    def _builder(self, type_: str, path: str, facts: Facts) -> Callable[[], Node]:
        """Builds when called. A type as it stands is built once for all."""
        if facts is self.types.facts(type_):
            return lambda: cast(Node, self.type_node(type_))
        return lambda: self._node(type_, path, facts)

    def _bound(self, facts: Facts) -> Bound | None:
        binding = facts["binding"]
        key = (binding["strength"], binding.get("set", ""), binding.get("max", ""))
        if not key[1]:
            return None
        if key not in self._bounds:
            limit = self.terms.value_set(key[2]) if key[2] else None
            own = (self.terms.value_set(key[1]), key[0])
            self._bounds[key] = Bound(key[0], key[1], (own, (limit, "required")) if limit else (own,))
        return self._bounds[key]

    def _accept(self, element: Element) -> Accept:
        """A test that is true only of strings that need no further look."""
        if element.type in NUMBERS or element.type == "boolean" or element.rules:
            return lambda _: False
        accept = self.primitives.accept(element.type)
        if isinstance(element.fixed, str):
            return element.fixed.__eq__
        if element.fixed is not None or element.pattern is not None:
            return lambda _: False
        if element.bound:
            (values, _), *more = element.bound.demands
            return values.codes.__contains__ if values and not more else lambda _: False
        return accept

    def _targets(self, ref: TypeRef) -> dict[str, list[str]] | None:
        targets: dict[str, list[str]] = {}
        bare: set[str] = set()
        for url in ref.get("targets", []):
            if self.types.facts(url):
                targets.setdefault(url, [])
                bare.add(url)
            elif found := self.record(url.split("|")[0]):
                targets.setdefault(found[0]["type"], []).append(url.split("|")[0])
            else:
                return None
        if not targets or "Resource" in targets:
            return None
        return {type_: [] if type_ in bare else profiles for type_, profiles in targets.items()}

    def _slice(self, element: Element, facts: Facts) -> None:
        slicing = facts["slicing"]
        parts: list[tuple[Match, Element]] = []
        for name in slicing.get("slices", {}):
            own = slice_facts(facts, name, self.types)
            if element.kind == EXTENSION:
                self._extension_slice(element, name, own, slicing["slices"][name])
                continue
            part = self._element(element.key, element.step, f"{element.path}:{name}", own)
            tests = [discriminator(kind, path, own) for kind, path in slicing.get("on", [])]
            if not tests or None in tests:
                on = ", ".join(f"{kind} {path}" for kind, path in slicing.get("on", [])) or "nothing"
                element.slices = Slices([], False, f"slices of {element.path} are told apart by {on}")
                return
            parts.append((every([test for test in tests if test]), part))
        if parts:
            element.slices = Slices(parts, slicing.get("rules") == "closed")

    def _extension_slice(self, element: Element, name: str, own: Facts, delta: Facts) -> None:
        ref = own["types"][0]
        profiles = ref.get("profiles", [])
        url = profiles[0].split("|")[0] if profiles else own.get("children", {}).get("url", {}).get("fixed")
        if not isinstance(url, str):
            return
        # A profile that does not say how often gets the definition's own maximum, which stands on its root.
        most = [facts["max"] for facts in (own, self.snapshot(profiles, "Extension")) if facts.get("max", -1) >= 0]
        part = Element(element.key, element.step, f"{element.path}:{name}", "Extension", EXTENSION, True, own["min"], min(most, default=-1))
        if profiles and "children" not in delta:
            part.build = lambda: found.node if (found := self.profile(url)) else cast(Node, self.type_node("Extension"))
        else:
            facts = overlay(self.snapshot(profiles, "Extension"), {"children": delta.get("children", {})}, self.types)
            part.build = self._builder("Extension", "Extension", facts)
        element.by_url[url] = part
