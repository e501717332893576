"""The header of a ClinicalDocument: person, stay, people and the letter. Rows of standards 5.2 (NHS CDA) and 5.3 (C-CDA)."""

import re
from typing import NamedTuple

from adapters.cda.source import TEXT, Claim, Node
from adapters.cda.types import (
    address,
    concept,
    full_id,
    human_name,
    identifier,
    is_previous,
    national_code,
    practitioner,
    table,
    take_date,
    take_moment,
    telecom,
)
from adapters.common import THO, UK_CORE, display_name, national, put, put_moment
from exchange.fhir.codes import NHS_NUMBER
from exchange.fhir.draft import Entry, LetterStatus, Outcome, ReadingProfile, Resource, Sign, Unreadable
from exchange.fhir.shape import instant_key

_VERIFIED = "2.16.840.1.113883.2.1.4.1"
_GP_PRACTICE = "001"
_NULLIFICATION = "POCD_MT130001UK05"
_TAG = re.compile(r"[a-z]{2}(?:-[A-Z]{2})?", re.ASCII)


class Header(NamedTuple):
    """What `read` takes from the header beside the person: how to call the document, and its letter's facts."""

    message_type: str
    title: str
    document_id: str
    replaces: str
    status: LetterStatus
    author: str
    signed_by: str
    signed_at: str
    written_at: str
    effective: str


def only_person(document: Node) -> Node:
    """The one patientRole. Raises Unreadable when the document is about nobody, or about two."""
    roles = document.all("recordTarget", "patientRole")
    if not roles:
        raise Unreadable("cda_no_patient", "The document names no person (recordTarget).")
    if len(roles) > 1:
        raise Unreadable("two_people", "The document is about two people.", position=roles[1].position)
    return roles[0]


def message_type(document: Node) -> str:
    """The NHS message type (`POCD_MT…`); "" for a document that is not of NHS CDA."""
    return document.first("messageType").value("extension")


def is_masked(role: Node) -> bool:
    """An address that the sender masks must reach nobody."""
    return any(node.attrs.get("nullFlavor") == "MSK" for node in role.all("addr"))


def patient(role: Node, document: Node, profile: ReadingProfile) -> Resource:
    """Row recordTarget → Patient. Only current names travel; a masked address takes all addresses and numbers with it."""
    person, hidden = role.first("patient"), is_masked(role)
    made: Resource = {"resourceType": "Patient"}
    put(made, "identifier", _numbers(role, document, profile))
    names = []
    for node in person.all("name"):
        if is_previous(node):
            node.settle(Claim(Outcome.WITHHELD, reason="previous_names"))
        elif name := human_name(node, "Patient.name"):
            names.append(name)
    put(made, "name", names)
    if hidden:
        for node in (*role.all("addr"), *role.all("telecom")):
            node.settle(Claim(Outcome.WITHHELD, reason="sensitive_address"))
        made |= {"address": [], "telecom": []}
    else:
        put(made, "telecom", [found for node in role.all("telecom") if (found := telecom(node, "Patient.telecom"))])
        put(made, "address", [found for node in role.all("addr") if (found := address(node, "Patient.address"))])
    gender = person.first("administrativeGenderCode")
    if code := table("gender").get(gender.value("code"), ""):
        gender.claim("Patient.gender", "code")
        made["gender"] = code
    put(made, "birthDate", take_date(person.first("birthTime"), "Patient.birthDate"))
    _deceased(person, made, profile.zone)
    put(made, "maritalStatus", concept(person.first("maritalStatusCode"), "Patient.maritalStatus"))
    put(made, "contact", _contacts(person, document, hidden))
    put(made, "communication", [found for node in person.all("languageCommunication") if (found := _language(node))])
    return made if len(made) > 1 else {}


def _numbers(role: Node, document: Node, profile: ReadingProfile) -> list[Resource]:
    """In NHS CDA the OID says whether the NHS number was traced; elsewhere nothing is known of it."""
    found = []
    for node in role.all("id"):
        if number := identifier(node, "Patient.identifier"):
            statuses = national("NHSNumberVerificationStatus", profile.country)
            if number["system"] == NHS_NUMBER and node.value("root") == _VERIFIED and message_type(document) and statuses:
                coding = {"system": statuses["system"], "code": "01", "display": statuses["codes"]["01"]}
                number["extension"] = [{"url": f"{UK_CORE}NHSNumberVerificationStatus", "valueCodeableConcept": {"coding": [coding]}}]
            found.append(number)
    return found


def _deceased(person: Node, made: Resource, zone: str) -> None:
    died = take_moment(person.first("deceasedTime"), "Patient.deceasedDateTime", zone)
    said = person.first("deceasedInd").take("Patient.deceasedBoolean")
    if died:
        put_moment(made, "deceasedDateTime", died)
    elif said in ("true", "false"):
        made["deceasedBoolean"] = said == "true"


def _language(node: Node) -> Resource:
    """A tag of BCP 47 alone: FHIR takes nothing else."""
    code = node.first("languageCode")
    if not _TAG.fullmatch(code.value("code")):
        return {}
    tag = code.take("Patient.communication.language", "code")
    made: Resource = {"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": tag}]}}
    preferred = node.first("preferenceInd").take("Patient.communication.preferred")
    return {**made, "preferred": preferred == "true"} if preferred in ("true", "false") else made


def _contacts(person: Node, document: Node, hidden: bool) -> list[Resource]:
    """Rows guardian, participant → Patient.contact."""
    found = [(node, node.first("guardianPerson")) for node in person.all("guardian")]
    for participant in document.all("participant"):
        entity = participant.first("associatedEntity")
        if entity.value("classCode") in ("NOK", "ECON", "CAREGIVER", "PRS", "AGNT", "GUARD"):
            found.append((entity, entity.first("associatedPerson")))
    contacts = []
    for node, human in found:
        made: Resource = {}
        put(made, "name", human_name(human.first("name"), "Patient.contact.name"))
        put(made, "telecom", [one for each in node.all("telecom") if (one := telecom(each, "Patient.contact.telecom"))])
        put(made, "address", {} if hidden else address(node.first("addr"), "Patient.contact.address"))
        relationship = concept(node.first("code"), "Patient.contact.relationship") if made else {}
        put(made, "relationship", [relationship] if relationship else [])
        contacts.append(made)
    return [made for made in contacts if made]


class Stay:
    """What encompassingEncounter says, read once: the Encounter and the facts that a Draft names on its own."""

    def __init__(self, document: Node, effective: str, profile: ReadingProfile) -> None:
        self.node = document.first("componentOf", "encompassingEncounter")
        self.profile = profile
        self.visit_id = self.expected = self.left_at = ""
        self.encounter = self._encounter(effective) if self.node else {}

    def _encounter(self, effective: str) -> Resource:
        node, zone = self.node, self.profile.zone
        made: Resource = {"resourceType": "Encounter"}
        number = next((each for each in node.all("id") if each.value("extension")), node.first("id"))
        self.visit_id = full_id(number)
        if self.visit_id:
            number.claim("Encounter.identifier.value", "extension" if number.value("extension") else "root")
            made["identifier"] = [{"type": {"coding": [{"system": f"{THO}v2-0203", "code": "VN"}]}, "value": self.visit_id}]
        time = node.first("effectiveTime")
        started = take_moment(time.first("low"), "Encounter.period.start", zone) or take_moment(time, "Encounter.period.start", zone)
        ended = take_moment(time.first("high"), "Encounter.period.end", zone)
        is_ahead = bool(ended and effective and instant_key(ended.text[: len(effective)]) > instant_key(effective[: len(ended.text)]))
        if is_ahead and ended:
            self.expected, ended = ended.text, None
        made["status"] = "finished" if ended else "in-progress"
        kind = node.first("code")
        if kind.value("code") in table("encounter_class"):
            kind.claim("Encounter.class.code", "code", "codeSystem", "displayName")
            code = kind.value("code")
            made["class"] = {"system": f"{THO}v3-ActCode", "code": code, "display": table("encounter_class")[code]}
        elif found := concept(kind, "Encounter.type"):
            made["type"] = [found]
        period: Resource = {}
        put_moment(period, "start", started)
        put_moment(period, "end", ended)
        put(made, "period", period)
        self.left_at = ended.text if ended else ""
        put(made, "serviceType", concept(node.first("location", "healthCareFacility", "code"), "Encounter.serviceType"))
        leaving = national_code(node.first("dischargeDispositionCode"), "Encounter.hospitalization.dischargeDisposition")
        put(made, "hospitalization", {"dischargeDisposition": leaving} if leaving else {})
        return made

    def add_admission(self, node: Node) -> None:
        """Coded entries of an NHS admission: method, source, and the estimated day of leaving (row 5.2)."""
        if not self.encounter:
            self.encounter = {"resourceType": "Encounter", "status": "in-progress"}
        stay = self.encounter.setdefault("hospitalization", {})
        assert isinstance(stay, dict)
        for each in node.descendants():
            if each.name != "code":
                continue
            kind = table("national").get(each.value("codeSystem"), "")
            if kind == "AdmissionMethod":
                method = national_code(each, "Encounter.hospitalization.extension.valueCodeableConcept")
                stay["extension"] = [{"url": f"{UK_CORE}AdmissionMethod", "valueCodeableConcept": method}]
            elif kind == "SourceOfAdmission":
                stay["admitSource"] = national_code(each, "Encounter.hospitalization.admitSource")
        for observation in node.all("entryRelationship", "observation"):
            if observation.first("code").value("code") == "EDD":
                moment = take_moment(observation.first("value"), "Encounter.extension.valueDateTime", self.profile.zone)
                self.expected = moment.text if moment else self.expected
        if not stay:
            del self.encounter["hospitalization"]

    def entries(self) -> list[Entry]:
        """Ward, responsible clinician and other participants of the stay."""
        found: list[Entry] = []
        facility = self.node.first("location", "healthCareFacility")
        name = facility.first("location", "name").take("Location.name", TEXT)
        if name:
            ward: Resource = {"resourceType": "Location", "status": "active", "name": name}
            put(ward, "identifier", [number for each in facility.all("id") if (number := identifier(each, "Location.identifier"))])
            found.append(Entry("ward", facility.position, ward))
        people = [("consultant", node) for node in self.node.all("responsibleParty")]
        people += [(table("participant").get(node.value("typeCode"), ""), node) for node in self.node.all("encounterParticipant")]
        for role, node in people:
            if role and (person := practitioner(node.first("assignedEntity"), "Practitioner")):
                found.append(Entry(role, node.position, person))
        return found


def general_practice(role: Node, document: Node) -> list[Entry]:
    """In NHS CDA providerOrganization is the GP practice; in C-CDA it is the hospital, and a performer of function PCP the GP."""
    found = []
    practice = role.first("providerOrganization")
    is_practice = bool(message_type(document)) or practice.first("standardIndustryClassCode").value("code") == _GP_PRACTICE
    if practice and is_practice:
        made: Resource = {"resourceType": "Organization"}
        put(made, "identifier", [number for each in practice.all("id") if (number := identifier(each, "Organization.identifier"))])
        put(made, "name", practice.first("name").take("Organization.name", TEXT))
        put(made, "telecom", [one for each in practice.all("telecom") if (one := telecom(each, "Organization.telecom"))])
        put(made, "address", [one for each in practice.all("addr") if (one := address(each, "Organization.address"))])
        if len(made) > 1:
            found.append(Entry("gp-practice", practice.position, made))
    for performer in document.all("documentationOf", "serviceEvent", "performer"):
        is_gp = performer.first("functionCode").value("code") in ("PCP", "PP") and performer.value("typeCode") == "PRF"
        if is_gp and (doctor := practitioner(performer.first("assignedEntity"), "Practitioner")):
            performer.first("functionCode").claim("Practitioner", "code")
            found.append(Entry("gp", performer.position, doctor))
    return found[:2]


def address_signs(role: Node) -> list[Sign]:
    """Each current home address, for the directory to compare; a masked one is no sign."""
    if is_masked(role):
        return []
    found = []
    for node in role.all("addr"):
        words = ", ".join(text for part in node.children if (text := part.value(TEXT)))
        if words and node.value("use").upper() in ("", "H", "HP", "PHYS"):
            found.append(Sign("address", words, node.position))
    return found


def header(document: Node, profile: ReadingProfile) -> Header:
    """Title, numbers, authors and signature. A setId is the number that all versions share, and so the letter's; a nullification cancels.

    A document that is only meant to be signed (signatureCode I or X) is a draft; one without a signature was released by its sender.
    """
    zone, kind = profile.zone, message_type(document)
    time = take_moment(document.first("effectiveTime"), "DocumentReference.date", zone)
    effective = time.text if time else ""
    own = next((node for name in ("setId", "id") if full_id(node := document.first(name))), document.first("id"))
    document_id = _number(own, "DocumentReference.identifier.value")
    replaced = next((node for node in document.all("relatedDocument") if node.value("typeCode") == "RPLC"), None)
    parent = replaced.first("parentDocument") if replaced else None
    replaces = ""
    if parent:
        before = next((node for name in ("setId", "id") if full_id(node := parent.first(name))), parent.first("id"))
        replaces = _number(before, "DocumentReference.relatesTo.target")
    legal = document.first("legalAuthenticator")
    unsigned = legal.first("signatureCode").take("DocumentReference.docStatus", "code") in ("I", "X")
    signature = take_moment(legal.first("time"), "DocumentReference.authenticator", zone)
    author = next((node for node in document.all("author") if _person(node, "")), document.first("author"))
    written = take_moment(author.first("time"), "DocumentReference.date", zone)
    is_signed = bool(legal) and not unsigned
    return Header(
        message_type=kind,
        title=document.first("title").take("DocumentReference.type.text", TEXT)
        or document.first("code").take("DocumentReference.type.text", "displayName")
        or "Letter",
        document_id=document_id,
        replaces=replaces,
        status=LetterStatus.CANCELLED if kind == _NULLIFICATION else LetterStatus.DRAFT if unsigned else LetterStatus.FINAL,
        author=_person(author, "DocumentReference.author"),
        signed_by=_person(legal, "DocumentReference.authenticator") if is_signed else "",
        signed_at=signature.text if signature and is_signed else "",
        written_at=written.text if written else effective,
        effective=effective,
    )


def _number(node: Node, path: str) -> str:
    node.claim(path, "extension" if node.value("extension") else "root")
    return full_id(node)


def _person(node: Node, path: str) -> str:
    """The name of an author or authenticator, else of the organisation that it speaks for."""
    entity = node.first("assignedAuthor") or node.first("assignedEntity")
    name = entity.first("assignedPerson", "name")
    if path:
        made = human_name(name, path)
        return display_name(made) or str(made.get("text", "")) or entity.first("representedOrganization", "name").take(path, TEXT)
    return name.value("family") or " ".join(part.value(TEXT) for part in name.children) or name.value(TEXT)


def custodian(document: Node) -> str:
    """The sender as the document names it, for the record: its code, else its name."""
    organisation = document.first("custodian", "assignedCustodian", "representedCustodianOrganization")
    return organisation.first("id").value("extension") or organisation.first("name").value(TEXT)
