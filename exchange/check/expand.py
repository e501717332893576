"""Value sets expanded as far as the compiled code systems allow (development time only).

The record of a value set: `codes` maps a system to its codes, or to `"*"` for every code of it; `open` lists the systems of which a part
belongs to the set that cannot be listed here (SNOMED CT and dm+d filters, systems that are not on board). A coding of an open system
is "not checked".
"""

from collections.abc import Mapping
from typing import Any

Resource = dict[str, Any]  # a definition as published


def system_record(system: Resource) -> dict[str, object] | None:
    """The codes of a complete code system, or None for one whose codes are elsewhere."""
    if system.get("content") != "complete" or not system.get("concept"):
        return None
    record: dict[str, object] = {"codes": list(_parents(system))}
    if not system.get("caseSensitive"):  # also when it says nothing: HL7's v2 tables do not, and their users mix cases
        record["folded"] = True
    return record


def _parents(system: Resource) -> dict[str, set[str]]:
    """code → its direct parents, by nesting and by the properties `subsumedBy` and `parent`."""
    parents: dict[str, set[str]] = {}
    stack: list[tuple[str | None, Resource]] = [(None, concept) for concept in reversed(system.get("concept", []))]
    while stack:
        above, concept = stack.pop()
        own = parents.setdefault(concept["code"], set())
        if above is not None:
            own.add(above)
        own.update(p["valueCode"] for p in concept.get("property", []) if p["code"] in ("subsumedBy", "parent") and "valueCode" in p)
        stack += [(concept["code"], child) for child in reversed(concept.get("concept", []))]
    return parents


class Expander:
    """Expands the value sets of `sets` (by canonical) over the complete code systems of `systems`."""

    def __init__(self, sets: Mapping[str, Resource], systems: Mapping[str, Resource]) -> None:
        self._sets = sets
        self._parents = {url: _parents(system) for url, system in systems.items() if system_record(system)}
        self._done: dict[str, tuple[dict[str, set[str]], set[str]]] = {}

    def record(self, url: str) -> dict[str, object] | None:
        """The record of a value set; None for one that is not at hand."""
        if url.split("|")[0] not in self._sets:
            return None
        codes, opened = self._expand(url.split("|")[0])
        packed = {
            system: "*" if len(found) > 3 and found == self._parents.get(system, {}).keys() else sorted(found)
            for system, found in sorted(codes.items())
        }
        return {"codes": packed, "open": sorted(opened)} if opened else {"codes": packed}

    def _expand(self, url: str) -> tuple[dict[str, set[str]], set[str]]:
        if url not in self._done:
            self._done[url] = ({}, {f"?{url}"})  # a set that includes itself is open
            compose = self._sets[url].get("compose", {})
            codes: dict[str, set[str]] = {}
            opened: set[str] = set()
            for part in compose.get("include", []):
                found, unknown = self._part(part)
                for system, some in found.items():
                    codes.setdefault(system, set()).update(some)
                opened |= unknown
            for part in compose.get("exclude", []):
                found, unknown = self._part(part)
                for system, some in found.items():
                    codes[system] = codes.get(system, set()) - some
                for system in unknown & codes.keys():
                    opened.add(system)
                    del codes[system]
            if not compose:
                opened.add("?")
            self._done[url] = ({system: some for system, some in codes.items() if some}, opened)
        return self._done[url]

    def _part(self, part: Resource) -> tuple[dict[str, set[str]], set[str]]:
        """One include or exclude: its system and every value set it names hold together (an intersection)."""
        results = []
        if "system" in part:
            results.append(self._system(part))
        for url in part.get("valueSet", []):
            bare = url.split("|")[0]
            results.append(self._expand(bare) if bare in self._sets else ({}, {f"?{bare}"}))
        codes, opened = results[0] if results else ({}, {"?"})
        for more, unknown in results[1:]:
            opened = (opened & (unknown | more.keys())) | (unknown & codes.keys()) | {s for s in opened | unknown if s.startswith("?")}
            codes = {system: some & more.get(system, set()) for system, some in codes.items() if system not in opened}
        return codes, opened

    def _system(self, part: Resource) -> tuple[dict[str, set[str]], set[str]]:
        system = part["system"]
        if "concept" in part:
            return {system: {concept["code"] for concept in part["concept"]}}, set()
        parents = self._parents.get(system)
        if parents is None:
            return {}, {system}
        found = set(parents)
        for test in part.get("filter", []):
            match test["op"], test["property"]:
                case ("is-a" | "descendent-of") as op, ("concept" | "code"):
                    below = _below(test["value"], parents)
                    found &= below if op == "is-a" else below - {test["value"]}
                case "is-not-a", ("concept" | "code"):
                    found -= _below(test["value"], parents)
                case _:
                    return {}, {system}
        return {system: found}, set()


def _below(root: str, parents: Mapping[str, set[str]]) -> set[str]:
    """`root` and everything under it."""
    found = {root} if root in parents else set()
    grown = bool(found)
    while grown:
        more = {code for code, above in parents.items() if code not in found and above & found}
        found |= more
        grown = bool(more)
    return found
