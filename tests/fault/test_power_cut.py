"""A power cut: only what the disk was told to keep is left, and what an engine was told "yes" for is in it.

The service runs under `strace`, which records each write, flush and answer. From that record the disk is made as it may have been at
many moments: every flushed byte, and of what was not flushed nothing, or any sectors of it in any order. Each of these disks is opened
by the service's own store.
"""

import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter
from exchange.cli.fsck import check_all
from exchange.wiring import open_exchange
from tests.databases import settings_for, sqlite_only
from tests.fault.runner import made_up
from tests.fault.test_killed_service import EXPECTED, OTHERS, Engines, prepare, submissions
from tests.service_kit import WARDPOST, Service

SECTOR = 512
CUTS = 8
_CALLS = "pwrite64,write,writev,ftruncate,fsync,fdatasync,sendto,sendmsg"
_ANSWERS = ("write", "writev", "sendto", "sendmsg")
_LINE = re.compile(r"^(\d+) +(.*)$")
_HEAD = re.compile(r"^\w+\(\d+<((?:\\x[0-9a-f]{2})*)>(?:, )?")
_RESULT = re.compile(r"\) += (-?\d+)[^)]*$")
_CARELESS = (
    "import exchange.store.sqlite as store, exchange.cli.main as cli, sys\n"
    "made = store._Connection.__init__\n"
    "def careless(self, path, *, read_only):\n"
    "    made(self, path, read_only=read_only)\n"
    "    self.raw.execute('PRAGMA synchronous=NORMAL')\n"
    "store._Connection.__init__ = careless\n"
    "sys.argv[1:] = ['run']\n"
    "cli.main()\n"
)


@dataclass
class File:
    """What the disk surely holds, and what came since: (offset, bytes), or (length, None) for a file cut or grown to it."""

    kept: bytearray
    loose: list[tuple[int, bytes | None]] = field(default_factory=list)
    flushed: int = 0

    def flush(self, upto: int) -> None:
        """Everything up to the write of this number is on the disk; another thread's flush may have brought it there."""
        while self.flushed < upto:
            put(self.kept, *self.loose.pop(0))
            self.flushed += 1

    def after_cut(self, dice: random.Random | None) -> bytes:
        """Without dice nothing loose is left; with them any sectors are."""
        left = bytearray(self.kept)
        sectors: list[tuple[int, bytes | None]] = []
        for offset, data in self.loose:
            sectors += [(offset, None)] if data is None else [(offset + n, data[n : n + SECTOR]) for n in range(0, len(data), SECTOR)]
        if dice:
            for offset, piece in dice.sample(sectors, dice.randint(0, len(sectors))):
                put(left, offset, piece)
        return bytes(left)


def put(image: bytearray, offset: int, data: bytes | None) -> None:
    image.extend(bytes(max(0, offset - len(image))))
    if data is None:
        del image[offset:]
    else:
        image[offset : offset + len(data)] = data


def calls(record: Path) -> Iterator[tuple[str, str, str, str]]:
    """(thread, "begin" or "end", name, the whole call) in the order of time; an uninterrupted call begins and ends at once."""
    begun: dict[str, str] = {}
    with record.open(encoding="ascii", errors="replace") as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if not found:
                continue
            thread, text = found.groups()
            if text.endswith("<unfinished ...>"):
                begun[thread] = text.removesuffix("<unfinished ...>").rstrip()
                yield thread, "begin", text.split("(")[0], begun[thread]
            elif text.startswith("<... "):
                whole = begun.pop(thread) + re.sub(r"^<\.\.\. \w+ resumed>", "", text)
                yield thread, "end", whole.split("(")[0], whole
            elif "(" in text:
                yield thread, "begin", text.split("(")[0], text
                yield thread, "end", text.split("(")[0], text


@dataclass
class Disk:
    """The data folder as the disk knows it, told forward by the record."""

    folder: Path
    files: dict[str, File]
    said: set[str] = field(default_factory=set)
    flushing: dict[str, int] = field(default_factory=dict)

    def step(self, thread: str, when: str, name: str, text: str) -> bool:
        """Follow one call; whether it was an answer that says yes."""
        head, result = _HEAD.match(text), _RESULT.search(text)
        if name in _ANSWERS and when == "begin" and (codes := re.findall(rb"MSA\|AA\|([^\r|]+)", unhex(text))):
            self.said.update(code.decode() for code in codes)
            return True
        path = hex_text(head[1]).decode() if head else ""
        is_ours = path.startswith(str(self.folder)) and not path.endswith("-shm")
        if head is None or not is_ours or (when == "end" and (result is None or int(result[1]) < 0)):
            return False
        rest = _RESULT.sub("", text[head.end() :])
        file = self.files.setdefault(path, File(bytearray()))
        if name in ("fsync", "fdatasync"):
            if when == "begin":
                self.flushing[thread] = file.flushed + len(file.loose)
            else:
                file.flush(self.flushing.pop(thread))
        elif when == "end" and name == "pwrite64":
            file.loose.append((int(rest.rsplit(", ", 1)[1]), unhex(rest)))
        elif when == "end" and name == "ftruncate":
            file.loose.append((int(rest), None))
        elif when == "end":
            raise AssertionError(f"a way of writing that this test does not follow: {name} {path}")
        return False

    def cut(self, target: Path, source: Path, dice: random.Random | None) -> None:
        """Write the disk as it may be after a cut now; keys and everything outside the folder as they are."""
        shutil.copytree(source, target)
        for path in (target / "data").iterdir():
            if path.is_file():
                path.unlink()
        for name, file in self.files.items():
            (target / "data" / Path(name).name).write_bytes(file.after_cut(dice))


def unhex(text: str) -> bytes:
    return b"".join(map(hex_text, re.findall(r'"((?:\\x[0-9a-f]{2})*)"', text)))


def hex_text(text: str) -> bytes:
    """As strace -xx writes each string and path."""
    return bytes.fromhex(text.replace("\\x", ""))


def record_of(folder: Path, command: Sequence[str], seed: int) -> tuple[Path, set[str]]:
    """A morning under load, recorded; what the engines were told "AA" for."""
    now = datetime.now(UTC)
    people = [made_up(number) for number in range(EXPECTED)]
    messages = [(f"T02-{person.visit}", letter(person, now)) for person in people]
    messages += [(f"A01-{p.visit}", admission(p, now)) for p in (made_up(1000 + number) for number in range(OTHERS))]
    random.Random(seed).shuffle(messages)
    record = folder / "strace"
    service = Service(folder)
    service.start("strace", "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={_CALLS}", "-e", "signal=none", "-o", str(record), *command)
    try:
        engines = Engines(service, messages)
        engines.start()
        engines.join()
        assert len(engines.acknowledged) == len(messages)
    finally:
        # A cut needs no goodbye; strace ends with what it watched.
        if service.process is not None:
            os.kill(traced(service.process.pid), signal.SIGKILL)
            service.process.wait(30)
    return record, set(engines.acknowledged)


def traced(strace: int) -> int:
    return int(Path(f"/proc/{strace}/task/{strace}/children").read_text().split()[0])


def losses(folder: Path, command: Sequence[str], seed: int) -> tuple[int, list[str]]:
    """How many disks were opened, and what was wrong with them."""
    people = [made_up(number) for number in range(EXPECTED)]
    prepare(folder, people, datetime.now(UTC))
    before = folder.with_name("before")
    shutil.copytree(folder, before)
    record, told = record_of(folder, command, seed)
    data = folder / "data"
    disk = Disk(data, {str(data / f.name): File(bytearray(f.read_bytes())) for f in (before / "data").iterdir() if f.is_file()})
    dice, wrong, opened = random.Random(seed), [], 0
    at = set(dice.sample(range(len(told)), CUTS))
    answers = 0
    for call in calls(record):
        if not disk.step(*call):
            continue
        if answers in at:
            for how in (None, dice):
                opened += 1
                target = folder.with_name(f"cut-{opened}")
                disk.cut(target, before, how)
                wrong += found_wrong(target, disk.said)
        answers += 1
    assert disk.said == told, "the record is not the whole of what was said"
    return opened, wrong


def found_wrong(folder: Path, said: set[str]) -> list[str]:
    gone = said - set(submissions(folder))
    exchange = open_exchange(settings_for(folder))
    try:
        faults = exchange.store.read(lambda uow: check_all(uow, exchange.environment))
    finally:
        exchange.store.close()
    return [f"acknowledged and gone: {name}" for name in sorted(gone)] + [str(fault) for fault in faults]


def can_trace() -> bool:
    return bool(shutil.which("strace")) and subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not here, or not allowed: no record of what was flushed")


@pytest.mark.services
@sqlite_only
@needs_strace
def test_a_power_cut_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    opened, wrong = losses(tmp_path / "home", [WARDPOST, "run"], 1)
    assert opened == 2 * CUTS
    assert wrong == []


@pytest.mark.services
@sqlite_only
@needs_strace
def test_a_store_that_does_not_flush_each_commit_is_seen(tmp_path: Path) -> None:
    _, wrong = losses(tmp_path / "home", [sys.executable, "-c", _CARELESS], 1)
    assert any(line.startswith("acknowledged and gone") for line in wrong)
