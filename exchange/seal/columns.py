"""Sealed columns: one value of one cell under its owner's data key, and the data keys under the KEK (envelope.md 2).

Value: 0x01 ‖ key id (16) ‖ nonce (12) ‖ AES-256-GCM ciphertext ‖ tag (16), 45 bytes more than the plaintext. Its associated
data names table, column and row, so a value moved to another cell does not open. An older value of the same cell does:
columns whose rollback matters are append-only rows. NULL stays NULL and never comes here; an empty plaintext is sealed.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Final, Literal, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.errors import WardpostError

ColumnCode = Literal["tampered", "unknown_version"]
RandomBytes = Callable[[int], bytes]

KEY_BYTES: Final = 32
KEY_ID_BYTES: Final = 16
_NONCE_BYTES, _TAG_BYTES = 12, 16
_HEAD_BYTES: Final = 1 + KEY_ID_BYTES + _NONCE_BYTES
_VERSION: Final = b"\x01"

_NEXT_STEPS: Final[dict[ColumnCode, str]] = {
    "tampered": "Run `wardpost fsck`, and restore the row from a backup.",
    "unknown_version": "Start the version of wardpost that wrote this database.",
}


class ColumnRefused(WardpostError):
    """A sealed value does not open."""

    def __init__(self, code: ColumnCode) -> None:
        super().__init__(code, "A sealed value does not open.", next_step=_NEXT_STEPS[code])


class Cell(NamedTuple):
    """Where a value lives. The row id is made before the insert."""

    table: str
    column: str
    row: str


@dataclass(frozen=True, slots=True)
class SealingKey:
    """An AES-256 key, 32 bytes, and the 16 bytes that name it. Serves as data key and as one generation of the KEK."""

    key_id: bytes
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        # AESGCM takes 16-byte keys without a word.
        if len(self.key_id) != KEY_ID_BYTES or len(self.key) != KEY_BYTES:
            raise ValueError("a sealing key is 32 bytes and its id 16")


def length_prefixed(text: str) -> bytes:
    """LP of envelope.md: two bytes of big-endian length, then UTF-8. ValueError over 65,535 bytes or for a lone surrogate."""
    data = text.encode("utf-8")
    if len(data) > 0xFFFF:
        raise ValueError("longer than 65,535 bytes")
    return len(data).to_bytes(2, "big") + data


def seal_value(key: SealingKey, cell: Cell, plaintext: bytes, *, random_bytes: RandomBytes) -> bytes:
    """The sealed value. `random_bytes` is os.urandom outside of tests: a counter would repeat after a restored backup."""
    nonce = random_bytes(_NONCE_BYTES)
    if len(nonce) != _NONCE_BYTES:
        raise ValueError("random_bytes gave a nonce of another length")
    return _VERSION + key.key_id + nonce + AESGCM(key.key).encrypt(nonce, plaintext, _associated_data(key, cell))


def read_key_id(value: bytes) -> bytes:
    """The id, 16 bytes, of the key that opens this value. ColumnRefused: unknown_version, tampered."""
    if value and value[:1] != _VERSION:
        raise ColumnRefused("unknown_version")
    if len(value) < _HEAD_BYTES + _TAG_BYTES:
        raise ColumnRefused("tampered")
    return value[1 : 1 + KEY_ID_BYTES]


def open_value(key: SealingKey, cell: Cell, value: bytes) -> bytes:
    """The plaintext. ColumnRefused: unknown_version; tampered for changed bytes and for another cell or key."""
    if read_key_id(value) != key.key_id:
        raise ColumnRefused("tampered")
    nonce = value[1 + KEY_ID_BYTES : _HEAD_BYTES]
    try:
        return AESGCM(key.key).decrypt(nonce, value[_HEAD_BYTES:], _associated_data(key, cell))
    except InvalidTag:
        raise ColumnRefused("tampered") from None


def _associated_data(key: SealingKey, cell: Cell) -> bytes:
    return _VERSION + key.key_id + _column(cell.table, cell.column) + length_prefixed(cell.row)


@cache
def _column(table: str, column: str) -> bytes:
    return b"".join(map(length_prefixed, ("wardpost/column", table, column)))
