"""Match: which contradictions count, and which days a stay covers."""

import pytest

from exchange.fhir.draft import Draft, SourceKind
from exchange.transfer.match import Identity, _conflict, _covers, identity_of


@pytest.mark.parametrize(
    ("known", "said", "code"),
    [
        (Identity(nhs_number="9990000018"), Identity(nhs_number="9990000026"), "nhs_number_differs"),
        (Identity(birth_date="1938-05-14"), Identity(birth_date="1938-05-15"), "birth_date_differs"),
        (Identity(birth_date="1938"), Identity(birth_date="1938-05-15"), ""),
        (Identity(nhs_number="9990000018", family="A"), Identity(family="B"), ""),
        (Identity(), Identity(nhs_number="9990000018", birth_date="1938-05-14"), ""),
    ],
)
def test_what_contradicts(known: Identity, said: Identity, code: str) -> None:
    assert _conflict(known, said) == code


@pytest.mark.parametrize(
    ("day", "covered"),
    [("2026-11-09", False), ("2026-11-10", True), ("2026-11-20T23:59:00Z", True), ("2026-11-21", True), ("2026-11-22", False), ("", True)],
)
def test_a_stay_covers_its_days_and_one_more(day: str, covered: bool) -> None:
    assert _covers(Identity(start="2026-11-10", end="2026-11-20"), day) is covered


def test_identity_takes_the_official_name_and_number() -> None:
    patient = {
        "identifier": [{"value": "T1"}, {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}],
        "name": [{"use": "nickname", "family": "N"}, {"use": "official", "family": "Testperson", "given": ["Ada", "May"]}],
        "birthDate": "1938-05-14",
    }
    found = identity_of(Draft("hl7v2", "ADT^A01", SourceKind.FACTS, "1", visit_id="V1", patient=patient))
    assert (found.nhs_number, found.family, found.given, found.visit_id) == ("9990000018", "Testperson", "Ada May", "V1")


@pytest.mark.parametrize(
    ("start", "end", "day", "covered"),
    [
        ("2026", "2026-11", "2026-11-20", True),
        ("2026-12", "", "2026-11-20", False),
        ("", "2026-10", "2026-11-01", False),
        ("2026-11-10", "2026-11-20", "2026-11", True),
        ("2026-11-10", "2026-11-20", "2025", False),
    ],
)
def test_a_month_or_year_alone_covers_its_days(start: str, end: str, day: str, covered: bool) -> None:
    assert _covers(Identity(start=start, end=end), day) is covered


def test_a_period_that_is_taken_back_is_no_text() -> None:
    found = identity_of(
        Draft("hl7v2", "ADT^A13", SourceKind.FACTS, "1", visit_id="V1", encounter={"period": {"start": "2026-11-10", "end": None}})
    )
    assert (found.start, found.end) == ("2026-11-10", "")
