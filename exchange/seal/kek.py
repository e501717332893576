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
from typing import Final, Literal, NoReturn

from exchange.errors import WardpostError
from exchange.seal.columns import KEY_BYTES, RandomBytes, SealingKey, read_key_id, unwrap_data_key, wrap_data_key
from exchange.seal.keys import decode_base64url, dump_json, encode_base64url, load_strict_json

KekCode = Literal[
    "kek_missing", "kek_exists", "kek_inside_data_folder", "kek_open_to_others", "kek_unreadable", "kek_unknown_version",
    "kek_not_written", "kek_generation_missing",
]  # fmt: skip
_MAX_FILE_BYTES: Final = 1_048_576
_OTHERS: Final = 0o077


class KekRefused(WardpostError):
    """The KEK file cannot be used as it is. Names the path and the next step, never a key."""

    def __init__(self, code: KekCode, message: str, *, next_step: str) -> None:
        super().__init__(code, message, next_step=next_step)


@dataclass(frozen=True, slots=True)
class KekGeneration:
    """One generation: its key, and the Unix second in which it was made."""

    sealing_key: SealingKey
    created_at: int


@dataclass(frozen=True, slots=True)
class Kek:
    """The KEK in memory, for the life of the process. `generations` is oldest first and by key id."""

    current: SealingKey
    generations: Mapping[bytes, KekGeneration] = field(repr=False)

    def wrap(self, data_key: SealingKey, *, random_bytes: RandomBytes) -> bytes:
        """`data_key.sealed` under the current generation."""
        return wrap_data_key(self.current, data_key, random_bytes=random_bytes)

    def unwrap(self, key_id: bytes, sealed: bytes) -> SealingKey:
        """The data key, under whichever generation sealed it. ColumnRefused, or KekRefused: kek_generation_missing."""
        generation = self.generations.get(read_key_id(sealed))
        if generation is None:
            raise KekRefused(
                "kek_generation_missing",
                "A data key was sealed under a generation of the key-encryption key that is not in the file.",
                next_step="Put the key file back that belongs to this database; generations stay in it until no backup needs them.",
            )
        return unwrap_data_key(generation.sealing_key, key_id, sealed)


def create_kek_file(path: Path, *, data_folder: Path, now: int, random_bytes: RandomBytes) -> Kek:
    """Make the file with its first generation. KekRefused: kek_exists, kek_inside_data_folder."""
    _refuse_inside(path, data_folder)
    generation = _new_generation(now, random_bytes)
    kek = Kek(generation.sealing_key, {generation.sealing_key.key_id: generation})
    try:
        _write_new(path, _serialise(kek))
    except FileExistsError:
        raise KekRefused(
            "kek_exists",
            f"There is a key file at {path} already; a new one would make the old data unreadable.",
            next_step="Use it: it belongs to a database that is there already.",
        ) from None
    return kek


def load_kek_file(path: Path, *, data_folder: Path) -> Kek:
    """Read and check the file: start is refused by any KekRefused but kek_exists and kek_generation_missing."""
    _refuse_inside(path, data_folder)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode  # of what was opened, not of what the name now leads to
            data = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise KekRefused(
            "kek_missing",
            f"There is no key file at {path}; without it the data cannot be read.",
            next_step="Restore the copy you keep apart from the backups; a new installation makes one when it first starts.",
        ) from None
    except OSError as error:
        _refuse_unreadable(path, error.strerror or "it cannot be opened")
    if mode & _OTHERS:
        raise KekRefused(
            "kek_open_to_others",
            f"Others than its owner can reach the key file {path} (mode {mode & 0o777:04o}).",
            next_step=f"Run `chmod 600 {path}`, and think whether someone has read it.",
        )
    return _parse(path, data)


def _new_generation(now: int, random_bytes: RandomBytes) -> KekGeneration:
    key_id = uuid.UUID(bytes=random_bytes(16), version=4).bytes
    return KekGeneration(SealingKey(key_id, random_bytes(KEY_BYTES)), now)


def _refuse_inside(path: Path, data_folder: Path) -> None:
    if path.resolve().is_relative_to(data_folder.resolve()):
        raise KekRefused(
            "kek_inside_data_folder",
            f"The key file {path} lies inside the data folder {data_folder}: who copies the folder would have both lock and key.",
            next_step="Move it elsewhere and out of the backups, and set WARDPOST_KEK_FILE to its new path.",
        )


def _refuse_unreadable(path: Path, why: str) -> NoReturn:
    raise KekRefused(
        "kek_unreadable",
        f"The key file {path} cannot be read: {why}.",
        next_step="Let the user who runs wardpost read it, or restore the copy you keep apart. A new one opens nothing.",
    )


def _serialise(kek: Kek) -> bytes:
    generations = [
        {"id": str(uuid.UUID(bytes=key_id)), "k": encode_base64url(one.sealing_key.key), "created_at": one.created_at}
        for key_id, one in kek.generations.items()
    ]
    return dump_json({"v": 1, "current": str(uuid.UUID(bytes=kek.current.key_id)), "keys": generations}) + b"\n"


def _parse(path: Path, data: bytes) -> Kek:
    try:
        value = load_strict_json(data)
    except ValueError:
        _refuse_unreadable(path, "it is not the JSON that wardpost writes")
    if isinstance(value, dict) and type(value.get("v")) is int and value["v"] != 1:
        raise KekRefused(
            "kek_unknown_version",
            f"The key file {path} is of version {value['v']}.",
            next_step="Start the version of wardpost that wrote it.",
        )
    match value:
        case {"v": 1, "current": str(current), "keys": [_, *_] as entries, **rest} if not rest:
            generations = dict(_parse_generation(path, entry) for entry in entries)
            chosen = [one for key_id, one in generations.items() if str(uuid.UUID(bytes=key_id)) == current]
            if len(generations) == len(entries) and chosen:
                return Kek(chosen[0].sealing_key, generations)
    _refuse_unreadable(path, "members are missing, unknown or contradict each other")


def _parse_generation(path: Path, entry: object) -> tuple[bytes, KekGeneration]:
    match entry:
        case {"id": str(text), "k": str(k), "created_at": int(created_at), **rest} if not rest:
            try:
                key_id = uuid.UUID(text)
                if str(key_id) == text:
                    return key_id.bytes, KekGeneration(SealingKey(key_id.bytes, decode_base64url(k)), created_at)
            except ValueError:
                pass
    _refuse_unreadable(path, "a generation is not an id, a key of 32 bytes and a time")


def _write_new(path: Path, data: bytes) -> None:
    """A new file of mode 0600, on the disk before we return. FileExistsError when the name is taken, else KekRefused."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            path.unlink()  # half a key file would pass for an existing one
            raise
        _sync_folder(path.parent)
    except FileExistsError:
        raise
    except OSError as error:
        raise KekRefused(
            "kek_not_written",
            f"The key file {path} could not be written: {error.strerror}.",
            next_step="Name a folder that exists, has room, and that the user who runs wardpost may write to.",
        ) from None


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
