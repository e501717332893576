"""What must stay cheap however much a home has received: counted in steps of the database, so that no busy machine fails a test."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

from exchange.metrics import REQUESTS
from exchange.records import AuditEvent, Delivery, Organisation, Transfer
from exchange.store.sqlite import SqliteStore
from exchange.transfer.candidates import names_address, postcodes_in
from tests.app_kit import HOME, HOSPITAL, Kit, kit
from tests.bench.live import fhir_documents, fill
from tests.databases import sqlite_only
from tests.e2e.api_kit import api
from tests.e2e.test_pages_http import sign_in


def steps(service: Kit, work) -> int:  # type: ignore[no-untyped-def]
    """How many steps SQLite takes for some reads, one after the other."""
    store = service.exchange.store
    assert isinstance(store, SqliteStore)
    work()  # now there is a connection, and each statement is prepared
    connection, taken = store._readers.get_nowait(), [0]

    def count() -> None:
        taken[0] += 1

    connection.raw.set_progress_handler(count, 1)
    store._readers.put(connection)
    work()
    connection.raw.set_progress_handler(None, 1)
    return taken[0]


@sqlite_only
def test_a_poll_and_the_list_cost_the_same_however_many_deliveries_lie_behind(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        caller, write = service.caller(), service.exchange.store.write
        asked = []
        for more in (60, 1500):
            write(lambda uow, more=more: fill(uow, more))  # type: ignore[misc]
            newest = write(lambda uow: uow.find(Delivery, order="-change", limit=1))[0].updated_at
            assert service.exchange.poll(caller, since=newest + timedelta(milliseconds=1)) == ([], False)
            assert len(service.exchange.poll(caller, since=newest)[0]) == 1
            polls = [
                lambda at=newest + timedelta(milliseconds=back): service.exchange.poll(caller, since=at, count=10) for back in (1, 0, -9)
            ]
            polls += [lambda: service.exchange.poll(caller, count=10), lambda: service.exchange.home_list(caller)]
            asked.append([steps(service, poll) for poll in polls])
        for few, many in zip(*asked, strict=True):
            assert many < few * 1.3, asked


def test_times_bound_a_poll_exactly(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.exchange.store.write(lambda uow: fill(uow, 9))
        rows = service.exchange.store.read(lambda uow: uow.find(Delivery, order="change"))
        tick = timedelta(milliseconds=1)
        for first in range(9):
            for last in range(first, 9):
                found, more = service.exchange.poll(service.caller(), since=rows[first].updated_at, before=rows[last].updated_at + tick)
                assert [item.delivery.id for item in found] == [row.id for row in rows[first : last + 1]]
                assert not more
        assert service.exchange.poll(service.caller(), since=rows[-1].updated_at + tick)[0] == []
        assert service.exchange.poll(service.caller(), before=rows[0].updated_at)[0] == []
        assert len(service.exchange.poll(service.caller(), since=rows[3].updated_at, after_change=rows[6].change)[0]) == 2


def test_a_poll_is_counted_under_its_address(tmp_path: Path) -> None:
    def count() -> float:
        return REQUESTS.labels("GET", "/fhir/DocumentReference", 200)._value.get()

    with api(tmp_path) as found:
        before = count()
        found.fhir("GET", "/fhir/DocumentReference")
        assert count() == before + 1


def test_the_list_shows_these_days_and_the_past_page_by_page(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        service = found.kit
        service.exchange.store.write(lambda uow: fill(uow, 70))
        for which in (0, 1):
            service.story(which)
        cookie = sign_in(found, service.carer)
        pages = [
            found.http.get("/home" + asked, headers=cookie).text
            for asked in ("", "?earlier=1", "?earlier=2", "?earlier=99999", "?earlier=x")
        ]
        own = [{part.split('"')[0] for part in page.split('href="/home/')[1:]} for page in pages]
        near = own[3]  # what nobody has read stands on every page
        assert len(near) == 2
        assert [len(page - near) for page in own] == [30, 30, 10, 0, 30]
        assert len(set().union(*own)) == 72
        assert ["People who came earlier" in page for page in pages] == [True, True, False, False, True]
        assert all("2 to read." in page for page in pages)
        listed = service.exchange.store.read(lambda uow: uow.find(AuditEvent, type="inbox.searched"))
        assert {row.entity_id for row in listed} == near
        assert service.exchange.store.read(lambda uow: uow.count(Transfer)) == 72


def test_who_came_lately_stands_in_the_list_even_with_a_day_long_past_or_unknown(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.exchange.store.write(lambda uow: fill(uow, 3))
        transfer = service.story()
        service.exchange.open_version(service.caller(), transfer)
        for day in ("", "2026-11", "2026-01-05"):
            service.exchange.store.write(lambda uow, day=day: uow.update(Transfer, {"leaving_on": day}, id=transfer))  # type: ignore[misc]
            found = service.exchange.home_list(service.caller())
            assert {item.transfer.id for item in found.near} == {transfer}
            assert len(found.past) == 3
        service.clock.forward(days=15)
        found = service.exchange.home_list(service.caller())
        assert found.near == []
        assert len(found.past) == 4


def test_an_address_is_looked_up_by_its_postcode() -> None:
    home = Organisation(HOME, "Sample Meadow", "home", "1 Rehearsal Row", "Testmouth", "NM4 7QA")
    for words in (
        "1 Rehearsal Row^^Testmouth^^NM4 7QA^GBR^H",
        "1 rehearsal row, nm47qa",
        "1 Rehearsal Row A1 2BC NM4-7QA",
        "1 Rehearsal Row\nNM4\n7QA",
    ):
        assert names_address(words, home)
        assert home.postcode in postcodes_in(words)
    assert postcodes_in("no postcode here 12345") == []


def test_documents_of_one_batch_are_read_together_and_none_is_lost(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        receipts = [
            service.exchange.accept(service.sender, raw, "http", "application/fhir+json").result() for raw in fhir_documents(range(20))
        ]
        assert len({receipt.submission for receipt in receipts}) == 20
        service.drain()
        for n in range(20):
            service.exchange.confirm_site(f"D{n:06}", HOME, service.worker)
        service.drain()
        assert len(service.exchange.poll(service.caller())[0]) == 20
        assert service.exchange.list_holds(HOSPITAL) == []
        assert service.findings() == []


def test_the_service_starts_without_what_only_some_need() -> None:
    code = "import sys, exchange, exchange.wiring, exchange.cli.serve; print(*sorted({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "exchange" in loaded
    assert {"fhir", "aiokafka", "psycopg", "sqlmodel", "alembic"} & set(loaded) == set()
