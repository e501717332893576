"""One check of one resource: walks the dict along the plan and says what is wrong, all of it, with its path.

Right values are passed by one quick test each; everything slower happens only where that test fails.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from exchange.check import codes, extensions, references, xhtml
from exchange.check.issue import Issue
from exchange.check.matching import same
from exchange.check.places import Places
from exchange.check.plan import EXTENSION, PRIMITIVE, RESOURCE, SHADOW, XHTML, Element, Node, Plan, Profile, Rule, Slices
from exchange.check.report import Report, TooCostly, Where
from exchange.check.words import RULE_WORDS

DEPTH = 100  # nested objects
OBJECTS = 500_000  # objects in all
# What an invariant raises over a structure that is damaged, which has an issue of its own.
DAMAGED = (TypeError, ValueError, AttributeError, KeyError, ArithmeticError, RecursionError)
# What some types obey beyond structure and invariants.
HOOKS: dict[str, Callable[[Report, dict[str, Any], Element, Where], None]] = {
    "Attachment": codes.attachment,
    "Coding": codes.coding,
    "Identifier": codes.identifier,
    "Reference": references.reference,
    **dict.fromkeys(("Quantity", "Age", "Count", "Distance", "Duration"), codes.quantity),
}

Targets = Mapping[str, list[str]]


class Walk(Report):
    """The state of one check. Use `run`, then read `issues`."""

    def __init__(self, plan: Plan, places: Places) -> None:
        super().__init__(plan, places, self._alone)
        self._left = OBJECTS

    def run(self, root: object, profiles: Iterable[Profile]) -> None:
        try:
            self.visit(root, None, DEPTH, profiles)
        except TooCostly as reached:
            self.issues.append(Issue("fatal", "too-costly", "", str(reached), "bounds"))
        self.close()

    def _alone(self, root: object, profile: Profile) -> list[Issue]:
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
        node = self.plan.type_node(type_) if isinstance(type_, str) else None
        here: Where = where or (None, node.type if node else "", None)  # never a name of the document's own making
        if node is None or not node.resource or not isinstance(value, dict):
            words = "A resource is needed here: an object whose resourceType is one of R4's"
            self.say(here, "resource-type", words, severity="error" if where else "fatal")
            return
        if targets is not None and type_ not in targets:
            self.say(here, "resource-type", f"A resource of type {' or '.join(targets)} is needed here")
        for one in profiles:
            if one.type != type_:
                self.say(here, "profile-type", f"The profile {one.url} is for {one.type}, and this is none")
        wanted = (self.plan.profile(url) for url in targets.get(node.type, ())) if targets else ()
        chosen = [one for one in (*profiles, *wanted, *self._claimed(value, here)) if one and one.type == type_]
        bases = {one.base for one in chosen}
        before, around = self.resource, self.places
        if type_ == "Bundle" and where is not None:
            self.places = Places(value)  # a Bundle inside another is a world of its own (bundle.html, "Resolving references in Bundles")
        if where is None or where[1] != "contained":
            self.resource = value
        else:
            if self.places.stands_twice(value.get("id")):
                self.say(here, "contained-id", "Two contained resources have the same id", "duplicate")
        inside = self.places.enter(value, where is not None and where[1] == "contained")
        for root in dict.fromkeys([one.node for one in chosen if one.url not in bases] or [node]):
            self.members(value, root, None, here, depth - 1)
        self.places.leave(inside)
        if type_ == "Bundle":
            references.whole(self, here)
        self.resource, self.places = before, around

    def _claimed(self, resource: dict[str, Any], where: Where) -> Iterable[Profile]:
        meta = resource.get("meta")
        claims = meta.get("profile") if isinstance(meta, dict) else None
        for index, claim in enumerate(claims if isinstance(claims, list) else ()):
            if not isinstance(claim, str):
                continue
            url, _, version = claim.partition("|")
            at = ((where, "meta", None), "profile", index)
            if (found := self.plan.profile(url)) is None:
                words = "Profile not known: not checked. Compile it in, or take the claim out"
                self.say(at, "profile-unknown", words, "not-supported", severity="warning")
            elif found.type != resource["resourceType"]:
                self.say(at, "profile-type", f"This profile is for {found.type}")
            else:
                if version and version != found.version:
                    words = f"Checked against version {found.version} of this profile, not the one named"
                    self.say(at, "profile-version", words, "not-supported", severity="warning")
                yield found

    def members(self, found: object, node: Node, element: Element | None, where: Where, depth: int) -> None:
        """An object of any kind: its properties, then what the whole must have and obey."""
        if type(found) is not dict:
            if found is None:
                self.say(where, "null", "null is not allowed here: leave it out")
            else:
                self.say(where, "type", "An object is needed here")
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
            if part.choice and part.kind != SHADOW:
                chosen = {} if chosen is None else chosen
                if chosen.setdefault(part.choice, key) != key:
                    self.say((where, part.step, None), "choice", f"{part.choice} has two values: keep one")
            if part.many and part.kind != SHADOW:
                self._array(value, part, found, node, element, where, depth)
            else:
                self._single(value, part, found, where, depth)
        if not found or (len(found) == 1 and "id" in found and element is not None and element.kind != SHADOW):
            self.say(where, "ele-1", "An empty object: leave the element out")
            return
        for name, others, part in node.required:
            if name not in found and f"_{name}" not in found and not any(other in found for other in others):
                self.say(where, "min", f"{part.path} is required and missing", "required")
        for part in node.sliced:
            if part.key not in found:
                self._slice_counts({}, part, where)
        if node.rules:
            self._obey(node.rules, found, where, node.path)
        if node.guarded and not node.guarded.keys().isdisjoint(found):
            for key, rules in node.guarded.items():
                if key in found:
                    self._obey(rules, found, where, node.path)
        if element is not None and (hook := HOOKS.get(node.type)):
            hook(self, found, element, where)

    def _array(
        self, value: Any, part: Element, found: dict[str, Any], node: Node, element: Element | None, where: Where, depth: int
    ) -> None:
        step, kind = part.step, part.kind
        if type(value) is not list:
            self.say((where, step, None), "type", "An array is needed here")
            return
        if not value:
            self.say((where, step, None), "empty", "An empty array: leave the element out")
            return
        if 0 <= part.max < len(value) or len(value) < part.min:
            self._count(len(value), part, where)
        if kind == PRIMITIVE:
            accept = part.accept
            for index, item in enumerate(value):
                if type(item) is not str or not accept(item):
                    self._primitive(item, part, (where, step, index), found, index)
        elif kind == EXTENSION:
            self._extensions(value, part, node, element, where, depth, found.get("url"))
        elif kind == RESOURCE:
            for index, item in enumerate(value):
                self.visit(item, (where, step, index), depth, (), part.targets)
        elif part.slices:
            self._sliced(value, part, part.slices, where, depth)
        else:
            inner = part.node or part.built()
            for index, item in enumerate(value):
                at: Where = (where, step, index)
                self.members(item, inner, part, at, depth - 1)
                if not part.plain:
                    self._own(item, part, at)

    def _single(self, value: Any, part: Element, found: dict[str, Any], where: Where, depth: int) -> None:
        at: Where = (where, part.step, None)
        kind = part.kind
        if part.max == 0:
            self._count(1, part, where)
        if kind == PRIMITIVE:
            if type(value) is not str or not part.accept(value):
                self._primitive(value, part, at, found, None)
        elif kind == SHADOW:
            self._shadow(value, part, found, where, depth)
        elif kind == XHTML:
            self._narrative(value, at)
        elif kind == RESOURCE:
            self.visit(value, at, depth, (), part.targets)
        else:
            self.members(value, part.node or part.built(), part, at, depth - 1)
            if not part.plain:
                self._own(value, part, at)

    def _obey(self, rules: Iterable[Rule], found: Mapping[str, Any], where: Where, path: str) -> None:
        for rule in rules:
            try:
                if rule.test is not None and rule.test(found, self.resource):
                    continue
            except DAMAGED:
                continue
            if rule.test is None:
                self.unsure("invariant-not-checked", rule.key, where, f"invariant {rule.key} of {path}")
            else:
                words = RULE_WORDS.get(rule.key, f"Invariant {rule.key} of {path} does not hold: see its definition")
                self.say(where, rule.key, words, "invariant", severity=rule.severity)

    def _extensions(
        self, items: list[Any], part: Element, node: Node, element: Element | None, where: Where, depth: int, outer: object
    ) -> None:
        """The extensions of one object. `element` is what the object is the value of; `outer` the url of the extension it is, if any."""
        counts: dict[str, int] = {}
        for index, item in enumerate(items):
            at: Where = (where, part.step, index)
            url = item.get("url") if isinstance(item, dict) else None
            profile = extensions.definition(self, url, at)
            one = part.by_url.get(url) if isinstance(url, str) else None
            inner = profile.node if profile else self.plan.extension
            if one:
                counts[one.path] = counts.get(one.path, 0) + 1
                inner = one.node or one.built()
            self.members(item, inner, part, at, depth - 1)
            if profile:
                extensions.placed(self, profile, part, node, element, where, at, outer)
            elif isinstance(url, str) and not one:
                extensions.foreign(self, url, part, node, at)
        if part.by_url:
            self._slice_counts(counts, part, where)

    # parts of an object

    def _unknown(self, key: object, node: Node, where: Where) -> None:
        name = f"{node.path}.{key}" if isinstance(key, str) and key.isascii() and key.isidentifier() and len(key) < 64 else node.path
        at = (where, name.rpartition(".")[2], None) if name != node.path else where
        self.say(
            at,
            "unknown-element",
            f"{node.path} has no such property here: a slip of the pen, a type that is not allowed, or another FHIR version",
        )

    def _count(self, count: int, part: Element, where: Where) -> None:
        at = (where, part.step, None)
        if count < part.min:
            self.say(at, "min", f"{part.path} is needed {part.min} times or more; here {count}", "required")
        else:
            self.say(at, "max", f"{part.path} may stand {part.max} times at most; here {count}")

    def _own(self, value: object, part: Element, where: Where) -> None:
        """What an element demands of its value beyond the type: fixed and pattern values, binding, rules."""
        if not isinstance(value, dict):
            return
        self._demanded(value, part, where)
        if part.rules:
            self._obey(part.rules, value, where, part.path)
        if part.bound:
            codes.bound_object(self, value, part, part.bound, where)

    def _demanded(self, value: object, part: Element, where: Where) -> None:
        if part.fixed is not None and not same(value, part.fixed, False):
            self.say(where, "fixed", f"{part.path} has a fixed value in this profile", "value")
        if part.pattern is not None and not same(value, part.pattern, True):
            self.say(where, "pattern", f"{part.path} must hold at least the pattern of this profile", "value")

    def _primitive(self, value: object, part: Element, where: Where, holder: Mapping[str, Any], index: int | None) -> None:
        """A primitive that was not passed at once: says what is wrong, if anything."""
        if value is None:
            shadow = holder.get(f"_{part.key}")
            beside = shadow[index] if isinstance(shadow, list) and index is not None and index < len(shadow) else None
            if index is None or beside is None:
                self.say(where, "null", "null is not allowed here: leave it out")
            return
        fault = self.plan.primitives.fault(part.type, value)
        if fault:
            key, words = fault
            if key == "control-character":
                self.say(where, key, words, "value", severity="warning")
            else:
                self.say(where, key, words, "value" if key == "format" else "structure")
                return
        self._demanded(value, part, where)
        self._obey(part.rules, {"value": value}, where, part.path)
        if part.bound and isinstance(value, str):
            codes.bound_code(self, value, part.bound, where)

    def _shadow(self, value: object, part: Element, holder: Mapping[str, Any], where: Where, depth: int) -> None:
        """`_name` beside a primitive: its id and extensions, for arrays one by one with null where there are none."""
        at: Where = (where, part.step, None)
        items = value if part.many else [value]
        if not isinstance(items, list):
            self.say(at, "type", "An array is needed here, as long as that of the values")
            return
        beside = holder.get(part.key[1:])
        if not items or (part.many and isinstance(beside, list) and len(beside) != len(items)):
            self.say(at, "empty", "Beside an array stands one of the same length, with null where a value has no extensions")
        elif all(item is None for item in items):
            self.say(at, "empty", "An array of nulls alone says nothing: leave it out", severity="warning")
        for index, item in enumerate(items):
            if item is not None:
                self.members(item, part.node or part.built(), part, (where, part.step, index if part.many else None), depth - 1)

    def _narrative(self, value: object, where: Where) -> None:
        if not isinstance(value, str) or not value:
            self.say(where, "type", "XHTML in a string is needed here")
            return
        found, links = xhtml.faults(value)
        for rule, words in found:
            self.say(where, rule, words, "invalid")
        if any(not self.places.has_anchor(link) for link in links):
            self.say(where, "narrative-link", "A link inside the narrative leads to nothing of this resource", "not-found")

    def _sliced(self, items: list[Any], part: Element, slices: Slices, where: Where, depth: int) -> None:
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
                    self.say(at, "slice-closed", f"{part.path} allows its named slices only, and this is none of them")
                if len(found) > 1:
                    self.say(at, "slice-ambiguous", f"This belongs to more than one slice of {part.path}")
            self.members(item, one.node or one.built(), one, at, depth - 1)
            self._own(item, one, at)
        self._slice_counts(counts, part, where)

    def _slice_counts(self, counts: dict[str, int], part: Element, where: Where) -> None:
        at: Where = (where, part.step, None)
        named = [one for _, one in part.slices.parts] if part.slices else []
        for one in (*named, *part.by_url.values()):
            count = counts.get(one.path, 0)
            name = one.path.rpartition(":")[2]
            if count < one.min:
                self.say(
                    at if part.key else where,
                    f"slice-min:{name}",
                    f"The slice {name} of {part.path} is needed {one.min} times or more; here {count}",
                    "required",
                )
            elif 0 <= one.max < count:
                self.say(at, f"slice-max:{name}", f"The slice {name} of {part.path} may stand {one.max} times at most; here {count}")
