"""Where references lead: inside a resource and inside a Bundle (R4 references.html, bundle.html)."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from exchange.check.issue import Severity
from exchange.check.look import inside, items

_LOCAL = re.compile(r"(?:([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?)(?:#.*)?", re.ASCII)
REST = re.compile(r"(https?://\S+/)([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?", re.ASCII)
_ANCHOR = re.compile(r"""\s(?:id|name)=["']([^"']*)["']""")
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
Resource = Mapping[str, Any]
Fault = tuple[Severity, str, str]  # severity, rule, words


class Places:
    """The resources of one check by their addresses, and who refers to whom."""

    def __init__(self, root: object) -> None:
        self.bundle = root if isinstance(root, dict) and root.get("resourceType") == "Bundle" else None
        self.document = self.bundle is not None and self.bundle.get("type") == "document"
        self.by_url: dict[str, Resource] = {}
        self._urls: dict[int, str] = {}
        self.links: dict[int, list[Resource]] = {}  # by id() of a resource, what it refers to
        self.container: Resource = {}
        self.contained: dict[str, Resource] = {}
        self._twice: set[str] = set()
        self._base = ""
        self._anchors: tuple[Resource, set[str]] | None = None
        self.conforming: dict[tuple[int, str], bool] = {}  # by target and profile, as they were found
        for entry in self.entries():
            url, resource = entry.get("fullUrl"), entry.get("resource")
            if isinstance(url, str) and isinstance(resource, dict):
                self.by_url.setdefault(url, resource)
                self._urls[id(resource)] = url

    def entries(self) -> Iterator[dict[str, Any]]:
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
        self.links.setdefault(id(self.container), []).append(target)

    def stands_twice(self, name: object) -> bool:
        """Two contained resources of the present container have this id."""
        return isinstance(name, str) and name in self._twice

    def has_anchor(self, name: str) -> bool:
        """A narrative of this resource, or a contained resource, has this id."""
        if self._anchors is None or self._anchors[0] is not self.container:
            texts = (found["div"] for found in inside(self.container) if isinstance(found.get("div"), str))
            self._anchors = self.container, {anchor for text in texts for anchor in _ANCHOR.findall(text)}
        return name in self.contained or name in self._anchors[1]

    def resolve(self, text: str) -> tuple[Resource | None, str | None, Fault | None]:
        """(target, type as the text tells it, what is wrong)."""
        if text in self.by_url:
            return self.by_url[text], None, None
        if any(letter.isspace() for letter in text):
            return None, None, ("error", "reference-form", "A reference is a URI: it holds no space")
        if SCHEME.match(text):
            if text.startswith(("urn:uuid:", "urn:oid:")):
                words = "No entry has this urn as its fullUrl, and a urn can be found nowhere else"
                return None, None, ("warning", "reference-lost", words) if self.bundle else None
            rest = REST.fullmatch(text)
            return (self.by_url.get(f"{rest[1]}{rest[2]}/{rest[3]}"), rest[2], None) if rest else (None, None, None)
        local = _LOCAL.fullmatch(text)
        if not local:
            if "?" in text and self.bundle and self.bundle.get("type") in ("transaction", "batch"):
                return None, None, None
            severity: Severity = "error" if self.bundle else "warning"
            return None, None, (severity, "reference-form", "A reference is absolute, #id, or Type/id: this one cannot be followed")
        base = REST.fullmatch(self._base)
        if base:
            found = self.by_url.get(f"{base[1]}{local[1]}/{local[2]}")
            return found, local[1], None
        if self.document:
            words = "A relative reference leads nowhere from an entry whose fullUrl is a urn: write the target's fullUrl"
            return None, local[1], ("warning", "reference-lost", words)
        return None, local[1], None
