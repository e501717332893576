# ruff: noqa: E501 - tables of data read better as lines
"""What the tests of the checker share: a discharge document of the usual size, and where the shared data is."""

import copy
import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parent.parent
SHARED = REPOSITORY.parent / "shared"
UK = "https://fhir.hl7.org.uk/StructureDefinition/"
UKCS = "https://fhir.hl7.org.uk/CodeSystem/"
HL7 = "http://terminology.hl7.org/CodeSystem/"
SCT = "http://snomed.info/sct"
DMD = "https://dmd.nhs.uk"
WORDS = "Made up for tests: no such person, place or illness exists. Reviewed on the ward round and agreed with the person and the family; do ask us if in doubt on any day. "
Resource = dict[str, Any]


def urn(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"


def ref(name: str, display: str = "") -> Resource:
    return {"reference": urn(name), "display": display} if display else {"reference": urn(name)}


def concept(system: str, code: str, display: str) -> Resource:
    return {"coding": [{"system": system, "code": code, "display": display}], "text": display}


def sct(code: str, display: str) -> Resource:
    return concept(SCT, code, display)


def narrative(*lines: str) -> Resource:
    rows = "".join(f"<tr><th>{index}</th><td>{line}</td></tr>" for index, line in enumerate(lines))
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{lines[0]}</p><table>{rows}</table></div>'}


class _Builder:
    def __init__(self) -> None:
        self.entries: list[Resource] = []

    def add(self, name: str, type_: str, /, *lines: str, profile: str = "", **elements: Any) -> None:
        claims = [UK + (profile or f"UKCore-{type_}")]
        resource = {"resourceType": type_, "id": urn(name)[9:], "meta": {"profile": claims}, "text": narrative(*lines), **elements}
        self.entries.append({"fullUrl": urn(name), "resource": resource})


_HEADINGS = (
    ("patient-demographics", "Patient demographics", ["patient"]),
    ("general-practitioner-practice", "GP practice", ["surgery"]),
    ("safety-alerts", "Safety alerts", ["flag"]),
    ("admission-details", "Admission details", ["stay"]),
    ("discharge-details", "Discharge details", ["stay", "author"]),
    ("allergies-and-adverse-reaction", "Allergies and adverse reaction", ["allergies"]),
    ("medications-and-medical-devices", "Medications and medical devices", ["medicines", *[f"given{n}" for n in range(2)], *[f"supply{n}" for n in range(3)]]),
    ("diagnoses", "Diagnoses", [f"condition{n}" for n in range(4)]),
    ("procedures", "Procedures", ["procedure"]),
    ("investigation-results", "Investigation results", [f"result{n}" for n in range(3)]),
    ("clinical-summary", "Clinical summary", []),
    ("plan-and-requested-actions", "Plan and requested actions", []),
    ("individual-requirements", "Individual requirements", []),
    ("social-context", "Social context", ["daughter"]),
    ("person-completing-record", "Person completing record", ["author"]),
    ("distribution-list", "Distribution list", ["home", "surgery"]),
)  # fmt: skip


def document() -> Resource:
    """A UK Core discharge document: 35 resources, 16 sections, about 67 KB, clean by the HL7 engine's word."""
    b = _Builder()
    sections = [
        {
            "title": title,
            "code": {"coding": [{"system": UKCS + "UKCore-RecordStandardHeadings", "code": code}]},
            "text": narrative(title, WORDS, WORDS * 3),
            **({"entry": [ref(name) for name in names]} if names else {}),
        }
        for code, title, names in _HEADINGS
    ]
    b.add(
        "composition", "Composition", "Discharge summary", WORDS,
        extension=[{"url": UK + "Extension-UKCore-CareSettingType", "valueCodeableConcept": sct("893061000000109", "Cardiology service")}],
        identifier={"system": "urn:ietf:rfc:3986", "value": urn("document-set")}, status="final", type=sct("373942005", "Discharge summary"),
        subject=ref("patient"), encounter=ref("stay"), date="2026-01-15T14:05:00+00:00", author=[ref("author")], title="Discharge summary",
        confidentiality="N", custodian=ref("trust"), section=sections,
    )  # fmt: skip
    b.add(
        "patient", "Patient", "Ada Example", WORDS,
        identifier=[
            {
                "extension": [{
                    "url": UK + "Extension-UKCore-NHSNumberVerificationStatus",
                    "valueCodeableConcept": concept(UKCS + "UKCore-NHSNumberVerificationStatusEngland", "01", "Number present and verified"),
                }],
                "system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018",
            },
            {"system": "https://fhir.nhs.uk/Id/local-patient-identifier", "value": "L123", "assigner": ref("trust", "Example Trust")},
        ],
        active=True, name=[{"use": "official", "family": "Example", "given": ["Ada", "Beth"], "prefix": ["Mrs"]}],
        telecom=[{"system": "phone", "value": "01632 960001", "use": "home"}], gender="female", birthDate="1938-05-14",
        _birthDate={"extension": [{"url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime", "valueDateTime": "1938-05-14T03:00:00+00:00"}]},
        address=[{"use": "home", "line": ["1 Test Street", "Test End"], "city": "Testtown", "postalCode": "ZZ99 3CZ"}],
        contact=[{"relationship": [concept(HL7 + "v2-0131", "N", "Next-of-Kin")], "name": {"family": "Example", "given": ["Cora"]}}],
        communication=[{"language": concept("urn:ietf:bcp:47", "en", "English"), "preferred": True}], generalPractitioner=[ref("surgery")],
    )  # fmt: skip
    for name, code, title in (
        ("trust", "RXX", "Example Trust"),
        ("surgery", "V81999", "Example Surgery"),
        ("home", "VLXXX", "Example Care Home"),
    ):
        b.add(
            name, "Organization", title, WORDS, name=title, identifier=[{"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": code}],
            telecom=[{"system": "phone", "value": "01632 960002", "use": "work"}], address=[{"use": "work", "line": ["2 Test Street"], "city": "Testtown"}],
        )  # fmt: skip
    b.add(
        "doctor", "Practitioner", "Dr Dora Example", WORDS, identifier=[{"system": "https://fhir.hl7.org.uk/Id/gmc-number", "value": "C1234567"}],
        name=[{"family": "Example", "given": ["Dora"], "prefix": ["Dr"]}],
    )  # fmt: skip
    b.add("author", "PractitionerRole", "Consultant", WORDS, active=True, practitioner=ref("doctor"), organization=ref("trust"))
    b.add(
        "ward", "Location", "Ward 7", WORDS, status="active", name="Ward 7", managingOrganization=ref("trust"),
        identifier=[{"system": "https://fhir.nhs.uk/Id/ods-site-code", "value": "RXX01"}],
    )  # fmt: skip
    b.add(
        "stay", "Encounter", "Stay", WORDS, status="finished", **{"class": {"system": HL7 + "v3-ActCode", "code": "IMP"}}, subject=ref("patient"),
        extension=[{"url": UK + "Extension-UKCore-DischargeMethod", "valueCodeableConcept": concept(UKCS + "UKCore-DischargeMethodEngland", "1", "Advice")}],
        participant=[{"type": [concept(HL7 + "v3-ParticipationType", "ATND", "attender")], "individual": ref("author")}],
        period={"start": "2026-01-08T09:00:00+00:00", "end": "2026-01-15T14:00:00+00:00"}, reasonCode=[sct("29857009", "Chest pain")],
        hospitalization={
            "extension": [{
                "url": UK + "Extension-UKCore-AdmissionMethod", "valueCodeableConcept": concept(UKCS + "UKCore-AdmissionMethodEngland", "21", "Emergency"),
            }],
            "destination": ref("home"), "dischargeDisposition": concept(UKCS + "UKCore-DischargeDestinationEngland", "85", "Care home"),
        },
        location=[{"location": ref("ward"), "status": "completed"}], serviceProvider=ref("trust"),
    )  # fmt: skip
    for n, (code, title) in enumerate(
        (("84114007", "Heart failure"), ("38341003", "Hypertension"), ("73211009", "Diabetes"), ("233604007", "Pneumonia"))
    ):
        b.add(
            f"condition{n}", "Condition", title, WORDS, clinicalStatus=concept(HL7 + "condition-clinical", "active", "Active"),
            verificationStatus=concept(HL7 + "condition-ver-status", "confirmed", "Confirmed"), subject=ref("patient"), encounter=ref("stay"),
            category=[concept(HL7 + "condition-category", "encounter-diagnosis", "Encounter Diagnosis")], code=sct(code, title), onsetDateTime="2019-03",
        )  # fmt: skip
    b.add(
        "allergy", "AllergyIntolerance", "Penicillin", WORDS, clinicalStatus=concept(HL7 + "allergyintolerance-clinical", "active", "Active"),
        verificationStatus=concept(HL7 + "allergyintolerance-verification", "confirmed", "Confirmed"), code=sct("373270004", "Penicillin"),
        patient=ref("patient"), reaction=[{"manifestation": [sct("247472004", "Hives")], "severity": "moderate"}],
    )  # fmt: skip
    b.add(
        "allergies", "List", "Allergies", WORDS, status="current", mode="snapshot", code=sct("886921000000105", "Allergies"), subject=ref("patient"),
        entry=[{"item": ref("allergy")}],
    )  # fmt: skip
    for n in range(8):
        b.add(
            f"medicine{n}", "MedicationStatement", f"Medicine {n}", WORDS, identifier=[{"system": "https://tools.ietf.org/html/rfc4122", "value": urn(f"m{n}")[9:]}],
            status="active", category=concept(UKCS + "UKCore-MedicationStatementCategory", "discharge", "Discharge"),
            medicationCodeableConcept=concept(DMD, "39732311000001104", "Amoxicillin 250mg capsules"), subject=ref("patient"), context=ref("stay"),
            effectivePeriod={"start": "2026-01-09"}, dateAsserted="2026-01-15T13:00:00+00:00", informationSource=ref("author"),
            dosage=[{
                "sequence": 1, "text": "One capsule three times a day", "route": sct("26643006", "Oral"),
                "timing": {"repeat": {"frequency": 3, "period": 1, "periodUnit": "d", "boundsPeriod": {"start": "2026-01-09", "end": "2026-01-23"}}},
                "doseAndRate": [{"doseQuantity": {"value": 250, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}}],
            }],
        )  # fmt: skip
    b.add(
        "medicines", "List", "Medicines", WORDS, status="current", mode="snapshot", code=sct("933361000000108", "Medications"), subject=ref("patient"),
        entry=[{"item": ref(f"medicine{n}")} for n in range(8)],
    )  # fmt: skip
    for n in range(2):
        b.add(
            f"given{n}", "MedicationAdministration", "Last dose", WORDS, status="completed", subject=ref("patient"),
            medicationCodeableConcept=concept(DMD, "39732311000001104", "Amoxicillin 250mg capsules"), effectiveDateTime="2026-01-15T08:00:00+00:00",
            dosage={"text": "250 mg", "dose": {"value": 250, "unit": "mg", "system": "http://unitsofmeasure.org", "code": "mg"}},
        )  # fmt: skip
    for n in range(3):
        b.add(
            f"supply{n}", "MedicationDispense", "To take out", WORDS, status="completed", subject=ref("patient"),
            medicationCodeableConcept=concept(DMD, "39732311000001104", "Amoxicillin 250mg capsules"), quantity={"value": 15, "unit": "capsule"},
            whenPrepared="2026-01-15T10:00:00+00:00", whenHandedOver="2026-01-15T13:30:00+00:00",
        )  # fmt: skip
    b.add(
        "procedure",
        "Procedure",
        "Echocardiogram",
        WORDS,
        status="completed",
        code=sct("40701008", "Echocardiography"),
        subject=ref("patient"),
        performedDateTime="2026-01-10",
    )
    for n in range(3):
        b.add(
            f"result{n}", "Observation", "Potassium", WORDS, status="final", category=[concept(HL7 + "observation-category", "laboratory", "Laboratory")],
            code=sct("1000651000000109", "Potassium"), subject=ref("patient"), effectiveDateTime="2026-01-14T07:30:00+00:00", performer=[ref("trust")],
            valueQuantity={"value": Decimal("4.1"), "unit": "mmol/L", "system": "http://unitsofmeasure.org", "code": "mmol/L"},
            referenceRange=[{"low": {"value": Decimal("3.5"), "unit": "mmol/L"}, "high": {"value": Decimal("5.3"), "unit": "mmol/L"}}],
        )  # fmt: skip
    b.add("flag", "Flag", "Falls", WORDS, status="active", code=sct("129839007", "At risk for falls"), subject=ref("patient"))
    b.add(
        "daughter", "RelatedPerson", "Cora Example", WORDS, active=True, patient=ref("patient"), name=[{"family": "Example", "given": ["Cora"]}],
        relationship=[concept(HL7 + "v3-RoleCode", "DAU", "natural daughter")], telecom=[{"system": "phone", "value": "01632 960003"}],
    )  # fmt: skip
    return {
        "resourceType": "Bundle",
        "id": urn("bundle")[9:],
        "meta": {"profile": [UK + "UKCore-Bundle"]},
        "identifier": {"system": "urn:ietf:rfc:3986", "value": urn("bundle")},
        "type": "document",
        "timestamp": "2026-01-15T14:05:01+00:00",
        "entry": b.entries,
    }


def broken(**changes: Any) -> Resource:
    """The document with dotted paths set: `broken(**{"entry.1.resource.gender": "x"})`; None takes the element out."""
    out = copy.deepcopy(document())
    for path, value in changes.items():
        *steps, last = path.split(".")
        at: Any = out
        for step in steps:
            at = at[int(step)] if isinstance(at, list) else at[step]
        if value is None:
            del at[int(last) if isinstance(at, list) else last]
        else:
            at[int(last) if isinstance(at, list) else last] = value
    return out


def as_bytes(resource: Resource) -> bytes:
    return json.dumps(resource, ensure_ascii=False, default=float).encode()
