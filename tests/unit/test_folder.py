"""A watched folder: whole files once, whatever happens between two steps; everything odd has a clear outcome."""

import json
import os
from pathlib import Path

import pytest

from exchange.errors import Unavailable
from exchange.intake.folder import WatchedFolder
from exchange.model import Receipt
from tests.app_kit import Died, dies_at


class Custody:
    """Takes bytes as accept does: the same bytes give the same receipt."""

    def __init__(self) -> None:
        self.kept: list[bytes] = []
        self.is_away = False

    def __call__(self, raw: bytes) -> Receipt:
        if self.is_away:
            raise Unavailable("store", "away", next_step="wait")
        if raw not in self.kept:
            self.kept.append(raw)
        return Receipt(f"s{self.kept.index(raw)}", "sha256:00", "2026-11-27T16:00:00.000Z")


@pytest.fixture
def custody() -> Custody:
    return Custody()


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() or path.is_symlink()}


def test_a_file_is_taken_once_it_stood_still_and_leaves_a_stub(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path, custody)
    (tmp_path / "a letter é.xml").write_bytes(b"one")
    assert folder.look() == 0
    assert folder.look() == 1
    assert custody.kept == [b"one"]
    assert names(tmp_path) == {"taken/a letter é.xml.s0.json"}
    assert json.loads((tmp_path / "taken" / "a letter é.xml.s0.json").read_text())["submission"] == "s0"
    assert folder.look() == 0


def test_a_half_written_file_waits(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path, custody)
    file = tmp_path / "a.xml"
    for part in (b"<a>", b"<b>", b"<c>"):
        with file.open("ab") as handle:
            handle.write(part)
        assert folder.look() == 0
    os.utime(file, ns=(1, 1))  # same size, other time
    assert folder.look() == 0
    assert folder.look() == 1
    assert custody.kept == [b"<a><b><c>"]


@pytest.mark.parametrize("name", ["a.tmp", "a.xml.part", ".a.xml", "a.xml~", "a.XML.TMP"])
def test_a_file_under_its_working_name_is_not_touched(tmp_path: Path, custody: Custody, name: str) -> None:
    folder = WatchedFolder(tmp_path, custody)
    (tmp_path / name).write_bytes(b"half")
    assert [folder.look() for _ in range(3)] == [0, 0, 0]
    assert names(tmp_path) == {name}
    (tmp_path / name).rename(tmp_path / "a.xml")
    assert [folder.look() for _ in range(2)] == [0, 1]


def test_an_empty_file_waits_for_its_content(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path, custody)
    (tmp_path / "a.xml").touch()
    assert [folder.look() for _ in range(3)] == [0, 0, 0]
    assert names(tmp_path) == {"a.xml"}


@pytest.mark.parametrize("step", ["folder.claimed", "folder.after_commit", "folder.after_stub", "folder.deleted"])
def test_a_crash_at_any_step_loses_and_doubles_nothing(tmp_path: Path, custody: Custody, step: str) -> None:
    dying = WatchedFolder(tmp_path, custody, dies_at(step))
    (tmp_path / "a.xml").write_bytes(b"one")
    (tmp_path / "b.xml").write_bytes(b"two")
    dying.look()
    with pytest.raises(Died):
        dying.look()
    after = WatchedFolder(tmp_path, custody)
    for _ in range(3):
        after.look()
    assert sorted(custody.kept) == [b"one", b"two"]
    assert {name.rpartition(".s")[0] for name in names(tmp_path)} == {"taken/a.xml", "taken/b.xml"}


def test_without_a_store_the_file_stays_and_is_taken_later(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path, custody)
    (tmp_path / "a.xml").write_bytes(b"one")
    custody.is_away = True
    assert [folder.look() for _ in range(3)] == [0, 0, 0]
    assert custody.kept == []
    assert names(tmp_path) == {"claimed/a.xml"}
    custody.is_away = False
    assert folder.look() == 1
    assert custody.kept == [b"one"]


def test_what_can_be_no_submission_goes_aside_with_its_reason(tmp_path: Path, custody: Custody) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.xml").write_bytes(b"secret")
    watched = tmp_path / "watched"
    watched.mkdir()
    folder = WatchedFolder(watched, custody, max_bytes=10)
    (watched / "link.xml").symlink_to(outside / "secret.xml")
    (watched / "gone.xml").symlink_to(outside / "nothing.xml")
    os.mkfifo(watched / "pipe.xml")
    (watched / "big.xml").write_bytes(b"x" * 11)
    (watched / "more").mkdir()
    (watched / "more" / "inside.xml").write_bytes(b"inside")
    (watched / "good.xml").write_bytes(b"good")
    os.link(watched / "good.xml", outside / "hard.xml")
    assert [folder.look() for _ in range(3)] == [0, 1, 0]
    assert custody.kept == [b"good"]
    assert (outside / "secret.xml").read_bytes() == b"secret"
    refused = {path.name for path in (watched / "refused").iterdir()}
    assert refused == {f"{name}.xml{end}" for name in ("link", "gone", "pipe", "big") for end in ("", ".reason.txt")}
    assert "larger than 10 bytes" in (watched / "refused" / "big.xml.reason.txt").read_text()
    assert (watched / "more" / "inside.xml").exists()


def test_a_second_refused_file_of_a_name_keeps_the_first(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path, custody, max_bytes=1)
    for content in (b"first", b"second"):
        (tmp_path / "a.xml").write_bytes(content)
        folder.look()
        folder.look()
    assert {path.read_bytes() for path in (tmp_path / "refused").glob("*.xml")} == {b"first", b"second"}


@pytest.mark.parametrize("name", [b"x" * 251 + b".xml", b"\xff\xfe.xml", b"a\nb.xml", b"-rf.xml", "\u202elmx.a".encode(), b"taken.xml"])
def test_odd_names(tmp_path: Path, custody: Custody, name: bytes) -> None:
    folder = WatchedFolder(tmp_path, custody)
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"odd")
    assert [folder.look() for _ in range(2)] == [0, 1]
    assert custody.kept == [b"odd"]
    assert len(list((tmp_path / "taken").iterdir())) == 1


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_goes_aside(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path, custody)
    (tmp_path / "a.xml").write_bytes(b"one")
    (tmp_path / "a.xml").chmod(0)
    assert [folder.look() for _ in range(2)] == [0, 0]
    assert "cannot be read" in (tmp_path / "refused" / "a.xml.reason.txt").read_text()


def test_a_folder_that_is_gone_comes_back(tmp_path: Path, custody: Custody) -> None:
    folder = WatchedFolder(tmp_path / "share", custody)
    assert folder.look() == 0
    (tmp_path / "share").mkdir()
    (tmp_path / "share" / "a.xml").write_bytes(b"one")
    assert [folder.look() for _ in range(2)] == [0, 1]


def test_what_grows_while_it_is_read_is_not_deleted(tmp_path: Path) -> None:
    kept: list[bytes] = []

    def take(raw: bytes) -> Receipt:
        kept.append(raw)
        if len(kept) == 1:  # its writer still has it open
            with (tmp_path / "claimed" / "a.xml").open("ab") as file:
                file.write(b" and more")
        return Receipt(f"s{len(kept)}", "", "")

    folder = WatchedFolder(tmp_path, take)
    (tmp_path / "a.xml").write_bytes(b"one")
    for _ in range(4):
        folder.look()
    assert kept == [b"one", b"one and more"]
    assert not (tmp_path / "a.xml").exists()
