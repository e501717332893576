"""The store: group commit, scopes, sealing, erasure across processes, migration."""

import sqlite3
import threading
from concurrent.futures import Future
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from exchange.app import Exchange
from exchange.errors import Gone, Refused, Unavailable, WardpostError
from exchange.mailbox.collect import Caller
from exchange.model import Role, Scope
from exchange.ports import UnitOfWork
from exchange.records import TABLES, BusOffset, DataKey, IndexKey, Mailbox, Organisation, OrgKey, Person, Sealed, Stay, Work
from exchange.store.migrate import HEAD, migrate, schema_of
from exchange.store.schema import metadata
from exchange.store.tables import columns_of
from exchange.transfer import transfers
from exchange.wiring import open_exchange
from tests.app_kit import HOME, HOSPITAL, OTHER_HOME, START, SteppingClock, kit
from tests.databases import settings_for, sqlite_only

AWAY = "database_away"


def opened(folder: Path, fail: object = None) -> Exchange:
    clock = SteppingClock()
    return open_exchange(settings_for(folder), clock=clock, **({"fail": fail} if fail else {}))  # type: ignore[arg-type]


def put(name: str) -> "object":
    return lambda uow: uow.insert(BusOffset(name, 1))


def held_group(exchange: Exchange, works: list[object]) -> list["Future[object]"]:
    """Submit works while the writer is busy with another, so that they come into one group."""
    started, go = threading.Event(), threading.Event()

    def wait(uow: UnitOfWork) -> None:
        started.set()
        assert go.wait(10)

    first = exchange.store.submit(wait)
    assert started.wait(10)
    futures = [exchange.store.submit(work) for work in works]  # type: ignore[arg-type]
    go.set()
    first.result(10)
    return futures


def offsets(exchange: Exchange) -> set[str]:
    return {row.id for row in exchange.store.read(lambda uow: uow.find(BusOffset))}


@sqlite_only
def test_a_failing_neighbour_loses_nobodys_work(tmp_path: Path) -> None:
    exchange = opened(tmp_path)

    def bad(uow: UnitOfWork) -> None:
        uow.insert(BusOffset("bad", 1))
        raise KeyError("neighbour")

    one, two, three = held_group(exchange, [put("one"), bad, put("three")])
    assert one.result(10) is None
    with pytest.raises(KeyError):
        two.result(10)
    three.result(10)
    assert offsets(exchange) == {"one", "three"}
    exchange.store.close()


@sqlite_only
def test_a_key_that_a_failing_neighbour_made_seals_nothing(tmp_path: Path) -> None:
    """The works of a group share the keys that they looked up; one that was rolled back is no key, and its owner may come again."""
    exchange = opened(tmp_path)
    # The data key of an organisation is made with its first row.
    first, second = (OrgKey(name, "VZZ77", "enc", "{}", Sealed.of(name.encode()), START, START) for name in ("A", "B"))

    def bad(uow: UnitOfWork) -> None:
        uow.insert(first)
        raise KeyError("neighbour")

    one, two = held_group(exchange, [bad, lambda uow: uow.insert(second)])
    with pytest.raises(KeyError):
        one.result(10)
    two.result(10)
    (kept,) = exchange.store.read(lambda uow: uow.find(OrgKey, org="VZZ77"))
    assert exchange.store.read(lambda uow: uow.find(DataKey, owner_id="VZZ77"))
    assert kept.private_jwk is not None
    assert kept.private_jwk.open() == b"B"
    exchange.store.close()


@sqlite_only
def test_a_failing_commit_answers_everyone_and_keeps_nothing(tmp_path: Path) -> None:
    armed = threading.Event()

    def fail(name: str) -> None:
        if name == "store.before_commit" and armed.is_set():
            raise sqlite3.OperationalError("disk I/O error")

    exchange = opened(tmp_path, fail)
    armed.set()
    for future in [exchange.store.submit(put(name)) for name in "abc"]:  # type: ignore[arg-type]
        with pytest.raises(Unavailable, match=AWAY):
            future.result(10)
    armed.clear()
    exchange.store.write(put("after"))  # type: ignore[arg-type]
    assert offsets(exchange) == {"after"}
    exchange.store.close()


@sqlite_only
def test_the_caller_is_answered_only_after_commit(tmp_path: Path) -> None:
    seen: dict[str, list[bool]] = {"store.before_commit": [], "store.after_commit": []}
    current: list[Future[object]] = []

    def fail(name: str) -> None:
        if current and name in seen:
            beside = sqlite3.connect(tmp_path / "data" / "wardpost.sqlite")
            is_there = beside.execute("SELECT count(*) FROM bus_offset").fetchone()[0] == 1
            beside.close()
            assert not current[0].done()
            seen[name].append(is_there)

    exchange = opened(tmp_path, fail)
    ready = threading.Event()

    def work(uow: UnitOfWork) -> None:
        assert ready.wait(10)
        uow.insert(BusOffset("x", 1))

    future = exchange.store.submit(work)
    current.append(future)
    ready.set()
    future.result(10)
    assert seen == {"store.before_commit": [False], "store.after_commit": [True]}
    exchange.store.close()


@sqlite_only
def test_a_caller_that_goes_away_does_not_stop_the_writer(tmp_path: Path) -> None:
    exchange = opened(tmp_path)
    started, go = threading.Event(), threading.Event()

    def slow(uow: UnitOfWork) -> None:
        started.set()
        assert go.wait(10)

    running = exchange.store.submit(slow)
    assert started.wait(10)
    waiting = exchange.store.submit(put("gone"))  # type: ignore[arg-type]
    assert waiting.cancel()
    assert not running.cancel()
    go.set()
    running.result(10)
    exchange.store.submit(put("next")).result(10)  # type: ignore[arg-type]
    assert offsets(exchange) == {"next"}
    exchange.store.close()


@sqlite_only
def test_an_erased_owner_stays_erased_also_when_another_process_did_it(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    one.store.write(lambda uow: uow.insert(Stay("s", HOSPITAL, uow.now, None, None, Sealed.of("Secret Canaryname"))))
    row = one.store.read(lambda uow: uow.find(Stay))[0]
    assert row.identity.text() == "Secret Canaryname"
    other.store.write(lambda uow: uow.delete(DataKey, owner_kind="stay", owner_id="s"))
    with pytest.raises(Gone, match="erased"):
        row.identity.open()
    with pytest.raises(Gone, match="erased"):
        one.store.read(lambda uow: uow.find(Stay)[0].identity.open())
    one.store.close()
    other.store.close()
    for file in (tmp_path / "data").iterdir():
        assert b"Canaryname" not in file.read_bytes()


def test_an_index_key_of_another_process_is_used_at_once(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    old = one.store.read(lambda uow: uow.index("visit_id", HOSPITAL, "V1"))
    one.store.write(lambda uow: uow.insert(Stay("s", HOSPITAL, uow.now, old, None, Sealed.of("x"))))
    other.store.write(lambda uow: uow.insert(IndexKey("2", 2, "index", Sealed.of(uow.random_bytes(32)))))
    assert [i.generation for i in one.store.read(lambda uow: uow.indexes("visit_id", HOSPITAL, "V1"))] == [2, 1]
    found = one.store.read(lambda uow: uow.find(Stay, visit_id=uow.indexes("visit_id", HOSPITAL, "V1")))
    assert [row.id for row in found] == ["s"]
    one.store.close()
    other.store.close()


@pytest.mark.parametrize("role", [Role.SENDER, Role.RECIPIENT])
@pytest.mark.parametrize("kind", TABLES, ids=lambda kind: kind.META.table)
def test_rows_of_others_are_invisible(tmp_path: Path, kind: type, role: Role) -> None:
    with kit(tmp_path) as service:
        service.story(0)
        stranger = Scope(OTHER_HOME, role)
        if kind in (Organisation, OrgKey):
            rows = service.exchange.store.read(lambda uow: uow.find(kind), stranger)
            assert all(row.private_jwk is None for row in rows if kind is OrgKey and row.org != OTHER_HOME)
            assert service.exchange.store.write(lambda uow: uow.delete(kind, id=rows[0].id), stranger) == 0
            return
        try:
            rows = service.exchange.store.read(lambda uow: uow.find(kind), stranger)
        except WardpostError as problem:
            if problem.code != "out_of_scope":
                raise
            return
        names = [name for name in ("sender_org", "recipient_org", "org", "other_org", "key") if name in columns_of(kind)]
        if kind is not Mailbox:
            assert all(OTHER_HOME in [getattr(row, name) for name in names] for row in rows)


@pytest.mark.parametrize("kind", [DataKey, IndexKey, Work, BusOffset])
def test_service_tables_are_refused(tmp_path: Path, kind: type) -> None:
    exchange = opened(tmp_path)
    for scope in (Scope(HOME, Role.RECIPIENT), Scope(HOSPITAL, Role.SENDER)):
        with pytest.raises(WardpostError, match="out_of_scope"):
            exchange.store.read(lambda uow: uow.find(kind), scope)
    exchange.store.close()


def test_a_foreign_row_is_not_written(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        rows = [
            lambda uow: Organisation("ZZZ99", "Not Ours", "home"),
            lambda uow: Mailbox("ZZZ99"),
            lambda uow: Person(
                "p", "ZZZ99", service.exchange.store.read(lambda u: u.find(Person))[0].role, Sealed.of("a"), Sealed.of("b"), uow.now
            ),
        ]
        for make in rows:
            with pytest.raises(WardpostError, match="out_of_scope"):
                service.exchange.store.write(lambda uow, m=make: uow.insert(m(uow)), Scope(HOME, Role.RECIPIENT))


def test_a_redirect_while_a_version_is_made_keeps_it_from_the_old_home(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.story(0, confirmed=False)
        first = service.exchange.confirm_site("V1001", HOME, service.worker).id
        moved: list[str] = []

        def fail(name: str) -> None:
            if name == "publish.before_commit" and not moved:
                moved.append(service.exchange.confirm_site(first, OTHER_HOME, service.worker).id)

        service.exchange.fail = fail
        service.drain()
        assert moved
        service.clock.forward(minutes=5)
        service.drain()
        assert service.exchange.poll(service.caller()) == ([], False)
        assert [item.delivery.number for item in service.exchange.poll(Caller(OTHER_HOME))[0]] == [1]
        assert service.findings() == []


def test_an_event_that_cannot_be_carried_out_waits_with_an_owner_and_stops_nobody(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.exchange.store.write(lambda uow: transfers.emit(uow, "version.published", HOME, {"version": "not here"}))
        transfer = service.story(0)
        items, _ = service.exchange.poll(service.caller())
        assert transfer in {item.transfer.id for item in items}
        assert [(hold.kind, hold.code) for hold in service.exchange.list_holds()] == [("undelivered", "event_without_version")]


def test_migrated_equals_metadata_and_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    migrate(path)
    assert schema_of(path) == HEAD
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(Refused, match="schema_newer"):
        migrate(path)


def test_a_migration_that_dies_half_way_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.sqlite"
    with monkeypatch.context() as patch:
        patch.setattr(op, "create_index", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            migrate(path)
    assert schema_of(path) is None
    migrate(path)
    assert schema_of(path) == HEAD


@sqlite_only
def test_pragmas_are_set(tmp_path: Path) -> None:
    exchange = opened(tmp_path)

    def look(uow: UnitOfWork) -> list[object]:
        db = uow._db.raw  # type: ignore[attr-defined]  # what the connection really has
        return [db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous", "secure_delete")]

    assert exchange.store.write(look) == ["wal", 2, 1]
    assert exchange.store.read(look) == ["wal", 2, 1]
    exchange.store.close()
