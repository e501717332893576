"""The SQLModel tables, derived from exchange/records.py, and how a record becomes columns and back.

Schema and migrations go through SQLModel's metadata; rows move at driver level, which is four to twelve times faster.
"""

import types
import typing
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa
from sqlmodel import Field, SQLModel

from exchange.records import TABLES, Indexed, Record, Sealed

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


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
    for item in fields(record):  # type: ignore[arg-type]  # every Record is a dataclass; the base alone is not
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


# (kind, name, turn) of each column, for the reading of rows.
READING: dict[type[Record], list[tuple[str, str, Callable[[typing.Any], object] | None]]] = {
    record: [(c.kind, c.name, c.turn) for c in columns.values()] for record, columns in _COLUMNS.items()
}


def columns_of(record: type[Record]) -> dict[str, Column]:
    """The columns of a record type, in order, by field name."""
    return _COLUMNS[record]


_PYTHON = {"sealed": bytes, "instant": int, "bool": bool, "enum": str}
_SQL: dict[type, type[sa.types.TypeEngine[typing.Any]]] = {str: sa.Text, int: sa.BigInteger, bytes: sa.LargeBinary, bool: sa.Boolean}


def _model(record: type[Record]) -> type[SQLModel]:
    annotations: dict[str, object] = {}
    namespace: dict[str, object] = {"__module__": __name__, "__annotations__": annotations, "__tablename__": record.META.table}
    first = next(iter(columns_of(record)))
    for column in columns_of(record).values():
        if column.kind == "indexed":
            annotations[f"{column.name}_index"] = bytes | None
            namespace[f"{column.name}_index"] = Field(default=None, sa_column=sa.Column(sa.LargeBinary(), nullable=True))
            annotations[f"{column.name}_index_key"] = int | None
            namespace[f"{column.name}_index_key"] = Field(default=None, sa_column=sa.Column(sa.BigInteger(), nullable=True))
            continue
        base = _PYTHON.get(column.kind, column.type)
        annotations[column.name] = base | None if column.is_optional else base
        namespace[column.name] = Field(sa_column=sa.Column(_SQL[base](), primary_key=column.name == first, nullable=column.is_optional))
    constraints: list[sa.UniqueConstraint | sa.Index] = [sa.UniqueConstraint(*names) for names in record.META.unique]
    indexed = [c.sql_names for c in columns_of(record).values() if c.kind == "indexed"]
    constraints += [sa.Index(None, *names) for names in [*record.META.index, *indexed] if names not in _already(record)]
    namespace["__table_args__"] = tuple(constraints)
    return types.new_class(f"{record.__name__}Row", (SQLModel,), {"table": True}, lambda body: body.update(namespace))


def _already(record: type[Record]) -> set[tuple[str, ...]]:
    """Index columns that META names for reading but that the pair index of the field covers."""
    return {(f"{name}_index",) for name in columns_of(record)}


MODELS: dict[type[Record], type[SQLModel]] = {record: _model(record) for record in TABLES}
metadata = SQLModel.metadata
