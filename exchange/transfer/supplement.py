"""Checks a Supplement against its JSON Schema and its own sense, all issues at once with a path each, and reads it.

What a schema cannot say (an answer that contradicts itself) stands in `_contradictions`.
"""

from collections.abc import Iterator

import msgspec

from exchange.fhir.stated import Allergies, Bag, Changes, Stated
from exchange.transfer.schema import SchemaIssue, SchemaRefused, check_schema


def check_supplement(content: object) -> Stated:
    """The Supplement, typed. Raises SchemaRefused `supplement_invalid` with every issue."""
    check_schema("supplement", content)
    stated = msgspec.convert(content, Stated)
    if issues := tuple(_contradictions(stated)):
        raise SchemaRefused("supplement", issues)
    return stated


def _contradictions(stated: Stated) -> Iterator[SchemaIssue]:
    """What contradicts itself inside one statement; what contradicts another source is the gate's matter."""
    changes, bag, allergies = stated.changes or Changes(), stated.bag or Bag(), stated.allergies or Allergies()
    if changes.nothing_changed and any(line.status != "unchanged" for line in changes.lines):
        yield SchemaIssue("changes.nothing_changed", "is true beside a line that changed")
    if bag.nothing_missing and bag.missing:
        yield SchemaIssue("bag.nothing_missing", "is true beside something missing")
    if allergies.none_known and allergies.list:
        yield SchemaIssue("allergies.none_known", "is true beside a listed allergy")
    if allergies.none_known and not allergies.asked:
        yield SchemaIssue("allergies.asked", "is required with none_known: drug, food or latex")
    if stated.override and stated.override.code == "O2" and not stated.override.note:
        yield SchemaIssue("override.note", "is required with O2: who at the home agreed")
    if stated.override and stated.override.code == "O4" and not stated.override.promise:
        yield SchemaIssue("override.promise", "is required with O4: until when")
    answers: dict[str, set[bool]] = {}
    for at, line in enumerate(stated.critical or ()):
        answers.setdefault(line.kind, set()).add(line.present)
        if line.present and not line.medicine:
            yield SchemaIssue(f"critical[{at}].medicine", "is required when the class is present")
    for kind in (kind for kind, said in answers.items() if len(said) > 1):
        yield SchemaIssue("critical", f"says yes and no to {kind}")
