"""Which medicines are critical by their name: sourced, versioned data that a pharmacist owns (practice.md 3).

It only raises a question. A medicine that it does not know is "not established": the ward's tick list decides.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files


@cache
def table() -> Mapping[str, object]:
    """fhir_profiles/maps/critical-medicines.json: version, source and owner, and each kind's ingredients in lower case."""
    found: Mapping[str, object] = json.loads((files("fhir_profiles") / "maps" / "critical-medicines.json").read_text("utf-8"))
    return found


@cache
def _kinds_of() -> Mapping[str, frozenset[str]]:
    classes = table()["classes"]
    assert isinstance(classes, Mapping)
    words = {word for members in classes.values() for word in members}
    return {word: frozenset(kind for kind, members in classes.items() if word in members) for word in words}


@cache
def _pattern() -> re.Pattern[str]:
    return re.compile(r"\b(" + "|".join(sorted(_kinds_of(), key=len, reverse=True)) + r")\b")


def critical_classes(medicine: str) -> frozenset[str]:
    """The kinds (keys of codes.CRITICAL) of the ingredients that a medicine's text names; empty: not established."""
    found = _pattern().findall(medicine.lower())
    return frozenset[str]().union(*(_kinds_of()[word] for word in found))
