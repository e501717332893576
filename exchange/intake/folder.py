"""A watched folder: files become submissions. No file is lost, and none is taken twice.

1. wait     a file whose size and time stood still over two looks; `.tmp` and the like are still being written
2. claim    renamed into `claimed/`, so that its writer can no longer change what we read by its name
3. accept   committed; the same bytes give the same receipt, so that a crash from here on only repeats
4. stub     `taken/<name>.json` with the submission id, written whole
5. delete   the file itself, which is now in our custody

What cannot be a submission (no plain file, too big, not readable) is moved to `refused/` with its reason beside it. Folders are left alone.
"""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from exchange.errors import Unavailable
from exchange.model import Receipt
from exchange.ports import FailPoints, no_fail_points

log = structlog.get_logger("wardpost.folder")
Take = Callable[[bytes], Receipt]
MAX_BYTES: Final = 20 * 1024 * 1024
_UNFINISHED: Final = (".tmp", ".part", ".partial", ".filepart", ".crdownload", ".swp", "~")
_SHELVES: Final = ("claimed", "taken", "refused")
Look = tuple[int, int, int]


class WatchedFolder:
    """One folder of one sender. `look` is called again and again, a second or so apart; it never raises for what lies in the folder."""

    def __init__(self, path: Path, take: Take, fail: FailPoints = no_fail_points, max_bytes: int = MAX_BYTES) -> None:
        """`take` gives custody and a receipt; raises Unavailable when it cannot now."""
        self._path, self._take, self._fail, self._max = path, take, fail, max_bytes
        self._claimed, self._taken, self._refused = (path / shelf for shelf in _SHELVES)
        self._seen: dict[str, Look] = {}
        self._said: set[str] = set()
        self._says: set[str] = set()

    def look(self) -> int:
        """One pass; how many files were taken. What an earlier pass or process had claimed comes first."""
        self._said, self._says = self._says, set()
        taken = 0
        try:
            for shelf in (self._claimed, self._taken, self._refused):
                shelf.mkdir(mode=0o700, exist_ok=True)
            for left in sorted(os.listdir(self._claimed)):
                taken += self._accept(left)
            for name in self._ready():
                taken += self._claim(name) and self._accept(name)
        except Unavailable:
            self._say("folder_waits_for_store")
        except OSError as problem:
            self._say("folder_not_usable", problem)
        return taken

    def _ready(self) -> list[str]:
        """The files that stood still since the last look, oldest first; everything else is remembered for the next one."""
        now: dict[str, Look] = {}
        with os.scandir(self._path) as found:
            for entry in found:
                if entry.name.startswith(".") or entry.name.lower().endswith(_UNFINISHED):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _SHELVES:
                        self._say("folder_has_a_folder")
                    continue
                try:
                    now[entry.name] = _look_at(entry.stat(follow_symlinks=False))
                except FileNotFoundError:
                    continue
        # An empty file may be the beginning of one: it waits until something is in it.
        ready = sorted((look[1], name) for name, look in now.items() if self._seen.get(name) == look and look[0])
        self._seen = now
        return [name for _, name in ready]

    def _claim(self, name: str) -> bool:
        """Rename the file away from its writer; one that changed since the look goes back."""
        if os.path.lexists(self._claimed / name):
            return False
        try:
            os.rename(self._path / name, self._claimed / name)
            if _look_at(os.lstat(self._claimed / name)) != self._seen[name]:
                os.rename(self._claimed / name, self._path / name)
                return False
        except OSError as problem:
            self._say("folder_file_not_claimed", problem)
            return False
        self._fail("folder.claimed")
        return True

    def _accept(self, name: str) -> bool:
        """Custody of one claimed file, then stub, then deletion. Each step can be done again. Raises Unavailable."""
        path = self._claimed / name
        try:
            raw, reason = self._read(path)
            if reason:
                self._refuse(name, reason)
                return False
            receipt = self._take(raw)
            self._fail("folder.after_commit")
            said = {"file": name, "submission": receipt.submission, "digest": receipt.digest, "accepted_at": receipt.accepted_at}
            _write(self._taken / f"{_short(name)}.{receipt.submission}.json", json.dumps(said))
            self._fail("folder.after_stub")
            if os.lstat(path).st_size == len(raw):
                path.unlink()
            else:  # it was written to while we read it: the whole of it is a submission of its own
                os.rename(path, self._path / name)
        except FileNotFoundError:  # another process of ours was faster
            return False
        except OSError as problem:
            self._say("folder_file_stays_claimed", problem)
            return False
        self._fail("folder.deleted")
        return True

    def _read(self, path: Path) -> tuple[bytes, str]:
        """The bytes, or why they are not taken. A link is not followed, a pipe not waited for."""
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return b"", "This is no plain file (a link, a pipe or a device). Copy the file itself into the folder."
        try:
            with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                raw = file.read(self._max + 1)
        except FileNotFoundError:
            raise
        except OSError as problem:
            return b"", f"The file cannot be read (error {problem.errno}). Give the service the right to read it, and put it back."
        if len(raw) > self._max:
            return b"", f"The file is larger than {self._max} bytes. Send a smaller one."
        return raw, ""

    def _refuse(self, name: str, reason: str) -> None:
        """Aside, whole, with the reason beside it; an older one of the same name keeps its place."""
        number = 0
        while os.path.lexists(target := self._refused / (f"{number}-{name}" if number else name)):
            number += 1
        os.rename(self._claimed / name, target)
        _write(self._refused / f"{_short(target.name)}.reason.txt", f"{reason}\n")
        log.warning("folder_file_refused", folder=str(self._path))

    def _say(self, event: str, problem: OSError | None = None) -> None:
        """Once for as long as it lasts: a pass comes every second. File names may name people and are not logged."""
        errno = problem.errno if problem else None
        if f"{event} {errno}" not in self._said | self._says:
            log.error(event, folder=str(self._path), errno=errno)
        self._says.add(f"{event} {errno}")


def _look_at(found: os.stat_result) -> Look:
    return found.st_size if stat.S_ISREG(found.st_mode) else 1, found.st_mtime_ns, found.st_ino


def _short(name: str) -> str:
    """A name that leaves room for an ending within the 255 bytes of a file name."""
    return os.fsdecode(os.fsencode(name)[:200])


def _write(path: Path, text: str) -> None:
    """Whole or not at all, and on the disk."""
    draft = path.with_name(f".{path.name}.tmp")
    with open(draft, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)
