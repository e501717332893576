"""One UK Core R4 document Bundle from Content (docs/data-model.md, "The document").

Every id is UUIDv5 of (transfer, role, source position), every fullUrl `urn:uuid:` + id, every reference one of those, every entry reachable
from the Composition. A pure function: same Content, same bytes under `exchange.fhir.json.dump`. Sections' words are in sections.py.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID, uuid5

from exchange.fhir import codes, sections
from exchange.fhir.content import ROLES, Content, Medicine, OrganisationFacts, Statement
from exchange.fhir.draft import Letter, Resource
from exchange.fhir.narrative import narrative, paragraph
from exchange.fhir.shape import concept_text, part, parts, spoken, text
from exchange.fhir.words import allergy_words, letter_words, medicine_words, organisation_words, person_words, stay_words

__all__ = ["ROLES", "Content", "build_document", "document_identifier", "letter_digest"]

Reference = dict[str, object]
_C0 = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def build_document(content: Content) -> dict[str, object]:
    """The Bundle of one version."""
    build = _Builder(content.transfer_id)
    patient, sender = build.reference("patient"), build.organisation("sender", content.sender)
    home = build.organisation("home", content.site)
    people = {role: _people(build, content, role, sender) for role in ("ward", *codes.PARTICIPANTS, "gp", "gp-practice")}
    _patient(build, content, people)
    encounter = _encounter(build, content, people, sender, home)
    persons = {statement.id: statement for statement in content.said.values()}
    said = {identity: _stated_by(build, statement, sender) for identity, statement in persons.items()}
    entries: dict[str, list[Reference]] = {
        "safety-alerts": _flags(build, content, said),
        "contact-for-further-information": _contacts(build, content, sender),
        "allergies-and-adverse-reaction": [_allergies(build, content, said)],
        "medications-and-medical-devices": _medicines(build, content, said),
        "discharge-details": [encounter],
        "admission-details": [encounter],
        "diagnoses": _clinical(build, content, "diagnosis"),
        "procedures": _clinical(build, content, "procedure"),
        "patient-demographics": [patient],
        "general-practitioner-practice": people["gp"] + people["gp-practice"],
        "distribution-list": [home],
        "documents-including-correspondence-audio-and-images": [_letter(build, letter) for letter in content.letters],
    }
    author = _author(build, content, sender)
    entries["person-completing-record"] = [author, *said.values()]
    composition = _composition(build, content, entries, author, sender, encounter)
    bundle: Resource = {
        "resourceType": "Bundle",
        "id": build.id("bundle", str(content.version)),
        "meta": {"profile": [codes.PROFILE + "Bundle"]},
        "identifier": document_identifier(content.transfer_id, content.version),
        "type": "document",
        "timestamp": content.accepted_at,
        "entry": [_entry(composition), *map(_entry, build.resources)],
    }
    return _clean(bundle)


def document_identifier(transfer_id: str, version: int) -> dict[str, object]:
    """Bundle.identifier of a version: never used for any other document."""
    return {"system": codes.URI, "value": f"urn:uuid:{uuid5(UUID(transfer_id), f'document|{version}')}"}


def letter_digest(letter: Letter) -> str:
    """`sha256:<hex>` of a letter's bytes, as DocumentReference.masterIdentifier carries it."""
    return "sha256:" + hashlib.sha256(letter.content).hexdigest()


def _clean(value: Mapping[str, object]) -> dict[str, object]:
    """Without empty members (ele-1), and with the control characters that FHIR strings may not hold made visible."""
    return {name: kept for name, item in value.items() if (kept := _kept(item)) not in (None, "", [], {})}


def _kept(value: object) -> object:
    match value:
        case str():
            return _C0.sub(lambda hit: chr(0x2400 + ord(hit[0])), value)
        case Mapping():
            return _clean(value)
        case list() | tuple():
            return [kept for item in value if (kept := _kept(item)) not in (None, "", [], {})]
    return value


def _entry(resource: Resource) -> Resource:
    return {"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource}


class _Builder:
    """Collects resources in order, giving each its id, profile, narrative and place."""

    def __init__(self, transfer_id: str) -> None:
        self._space = UUID(transfer_id)
        self._used: set[str] = set()
        self.subject = self.reference("patient")
        self.resources: list[Resource] = []

    def id(self, role: str, position: str = "") -> str:
        return str(uuid5(self._space, f"{role}|{position}"))

    def reference(self, role: str, position: str = "") -> Reference:
        return {"reference": f"urn:uuid:{self.id(role, position)}"}

    def make(self, kind: str, role: str, position: str, words: str, members: Mapping[str, object]) -> Resource:
        """A resource with id and head; two of one role and position (a sender's slip) stay two."""
        while (identity := self.id(role, position)) in self._used:
            position += "+"
        self._used.add(identity)
        head = {"resourceType": kind, "id": identity, "meta": {"profile": [codes.PROFILE + kind]}, "text": narrative(paragraph(words))}
        body = {name: member for name, member in members.items() if name not in ("resourceType", "id", "meta", "text", "contained")}
        return {**head, **body}

    def add(self, kind: str, role: str, position: str, words: str, members: Mapping[str, object]) -> Reference:
        resource = self.make(kind, role, position, words, members)
        self.resources.append(resource)
        return {"reference": f"urn:uuid:{resource['id']}"}

    def organisation(self, role: str, facts: OrganisationFacts) -> Reference:
        identifiers: list[object] = [{"system": codes.ODS_SITE if facts.is_site else codes.ODS_ORGANISATION, "value": facts.ods_code}]
        if facts.cqc_location:
            identifiers.append({"system": codes.CQC_LOCATION, "value": facts.cqc_location})
        phone = [{"system": "phone", "value": facts.phone, "use": "work"}] if facts.phone else []
        body = {"identifier": identifiers, "active": True, "name": facts.name, "telecom": phone, "address": [facts.address]}
        return self.add("Organization", role, "", organisation_words(facts), body)


def _people(build: _Builder, content: Content, role: str, sender: Reference) -> list[Reference]:
    found = []
    for entry in (entry for entry in content.people if entry.role == role):
        body = dict(entry.resource)
        if role == "ward":
            body = {"status": "active", "mode": "instance", **body, "managingOrganization": sender}
        found.append(build.add(ROLES[role], role, entry.position, person_words(entry.resource), body))
    return found


def _patient(build: _Builder, content: Content, people: Mapping[str, list[Reference]]) -> None:
    body = {**content.patient, "generalPractitioner": people["gp"] + people["gp-practice"]}
    build.add("Patient", "patient", "", person_words(content.patient), body)


def _encounter(build: _Builder, content: Content, people: Mapping[str, list[Reference]], sender: Reference, home: Reference) -> Reference:
    stay = content.encounter
    unknown = {"system": "http://terminology.hl7.org/CodeSystem/data-absent-reason", "code": "unknown"}
    participants: list[object] = [
        {"type": [{"coding": [{"system": codes.PARTICIPATION, "code": code, "display": display}]}], "individual": person}
        for role, (code, display) in codes.PARTICIPANTS.items()
        for person in people[role]
    ]
    body: Resource = {
        "extension": [
            *parts(stay, "extension"),
            *([{"url": codes.EXPECTED_LEAVING, "valueDateTime": content.expected_leaving}] if content.expected_leaving else []),
        ],
        "identifier": parts(stay, "identifier")
        or ([{"system": codes.VISIT_NUMBER, "value": content.visit_id}] if content.visit_id else []),
        "status": text(stay, "status") or "unknown",
        "class": part(stay, "class") or unknown,
        **{name: member for name, member in stay.items() if name not in ("extension", "identifier", "status", "class", "hospitalization")},
        "subject": build.subject,
        "participant": participants,
        "location": [{"location": ward} for ward in people["ward"]],
        "hospitalization": {**part(stay, "hospitalization"), "destination": home},
        "serviceProvider": sender,
    }
    return build.add("Encounter", "stay", "", stay_words(content), body)


def _stated_by(build: _Builder, statement: Statement, sender: Reference) -> Reference:
    body = {"active": True, "practitioner": {"display": statement.person}, "organization": sender, "code": [{"text": statement.role}]}
    return build.add("PractitionerRole", "stated-by", statement.id, f"{statement.person}, {statement.role}", body)


def _author(build: _Builder, content: Content, sender: Reference) -> Reference:
    signed = next((letter.signed_by for letter in content.letters if letter.signed_by), "")
    return build.add("Practitioner", "author", "", signed, {"name": [{"text": signed}]}) if signed else sender


def _flags(build: _Builder, content: Content, said: Mapping[str, Reference]) -> list[Reference]:
    found = []
    safety = {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/flag-category", "code": "safety", "display": "Safety"}]}
    for flag in sections.alerts(content):
        code = {"coding": [{"system": flag.system, "code": flag.code, "display": flag.label}], "text": flag.words}
        period = {"start": flag.stated.said_at} if flag.stated else {}
        body = {
            "status": "active", "category": [safety], "code": code, "subject": build.subject, "period": period,
            "author": said[flag.stated.id] if flag.stated else None,
        }  # fmt: skip
        found.append(build.add("Flag", "alert", flag.position, flag.words, body))
    return found


def _contacts(build: _Builder, content: Content, sender: Reference) -> list[Reference]:
    found = []
    for kind, who, phone, hours in sections.contact_lines(content):
        code = {"coding": [{"system": codes.CONTACT_KIND, "code": kind, "display": codes.CONTACTS[kind]}], "text": who}
        telecom = [{"system": "phone", "value": phone, "use": "work"}] if phone else []
        body = {"active": True, "organization": sender, "code": [code], "telecom": telecom, "availabilityExceptions": hours}
        found.append(build.add("PractitionerRole", "contact", kind, f"{who}: {phone}", body))
    return found


def _list(build: _Builder, code: codes.ListCode, items: Sequence[Resource], note: str, empty: Mapping[str, object]) -> Reference:
    body: Resource = {
        "status": "current",
        "mode": "snapshot",
        "title": code.title,
        "code": {"coding": [{"system": codes.SCT, "code": code.code, "display": code.display}]},
        "subject": build.subject,
        "note": [{"text": note}] if note else [],
        "entry": list(items),
        "emptyReason": {} if items else empty,
    }
    return build.add("List", "list", code.code, f"{code.title}: {len(items)}", body)


def _allergies(build: _Builder, content: Content, said: Mapping[str, Reference]) -> Reference:
    items: list[Resource] = []
    for entry in content.allergies:
        body = {**entry.resource, "patient": build.subject}
        statement = content.allergies_by.get(entry.position)
        if statement:
            body["asserter"] = said[statement.id]
        words = allergy_words(entry.resource)
        items.append({"item": build.add("AllergyIntolerance", "allergy", entry.position, words, body)})
    return _list(build, codes.ALLERGY_LIST, items, "", codes.NO_CONTENT)


def _clinical(build: _Builder, content: Content, role: str) -> list[Reference]:
    entries = content.diagnoses if role == "diagnosis" else content.procedures
    if not entries:
        return []
    encounter = build.reference("stay")
    items: list[Resource] = []
    for entry in entries:
        kind = ROLES[role]
        body = {**entry.resource, "subject": build.subject, "encounter": encounter}
        if role == "procedure":
            body = {"status": "completed", **body}
        items.append({"item": build.add(kind, role, entry.position, concept_text(part(body, "code")), body)})
    return [_list(build, codes.DIAGNOSIS_LIST if role == "diagnosis" else codes.PROCEDURE_LIST, items, "", codes.NO_CONTENT)]


def _medicines(build: _Builder, content: Content, said: Mapping[str, Reference]) -> list[Reference]:
    to_give: list[Resource] = []
    not_to_give: list[Resource] = []
    for medicine in content.medicines:
        change = codes.CHANGES[medicine.change]
        flag = {"coding": [{"system": codes.CHANGE_SYSTEM, "code": change.itk, "display": change.display}], "text": change.words}
        row = {"flag": flag if change.itk else {}, "item": _medicine(build, medicine, said)}
        (not_to_give if medicine.change in codes.NOT_TO_GIVE else to_give).append(row)
    in_letter = content.stated.full_list_in_letter is True
    note = sections.list_note(content)
    found = [_list(build, codes.ACTIVE_LIST, to_give, note, codes.UNAVAILABLE if in_letter else codes.NO_CONTENT)]
    return [*found, _list(build, codes.STOPPED_LIST, not_to_give, "", codes.NO_CONTENT)] if not_to_give else found


def _medicine(build: _Builder, medicine: Medicine, said: Mapping[str, Reference]) -> Reference:
    drug = part(medicine.resource, "medicationCodeableConcept")
    name = concept_text(drug)
    own: Resource = {"status": "completed", "medicationCodeableConcept": drug, "subject": build.subject}
    derived = []
    if medicine.last_dose:
        body: Resource = {**own, "context": build.reference("stay"), "effectiveDateTime": medicine.last_dose}
        words = f"{name}: last given {spoken(medicine.last_dose)}"
        derived.append(build.add("MedicationAdministration", "last-dose", medicine.position, words, body))
    if medicine.supply:
        words = codes.SUPPLY[medicine.supply]
        body = {
            **own,
            "status": "completed" if medicine.supply == "in-bag" else "unknown",
            "type": {"coding": [{"system": codes.SUPPLY_SYSTEM, "code": medicine.supply, "display": words}]},
            "note": [{"text": medicine.plan}] if medicine.plan else [],
        }
        derived.append(build.add("MedicationDispense", "supply", medicine.position, f"{name}: {words}", body))
    statement: Resource = {
        "status": codes.CHANGES[medicine.change].status if medicine.change else text(medicine.resource, "status") or "unknown",
        "category": {"coding": [codes.DISCHARGE]},
        **{name: member for name, member in medicine.resource.items() if name not in ("status", "category")},
        "subject": build.subject,
        "derivedFrom": derived,
    }
    if medicine.stated:
        statement |= {"dateAsserted": medicine.stated.said_at, "informationSource": said[medicine.stated.id]}
    if medicine.next_due:
        due: Resource = {"coding": [codes.NEXT_DUE], "text": medicine.next_due}
        doses = parts(medicine.resource, "dosage")
        first = doses[0] if doses else {}
        statement["dosage"] = [{**first, "additionalInstruction": [*parts(first, "additionalInstruction"), due]}, *doses[1:]]
    return build.add("MedicationStatement", "medicine", medicine.position, medicine_words(medicine), statement)


def _letter(build: _Builder, letter: Letter) -> Reference:
    digest = letter_digest(letter)
    position = f"{letter.document_id or digest}/{letter.position}"
    body: Resource = {
        "masterIdentifier": {"system": codes.DIGEST, "value": digest},
        "identifier": [{"system": codes.DOCUMENT_NUMBER, "value": letter.document_id}] if letter.document_id else [],
        "status": "current",
        "docStatus": "final",
        "type": {"coding": [codes.DOCUMENT_TYPE[0]], "text": letter.title},
        "subject": build.subject,
        # DocumentReference.date is an instant: only a full time with its zone can stand there.
        "date": next((at for at in (letter.signed_at, letter.written_at) if re.search(r"T.*([Z]|[+-]\d\d:\d\d)$", at)), ""),
        "author": [{"display": letter.author}] if letter.author else [],
        "authenticator": {"display": letter.signed_by} if letter.signed_by else {},
        "content": [{"attachment": {"contentType": letter.media_type, "size": len(letter.content), "title": letter.title}}],
    }
    return build.add("DocumentReference", "letter", position, letter_words(letter), body)


def _composition(
    build: _Builder,
    content: Content,
    entries: Mapping[str, Iterable[Reference]],
    author: Reference,
    sender: Reference,
    encounter: Reference,
) -> Resource:
    texts = sections.texts(content)
    replaces = document_identifier(content.transfer_id, content.version - 1)
    body: Resource = {
        "extension": [{"url": codes.VERSION_NUMBER, "valueString": str(content.version)}],
        "identifier": {"system": codes.URI, "value": f"urn:uuid:{build.id('discharge-summary')}"},
        "status": "final",
        "type": {"coding": list(codes.DOCUMENT_TYPE)},
        "subject": build.subject,
        "encounter": encounter,
        "date": content.written_at,
        "author": [author],
        "title": "Discharge summary",
        "custodian": sender,
        "relatesTo": [{"code": "replaces", "targetIdentifier": replaces}] if content.version > 1 else [],
        "section": [
            {
                "title": heading.title,
                "code": heading.concept(),
                "text": narrative(*texts[heading.code]),
                "entry": list(entries.get(heading.code, ())),
            }
            for heading in codes.SECTIONS
        ],
    }
    return build.make("Composition", "composition", str(content.version), "Discharge summary", body)
