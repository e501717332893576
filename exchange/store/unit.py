"""The unit of work over one DBAPI connection: records in and out, sealing on the way, rows of other scopes invisible.

SQL is made once per shape and cached. It is plain enough for SQLite and PostgreSQL alike; parameters are named.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from datetime import datetime
from typing import Any, Protocol, cast

from exchange.errors import Conflict, Gone, WardpostError
from exchange.model import Role, Scope
from exchange.ports import R
from exchange.records import AuditEvent, DataKey, Indexed, IndexKey, Mailbox, Organisation, OrgKey, Record, Sealed
from exchange.store.keys import KeyCache
from exchange.store.tables import READING, Column, columns_of

_OPERATORS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "ne": "<>"}
# What every scope may read: the public directory and public keys.
_PUBLIC = (Organisation, OrgKey)


class Connection(Protocol):
    """The driver as the unit of work needs it: run one statement, get all rows and the number changed."""

    def run(self, sql: str, parameters: Mapping[str, object]) -> tuple[Sequence[Sequence[Any]], int]: ...

    @property
    def lock_suffix(self) -> str: ...
    @property
    def duplicate_error(self) -> type[Exception]: ...


class Unit:
    """One transaction in one scope. Implements ports.UnitOfWork."""

    def __init__(
        self,
        connection: Connection,
        cache: KeyCache,
        scope: Scope,
        now: datetime,
        new_id: Callable[[], str],
        later: "Callable[[Callable[[Unit], bytes]], bytes]",
    ) -> None:
        self.scope = scope
        self.now = now
        self.new_id = new_id
        self._db = connection
        self._cache = cache
        self._fresh: dict[tuple[str, str], tuple[str, bytes]] = {}
        self._erased: list[tuple[str, str]] = []
        self._later = later
        self._has_ended = False

    def random_bytes(self, n: int) -> bytes:
        return self._cache.sealer.random_bytes(n)

    def committed(self) -> None:
        """Called after COMMIT (or a read): keys used here may now be cached, erased ones are forgotten."""
        for owner, (key_id, key) in self._fresh.items():
            self._cache.keep(owner, key_id, key)
        for owner in self._erased:
            self._cache.forget(owner)
        self._has_ended = True

    # Rows

    def insert(self, record: Record) -> None:
        kind = type(record)
        self._refuse_foreign(record)
        values = self._to_sql(record, columns_of(kind).values())
        names = list(values)
        sql = f"INSERT INTO {kind.META.table} ({', '.join(names)}) VALUES ({', '.join(':' + n for n in names)})"  # noqa: S608
        try:
            self._db.run(sql, values)
        except self._db.duplicate_error as problem:
            raise Conflict("duplicate", f"A {kind.META.table} row like this exists already.", next_step="Read it and decide.") from problem

    def get(self, kind: type[R], id: str) -> R | None:
        found = self._select(kind, {_key(kind): id}, "", 1, "")
        return found[0] if found else None

    def lock(self, kind: type[R], id: str) -> R | None:
        found = self._select(kind, {_key(kind): id}, "", 1, self._db.lock_suffix)
        return found[0] if found else None

    def find(self, kind: type[R], /, *, order: str = "", limit: int | None = None, **where: object) -> list[R]:
        return self._select(kind, where, order, limit, "")

    def count(self, kind: type[Record], /, **where: object) -> int:
        condition, values = self._where(kind, where)
        rows, _ = self._db.run(f"SELECT count(*) FROM {kind.META.table}{condition}", values)  # noqa: S608
        return int(rows[0][0])

    def update(self, kind: type[Record], changes: Mapping[str, object], /, **where: object) -> int:
        columns = columns_of(kind)
        condition, values = self._where(kind, where)
        for name, value in changes.items():
            values["new_" + name] = columns[name].to_sql(value)
        assignments = ", ".join(f"{name} = :new_{name}" for name in changes)
        return self._db.run(f"UPDATE {kind.META.table} SET {assignments}{condition}", values)[1]  # noqa: S608

    def replace(self, record: R, /, **changes: object) -> R:
        kind = type(record)
        changed = replace(record, **changes)  # type: ignore[type-var]  # every Record is a dataclass
        self._refuse_foreign(changed)
        columns = columns_of(kind)
        values = self._to_sql(changed, [columns[name] for name in changes])
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        values["the_key"] = getattr(record, _key(kind))
        self._db.run(f"UPDATE {kind.META.table} SET {assignments} WHERE {_key(kind)} = :the_key", values)  # noqa: S608
        return changed

    def delete(self, kind: type[Record], /, **where: object) -> int:
        condition, values = self._where(kind, where)
        if kind is DataKey:
            self._erased += [(k.owner_kind, k.owner_id) for k in self._select(DataKey, where, "", None, "")]
        return self._db.run(f"DELETE FROM {kind.META.table}{condition}", values)[1]  # noqa: S608

    def _select(self, kind: type[R], where: Mapping[str, object], order: str, limit: int | None, suffix: str) -> list[R]:
        condition, values = self._where(kind, where)
        large = kind.META.large
        names = ", ".join(f"{n} IS NOT NULL" if n == large else n for c in columns_of(kind).values() for n in c.sql_names)
        sql = f"SELECT {names} FROM {kind.META.table}{condition}{_order(kind, order)}"  # noqa: S608
        if limit is not None:
            sql += f" LIMIT {int(limit)}"
        rows, _ = self._db.run(sql + suffix, values)
        return [self._from_sql(kind, row) for row in rows]

    def _where(self, kind: type[Record], where: Mapping[str, object]) -> tuple[str, dict[str, object]]:
        columns = columns_of(kind)
        parts: list[str] = []
        values: dict[str, object] = {}
        for name, value in where.items():
            field_name, _, operator = name.partition("__")
            column = columns[field_name]
            if column.kind == "indexed":
                parts.append(_indexed_condition(column, value, values))
            elif operator == "in":
                items = list(cast("Sequence[object]", value))
                marks = [f":{field_name}_{i}" for i in range(len(items))]
                values.update({f"{field_name}_{i}": column.to_sql(v) for i, v in enumerate(items)})
                parts.append(f"{field_name} IN ({', '.join(marks)})" if items else "1 = 0")
            elif value is None:
                parts.append(f"{field_name} IS {'NOT ' if operator == 'ne' else ''}NULL")
            else:
                mark = f"{field_name}_{operator}" if operator else field_name
                parts.append(f"{field_name} {_OPERATORS.get(operator, '=')} :{mark}")
                values[mark] = column.to_sql(value)
        limited = self._scope_fields(kind)
        if limited:
            parts.append("(" + " OR ".join(f"{name} = :scope_org" for name in limited) + ")")
            values["scope_org"] = self.scope.org
        return (" WHERE " + " AND ".join(parts) if parts else ""), values

    def _scope_fields(self, kind: type[Record]) -> tuple[str, ...]:
        """The columns of which one must name the scope's organisation; none for no limit. Refuses tables that nobody owns."""
        if self.scope.role is Role.SERVICE or kind in _PUBLIC or kind in (DataKey, IndexKey):
            return ()
        if kind is Mailbox:
            return ("id",)
        if kind is AuditEvent:
            return ("org", "other_org")
        own = "recipient_org" if self.scope.role is Role.RECIPIENT else "sender_org"
        names = columns_of(kind)
        for name in (own, "org"):
            if name in names:
                return (name,)
        raise WardpostError("out_of_scope", f"{kind.META.table} is not for organisations.", next_step="Use a service scope for this step.")

    def _refuse_foreign(self, record: Record) -> None:
        """A scoped unit writes rows of its own organisation only; rows without an organisation are the service's own notes."""
        if self.scope.role is Role.SERVICE:
            return
        names = columns_of(type(record))
        own = "recipient_org" if self.scope.role is Role.RECIPIENT else "sender_org"
        for name in (own, "org"):
            if name in names:
                if getattr(record, name) != self.scope.org:
                    raise WardpostError("out_of_scope", "A row of another organisation.", next_step="Report this as a defect.")
                return

    # Sealing

    def index(self, field: str, scope: str, value: str) -> Indexed | None:
        generation, key = self._index_keys()[0]
        digest = self._cache.sealer.index(key, field, scope, value)
        return None if digest is None else Indexed(digest, generation)

    def indexes(self, field: str, scope: str, value: str) -> Sequence[Indexed]:
        made = [(generation, self._cache.sealer.index(key, field, scope, value)) for generation, key in self._index_keys()]
        return [Indexed(digest, generation) for generation, digest in made if digest is not None]

    def _index_keys(self) -> list[tuple[int, bytes]]:
        if not self._cache.index_keys:
            rows = [k for k in self.find(IndexKey, order="-generation") if k.retired_at is None]
            self._cache.index_keys = [(k.generation, k.key.open()) for k in rows]
        return self._cache.index_keys

    def _to_sql(self, record: Record, columns: Sequence[Column] | Any) -> dict[str, object]:
        values: dict[str, object] = {}
        for column in columns:
            value = getattr(record, column.name)
            if column.kind == "indexed":
                digest_name, key_name = column.sql_names
                values[digest_name] = value.digest if value else None
                values[key_name] = value.generation if value else None
            elif column.kind == "sealed" and value is not None:
                values[column.name] = self._seal(record, column.name, value)
            else:
                values[column.name] = column.to_sql(value)
        return values

    def _seal(self, record: Record, column: str, value: Sealed) -> bytes:
        kind = type(record)
        owner_kind, owner_field = kind.META.owner
        key_id, key = self._key_for(owner_kind, getattr(record, owner_field))
        return self._cache.sealer.seal(key_id, key, kind.META.table, column, getattr(record, _key(kind)), value.open())

    def _key_for(self, owner_kind: str, owner_id: str) -> tuple[str, bytes]:
        owner = (owner_kind, owner_id)
        if owner in self._fresh:
            return self._fresh[owner]
        # The row is always looked for: another process may have erased this owner since its key was cached.
        rows = self.find(DataKey, owner_kind=owner_kind, owner_id=owner_id)
        if rows:
            known = self._cache.of_owner(owner)
            key = known[1] if known and known[0] == rows[0].id else self._cache.sealer.unwrap(rows[0].id, rows[0].sealed)
            self._fresh[owner] = (rows[0].id, key)
            return rows[0].id, key
        key_id, key, wrapped = self._cache.sealer.new_key()
        self.insert(DataKey(key_id, owner_kind, owner_id, wrapped, self.now))
        self._fresh[owner] = (key_id, key)
        return key_id, key

    def _open(self, table: str, column: str, row: str, value: bytes) -> bytes:
        key_id = self._cache.sealer.key_id(value)
        key = next((k for i, k in self._fresh.values() if i == key_id), None) or self._cache.by_id(key_id)
        if key is None:
            key = self._now_or_later(lambda unit: unit.data_key(key_id))
        return self._cache.sealer.open(key, table, column, row, value)

    def _now_or_later(self, work: "Callable[[Unit], bytes]") -> bytes:
        """The connection may serve another unit by now: what is opened late is looked up in a read of its own."""
        return self._later(work) if self._has_ended else work(self)

    def cell(self, kind: type[Record], column: str, row: str) -> bytes:
        """The stored bytes of one large cell. Raises Gone `erased` when the row has lost it since."""
        sql = f"SELECT {column} FROM {kind.META.table} WHERE {_key(kind)} = :row"  # noqa: S608
        rows, _ = self._db.run(sql, {"row": row})
        if not rows or rows[0][0] is None:
            raise _erased()
        return bytes(rows[0][0])

    def data_key(self, key_id: str) -> bytes:
        """A data key by its id. Raises Gone `erased`."""
        found = self.find(DataKey, id=key_id)
        if not found:
            raise _erased()
        key = self._cache.sealer.unwrap(key_id, found[0].sealed)
        self._fresh[found[0].owner_kind, found[0].owner_id] = (key_id, key)
        return key

    def _from_sql(self, kind: type[R], row: Sequence[Any]) -> R:
        values: list[object] = []
        cells = iter(row)
        for column_kind, name, turn in READING[kind]:
            value = next(cells)
            if column_kind == "sealed":
                values.append(self._sealed(kind, name, str(row[0]), value))
            elif column_kind == "indexed":
                generation = next(cells)
                values.append(None if value is None else Indexed(bytes(value), int(generation)))
            else:
                values.append(value if turn is None or value is None else turn(value))
        return kind(*values)

    def _sealed(self, kind: type[Record], column: str, row: str, value: Any) -> Sealed | None:
        """A sealed value that opens when asked; a large one is not even here yet, only whether it exists."""
        table = kind.META.table
        if column != kind.META.large:
            return None if value is None else Sealed(lambda: self._open(table, column, row, bytes(value)))
        if not value:
            return None
        return Sealed(lambda: self._open(table, column, row, self._now_or_later(lambda unit: unit.cell(kind, column, row))))


def _erased() -> Gone:
    return Gone("erased", "This was erased.", next_step="Ask the sender if you still need it.")


def _key(kind: type[Record]) -> str:
    return fields(kind)[0].name  # type: ignore[arg-type]  # every Record is a dataclass


def _order(kind: type[Record], order: str) -> str:
    if not order:
        return ""
    names = columns_of(kind)
    parts = []
    for item in order.split(","):
        name = item.lstrip("-")
        parts.append(names[name].sql_names[0] + (" DESC" if item.startswith("-") else ""))
    return " ORDER BY " + ", ".join(parts)


def _indexed_condition(column: Column, value: object, values: dict[str, object]) -> str:
    digest_name, key_name = column.sql_names
    if value is None:
        return f"{digest_name} IS NULL"
    options = [value] if isinstance(value, Indexed) else list(cast("Sequence[Indexed]", value))
    parts = []
    for i, option in enumerate(options):
        values[f"{digest_name}_{i}"] = option.digest
        values[f"{key_name}_{i}"] = option.generation
        parts.append(f"({digest_name} = :{digest_name}_{i} AND {key_name} = :{key_name}_{i})")
    return "(" + " OR ".join(parts) + ")" if parts else "1 = 0"
