"""Blind indexes and what is made of an identifier before it is indexed (envelope.md 3)."""

import pytest

from exchange.seal.blind import (
    IndexKey,
    index_local_id,
    index_nhs_number,
    index_source_id,
    index_visit_id,
    normalise_id,
    normalise_local_id,
    normalise_nhs_number,
)

KEY = IndexKey(1, bytes(range(0x20, 0x40)))


def test_published_values():
    assert index_nhs_number(KEY, "9990000018").hex() == "da86c2032e1b712c9c8ff211b2d2a688"
    assert index_local_id(KEY, "RZZ01", "https://x.invalid/id", "A123").hex() == "786ce73c2df8c30351b4ed654f273cc5"


@pytest.mark.parametrize("text", ["9990000018", "999 000 0018", "999-000-0018", " 9990000018 "])
def test_nhs_number_spaces_and_hyphens_go(text: str):
    assert normalise_nhs_number(text) == "9990000018"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9990000019",  # check digit
        "999000001",
        "99900000180",
        "9990000018\n",
        "٩٩٩٠٠٠٠٠١٨",  # Arabic digits
        "９９９００００００１８",
        "999000001X",
        "999_000_0018",
        "0000000000",  # passes modulus 11, stands for nobody
        "9999999999",
    ],
)
def test_no_nhs_number_is_not_indexed(text: str):
    assert normalise_nhs_number(text) is None
    assert index_nhs_number(KEY, text) is None


def test_check_digit_against_a_slow_count():
    for body in range(999_000_000, 999_003_000):
        remainder = 11 - sum(int(digit) * weight for digit, weight in zip(str(body), range(10, 1, -1), strict=True)) % 11
        right = {11: 0, 10: None}.get(remainder, remainder)
        accepted = [digit for digit in range(10) if normalise_nhs_number(f"{body}{digit}")]
        assert accepted == ([] if right is None else [right])


def test_ids_lose_outer_spaces_and_are_composed():
    assert normalise_id("  0012 a\t") == "0012 a"
    assert normalise_id("Ame\u0301lie") == "Am\u00e9lie"
    assert normalise_id("  ") is None
    assert normalise_local_id(" https://x.invalid/id ", " A123 ") == "https://x.invalid/id|A123"
    assert normalise_local_id("", "A123") == "|A123"
    assert normalise_local_id("https://x.invalid/id", " ") is None


def test_a_bar_in_the_system_could_pass_for_another_pair():
    assert normalise_local_id("a", "b|c") == "a|b|c"
    assert normalise_local_id("a|b", "c") is None
    assert index_local_id(KEY, "RZZ01", "a|b", "c") is None


def test_case_and_zeros_are_kept():
    assert len({index_visit_id(KEY, "RZZ01", value) for value in ("a1", "A1", "01", "1")}) == 4


def test_field_scope_and_key_each_separate():
    values = [
        index_visit_id(KEY, "RZZ01", "9990000018"),
        index_source_id(KEY, "RZZ01", "9990000018"),
        index_visit_id(KEY, "RZZ02", "9990000018"),
        index_visit_id(IndexKey(2, bytes(32)), "RZZ01", "9990000018"),
        index_nhs_number(KEY, "9990000018"),
        index_local_id(KEY, "RZZ01", "", "9990000018"),
    ]
    assert len(set(values)) == len(values)
    assert {len(value) for value in values} == {16}


def test_key_is_32_bytes_and_stays_out_of_repr():
    assert repr(KEY) == "IndexKey(generation=1)"
    with pytest.raises(ValueError):
        IndexKey(1, bytes(16))
