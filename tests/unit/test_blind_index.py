"""Blind indexes and what is made of an identifier before it is indexed (envelope.md 3)."""

import pytest

from exchange.errors import WardpostError
from exchange.seal.blind import blind_index, normalise_id, normalise_local_id, normalise_nhs_number

KEY = bytes(range(0x20, 0x40))


def test_published_values():
    assert blind_index(KEY, "nhs_number", "", "9990000018").hex() == "da86c2032e1b712c9c8ff211b2d2a688"
    assert blind_index(KEY, "local_id", "RZZ01", "https://x.invalid/id|A123").hex() == "786ce73c2df8c30351b4ed654f273cc5"


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
    assert blind_index(KEY, "nhs_number", "", text) is None


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
    assert blind_index(KEY, "local_id", "RZZ01", "a|b|c") == blind_index(KEY, "local_id", "RZZ01", " a | b|c ")


def test_case_and_zeros_are_kept():
    assert len({blind_index(KEY, "visit_id", "RZZ01", value) for value in ("a1", "A1", "01", "1")}) == 4


def test_field_scope_and_key_each_separate():
    values = [
        blind_index(KEY, "visit_id", "RZZ01", "9990000018"),
        blind_index(KEY, "source_id", "RZZ01", "9990000018"),
        blind_index(KEY, "visit_id", "RZZ02", "9990000018"),
        blind_index(bytes(32), "visit_id", "RZZ01", "9990000018"),
        blind_index(KEY, "nhs_number", "", "9990000018"),
        blind_index(KEY, "local_id", "RZZ01", "|9990000018"),
    ]
    assert len(set(values)) == len(values)
    assert {len(value) for value in values} == {16}


def test_an_nhs_number_is_the_same_for_every_organisation():
    assert blind_index(KEY, "nhs_number", "RZZ01", "9990000018") == blind_index(KEY, "nhs_number", "RZZ02", "9990000018")


@pytest.mark.parametrize("field", ["nhs_number", "local_id", "visit_id", "source_id"])
def test_key_is_32_bytes(field: str):
    for size in (0, 16, 31, 33):
        with pytest.raises(ValueError):
            blind_index(bytes(size), field, "RZZ01", "")


def test_a_field_that_is_no_index_is_a_defect():
    with pytest.raises(WardpostError) as refused:
        blind_index(KEY, "name", "RZZ01", "Test Person")
    assert refused.value.code == "unknown_index"
    assert "Person" not in str(refused.value)
