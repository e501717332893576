"""JSON against one of our JSON Schemas (2020-12), all issues at once with a path each. The schema file is the authority: this module
interprets the part of JSON Schema that our files use."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

from exchange.errors import Refused
from exchange.fhir.shape import part, text, texts

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


class SchemaIssue(NamedTuple):
    """One thing wrong: `path` as `changes.lines[0].status`, `words` without patient data."""

    path: str
    words: str


class SchemaRefused(Refused):
    """`<name>_invalid`: `issues` lists all that is wrong. `name` is what was sent, as `supplement`."""

    def __init__(self, name: str, issues: tuple[SchemaIssue, ...]) -> None:
        where = "; ".join(f"{issue.path or name}: {issue.words}" for issue in issues[:5])
        more = f"; and {len(issues) - 5} more" if len(issues) > 5 else ""
        step = "Mend what is named and send it again."
        super().__init__(f"{name}_invalid", f"The {name} part has issues: {where}{more}.", next_step=step)
        self.issues = issues


def check_schema(name: str, content: object) -> None:
    """Raises SchemaRefused with every issue of `content` against fhir_profiles/wardpost/<name>.schema.json."""
    if issues := tuple(_check(content, schema(name), "")):
        raise SchemaRefused(name, issues)


@cache
def schema(name: str) -> Mapping[str, object]:
    """The JSON Schema (2020-12) as shipped in the wheel."""
    read: Mapping[str, object] = json.loads((files("fhir_profiles") / "wardpost" / f"{name}.schema.json").read_text("utf-8"))
    return read


def _check(value: object, rule: Mapping[str, object], path: str) -> Iterator[SchemaIssue]:
    if allowed := texts(rule, "enum"):
        if value not in allowed:
            yield SchemaIssue(path, f"must be one of {', '.join(allowed)}")
        return
    kinds = [_TYPES[name] for name in texts(rule, "type") or [text(rule, "type")]]
    if type(value) not in [kind for kind, _ in kinds]:
        yield SchemaIssue(path, f"must be {' or '.join(words for _, words in kinds)}")
        return
    for keyword, (kind, is_kept, words) in _BOUNDS.items():
        if keyword in rule and isinstance(value, kind) and not is_kept(value, rule[keyword]):
            yield SchemaIssue(path, words.format(rule[keyword]))
    if isinstance(value, dict):
        yield from _check_members(value, rule, path)
    elif isinstance(value, list):
        for at, item in enumerate(value):
            yield from _check(item, part(rule, "items"), f"{path}[{at}]")
    elif isinstance(value, str) and "pattern" in rule:
        means = text(rule, "x-means")
        if not re.fullmatch(text(rule, "pattern"), value, re.ASCII) or ("date" in means and not _is_real(value)):
            yield SchemaIssue(path, f"must be {means}")


def _check_members(value: Mapping[str, object], rule: Mapping[str, object], path: str) -> Iterator[SchemaIssue]:
    dot = f"{path}." if path else ""
    for name in texts(rule, "required"):
        if name not in value:
            yield SchemaIssue(dot + name, "is required")
    for name, item in value.items():
        if member := part(rule, "properties", name):
            yield from _check(item, member, dot + name)
        else:
            # An unknown name may itself be a person's text: it is not repeated.
            yield SchemaIssue(path, "has a member that the schema does not know")


def _is_real(moment: str) -> bool:
    """Whether a date or dateTime in the right form names a day that exists."""
    try:
        return bool(datetime.fromisoformat(moment))
    except ValueError:
        return False
