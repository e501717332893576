"""The KEK file: where it may lie, who may read it, and its generations (envelope.md 2)."""

import json
import os
import re
from pathlib import Path

import pytest

from exchange.seal.columns import ColumnRefused
from exchange.seal.kek import Kek, KekRefused, create_kek_file, load_kek_file
from exchange.seal.sealer import KekSealer
from tests.seal_kit import counting_bytes

NOW = 1764050000


@pytest.fixture
def data_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kek.json"


def create(path: Path, data_folder: Path) -> Kek:
    return create_kek_file(path, data_folder=data_folder, now=NOW, random_bytes=counting_bytes())


def refusal(path: Path, data_folder: Path) -> str:
    with pytest.raises(KekRefused) as refused:
        load_kek_file(path, data_folder=data_folder)
    assert refused.value.next_step
    return refused.value.code


def rewrite(path: Path, change) -> None:
    value = json.loads(path.read_bytes())
    changed = change(value)
    path.write_text(json.dumps(value if changed is None else changed))


def test_the_file_is_as_the_design_says(path, data_folder):
    kek = create(path, data_folder)
    assert path.stat().st_mode & 0o777 == 0o600
    text = path.read_text()
    uuid = r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
    generation = rf'\{{"id":"({uuid})","k":"[A-Za-z0-9_-]{{43}}","created_at":1764050000\}}'
    match = re.fullmatch(rf'\{{"v":1,"current":"({uuid})","keys":\[{generation}\]\}}\n', text)
    assert match
    assert match[1] == match[2]
    assert kek.current.key_id.hex() == match[1].replace("-", "")
    assert load_kek_file(path, data_folder=data_folder) == kek


def test_the_mode_does_not_depend_on_the_umask(path, data_folder):
    before = os.umask(0)
    try:
        create(path, data_folder)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600


def test_an_existing_file_is_never_overwritten(path, data_folder):
    create(path, data_folder)
    before = path.read_bytes()
    with pytest.raises(KekRefused) as refused:
        create(path, data_folder)
    assert refused.value.code == "kek_exists"
    assert path.read_bytes() == before


def test_what_cannot_be_written_is_said_and_leaves_nothing(path, data_folder, monkeypatch):
    with pytest.raises(KekRefused) as refused:
        create(path.parent / "nowhere" / "kek.json", data_folder)
    assert refused.value.code == "kek_not_written"

    def disk_is_full(_: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", disk_is_full)
        with pytest.raises(KekRefused) as refused:
            create(path, data_folder)
    assert refused.value.code == "kek_not_written"
    assert list(path.parent.glob("kek*")) == []
    create(path, data_folder)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601, 0o644])
def test_readable_by_others_is_refused(path, data_folder, mode):
    create(path, data_folder)
    path.chmod(mode)
    assert refusal(path, data_folder) == "kek_open_to_others"
    path.chmod(0o400)
    load_kek_file(path, data_folder=data_folder)


def test_inside_the_data_folder_is_refused(path, data_folder, tmp_path):
    inside = data_folder / "sub" / ".." / "kek.json"
    with pytest.raises(KekRefused) as refused:
        create(inside, data_folder)
    assert refused.value.code == "kek_inside_data_folder"
    assert not inside.exists()
    create(path, data_folder)
    (data_folder / "kek.json").write_bytes(path.read_bytes())
    (data_folder / "kek.json").chmod(0o600)
    assert refusal(data_folder / "kek.json", data_folder) == "kek_inside_data_folder"
    # A link does not hide where the file is, nor where the folder is.
    (tmp_path / "link.json").symlink_to(data_folder / "kek.json")
    assert refusal(tmp_path / "link.json", data_folder) == "kek_inside_data_folder"
    (tmp_path / "linked").symlink_to(data_folder)
    assert refusal(data_folder / "kek.json", tmp_path / "linked") == "kek_inside_data_folder"


def test_missing_or_unreadable_is_said(path, data_folder):
    assert refusal(path, data_folder) == "kek_missing"
    path.mkdir()
    assert refusal(path, data_folder) == "kek_unreadable"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda v: v.update(v=2), "kek_unknown_version"),
        (lambda v: v.update(more=1), "kek_unreadable"),
        (lambda v: v.pop("current") and None, "kek_unreadable"),
        (lambda v: v.update(current="00000000-0000-4000-8000-000000000000"), "kek_unreadable"),
        (lambda v: v.update(keys=[]), "kek_unreadable"),
        (lambda v: v.update(keys=v["keys"] * 2), "kek_unreadable"),
        (lambda v: v["keys"][0].update(k="AAAA"), "kek_unreadable"),
        (lambda v: v["keys"][0].update(k="*"), "kek_unreadable"),
        (lambda v: v["keys"][0].update(id="x"), "kek_unreadable"),
        (lambda v: v["keys"][0].update(id=v["keys"][0]["id"].upper()), "kek_unreadable"),
        (lambda v: v["keys"][0].update(created_at=1.5), "kek_unreadable"),
        (lambda v: v["keys"][0].update(more=1), "kek_unreadable"),
        (lambda v: [v], "kek_unreadable"),
    ],
)
def test_a_damaged_file_is_refused_without_a_crash(path, data_folder, change, code):
    create(path, data_folder)
    rewrite(path, change)
    assert refusal(path, data_folder) == code


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 5000, b'{"v":1,"v":1}'])
def test_rubbish_is_refused_without_a_crash(path, data_folder, data):
    path.write_bytes(data)
    path.chmod(0o600)
    assert refusal(path, data_folder) == "kek_unreadable"


def test_a_generation_that_is_not_in_the_file_is_said(path, data_folder, tmp_path):
    mine = create(path, data_folder)
    other = create_kek_file(tmp_path / "other.kek.json", data_folder=data_folder, now=NOW, random_bytes=os.urandom)
    key_id, _, sealed = KekSealer(other, os.urandom).new_key()
    with pytest.raises(KekRefused) as refused:
        KekSealer(mine, os.urandom).unwrap(key_id, sealed)
    assert refused.value.code == "kek_generation_missing"


def test_every_generation_in_the_file_opens_and_current_seals(path, data_folder):
    old = create(path, data_folder)
    key_id, key, sealed = KekSealer(old, os.urandom).new_key()
    newer = {"id": "00000000-0000-4000-8000-000000000000", "k": "A" * 43, "created_at": NOW}
    rewrite(path, lambda v: v.update(current=newer["id"], keys=[*v["keys"], newer]))
    both = load_kek_file(path, data_folder=data_folder)
    assert KekSealer(both, os.urandom).unwrap(key_id, sealed) == key
    later_id, _, later = KekSealer(both, os.urandom).new_key()
    with pytest.raises(KekRefused):
        KekSealer(old, os.urandom).unwrap(later_id, later)


def test_unwrap_passes_on_what_the_column_says(path, data_folder):
    sealer = KekSealer(create(path, data_folder), os.urandom)
    key_id, _, sealed = sealer.new_key()
    for value, code in ((b"\x02" + sealed[1:], "unknown_version"), (sealed[:-1] + bytes([sealed[-1] ^ 1]), "tampered")):
        with pytest.raises(ColumnRefused) as refused:
            sealer.unwrap(key_id, value)
        assert refused.value.code == code


def test_no_key_in_repr_or_error(path, data_folder):
    kek = create(path, data_folder)
    secret = json.loads(path.read_bytes())["keys"][0]["k"]
    assert secret not in repr(kek)
    assert repr(kek.current.key) not in repr(kek)
    rewrite(path, lambda v: v["keys"][0].update(created_at="x"))
    with pytest.raises(KekRefused) as refused:
        load_kek_file(path, data_folder=data_folder)
    assert secret not in str(refused.value) + refused.value.diagnostics()
