"""What the figures are of: one `wardpost run` over SQLite, spoken to through its doors alone. CPU is that of the whole service."""

import http.client
import os
import selectors
import socket
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exchange.cli.demo_story import admission, people
from exchange.config import Settings
from exchange.model import Environment, TransferState
from exchange.ports import UnitOfWork
from exchange.records import Delivery, Mailbox, Part, Sealed, Transfer, Version
from exchange.wiring import open_exchange
from tests.fhir_kit import as_json, document, medicine
from tests.service_kit import Service, running_service, wait_until

HOME = "VZZ01"
_TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def service_to_measure(folder: Path) -> Iterator[Service]:
    with running_service(folder) as service:
        service.cli("senders", "add", "EPR", "--org", "RZZ01", "--channel", "http")
        yield service


def cpu_seconds(service: Service) -> float:
    """User and system time of the service so far."""
    assert service.process is not None
    fields = Path(f"/proc/{service.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def spent(service: Service, work: Callable[[], object]) -> tuple[float, float]:
    """(wall, CPU) seconds of the service while we have this done and until it is at rest again."""
    wall, cpu = time.perf_counter(), cpu_seconds(service)
    work()
    wall = time.perf_counter() - wall
    settled(service)
    return wall, cpu_seconds(service) - cpu


def resident_megabytes(service: Service) -> float:
    assert service.process is not None
    return int(Path(f"/proc/{service.process.pid}/status").read_text().split("VmRSS:")[1].split()[0]) / 1024


def database(service: Service) -> Path:
    return service.folder / "data" / "wardpost.sqlite"


def settled(service: Service) -> None:
    """Wait until no work and no event is left."""
    db = sqlite3.connect(f"file:{database(service)}?mode=ro", uri=True)
    left = "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM outbox WHERE settled_at IS NULL)"
    wait_until(lambda: db.execute(left).fetchone() == (0,), "rest", 300)
    db.close()


def nhs_number(n: int) -> str:
    """The n-th valid number that is kept for tests (999…)."""
    for digits in (f"999{candidate:06}" for candidate in range(n * 11, n * 11 + 11)):
        check = (11 - sum(int(digit) * weight for digit, weight in zip(digits, range(10, 1, -1), strict=True)) % 11) % 11
        if check < 10:
            return f"{digits}{check}"
    raise AssertionError("eleven in a row have a check digit of ten")


def admissions(count: int, run: str) -> list[bytes]:
    """A01 of as many people, each with an id of its own in this run."""
    now = datetime.now(UTC)
    base, mark = admission(people(now)[0], now), ord(run) * 10_000
    return [
        base.replace(b"A01-V1001", b"%s-%06d" % (run.encode(), n))
        .replace(b"V1001", b"%s%06d" % (run.encode(), n))
        .replace(b"9990000018", nhs_number((mark + n) % 90_000).encode())
        for n in range(count)
    ]


def fhir_documents(numbers: range) -> list[bytes]:
    """R4 discharge documents of as many people, twelve medicines each."""
    rows = [medicine(f"Medicine {n} 5mg tablets", "One each morning", change="unchanged") for n in range(12)]
    base = as_json(document(rows))
    return [
        base.replace(b"V0001", b"D%06d" % n).replace(b"9990000018", nhs_number(n).encode()).replace(b"7a6a4bb0b001", b"%012d" % n)
        for n in numbers
    ]


class Caller:
    """One HTTP connection that stays open."""

    def __init__(self, service: Service, client: str) -> None:
        self._link = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {service.token(client)}"}

    def __call__(self, method: str, path: str, body: bytes | None = None, media_type: str = "application/fhir+json") -> bytes:
        self._link.request(method, path, body, {**self._headers, "Content-Type": media_type} if body else self._headers)
        answer = self._link.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return content


def the_way(service: Service, numbers: range, picker: str) -> None:
    """FHIR R4 in by HTTP, a named person picks the home, out to the mailbox."""
    hospital = Caller(service, "hospital")
    for raw in fhir_documents(numbers):
        hospital("POST", "/submissions", raw)
    settled(service)
    for n in numbers:
        pick = b'{"stay": "D%06d", "site": "%s", "by": "%s"}' % (n, HOME.encode(), picker.encode())
        hospital("POST", "/transfers/confirm", pick, "application/json")
    settled(service)


def mllp(service: Service, messages: list[bytes], connections: int) -> None:
    """Each connection sends its next frame when the one before is acknowledged."""
    waiting, selector = deque(messages), selectors.DefaultSelector()

    def send(link: socket.socket) -> None:
        if waiting:
            link.sendall(b"\x0b" + waiting.popleft() + b"\x1c\r")
        else:
            selector.unregister(link)
            link.close()

    for _ in range(connections):
        link = service.connection()
        selector.register(link, selectors.EVENT_READ)
        send(link)
    while selector.get_map():
        for key, _ in selector.select():
            assert isinstance(key.fileobj, socket.socket)
            answer = key.fileobj.recv(65536)
            assert b"|AA|" in answer, answer
            send(key.fileobj)
    selector.close()


def fill_mailbox(service: Service, count: int) -> None:
    """So many deliveries more in the home's mailbox, written through the store."""
    exchange = open_exchange(Settings(data=service.folder / "data", environment=Environment.TRIAL))
    for first in range(0, count, 500):
        exchange.store.write(lambda uow, many=min(500, count - first): fill(uow, many))  # type: ignore[misc]  # bound now
    exchange.store.close()


def fill(uow: UnitOfWork, many: int) -> None:
    """Deliveries as they stand in a mailbox when they were read long ago. Their parts hold nothing: nobody can open them."""
    mailbox = uow.lock(Mailbox, HOME)
    assert mailbox is not None
    mark, at = mailbox.last_change, mailbox.last_updated_at or uow.now - timedelta(days=30)
    read = {"collected_at": uow.now, "opened_at": uow.now, "opened_by": "x"}
    for n in range(mark, mark + many):
        mark, at = n + 1, at + timedelta(milliseconds=1)
        transfer, version = uow.new_id(), uow.new_id()
        uow.insert(Transfer(transfer, uow.new_id(), "RZZ01", HOME, TransferState.PUBLISHED, uow.now, versions=1))
        person = b'{"family": "Testperson", "given": "Edith", "nhs_number": "%s"}' % nhs_number(n % 90_000).encode()
        sealed = (Sealed.of(b"{}"), Sealed.of(b"0"), Sealed.of(person))
        uow.insert(Version(version, transfer, "RZZ01", HOME, 1, uow.now, "", "", "papers complete", "", "", *sealed, None))
        label = Sealed.of(b'{"title": "Discharge document", "digest": "sha256:0", "media_type": "application/fhir+json"}')
        uow.insert(Part(uow.new_id(), version, transfer, "RZZ01", HOME, 0, "application/fhir+json", 1, label, Sealed.of(b"{}")))
        uow.insert(Delivery(uow.new_id(), transfer, version, 1, "RZZ01", HOME, uow.new_id(), mark, mark, at, uow.now, **read))  # type: ignore[arg-type]
    uow.update(Mailbox, {"last_sequence": mark, "last_change": mark, "last_updated_at": at, "listed_change": mark}, id=HOME)
