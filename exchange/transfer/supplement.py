"""Checks a Supplement against its JSON Schema and its own sense, all issues at once with a path each, and reads it.

The schema file is the authority: this module interprets the part of JSON Schema 2020-12 that it uses. What a schema cannot say
(an answer that contradicts itself) stands in `_contradictions`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from exchange.errors import Refused
from exchange.fhir.shape import part, text, texts
from exchange.fhir.stated import Allergies, Bag, Changes, Stated

_TYPES = {
    "object": (dict, "an object"),
    "array": (list, "a list"),
    "string": (str, "a text"),
    "boolean": (bool, "true or false"),
    "integer": (int, "a whole number"),
}
# Keyword: the type that it bounds, whether a value keeps to it, and what is wrong when not.
_BOUNDS: Mapping[str, tuple[type, Callable[[Any, Any], bool], str]] = {
    "minLength": (str, lambda value, _: bool(value.strip()), "is empty: leave it out when there is nothing to say"),
    "maxLength": (str, lambda value, most: len(value) <= most, "is longer than {} characters"),
    "minimum": (int, lambda value, least: value >= least, "must be {} or more"),
    "maxItems": (list, lambda value, most: len(value) <= most, "has more than {} items"),
    "uniqueItems": (list, lambda value, _: len(set(map(repr, value))) == len(value), "names the same thing twice"),
}


class SupplementIssue(NamedTuple):
    """One thing wrong: `path` as `changes.lines[0].status`, `words` without patient data."""

    path: str
    words: str


class SupplementRefused(Refused):
    """`supplement_invalid`: `issues` lists all that is wrong."""

    def __init__(self, issues: tuple[SupplementIssue, ...]) -> None:
        where = "; ".join(f"{issue.path or 'the Supplement'}: {issue.words}" for issue in issues[:5])
        more = f"; and {len(issues) - 5} more" if len(issues) > 5 else ""
        step = "Mend what is named and send it again."
        super().__init__("supplement_invalid", f"The Supplement has issues: {where}{more}.", next_step=step)
        self.issues = issues


def check_supplement(content: object) -> Stated:
    """The Supplement, typed. Raises SupplementRefused (a Refused `supplement_invalid`) with every issue."""
    if issues := tuple(_check(content, schema(), "")):
        raise SupplementRefused(issues)
    stated = msgspec.convert(content, Stated)
    if issues := tuple(_contradictions(stated)):
        raise SupplementRefused(issues)
    return stated


@cache
def schema() -> Mapping[str, object]:
    """The JSON Schema (2020-12) as shipped in the wheel."""
    read: Mapping[str, object] = json.loads((files("fhir_profiles") / "wardpost" / "supplement.schema.json").read_text("utf-8"))
    return read


def _check(value: object, rule: Mapping[str, object], path: str) -> Iterator[SupplementIssue]:
    if allowed := texts(rule, "enum"):
        if value not in allowed:
            yield SupplementIssue(path, f"must be one of {', '.join(allowed)}")
        return
    kinds = [_TYPES[name] for name in texts(rule, "type") or [text(rule, "type")]]
    if type(value) not in [kind for kind, _ in kinds]:
        yield SupplementIssue(path, f"must be {' or '.join(words for _, words in kinds)}")
        return
    for keyword, (kind, is_kept, words) in _BOUNDS.items():
        if keyword in rule and isinstance(value, kind) and not is_kept(value, rule[keyword]):
            yield SupplementIssue(path, words.format(rule[keyword]))
    if isinstance(value, dict):
        yield from _check_members(value, rule, path)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _check(item, part(rule, "items"), f"{path}[{at}]")
    elif isinstance(value, str) and "pattern" in rule:
        means = text(rule, "x-means")
        if not re.fullmatch(text(rule, "pattern"), value, re.ASCII) or ("date" in means and not _is_real(value)):
            yield SupplementIssue(path, f"must be {means}")


def _check_members(value: Mapping[str, object], rule: Mapping[str, object], path: str) -> Iterator[SupplementIssue]:
    dot = f"{path}." if path else ""
    for name in texts(rule, "required"):
        if name not in value:
            yield SupplementIssue(dot + name, "is required")
    for name, item in value.items():
        if member := part(rule, "properties", name):
            yield from _check(item, member, dot + name)
        else:
            # An unknown name may itself be a person's text: it is not repeated.
            yield SupplementIssue(path, "has a member that the schema does not know")


def _is_real(moment: str) -> bool:
    """Whether a date or dateTime in the right form names a day that exists."""
    try:
        return bool(datetime.fromisoformat(moment))
    except ValueError:
        return False


def _contradictions(stated: Stated) -> Iterator[SupplementIssue]:
    """What contradicts itself inside one statement; what contradicts another source is the gate's matter."""
    changes, bag, allergies = stated.changes or Changes(), stated.bag or Bag(), stated.allergies or Allergies()
    if changes.nothing_changed and any(line.status != "unchanged" for line in changes.lines):
        yield SupplementIssue("changes.nothing_changed", "is true beside a line that changed")
    if bag.nothing_missing and bag.missing:
        yield SupplementIssue("bag.nothing_missing", "is true beside something missing")
    if allergies.none_known and allergies.list:
        yield SupplementIssue("allergies.none_known", "is true beside a listed allergy")
    if allergies.none_known and not allergies.asked:
        yield SupplementIssue("allergies.asked", "is required with none_known: drug, food or latex")
    answers: dict[str, set[bool]] = {}
    for at, line in enumerate(stated.critical or ()):
        answers.setdefault(line.kind, set()).add(line.present)
        if line.present and not line.medicine:
            yield SupplementIssue(f"critical[{at}].medicine", "is required when the class is present")
    for kind in (kind for kind, said in answers.items() if len(said) > 1):
        yield SupplementIssue("critical", f"says yes and no to {kind}")
