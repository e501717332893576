"""Blind indexes: look-ups over sealed identifiers without keeping the identifier (envelope.md 3).

HMAC-SHA-256(index key, LP("wardpost/index/1") ‖ LP(field) ‖ LP(scope) ‖ LP(value)), the first 16 bytes. The index key is as
secret as the KEK: who has it tries every NHS number within the hour. A normaliser answers None for what is not indexed.
"""

import hashlib
import hmac
import re
import unicodedata
from dataclasses import dataclass, field
from typing import Final, Literal

from exchange.seal.columns import length_prefixed

IndexField = Literal["nhs_number", "local_id", "visit_id", "source_id"]

_FORMAT: Final = "wardpost/index/1"
# [0-9] and not isdigit: that takes Arabic digits too.
_TEN_DIGITS: Final = re.compile(r"[0-9]{10}")


@dataclass(frozen=True, slots=True)
class IndexKey:
    """One generation of the index key, 32 bytes. Rows name the generation; look-ups try every live one."""

    generation: int
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.key) != 32:
            raise ValueError("an index key is 32 bytes")


def index_nhs_number(key: IndexKey, text: str) -> bytes | None:
    """16 bytes, the same for every organisation; None when this is no NHS number."""
    return _index(key, "nhs_number", "", normalise_nhs_number(text))


def index_local_id(key: IndexKey, sender_ods: str, system: str, value: str) -> bytes | None:
    """16 bytes, within one sender; `system` is the identifier's URI. None when not indexed."""
    return _index(key, "local_id", sender_ods, normalise_local_id(system, value))


def index_visit_id(key: IndexKey, sender_ods: str, value: str) -> bytes | None:
    """16 bytes, within one sender. None for an empty value."""
    return _index(key, "visit_id", sender_ods, normalise_id(value))


def index_source_id(key: IndexKey, sender_ods: str, value: str) -> bytes | None:
    """16 bytes, within one sender. None for an empty value."""
    return _index(key, "source_id", sender_ods, normalise_id(value))


def normalise_nhs_number(text: str) -> str | None:
    """Ten ASCII digits without spaces and hyphens, or None: wrong length, wrong check digit (modulus 11), or a placeholder."""
    digits = text.replace(" ", "").replace("-", "")
    if not _TEN_DIGITS.fullmatch(digits):
        return None
    # 0000000000 and its like pass the check digit and stand for nobody: indexed, they would join strangers.
    if len(set(digits)) == 1:
        return None
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    # A remainder of 1 asks for the check digit 10, which no digit is.
    return digits if (11 - total % 11) % 11 == int(digits[9]) else None


def normalise_local_id(system: str, value: str) -> str | None:
    """`system|value`; None for an empty value, and for a `|` in the system, which could pass for another pair."""
    system, identifier = _trim(system), normalise_id(value)
    return None if identifier is None or "|" in system else f"{system}|{identifier}"


def normalise_id(value: str) -> str | None:
    """A visit or source id: outer spaces off, NFC, case and zeros kept. None for an empty one."""
    return _trim(value) or None


def _trim(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


def _index(key: IndexKey, name: IndexField, scope: str, value: str | None) -> bytes | None:
    if value is None:
        return None
    message = b"".join(map(length_prefixed, (_FORMAT, name, scope, value)))
    return hmac.digest(key.key, message, hashlib.sha256)[:16]
