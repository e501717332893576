"""Code to code tables, as data: `fhir_profiles/maps/fhir.json` and the national codes of UK Core, read once."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def _tables(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("fhir_profiles").joinpath(f"maps/{name}.json").read_text("utf-8"))["tables"]
    return found


def table(name: str) -> Mapping[str, str]:
    """The map of this name; see `source` in the file for where it comes from."""
    found: Mapping[str, str] = _tables("fhir")[name]["map"]
    return found


def national_system(system: str, code: str, country: str) -> str:
    """The UK Core code system of a CareConnect one when it has this code in the feed's country, else the system as it was."""
    found = _tables("uk-core-codes").get(table("national").get(system, ""), {}).get(country, {})
    return str(found["system"]) if found and code in found["codes"] else system
