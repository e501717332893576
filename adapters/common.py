"""What all adapters need: putting members into a resource, HL7 times, decimals, NHS numbers, code tables. It knows no format."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, NamedTuple, TypedDict
from zoneinfo import ZoneInfo

from exchange.fhir.draft import Resource, Unreadable
from exchange.fhir.r4.number import number

LOCAL_PATIENT = "https://fhir.nhs.uk/Id/local-patient-identifier"
LOCAL_PRACTITIONER = "https://fhir.nhs.uk/Id/local-practitioner-identifier"
UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-"
THO = "http://terminology.hl7.org/CodeSystem/"
DMD = "https://dmd.nhs.uk"
UCUM = "http://unitsofmeasure.org"
_RENDERED = "http://hl7.org/fhir/StructureDefinition/rendered-value"
_TIME = re.compile(r"(\d{4})(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(?:(\d\d)(\.\d{1,9})?)?)?)?)?)?([+-]\d{4})?", re.ASCII)


class NationalTable(TypedDict):
    """One UK Core code system of one country: its system, version, and code to display."""

    system: str
    version: str
    codes: dict[str, str]


@cache
def _file(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(files("fhir_profiles").joinpath(f"maps/{name}.json").read_text("utf-8"))["tables"]
    return found


@cache
def code_table(file: str, name: str) -> Mapping[str, str]:
    """A code to code map of `fhir_profiles/maps`; see `source` beside it for where it comes from."""
    found: Mapping[str, str] = _file(file)[name]["map"]
    return found


def national(name: str, country: str) -> NationalTable | None:
    """A UK Core table such as `DischargeDestination` for `England` or `Wales`; None for another country."""
    found: NationalTable | None = _file("uk-core-codes").get(name, {}).get(country)
    return found


class Moment(NamedTuple):
    """A FHIR date or dateTime. `written`: the source's text where its place in time cannot be known (the clock-change hour)."""

    text: str
    written: str = ""


def put(target: Resource, key: str, value: object) -> None:
    """Set what is there; FHIR knows no empty values."""
    if value not in ("", None, [], {}):
        target[key] = value


def only(**members: object) -> Resource:
    """An object of the members that are there."""
    return {name: value for name, value in members.items() if value not in ("", None, [], {})}


def put_moment(target: Resource, key: str, moment: Moment | None) -> None:
    """A time under its element; a clock-change hour as its day, with the source's text beside it (practice.md 2)."""
    if moment:
        target[key] = moment.text
        if moment.written:
            target[f"_{key}"] = {"extension": [{"url": _RENDERED, "valueString": moment.written}]}


@lru_cache(maxsize=16)
def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise Unreadable("zone_unknown", "The sender's profile names a time zone that does not exist.") from None


@lru_cache(maxsize=4096)
def read_time(text: str, zone: str) -> Moment | None:
    """Row TS → date, dateTime. Partial stays partial, minutes get `:00`, an hour alone is its day; None when it is no time.

    Without an offset it is the time of `zone`; an hour that this zone has twice or never is not guessed.
    """
    found = _TIME.fullmatch(text)
    if not found:
        return None
    year, month, day, hour, minute, second, fraction, offset = found.groups()
    try:
        at = datetime(int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0), tzinfo=UTC)
    except ValueError:
        return None
    if not day or not minute:
        return Moment("-".join(part for part in (year, month, day) if part))
    whole_day = f"{year}-{month}-{day}"
    clock = f"{hour}:{minute}:{second or '00'}{fraction or ''}"
    if offset:
        if int(offset[1:3]) > 13 or int(offset[3:]) > 59:
            return None
        return Moment(f"{whole_day}T{clock}{offset[:3]}:{offset[3:]}")
    local = at.replace(tzinfo=_zone(zone))
    early, late = local.utcoffset(), local.replace(fold=1).utcoffset()
    if early is None or early != late:
        said = ":".join(part for part in (hour, minute, second) if part)
        return Moment(whole_day, f"{whole_day} {said} (clock change: which hour is meant is not known)")
    minutes = round(early.total_seconds() / 60)
    return Moment(f"{whole_day}T{clock}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}")


def decimal(text: str) -> Decimal | None:
    """Row NM → decimal: leading zeros and a plus sign go, for JSON knows neither (`065.88`); every other digit stays (`4.10`).
    None when it is no number."""
    found = re.fullmatch(r"(?:\+|(-))?0*(\d{1,100}(?:\.\d{1,100})?|\.\d{1,100})", text, re.ASCII)
    return number((found[1] or "") + ("0" if found[2][0] == "." else "") + found[2]) if found else None


def nhs_number(text: str) -> str:
    """The ten digits, spaces and hyphens left out; "" for a wrong modulus 11 check digit or a placeholder (0000000000, 1111111111, …)."""
    digits = re.sub(r"[\s-]", "", text)
    if len(digits) != 10 or not digits.isascii() or not digits.isdecimal() or len(set(digits)) == 1:
        return ""
    check = 11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return digits if check % 11 == int(digits[9]) and check != 10 else ""


def display_name(name: Resource) -> str:
    """A name as people write it: prefix, given names, family name."""
    words: list[str] = []
    for key in ("prefix", "given", "family"):
        part = name.get(key, "")
        words += part if isinstance(part, list) else [str(part)] if part else []
    return " ".join(words)
