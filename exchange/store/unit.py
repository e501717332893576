"""The unit of work over one DBAPI connection: records in and out, sealing on the way, rows of other scopes invisible.

INSERT and the head of SELECT are made once for each table. SQL is plain enough for SQLite and PostgreSQL alike; parameters are named.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol, cast

from exchange.errors import Conflict, Gone, WardpostError
from exchange.model import SERVICE, Role, Scope
from exchange.ports import R, Sealer
from exchange.records import TABLES, AuditEvent, DataKey, Indexed, IndexKey, Mailbox, Organisation, OrgKey, OutboxEvent, Record, Sealed
from exchange.store.tables import READING, Column, columns_of

_OPERATORS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<=", "ne": "<>"}
# The columns that name a row's organisation where it is not sender_org, recipient_org or org; the first one says who writes.
_OWNERS: dict[type[Record], tuple[str, ...]] = {
    Organisation: ("id",),
    Mailbox: ("id",),
    OutboxEvent: ("key",),
    AuditEvent: ("org", "other_org"),
}
# What every scope may read: the public directory and public keys.
_PUBLIC = (Organisation, OrgKey)


class Connection(Protocol):
    """The driver as the unit of work needs it: run one statement, get all rows and the number changed."""

    def run(self, sql: str, parameters: Mapping[str, object]) -> tuple[Sequence[Sequence[Any]], int]: ...

    @property
    def lock_suffix(self) -> str:
        """What a SELECT ends with to keep its rows; "" where one writer has them anyway."""
        ...


class Keys:
    """Data keys by id, their ids by owner, and the live index keys, as one transaction saw them. Nothing outlives it: another process
    may erase an owner."""

    def __init__(self) -> None:
        self.by_id: dict[str, bytes] = {}
        self.of_owner: dict[tuple[str, str], str] = {}
        self.index: list[tuple[int, bytes]] = []

    def forget(self) -> None:
        for kept in (self.by_id, self.of_owner, self.index):
            kept.clear()


class Unit:
    """One transaction, or a savepoint of one that shares its `keys`, in one scope. Implements ports.UnitOfWork."""

    def __init__(
        self,
        connection: Connection,
        sealer: Sealer,
        scope: Scope,
        now: datetime,
        new_id: Callable[[], str],
        later: "Callable[[Callable[[Unit], bytes]], bytes]",
        keys: Keys | None = None,
    ) -> None:
        self.scope = scope
        self.now = now
        self.new_id = new_id
        self._db = connection
        self._sealer = sealer
        self._keys = keys or Keys()
        self._later = later
        self._has_ended = False
        self.has_erased = False
        # Tables that got rows: what the store tells other processes after the commit.
        self.written: set[str] = set()
        # Key tables are the service's own: a scoped unit reaches them through this one alone.
        self._service = self if scope.role is Role.SERVICE else Unit(connection, sealer, SERVICE, now, new_id, later, self._keys)

    def random_bytes(self, n: int) -> bytes:
        return self._sealer.random_bytes(n)

    def ended(self) -> None:
        """Called after COMMIT or a read: what is opened from now on looks its key up anew."""
        for unit in (self, self._service):
            unit._has_ended = True
        self._keys.forget()

    # Rows

    def insert(self, record: Record) -> None:
        kind = type(record)
        self._refuse_foreign(record)
        owner_kind, owner_field = kind.META.owner
        if owner_field == _key(kind):  # a row that owns itself is new, and so is its key
            self._service._make_key(owner_kind, getattr(record, owner_field))
        if not self._db.run(_INSERT[kind], self._to_sql(record, columns_of(kind).values()))[1]:
            raise Conflict("duplicate", f"A {kind.META.table} row like this exists already.", next_step="Read it and decide.")
        self.written.add(kind.META.table)

    def get(self, kind: type[R], id: str) -> R | None:
        found = self._select(kind, {_key(kind): id}, "", 1, "")
        return found[0] if found else None

    def lock(self, kind: type[R], id: str) -> R | None:
        found = self._select(kind, {_key(kind): id}, "", 1, self._db.lock_suffix)
        return found[0] if found else None

    def find(self, kind: type[R], /, *, order: str = "", limit: int | None = None, offset: int = 0, **where: object) -> list[R]:
        return self._select(kind, where, order, limit, f" OFFSET {int(offset)}" if offset else "")

    def take(self, kind: type[R], /, *, order: str, limit: int, **where: object) -> list[R]:
        suffix = self._db.lock_suffix
        return self._select(kind, where, order, limit, suffix and suffix + " SKIP LOCKED")

    def count(self, kind: type[Record], /, **where: object) -> int:
        condition, values = self._where(kind, where)
        rows, _ = self._db.run(f"SELECT count(*) FROM {kind.META.table}{condition}", values)  # noqa: S608
        return int(rows[0][0])

    def update(self, kind: type[Record], changes: Mapping[str, object], /, **where: object) -> int:
        columns = columns_of(kind)
        condition, values = self._where(kind, where, writes=True)
        for name, value in changes.items():
            if columns[name].kind in ("sealed", "indexed"):
                raise WardpostError("not_plain", f"{name} is not a plain column.", next_step="Use replace on the record.")
            values["new_" + name] = columns[name].to_sql(value)
        assignments = ", ".join(f"{name} = :new_{name}" for name in changes)
        return self._db.run(f"UPDATE {kind.META.table} SET {assignments}{condition}", values)[1]  # noqa: S608

    def replace(self, record: R, /, **changes: object) -> R:
        kind = type(record)
        changed = replace(record, **changes)
        self._refuse_foreign(changed)
        columns = columns_of(kind)
        condition, found = self._where(kind, {_key(kind): getattr(record, _key(kind))}, writes=True)
        values = self._to_sql(changed, [columns[name] for name in changes])
        assignments = ", ".join(f"{name} = :{name}" for name in values)
        self._db.run(f"UPDATE {kind.META.table} SET {assignments}{condition}", found | values)  # noqa: S608
        return changed

    def delete(self, kind: type[Record], /, **where: object) -> int:
        condition, values = self._where(kind, where, writes=True)
        if kind is DataKey:
            self.has_erased = True
            self._keys.forget()
        return self._db.run(f"DELETE FROM {kind.META.table}{condition}", values)[1]  # noqa: S608

    def _select(self, kind: type[R], where: Mapping[str, object], order: str, limit: int | None, suffix: str) -> list[R]:
        condition, values = self._where(kind, where)
        limited = "" if limit is None else f" LIMIT {int(limit)}"
        rows, _ = self._db.run(f"{_SELECT[kind]}{condition}{_order(kind, order)}{limited}{suffix}", values)
        return [self._from_sql(kind, row) for row in rows]

    def _where(self, kind: type[Record], where: Mapping[str, object], *, writes: bool = False) -> tuple[str, dict[str, object]]:
        columns = columns_of(kind)
        parts: list[str] = []
        values: dict[str, object] = {}
        for name, value in where.items():
            field_name, _, operator = name.partition("__")
            column = columns[field_name]
            if column.kind == "indexed":
                parts.append(_indexed_condition(column, value, values))
            elif operator == "in":
                items = [item for item in cast("Sequence[object]", value) if not _is_nowhere(item)]
                marks = [f":{field_name}_{i}" for i in range(len(items))]
                values.update({f"{field_name}_{i}": column.to_sql(v) for i, v in enumerate(items)})
                parts.append(f"{field_name} IN ({', '.join(marks)})" if items else "1 = 0")
            elif _is_nowhere(value):
                parts.append("1 = 0")
            elif value is None:
                parts.append(f"{field_name} IS {'NOT ' if operator == 'ne' else ''}NULL")
            else:
                mark = f"{field_name}_{operator}" if operator else field_name
                parts.append(f"{field_name} {_OPERATORS.get(operator, '=')} :{mark}")
                values[mark] = column.to_sql(value)
        limited = self._scope_fields(kind, writes=writes)
        if limited:
            # Rows that are named one by one are sought by their names, never by an index of all that one organisation has.
            form = "COALESCE({}, '')" if any(name.endswith("__in") for name in where) else "{}"
            parts.append("(" + " OR ".join(f"{form.format(name)} = :scope_org" for name in limited) + ")")
            values["scope_org"] = self.scope.org
        return (" WHERE " + " AND ".join(parts) if parts else ""), values

    def _scope_fields(self, kind: type[Record], *, writes: bool) -> tuple[str, ...]:
        """The columns of which one must name the scope's organisation; none for no limit. Refuses tables that nobody owns."""
        if self.scope.role is Role.SERVICE or (kind in _PUBLIC and not writes):
            return ()
        if kind in _OWNERS:
            return _OWNERS[kind][:1] if writes else _OWNERS[kind]
        own = "recipient_org" if self.scope.role is Role.RECIPIENT else "sender_org"
        names = columns_of(kind)
        for name in (own, "org"):
            if name in names:
                return (name,)
        raise WardpostError("out_of_scope", f"{kind.META.table} is not for organisations.", next_step="Use a service scope for this step.")

    def _refuse_foreign(self, record: Record) -> None:
        """A scoped unit writes rows of its own organisation only."""
        for name in self._scope_fields(type(record), writes=True):
            if getattr(record, name) != self.scope.org:
                raise WardpostError("out_of_scope", "A row of another organisation.", next_step="Report this as a defect.")

    # Sealing

    def index(self, field: str, scope: str, value: str) -> Indexed | None:
        generation, key = self._live_index_keys()[0]
        digest = self._sealer.index(key, field, scope, value)
        return None if digest is None else Indexed(digest, generation)

    def indexes(self, field: str, scope: str, value: str) -> Sequence[Indexed]:
        made = [(generation, self._sealer.index(key, field, scope, value)) for generation, key in self._live_index_keys()]
        return [Indexed(digest, generation) for generation, digest in made if digest is not None]

    def _live_index_keys(self) -> list[tuple[int, bytes]]:
        """Newest first. Read once in a transaction: another process may add a generation."""
        if not self._keys.index:
            rows = self._service.find(IndexKey, order="-generation", retired_at=None)
            self._keys.index += [(k.generation, k.key.open()) for k in rows]
        return self._keys.index

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
        key_id, key = self._service._key_for(owner_kind, getattr(record, owner_field))
        return self._sealer.seal(key_id, key, kind.META.table, column, getattr(record, _key(kind)), value.open())

    def _key_for(self, owner_kind: str, owner_id: str) -> tuple[str, bytes]:
        owner = (owner_kind, owner_id)
        if owner not in self._keys.of_owner:
            rows = self.find(DataKey, owner_kind=owner_kind, owner_id=owner_id)
            if rows:
                self._remember(owner, rows[0].id, self._sealer.unwrap(rows[0].id, rows[0].sealed))
            else:
                self._make_key(owner_kind, owner_id)
        key_id = self._keys.of_owner[owner]
        return key_id, self._keys.by_id[key_id]

    def _make_key(self, owner_kind: str, owner_id: str) -> None:
        key_id, key, wrapped = self._sealer.new_key()
        self.insert(DataKey(key_id, owner_kind, owner_id, wrapped, self.now))
        self._remember((owner_kind, owner_id), key_id, key)

    def know_keys(self, owner_kind: str, owner_ids: Collection[str]) -> None:
        """Look the data keys of many owners up at once, before their rows are opened one by one."""
        service = self._service
        unknown = [owner for owner in set(owner_ids) if (owner_kind, owner) not in self._keys.of_owner]
        for found in service.find(DataKey, owner_kind=owner_kind, owner_id__in=unknown) if unknown else ():
            service._remember((owner_kind, found.owner_id), found.id, self._sealer.unwrap(found.id, found.sealed))

    def _remember(self, owner: tuple[str, str], key_id: str, key: bytes) -> bytes:
        self._keys.of_owner[owner] = key_id
        self._keys.by_id[key_id] = key
        return key

    def _open(self, table: str, column: str, row: str, value: bytes) -> bytes:
        key_id = self._sealer.key_id(value)
        key = self._service._now_or_later(lambda unit: unit.data_key(key_id))
        return self._sealer.open(key, table, column, row, value)

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
        if key_id in self._keys.by_id:
            return self._keys.by_id[key_id]
        found = self.get(DataKey, key_id)
        if found is None:
            raise _erased()
        return self._remember((found.owner_kind, found.owner_id), key_id, self._sealer.unwrap(key_id, found.sealed))

    def _from_sql(self, kind: type[R], row: Sequence[Any]) -> R:
        values = list(row)
        for at, column_kind, name, turn in READING[kind]:
            if column_kind == "sealed":
                # Everybody reads the public keys of an organisation; the private ones are its own.
                is_shut = kind is OrgKey and self.scope.role is not Role.SERVICE and row[1] != self.scope.org
                values[at] = None if is_shut else self._sealed(kind, name, str(row[0]), row[at])
            elif column_kind == "indexed":
                digest, generation = row[at : at + 2]
                values[at : at + 2] = [None if digest is None else Indexed(bytes(digest), int(generation))]
            elif turn is not None and row[at] is not None:
                values[at] = turn(row[at])
        return kind(*values)

    def _sealed(self, kind: type[Record], column: str, row: str, value: Any) -> Sealed | None:
        """A sealed value that opens when asked; a large one is not even here yet, only whether it exists."""
        table = kind.META.table
        if column != kind.META.large:
            return None if value is None else Sealed(lambda: self._open(table, column, row, bytes(value)))
        if not value:
            return None
        return Sealed(lambda: self._open(table, column, row, self._now_or_later(lambda unit: unit.cell(kind, column, row))))


def _is_nowhere(value: object) -> bool:
    """A text with NUL, from an address: PostgreSQL keeps none and refuses to look for one."""
    return isinstance(value, str) and "\0" in value


def _erased() -> Gone:
    return Gone("erased", "This was erased.", next_step="Ask the sender if you still need it.")


def _key(kind: type[Record]) -> str:
    return next(iter(columns_of(kind)))


def _insert_into(kind: type[Record]) -> str:
    names = [name for column in columns_of(kind).values() for name in column.sql_names]
    # A failed statement would end the whole transaction on PostgreSQL; one that does nothing does not.
    marks = ", ".join(":" + name for name in names)
    return f"INSERT INTO {kind.META.table} ({', '.join(names)}) VALUES ({marks}) ON CONFLICT DO NOTHING"  # noqa: S608


def _select_from(kind: type[Record]) -> str:
    large = kind.META.large
    names = ", ".join(f"{n} IS NOT NULL" if n == large else n for c in columns_of(kind).values() for n in c.sql_names)
    return f"SELECT {names} FROM {kind.META.table}"  # noqa: S608


_INSERT = {kind: _insert_into(kind) for kind in TABLES}
_SELECT = {kind: _select_from(kind) for kind in TABLES}


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
