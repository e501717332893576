"""The one JSON way: a strict loader at the rim, msgspec out. Decimals stay as written."""

import json
from decimal import Decimal
from typing import NoReturn

import msgspec

from exchange.errors import WardpostError

MAX_DEPTH = 64
_encoder = msgspec.json.Encoder(decimal_format="number")


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


def load_strict(data: bytes) -> object:
    """Parse received JSON; fractions come back as Decimal with every digit. Raises JsonRefused."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonRefused("The bytes are not UTF-8.") from None
    _refuse_depth(text)
    try:
        value: object = json.loads(text, object_pairs_hook=_pairs, parse_float=Decimal, parse_constant=_constant)
    except (json.JSONDecodeError, RecursionError):
        raise JsonRefused("The text is not one JSON document.") from None
    except ValueError as problem:
        if isinstance(problem, JsonRefused):
            raise
        raise JsonRefused("A number is too long.") from None
    try:
        # A lone surrogate escape is legal to Python's reader and cannot be written again.
        msgspec.json.encode(value, enc_hook=str)
    except (UnicodeEncodeError, msgspec.MsgspecError, ValueError):
        raise JsonRefused("A text holds half a character (a lone surrogate).") from None
    if "\\u0000" in text or "\x00" in text:
        raise JsonRefused("A text holds a NUL character.")
    return value


def _refuse_depth(text: str) -> None:
    """Depth by counting brackets outside strings, before any recursive parser sees the text."""
    depth = 0
    inside = False
    escaped = False
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    for character in text:
        if inside:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                inside = False
        elif character == '"':
            inside = True
        elif character in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise JsonRefused(f"Nested more than {MAX_DEPTH} deep.")
        elif character in "]}":
            depth -= 1


def dump(value: object) -> bytes:
    """Compact JSON bytes; Decimals are written with the digits they came with."""
    return _encoder.encode(value)
