"""Match: which contradictions count, and which days a stay covers."""

from dataclasses import replace
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.fhir.draft import Draft, SourceKind
from exchange.model import HoldKind
from exchange.records import Stay, Submission
from exchange.transfer.match import Identity, _conflict, _covers, identity_of, read_identity
from tests.app_kit import HOME, kit


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


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(
    ("right", "wrong", "code"), [("19380514", "19380515", "birth_date_differs"), ("9990000018", "9990000026", "nhs_number_differs")]
)
def test_the_feed_founds_the_identity_and_a_letter_in_conflict_is_held(
    tmp_path: Path, is_first: bool, right: str, wrong: str, code: str
) -> None:
    """Whichever comes first: the visit's own messages are read, the letter of the same visit waits, nothing leaves."""
    with kit(tmp_path) as found:
        person = replace(people(found.clock())[0], number="9990000018", born="19380514")
        document = letter(person, found.clock.at).replace(right.encode(), wrong.encode())
        feed = [admission(person, found.clock.at), admission(person, found.clock.at, "A08")]
        for message in [document, *feed] if is_first else [*feed, document]:
            found.send(message)
            found.drain()
        found.exchange.confirm_site(person.visit, HOME, found.worker)
        found.drain()
        rows = found.exchange.store.read(lambda uow: uow.find(Submission))
        assert {(row.event[:3], str(row.state), row.reason) for row in rows} == {("ADT", "read", ""), ("MDM", "held", code)}
        assert [hold.code for hold in found.exchange.list_holds() if hold.kind is HoldKind.IDENTITY] == [code]
        assert found.exchange.poll(found.caller())[0] == []
        (stay,) = found.exchange.store.read(lambda uow: uow.find(Stay))
        known = read_identity(stay.identity)
        assert (known.nhs_number, known.birth_date) == ("9990000018", "1938-05-14")
        by_number = found.exchange.store.read(lambda uow: uow.find(Stay, nhs_number=uow.indexes("nhs_number", "", "9990000018")))
        assert [one.id for one in by_number] == [stay.id]
        assert found.findings() == []
