"""The one JSON way: a strict loader at the rim, msgspec out. Decimals stay as written."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from typing import NoReturn

from exchange.errors import WardpostError
from exchange.fhir.r4.number import number

MAX_DEPTH = 64
# All that is no bracket: whole strings (also one that never ends) and what lies between. Possessive: 20 MB take no stack.
_NO_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[^"\[{\]}]++', re.DOTALL)
MAX_DIGITS = 1_000  # far beyond any measure; thousands of digits cost whoever computes with them


@cache
def _encode() -> Callable[[object], bytes]:
    import msgspec  # the checker reads JSON, and runs where this is not installed

    def literal(value: object) -> msgspec.Raw:
        """A number that Decimal would write otherwise (`1e3`), as it was written."""
        if isinstance(value, Decimal):
            return msgspec.Raw(str(value).encode())
        raise TypeError(f"{type(value).__name__} is no JSON")

    return msgspec.json.Encoder(decimal_format="number", enc_hook=literal).encode


class JsonRefused(WardpostError, ValueError):
    """Not the JSON that FHIR allows (R4 json.html): duplicate keys, NaN, lone surrogates, NUL, too deep, not UTF-8."""

    def __init__(self, message: str) -> None:
        super().__init__("json_refused", message, next_step="Send one JSON document in UTF-8 with each name once.")


def _pairs(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise JsonRefused("An object has the same name twice.")
    return found


def _constant(name: str) -> NoReturn:
    raise JsonRefused(f"{name} is not JSON.")


def _number(text: str) -> Decimal:
    if len(text) > MAX_DIGITS:
        raise JsonRefused("A number is longer than 1,000 characters.")
    try:
        return number(text)
    except ValueError:
        raise JsonRefused("A number is beyond every range.") from None


def _integer(text: str) -> int | Decimal:
    """A whole number; what `int` would write otherwise, or not at all, stays as it was written."""
    return _number(text) if text == "-0" or len(text) > 18 else int(text)


def load_strict(data: bytes) -> object:
    """Parse received JSON (a byte order mark is allowed); fractions come back as Decimal with every digit. Raises JsonRefused."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise JsonRefused("The bytes are not UTF-8.") from None
    _refuse_depth(text)
    try:
        value: object = json.loads(text, object_pairs_hook=_pairs, parse_float=_number, parse_int=_integer, parse_constant=_constant)
    except json.JSONDecodeError as wrong:
        raise JsonRefused(f"The text is not one JSON document (line {wrong.lineno}, column {wrong.colno}).") from None
    except RecursionError:
        raise JsonRefused("The text is nested too deep.") from None
    if "\\u" in text or "\x00" in text:
        _refuse_characters(value)
    return value


def _refuse_characters(value: object) -> None:
    """NUL and half a surrogate pair: legal to Python's reader, and nobody can write or store them again."""
    stack = [value]
    while stack:
        match stack.pop():
            case str() as text:
                if "\x00" in text:
                    raise JsonRefused("A text holds a NUL character.")
                if any("\ud800" <= character <= "\udfff" for character in text):
                    raise JsonRefused("A text holds half a character (a lone surrogate).")
            case dict() as found:
                stack += [*found.keys(), *found.values()]
            case list() as items:
                stack += items
            case _:
                pass


def _refuse_depth(text: str) -> None:
    """Depth by counting brackets outside strings, before any recursive parser sees the text."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NO_BRACKETS.sub("", text):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise JsonRefused(f"Nested more than {MAX_DEPTH} deep.")


def dump(value: object) -> bytes:
    """Compact JSON bytes; Decimals are written with the digits they came with."""
    return _encode()(value)
