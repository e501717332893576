"""The store's Sealer: data keys under the key-encryption key, sealed columns and blind indexes (envelope.md 2 and 3)."""

from exchange.errors import WardpostError
from exchange.seal import blind, columns
from exchange.seal.columns import Cell, RandomBytes, SealingKey
from exchange.seal.kek import Kek


class KekSealer:
    """Implements ports.Sealer over the KEK of this process. Keys travel as (32 hex digits, 32 bytes)."""

    def __init__(self, kek: Kek, random_bytes: RandomBytes) -> None:
        self._kek = kek
        self.random_bytes = random_bytes

    def new_key(self) -> tuple[str, bytes, bytes]:
        key = columns.new_data_key(self.random_bytes)
        return key.key_id.hex(), key.key, self._kek.wrap(key, random_bytes=self.random_bytes)

    def unwrap(self, key_id: str, wrapped: bytes) -> bytes:
        return self._kek.unwrap(bytes.fromhex(key_id), wrapped).key

    def seal(self, key_id: str, key: bytes, table: str, column: str, row: str, plaintext: bytes) -> bytes:
        sealing = SealingKey(bytes.fromhex(key_id), key)
        return columns.seal_value(sealing, Cell(table, column, row), plaintext, random_bytes=self.random_bytes)

    def open(self, key: bytes, table: str, column: str, row: str, value: bytes) -> bytes:
        return columns.open_value(SealingKey(columns.read_key_id(value), key), Cell(table, column, row), value)

    def key_id(self, value: bytes) -> str:
        return columns.read_key_id(value).hex()

    def index(self, key: bytes, field: str, scope: str, value: str) -> bytes | None:
        """`local_id` takes `system|value`; a digest is indexed as a source id, which it stands in for."""
        made = blind.IndexKey(0, key)
        match field:
            case "nhs_number":
                return blind.index_nhs_number(made, value)
            case "local_id":
                system, _, local = value.partition("|")
                return blind.index_local_id(made, scope, system, local)
            case "visit_id":
                return blind.index_visit_id(made, scope, value)
            case "source_id":
                return blind.index_source_id(made, scope, value)
            case _:
                raise WardpostError("unknown_index", f"There is no index {field}.", next_step="Report this as a defect.")
