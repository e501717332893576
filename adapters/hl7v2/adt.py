"""PV1, PV2, AL1, DG1, PR1 → Encounter and clinical entries. Rows of the HL7 v2-to-FHIR guide; UK rules are marked."""

from collections.abc import Mapping

from adapters.hl7v2.reader import Cell, Message, Segment
from adapters.hl7v2.tables import table
from adapters.hl7v2.types import THO, UK_CORE, concept, national_concept, practitioner, put, put_moment, take_expected, take_moment
from exchange.fhir.draft import Entry, ReadingProfile, Resource, Sign

_ACT_CODE = f"{THO}v3-ActCode"
_ACT_DISPLAY = {"IMP": "inpatient encounter", "EMER": "emergency", "AMB": "ambulatory", "PRENC": "pre-admission"}
# Events about a person, whose PV1 (class N) is there for the structure's sake.
PERSON_EVENTS = frozenset(("A28", "A31"))


class Stay:
    """What PV1 and PV2 say, read once: the Encounter and the facts that a Draft names on its own."""

    def __init__(self, message: Message, profile: ReadingProfile) -> None:
        self.pv1 = message.first("PV1")
        self.pv2 = message.first("PV2")
        self.profile = profile
        self.signs: list[Sign] = []
        self.has_died = False
        self.expected = ""
        self.left_at = ""
        self.visit_id = ""
        trigger = message.event.partition("^")[2]
        self.encounter = {} if trigger in PERSON_EVENTS else self._encounter(trigger)

    def _encounter(self, trigger: str) -> Resource:
        """Row PV1 → Encounter. Status by the event and by PV1-45."""
        pv1, pv2, zone, country = self.pv1, self.pv2, self.profile.zone, self.profile.country
        made: Resource = {"resourceType": "Encounter"}
        self.visit_id = pv1.take("Encounter.identifier.value", 19)
        visit_type = {"coding": [{"system": f"{THO}v2-0203", "code": "VN"}]}
        put(made, "identifier", [{"type": visit_type, "value": self.visit_id}] if self.visit_id else [])
        ended = take_moment(pv1.cell(45), "Encounter.period.end", zone)
        kind = table("encounter_class").get(pv1.value(2).upper(), "")
        if kind:
            pv1.cell(2).claim("Encounter.class.code")
            made["class"] = {"system": _ACT_CODE, "code": kind, "display": _ACT_DISPLAY[kind]}
        made["status"] = (
            "cancelled" if trigger == "A11" else "in-progress" if trigger == "A13" or not (ended or trigger == "A03") else "finished"
        )
        service = concept(pv1.cell(10), "Encounter.serviceType")
        put(made, "serviceType", service)
        reason = concept(pv2.cell(3), "Encounter.reasonCode")
        put(made, "reasonCode", [reason] if reason else [])
        period: Resource = {}
        put_moment(period, "start", take_moment(pv1.cell(44), "Encounter.period.start", zone))
        put_moment(period, "end", ended)
        put(made, "period", period)
        self.left_at = ended.text if ended else ""
        self.expected = take_expected(pv2.cell(9), "Encounter.extension.valueDateTime", zone)
        stay: Resource = {}
        method = national_concept(pv1.cell(4), "Encounter.hospitalization.extension.valueCodeableConcept", "AdmissionMethod", country)
        put(stay, "extension", [{"url": f"{UK_CORE}AdmissionMethod", "valueCodeableConcept": method}] if method else [])
        put(stay, "admitSource", national_concept(pv1.cell(14), "Encounter.hospitalization.admitSource", "SourceOfAdmission", country))
        for field, meaning in ((36, self.profile.pv1_36), (37, self.profile.pv1_37)):
            self._leaving(pv1.cell(field), meaning, made, stay)
        put(made, "hospitalization", stay)
        return made if len(made) > 2 else {}

    def _leaving(self, cell: Cell, meaning: str, made: Resource, stay: Resource) -> None:
        """PV1-36 and PV1-37 mean what the sender's profile says, and nothing follows from code 19 (practice.md 5)."""
        code, country = cell.value(), self.profile.country
        if not code:
            return
        if not meaning:
            cell.refuse("this sender does not use the field")
        elif meaning == "method":
            method = national_concept(cell, "Encounter.extension.valueCodeableConcept", "DischargeMethod", country)
            made["extension"] = [{"url": f"{UK_CORE}DischargeMethod", "valueCodeableConcept": method}]
            self.has_died |= code in ("4", "5")
        elif code in self.profile.aliases:
            self.signs.append(Sign("local_home_code", code, cell.position))
            cell.refuse("local code of a home: read for the receiving site")
        else:
            stay["dischargeDisposition"] = national_concept(
                cell, "Encounter.hospitalization.dischargeDisposition", "DischargeDestination", country
            )
            self.has_died |= code == "79"
            if code in self.profile.home_destinations:
                self.signs.append(Sign("destination_code", code, cell.position))

    def entries(self) -> list[Entry]:
        """Row PV1-3 → Location (PL: ward, room, bed; the trust as assigner), PV1-7 → Practitioner."""
        entries: list[Entry] = []
        cell = self.pv1.cell(3)
        if self.encounter and (ward := cell.take("Location.identifier.value", 1, 1)):
            code: Resource = {"value": ward}
            if owner := cell.take("Location.identifier.assigner.display", 4, 1):
                code["assigner"] = {"display": owner}
            place: Resource = {"resourceType": "Location", "status": "active", "identifier": [code]}
            place["name"] = cell.take("Location.name", 9) or ward
            parts = [f"{word} {text}" for word, part in (("room", 2), ("bed", 3)) if (text := cell.take("Location.description", part, 1))]
            put(place, "description", ", ".join(parts))
            place["physicalType"] = {"coding": [{"system": f"{THO}location-physical-type", "code": "wa", "display": "Ward"}]}
            entries.append(Entry("ward", cell.position, place))
        for person in self.pv1.cells(7) if self.encounter else ():
            if found := practitioner(person, "Practitioner"):
                entries.append(Entry("consultant", person.position, found))
        return entries


def clinical(message: Message, zone: str) -> list[Entry]:
    """Allergies, diagnoses and procedures in the order sent. A segment that only deletes gives none."""
    entries: list[Entry] = []
    for name, role, make in (("AL1", "allergy", _allergy), ("DG1", "diagnosis", _diagnosis), ("PR1", "procedure", _procedure)):
        for segment in message.all(name):
            if resource := make(segment, zone):
                entries.append(Entry(role, segment.label, resource))
    return entries


def counts(message: Message) -> Mapping[str, int]:
    """How many the source has: segments with a code or words, whatever the mapping made of them."""
    kinds = (("AL1", "allergies", (3,)), ("DG1", "diagnoses", (3, 4)), ("PR1", "procedures", (3, 4)))
    return {
        kind: sum(1 for segment in message.all(name) if any(segment.cells(field) for field in fields)) for name, kind, fields in kinds
    } | {"medicines": 0}


def _status(system: str, code: str) -> Resource:
    return {"coding": [{"system": THO + system, "code": code}]}


def _words(segment: Segment, field: int, fallback: int, path: str) -> Resource:
    """The coded field with its words; a description in the old field of its own (DG1-4, PR1-4) when the coded one has none."""
    made = concept(segment.cell(field), path)
    described = segment.value(fallback) if fallback else ""
    if described and "text" not in made:
        made["text"] = segment.take(f"{path}.text", fallback)
    return made


def _allergy(al1: Segment, zone: str) -> Resource:
    """Row AL1 → AllergyIntolerance: active, unconfirmed (our decision). A severity without a row or a reaction is a note."""
    code = _words(al1, 3, 0, "AllergyIntolerance.code")
    if not code:
        return {}
    made: Resource = {"resourceType": "AllergyIntolerance"}
    made["clinicalStatus"] = _status("allergyintolerance-clinical", "active")
    made["verificationStatus"] = _status("allergyintolerance-verification", "unconfirmed")
    kind = al1.value(2).upper()
    if kind in table("allergy_category"):
        made |= {"type": "allergy", "category": [table("allergy_category")[kind]]}
        al1.cell(2).claim("AllergyIntolerance.category")
    weight = al1.value(4).upper()
    put(made, "criticality", table("allergy_criticality").get(weight, ""))
    made["code"] = code
    put_moment(made, "onsetDateTime", take_moment(al1.cell(6), "AllergyIntolerance.onsetDateTime", zone))
    severity = table("allergy_severity").get(weight, "")
    reactions: list[Resource] = []
    for cell in al1.cells(5):
        if text := cell.take("AllergyIntolerance.reaction.manifestation.text"):
            reactions.append({"manifestation": [{"text": text}]} | ({"severity": severity} if severity else {}))
    if severity and reactions:
        al1.cell(4).claim("AllergyIntolerance.reaction.severity")
    elif weight and (said := al1.take("AllergyIntolerance.note.text", 4, 2) or al1.take("AllergyIntolerance.note.text", 4)):
        made["note"] = [{"text": f"Severity as sent: {said}"}]
    put(made, "reaction", reactions)
    return made


def _diagnosis(dg1: Segment, zone: str) -> Resource:
    """Row DG1 → Condition, category encounter-diagnosis; DG1-6 A as a second category (our decision), DG1-21 D is an error of entry."""
    code = _words(dg1, 3, 4, "Condition.code")
    if not code:
        return {}
    made: Resource = {"resourceType": "Condition"}
    if dg1.value(21).upper() == "D":
        made["verificationStatus"] = _status("condition-ver-status", "entered-in-error")
        dg1.cell(21).claim("Condition.verificationStatus")
    else:
        made["clinicalStatus"] = _status("condition-clinical", "active")
    categories: list[Resource] = [_status("condition-category", "encounter-diagnosis")]
    role = table("diagnosis_role").get(dg1.value(6).upper(), "")
    if role:
        categories.append(_status("diagnosis-role", role))
        dg1.cell(6).claim("Condition.category")
    made |= {"category": categories, "code": code}
    put_moment(made, "onsetDateTime", take_moment(dg1.cell(5), "Condition.onsetDateTime", zone))
    put_moment(made, "recordedDate", take_moment(dg1.cell(19), "Condition.recordedDate", zone))
    return made


def _procedure(pr1: Segment, zone: str) -> Resource:
    """Row PR1 → Procedure, completed."""
    code = _words(pr1, 3, 4, "Procedure.code")
    if not code:
        return {}
    made: Resource = {"resourceType": "Procedure", "status": "completed", "code": code}
    put_moment(made, "performedDateTime", take_moment(pr1.cell(5), "Procedure.performedDateTime", zone))
    return made
