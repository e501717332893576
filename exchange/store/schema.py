"""The SQLModel tables, derived from exchange/records.py: what migrations and their tests compare with.

Imported for migrations alone: a service that is up to date starts without SQLModel's third of a second.
"""

import types
import typing

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlmodel import Field, SQLModel

from exchange.records import TABLES, Record
from exchange.store.tables import columns_of

SQLModel.metadata.naming_convention = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


@compiles(sa.Text, "postgresql")
def _text(*_: object, **__: object) -> str:
    """Every text column sorts by bytes, as on SQLite, whatever the language of the database."""
    return 'TEXT COLLATE "C"'


_PYTHON = {"sealed": bytes, "instant": int, "bool": bool, "enum": str}
_SQL: dict[type, sa.types.TypeEngine[typing.Any]] = {str: sa.Text(), int: sa.BigInteger(), bytes: sa.LargeBinary(), bool: sa.Boolean()}


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
        namespace[column.name] = Field(sa_column=sa.Column(_SQL[base], primary_key=column.name == first, nullable=column.is_optional))
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
