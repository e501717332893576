"""fsck finds what is wrong, rule by rule, and nothing in a database where all is well. Defects are seeded behind the service's back."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from exchange.app import Exchange
from exchange.bus.relay import relay_once
from exchange.cli import fsck
from exchange.cli.demo_story import Person, admission, letter, people
from exchange.cli.fsck import RULES, Finding, check_all
from exchange.config import Settings
from exchange.model import AnswerKind, Caller, Environment
from exchange.ports import UnitOfWork
from exchange.records import TABLES, DataKey, Delivery, Hold, IndexKey, Mailbox, Sealed, Stay, Submission, Version
from exchange.store.tables import columns_of
from exchange.store.unit import Unit
from exchange.wiring import open_exchange
from tests.app_kit import HOME, OTHER_HOME, Kit, SteppingClock, kit
from tests.databases import SERVER
from tests.service_kit import WARDPOST

HOME_STREET = b"1 Rehearsal Row^^Testmouth^^NM4 7QA"
OWN_STREET = b"5 Own Street^^Testmouth^^NM1 1AA"


def someone(which: int, like: Person) -> Person:
    """One more made-up person, with a number of the test range and its check digit."""
    for number in range(999_000_100 + 20 * which, 999_000_120 + 20 * which):
        check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(str(number))) % 11
        if check != 10:
            return replace(like, number=f"{number}{check % 11}", visit=f"V2{which:03}")
    raise AssertionError


def tell(service: Kit) -> None:
    """Everything that can happen to papers. After each turn all must be well."""
    exchange, now = service.exchange, service.clock.at
    first = people(service.clock())[0]

    def well() -> None:
        service.drain()
        assert service.findings() == []

    def play(person: Person, home: str = HOME) -> str:
        service.send(admission(person, now))
        service.send(letter(person, now))
        service.drain()
        transfer = exchange.confirm_site(person.visit, home, service.worker).id
        well()
        return transfer

    # Collected by software, opened and answered by people; then a newer letter replaces it.
    transfers = [service.story(which) for which in range(3)]
    well()
    for part in exchange.poll(service.caller())[0][-1].parts:
        exchange.collect_part(Caller(HOME, client="software"), part.id)
    opened = exchange.open_version(service.caller(), transfers[0]).item.delivery
    exchange.answer(service.caller(), opened.id, AnswerKind.CANNOT, "D01", {"note": "no bed"})
    exchange.answer(service.caller(service.manager), opened.id, AnswerKind.AGREED, "", {"at": "2026-11-28T10:00:00+00:00"})
    service.clock.forward(hours=1)
    service.send(letter(first, service.clock.at).replace(b"chest infection", b"chest infection (corrected)").replace(b"T02-V", b"T10-V"))
    well()
    # Cancelled, the home sees that; the person leaves after all, and is cancelled again.
    again = someone(1, first)
    transfer = play(again)
    for event in ("A13", "A03"):
        service.clock.forward(hours=1)
        service.send(admission(again, service.clock.at, event))
        well()
        exchange.open_version(service.caller(), transfer, 1)
        well()
    service.clock.forward(hours=1)
    service.send(admission(again, service.clock.at, "A13").replace(b"A13-V", b"A13-AGAIN-V"))
    well()
    # Sent to another home instead.
    elsewhere = play(someone(2, first))
    exchange.confirm_site(elsewhere, OTHER_HOME, service.worker)
    well()
    # Held: nothing that reads, nobody confirmed a home, two birth dates (one left open, one settled), a version without its document.
    service.send(b"MSH|^~\\&|X|Y|||1||ADT^A01|ID1|T|2.4\r")
    unconfirmed = someone(3, first)
    service.send(admission(unconfirmed, now))
    service.send(letter(unconfirmed, now))
    for number in (4, 5):
        doubtful = someone(number, first)
        service.send(admission(doubtful, now))
        service.send(letter(doubtful, now).replace(doubtful.born.encode(), b"19420315"))
        service.drain()
        exchange.confirm_site(doubtful.visit, HOME, service.worker)
        well()
    settled = next(hold for hold in exchange.list_holds() if hold.kind == "identity")
    exchange.settle_hold(settled.id, "release", service.worker, "checked")
    well()
    checks, exchange.check = exchange.check, lambda document, expected: ["planted"]
    play(someone(6, first))
    exchange.check = checks
    # An event that could not be carried out waits in a hold; a person lets it go on.
    late = someone(7, first)
    play(late)
    service.clock.forward(hours=1)
    service.send(letter(late, service.clock.at).replace(b"T02-V", b"T10-V").replace(b"steady", b"sure"))
    exchange.work_once()
    exchange.work_once()
    assert relay_once(exchange.store, exchange.bus, exchange.fail) == 1
    exchange.store.write(lambda uow: uow.update(Mailbox, {"id": "AWAY"}, id=HOME))
    exchange.deliver_once()
    exchange.store.write(lambda uow: uow.update(Mailbox, {"id": HOME}, id="AWAY"))
    well()
    parked = next(hold for hold in exchange.list_holds() if hold.kind == "undelivered")
    exchange.settle_hold(parked.id, "release", service.worker, "checked")
    well()
    # Somebody goes home: nothing stays.
    alone = someone(8, first)
    for raw in (admission(alone, now), letter(alone, now)):
        service.send(raw.replace(HOME_STREET, OWN_STREET))
    well()
    service.clock.forward(days=15)
    exchange.erase_due()
    well()
    assert len(exchange.store.read(lambda uow: uow.find(Submission, state="erased"))) == 2


def sql(database: Path, *statements: str) -> int:
    """Change the file behind the service's back; how many rows."""
    with closing(sqlite3.connect(database, isolation_level=None)) as link:
        return sum(link.execute(statement).rowcount for statement in statements)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a database that has seen everything, closed."""
    if SERVER:
        pytest.skip("about the SQLite file")
    folder = tmp_path_factory.mktemp("told")
    with kit(folder) as service:
        tell(service)
    return folder


@contextmanager
def copy_of(told: Path, folder: Path) -> Iterator[tuple[Exchange, Path]]:
    """The database once more, to be damaged."""
    shutil.copytree(told, folder, dirs_exist_ok=True)
    settings = Settings(data=folder / "data")
    clock = SteppingClock()
    clock.forward(days=16)
    exchange = open_exchange(settings, clock=clock)
    try:
        yield exchange, settings.sqlite
    finally:
        exchange.store.close()


def findings(exchange: Exchange) -> list[Finding]:
    return exchange.store.read(lambda uow: check_all(uow, Environment.TRIAL))


def test_a_database_that_has_seen_everything_is_clean(told: Path, tmp_path: Path) -> None:
    with copy_of(told, tmp_path) as (exchange, _):
        assert findings(exchange) == []

        def states(kind: type, name: str = "state") -> set[str]:
            return {str(getattr(row, name)) for row in exchange.store.read(lambda uow: uow.find(kind))}

        assert states(Delivery) == {"current", "replaced", "withdrawn"}
        assert states(Submission) == {"read", "held", "erased"}
        assert states(Hold, "kind") == {"unreadable", "unaddressed", "identity", "failed_check", "undelivered"}
        rows = exchange.store.read(lambda uow: uow.find(Delivery))
        for name in ("collected_at", "opened_at", "withdrawal_seen_at"):
            assert any(getattr(row, name) for row in rows), name
        assert {row.recipient_org for row in rows} == {HOME, OTHER_HOME}


FIRST_READ = "id = (SELECT id FROM submission WHERE state = 'read' ORDER BY id LIMIT 1)"
ONE_CURRENT = "id = (SELECT id FROM delivery WHERE state = 'current' ORDER BY change LIMIT 1)"
ONE_REPLACED = "id = (SELECT id FROM delivery WHERE state = 'replaced' ORDER BY change LIMIT 1)"
ONE_PUBLISHED = f"id = (SELECT id FROM transfer WHERE state = 'published' AND recipient_org = '{HOME}' ORDER BY created_at LIMIT 1)"
ONE_WITHDRAWN = "id = (SELECT transfer_id FROM delivery WHERE state = 'withdrawn' ORDER BY change LIMIT 1)"
ONE_VERSION = "id = (SELECT id FROM version ORDER BY id LIMIT 1)"
ONE_EVENT = "id = (SELECT id FROM bus_log WHERE type = 'version.published' ORDER BY position LIMIT 1)"
ONE_ANSWER = "id = (SELECT id FROM answer ORDER BY id LIMIT 1)"
ONE_AUDIT = "id = (SELECT id FROM audit_event ORDER BY id LIMIT 1)"
ONE_OPEN_HOLD = "id = (SELECT id FROM hold WHERE resolved_at IS NULL ORDER BY id LIMIT 1)"
WORK = "INSERT INTO work (id, kind, subject_id, due_at, again, fence, attempts, leased_until, error_code) VALUES"
NOT_ITS_OWN = "not under the data key of its owner"
UNKNOWN = "rows with a word that is not known"

# Rule, words of the finding, the defect: SQL, or what a unit of work does.
DEFECTS: Sequence[tuple[str, str, str | Callable[[Unit], None]]] = [
    ("states", f"submission.state: 1 {UNKNOWN}", f"UPDATE submission SET state = 'odd' WHERE {FIRST_READ}"),
    ("states", f"transfer.state: 1 {UNKNOWN}", f"UPDATE transfer SET state = 'odd' WHERE {ONE_PUBLISHED}"),
    ("states", f"delivery.state: 1 {UNKNOWN}", f"UPDATE delivery SET state = '' WHERE {ONE_CURRENT}"),
    ("states", f"hold.kind: 1 {UNKNOWN}", f"UPDATE hold SET kind = 'odd' WHERE {ONE_OPEN_HOLD}"),
    ("states", f"answer.kind: 1 {UNKNOWN}", f"UPDATE answer SET kind = 'yes' WHERE {ONE_ANSWER}"),
    ("states", f"person.role: 4 {UNKNOWN}", "UPDATE person SET role = 'king'"),
    ("custody", "nobody is going to read it", f"UPDATE submission SET state = 'accepted' WHERE {FIRST_READ}"),
    ("custody", "held, and no hold names it", "DELETE FROM hold WHERE kind = 'unreadable'"),
    ("custody", "held, and no hold names it", "DELETE FROM hold WHERE kind = 'identity'"),
    ("custody", "read, and belongs to no stay", f"UPDATE submission SET stay_id = NULL WHERE {FIRST_READ}"),
    ("custody", "read, and belongs to no stay", f"UPDATE submission SET stay_id = 'gone' WHERE {FIRST_READ}"),
    ("custody", "bytes and state disagree", f"UPDATE submission SET content = NULL WHERE {FIRST_READ}"),
    ("custody", "bytes and state disagree", f"UPDATE submission SET state = 'erased' WHERE {FIRST_READ}"),
    ("custody", "its digest or size", f"UPDATE submission SET digest_index = zeroblob(16) WHERE {FIRST_READ}"),
    ("custody", "its digest or size", f"UPDATE submission SET digest_index = NULL, digest_index_key = NULL WHERE {FIRST_READ}"),
    ("custody", "its digest or size", f"UPDATE submission SET size_bytes = size_bytes + 1 WHERE {FIRST_READ}"),
    ("custody", "its digest or size", lambda uow: swap_contents(uow)),
    ("sealed_values", "stay.identity: tampered", "UPDATE stay SET identity = substr(identity, 1, length(identity) - 1)"),
    ("sealed_values", "stay.identity: unknown_version", "UPDATE stay SET identity = CAST(x'02' || substr(identity, 2) AS BLOB)"),
    ("sealed_values", "part.jwe: tampered", "UPDATE part SET jwe = (SELECT jwe FROM part AS other WHERE other.id <> part.id)"),
    ("sealed_values", f"stay.identity: {NOT_ITS_OWN}", lambda uow: seal_under_another(uow, Stay, "identity", "transfer")),
    ("sealed_values", f"version.person: {NOT_ITS_OWN}", lambda uow: seal_under_another(uow, Version, "person", "stay")),
    ("sealed_values", f"version.gate: {NOT_ITS_OWN}", lambda uow: seal_under_another(uow, Version, "gate", "transfer")),
    ("sealed_values", f"submission.content: {NOT_ITS_OWN}", lambda uow: seal_under_another(uow, Submission, "content", "audit")),
    ("sealed_values", f"stay.identity: {NOT_ITS_OWN}", "UPDATE stay SET identity = CAST(x'01' || randomblob(60) AS BLOB)"),
    ("data_keys", "the key of a transfer that is gone", "UPDATE data_key SET owner_id = 'gone' WHERE owner_kind = 'transfer' AND "
        "owner_id = (SELECT max(owner_id) FROM data_key WHERE owner_kind = 'transfer')"),
    ("data_keys", "the key of a stay that is gone", "DELETE FROM stay"),
    ("data_keys", "the key of a submission that is gone", "DELETE FROM submission WHERE state = 'held'"),
    ("transfers", "a version from or for others", f"UPDATE transfer SET recipient_org = '{OTHER_HOME}' WHERE {ONE_PUBLISHED}"),
    ("transfers", "a version from or for others", f"UPDATE version SET sender_org = 'RZZ02' WHERE {ONE_VERSION}"),
    ("transfers", "not numbered 1 to the newest", f"DELETE FROM version WHERE {ONE_VERSION}"),
    ("transfers", "not numbered 1 to the newest", f"UPDATE transfer SET versions = versions + 1 WHERE {ONE_PUBLISHED}"),
    ("transfers", "confirmed by nobody or for no home", f"UPDATE transfer SET confirmed_by = NULL WHERE {ONE_PUBLISHED}"),
    ("transfers", "confirmed by nobody or for no home", f"UPDATE transfer SET recipient_org = NULL WHERE {ONE_PUBLISHED}"),
    ("transfers", "published without a version", "UPDATE transfer SET state = 'published' WHERE state = 'possible'"),
    ("transfers", "its stay is not here", f"UPDATE transfer SET stay_id = 'gone' WHERE {ONE_PUBLISHED}"),
    ("transfers", "versions of a transfer that is not here", f"DELETE FROM transfer WHERE {ONE_PUBLISHED}"),
    ("envelopes", "refused: ", f"UPDATE version SET jws = 'rubbish' WHERE {ONE_VERSION}"),
    ("envelopes", "refused: ", "UPDATE version SET jws = replace(jws, 'A', 'B')"),
    ("envelopes", "refused: ", "DELETE FROM org_key WHERE org = 'RZZ01' AND use = 'sig'"),
    ("envelopes", "manifest and row disagree", "UPDATE version SET jws = (SELECT jws FROM version WHERE number = 1 ORDER BY id LIMIT 1)"),
    ("envelopes", "manifest and row disagree", f"UPDATE version SET manifest_digest = 'sha256:00' WHERE {ONE_VERSION}"),
    ("envelopes", "does not follow the version before", "DELETE FROM version WHERE number = 1"),
    ("envelopes", "parts are missing or too many", "DELETE FROM part WHERE position = 0"),
    ("envelopes", "part 0: ", lambda uow: other_part(uow)),
    ("events", "announced 0 times", f"DELETE FROM outbox WHERE {ONE_EVENT}"),
    ("events", "announced 0 times", f"UPDATE outbox SET body = '{{' WHERE {ONE_EVENT}"),
    ("events", "announced 2 times", f"UPDATE outbox SET body = (SELECT body FROM bus_log WHERE {ONE_EVENT}) "
        "WHERE id = (SELECT id FROM bus_log WHERE type = 'version.published' ORDER BY position DESC LIMIT 1)"),
    ("events", "marked published and not on the bus", f"DELETE FROM bus_log WHERE {ONE_EVENT}"),
    ("events", "on the bus and not in the outbox", f"DELETE FROM outbox WHERE {ONE_EVENT}"),
    ("events", "bus and outbox disagree", f"UPDATE bus_log SET key = '{OTHER_HOME}' WHERE {ONE_EVENT}"),
    ("events", "not numbered 1 to the newest", f"UPDATE mailbox SET last_event = last_event + 1 WHERE id = '{HOME}'"),
    ("mailboxes", "times do not rise with changes", "UPDATE delivery SET updated_at = 1"),
    ("mailboxes", "times do not rise with changes", f"UPDATE delivery SET updated_at = updated_at + 100000000000 WHERE {ONE_REPLACED}"),
    ("mailboxes", "not numbered 1 to the newest", f"DELETE FROM delivery WHERE {ONE_CURRENT}"),
    ("mailboxes", "not numbered 1 to the newest", f"UPDATE mailbox SET last_sequence = last_sequence + 1 WHERE id = '{HOME}'"),
    ("mailboxes", "a change number above the counter", f"UPDATE mailbox SET last_change = 1 WHERE id = '{HOME}'"),
    ("mailboxes", "deliveries for a mailbox that is not here", f"DELETE FROM mailbox WHERE id = '{HOME}'"),
    ("deliveries", "another site than it is sealed for", f"UPDATE delivery SET recipient_org = 'VZZ03' WHERE {ONE_CURRENT}"),
    ("deliveries", "another site than it is sealed for", f"UPDATE delivery SET number = 9 WHERE {ONE_CURRENT}"),
    ("deliveries", "another site than it is sealed for", "DELETE FROM version"),
    ("deliveries", "its event is not settled", f"UPDATE delivery SET event_id = 'none' WHERE {ONE_CURRENT}"),
    ("deliveries", "current, and a newer version is here", f"UPDATE delivery SET state = 'current' WHERE {ONE_REPLACED}"),
    ("deliveries", "replaced, and no newer version is here", f"UPDATE delivery SET state = 'replaced' WHERE {ONE_CURRENT}"),
    ("effects", "settled and not delivered", f"DELETE FROM delivery WHERE event_{ONE_EVENT}"),
    ("effects", "settled and not delivered", f"UPDATE delivery SET event_id = 'none' WHERE event_{ONE_EVENT}"),
    ("effects", "withdrawn, and still current", "UPDATE delivery SET state = 'current' WHERE state = 'withdrawn'"),
    ("effects", "settled before an event that comes before it", f"UPDATE outbox SET settled_at = NULL WHERE {ONE_EVENT}"),
    ("effects", "settled, and waiting for another try", "INSERT INTO parked_event SELECT id, key, sequence, type, 'x', 'waiting', 1, 1, 1 "
        f"FROM outbox WHERE {ONE_EVENT}"),
    ("effects", "a dead letter that nobody owns", "INSERT INTO parked_event SELECT id, key, sequence, type, 'x', 'dead', 1, 1, 1 "
        f"FROM outbox WHERE {ONE_EVENT}"),
    ("deliveries", "its event is not settled", f"UPDATE outbox SET settled_at = NULL WHERE {ONE_EVENT}"),
    ("answers", "a version that this home does not have", f"UPDATE answer SET number = 9 WHERE {ONE_ANSWER}"),
    ("answers", "a version that this home does not have", f"UPDATE answer SET recipient_org = '{OTHER_HOME}' WHERE {ONE_ANSWER}"),
    ("answers", "a version that this home does not have", f"UPDATE answer SET delivery_id = 'none' WHERE {ONE_ANSWER}"),
    ("answers", "given by nobody", f"UPDATE answer SET person_id = NULL WHERE {ONE_ANSWER}"),
    ("audit", "leaf and row disagree", f"UPDATE audit_event SET outcome = '8' WHERE {ONE_AUDIT}"),
    ("audit", "leaf and row disagree", f"UPDATE audit_event SET org = 'RZZ02' WHERE {ONE_AUDIT}"),
    ("audit", "leaf and row disagree", f"UPDATE audit_event SET leaf = substr(leaf, 1, 20) WHERE {ONE_AUDIT}"),
    ("audit", "leaf and row disagree", f"UPDATE audit_event SET leaf = CAST('[]' AS BLOB) WHERE {ONE_AUDIT}"),
    ("audit", "leaf and row disagree", f"UPDATE audit_event SET leaf = x'FF00' WHERE {ONE_AUDIT}"),
    ("audit", "not what the leaf commits to", lambda uow: other_body(uow, b"")),
    ("audit", "not what the leaf commits to", lambda uow: other_body(uow, b"x" * 400)),
    *(
        ("audit", f"{type} is recorded 0 times", f"DELETE FROM audit_event WHERE type = '{type}'")
        for type in ("submission.accepted", "version.published", "delivery.made", "answer.given", "supplement.added")
    ),
    ("audit", "delivery.made is recorded 2 times", "UPDATE audit_event SET detail_id = (SELECT max(detail_id) FROM audit_event "
        "WHERE type = 'delivery.made') WHERE id = (SELECT id FROM audit_event WHERE type = 'delivery.made' ORDER BY detail_id LIMIT 1)"),
    *(
        ("audit", f"{words} is not recorded at its moment", f"DELETE FROM audit_event WHERE type IN ({types})")
        for words, types in (
            ("transfer.confirmed", "'transfer.confirmed'"),
            ("transfer.withdrawn", "'transfer.withdrawn'"),
            ("document.collected or letter.collected", "'document.collected', 'letter.collected'"),
            ("document.opened or letter.opened", "'document.opened', 'letter.opened'"),
            ("withdrawal.seen", "'withdrawal.seen'"),
        )
    ),
    ("audit", "transfer.withdrawn is not recorded", f"UPDATE transfer SET withdrawn_at = withdrawn_at + 1 WHERE {ONE_WITHDRAWN}"),
    ("audit", "transfer.confirmed is not recorded", f"UPDATE transfer SET confirmed_at = 1 WHERE {ONE_PUBLISHED}"),
    ("audit", "document.opened or letter.opened is not", f"UPDATE delivery SET opened_at = 1 WHERE {ONE_CURRENT}"),
    ("audit", "document.collected or letter.collected is not", f"UPDATE delivery SET collected_at = 1 WHERE {ONE_CURRENT}"),
    ("holds", "without an owner or a deadline", f"UPDATE hold SET owner = '' WHERE {ONE_OPEN_HOLD}"),
    ("holds", "without an owner or a deadline", f"UPDATE hold SET deadline_at = raised_at WHERE {ONE_OPEN_HOLD}"),
    ("work_queue", "leased far into the future", f"{WORK} ('read:x', 'read', (SELECT max(id) FROM submission), 1, 1, 1, 1, 1 << 52, '')"),
    ("work_queue", "something that is not here", f"{WORK} ('read:x', 'read', 'gone', 1, 1, 0, 0, NULL, '')"),
    ("work_queue", "something that is not here", f"{WORK} ('publish:x', 'publish', 'gone', 1, 1, 0, 0, NULL, '')"),
]  # fmt: skip


def reseal(uow: Unit, kind: type, column: str, row: str, key: DataKey, plaintext: bytes) -> None:
    """Write a value under a key of our choice, as the store itself would write it."""
    value = uow._sealer.seal(key.id, uow.data_key(key.id), kind.META.table, column, row, plaintext)  # type: ignore[attr-defined]
    uow._db.run(f"UPDATE {kind.META.table} SET {column} = :value WHERE id = :row", {"value": value, "row": row})  # type: ignore[attr-defined]


def own_key(uow: Unit, owner_kind: str, owner_id: str) -> DataKey:
    return uow.find(DataKey, owner_kind=owner_kind, owner_id=owner_id)[0]


def seal_under_another(uow: Unit, kind: type, column: str, owner_kind: str) -> None:
    """A value that opens, under the key of somebody else: erasing its owner would leave it readable."""
    row = next(row for row in uow.find(kind) if getattr(row, column) is not None)
    mine = getattr(row, kind.META.owner[1])  # type: ignore[attr-defined]
    other = next(key for key in uow.find(DataKey, owner_kind=owner_kind) if key.owner_id != mine)
    reseal(uow, kind, column, row.id, other, getattr(row, column).open())
    assert getattr(uow.find(kind, id=row.id)[0], column).open()


def swap_contents(uow: Unit) -> None:
    """Two messages change places, each properly sealed."""
    one, other = [row for row in uow.find(Submission, state="read") if row.size_bytes][:2]
    raw = [row.content.open() for row in (one, other) if row.content is not None]
    for row, content in zip((one, other), reversed(raw), strict=True):
        reseal(uow, Submission, "content", row.id, own_key(uow, "submission", row.id), content)


def other_part(uow: Unit) -> None:
    """A part that is not the one that was signed."""
    from exchange.records import Part

    row = uow.find(Part, position=0)[0]
    reseal(uow, Part, "jwe", row.id, own_key(uow, "transfer", row.transfer_id), b"not what was signed")


def other_body(uow: Unit, body: bytes) -> None:
    from exchange.records import AuditEvent

    row = uow.find(AuditEvent)[0]
    reseal(uow, AuditEvent, "body", row.id, own_key(uow, "audit", row.key_owner), body)


def seed(exchange: Exchange, database: Path, defect: str | Callable[[Unit], None]) -> None:
    if isinstance(defect, str):
        assert sql(database, defect) > 0, "the defect changed nothing"
    else:
        exchange.store.write(lambda uow: defect(cast(Unit, uow)))


@pytest.mark.parametrize(("rule", "words", "defect"), DEFECTS, ids=[f"{n}-{d[0]}" for n, d in enumerate(DEFECTS)])
def test_a_seeded_defect_is_found(told: Path, tmp_path: Path, rule: str, words: str, defect: str | Callable[[Unit], None]) -> None:
    with copy_of(told, tmp_path) as (exchange, database):
        seed(exchange, database, defect)
        found = findings(exchange)
        assert any(finding.rule == rule and words in finding.words for finding in found), found


def test_every_rule_has_a_seeded_defect() -> None:
    assert {rule for rule, _, _ in DEFECTS} == {rule.__name__ for rule in RULES}


SEALED = [(kind, column.name) for kind in TABLES for column in columns_of(kind).values() if column.kind == "sealed"]


@pytest.mark.parametrize(("kind", "column"), SEALED, ids=[f"{kind.META.table}.{column}" for kind, column in SEALED])
def test_a_truncated_sealed_value_is_a_finding(told: Path, tmp_path: Path, kind: type, column: str) -> None:
    table = kind.META.table  # type: ignore[attr-defined]
    for length in (0, 1, 20, 44, -1):
        folder = tmp_path / str(length)
        with copy_of(told, folder) as (exchange, database):
            cut = f"substr({column}, 1, {length if length >= 0 else f'length({column}) - 1'})"
            assert sql(database, f"UPDATE {table} SET {column} = {cut} WHERE {column} IS NOT NULL") > 0
            found = {finding.words.partition(":")[0] for finding in findings(exchange) if finding.rule == "sealed_values"}
            assert f"{table}.{column}" in found, (length, found)


@pytest.mark.parametrize("value", ["'x'", "x'00FF'", "-1", "1 << 62"])
def test_rubbish_in_a_row_never_stops_the_check(told: Path, tmp_path: Path, value: str) -> None:
    for kind in TABLES:
        columns = [name for column in columns_of(kind).values() for name in column.sql_names][1:]
        damage = ", ".join(f"{name} = {value}" for name in columns)
        folder = tmp_path / kind.META.table
        with copy_of(told, folder) as (exchange, database):
            with closing(sqlite3.connect(database, isolation_level=None)) as link:
                key = columns_of(kind)[next(iter(columns_of(kind)))].name
                link.execute(f"UPDATE {kind.META.table} SET {damage} WHERE {key} = (SELECT max({key}) FROM {kind.META.table})")
            found = findings(exchange)
            if kind in (Delivery, Version, Submission, Stay, IndexKey):
                assert found, kind.META.table
        shutil.rmtree(folder)


def test_an_erased_owner_is_no_damage(told: Path, tmp_path: Path) -> None:
    with copy_of(told, tmp_path) as (exchange, _):
        transfer = exchange.store.read(lambda uow: uow.find(Version)[0].transfer_id)
        exchange.store.write(lambda uow: uow.delete(DataKey, owner_kind="transfer", owner_id=transfer))
        assert findings(exchange) == []


def test_a_retired_index_key_is_no_damage(told: Path, tmp_path: Path) -> None:
    with copy_of(told, tmp_path) as (exchange, _):

        def rotate(uow: UnitOfWork) -> None:
            uow.insert(IndexKey("2", 2, "index", Sealed.of(uow.random_bytes(32))))
            uow.update(IndexKey, {"retired_at": uow.now}, id="1")

        exchange.store.write(rotate)
        assert findings(exchange) == []


def test_a_rule_that_breaks_is_a_finding_and_the_others_go_on(told: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(uow: UnitOfWork, _: Environment) -> Iterator[Finding]:
        yield Finding("broken", "seen before it broke", "")
        raise RecursionError

    with copy_of(told, tmp_path) as (exchange, database):
        assert sql(database, f"UPDATE hold SET owner = '' WHERE {ONE_OPEN_HOLD}") == 1
        monkeypatch.setattr(fsck, "RULES", (broken, *RULES))
        found = [(finding.rule, finding.words) for finding in findings(exchange)]
        assert found == [
            ("broken", "seen before it broke"),
            ("broken", "could not be checked: RecursionError"),
            ("holds", "waits without an owner or a deadline"),
        ]


def test_the_command_names_each_finding_and_fails(told: Path, tmp_path: Path) -> None:
    shutil.copytree(told, tmp_path, dirs_exist_ok=True)
    done = [subprocess.run([WARDPOST, "fsck", "--data", str(tmp_path / "data")], capture_output=True, text=True, check=False, timeout=60)]
    sql(tmp_path / "data" / "wardpost.sqlite", f"UPDATE transfer SET state = 'odd' WHERE {ONE_PUBLISHED}")
    done += [subprocess.run([WARDPOST, "fsck", "--data", str(tmp_path / "data")], capture_output=True, text=True, check=False, timeout=60)]
    assert [each.returncode for each in done] == [0, 1]
    assert done[0].stdout == "fsck: clean\n"
    assert "states: transfer.state: 1 rows with a word that is not known" in done[1].stdout
    assert "Traceback" not in done[1].stderr
