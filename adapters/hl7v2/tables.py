"""Code to code tables, as data: `fhir_profiles/maps/hl7v2.json` and the national codes of UK Core, read once."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import TypedDict


class NationalTable(TypedDict):
    """One UK Core code system of one country: its system, version, and code to display."""

    system: str
    version: str
    codes: dict[str, str]


class _Table(TypedDict):
    source: str
    map: dict[str, str]


@cache
def _tables() -> dict[str, _Table]:
    found: dict[str, _Table] = json.loads(files("fhir_profiles").joinpath("maps/hl7v2.json").read_text("utf-8"))["tables"]
    return found


@cache
def _national() -> dict[str, dict[str, NationalTable]]:
    found: dict[str, dict[str, NationalTable]] = json.loads(files("fhir_profiles").joinpath("maps/uk-core-codes.json").read_text("utf-8"))[
        "tables"
    ]
    return found


def table(name: str) -> Mapping[str, str]:
    """The map of this name; see `source` in the file for where it comes from."""
    return _tables()[name]["map"]


def national(name: str, country: str) -> NationalTable | None:
    """A UK Core table such as `DischargeDestination` for `England` or `Wales`; None for another country."""
    return _national()[name].get(country)
