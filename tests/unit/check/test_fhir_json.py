"""Strict JSON: what is refused, and what is read to the character."""

import json
from decimal import Decimal

import pytest

from exchange.fhir.json import JsonRefused, dump, load_strict


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "a": 2}}]',
        b'{"a": NaN}',
        b"[Infinity]",
        b"[1e99999999999999999999]",
        rb'["\ud800"]',
        rb'{"\udc00": 1}',
        b'"\xff"',
        b"{",
        b"",
        b"[1,]",
        b"[01]",
        b"[" * 100_000,
    ],
)
def test_json_that_is_refused(data: bytes) -> None:
    with pytest.raises(JsonRefused) as raised:
        load_strict(data)
    assert raised.value.code == "json_refused"
    assert raised.value.diagnostics()


def test_json_that_is_read() -> None:
    assert load_strict(b'\xef\xbb\xbf{"a": [1, 1.50, "\\ud83d\\ude00", null, true]}') == {
        "a": [1, Decimal("1.50"), "\U0001f600", None, True]
    }
    assert json.dumps(load_strict(b"[12]")) == "[12]"
    assert str(load_strict(b"9" * 1_000)) == "9" * 1_000
    with pytest.raises(JsonRefused):
        load_strict(b"9" * 1_001)


@pytest.mark.parametrize("data", [b'{"a":1e3,"b":-0,"c":1.50,"d":[0.10,-0.0,12345678901234567890123]}', b'["\\\\u0000"]'])
def test_json_is_written_as_it_was_read(data: bytes) -> None:
    assert dump(load_strict(data)) == data
