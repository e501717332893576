"""Blind indexes: look-ups over sealed identifiers without keeping the identifier (envelope.md 3).

HMAC-SHA-256(index key, LP("wardpost/index/1") ‖ LP(field) ‖ LP(scope) ‖ LP(value)), the first 16 bytes. The index key is as
secret as the KEK: who has it tries every NHS number within the hour. A normaliser answers None for what is not indexed.
"""

import hashlib
import hmac
import re
import unicodedata
from typing import Final

from exchange.errors import WardpostError
from exchange.seal.columns import length_prefixed

# [0-9] and not isdigit: that takes Arabic digits too.
_TEN_DIGITS: Final = re.compile(r"[0-9]{10}")


def blind_index(key: bytes, field: str, scope: str, value: str) -> bytes | None:
    """16 bytes, or None when the value is not indexed. `scope` is the sender's ODS code; an NHS number is everybody's.

    `local_id` takes `system|value`; a digest is indexed as a source id, which it stands in for.
    """
    if len(key) != 32:
        raise ValueError("an index key is 32 bytes")
    match field:
        case "nhs_number":
            scope, normal = "", normalise_nhs_number(value)
        case "local_id":
            system, _, local = value.partition("|")
            normal = normalise_local_id(system, local)
        case "visit_id" | "source_id":
            normal = normalise_id(value)
        case "registered":
            normal = normalise_id(value.casefold())
        case _:
            raise WardpostError("unknown_index", f"There is no index {field}.", next_step="Report this as a defect.")
    if normal is None:
        return None
    message = b"".join(map(length_prefixed, ("wardpost/index/1", field, scope, normal)))
    return hmac.digest(key, message, hashlib.sha256)[:16]


def normalise_nhs_number(text: str) -> str | None:
    """Ten ASCII digits without spaces and hyphens, or None: wrong length, wrong check digit (modulus 11), or a placeholder."""
    digits = text.replace(" ", "").replace("-", "")
    # 0000000000 and its like pass the check digit and stand for nobody: indexed, they would join strangers.
    if not _TEN_DIGITS.fullmatch(digits) or len(set(digits)) == 1:
        return None
    total = sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False))
    # A remainder of 1 asks for the check digit 10, which no digit is.
    return digits if (11 - total % 11) % 11 == int(digits[9]) else None


def normalise_local_id(system: str, value: str) -> str | None:
    """`system|value`; None for an empty value, and for a `|` in the system, which could pass for another pair."""
    identifier = normalise_id(value)
    return None if identifier is None or "|" in system else f"{normalise_id(system) or ''}|{identifier}"


def normalise_id(value: str) -> str | None:
    """A visit or source id: outer spaces off, NFC, case and zeros kept. None for an empty one."""
    return unicodedata.normalize("NFC", value.strip()) or None
