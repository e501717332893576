"""How slices are told apart, and whether a value is the fixed one or holds a pattern (R4 profiling.html)."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

from exchange.fhir.r4.tables import Facts

Match = Callable[[Mapping[str, Any]], bool]


def discriminator(kind: str, path: str, facts: Facts) -> Match | None:
    """A test for one discriminator of a slice; None for what cannot be told here."""
    if kind == "type" and (refs := facts.get("children", {}).get(path, {}).get("types")) and path == "resource":
        return lambda found: any(isinstance(found.get(path), dict) and found[path].get("resourceType") == ref["code"] for ref in refs)
    if "(" in path or kind not in ("value", "pattern", "exists"):
        return None
    steps = [] if path == "$this" else path.split(".")
    if kind == "exists":
        child = facts.get("children", {}).get(path, {})
        wanted = child.get("min", 0) > 0
        return (lambda found: (path in found) == wanted) if wanted or child.get("max") == 0 else None
    expected = list(_expected(facts, steps))
    if not expected:
        return None
    return lambda found: any(same(value, wanted, loose) for value in _at(found, steps) for wanted, loose in expected)


def _expected(facts: Facts, steps: list[str]) -> Iterator[tuple[object, bool]]:
    """(value, is a pattern) that a slice demands at a path."""
    for word, loose in (("fixed", False), ("pattern", True)):
        if word in facts:
            yield from ((value, loose) for value in _at(facts[word], steps))  # type: ignore[literal-required]  # fixed or pattern
    for part in facts.get("slicing", {}).get("slices", {}).values():
        yield from _expected(part, steps)
    if steps and steps[0] in facts.get("children", {}):
        yield from _expected(facts["children"][steps[0]], steps[1:])


def every(tests: list[Match]) -> Match:
    return tests[0] if len(tests) == 1 else lambda found: all(test(found) for test in tests)


def _at(value: object, steps: list[str]) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            if not isinstance(item, list):  # FHIR has no arrays of arrays
                yield from _at(item, steps)
    elif not steps:
        yield value
    elif isinstance(value, dict) and steps[0] in value:
        yield from _at(value[steps[0]], steps[1:])


def same(value: object, wanted: object, loose: bool) -> bool:
    """`value` equals `wanted` exactly, or (loose) holds at least what the pattern asks for."""
    if isinstance(wanted, dict):
        if not isinstance(value, dict) or (not loose and value.keys() != wanted.keys()):
            return False
        return all(key in value and same(value[key], item, loose) for key, item in wanted.items())
    if isinstance(wanted, list):
        if not isinstance(value, list):
            return False
        if loose:
            return all(any(same(found, item, loose) for found in value) for item in wanted)
        return len(value) == len(wanted) and all(same(found, item, loose) for found, item in zip(value, wanted, strict=True))
    if isinstance(wanted, bool) or isinstance(value, bool):
        return value is wanted
    if isinstance(wanted, int | float | Decimal):
        return isinstance(value, int | float | Decimal) and value == wanted
    return value == wanted
