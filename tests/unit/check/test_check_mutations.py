"""A mutation that breaks a document for certain is reported, at the mutated path, wherever in the document it happens."""

import copy
import random
from collections.abc import Iterator
from typing import Any

import pytest

from exchange.check import Checker
from exchange.fhir.r4.tables import TypeTables
from tests.check_kit import document

CHECKER = Checker.load()
TYPES = TypeTables.load()
Place = tuple[Any, Any, str]  # holder, key or index, FHIRPath


def places(value: Any, path: str) -> Iterator[Place]:
    """Every value of the document with its FHIRPath, save inside narrative and resource types."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in pairs:
        if key in ("resourceType", "div"):
            continue
        here = f"{path}[{key}]" if isinstance(value, list) else f"{path}.{spelled(path, str(key), value)}"
        yield value, key, here
        if isinstance(inner, dict | list):
            yield from places(inner, here)


def spelled(path: str, key: str, holder: Any) -> str:
    """`valueQuantity` as FHIRPath: `value.ofType(Quantity)`; `_birthDate` as `birthDate`."""
    key = key.removeprefix("_")
    for base in ("value", "onset", "effective", "performed", "medication", "bounds", "dose", "deceased"):
        rest = key.removeprefix(base)
        type_ = rest if TYPES.facts(rest) else rest[:1].lower() + rest[1:]
        if rest != key and rest and (found := TYPES.facts(type_)) and found["kind"] != "resource":
            return f"{base}.ofType({type_})"
    return key


def at(root: Any, path: list[Any]) -> Any:
    for step in path:
        root = root[step]
    return root


def trail(root: Any, wanted: Any) -> list[Any]:
    """The keys that lead to one holder of a document."""
    stack: list[tuple[Any, list[Any]]] = [(root, [])]
    while stack:
        value, path = stack.pop()
        if value is wanted:
            return path
        if isinstance(value, dict | list):
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            stack += [(inner, [*path, key]) for key, inner in pairs]
    raise LookupError


MUTATIONS: dict[str, Any] = {
    "an empty text": (lambda value: isinstance(value, str), ""),
    "an object for a text": (lambda value: isinstance(value, str), {"x": "y"}),
    "an empty object": (lambda value: isinstance(value, dict), {}),
    "a text for an object": (lambda value: isinstance(value, dict), "x"),
    "an empty array": (lambda value: isinstance(value, list), []),
    "null": (lambda value: True, None),
    "a control character": (lambda value: isinstance(value, str), "\x00"),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_a_mutation_is_reported_where_it_is(name: str) -> None:
    suits, replacement = MUTATIONS[name]
    clean = document()
    chosen = [place for place in places(clean, "Bundle") if suits(place[0][place[1]])]
    for holder, key, path in random.Random(name).sample(chosen, 120):
        wrong = copy.deepcopy(clean)
        at(wrong, trail(clean, holder))[key] = copy.deepcopy(replacement)
        found = {issue.expression for issue in CHECKER.check(wrong) if issue.severity != "information"}
        assert path in found or f"{path}.x" in found, (path, sorted(found)[:5])
