"""The key-encryption key: a file of mode 0600, outside the data folder and outside backups (envelope.md 2).

`{"v":1,"current":ID,"keys":[{"id":UUID,"k":base64url,"created_at":Unix seconds}]}`. It opens rows of `data_key` and nothing
else. Every generation that some row or some backup still needs stays in the file; new rows are sealed under `current`.
A lost file is lost data, and the messages below say so.
"""

import os
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from exchange.errors import WardpostError
from exchange.seal.columns import KEY_BYTES, KEY_ID_BYTES, RandomBytes, SealingKey
from exchange.seal.keys import decode_base64url, dump_json, encode_base64url, load_strict_json

KekCode = Literal[
    "kek_missing", "kek_exists", "kek_inside_data_folder", "kek_open_to_others", "kek_unreadable", "kek_unknown_version",
    "kek_not_written", "kek_generation_missing",
]  # fmt: skip
_MAX_FILE_BYTES: Final = 1_048_576


class KekRefused(WardpostError):
    """The KEK file cannot be used as it is. Names the path and the next step, never a key."""

    def __init__(self, code: KekCode, message: str, *, next_step: str) -> None:
        super().__init__(code, message, next_step=next_step)


@dataclass(frozen=True, slots=True)
class Kek:
    """The KEK in memory, for the life of the process: its generations by key id, and the one that seals."""

    current: SealingKey
    generations: Mapping[bytes, SealingKey] = field(repr=False)


def create_kek_file(path: Path, *, data_folder: Path, now: int, random_bytes: RandomBytes) -> Kek:
    """Make the file with its first generation. KekRefused: kek_exists, kek_inside_data_folder, kek_not_written."""
    _refuse_inside(path, data_folder)
    name = uuid.UUID(bytes=random_bytes(KEY_ID_BYTES), version=4)
    key = SealingKey(name.bytes, random_bytes(KEY_BYTES))
    first = {"id": str(name), "k": encode_base64url(key.key), "created_at": now}
    try:
        _write_new(path, dump_json({"v": 1, "current": str(name), "keys": [first]}) + b"\n")
    except FileExistsError:
        message = f"There is a key file at {path} already; a new one would make the old data unreadable."
        step = "Use it: it belongs to a database that is there already."
        raise KekRefused("kek_exists", message, next_step=step) from None
    except OSError as error:
        message = f"The key file {path} could not be written: {error.strerror}."
        step = "Name a folder that exists, has room, and that the user who runs wardpost may write to."
        raise KekRefused("kek_not_written", message, next_step=step) from None
    return Kek(key, {key.key_id: key})


def load_kek_file(path: Path, *, data_folder: Path) -> Kek:
    """Read and check the file: start is refused by any KekRefused but kek_exists and kek_generation_missing."""
    _refuse_inside(path, data_folder)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of what was opened, not of what the name now leads to
            data = file.read(_MAX_FILE_BYTES + 1)
        if mode & 0o077:
            message = f"Others than its owner can reach the key file {path} (mode {mode & 0o777:04o})."
            step = f"Run `chmod 600 {path}`, and think whether someone has read it."
            raise KekRefused("kek_open_to_others", message, next_step=step)
        return _parse(path, data)
    except FileNotFoundError:
        message = f"There is no key file at {path}; without it the data cannot be read."
        step = "Restore the copy you keep apart from the backups; a new installation makes one when it first starts."
        raise KekRefused("kek_missing", message, next_step=step) from None
    except (OSError, ValueError, KeyError) as error:
        # What is wrong with the contents stays untold: the text of the error could hold a key.
        why = (isinstance(error, OSError) and error.strerror) or "it is not what wardpost wrote"
        step = "Let the user who runs wardpost read it, or restore the copy you keep apart. A new one opens nothing."
        raise KekRefused("kek_unreadable", f"The key file {path} cannot be read: {why}.", next_step=step) from None


def _parse(path: Path, data: bytes) -> Kek:
    """ValueError or KeyError for what create_kek_file would not write, KekRefused for another version."""
    match load_strict_json(data):
        case {"v": int(number)} if number != 1:
            message = f"The key file {path} is of version {number}."
            raise KekRefused("kek_unknown_version", message, next_step="Start the version of wardpost that wrote it.")
        case {"v": 1, "current": str(current), "keys": [*entries], **rest} if not rest:
            generations = {key.key_id: key for key in map(_parse_generation, entries)}
            if len(generations) == len(entries):
                return Kek(generations[_parse_id(current)], generations)
    raise ValueError("members are missing, unknown or contradict each other")


def _parse_generation(entry: object) -> SealingKey:
    match entry:
        case {"id": str(name), "k": str(key), "created_at": int(), **rest} if not rest:
            return SealingKey(_parse_id(name), decode_base64url(key))
    raise ValueError("not an id, a key and a time")


def _parse_id(text: str) -> bytes:
    name = uuid.UUID(text)
    if str(name) != text:
        raise ValueError("not in its one form")
    return name.bytes


def _refuse_inside(path: Path, data_folder: Path) -> None:
    if path.resolve().is_relative_to(data_folder.resolve()):
        message = f"The key file {path} lies inside the data folder {data_folder}: who copies the folder would have both lock and key."
        step = "Move it elsewhere and out of the backups, and set WARDPOST_KEK_FILE to its new path."
        raise KekRefused("kek_inside_data_folder", message, next_step=step)


def _write_new(path: Path, data: bytes) -> None:
    """A new file of mode 0600, on the disk before we return. OSError; FileExistsError when the name is taken."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        path.unlink()  # half a key file would pass for an existing one
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
