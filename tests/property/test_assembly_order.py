"""Order of arrival changes nothing but Bundle.timestamp (architecture decision 11): shuffled over the ownership table."""

import random
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.fhir import codes
from exchange.fhir.document import build_document
from exchange.fhir.draft import LetterStatus, SourceKind
from exchange.fhir.json import dump, load_strict
from exchange.transfer.assemble import Source, StatedSupplement, assemble
from exchange.wiring import broken_rules
from tests.draft_kit import (
    FULL,
    HOME,
    PARTIAL,
    SENDER,
    WARD_CONTACTS,
    allergy,
    encounter,
    entry,
    facts,
    letter,
    letter_draft,
    patient,
    source,
    supplement,
)

PERSON = patient("9990000026", "Testperson", "Edith", "1942-03-14")
TRANSFER = "44444444-4444-4444-8444-444444444444"
DIAGNOSIS = entry("diagnosis", "DG1[1]", code={"text": "Pneumonia"})
MEDICINE = entry(
    "medicine-new", "MED[1]", medicationCodeableConcept={"text": "Apixaban 2.5 mg tablets"}, dosage=[{"text": "One twice a day"}]
)


def a_stay() -> tuple[list[Source], list[StatedSupplement]]:
    """Every owner of the table, ties included: two messages of one second, a replacement, a draft, a cancelled discharge."""
    same = "2026-11-25T08:00:00+00:00"
    later = PERSON | {"telecom": [{"system": "phone", "value": "01632 960001"}]}
    drafts = [
        facts(PERSON, "1", DIAGNOSIS, allergy("AL1[1]", "Penicillin")),
        facts(later, "2", allergy("AL1[1]", "Penicillin"), allergy("AL1[2]", "Latex"), sent_at=same, expected_leaving="2026-11-27"),
        facts(PERSON | {"telecom": []}, "3", sent_at=same, expected_leaving="2026-11-28", encounter=encounter(reason="Fall")),
        facts(PERSON, "4", sent_at="2026-11-26T08:00:00+00:00", event="ADT^A03", left_at="2026-11-26T07:30:00+00:00"),
        facts(PERSON, "5", sent_at="2026-11-26T09:00:00+00:00", event="ADT^A13", kind=SourceKind.CANCEL_DISCHARGE),
        letter_draft(PERSON, "6", letter("D1"), entries=(MEDICINE, DIAGNOSIS), sent_at="2026-11-26T10:00:00+00:00"),
        letter_draft(PERSON, "7", letter("D2", replaces="D1"), sent_at="2026-11-26T10:00:00+00:00"),
        letter_draft(PERSON, "8", letter("D3", status=LetterStatus.DRAFT), sent_at="2026-11-26T12:00:00+00:00"),
    ]
    statements = [
        supplement(FULL, number=1),
        supplement(PARTIAL, number=2),
        supplement({"infection": {"status": "present", "text": "Influenza"}}, number=3),
        supplement({"infection": {"status": "none known"}}, number=4),
    ]
    return [source(draft) for draft in drafts], statements


def document(sources: list[Source], statements: list[StatedSupplement]) -> Mapping[str, object]:
    content = assemble(
        transfer_id=TRANSFER, version=2, sender=SENDER, site=HOME, sources=sources, supplements=statements, ward_contacts=WARD_CONTACTS
    )
    return build_document(content)


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_shuffled_arrival_gives_the_same_bytes(chance: random.Random) -> None:
    sources, statements = a_stay()
    expected = dump(document(sources, statements))
    chance.shuffle(sources)
    chance.shuffle(statements)
    assert dump(document(sources, statements)) == expected


@settings(max_examples=40, deadline=None)
@given(st.permutations(range(8)))
def test_accept_times_change_only_the_timestamp(order: list[int]) -> None:
    sources, statements = a_stay()
    late = [replace(each, accepted_at=f"2026-11-27T12:00:0{place}.000000+00:00") for place, each in zip(order, sources, strict=True)]
    before, after = document(sources, statements), document(late, statements)
    assert after["timestamp"] == "2026-11-27T12:00:07.000000+00:00"
    assert dump(after | {"timestamp": 0}) == dump(before | {"timestamp": 0})


@settings(max_examples=40, deadline=None)
@given(st.text(min_size=1, max_size=60).filter(lambda words: words.strip() and all(not 0xD800 <= ord(each) < 0xE000 for each in words)))
def test_any_words_stay_words(words: str) -> None:
    statement = {"changes": {"lines": [{"medicine": words, "status": "new", "now": words, "reason": words}]}, "nursing": {"skin": words}}
    drafts = [facts(PERSON, "1", allergy("AL1[1]", words, reaction=words)), letter_draft(PERSON, "2", letter("D", title=words))]
    bundle = document([source(draft) for draft in drafts], [supplement(statement)])
    assert broken_rules(bundle, {}) == []
    assert load_strict(dump(bundle)) == bundle


@pytest.mark.parametrize("repeated", range(8))
def test_a_repeat_of_the_same_bytes_changes_nothing(repeated: int) -> None:
    sources, statements = a_stay()
    assert dump(document([*sources, sources[repeated]], statements)) == dump(document(sources, statements))


def test_every_reference_of_the_whole_stay_is_a_urn_of_the_bundle() -> None:
    sources, statements = a_stay()
    words = dump(document(sources, statements)).decode()
    assert words.count('"reference":') == words.count('"reference":"urn:uuid:')
    assert codes.NHS_NUMBER in words
