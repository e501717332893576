"""What an audit search asks, read from FHIR parameters: nothing is dropped in silence."""

from datetime import UTC, datetime

import pytest

from exchange.errors import Refused
from exchange.web.fhir.routes import names_a_person, read_audit_search, read_moment, read_number


def day(number: int) -> datetime:
    return datetime(2026, 11, number, tzinfo=UTC)


def test_a_day_is_a_whole_day_of_utc() -> None:
    since_before = lambda text: (lambda s: (s.since, s.before))(read_audit_search([("date", text)]))  # noqa: E731
    assert since_before("2026-11-27") == (day(27), day(28))
    assert since_before("le2026-11-27") == (None, day(28))
    assert since_before("lt2026-11-27") == (None, day(27))
    assert since_before("ge2026-11-27") == (day(27), None)
    assert since_before("gt2026-11-27") == (day(28), None)


@pytest.mark.parametrize("text", ["9999-12-31", "0000-01-01", "2026-13-01", "", "xx", "2026", "2026-11-27T25:00"])
def test_a_date_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="parameter"):
        read_moment("date", text)


@pytest.mark.parametrize("text", ["-1", "", "9" * 19, "１", "1.0"])
def test_a_number_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="parameter"):
        read_number("_count", text)


def test_agents_are_found_by_reference_and_identifier() -> None:
    for name, value in (
        ("agent", "Practitioner/a"),
        ("agent", "https://x.example/Practitioner/a"),
        ("agent:identifier", "urn:x|urn:uuid:a"),
    ):
        assert read_audit_search([(name, value)]).agent == "a"
    with pytest.raises(Refused, match="parameter"):
        read_audit_search([("purpose", "x")])


def test_a_person_in_every_spelling() -> None:
    named = ("patient", "Patient.identifier", "subject:Patient.identifier", "_has:Patient:identifier", "identifier:of-type")
    assert all(map(names_a_person, named))
    assert not any(map(names_a_person, ("_lastUpdated", "_count", "status", "date")))
