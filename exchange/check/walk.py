"""One check of one resource: walks the dict along the plan and says what is wrong, all of it, with its path.

Right values are passed by one quick test each; everything slower happens only where that test fails.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from exchange.check import codes, extensions, references, xhtml
from exchange.check.issue import Issue, Severity
from exchange.check.plan import CORE, EXTENSION, PRIMITIVE, RESOURCE, SHADOW, XHTML, Element, Node, Plan, Profile, Rule, same
from exchange.check.references import Places

DEPTH = 100  # nested objects
OBJECTS = 500_000  # objects in all
ISSUES = 1_000
# What an invariant raises over a structure that is damaged, which has an issue of its own.
DAMAGED = (TypeError, ValueError, AttributeError, KeyError, ArithmeticError)

Targets = Mapping[str, list[str]]
Where = tuple[Any, str, int | None]  # (parent, step, index); the parent of the root is None


class TooCostly(Exception):
    """A bound of the check was reached."""


class Walk:
    """The state of one check. Use `run`, then read `issues`."""

    def __init__(self, plan: Plan, places: Places) -> None:
        self.plan = plan
        self.places = places
        self.issues: list[Issue] = []
        self.resource: Mapping[str, Any] = {}  # the nearest resource that is not contained
        self._said: set[tuple[str, str]] = set()
        self._unsure: dict[tuple[str, str], tuple[Where, str, int]] = {}
        self._left = OBJECTS
        self._hooks: dict[str, Callable[[Walk, dict[str, Any], Element, Where], None]] = {
            "Attachment": codes.attachment,
            "Coding": codes.coding,
            "Identifier": codes.identifier,
            "Reference": references.reference,
            **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), codes.quantity),
        }

    # saying

    def say(self, severity: str, code: str, where: Where, text: str, rule: str) -> None:
        expression = spelled(where)
        if (rule, expression) in self._said:
            return
        if len(self.issues) >= ISSUES:
            raise TooCostly(f"More than {ISSUES:,} issues: the rest is not listed")
        self._said.add((rule, expression))
        self.issues.append(Issue(_SEVERITIES[severity], code, expression, text, rule))

    def unsure(self, rule: str, what: str, where: Where, text: str) -> None:
        """Something that could not be checked: said once for each `what`, with the number of places."""
        first, _, count = self._unsure.get((rule, what), (where, text, 0))
        self._unsure[rule, what] = (first, text, count + 1)

    # walking

    def run(self, root: object, profiles: Iterable[Profile]) -> None:
        try:
            self.visit(root, None, DEPTH, profiles)
            self.places.finish(self)
        except TooCostly as reached:
            self.issues.append(Issue("fatal", "too-costly", "", str(reached), "bounds"))
        for (rule, _), (where, text, count) in self._unsure.items():
            self.issues.append(Issue("information", "not-supported", spelled(where), f"Not checked: {text} (places: {count})", rule))

    def alone(self, root: object, profile: Profile) -> list[Issue]:
        """The issues of a resource by itself under one profile."""
        inner = Walk(self.plan, Places(None))
        inner._left = self._left
        inner.run(root, [profile])
        self._left = inner._left
        return inner.issues

    def visit(
        self, value: object, where: Where | None, depth: int, profiles: Iterable[Profile] = (), targets: Targets | None = None
    ) -> None:
        """A resource: the root, an entry's, or a contained one. `targets`: the types that may stand here, with their profiles."""
        type_ = value.get("resourceType") if isinstance(value, dict) else None
        here: Where = where or (None, type_ if isinstance(type_, str) else "", None)
        node = self.plan.type_node(type_) if isinstance(type_, str) else None
        if node is None or not node.resource or not isinstance(value, dict):
            words = "A resource is needed here: an object whose resourceType is one of R4's"
            self.say("error" if where else "fatal", "structure", here, words, "resource-type")
            return
        if targets is not None and type_ not in targets:
            self.say("error", "structure", here, f"A resource of type {' or '.join(targets)} is needed here", "resource-type")
        wanted = (self.plan.profile(url) for url in targets.get(node.type, ())) if targets else ()
        chosen = [one for one in (*profiles, *wanted, *self._claimed(value, here)) if one and one.type == type_]
        bases = {one.base for one in chosen}
        before = self.resource
        if where is None or where[1] != "contained":
            self.resource = value
        else:
            if self.places.stands_twice(value.get("id")):
                self.say("error", "duplicate", here, "Two contained resources have the same id", "contained-id")
        inside = self.places.enter(value, where is not None and where[1] == "contained")
        for root in dict.fromkeys([one.node for one in chosen if one.url not in bases] or [node]):
            self.members(value, root, None, here, depth - 1)
        self.places.leave(inside)
        self.resource = before

    def _claimed(self, resource: dict[str, Any], where: Where) -> Iterable[Profile]:
        meta = resource.get("meta")
        claims = meta.get("profile") if isinstance(meta, dict) else None
        for index, claim in enumerate(claims if isinstance(claims, list) else ()):
            if not isinstance(claim, str):
                continue
            url, _, version = claim.partition("|")
            at = ((where, "meta", None), "profile", index)
            if (found := self.plan.profile(url)) is None:
                if url != CORE + str(resource["resourceType"]):
                    words = "Profile not known: not checked. Compile it in, or take the claim out"
                    self.say("warning", "not-supported", at, words, "profile-unknown")
            elif found.type != resource["resourceType"]:
                self.say("error", "structure", at, f"This profile is for {found.type}", "profile-type")
            else:
                if version and version != found.version:
                    words = f"Checked against version {found.version} of this profile, not the one named"
                    self.say("warning", "not-supported", at, words, "profile-version")
                yield found

    def members(self, found: object, node: Node, element: Element | None, where: Where, depth: int) -> None:
        """An object of any kind: its properties, then what the whole must have and obey."""
        if type(found) is not dict:
            if found is None:
                self.say("error", "structure", where, "null is not allowed here: leave it out", "null")
                return
            self.say("error", "structure", where, "An object is needed here", "type")
            return
        self._left -= 1
        if depth < 0 or self._left < 0:
            raise TooCostly(f"Nested deeper than {DEPTH} levels, or more than {OBJECTS:,} objects: not checked to the end")
        elements = node.elements
        chosen: dict[str, str] | None = None
        for key, value in found.items():
            part = elements.get(key)
            if part is None:
                if key != "resourceType" or element is not None:
                    self._unknown(key, node, where)
                continue
            if part.quick:
                if type(value) is not str or not part.accept(value):
                    self._primitive(value, part, (where, part.step, None), found, None)
                continue
            kind = part.kind
            if part.choice and kind != SHADOW:
                if chosen is None:
                    chosen = {}
                if chosen.setdefault(part.choice, key) != key:
                    self.say("error", "structure", (where, part.step, None), f"{part.choice} has two values: keep one", "choice")
            if part.many and kind != SHADOW:
                if type(value) is not list:
                    self.say("error", "structure", (where, part.step, None), "An array is needed here", "type")
                    continue
                if not value:
                    self.say("error", "structure", (where, part.step, None), "An empty array: leave the element out", "empty")
                    continue
                if 0 <= part.max < len(value) or len(value) < part.min:
                    self._count(len(value), part, where)
                if kind == PRIMITIVE:
                    accept = part.accept
                    for index, item in enumerate(value):
                        if type(item) is not str or not accept(item):
                            self._primitive(item, part, (where, part.step, index), found, index)
                elif kind == EXTENSION:
                    extensions.check(self, value, part, node, element, where, depth, found.get("url"))
                elif kind == RESOURCE:
                    for index, item in enumerate(value):
                        self.visit(item, (where, part.step, index), depth, (), part.targets)
                elif part.slices:
                    self._sliced(value, part, part.slices, where, depth)
                else:
                    inner = part.node or self.build(part)
                    for index, item in enumerate(value):
                        self.members(item, inner, part, (where, part.step, index), depth - 1)
                        if not part.plain:
                            self._own(item, part, (where, part.step, index))
                continue
            if part.max == 0:
                self._count(1, part, where)
            if kind == PRIMITIVE:
                if type(value) is not str or not part.accept(value):
                    self._primitive(value, part, (where, part.step, None), found, None)
            elif kind == SHADOW:
                self._shadow(value, part, found, where, depth)
            elif kind == XHTML:
                self._narrative(value, (where, part.step, None))
            elif kind == RESOURCE:
                self.visit(value, (where, part.step, None), depth, (), part.targets)
            else:
                at: Where = (where, part.step, None)
                self.members(value, part.node or self.build(part), part, at, depth - 1)
                if not part.plain:
                    self._own(value, part, at)
        if not found or (len(found) == 1 and "id" in found and element is not None and element.kind != SHADOW):
            self.say("error", "structure", where, "An empty object: leave the element out", "ele-1")
            return
        for name, others, part in node.required:
            if name not in found and f"_{name}" not in found and not any(other in found for other in others):
                self._missing(part, where)
        for part in node.sliced:
            if part.key not in found:
                self.slice_counts({}, part, where)
        for rule in node.rules:
            if rule.only_with and rule.only_with not in found:
                continue
            try:
                if rule.test is not None and rule.test(found, self.resource):
                    continue
            except DAMAGED:
                continue
            self._broken(rule, where, node.path)
        if (hook := self._hooks.get(node.type)) and element is not None:
            hook(self, found, element, where)

    def build(self, element: Element) -> Node:
        assert element.build is not None
        element.node = element.build()
        return element.node

    def _obey(self, rule: Rule, found: Mapping[str, Any], where: Where, path: str) -> None:
        try:
            holds = rule.test is not None and rule.test(found, self.resource)
        except DAMAGED:
            return
        if not holds:
            self._broken(rule, where, path)

    def _broken(self, rule: Rule, where: Where, path: str) -> None:
        if rule.test is None:
            self.unsure("invariant-not-checked", rule.key, where, f"invariant {rule.key} of {path}")
            return
        words = codes.RULE_WORDS.get(rule.key, f"Invariant {rule.key} of {path} does not hold: see its definition")
        self.say(rule.severity, "invariant", where, words, rule.key)

    # parts of an object

    def _unknown(self, key: object, node: Node, where: Where) -> None:
        name = f"{node.path}.{key}" if isinstance(key, str) and key.isascii() and key.isidentifier() and len(key) < 64 else node.path
        at = (where, name.rpartition(".")[2], None) if name != node.path else where
        self.say(
            "error",
            "structure",
            at,
            f"{node.path} has no such property here: a slip of the pen, a type that is not allowed, or another FHIR version",
            "unknown-element",
        )

    def _missing(self, part: Element, where: Where) -> None:
        self.say("error", "required", where, f"{part.path} is required and missing", "min")

    def _count(self, count: int, part: Element, where: Where) -> None:
        at = (where, part.step, None)
        if count < part.min:
            self.say("error", "required", at, f"{part.path} is needed {part.min} times or more; here {count}", "min")
        else:
            self.say("error", "structure", at, f"{part.path} may stand {part.max} times at most; here {count}", "max")

    def _own(self, value: object, part: Element, where: Where) -> None:
        """What an element demands of its value beyond the type: fixed and pattern values, binding, rules."""
        if not isinstance(value, dict):
            return
        if part.fixed is not None and not same(value, part.fixed, False):
            self.say("error", "value", where, f"{part.path} has a fixed value in this profile", "fixed")
        if part.pattern is not None and not same(value, part.pattern, True):
            self.say("error", "value", where, f"{part.path} must hold at least the pattern of this profile", "pattern")
        for rule in part.rules:
            self._obey(rule, value, where, part.path)
        if part.bound:
            codes.bound_object(self, value, part, part.bound, where)

    def _primitive(self, value: object, part: Element, where: Where, holder: Mapping[str, Any], index: int | None) -> None:
        """A primitive that was not passed at once: says what is wrong, if anything."""
        if value is None:
            shadow = holder.get(f"_{part.key}")
            beside = shadow[index] if isinstance(shadow, list) and index is not None and index < len(shadow) else None
            if index is None or beside is None:
                self.say("error", "structure", where, "null is not allowed here: leave it out", "null")
            return
        fault = self.plan.primitives.fault(part.type, value)
        if fault:
            key, words = fault
            if key == "control-character":
                self.say("warning", "value", where, words, key)
            else:
                self.say("error", "value" if key == "format" else "structure", where, words, key)
                return
        if part.fixed is not None and not same(value, part.fixed, False):
            self.say("error", "value", where, f"{part.path} has a fixed value in this profile", "fixed")
        if part.pattern is not None and not same(value, part.pattern, True):
            self.say("error", "value", where, f"{part.path} must hold at least the pattern of this profile", "pattern")
        for rule in part.rules:
            self._obey(rule, {"value": value}, where, part.path)
        if part.bound and isinstance(value, str):
            codes.bound_code(self, value, part, part.bound, where)

    def _shadow(self, value: object, part: Element, holder: Mapping[str, Any], where: Where, depth: int) -> None:
        """`_name` beside a primitive: its id and extensions, for arrays one by one with null where there are none."""
        at: Where = (where, part.step, None)
        items = value if part.many else [value]
        if not isinstance(items, list):
            self.say("error", "structure", at, "An array is needed here, as long as that of the values", "type")
            return
        beside = holder.get(part.key[1:])
        if not items or (part.many and isinstance(beside, list) and len(beside) != len(items)):
            self.say(
                "error",
                "structure",
                at,
                "Beside an array stands one of the same length, with null where a value has no extensions",
                "empty",
            )
        elif all(item is None for item in items):
            self.say("warning", "structure", at, "An array of nulls alone says nothing: leave it out", "empty")
        for index, item in enumerate(items):
            if item is not None:
                self.members(item, part.node or self.build(part), part, (where, part.step, index if part.many else None), depth - 1)

    def _narrative(self, value: object, where: Where) -> None:
        if not isinstance(value, str) or not value:
            self.say("error", "structure", where, "XHTML in a string is needed here", "type")
            return
        found, links = xhtml.faults(value)
        for rule, words in found:
            self.say("error", "invalid", where, words, rule)
        if any(not self.places.has_anchor(link) for link in links):
            self.say("error", "not-found", where, "A link inside the narrative leads to nothing of this resource", "narrative-link")

    def _sliced(self, items: list[Any], part: Element, slices: Any, where: Where, depth: int) -> None:
        if slices.unsure:
            self.unsure("slicing-not-checked", part.path, where, slices.unsure)
        counts: dict[str, int] = {}
        for index, item in enumerate(items):
            at: Where = (where, part.step, index)
            one = part
            if isinstance(item, dict):
                found = [candidate for match, candidate in slices.parts if match(item)]
                if found:
                    one = found[0]
                    counts[one.path] = counts.get(one.path, 0) + 1
                elif slices.closed:
                    self.say(
                        "error", "structure", at, f"{part.path} allows its named slices only, and this is none of them", "slice-closed"
                    )
                if len(found) > 1:
                    self.say("error", "structure", at, f"This belongs to more than one slice of {part.path}", "slice-ambiguous")
            self.members(item, one.node or self.build(one), one, at, depth - 1)
            self._own(item, one, at)
        self.slice_counts(counts, part, where)

    def slice_counts(self, counts: dict[str, int], part: Element, where: Where) -> None:
        at: Where = (where, part.step, None)
        named = [one for _, one in part.slices.parts] if part.slices else []
        for one in (*named, *part.by_url.values()):
            count = counts.get(one.path, 0)
            name = one.path.rpartition(":")[2]
            if count < one.min:
                self.say(
                    "error",
                    "required",
                    at if part.key else where,
                    f"The slice {name} of {part.path} is needed {one.min} times or more; here {count}",
                    f"slice-min:{name}",
                )
            elif 0 <= one.max < count:
                self.say(
                    "error",
                    "structure",
                    at,
                    f"The slice {name} of {part.path} may stand {one.max} times at most; here {count}",
                    f"slice-max:{name}",
                )


def spelled(where: Where) -> str:
    """The FHIRPath of a place."""
    steps: list[str] = []
    place: Where | None = where
    while place is not None:
        steps.append(place[1] if place[2] is None else f"{place[1]}[{place[2]}]")
        place = place[0]
    return ".".join(reversed(steps))


_SEVERITIES: dict[str, Severity] = {"fatal": "fatal", "error": "error", "warning": "warning", "information": "information"}
