"""`./dev bench`: speed and size of the service as it runs, each figure beside a floor measured in the same run. Nothing is asserted here.

A floor is the least that any design must do with the same bytes. "of floor": the floor's CPU per piece as a share of ours.
"""

import hashlib
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from urllib.parse import quote

import msgspec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from exchange.fhir.content import Medicine
from exchange.fhir.document import build_document
from exchange.fhir.json import dump
from exchange.gate.evaluate import evaluate, gate_input
from exchange.gate.rules import RULES, Profile
from tests.bench import deployments, live, survival
from tests.draft_kit import edith
from tests.service_kit import WARDPOST, Service

MESSAGES, DOCUMENTS, POLLS, FEW, MANY = 4000, 200, 2000, 100, 100_000


def show(name: str, count: int, wall: float, cpu: float, floor: float = 0.0) -> float:
    """Print count per wall and per CPU second, and the floor's share of the CPU; CPU seconds of one."""
    share = f"{100 * floor * count / cpu:6.1f} % of floor" if floor else ""
    print(f"{name:58} {count / wall:7.0f} /s {count / cpu:8.0f} /CPU-s {share}", flush=True)
    return cpu / count


def own(name: str, count: int, work: Callable[[int], object]) -> float:
    """Do and show something in this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    for n in range(count):
        work(n)
    return show(name, count, time.perf_counter() - wall, time.process_time() - cpu)


class Floor:
    """A table on the same disk, and one key."""

    def __init__(self, folder: Path) -> None:
        self._db = sqlite3.connect(folder / "floor.sqlite", isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            self._db.execute(f"PRAGMA {pragma}")
        self._db.execute("CREATE TABLE one (id INTEGER PRIMARY KEY, digest TEXT, content BLOB)")
        self._key = AESGCM(bytes(32))

    def keep(self, raw: bytes) -> None:
        sealed = self._key.encrypt(os.urandom(12), raw, b"")
        self._db.execute("INSERT INTO one (digest, content) VALUES (?, ?)", (hashlib.sha256(raw).hexdigest(), sealed))

    def take_in(self, raw: bytes) -> None:
        """A document is read, and kept as it came and as it goes out."""
        msgspec.json.encode(msgspec.json.decode(raw))
        self.keep(raw)
        self.keep(raw)

    def look(self, after: int, rows: int) -> bytes:
        found = self._db.execute("SELECT id, digest FROM one WHERE id > ? ORDER BY id LIMIT ?", (after, rows)).fetchall()
        return msgspec.json.encode(found)


def gate_of_a_large_document() -> None:
    """CPU of one evaluation over a document of 67 KB or more, its index included (wanted: under 2 ms)."""
    story = edith()
    rows = tuple(
        Medicine(f"M{n}", {"medicationCodeableConcept": {"text": f"Medicine {n} 5mg tablets"}, "dosage": [{"text": "One each morning"}]},
                 change="unchanged") for n in range(36)
    )  # fmt: skip
    content = replace(story.content(), medicines=rows, has_list=True)
    document = build_document(content)
    now = "2026-11-27T16:30:00+00:00"
    spent = []
    for _ in range(200):
        began = time.process_time()
        evaluate(gate_input(content, document, Profile.STRUCTURED, now=now))
        spent.append((time.process_time() - began) * 1000)
    print(f"{f'gate, {len(RULES)} rules, document of {len(dump(document)) / 1024:.0f} KB, median':58} {median(spent):9.2f} ms CPU")


def documents(service: Service, floor: Floor, first: int, count: int) -> None:
    picker = service.cli("people", "add", "Rob Manager-Test", "--org", "RZZ01", "--role", "site_manager", "--email", "rob@test.example")
    numbers = range(first, first + count)
    raws = live.fhir_documents(numbers)
    least = own("floor: parse, SHA-256, AES-GCM, durable insert", count, lambda n: floor.take_in(raws[n]))
    show("FHIR R4 in, to visible in the inbox", count, *live.spent(service, lambda: live.the_way(service, numbers, picker)), least)


def polls(service: Service, floor: Floor, deliveries: int) -> None:
    """An authenticated GET on an open connection that finds nothing, one and ten."""
    home = live.Caller(service, "home")
    db = sqlite3.connect(f"file:{live.database(service)}?mode=ro", uri=True)
    times = db.execute("SELECT updated_at FROM delivery WHERE recipient_org = ? ORDER BY change DESC LIMIT 11", (live.HOME,)).fetchall()
    for rows in (0, 1, 10):
        since = datetime.fromtimestamp(times[rows][0] / 1e6, UTC).isoformat(timespec="milliseconds")
        path = f"/fhir/DocumentReference?_count=50&_lastUpdated=gt{quote(since)}"
        assert home("GET", path).count(b"fullUrl") == rows
        least = own(f"floor: {rows} rows by index, as JSON", POLLS, lambda n, rows=rows: floor.look(n, rows))  # type: ignore[misc]
        work = live.spent(service, lambda path=path: [home("GET", path) for _ in range(POLLS)])  # type: ignore[misc]
        show(f"poll that finds {rows} of {deliveries:,}", POLLS, *work, least)


def main() -> None:
    gate_of_a_large_document()
    with tempfile.TemporaryDirectory() as name, live.service_to_measure(Path(name)) as service:
        print(f"{'resident memory of an idle `wardpost run`':58} {live.resident_megabytes(service):7.0f} MB")
        floor = Floor(Path(name))
        raw = live.admissions(1, "F")[0]
        least = own("floor: SHA-256, AES-GCM, durable insert", MESSAGES, lambda _: floor.keep(raw))
        for run, connections in (("A", 1), ("B", 16)):
            sent = live.admissions(MESSAGES, run)
            wall, cpu = live.spent(service, lambda sent=sent, connections=connections: live.mllp(service, sent, connections))  # type: ignore[misc]
            show(f"MLLP acknowledged, {connections} connections (CPU: read, too)", MESSAGES, wall, cpu, least)
        documents(service, floor, 0, FEW)
        polls(service, floor, FEW)
        documents(service, floor, FEW, DOCUMENTS)
        live.fill_mailbox(service, MANY - FEW - DOCUMENTS)
        polls(service, floor, MANY)
        print(f"{'resident memory after all this':58} {live.resident_megabytes(service):7.0f} MB")
    for arguments in ((WARDPOST, "sites", "--help"), (sys.executable, "-c", "import exchange")):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(arguments, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(f"{' '.join(map(str, (Path(arguments[0]).name, *arguments[1:]))):58} {cpu:9.2f} s CPU")
    deployments.main()
    print()
    survival.main()


if __name__ == "__main__":
    main()
