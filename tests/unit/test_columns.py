"""Sealed columns and data keys (envelope.md 2)."""

import os
import random
from dataclasses import FrozenInstanceError
from typing import get_args

import pytest

from exchange.seal.columns import Cell, ColumnCode, ColumnRefused, SealingKey, length_prefixed, open_value, read_key_id, seal_value
from exchange.seal.kek import Kek
from exchange.seal.sealer import KekSealer

KEY = SealingKey(bytes.fromhex("00112233445566778899aabbccddeeff"), bytes(range(32)))
CELL = Cell("stay", "identity", "11111111-2222-4333-8444-555555555555")
SEALER = KekSealer(Kek(KEY, {KEY.key_id: KEY}), os.urandom)
PUBLISHED = bytes.fromhex(
    "0100112233445566778899aabbccddeeff000102030405060708090a0b1367a56fe5b5a769fe2ef9adf583e7e6d4c0f8310d8bc16fcd786a"
)


def code_of(key: SealingKey, cell: Cell, value: bytes) -> str:
    try:
        open_value(key, cell, value)
    except ColumnRefused as refused:
        return refused.code
    return "opened"


def test_published_value():
    assert seal_value(KEY, CELL, b"Test Person", random_bytes=lambda n: bytes(range(n))) == PUBLISHED
    assert open_value(KEY, CELL, PUBLISHED) == b"Test Person"
    assert read_key_id(PUBLISHED) == KEY.key_id


@pytest.mark.parametrize("size", [0, 1, 200, 100_000])
def test_round_trip_costs_45_bytes(size: int):
    plaintext = os.urandom(size)
    value = seal_value(KEY, CELL, plaintext, random_bytes=os.urandom)
    assert len(value) == size + 45
    assert open_value(KEY, CELL, value) == plaintext


@pytest.mark.parametrize(
    "cell",
    [
        CELL._replace(table="stays"),
        CELL._replace(column="name"),
        CELL._replace(row="11111111-2222-4333-8444-555555555556"),
        Cell("stayi", "dentity", CELL.row),  # the same letters, cut elsewhere
        Cell("", "stayidentity", CELL.row),
    ],
)
def test_a_value_moved_to_another_cell_does_not_open(cell: Cell):
    assert code_of(KEY, cell, PUBLISHED) == "tampered"


def test_a_value_under_another_key_does_not_open():
    assert code_of(SealingKey(KEY.key_id, bytes(32)), CELL, PUBLISHED) == "tampered"
    assert code_of(SealingKey(bytes(16), KEY.key), CELL, PUBLISHED) == "tampered"


def test_every_bit_and_every_length_counts():
    for position in range(8 * len(PUBLISHED)):
        changed = bytearray(PUBLISHED)
        changed[position // 8] ^= 1 << position % 8
        assert code_of(KEY, CELL, bytes(changed)) == ("unknown_version" if position < 8 else "tampered")
    for length in range(len(PUBLISHED)):
        assert code_of(KEY, CELL, PUBLISHED[:length]) == "tampered"
    assert code_of(KEY, CELL, PUBLISHED + b"\0") == "tampered"


def test_thousands_of_random_moves_open_nothing():
    draw = random.Random(20)
    keys = [SealingKey(draw.randbytes(16), draw.randbytes(32)) for _ in range(4)]
    cells = [Cell(table, column, row) for table in ("stay", "part") for column in ("a", "b") for row in ("1", "2")]
    values = {(key, cell): seal_value(keys[key], cell, b"x" * 9, random_bytes=draw.randbytes) for key in range(4) for cell in cells}
    places = list(values)
    for _ in range(3000):
        home, away = draw.sample(places, 2)
        value = values[home]
        # Also with the key id of the other key written into it.
        if draw.random() < 0.5:
            value = value[:1] + keys[away[0]].key_id + value[17:]
        assert code_of(keys[away[0]], away[1], value) == "tampered"


def test_data_key_wraps_and_unwraps():
    key_id, key, sealed = SEALER.new_key()
    assert (len(bytes.fromhex(key_id)), len(key), len(sealed)) == (16, 32, 77)
    assert SEALER.unwrap(key_id, sealed) == key
    assert open_value(KEY, Cell("data_key", "sealed", key_id), sealed) == key


def test_data_key_row_swapped_with_another_does_not_open():
    (_, _, sealed), (other, _, _) = SEALER.new_key(), SEALER.new_key()
    with pytest.raises(ColumnRefused) as refused:
        SEALER.unwrap(other, sealed)
    assert refused.value.code == "tampered"


def test_data_key_of_another_length_is_tampered():
    sealed = seal_value(KEY, Cell("data_key", "sealed", bytes(16).hex()), b"short", random_bytes=os.urandom)
    with pytest.raises(ColumnRefused):
        SEALER.unwrap(bytes(16).hex(), sealed)


def test_key_stays_out_of_repr_and_is_frozen():
    assert KEY.key.hex() not in repr(KEY)
    assert repr(KEY.key) not in repr(KEY)
    with pytest.raises(FrozenInstanceError):
        KEY.key = bytes(32)


def test_wrong_sizes_are_the_callers_error():
    with pytest.raises(ValueError):
        SealingKey(bytes(16), bytes(16))
    with pytest.raises(ValueError):
        SealingKey(bytes(15), bytes(32))
    with pytest.raises(ValueError):
        seal_value(KEY, CELL, b"", random_bytes=lambda n: bytes(16))


def test_length_prefix():
    assert length_prefixed("é") == b"\x00\x02\xc3\xa9"
    assert length_prefixed("x" * 65535)[:2] == b"\xff\xff"
    for text in ("x" * 65536, "\ud800"):
        with pytest.raises(ValueError):
            length_prefixed(text)


@pytest.mark.parametrize("code", get_args(ColumnCode))
def test_every_refusal_says_what_to_do(code):
    refused = ColumnRefused(code)
    assert refused.code == code
    assert len(refused.diagnostics()) > len(refused.message) + 10
