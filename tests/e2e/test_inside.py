"""A message that brings a FHIR document along (MDM, the document in its OBX): the facts of both, the letter byte for byte."""

import base64
import json
from pathlib import Path

import pytest

from exchange.fhir.draft import Outcome, ReadingProfile, Unreadable
from exchange.wiring import AdapterReaders
from tests.app_kit import HOME, kit

MDM = (
    "MSH|^~\\&|EPR|RZZ01|W|W|20261127163000+0000||MDM^T02^MDM_T02|M1|T|2.5\rEVN|T02|20261127163000\r"
    "PID|1||9990000018^^^NHS^NH||Testperson^Ada||19380514|F\rPV1|1|I|W6||||||||||||||||V5\r"
    "TXA|1|DS|TX|20261127160000|||||Doctor-Test^Dee|||L1|||||AU\r"
    "OBX|1|ED|F^Document||^application^fhir+json^Base64^{}||||||F\r"
)


def document(number: str = "9990000018", *medicines: str) -> bytes:
    """A small R4 document with a list of medicines."""
    statements = [
        {
            "fullUrl": f"urn:uuid:00000000-0000-4000-8000-00000000010{n}",
            "resource": {
                "resourceType": "MedicationStatement",
                "id": f"00000000-0000-4000-8000-00000000010{n}",
                "status": "active",
                "medicationCodeableConcept": {"text": name},
                "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"},
                "dosage": [{"text": f"1.50 mg of {name}, at night"}],
            },
        }
        for n, name in enumerate(medicines)
    ]
    section = {
        "title": "Medications",
        "code": {
            "coding": [
                {"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-RecordStandardHeadings", "code": "medications-and-medical-devices"}
            ]
        },
        "entry": [{"reference": each["fullUrl"]} for each in statements],
    }
    composition = {
        "resourceType": "Composition",
        "id": "00000000-0000-4000-8000-000000000001",
        "status": "final",
        "type": {"coding": [{"system": "http://snomed.info/sct", "code": "373942005"}]},
        "subject": {"reference": "urn:uuid:00000000-0000-4000-8000-000000000002"},
        "date": "2026-11-27T16:00:00+00:00",
        "author": [{"display": "Dr Dee Doctor-Test"}],
        "title": "Discharge summary",
        "section": [section],
    }
    patient = {
        "resourceType": "Patient",
        "id": "00000000-0000-4000-8000-000000000002",
        "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": number}],
        "name": [{"family": "Testperson", "given": ["Ada"]}],
        "birthDate": "1938-05-14",
    }
    entries = [{"fullUrl": f"urn:uuid:{r['id']}", "resource": r} for r in (composition, patient)] + statements
    bundle = {
        "resourceType": "Bundle",
        "id": "b1",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:1"},
        "type": "document",
    }
    return json.dumps({**bundle, "timestamp": "2026-11-27T16:00:00+00:00", "entry": entries}).encode()


def message(inside: bytes) -> bytes:
    return MDM.format(base64.b64encode(inside).decode()).encode()


def test_both_are_read_and_the_letter_is_as_it_was(tmp_path: Path) -> None:
    inside = document("9990000018", "Zopiclone 3.75mg", "Warfarin ½ tablet & milk")
    draft = AdapterReaders().read(message(inside), ReadingProfile())
    assert [letter.content for letter in draft.letters] == [inside]
    assert draft.visit_id == "V5"
    assert draft.counts["medicines"] == 2
    assert draft.counts["letters"] == 1
    positions = [item.position for item in draft.items]
    assert len(positions) == len(set(positions))
    with kit(tmp_path) as service:
        service.send(message(inside))
        service.drain()
        transfer = service.exchange.confirm_site("V5", HOME, service.worker).id
        service.drain()
        opened = service.exchange.open_version(service.caller(), transfer)
        shown = json.loads(next(content for content in opened.contents.values() if content.startswith(b"{")))
        rows = [e["resource"] for e in shown["entry"] if e["resource"]["resourceType"] == "MedicationStatement"]
        assert [row["medicationCodeableConcept"]["text"] for row in rows] == ["Zopiclone 3.75mg", "Warfarin ½ tablet & milk"]
        assert rows[0]["dosage"][0]["text"] == "1.50 mg of Zopiclone 3.75mg, at night"
        assert service.findings() == []


def test_a_document_of_somebody_else_stops_the_message() -> None:
    with pytest.raises(Unreadable) as refused:
        AdapterReaders().read(message(document("9990000026", "Zopiclone 3.75mg")), ReadingProfile())
    assert refused.value.code == "two_people"
    assert "999" not in str(refused.value)


def test_one_that_cannot_be_read_travels_as_the_letter_and_is_said() -> None:
    broken = b'{"resourceType": "Bundle", "type": "collection"}'
    draft = AdapterReaders().read(message(broken), ReadingProfile())
    assert [letter.content for letter in draft.letters] == [broken]
    notes = [item for item in draft.items if item.position.endswith("#inside")]
    assert [note.outcome for note in notes] == [Outcome.NOT_CARRIED]
    assert "cannot be read" in notes[0].reason
