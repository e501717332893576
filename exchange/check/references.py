"""Where references lead: inside a resource, inside a Bundle, and the rules of FHIR documents (R4 references.html, bundle.html,
documents.html).
"""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from exchange.check.invariants import inside, items

if TYPE_CHECKING:
    from exchange.check.plan import Element
    from exchange.check.walk import Walk, Where

_LOCAL = re.compile(r"(?:([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?)(?:#.*)?", re.ASCII)
_REST = re.compile(r"(https?://\S+/)([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_ANCHOR = re.compile(r"""\s(?:id|name)=["']([^"']*)["']""")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
Resource = Mapping[str, Any]


class Places:
    """The resources of one check by their addresses, and who refers to whom."""

    def __init__(self, root: object) -> None:
        self.bundle = root if isinstance(root, dict) and root.get("resourceType") == "Bundle" else None
        self.document = self.bundle is not None and self.bundle.get("type") == "document"
        self.by_url: dict[str, Resource] = {}
        self._urls: dict[int, str] = {}
        self._links: dict[int, list[Resource]] = {}
        self.container: Resource = {}
        self.contained: dict[str, Resource] = {}
        self._twice: set[str] = set()
        self._base = ""
        self._anchors: tuple[Resource, set[str]] | None = None
        self._conform: dict[tuple[int, str], bool] = {}
        for entry in self._entries():
            url, resource = entry.get("fullUrl"), entry.get("resource")
            if isinstance(url, str) and isinstance(resource, dict):
                self.by_url.setdefault(url, resource)
                self._urls[id(resource)] = url

    def _entries(self) -> Iterator[dict[str, Any]]:
        entries = self.bundle.get("entry") if self.bundle else None
        yield from (entry for entry in (entries if isinstance(entries, list) else ()) if isinstance(entry, dict))

    def enter(self, resource: dict[str, Any], contained: bool) -> tuple[Resource, dict[str, Resource], set[str], str]:
        """Moves into a resource; give what this returns to `leave`."""
        before = self.container, self.contained, self._twice, self._base
        if not contained:
            self.container, self.contained, self._twice = resource, {}, set()
            self._base = self._urls.get(id(resource), "")
            for one in items(resource, "contained") if "contained" in resource else ():
                if isinstance(one, dict) and isinstance(name := one.get("id"), str):
                    if name in self.contained:
                        self._twice.add(name)
                    self.contained.setdefault(name, one)
        return before

    def leave(self, before: tuple[Resource, dict[str, Resource], set[str], str]) -> None:
        self.container, self.contained, self._twice, self._base = before

    def link(self, target: Resource) -> None:
        """Notes that the present resource refers to this one."""
        self._links.setdefault(id(self.container), []).append(target)

    def stands_twice(self, name: object) -> bool:
        """Two contained resources of the present container have this id."""
        return isinstance(name, str) and name in self._twice

    def has_anchor(self, name: str) -> bool:
        """A narrative of this resource, or a contained resource, has this id."""
        if self._anchors is None or self._anchors[0] is not self.container:
            texts = (found["div"] for found in inside(self.container) if isinstance(found.get("div"), str))
            self._anchors = self.container, {anchor for text in texts for anchor in _ANCHOR.findall(text)}
        return name in self.contained or name in self._anchors[1]

    def conforms(self, walk: "Walk", target: Resource, url: str) -> bool:
        """The target holds to a profile, looked at by itself: references out of it are not followed."""
        key = id(target), url
        if key not in self._conform:
            profile = walk.plan.profile(url)
            self._conform[key] = profile is None or not any(issue.severity in ("fatal", "error") for issue in walk.alone(target, profile))
        return self._conform[key]

    def resolve(self, text: str) -> tuple[Resource | None, str | None, tuple[str, str, str] | None]:
        """(target, type as the text tells it, (severity, rule, words) of a fault)."""
        if text in self.by_url:
            return self.by_url[text], None, None
        if _SCHEME.match(text):
            if text.startswith(("urn:uuid:", "urn:oid:")):
                words = "No entry has this urn as its fullUrl, and a urn can be found nowhere else"
                return None, None, ("warning", "reference-lost", words) if self.bundle else None
            rest = _REST.fullmatch(text)
            return (self.by_url.get(f"{rest[1]}{rest[2]}/{rest[3]}"), rest[2], None) if rest else (None, None, None)
        local = _LOCAL.fullmatch(text)
        if not local:
            if "?" in text and self.bundle and self.bundle.get("type") in ("transaction", "batch"):
                return None, None, None
            if any(letter.isspace() for letter in text):
                return None, None, ("error", "reference-form", "A reference is a URI: it holds no space")
            severity = "error" if self.bundle else "warning"
            return None, None, (severity, "reference-form", "A reference is absolute, #id, or Type/id: this one cannot be followed")
        base = _REST.fullmatch(self._base)
        if base:
            found = self.by_url.get(f"{base[1]}{local[1]}/{local[2]}")
            return found, local[1], None
        if self.document:
            words = "A relative reference leads nowhere from an entry whose fullUrl is a urn: write the target's fullUrl"
            return None, local[1], ("warning", "reference-lost", words)
        return None, local[1], None

    def finish(self, walk: "Walk") -> None:
        """The rules over a Bundle as a whole."""
        if self.bundle is None:
            return
        root: Where = (None, "Bundle", None)
        exempt = self.bundle.get("type") in ("batch", "transaction", "batch-response", "transaction-response")
        for index, entry in enumerate(items(self.bundle, "entry")):
            if not isinstance(entry, dict):
                continue
            at: Where = ((root, "entry", index), "fullUrl", None)
            url, resource = entry.get("fullUrl"), entry.get("resource")
            if not isinstance(url, str):
                if not exempt and isinstance(resource, dict):
                    walk.say("error", "required", (root, "entry", index), "An entry needs a fullUrl", "fullurl-missing")
                continue
            if not _SCHEME.match(url):
                walk.say("error", "value", at, "A fullUrl is absolute", "fullurl-absolute")
            rest = _REST.fullmatch(url)
            if rest and isinstance(resource, dict) and (rest[3], rest[2]) != (resource.get("id"), resource.get("resourceType")):
                walk.say("error", "value", at, "The fullUrl does not end in the type and id of its resource", "fullurl-id")
        if self.document:
            self._reachable(walk, root)

    def _reachable(self, walk: "Walk", root: "Where") -> None:
        """documents.html: an entry belongs into a document because the Composition leads to it, or because it points into the document."""
        found = [(index, entry["resource"]) for index, entry in enumerate(self._entries()) if isinstance(entry.get("resource"), dict)]
        if not found or found[0][1].get("resourceType") != "Composition":
            return
        reached = self._closure({id(found[0][1])}, [found[0][1]])
        if all(id(resource) in reached for _, resource in found):
            return
        sources: dict[int, list[tuple[int, Resource]]] = {}
        for index, resource in found:
            for target in self._links.get(id(resource), ()):
                sources.setdefault(id(target), []).append((index, resource))
        todo = list(reached)
        while todo:
            for index, resource in sources.get(todo.pop(), ()):
                if id(resource) not in reached:
                    more = self._closure({id(resource)}, [resource]) - reached
                    reached |= more
                    todo += more
                    if resource.get("resourceType") != "Provenance":
                        words = "The Composition does not lead to this entry; it only points into the document"
                        walk.say("warning", "structure", (root, "entry", index), words, "document-backwards")
        for index, resource in found:
            if id(resource) not in reached:
                walk.say("error", "structure", (root, "entry", index), "Nothing in the document leads to this entry", "document-orphan")

    def _closure(self, reached: set[int], todo: list[Resource]) -> set[int]:
        while todo:
            for target in self._links.get(id(todo.pop()), ()):
                if id(target) not in reached:
                    reached.add(id(target))
                    todo.append(target)
        return reached


def reference(walk: "Walk", found: dict[str, Any], part: "Element", where: "Where") -> None:
    """One Reference: its form, whether it leads anywhere, and to what."""
    places = walk.places
    text = found.get("reference")
    if not isinstance(text, str) or not text:
        _typed(walk, found.get("type"), found, part, where)
        return
    target = places.by_url.get(text)
    if target is not None and "type" not in found:
        kind = target.get("resourceType")
        if part.targets is None or (isinstance(kind, str) and part.targets.get(kind) == []):
            places.link(target)  # the usual case: an entry of a type that may stand here
            return
    at: Where = (where, "reference", None)
    type_: object = None
    if text.startswith("#"):
        if text == "#":
            target = places.container
        elif text[1:] in places.contained:
            target = places.contained[text[1:]]
        else:
            walk.say("error", "not-found", at, "No contained resource has this id", "ref-1")
            return
    else:
        target, type_, fault = places.resolve(text)
        from_composition = places.document and places.container.get("resourceType") == "Composition"
        if target is None and from_composition and not (fault and fault[0] == "error"):
            fault = "error", "document-reference", "What a Composition refers to must be an entry of its document"
        if fault:
            severity, rule, words = fault
            walk.say(severity, "not-found" if rule != "reference-form" else "value", at, words, rule)
        if target is not None:
            places.link(target)
    if target is not None:
        type_ = target.get("resourceType")
    claimed = found.get("type")
    if isinstance(claimed, str) and isinstance(type_, str) and claimed != type_:
        walk.say("error", "value", (where, "type", None), "The type of the reference is not that of its target", "reference-type")
    _typed(walk, type_ or claimed, found, part, where)
    if target is not None and isinstance(type_, str) and part.targets and part.targets.get(type_):
        _conforms(walk, target, part.targets[type_], where)


def _typed(walk: "Walk", type_: object, found: dict[str, Any], part: "Element", where: "Where") -> None:
    if not isinstance(type_, str) or ":" in type_:
        return
    facts = walk.plan.types.facts(type_)
    if facts is None or facts["kind"] != "resource":
        if "type" in found:
            walk.say("error", "value", where, "The reference names a type of resource that R4 does not have", "reference-type")
    elif part.targets is not None and type_ not in part.targets:
        walk.say("error", "structure", where, f"{part.path} may refer to {', '.join(part.targets)} only", "reference-target")


def _conforms(walk: "Walk", target: Resource, profiles: list[str], where: "Where") -> None:
    """The target must hold to one of these profiles. One that claims it is checked at its own place."""
    claims = target.get("meta", {}).get("profile", []) if isinstance(target.get("meta"), dict) else []
    if any(isinstance(claim, str) and claim.partition("|")[0] in profiles for claim in (claims if isinstance(claims, list) else ())):
        return
    if any(walk.places.conforms(walk, target, url) for url in profiles):
        return
    walk.say("error", "structure", where, f"The target must conform to {' or '.join(profiles)}", "reference-profile")
