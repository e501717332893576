"""One UK Core R4 document Bundle from Content (docs/data-model.md, "The document").

Every id is UUIDv5 of (transfer, role, source position), every fullUrl `urn:uuid:` + id, every reference one of those, every entry reachable
from the Composition. A pure function: same Content, same bytes under `exchange.fhir.json.dump`. Sections' words are in sections.py.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

from exchange.fhir import codes, sections, words
from exchange.fhir.content import ROLES, Content, Medicine, OrganisationFacts, Statement
from exchange.fhir.draft import Entry, Letter, Resource
from exchange.fhir.narrative import narrative, paragraph
from exchange.fhir.shape import concept_text, part, parts, spoken, text

Reference = dict[str, object]
_C0 = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")


def build_document(content: Content) -> dict[str, object]:
    """The Bundle of one version."""
    build = _Builder(content)
    build.composition(build.entries())
    *others, composition = build.resources
    bundle: Resource = {
        "resourceType": "Bundle",
        "id": build.id("bundle", str(content.version)),
        "meta": {"profile": [codes.PROFILE + "Bundle"]},
        "identifier": document_identifier(content.transfer_id, content.version),
        "type": "document",
        "timestamp": content.accepted_at,
        "entry": [{"fullUrl": f"urn:uuid:{resource['id']}", "resource": resource} for resource in (composition, *others)],
    }
    return {name: _kept(member) for name, member in bundle.items()}


def document_identifier(transfer_id: str, version: int) -> dict[str, object]:
    """Bundle.identifier of a version: never used for any other document."""
    return {"system": codes.URI, "value": f"urn:uuid:{uuid5(UUID(transfer_id), f'document|{version}')}"}


def medicine_status(medicine: Medicine) -> str:
    """The source's own status where it agrees with the change, else that of the change."""
    own = text(medicine.resource, "status")
    agrees = codes.STATUS_MEANS.get(own, medicine.change if medicine.change not in codes.NOT_TO_GIVE else "") == medicine.change
    return (own or "unknown") if not medicine.change or (own and agrees) else codes.CHANGES[medicine.change].status


def letter_digest(letter: Letter) -> str:
    """`sha256:<hex>` of a letter's bytes, as DocumentReference.masterIdentifier carries it."""
    return "sha256:" + hashlib.sha256(letter.content).hexdigest()


def _kept(value: Any) -> Any:
    """Without empty members (ele-1), and with the control characters that FHIR strings may not hold made visible."""
    match value:
        case str():
            return _C0.sub(lambda hit: chr(0x2400 + ord(hit[0])), value)
        case Mapping():
            return {name: kept for name, item in value.items() if (kept := _kept(item)) not in (None, "", [], {})}
        case list() | tuple():
            return [kept for item in value if (kept := _kept(item)) not in (None, "", [], {})]
    return value


def _valued(system: str, value: str, **more: str) -> list[Resource]:
    """The one Identifier or ContactPoint of this value; without a value none."""
    return [{"system": system, "value": value, **more}] if value else []


class _Builder:
    """Collects the resources of one document in order. Members that turn out empty are dropped at the end, by `_kept`."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self.resources: list[Resource] = []
        self._used: set[str] = set()
        self.subject, self.stay, self.sender, self.home = map(self.reference, ("patient", "stay", "sender", "home"))

    def id(self, role: str, position: str = "") -> str:
        return str(uuid5(UUID(self.content.transfer_id), f"{role}|{position}"))

    def reference(self, role: str, position: str = "") -> Reference:
        return {"reference": f"urn:uuid:{self.id(role, position)}"}

    def add(self, kind: str, role: str, position: str, said: str, members: Mapping[str, object]) -> Reference:
        """One resource more, with id, profile and narrative; two of one role and position (a sender's slip) stay two."""
        while (identity := self.id(role, position)) in self._used:
            position += "+"
        self._used.add(identity)
        head = {"resourceType": kind, "id": identity, "meta": {"profile": [codes.PROFILE + kind]}, "text": narrative(paragraph(said))}
        self.resources.append({**head, **{name: member for name, member in members.items() if name not in (*head, "contained")}})
        return {"reference": f"urn:uuid:{identity}"}

    def entries(self) -> dict[str, list[Reference]]:
        """Adds every resource but the Composition, in the document's order; the entries of each section by its code."""
        content = self.content
        self._organisation("sender", content.sender)
        self._organisation("home", content.site)
        people = {role: self._people(role) for role in ("ward", *codes.PARTICIPANTS, "gp", "gp-practice")}
        practice = people["gp"] + people["gp-practice"]
        self.add("Patient", "patient", "", words.person_words(content.patient), {**content.patient, "generalPractitioner": practice})
        self._stay(people)
        said = [self._stated_by(statement) for statement in {each.id: each for each in content.said.values()}.values()]
        return {
            "safety-alerts": self._flags(),
            "contact-for-further-information": self._contacts(),
            "allergies-and-adverse-reaction": [self._allergies()],
            "medications-and-medical-devices": self._medicines(),
            "discharge-details": [self.stay],
            "admission-details": [self.stay],
            "diagnoses": self._clinical("diagnosis", content.diagnoses, codes.DIAGNOSIS_LIST),
            "procedures": self._clinical("procedure", content.procedures, codes.PROCEDURE_LIST),
            "investigation-results": self._results(),
            "patient-demographics": [self.subject],
            "general-practitioner-practice": practice,
            "distribution-list": [self.home],
            "documents-including-correspondence-audio-and-images": [self._letter(letter) for letter in content.letters],
            "person-completing-record": [self._author(), *said],
        }

    def composition(self, entries: Mapping[str, Sequence[Reference]]) -> None:
        content, shown = self.content, sections.texts(self.content)
        replaces = document_identifier(content.transfer_id, content.version - 1)
        body: Resource = {
            "extension": [{"url": codes.VERSION_NUMBER, "valueString": str(content.version)}],
            "identifier": {"system": codes.URI, "value": f"urn:uuid:{self.id('discharge-summary')}"},
            "status": "final",
            "type": {"coding": codes.DOCUMENT_TYPE},
            "subject": self.subject,
            "encounter": self.stay,
            "date": content.written_at,
            "author": entries["person-completing-record"][:1],
            "title": "Discharge summary",
            "custodian": self.sender,
            "relatesTo": [{"code": "replaces", "targetIdentifier": replaces}] if content.version > 1 else [],
            "section": [
                {"title": each.title, "code": each.concept(), "text": narrative(*shown[each.code]), "entry": entries.get(each.code)}
                for each in codes.SECTIONS
            ],
        }
        self.add("Composition", "composition", str(content.version), "Discharge summary", body)

    def _organisation(self, role: str, facts: OrganisationFacts) -> None:
        system = codes.ODS_SITE if facts.is_site else codes.ODS_ORGANISATION
        body = {
            "identifier": [*_valued(system, facts.ods_code), *_valued(codes.CQC_LOCATION, facts.cqc_location)],
            "active": True,
            "name": facts.name,
            "telecom": _valued("phone", facts.phone, use="work"),
            "address": [facts.address],
        }
        self.add("Organization", role, "", words.organisation_words(facts), body)

    def _people(self, role: str) -> list[Reference]:
        before = {"status": "active", "mode": "instance"} if role == "ward" else {}
        after = {"managingOrganization": self.sender} if role == "ward" else {}
        return [
            self.add(ROLES[role], role, entry.position, words.person_words(entry.resource), {**before, **entry.resource, **after})
            for entry in self.content.people
            if entry.role == role
        ]

    def _stay(self, people: Mapping[str, list[Reference]]) -> None:
        stay, leaving, started = self.content.encounter, self.content.expected_leaving, text(self.content.encounter, "period", "start")
        own = {
            "extension": [*parts(stay, "extension"), {"url": codes.EXPECTED_LEAVING, "valueDateTime": leaving} if leaving else {}],
            "identifier": parts(stay, "identifier") or _valued(codes.VISIT_NUMBER, self.content.visit_id),
            "status": text(stay, "status") or "unknown",
            "class": part(stay, "class") or {"system": codes.HL7 + "data-absent-reason", "code": "unknown"},
        }
        body: Resource = {
            **own,
            **{name: member for name, member in stay.items() if name not in (*own, "hospitalization")},
            "subject": self.subject,
            "participant": [
                {"type": [codes.concept(codes.PARTICIPATION, code, display)], "individual": person}
                for role, (code, display) in codes.PARTICIPANTS.items()
                for person in people[role]
            ],
            "location": [{"location": ward} for ward in people["ward"]],
            "hospitalization": {**part(stay, "hospitalization"), "destination": self.home},
            "serviceProvider": self.sender,
        }
        self.add("Encounter", "stay", "", f"Hospital stay from {spoken(started)}" if started else "Hospital stay", body)

    def _stated_by(self, statement: Statement) -> Reference:
        who, role = {"display": statement.person}, [{"text": statement.role}]
        body = {"active": True, "practitioner": who, "organization": self.sender, "code": role}
        return self.add("PractitionerRole", "stated-by", statement.id, f"{statement.person}, {statement.role}", body)

    def _author(self) -> Reference:
        """Who signed the newest letter, else the sender."""
        signed = next((letter.signed_by for letter in self.content.letters if letter.signed_by), "")
        return self.add("Practitioner", "author", "", signed, {"name": [{"text": signed}]}) if signed else self.sender

    def _flags(self) -> list[Reference]:
        found = []
        for flag in sections.alerts(self.content):
            body: Resource = {
                "status": "active",
                "category": [codes.concept(codes.HL7 + "flag-category", "safety", "Safety")],
                "code": codes.concept(flag.system, flag.code, flag.label, flag.words),
                "subject": self.subject,
            }
            if flag.stated:
                body |= {"period": {"start": flag.stated.said_at}, "author": self.reference("stated-by", flag.stated.id)}
            found.append(self.add("Flag", "alert", flag.position, flag.words, body))
        return found

    def _contacts(self) -> list[Reference]:
        found = []
        for kind, who, phone, hours in sections.contact_lines(self.content):
            body = {
                "active": True,
                "organization": self.sender,
                "code": [codes.concept(codes.CONTACT_KIND, kind, codes.CONTACTS[kind], who)],
                "telecom": _valued("phone", phone, use="work"),
                "availabilityExceptions": hours,
            }
            found.append(self.add("PractitionerRole", "contact", kind, f"{who}: {phone}", body))
        return found

    def _list(self, code: codes.ListCode, rows: Sequence[Resource], note: str = "", empty: Resource = codes.NO_CONTENT) -> Reference:
        body: Resource = {
            "status": "current",
            "mode": "snapshot",
            "title": code.title,
            "code": codes.concept(codes.SCT, code.code, code.display),
            "subject": self.subject,
            "note": [{"text": note}],
            "entry": rows,
            "emptyReason": {} if rows else empty,
        }
        return self.add("List", "list", code.code, f"{code.title}: {len(rows)}", body)

    def _allergies(self) -> Reference:
        rows: list[Resource] = []
        for entry in self.content.allergies:
            statement = self.content.allergies_by.get(entry.position)
            asserter = {"asserter": self.reference("stated-by", statement.id)} if statement else {}
            body = {**entry.resource, "patient": self.subject, **asserter}
            rows.append({"item": self.add("AllergyIntolerance", "allergy", entry.position, words.allergy_words(entry.resource), body)})
        return self._list(codes.ALLERGY_LIST, rows)

    def _clinical(self, role: str, entries: Sequence[Entry], code: codes.ListCode) -> list[Reference]:
        """Diagnoses or procedures, and the List that holds them; nothing when there are none."""
        before = {"status": "completed"} if role == "procedure" else {}
        rows: list[Resource] = []
        for entry in entries:
            body = {**before, **entry.resource, "subject": self.subject, "encounter": self.stay}
            rows.append({"item": self.add(ROLES[role], role, entry.position, concept_text(entry.resource.get("code")), body)})
        return [self._list(code, rows)] if rows else []

    def _results(self) -> list[Reference]:
        before = {"subject": self.subject, "encounter": self.stay}
        return [
            self.add("Observation", "result", entry.position, words.result_words(entry.resource), {**entry.resource, **before})
            for entry in self.content.results
        ]

    def _medicines(self) -> list[Reference]:
        to_give: list[Resource] = []
        not_to_give: list[Resource] = []
        for medicine in self.content.medicines:
            change = codes.CHANGES[medicine.change]
            flag = codes.concept(codes.CHANGE_SYSTEM, change.itk, change.display, change.words) if change.itk else {}
            if medicine.change == "tapering":
                flag = {**flag, "coding": [*parts(flag, "coding"), codes.TAPERING]}
            rows = not_to_give if medicine.change in codes.NOT_TO_GIVE else to_give
            rows.append({"flag": flag, "item": self._medicine(medicine)})
        empty = codes.UNAVAILABLE if self.content.stated.full_list_in_letter else codes.NO_CONTENT
        found = [self._list(codes.ACTIVE_LIST, to_give, sections.list_note(self.content), empty)]
        return [*found, self._list(codes.STOPPED_LIST, not_to_give)] if not_to_give else found

    def _medicine(self, medicine: Medicine) -> Reference:
        """The MedicationStatement, derived from its last dose and its supply where these are known."""
        name, derived = words.medicine_name(medicine), []
        drug = {"medicationCodeableConcept": medicine.resource.get("medicationCodeableConcept"), "subject": self.subject}
        if medicine.last_dose:
            given = {"status": "completed", **drug, "context": self.stay, "effectiveDateTime": medicine.last_dose}
            said = f"{name}: last given {spoken(medicine.last_dose)}"
            derived.append(self.add("MedicationAdministration", "last-dose", medicine.position, said, given))
        if medicine.supply:
            supply = codes.SUPPLY[medicine.supply]
            dispensed = {
                "status": "completed" if medicine.supply == "in-bag" else "unknown",
                **drug,
                "type": codes.concept(codes.SUPPLY_SYSTEM, medicine.supply, supply),
                "note": [{"text": medicine.plan}],
            }
            derived.append(self.add("MedicationDispense", "supply", medicine.position, f"{name}: {supply}", dispensed))
        for entry in medicine.records:
            kind, stay = ROLES[entry.role], "encounter" if ROLES[entry.role] == "MedicationRequest" else "context"
            record = {**entry.resource, "subject": self.subject, stay: self.stay}
            derived.append(
                self.add(kind, entry.role, f"{medicine.position}/{entry.position}", f"{name}: {words.record_words(entry)}", record)
            )
        body: Resource = {
            "status": medicine_status(medicine),
            "category": {"coding": [codes.DISCHARGE]},
            **{name: member for name, member in medicine.resource.items() if name not in ("status", "category")},
            "subject": self.subject,
            "derivedFrom": derived,
        }
        if medicine.stated:
            body |= {"dateAsserted": medicine.stated.said_at, "informationSource": self.reference("stated-by", medicine.stated.id)}
        if medicine.next_due:
            first, *others = parts(medicine.resource, "dosage") or [{}]
            due = {"coding": [codes.NEXT_DUE], "text": medicine.next_due}
            body["dosage"] = [{**first, "additionalInstruction": [*parts(first, "additionalInstruction"), due]}, *others]
        return self.add("MedicationStatement", "medicine", medicine.position, words.medicine_words(medicine), body)

    def _letter(self, letter: Letter) -> Reference:
        digest = letter_digest(letter)
        body: Resource = {
            "masterIdentifier": {"system": codes.DIGEST, "value": digest},
            "identifier": _valued(codes.DOCUMENT_NUMBER, letter.document_id),
            "status": "current",
            "docStatus": "final",
            "type": {"coding": [codes.DOCUMENT_TYPE[0]], "text": letter.title},
            "subject": self.subject,
            # DocumentReference.date is an instant: only a full time with its zone can stand there.
            "date": next((at for at in (letter.signed_at, letter.written_at) if re.search(r"T.*(Z|[+-]\d\d:\d\d)$", at)), ""),
            "author": [{"display": letter.author}],
            "authenticator": {"display": letter.signed_by},
            "content": [{"attachment": {"contentType": letter.media_type, "size": len(letter.content), "title": letter.title}}],
        }
        position = f"{letter.document_id or digest}/{letter.position}"
        return self.add("DocumentReference", "letter", position, words.letter_words(letter), body)
