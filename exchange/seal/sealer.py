"""The store's Sealer: data keys under the key-encryption key, sealed columns and blind indexes (envelope.md 2 and 3)."""

from exchange.seal.blind import blind_index
from exchange.seal.columns import KEY_BYTES, KEY_ID_BYTES, Cell, ColumnRefused, RandomBytes, SealingKey, open_value, read_key_id, seal_value
from exchange.seal.kek import Kek, KekRefused


class KekSealer:
    """Implements ports.Sealer over the KEK of this process. Keys travel as (32 hex digits, 32 bytes)."""

    def __init__(self, kek: Kek, random_bytes: RandomBytes) -> None:
        self._kek = kek
        self.random_bytes = random_bytes

    def new_key(self) -> tuple[str, bytes, bytes]:
        """A fresh data key: its id, the key, and the 77 bytes of `data_key.sealed`, under the KEK's current generation."""
        key_id, key = self.random_bytes(KEY_ID_BYTES).hex(), self.random_bytes(KEY_BYTES)
        return key_id, key, seal_value(self._kek.current, _row(key_id), key, random_bytes=self.random_bytes)

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        """The data key of a `data_key` row, under whichever generation. ColumnRefused, or KekRefused: kek_generation_missing."""
        generation = self._kek.generations.get(read_key_id(wrapped))
        if generation is None:
            message = "A data key was sealed under a generation of the key-encryption key that is not in the file."
            step = "Put the key file back that belongs to this database; generations stay in it until no backup needs them."
            raise KekRefused("kek_generation_missing", message, next_step=step)
        key = open_value(generation, _row(key_id), wrapped)
        if len(key) != KEY_BYTES:
            raise ColumnRefused("tampered")
        return key

    def seal(self, key_id: str, key: bytes, table: str, column: str, row: str, plaintext: bytes) -> bytes:
        return seal_value(SealingKey(bytes.fromhex(key_id), key), Cell(table, column, row), plaintext, random_bytes=self.random_bytes)

    def open(self, key: bytes, table: str, column: str, row: str, value: bytes) -> bytes:
        return open_value(SealingKey(read_key_id(value), key), Cell(table, column, row), value)

    def key_id(self, value: bytes) -> str:
        return read_key_id(value).hex()

    def index(self, key: bytes, field: str, scope: str, value: str) -> bytes | None:
        return blind_index(key, field, scope, value)


def _row(key_id: str) -> Cell:
    return Cell("data_key", "sealed", key_id)
