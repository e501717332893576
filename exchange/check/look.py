"""Looks into FHIR JSON that invariants and references share: what is there, coded how, before what."""

import re
from calendar import timegm
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

Object = Mapping[str, Any]  # a FHIR object as JSON has it
_TIME = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII)


def has(found: Object, *names: str) -> bool:
    """One of these is there, be it as `_name` alone."""
    for name in names:  # noqa: SIM110 - met hundreds of times in a document: a generator costs three times as much
        if name in found or f"_{name}" in found:
            return True
    return False


def choice(found: Object, name: str) -> bool:
    """The choice element `name[x]` is there in some type."""
    width = len(name)
    return any(key.lstrip("_")[:width] == name and key.lstrip("_")[width : width + 1].isupper() for key in found)


def coded(found: Object, name: str, system: str, *codes: str) -> bool:
    """The CodeableConcept `name` has a coding of this system with one of these codes."""
    return any(
        coding.get("system") == system and coding.get("code") in codes
        for concept in items(found, name)
        for coding in items(concept, "coding")
    )


def items(found: Object, name: str) -> list[Any]:
    value = found.get(name, [])
    return value if isinstance(value, list) else [value]


def moment(text: str) -> tuple[int, Decimal] | None:
    """(precision, seconds since 1970 in UTC) of a FHIR date, dateTime or instant; the precision counts year, month, day, time."""
    match = _TIME.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    precision = sum(part is not None for part in (year, month, day, hour))
    seconds = Decimal(timegm((int(year), int(month or 1), int(day or 1), int(hour or 0), int(minute or 0), int(second or 0))))
    seconds += Decimal(fraction or 0)
    if zone and zone != "Z":
        seconds -= int(zone[0] + "1") * (int(zone[1:3]) * 3600 + int(zone[4:]) * 60)
    return precision, seconds


def in_order(first: object, second: object) -> bool:
    """`first` is not after `second`, as FHIRPath's `<=` has it: 2020 and 2020-05 cannot be compared, which breaks the rule, while 2019
    and 2020-05 can.
    """
    if not isinstance(first, str) or not isinstance(second, str):
        return True
    if len(first) == len(second) and first[19:] == second[19:] and first <= second:
        return True  # of one precision, zone and fraction: the usual case
    one, two = moment(first), moment(second)
    if one is None or two is None:
        return True  # no date, which has an issue of its own
    if one[0] != two[0]:
        width = (4, 7, 10)[min(one[0], two[0]) - 1]
        return first[:width] < second[:width]
    return one[1] <= two[1]


def inside(found: object) -> Iterator[Object]:
    """Every object below this one, itself included, once each."""
    stack = [found]
    seen: set[int] = set()
    while stack:
        value = stack.pop()
        if isinstance(value, dict | list) and id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                yield value
                stack += value.values()
            else:
                stack += value
