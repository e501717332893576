"""How a record of exchange/records.py becomes columns and back. Rows move at driver level; schema.py has the SQLModel tables."""

import types
import typing
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from exchange.records import TABLES, Indexed, Record, Sealed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_micros(moment: datetime) -> int:
    """Whole microseconds since 1970 UTC."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a record. `kind`: plain, instant, bool, enum, sealed or indexed."""

    name: str
    kind: str
    type: type
    is_optional: bool

    @property
    def sql_names(self) -> tuple[str, ...]:
        return (f"{self.name}_index", f"{self.name}_index_key") if self.kind == "indexed" else (self.name,)

    def to_sql(self, value: object) -> object:
        """A plain value as the driver wants it (sealed and indexed ones are the unit of work's business)."""
        if value is None or self.kind in ("plain", "bool"):
            return value
        if self.kind == "instant":
            assert isinstance(value, datetime)
            return to_micros(value)
        return str(value)

    @property
    def turn(self) -> Callable[[typing.Any], object] | None:
        """What turns the driver's value into ours; None when nothing is to be done."""
        if self.kind == "instant":
            return from_micros
        if self.kind == "bool":
            return bool
        return self.type if self.kind == "enum" else None


def _columns(record: type[Record]) -> dict[str, Column]:
    hints = typing.get_type_hints(record)
    found: dict[str, Column] = {}
    for item in fields(record):
        hint = hints[item.name]
        optional = isinstance(hint, types.UnionType)
        base = next(a for a in typing.get_args(hint) if a is not type(None)) if optional else hint
        if base is Sealed:
            kind = "sealed"
        elif base is Indexed:
            kind = "indexed"
        elif base is datetime:
            kind = "instant"
        elif base is bool:
            kind = "bool"
        elif issubclass(base, StrEnum):
            kind = "enum"
        else:
            kind = "plain"
        found[item.name] = Column(item.name, kind, base, optional)
    return found


_COLUMNS: dict[type[Record], dict[str, Column]] = {record: _columns(record) for record in TABLES}


def _reading(columns: Iterable[Column]) -> list[tuple[int, str, str, Callable[[typing.Any], object] | None]]:
    """(position in the row, kind, name, turn) of each column that is not taken as the driver gives it; the last first."""
    found, at = [], 0
    for column in columns:
        if column.kind in ("sealed", "indexed") or column.turn:
            found.append((at, column.kind, column.name, column.turn))
        at += len(column.sql_names)
    return found[::-1]


READING = {record: _reading(columns.values()) for record, columns in _COLUMNS.items()}


def columns_of(record: type[Record]) -> dict[str, Column]:
    """The columns of a record type, in order, by field name."""
    return _COLUMNS[record]
