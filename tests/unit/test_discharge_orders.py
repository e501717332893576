"""Orders with the feed's discharge marker are the list; no other order is, and no list is merged with another."""

import pytest

from adapters.hl7v2 import read
from exchange.fhir.content import Content, OrganisationFacts
from exchange.fhir.document import build_document
from exchange.fhir.draft import ReadingProfile
from exchange.fhir.words import medicine_name
from exchange.transfer.assemble import Source, assemble

HEAD = "MSH|^~\\&|EPMA|RZZ01|W|RZZ01|{at}||ORM^O01|M{at}|P|2.3\rPID|1||T1^^^RZZ01^PI||Trialman^Arthur||19420314|M\rPV1|1|I|W1\r"
PROFILE = ReadingProfile(discharge_orders=("TTO",))


def message(at: str, *orders: str) -> Source:
    raw = (HEAD.format(at=at) + "\r".join(orders)).encode()
    return Source(read(raw, PROFILE), "2026-11-27T10:00:00.000Z", f"sha256:{at}")


def order(drug: str, number: str = "", control: str = "NW", reason: str = "TTO", dose: str = "one a day") -> str:
    return f"ORC|{control}|{number}||||||||||||||{reason}\rRXO|^{drug}|5||mg|||^{dose}\rRXR|^oral"


def assembled(*sources: Source) -> Content:
    return assemble(
        transfer_id="f" * 32, version=1, sender=OrganisationFacts("RZZ01", "H"), site=OrganisationFacts("VZZ01", "C"), sources=sources
    )


def listed(*sources: Source) -> list[str]:
    return [medicine_name(row) for row in assembled(*sources).medicines]


def test_marked_orders_of_several_messages_are_one_list_in_the_order_sent() -> None:
    content = assembled(
        message("20261127090000", order("A 5mg"), order("B 5mg")), message("20261127091000", order("C 5mg", dose="½ at night"))
    )
    assert [medicine_name(row) for row in content.medicines] == ["A 5mg", "B 5mg", "C 5mg"]
    assert (content.has_list, content.is_list_of_orders) == (True, True)
    assert "½ at night" in str(build_document(content))
    assert "they do not say what is new, changed or stopped" in str(build_document(content))


@pytest.mark.parametrize("reason", ["", "INP", "WARD", "tto"])
def test_orders_without_the_marker_are_never_a_list(reason: str) -> None:
    assert listed(message("20261127090000", order("A 5mg", reason=reason))) == []


def test_a_feed_without_a_marker_has_no_list_of_orders() -> None:
    raw = (HEAD.format(at="20261127090000") + order("A 5mg")).encode()
    assert listed(Source(read(raw, ReadingProfile()), "2026-11-27T10:00:00.000Z", "sha256:x")) == []


def test_the_newest_word_on_an_order_number_counts() -> None:
    first = message("20261127090000", order("A 5mg", "N1"), order("B 5mg", "N2"))
    changed = message("20261127100000", order("A 10mg", "N1", control="XO"))
    taken_back = message("20261127110000", order("B 5mg", "N2", control="CA"))
    assert listed(taken_back, changed, first) == ["A 10mg"]


def test_a_cancellation_without_a_number_takes_back_that_medicine() -> None:
    assert listed(message("20261127090000", order("A 5mg"), order("B 5mg")), message("20261127100000", order("A 5mg", control="CA"))) == [
        "B 5mg"
    ]
