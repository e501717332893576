"""Primitive values: a quick yes for what is right, and words for what is not."""

import re
from calendar import monthrange
from collections.abc import Callable
from decimal import Decimal

from exchange.fhir.r4.tables import TypeTables

Accept = Callable[[str], object]  # truthy: this string is certainly a value of the type

_CONTROL = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff"
# datatypes.html#string: 1,048,576 characters at most; none below U+0020 but tab, line feed and carriage return, which is a SHOULD.
_UNWISE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_STRINGS = ("string", "markdown", "code", "uri", "url", "canonical")
_TEXT = re.compile(f"[^{_CONTROL}]{{1,{1024 * 1024}}}")
_BASE64 = re.compile(r"[0-9A-Za-z+/]*={0,2}", re.ASCII)
_SPACE = re.compile(r"[ \t\r\n]+")
_RANGES = {"integer": (-(2**31), 2**31 - 1), "unsignedInt": (0, 2**31 - 1), "positiveInt": (1, 2**31 - 1)}
_FORMS = {
    "id": "1 to 64 letters, digits, hyphens and dots",
    "code": "no space at either end and single ones inside",
    "date": "YYYY, YYYY-MM or YYYY-MM-DD, and a day that exists",
    "dateTime": "YYYY, YYYY-MM, YYYY-MM-DD or a full time with seconds and zone, and a day that exists",
    "instant": "a full time with seconds and zone, and a day that exists",
    "time": "hh:mm:ss",
    "base64Binary": "base64, whole groups of four",
    "oid": "urn:oid: and numbers with dots",
    "uuid": "urn:uuid: and a UUID in lower case",
    "uri": "no spaces; a urn:uuid: in lower case and whole, a urn:oid: of numbers with dots",
    "string": "at least one character, none that text cannot have, at most 1,048,576 characters",
}
_FORMS |= {"url": _FORMS["uri"], "canonical": "an absolute URI without spaces, or #id", "markdown": _FORMS["string"]}
NUMBERS = ("decimal", *_RANGES)


class Primitives:
    """The published patterns of R4's primitive types, compiled when first needed."""

    def __init__(self, types: TypeTables) -> None:
        self._types = types
        self._accept: dict[str, Accept] = {}

    def accept(self, name: str) -> Accept:
        """A test for strings of the type `name`; booleans and numbers are judged by `fault` alone."""
        if name not in self._accept:
            self._accept[name] = self._make(name)
        return self._accept[name]

    def _make(self, name: str) -> Accept:
        if name in ("string", "markdown", "xhtml"):
            return _TEXT.fullmatch
        if name == "base64Binary":
            return _base64
        if name in ("uri", "url", "canonical"):
            special = "|".join(self._regex(other) for other in ("uuid", "oid"))
            start = r"(?=#|[A-Za-z][A-Za-z0-9+.-]*:)" if name == "canonical" else ""
            return re.compile(rf"{start}(?:(?!urn:(?:uuid|oid):)[^\s{_CONTROL}]+|(?:{special})(?:[|#/?]\S*)?)", re.ASCII).fullmatch
        if name == "code":  # as published, and without the characters that no string may hold
            return re.compile(rf"[^\s{_CONTROL}]+([ \t\r\n][^\s{_CONTROL}]+)*", re.ASCII).fullmatch
        match = re.compile(self._regex(name), re.ASCII).fullmatch
        if name in ("date", "dateTime", "instant"):
            return lambda value: match(value) and _day_exists(value)
        return match

    def _regex(self, name: str) -> str:
        facts = self._types.facts(name)
        return facts.get("regex", r"\S+") if facts else r"\S+"

    def fault(self, name: str, value: object) -> tuple[str, str] | None:
        """None for a right value, else (rule, words)."""
        match value:
            case bool():
                return None if name == "boolean" else ("type", f"A value of type {name} is needed here, not true or false")
            case int() | float() | Decimal() if name in NUMBERS:
                return _number_fault(name, value)
            case str() if name not in NUMBERS and name != "boolean":
                if self.accept(name)(value):
                    return None
                if not value:
                    return "empty", "An empty string: leave the element out"
                if name in _STRINGS and self.accept(name)(_UNWISE.sub("x", value)):
                    return "control-character", "A control character should not stand in a text, and cannot in XML"
                return "format", f"Not a valid {name}: {_FORMS.get(name, 'see its definition')}"
        kind = "true or false, without quotes" if name == "boolean" else "a number, without quotes" if name in NUMBERS else "a string"
        return "type", f"A value of type {name} is needed here: {kind}"


def _base64(value: str) -> bool:
    if not value.isascii():
        return False
    if not _BASE64.fullmatch(value):
        value = _SPACE.sub("", value)
    return bool(value) and len(value) % 4 == 0 and _BASE64.fullmatch(value) is not None


def _day_exists(value: str) -> bool:
    return value[8:10] < "29" or int(value[8:10]) <= monthrange(int(value[:4]), int(value[5:7]))[1]


def _number_fault(name: str, value: int | float | Decimal) -> tuple[str, str] | None:
    if name == "decimal":
        finite = isinstance(value, int) or (value == value and abs(value) != float("inf"))
        return None if finite else ("format", "Not a decimal: NaN and Infinity are none")
    low, high = _RANGES[name]
    if not isinstance(value, int):
        return "format", f"Not a valid {name}: a whole number without point or exponent"
    return None if low <= value <= high else ("format", f"Not a valid {name}: {low} to {high}")
