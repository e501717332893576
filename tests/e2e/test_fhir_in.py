"""A FHIR document walks the whole way: accepted, matched to the stay, confirmed, published with every medicine as it was written."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exchange.mailbox.collect import open_version
from exchange.model import Environment
from tests import fhir_kit
from tests.app_kit import HOME, Kit, kit
from tests.fhir_kit import as_json, as_xml, document, medicine

ADMISSION = (
    "MSH|^~\\&|PAS|RZZ01|WARDPOST|RZZ01|20261120090000||ADT^A01|A1|P|2.4\r"
    "PID|1||9990000018^^^NHS^NH||Testperson^Edith||19380514|F\r"
    "PV1|1|I|W6^^^RZZ01||||||||||||||||V0001|||||||||||||||||54|||||||20261120090000"
)
TWELVE = [
    medicine("Apixaban 2.5mg tablets", "ONE tablet twice a day", change="1"),
    medicine("Digoxin 62.5micrograms/5ml", "0.10 mg each morning", change="2"),
    medicine("Amoxicillin 250mg capsules", "1.50 g,  three  times a day\nfor 5 days", change="4"),
    medicine("Warfarin 1mg tablets", "stopped on 26 November", "stopped", "5"),
    medicine("Ramipril 2.5mg capsules", "hold; GP to restart", "on-hold", "6"),
    medicine("Trimethoprim 200mg tablets", "course complete", "completed", "11"),
    medicine("Ibuprofen 400mg tablets", "entered by mistake", "entered-in-error"),
    medicine("Alendronic acid 70mg tablets", "once a week, from Sunday", "intended"),
    medicine("Senna 7.5mg tablets", "does not take it", "not-taken"),
    medicine("Insulin glargine 100units/ml", "12 units at 22:00 ½ < 4 & > 2 “night”", "unknown"),
    medicine("Paracetamol 500mg tablets", "TWO up to four times a day"),
    medicine("Paracetamol 500mg tablets", "TWO up to four times a day"),
]


def published(service: Kit, raw: bytes, media_type: str = "application/fhir+json") -> dict[str, Any]:
    """The document of the home after the admission, this submission and a confirmed site."""
    service.send(ADMISSION.encode())
    service.exchange.accept(service.sender, raw, "http", media_type).result()
    service.drain()
    transfer = service.exchange.confirm_site("V0001", HOME, service.worker).id
    service.drain()
    opened = service.exchange.store.read(lambda uow: open_version(uow, Environment.TRIAL, service.caller(), transfer, None))
    assert service.findings() == []
    found = {part.media_type: content for part in opened.item.parts if (content := opened.contents.get(part.id))}
    assert "application/fhir+json" in found, "the structured version was held"
    document: dict[str, Any] = json.loads(found["application/fhir+json"])
    letters = [entry["resource"] for entry in document["entry"] if entry["resource"]["resourceType"] == "DocumentReference"]
    assert [letter["content"][0]["attachment"]["size"] for letter in letters] == [len(raw)]
    return document


def rows(document: dict[str, Any]) -> list[tuple[str, str]]:
    resources = [entry["resource"] for entry in document["entry"]]
    medicines = [one for one in resources if one["resourceType"] == "MedicationStatement"]
    return sorted((one["medicationCodeableConcept"]["text"], one["dosage"][0]["text"]) for one in medicines)


@pytest.mark.parametrize("write", [as_json, as_xml])
def test_twelve_medicines_in_all_statuses(tmp_path: Path, write: Any) -> None:
    with kit(tmp_path) as service:
        found = published(service, write(document(TWELVE)))
    assert rows(found) == sorted((row["name"], row["dose"]) for row in TWELVE)
    resources = {entry["fullUrl"]: entry["resource"] for entry in found["entry"]}
    statuses = {one["dosage"][0]["text"]: one["status"] for one in resources.values() if one["resourceType"] == "MedicationStatement"}
    assert statuses == {row["dose"]: row["status"] for row in TWELVE}
    not_to_give = next(
        one for one in resources.values() if one["resourceType"] == "List" and one["code"]["coding"][0]["code"] == "1102191000000100"
    )
    named = {resources[row["item"]["reference"]]["dosage"][0]["text"] for row in not_to_give["entry"]}
    assert named == {row["dose"] for row in TWELVE if row["status"] in ("stopped", "on-hold", "completed", "entered-in-error", "not-taken")}


# Letters of every alphabet, no controls: what a FHIR string may hold.
_WORDS = st.text(st.characters(exclude_categories=("Cc", "Cs", "Cn", "Zl", "Zp")), min_size=1, max_size=30).filter(str.strip)
_ROWS = st.builds(
    medicine,
    st.sampled_from(["Digoxin", "Warfarin 1mg tablets", "1.50"]) | _WORDS,
    st.sampled_from(["0.10 mg", "1/2 tablet", "2.50 ml – 5.00 ml", "10 000 units", ".5g"]) | _WORDS,
    st.sampled_from(["active", "stopped", "on-hold", "completed", "unknown"]),
    st.sampled_from(["", "1", "2", "4", "6"]),
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(medicines=st.lists(_ROWS, min_size=1, max_size=60), write=st.sampled_from([as_json, as_xml]))
def test_no_medicine_is_lost(tmp_path_factory: pytest.TempPathFactory, medicines: list[dict[str, Any]], write: Any) -> None:
    with kit(tmp_path_factory.mktemp("way")) as service:
        found = published(service, write(document(medicines)))
    assert rows(found) == sorted((row["name"], row["dose"]) for row in medicines)


def test_a_draft_is_no_letter_and_a_correction_replaces(tmp_path: Path) -> None:
    first = document([medicine("Digoxin", "0.10 mg")])
    draft = document([medicine("Warfarin", "1 mg")], status="preliminary", identifier={"value": "urn:uuid:other"})
    corrected = document(
        [medicine("Digoxin", "0.20 mg")],
        identifier={"value": "0e6f9a52-4f6e-4a34-9f1f-7a6a4bb0a002"},
        relatesTo=[{"code": "replaces", "targetIdentifier": {"value": "0E6F9A52-4F6E-4A34-9F1F-7A6A4BB0A001"}}],
    )
    corrected["timestamp"], corrected["identifier"] = "2026-11-27T15:00:00+00:00", {"value": "second"}
    draft["identifier"] = {"value": "third"}
    with kit(tmp_path) as service:
        for later in (draft, corrected):
            service.exchange.accept(service.sender, as_json(later), "http", "text/plain").result()
        found = published_after(service, as_json(first), len(as_json(corrected)))
    assert rows(found) == [("Digoxin", "0.20 mg")]


def published_after(service: Kit, raw: bytes, size: int) -> dict[str, Any]:
    service.send(ADMISSION.encode())
    service.exchange.accept(service.sender, raw, "http", "application/fhir+json").result()
    service.drain()
    transfer = service.exchange.confirm_site("V0001", HOME, service.worker).id
    service.drain()
    opened = service.exchange.store.read(lambda uow: open_version(uow, Environment.TRIAL, service.caller(), transfer, None))
    found = next(
        content for part in opened.item.parts if part.media_type == "application/fhir+json" and (content := opened.contents[part.id])
    )
    made: dict[str, Any] = json.loads(found)
    letters = [one["resource"] for one in made["entry"] if one["resource"]["resourceType"] == "DocumentReference"]
    assert [one["content"][0]["attachment"]["size"] for one in letters] == [size]
    return made


def test_a_medicine_dropped_inside_the_adapter_holds_the_structured_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The count is taken apart from the reading: a reader that loses a row is found out, and the letter goes alone."""
    from adapters.fhir import clinical

    monkeypatch.setattr(clinical, "MEDICINES", ("MedicationRequest",))
    with kit(tmp_path) as service, pytest.raises(AssertionError, match="the structured version was held"):
        published(service, as_json(document(TWELVE)))


def test_a_section_dropped_inside_the_adapter_holds_the_structured_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapters.fhir import clinical

    monkeypatch.setattr(clinical.Reader, "_section", lambda *_: iter(()))
    with kit(tmp_path) as service, pytest.raises(AssertionError, match="the structured version was held"):
        published(service, as_json(document(TWELVE)))


def test_a_dangling_row_of_the_list_holds_the_structured_version(tmp_path: Path) -> None:
    bundle = document([medicine("Digoxin", "0.10 mg")])
    fhir_kit.resource(bundle, "l4")["entry"].append({"item": {"reference": "urn:uuid:nobody"}})
    with kit(tmp_path) as service, pytest.raises(AssertionError, match="the structured version was held"):
        published(service, as_json(bundle))
