"""A document without a visit id (Kettering XML): which stay it goes to, whatever comes first, and what a person links."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.errors import NotFound, Refused
from exchange.model import HoldKind
from exchange.records import Hold, Stay, Submission, Transfer
from exchange.transfer.match import read_identity
from tests.app_kit import HOME, OTHER_HOME, Kit, kit
from tests.kettering_kit import kettering

LETTER = "<p>Discharge letter</p>"


def adt(
    visit: str,
    admitted: str,
    *,
    trigger: str = "A01",
    left: str = "",
    number: str = "9990000018",
    born: str = "19380514",
    at: str = "20261120",
) -> bytes:
    pid = f"PID|1||{number}^^^NHS^NH||Testperson^Ada||{born}|F"
    pv1 = "|".join(["PV1", "1", "I", "W6", *[""] * 15, visit, *[""] * 24, admitted, left])
    return "\r".join(
        (f"MSH|^~\\&|PAS|RZZ01|||{at}1200||ADT^{trigger}|{visit}{trigger}{at}|P|2.4", f"EVN|{trigger}|{at}1200", pid, pv1, "")
    ).encode()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Kit]:
    with kit(tmp_path) as made:
        yield made
        assert made.findings() == []


def stays(service: Kit) -> dict[str, list[str]]:
    """Kind of each submission by visit number."""

    def look(uow):  # type: ignore[no-untyped-def]
        rows = {stay.id: read_identity(stay.identity).visit_id for stay in uow.find(Stay)}
        return {visit: sorted(s.kind for s in uow.find(Submission, stay_id=id)) for id, visit in rows.items()}

    return service.exchange.store.read(look)


def holds(service: Kit, kind: HoldKind) -> list[Hold]:
    return [hold for hold in service.exchange.list_holds() if hold.kind is kind]


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 0, 1), (2, 1, 0), (1, 2, 0)])
def test_it_joins_the_visit_in_every_order_of_arrival(service: Kit, order: tuple[int, ...]) -> None:
    messages = [
        adt("V1", "202611101015", at="20261110"),
        kettering(LETTER, event="202611101015", end="202611271400"),
        adt("V1", "202611101015", trigger="A03", left="202611271400", at="20261127"),
    ]
    for number in order:
        service.send(messages[number])
        service.drain()
    assert stays(service) == {"V1": ["facts", "facts", "letter"]}
    identity = read_identity(service.exchange.store.read(lambda uow: uow.find(Stay))[0].identity)
    assert (identity.start[:16], identity.end[:16]) == ("2026-11-10T10:15", "2026-11-27T14:00")


def test_a_home_confirmed_for_the_document_goes_with_it(service: Kit) -> None:
    service.send(kettering(LETTER, event="202611101015"))
    service.drain()
    transfer = service.exchange.confirm_site("K-1", HOME, service.worker)
    service.drain()
    assert [item.version.number for item in service.exchange.poll(service.caller())[0]] == [1]
    service.send(adt("V1", "202611101015"))
    service.drain()
    assert stays(service) == {"V1": ["facts", "letter"]}
    moved = service.exchange.store.read(lambda uow: uow.get(Transfer, transfer.id))
    assert moved is not None
    assert service.exchange.store.read(lambda uow: uow.get(Stay, moved.stay_id)) is not None


def test_two_confirmed_homes_are_not_joined(service: Kit) -> None:
    """The visit got its home while its birth date was not known: nothing joins, and nothing is lost."""
    service.send(adt("V1", "202611101015", born=""))
    service.send(kettering(LETTER, event="202611101015"))
    service.drain()
    service.exchange.confirm_site("V1", HOME, service.worker)
    service.exchange.confirm_site("K-1", OTHER_HOME, service.worker)
    service.drain()
    service.send(adt("V1", "202611101015", trigger="A08"))
    service.drain()
    assert stays(service) == {"V1": ["facts", "facts"], "": ["letter"]}


@pytest.mark.parametrize(
    "document",
    [
        kettering(LETTER, event="202611091015"),  # the day before
        kettering(LETTER, event="202611101015", end="202611301400"),  # longer than the visit
        kettering(LETTER, event="202611101015", number="9999999999"),  # no number
        kettering(LETTER, event="202611101015", number="9990000026", born="19380515"),  # another person
        kettering(LETTER, event="202611101015", born="19381405"),  # no birth date
    ],
)
@pytest.mark.parametrize("is_first", [True, False])
def test_what_does_not_agree_has_a_stay_of_its_own(service: Kit, document: bytes, is_first: bool) -> None:
    visit = adt("V1", "202611101015", trigger="A03", left="202611201400")
    for message in (document, visit) if is_first else (visit, document):
        service.send(message)
        service.drain()
    assert stays(service) == {"V1": ["facts"], "": ["letter"]}
    assert not holds(service, HoldKind.SEVERAL_STAYS)


def test_several_stays_wait_for_a_person(service: Kit) -> None:
    for visit in ("V1", "V2"):
        service.send(adt(visit, "202611101015"))
    service.send(kettering(LETTER, event="202611101200"))
    service.drain()
    (hold,) = holds(service, HoldKind.SEVERAL_STAYS)
    assert stays(service) == {"V1": ["facts"], "V2": ["facts"]}
    with pytest.raises(NotFound):
        service.exchange.settle_hold(hold.id, "link", service.worker, "V9")
    with pytest.raises(NotFound):
        service.exchange.settle_hold(hold.id, "link", service.carer, "V2")
    service.exchange.settle_hold(hold.id, "link", service.worker, "V2")
    service.drain()
    assert stays(service) == {"V1": ["facts"], "V2": ["facts", "letter"]}
    assert not holds(service, HoldKind.SEVERAL_STAYS)
    with pytest.raises(Refused) as refused:
        service.exchange.settle_hold(hold.id, "link", service.worker, "V1")
    assert refused.value.code == "hold_not_linkable"
    assert stays(service)["V2"] == ["facts", "letter"]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_birth_date_that_differs_is_set_aside_beside_the_visit(service: Kit, is_first: bool) -> None:
    """The same NHS number and days: a doubt about the visit once somebody goes to a home, and nothing of the document leaves."""
    messages = [kettering(LETTER, event="202611101015", born="19380515"), adt("V1", "202611101015")]
    for message in messages if is_first else reversed(messages):
        service.send(message)
        service.drain()
    service.exchange.confirm_site("V1", HOME, service.worker)
    service.drain()
    assert stays(service) == {"V1": ["facts", "letter"]}
    assert [hold.code for hold in holds(service, HoldKind.IDENTITY)] == ["birth_date_differs"]
    assert service.exchange.poll(service.caller())[0] == []


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize(("born", "joined"), [("19380514", True), ("19380515", False)])
def test_the_hospital_number_stands_in_where_there_is_no_nhs_number(service: Kit, is_first: bool, born: str, joined: bool) -> None:
    own = b"<Id><IdType>Provider</IdType><IdValue>T100</IdValue></Id></PatientId>"
    document = kettering(LETTER, event="202611101015", number="9999999999", born=born).replace(b"</PatientId>", own)
    messages = [document, adt("V1", "202611101015").replace(b"^^^NHS^NH|", b"^^^NHS^NH~T100^^^RZZ01^PI|")]
    for message in messages if is_first else reversed(messages):
        service.send(message)
        service.drain()
    assert stays(service) == ({"V1": ["facts", "letter"]} if joined else {"V1": ["facts"], "": ["letter"]})
