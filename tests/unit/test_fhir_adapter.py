"""The FHIR adapter: what is refused and by which code, references as found in the wild, STU3, files, and what must not travel."""

import base64
import json
from typing import Any

import pytest

from adapters.fhir import read, source_id
from exchange.fhir.document import build_document
from exchange.fhir.draft import Draft, LetterStatus, Outcome, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.json import dump
from exchange.fhir.shape import part, parts, text
from exchange.wiring import broken_rules
from tests.draft_kit import HOME, SENDER, assemble, source
from tests.fhir_kit import NUMBER, as_json, as_xml, document, medicine, resource, section, url

ONE = document([medicine("Digoxin", "0.10 mg")])
DEEP = b'{"resourceType":"Bundle","type":"document","entry":' + b"[" * 200 + b"]" * 200 + b"}"
PATIENT = b'<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
ENTITY = b'<!DOCTYPE Bundle [<!ENTITY x "Testperson">]><Bundle xmlns="http://hl7.org/fhir"><id value="&x;"/></Bundle>'


def draft(bundle: dict[str, Any], profile: ReadingProfile = ReadingProfile()) -> Draft:
    return read(as_json(bundle), profile)


def code_of(raw: bytes) -> str:
    with pytest.raises(Unreadable) as caught:
        read(raw, ReadingProfile())
    return caught.value.code


def changed(**bundle: Any) -> bytes:
    return as_json({**document(), **bundle})


def with_file(data: str) -> dict[str, Any]:
    return document(others={"file": {"resourceType": "Binary", "contentType": "application/pdf", "data": data}})


BAD = {
    "a lone resource": (PATIENT, "fhir_not_document"),
    "a collection": (changed(type="collection"), "fhir_not_document"),
    "a message without a document": (as_json({"resourceType": "Bundle", "type": "message", "entry": []}), "fhir_not_document"),
    "two documents": (as_json({**ONE, "entry": [*ONE["entry"], ONE["entry"][0]]}), "several_documents"),
    "duplicate keys": (b'{"resourceType":"Bundle","type":"document","type":"message"}', "fhir_json"),
    "deep nesting": (DEEP, "fhir_json"),
    "a lone surrogate": (b'{"resourceType":"Bundle","id":"\\ud800"}', "fhir_json"),
    "not UTF-8": (b'{"resourceType":"Bundle","id":"\xff"}', "fhir_json"),
    "cut": (as_json(ONE)[:-40], "fhir_json"),
    "an internal subset with an entity": (ENTITY, "fhir_xml"),
    "deep XML": (b'<Bundle xmlns="http://hl7.org/fhir">' + b"<contained>" * 300, "fhir_xml"),
    "a subject that leads out": (as_json(document(subject={"reference": "https://elsewhere.example/Patient/1"})), "fhir_no_patient"),
    "a subject that is no person": (as_json(document(subject={"reference": url("doctor")})), "fhir_no_patient"),
    "a damaged file": (as_json(with_file("JVBE*")), "attachment_damaged"),
    "many files": (as_json(document(others={f"f{n}": {"resourceType": "Binary", "contentType": "a/b", "data": "QUJD"} for n in range(40)})),
                   "too_many_attachments"),
    "20 MB in one XML value": (as_xml(with_file("QUJD" * 5_000_000)), "fhir_xml"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_bad_input_has_its_code(name: str) -> None:
    raw, code = BAD[name]
    assert code_of(raw) == code


def test_twenty_megabytes_of_base64_travel() -> None:
    found = draft(with_file("QUJD" * 5_000_000))
    assert found.letters[1].content == b"ABC" * 5_000_000
    assert {item.value[:7] for item in found.items if item.outcome is Outcome.ATTACHMENT} == {"sha256:"}


def test_two_people() -> None:
    other = {"resourceType": "Patient", "identifier": [{"value": "9990000026"}]}
    condition = {"resourceType": "Condition", "subject": {"reference": url("other")}, "code": {"text": "x"}}
    assert code_of(as_json(document(others={"other": other, "wrong": condition}))) == "two_people"


def test_references_that_loop_end() -> None:
    loop = {"resourceType": "List", "code": {"text": "x"}, "entry": [{"item": {"reference": url("loop")}}]}
    role = {"resourceType": "PractitionerRole", "practitioner": {"reference": url("role")}, "organization": {"reference": url("role")}}
    found = draft(document(others={"loop": loop, "role": role}, author=[{"reference": url("role")}]))
    assert found.letters[0].author == ""


@pytest.mark.parametrize(
    "reference", ["urn:uuid:{id}", "{id}", "Medication/{id}", "URN:UUID:{id}", "Medication/{id}/_history/3"], ids=lambda text: text
)
def test_references_as_found_in_the_wild(reference: str) -> None:
    name = url("drug").removeprefix("urn:uuid:")
    drug = {"resourceType": "Medication", "id": name, "code": {"text": "Digoxin 125microgram tablets"}, "form": {"text": "tablet"}}
    row = {"resourceType": "MedicationStatement", "status": "active", "medicationReference": {"reference": reference.format(id=name)}}
    (entry,) = [one for one in draft(document(others={"drug": drug, "row": row})).entries if one.role == "medicine"]
    assert entry.resource["medicationCodeableConcept"] == {"text": "Digoxin 125microgram tablets"}
    assert parts(entry.resource, "note") == [{"text": "Form: tablet"}]


def test_relative_references_resolve_against_the_base_of_their_entry() -> None:
    drug = {"resourceType": "Medication", "id": "1", "code": {"text": "Right"}}
    row = {"resourceType": "MedicationStatement", "id": "2", "status": "active", "medicationReference": {"reference": "Medication/1"}}
    bundle = document()
    bundle["entry"] += [
        {"fullUrl": "https://a.example/fhir/MedicationStatement/2", "resource": row},
        {"fullUrl": "https://b.example/fhir/Medication/1", "resource": {**drug, "code": {"text": "Wrong"}}},
        {"fullUrl": "https://a.example/fhir/Medication/1", "resource": drug},
    ]
    (entry,) = [one for one in draft(bundle).entries if one.role == "medicine"]
    assert entry.resource["medicationCodeableConcept"] == {"text": "Right"}


def test_a_name_that_is_not_in_the_document_is_a_miscount() -> None:
    row = {
        "resourceType": "MedicationStatement",
        "status": "active",
        "medicationReference": {"reference": "https://x.example/Medication/1"},
    }
    found = draft(document(others={"row": row}))
    assert found.counts["medicines"] == 2
    assert sum(entry.role == "medicine" for entry in found.entries) == 1


def test_requests_are_rows_unless_a_statement_stands_on_them() -> None:
    request = {"resourceType": "MedicationRequest", "id": "r1", "status": "active", "intent": "order",
               "medicationCodeableConcept": {"text": "Senna"}, "dosageInstruction": [{"text": "two at night"}],
               "dispenseRequest": {"quantity": {"value": 28, "unit": "tablets"}}}  # fmt: skip
    statement = {"resourceType": "MedicationStatement", "status": "active", "medicationCodeableConcept": {"text": "Senna"},
                 "basedOn": [{"reference": url("based")}]}  # fmt: skip
    never = {**request, "id": "r2", "doNotPerform": True}
    found = draft(document(others={"based": request, "s": statement, "free": {**request, "id": "r3"}, "never": never}))
    assert found.counts["medicines"] == 3
    medicines = {entry.position: entry for entry in found.entries if entry.role.startswith("medicine")}
    assert [entry.role for entry in medicines.values()] == ["medicine", "medicine", "medicine-stopped"]
    free = [*medicines.values()][1].resource
    assert free["dosage"] == [{"text": "two at night"}]
    assert "Dispense request: quantity 28, tablets" in text(parts(free, "note")[0], "text")
    assert any("two at night" in text(entry.resource, "text") for entry in found.entries if entry.role == "note")


def test_decimals_keep_every_digit_and_times_are_never_invented() -> None:
    raw = as_json(document([medicine("Digoxin", "0.10 mg", effectiveDateTime="2026-10-25T01:30", dateAsserted="2026-07-01T08:15")]))
    raw = raw.replace(b'{"text": "0.10 mg"}', b'{"text": "0.10 mg", "doseAndRate": [{"doseQuantity": {"value": 0.10, "unit": "mg"}}]}')
    (entry,) = [one for one in read(raw, ReadingProfile()).entries if one.role == "medicine"]
    dose = entry.resource["dosage"][0]  # type: ignore[index]  # plain JSON
    assert str(dose["doseAndRate"][0]["doseQuantity"]["value"]) == "0.10"
    assert (entry.resource["effectiveDateTime"], entry.resource["dateAsserted"]) == ("2026-10-25", "2026-07-01T08:15:00+01:00")


def test_stu3_elements_become_r4() -> None:
    stu3 = {
        "allergy": {"resourceType": "AllergyIntolerance", "clinicalStatus": "active", "verificationStatus": "confirmed",
                    "assertedDate": "2026-11-01", "code": {"text": "Penicillin"}, "reaction": [{"description": "rash"}]},
        "row": {"resourceType": "MedicationStatement", "status": "active", "taken": "n", "reasonNotTaken": [{"text": "refuses"}],
                "medicationCodeableConcept": {"coding": [{"system": "http://snomed.info/sct", "code": "39732311000001104"}]},
                "dosage": [{"text": "one", "doseQuantity": {"value": 1}}],
                "extension": [{"url": "https://fhir.hl7.org.uk/STU3/StructureDefinition/Extension-CareConnect-MedicationChangeSummary-1",
                               "extension": [{"url": "status", "valueCode": "Amended"},
                                             {"url": "detailsOfAmendment", "valueString": "up"}]}]},
        "done": {"resourceType": "Procedure", "notDone": True, "code": {"text": "Scan"}, "status": "completed"},
    }  # fmt: skip
    found = draft(document(others=stu3))
    by_role = {entry.role: entry.resource for entry in found.entries}
    assert parts(by_role["allergy"], "clinicalStatus", "coding")[0]["code"] == "active"
    assert by_role["allergy"]["recordedDate"] == "2026-11-01"
    assert parts(by_role["allergy"], "reaction")[0]["manifestation"] == [{"text": "rash"}]
    row = by_role["medicine-stopped"]
    assert (row["status"], row["statusReason"], row["note"]) == ("not-taken", [{"text": "refuses"}], [{"text": "up"}])
    assert parts(row, "medicationCodeableConcept", "coding")[0]["system"] == "https://dmd.nhs.uk"
    assert row["dosage"] == [{"text": "one", "doseAndRate": [{"doseQuantity": {"value": 1}}]}]
    assert by_role["procedure"]["status"] == "not-done"


def test_the_document_in_a_message_or_a_transaction_is_the_same_document() -> None:
    inner = document([medicine("Digoxin", "0.10 mg")])
    message = {"resourceType": "Bundle", "type": "message", "id": "m1",
               "entry": [{"fullUrl": url("head-m"), "resource": {"resourceType": "MessageHeader"}},
                         {"fullUrl": url("b"), "resource": inner}]}  # fmt: skip
    for bundle in (message, {**inner, "type": "transaction"}):
        found = draft(bundle)
        assert [entry.role for entry in found.entries] == [entry.role for entry in draft(inner).entries]
        assert found.visit_id == "V0001"
    assert source_id(as_json(message)) == "m1"
    assert source_id(as_xml(inner)) == source_id(as_json(inner)) == "urn:uuid:0e6f9a52-4f6e-4a34-9f1f-7a6a4bb0b001"


def test_files_travel_under_the_number_of_their_letter() -> None:
    pdf = b"%PDF-1.4 synthetic"
    others = {
        "paper": {"resourceType": "DocumentReference", "status": "current", "description": "ReSPECT form",
                  "content": [{"attachment": {"url": url("file"), "contentType": "application/pdf"}}]},
        "file": {"resourceType": "Binary", "contentType": "application/pdf; x=1", "data": base64.b64encode(pdf).decode()},
    }  # fmt: skip
    raw = as_json(document(others=others))
    own, file = read(raw, ReadingProfile()).letters
    assert (own.content, own.media_type, own.signed_by, own.signed_at) == (
        raw, "application/json", "Dr Sam Signer-Test", "2026-11-27T14:02:00+00:00",
    )  # fmt: skip
    assert (file.content, file.media_type, file.title, file.document_id) == (pdf, "application/pdf", "ReSPECT form", own.document_id)


@pytest.mark.parametrize(
    ("status", "expected"), [("final", "final"), ("amended", "final"), ("preliminary", "draft"), ("entered-in-error", "cancelled")]
)
def test_letter_status(status: str, expected: str) -> None:
    assert draft(document(status=status)).letters[0].status is LetterStatus(expected)


def test_what_must_not_travel_is_withheld() -> None:
    bundle = document()
    person = resource(bundle, "patient")
    person["meta"] = {"security": [{"code": "R"}]}
    person["address"] = [{"line": ["1 Hidden Lane"]}]
    person["name"].append({"use": "old", "family": "Before"})
    person["link"] = [{"type": "replaces", "other": {"display": "someone"}}]
    person["identifier"].append({"system": person["identifier"][0]["system"], "value": "9990000019"})
    found = draft(bundle)
    assert found.is_sensitive_address
    assert found.patient["address"] == []
    assert [text(one, "family") for one in parts(found.patient, "name")] == ["Testperson"]
    assert [text(one, "value") for one in parts(found.patient, "identifier")] == [NUMBER]
    withheld = {item.reason for item in found.items if item.outcome is Outcome.WITHHELD}
    assert withheld == {"sensitive_address", "previous_names", "merged_identities"}
    assert not any(sign.kind == "address" for sign in found.signs)


def test_other_documents_are_not_used() -> None:
    found = draft(document(), ReadingProfile(letter_types=("823681000000100",)))
    assert (found.kind, found.reason, found.letters) == (SourceKind.NOT_USED, "not a discharge document", ())


def test_a_result_is_data_and_what_has_no_place_as_data_is_told_in_words() -> None:
    result = {"resourceType": "Observation", "status": "final", "code": {"text": "INR"}, "valueQuantity": {"value": 2.5, "unit": "ratio"}}
    flag = {"resourceType": "Flag", "status": "active", "code": {"text": "Falls"}, "period": {"start": "2026-11-20"}}
    bundle = document(others={"inr": result, "flag": flag})
    resource(bundle, "head")["section"].append(section("safety-alerts", "Safety alerts", "See", [{"reference": url("flag")}]))
    raw = json.dumps(bundle).replace("2.5,", "2.50,").encode()
    entries = read(raw, ReadingProfile()).entries
    told = [(text(entry.resource, "section"), text(entry.resource, "text")) for entry in entries if entry.role == "note"]
    assert ("safety-alerts", "Status: active; Code: Falls; Period: start 2026-11-20") in told
    assert [str(part(entry.resource, "valueQuantity")["value"]) for entry in entries if entry.role == "result"] == ["2.50"]


def test_what_was_given_and_dispensed_joins_the_medicine_and_stands_in_words() -> None:
    drug = {"medicationCodeableConcept": {"text": "Apixaban 5mg"}, "subject": {"reference": url("patient")}}
    at = "2026-11-28T08:05:00+00:00"
    given = {
        "resourceType": "MedicationAdministration",
        "status": "completed",
        **drug,
        "effectiveDateTime": at,
        "performer": [{"actor": {"reference": "Practitioner/elsewhere"}}],
        "dosage": {"text": "One", "dose": {"value": 5, "unit": "mg"}},
    }
    handed = {
        "resourceType": "MedicationDispense",
        "status": "completed",
        **drug,
        "quantity": {"value": 28, "unit": "tablet"},
        "whenPrepared": "2026-11-28T09:00:00+00:00",
        "whenHandedOver": "2026-11-28T10:00:00+00:00",
    }
    later = {**given, "effectiveDateTime": "2026-11-28T20:00:00+00:00"}
    others = {"given": given, "handed": handed, "refused": {**later, "status": "not-done"}, "undone": {**later, "notGiven": True},
              "nobody": {**later, "medicationCodeableConcept": {"text": "Another medicine"}}}  # fmt: skip
    found = draft(document([medicine("Apixaban 5mg", "One twice a day")], others))
    told = "\n".join(text(entry.resource, "text") for entry in found.entries if entry.role == "note")
    assert all(name in told for name in ("not-done", "Another medicine", "28, tablet", "2026-11-28T20:00:00+00:00"))
    content = assemble(transfer_id="11111111-1111-4111-8111-111111111111", version=1, sender=SENDER, site=HOME, sources=[source(found)])
    bundle = build_document(content)
    (row,) = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "MedicationStatement"]
    joined = {entry["fullUrl"]: entry["resource"] for entry in bundle["entry"]}
    records = [joined[one["reference"]] for one in row["derivedFrom"]]
    assert [(one["resourceType"], one.get("effectiveDateTime", one.get("whenHandedOver"))) for one in records] == [
        ("MedicationAdministration", at), ("MedicationDispense", "2026-11-28T10:00:00+00:00"),
    ]  # fmt: skip
    assert "Handed over 28 tablet, 28 November 2026" in dump(bundle).decode()
    assert (content.conflicts, broken_rules(bundle, content.counts())) == ((), [])


def test_the_account_names_every_value_once() -> None:
    for raw in (as_json(document([medicine("Digoxin", "0.10 mg", change="4")])), as_xml(document([medicine("Digoxin", "0.10 mg")]))):
        items = {item.position: item for item in read(raw, ReadingProfile()).items}
        assert items["Bundle.entry[4].resource.dosage[0].text"].path == "MedicationStatement.dosage.text"
        assert items["Bundle.entry[4].resource.dosage[0].text"].value == "0.10 mg"
        assert items["Bundle.entry[0].resource.section[0].text.div"].outcome is Outcome.NARRATIVE
