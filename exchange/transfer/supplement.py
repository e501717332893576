"""Checks a Supplement against its JSON Schema and its own sense, all issues at once with a path each, and reads it.

The schema file is the authority: this module interprets the part of JSON Schema 2020-12 that it uses. What a schema cannot say
(an answer that contradicts itself) stands in `_contradictions`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import NamedTuple

import msgspec

from exchange.errors import Refused
from exchange.fhir.shape import is_real_moment, part, parts, text, texts
from exchange.fhir.stated import Stated

TYPES: Mapping[str, tuple[type, ...]] = {"object": (dict,), "array": (list,), "string": (str,), "boolean": (bool,), "integer": (int,)}
WORDS = {"object": "an object", "array": "a list", "string": "a text", "boolean": "true or false", "integer": "a whole number"}


class SupplementIssue(NamedTuple):
    """One thing wrong: `path` as `changes.lines[0].status`, `words` without patient data."""

    path: str
    words: str


class SupplementRefused(Refused):
    """`supplement_invalid`: `issues` lists all that is wrong."""

    def __init__(self, issues: tuple[SupplementIssue, ...]) -> None:
        where = "; ".join(f"{issue.path or 'the Supplement'}: {issue.words}" for issue in issues[:5])
        more = f"; and {len(issues) - 5} more" if len(issues) > 5 else ""
        super().__init__(
            "supplement_invalid", f"The Supplement has issues: {where}{more}.", next_step="Mend what is named and send it again."
        )
        self.issues = issues


def check_supplement(content: object) -> Stated:
    """The Supplement, typed. Raises SupplementRefused (a Refused `supplement_invalid`) with every issue."""
    issues = tuple(_check(content, schema(), ""))
    if not issues:
        issues = tuple(_contradictions(content))
    if issues:
        raise SupplementRefused(issues)
    return msgspec.convert(content, Stated)


@cache
def schema() -> Mapping[str, object]:
    """The JSON Schema (2020-12) as shipped in the wheel."""
    read: Mapping[str, object] = json.loads((files("fhir_profiles") / "wardpost" / "supplement.schema.json").read_text("utf-8"))
    return read


def _check(value: object, rule: Mapping[str, object], path: str) -> Iterator[SupplementIssue]:
    if allowed := texts(rule, "enum"):
        if not isinstance(value, str) or value not in allowed:
            yield SupplementIssue(path, f"must be one of {', '.join(allowed)}")
        return
    kinds = texts(rule, "type") or [text(rule, "type")]
    if not any(isinstance(value, TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool)) for kind in kinds):
        yield SupplementIssue(path, f"must be {' or '.join(WORDS[kind] for kind in kinds)}")
    elif isinstance(value, dict):
        yield from _check_object(value, rule, path)
    elif isinstance(value, list):
        most = rule.get("maxItems")
        if isinstance(most, int) and len(value) > most:
            yield SupplementIssue(path, f"has more than {most} items")
        if rule.get("uniqueItems") and len({repr(item) for item in value}) < len(value):
            yield SupplementIssue(path, "names the same thing twice")
        for at, item in enumerate(value):
            yield from _check(item, part(rule, "items"), f"{path}[{at}]")
    elif isinstance(value, str):
        yield from _check_text(value, rule, path)
    elif isinstance(least := rule.get("minimum"), int) and isinstance(value, int) and value < least:
        yield SupplementIssue(path, f"must be {least} or more")


def _check_object(value: Mapping[str, object], rule: Mapping[str, object], path: str) -> Iterator[SupplementIssue]:
    properties = part(rule, "properties")
    dot = f"{path}." if path else ""
    for name in texts(rule, "required"):
        if name not in value:
            yield SupplementIssue(dot + name, "is required")
    for name, item in value.items():
        if name in properties:
            yield from _check(item, part(properties, name), dot + name)
        else:
            # An unknown name may itself be a person's text: it is not repeated.
            yield SupplementIssue(path, "has a member that the schema does not know")


def _check_text(value: str, rule: Mapping[str, object], path: str) -> Iterator[SupplementIssue]:
    if rule.get("minLength") and not value.strip():
        yield SupplementIssue(path, "is empty: leave it out when there is nothing to say")
    longest = rule.get("maxLength")
    if isinstance(longest, int) and len(value) > longest:
        yield SupplementIssue(path, f"is longer than {longest} characters")
    if pattern := text(rule, "pattern"):
        means = text(rule, "x-means")
        if not re.fullmatch(pattern, value, re.ASCII) or ("date" in means and not is_real_moment(value)):
            yield SupplementIssue(path, f"must be {means}")


def _contradictions(content: object) -> Iterator[SupplementIssue]:
    """What contradicts itself inside one statement; what contradicts another source is the gate's matter."""
    changes = part(content, "changes")
    if changes.get("nothing_changed") is True and any(text(line, "status") != "unchanged" for line in parts(changes, "lines")):
        yield SupplementIssue("changes.nothing_changed", "is true beside a line that changed")
    bag = part(content, "bag")
    if bag.get("nothing_missing") is True and parts(bag, "missing"):
        yield SupplementIssue("bag.nothing_missing", "is true beside something missing")
    allergies = part(content, "allergies")
    if allergies.get("none_known") is True and parts(allergies, "list"):
        yield SupplementIssue("allergies.none_known", "is true beside a listed allergy")
    if allergies.get("none_known") is True and not allergies.get("asked"):
        yield SupplementIssue("allergies.asked", "is required with none_known: drug, food or latex")
    answers: dict[str, set[object]] = {}
    for at, line in enumerate(parts(content, "critical")):
        answers.setdefault(text(line, "class"), set()).add(line.get("present"))
        if line.get("present") is True and "medicine" not in line:
            yield SupplementIssue(f"critical[{at}].medicine", "is required when the class is present")
    for both in (kind for kind, said in answers.items() if len(said) > 1):
        yield SupplementIssue("critical", f"says yes and no to {both}")
