"""Synthetic Drafts, Supplements and directory facts for tests: three people who do not exist.

`python -m tests.draft_kit DIR` writes their Bundles (bundle-*.json) and gate results (gate-*.json).
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.resources import files
from pathlib import Path

from exchange.fhir import codes
from exchange.fhir.content import Content, OrganisationFacts
from exchange.fhir.document import build_document
from exchange.fhir.draft import Draft, Entry, Letter, LetterStatus, Resource, SourceKind
from exchange.fhir.json import dump
from exchange.fhir.stated import Contact
from exchange.gate.evaluate import GateResult, evaluate, gate_input
from exchange.gate.rules import Profile
from exchange.transfer.assemble import Source, StatedSupplement, assemble
from exchange.transfer.workdays import deadline

NOW = "2026-11-27T16:30:00+00:00"
SENDER = OrganisationFacts(
    "RXX01",
    "Testshire Sample Hospitals",
    phone="01632 960000",
    address={"line": ["1 Sample Way"], "city": "Testtown", "postalCode": "ZZ99 1AA"},
)
HOME = OrganisationFacts(
    "VSMPL",
    "Sample Meadow Care Home",
    is_site=True,
    cqc_location="1-000000001",
    phone="01632 960100",
    address={"line": ["2 Meadow Lane"], "city": "Testtown", "postalCode": "ZZ99 2BB"},
)
WARD_CONTACTS = {
    "W6": Contact(
        who="Ward 6, nurse in charge",
        phone="01632 960106",
        hours="day and night",
        medicines_phone="01632 960107",
        medicines_hours="09:00 to 17:00, Monday to Saturday",
        next_phone="01632 960108",
        next_who="Site manager",
    )
}
PDF = b"%PDF-1.4\n% a synthetic letter for tests, no page in it\n%%EOF\n"


def patient(number: str, family: str, given: str, born: str, *, status: str = "01", gender: str = "female") -> Resource:
    """A Patient as the HL7 v2 adapter gives it."""
    display = {"01": "Number present and verified", "03": "Trace required"}[status]
    verified = {
        "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatusEngland",
        "code": status,
        "display": display,
    }
    return {
        "identifier": [
            {
                "extension": [{"url": codes.NHS_NUMBER_STATUS, "valueCodeableConcept": {"coding": [verified]}}],
                "system": codes.NHS_NUMBER,
                "value": number,
            },
            {"system": "https://fhir.nhs.uk/Id/local-patient-identifier", "value": f"T{number[-5:]}"},
        ],
        "name": [{"use": "official", "family": family, "given": [given]}],
        "gender": gender,
        "birthDate": born,
        "address": [{"use": "home", "line": ["2 Meadow Lane"], "city": "Testtown", "postalCode": "ZZ99 2BB"}],
        "contact": [
            {
                "relationship": [{"text": "Daughter"}],
                "name": {"text": "Testa Testperson"},
                "telecom": [{"system": "phone", "value": "01632 960999"}],
            }
        ],
    }


def encounter(*, start: str = "2026-11-20T09:12:00+00:00", reason: str = "Chest infection", **more: object) -> Resource:
    """An Encounter as the HL7 v2 adapter gives it."""
    inpatient = {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP", "display": "inpatient encounter"}
    return {"status": "in-progress", "class": inpatient, "period": {"start": start}, "reasonCode": [{"text": reason}], **more}


def entry(role: str, position: str, **resource: object) -> Entry:
    return Entry(role, position, resource)


def allergy(position: str, agent: str, *, code: str = "", reaction: str = "") -> Entry:
    coding = [{"system": codes.SCT, "code": code, "display": agent}] if code else []
    status = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical", "code": "active"}]}
    manifested = [{"manifestation": [{"text": reaction}]}] if reaction else []
    return entry("allergy", position, clinicalStatus=status, code={"coding": coding, "text": agent}, reaction=manifested)


def facts(person: Resource, message: str, *more: Entry, sent_at: str = "2026-11-20T09:20:00+00:00", **draft: object) -> Draft:
    """An ADT^A01 with ward, consultant and GP practice."""
    entries = (
        entry("ward", "PV1-3", name="Ward 6", identifier=[{"value": "W6"}]),
        entry(
            "consultant",
            "PV1-7",
            name=[{"family": "Example", "given": ["Erin"], "prefix": ["Dr"]}],
            identifier=[{"system": "https://fhir.hl7.org.uk/Id/gmc-number", "value": "C0000000"}],
        ),
        entry("gp-practice", "PD1-3", name="Sample Surgery", identifier=[{"system": codes.ODS_ORGANISATION, "value": "Y99999"}]),
        *more,
    )
    made = Draft(
        "hl7v2",
        "ADT^A01",
        SourceKind.FACTS,
        message,
        sent_at=sent_at,
        occurred_at=sent_at,
        claimed_sender="TESTPAS",
        visit_id=f"V{message}",
        expected_leaving="2026-11-28",
        patient=person,
        encounter=encounter(),
        entries=entries,
    )
    return replace(made, **draft)  # type: ignore[arg-type]  # the caller names the fields


def letter(document_id: str, **more: object) -> Letter:
    """A signed PDF letter."""
    made = Letter(
        "OBX-5",
        "application/pdf",
        PDF,
        "Discharge letter",
        LetterStatus.FINAL,
        document_id=document_id,
        author="Dr Tess Writer",
        signed_by="Dr Sam Signer",
        signed_at="2026-11-27T14:02:00+00:00",
        written_at="2026-11-27T13:40:00+00:00",
    )
    return replace(made, **more)  # type: ignore[arg-type]  # the caller names the fields


def letter_draft(
    person: Resource, message: str, *letters: Letter, entries: tuple[Entry, ...] = (), sent_at: str = "2026-11-27T14:03:00+00:00"
) -> Draft:
    """An MDM^T02 with its letters."""
    return Draft(
        "hl7v2",
        "MDM^T02",
        SourceKind.LETTER,
        message,
        sent_at=sent_at,
        occurred_at=sent_at,
        claimed_sender="TESTPAS",
        patient=person,
        entries=entries,
        letters=letters,
    )


def source(draft: Draft, *, accepted_at: str = "") -> Source:
    return Source(draft, accepted_at or draft.sent_at.replace("+00:00", ".500000+00:00"), f"sha256:{draft.source_id:0>64}")


def supplement(
    content: Mapping[str, object], *, said_at: str = "2026-11-27T15:30:00+00:00", number: int = 1, person: str = "Nora Nurseperson"
) -> StatedSupplement:
    return StatedSupplement(person, "ward nurse", said_at, content, f"00000000-0000-4000-8000-{number:012d}")


# What the ward states of Edith and of Arthur: the examples that ship with the schema.
EXAMPLES = files("fhir_profiles") / "wardpost" / "examples"
FULL: dict[str, object] = json.loads((EXAMPLES / "supplement-valid-full.json").read_text("utf-8"))
PARTIAL: dict[str, object] = json.loads((EXAMPLES / "supplement-valid-partial.json").read_text("utf-8"))


@dataclass(frozen=True)
class Story:
    """One person of the three: what came, and the profile of the feed."""

    name: str
    transfer_id: str
    sources: tuple[Source, ...]
    supplements: tuple[StatedSupplement, ...]
    profile: Profile
    wards: Mapping[str, Contact]

    def content(self, *, version: int = 1) -> Content:
        return assemble(
            transfer_id=self.transfer_id,
            version=version,
            sender=SENDER,
            site=HOME,
            sources=self.sources,
            supplements=self.supplements,
            ward_contacts=self.wards,
        )

    def gate(self, *, now: str = NOW) -> GateResult:
        content = self.content()
        due, at_once = deadline(content.expected_leaving, datetime.fromisoformat(now))
        when = (now if at_once else due.isoformat(), at_once)
        return evaluate(gate_input(content, build_document(content), self.profile, now=now, due=when))


def edith() -> Story:
    """Papers complete: Edith Testperson, returns to her home with a full Supplement."""
    person = patient("9990000026", "Testperson", "Edith", "1942-03-14")
    diagnosis = entry(
        "diagnosis",
        "DG1[1]",
        code={"coding": [{"system": codes.SCT, "code": "233604007", "display": "Pneumonia"}], "text": "Pneumonia, community acquired"},
    )
    admitted = facts(person, "101", diagnosis, allergy("AL1[1]", "Penicillin", reaction="Rash"))
    moved = facts(
        person,
        "102",
        diagnosis,
        allergy("AL1[1]", "Penicillin", reaction="Rash"),
        sent_at="2026-11-26T10:00:00+00:00",
        event="ADT^A08",
        visit_id="V101",
        expected_leaving="2026-11-28T10:30:00+00:00",
    )
    story = (source(admitted), source(moved), source(letter_draft(person, "103", letter("DOC-103"))))
    return Story("complete", "11111111-1111-4111-8111-111111111111", story, (supplement(FULL),), Profile.LETTER_ONLY, WARD_CONTACTS)


def arthur() -> Story:
    """n missing: Arthur Testperson, Parkinson's, co-careldopa not in the bag, skin and lines not said, no allergies recorded."""
    person = patient("9990000034", "Testperson", "Arthur", "1938-07-02", gender="male", status="03")
    story = (source(facts(person, "201")), source(letter_draft(person, "202", letter("DOC-202"))))
    return Story(
        "missing",
        "22222222-2222-4222-8222-222222222222",
        story,
        (supplement(PARTIAL, said_at="2026-11-27T15:45:00+00:00", number=2),),
        Profile.LETTER_ONLY,
        WARD_CONTACTS,
    )


def doris() -> Story:
    """Letter only: Doris Testperson, a PDF and nothing more."""
    person = patient("9990000042", "Testperson", "Doris", "1935-12-30")
    story = (source(facts(person, "301", expected_leaving="2026-11-29")), source(letter_draft(person, "302", letter("DOC-302"))))
    return Story("letter-only", "33333333-3333-4333-8333-333333333333", story, (), Profile.LETTER_ONLY, WARD_CONTACTS)


def main(folder: str) -> None:
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    for story in (edith(), arthur(), doris()):
        (target / f"bundle-{story.name}.json").write_bytes(dump(build_document(story.content())))
        (target / f"gate-{story.name}.json").write_text(json.dumps(story.gate().to_dict(), indent=1, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
