"""PV1, PV2, AL1, IAM, DG1, PR1 → Encounter and clinical entries. Rows of the HL7 v2-to-FHIR guide; UK rules are marked."""

from adapters.common import THO, UK_CORE, only, put, put_moment, read_time
from adapters.hl7v2.events import EVENTS
from adapters.hl7v2.reader import Cell, Message, Segment, table
from adapters.hl7v2.types import concept, national_concept, notes, practitioner, take_expected, take_moment
from exchange.fhir.draft import Entry, ReadingProfile, Resource, Sign
from exchange.fhir.shape import parts

_ACT_CODE = f"{THO}v3-ActCode"
_ACT_DISPLAY = {"IMP": "inpatient encounter", "EMER": "emergency", "AMB": "ambulatory", "PRENC": "pre-admission"}
_CLINICIANS = {7: "consultant", 8: "referrer", 9: "consulting", 17: "admitter"}
# What `""` in a whole field clears (HL7 v2 2.5.3): a member of the Encounter, or one inside `period` or `hospitalization`; and which
# list of entries.
_DELETABLE = (
    ("PV1", 4, "hospitalization.extension"), ("PV1", 10, "serviceType"), ("PV1", 14, "hospitalization.admitSource"),
    ("PV1", 44, "period.start"), ("PV1", 45, "period.end"), ("PV2", 3, "reasonCode"),
)  # fmt: skip
_LISTS = (
    ("AL1", 3, "allergy"), ("IAM", 3, "allergy"), ("DG1", 3, "diagnosis"), ("PR1", 3, "procedure"), ("PD1", 3, "gp-practice"),
    ("PD1", 4, "gp"), ("PV1", 3, "ward"), *(("PV1", field, role) for field, role in _CLINICIANS.items()),
)  # fmt: skip
# IAM-6 (v2-0323, v2-0206): single changes; anything else, or nothing, is a line of the whole list.
_ALLERGY_CHANGES = {"A": "allergy-added", "U": "allergy-added", "D": "allergy-removed"}


class Stay:
    """What EVN, PV1 and PV2 say, read once: the Encounter and the facts that a Draft names on its own."""

    def __init__(self, message: Message, profile: ReadingProfile) -> None:
        self.message = message
        self.pv1 = message.first("PV1")
        self.pv2 = message.first("PV2")
        self.profile = profile
        self.signs: list[Sign] = []
        self.has_died = False
        self.expected: str | None = ""
        self.left_at: str | None = ""
        self.visit_id = ""
        use = EVENTS.get(message.event)
        # A28, A31 and A40 have a PV1 (class N) for the structure's sake; A60 may name a stay.
        self.is_about_person = bool(use and use.about == "person") and not (message.event == "ADT^A60" and self.pv1.value(19))
        made = {} if self.is_about_person else self._encounter(use.status if use else "")
        self.encounter = made if message.all("PV1") or made.keys() - {"resourceType", "status"} else {}

    def _encounter(self, status: str) -> Resource:
        """Row PV1 → Encounter. Status by the event, else finished by PV1-45; without either the class speaks at the merge."""
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
        put(made, "status", status or ("finished" if ended else ""))
        put(made, "serviceType", concept(pv1.cell(10), "Encounter.serviceType"))
        reason = concept(pv2.cell(3), "Encounter.reasonCode")
        put(made, "reasonCode", [reason] if reason else [])
        period: Resource = {}
        put_moment(period, "start", take_moment(pv1.cell(44), "Encounter.period.start", zone))
        put_moment(period, "end", ended)
        self._leaving_times(ended.text if ended else "")
        stay: Resource = {}
        method = national_concept(pv1.cell(4), "Encounter.hospitalization.extension.valueCodeableConcept", "AdmissionMethod", country)
        put(stay, "extension", [{"url": f"{UK_CORE}AdmissionMethod", "valueCodeableConcept": method}] if method else [])
        put(stay, "admitSource", national_concept(pv1.cell(14), "Encounter.hospitalization.admitSource", "SourceOfAdmission", country))
        within = {"period": period, "hospitalization": stay}
        for field, meaning in ((36, self.profile.pv1_36), (37, self.profile.pv1_37)):
            self._leaving(pv1.cell(field), meaning, made, stay)
            if meaning and pv1.deletes(field):
                (made if meaning == "method" else stay)["extension" if meaning == "method" else "dischargeDisposition"] = None
        for name, field, member in _DELETABLE:
            if self.message.first(name).deletes(field):
                outer, _, inner = member.partition(".")
                (within[outer] if inner else made)[inner or outer] = None
        return made | only(**within)

    def _leaving_times(self, ended: str) -> None:
        """PV1-45 (A03: else EVN-6) is when the person left, PV2-9 (A16: else EVN-3) the expected day; `""` and A25 take it back."""
        event, evn, zone = self.message.event, self.message.first("EVN"), self.profile.zone
        happened = read_time(evn.value(6), zone) if event == "ADT^A03" else None
        self.left_at = ended or (happened.text if happened else None if self.pv1.deletes(45) else "")
        planned = "Encounter.extension.valueDateTime"
        if event == "ADT^A25":
            self.expected = None
            return
        self.expected = take_expected(self.pv2.cell(9), planned, zone)
        if event == "ADT^A16" and not self.expected:
            self.expected = take_expected(evn.cell(3), planned, zone)
        if self.pv2.deletes(9):
            self.expected = None

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
        """Row PV1-3 → Location (PL: ward, room, bed; the trust as assigner); PV1-7, 8, 9, 17 → Practitioner."""
        if not self.encounter:
            return []
        entries: list[Entry] = []
        cell = self.pv1.cell(3)
        if ward := cell.take("Location.identifier.value", 1, 1):
            code: Resource = {"value": ward}
            if owner := cell.take("Location.identifier.assigner.display", 4, 1):
                code["assigner"] = {"display": owner}
            place: Resource = {"resourceType": "Location", "status": "active", "identifier": [code]}
            place["name"] = cell.take("Location.name", 9) or ward
            spots = [f"{word} {text}" for word, part in (("room", 2), ("bed", 3)) if (text := cell.take("Location.description", part, 1))]
            put(place, "description", ", ".join(spots))
            place["physicalType"] = {"coding": [{"system": f"{THO}location-physical-type", "code": "wa", "display": "Ward"}]}
            entries.append(Entry("ward", cell.position, place))
        for field, role in _CLINICIANS.items():
            for person in self.pv1.cells(field):
                if found := practitioner(person, "Practitioner"):
                    entries.append(Entry(role, person.position, found))
        return entries


def clinical(message: Message, zone: str) -> list[Entry]:
    """Allergies, diagnoses and procedures in the order sent. A segment that only deletes gives none."""
    entries: list[Entry] = []
    kinds = (("AL1", "allergy", _allergy), ("IAM", "allergy", _allergy), ("DG1", "diagnosis", _diagnosis), ("PR1", "procedure", _procedure))
    for name, role, make in kinds:
        for segment in message.all(name):
            if resource := make(segment, zone):
                put(resource, "note", [*parts(resource, "note"), *notes(segment, f"{resource['resourceType']}.note")])
                change = _ALLERGY_CHANGES.get(segment.value(6).upper(), role) if name == "IAM" else role
                if change != role:
                    segment.cell(6).claim("AllergyIntolerance.clinicalStatus")
                entries.append(Entry(change, segment.label, resource))
    return entries


def cleared(message: Message) -> tuple[str, ...]:
    """The roles whose whole list the message empties: `""` in the field that names them, in every such segment."""
    lists = ((message.all(name), field, role) for name, field, role in _LISTS)
    return tuple(dict.fromkeys(role for found, field, role in lists if found and all(segment.deletes(field) for segment in found)))


def _status(system: str, code: str) -> Resource:
    return {"coding": [{"system": THO + system, "code": code}]}


def _words(segment: Segment, field: int, fallback: int, path: str) -> Resource:
    """The coded field with its words; a description in the old field of its own (DG1-4, PR1-4) when the coded one has none."""
    made = concept(segment.cell(field), path)
    described = segment.value(fallback) if fallback else ""
    if described and "text" not in made:
        made["text"] = segment.take(f"{path}.text", fallback)
    return made


def _allergy(segment: Segment, zone: str) -> Resource:
    """Rows AL1, IAM → AllergyIntolerance: active; verification by IAM-17, else unconfirmed (our decision). A severity without a row or
    a reaction is a note."""
    code = _words(segment, 3, 0, "AllergyIntolerance.code")
    if not code:
        return {}
    is_iam = segment.name == "IAM"
    made: Resource = {"resourceType": "AllergyIntolerance"}
    said = segment.value(17).upper() if is_iam else ""
    verified = table("allergy_verification").get(said, "")
    if verified:
        segment.cell(17).claim("AllergyIntolerance.verificationStatus")
    if verified != "entered-in-error":  # FHIR ait-2
        made["clinicalStatus"] = _status("allergyintolerance-clinical", "inactive" if said == "I" else "active")
    made["verificationStatus"] = _status("allergyintolerance-verification", verified or "unconfirmed")
    if is_iam and (number := segment.take("AllergyIntolerance.identifier.value", 7)):
        owner = segment.take("AllergyIntolerance.identifier.assigner.display", 7, 2)
        made["identifier"] = [only(value=number, assigner=only(display=owner))]
    kind = segment.value(2).upper()
    if kind in table("allergy_category"):
        made |= {"type": "allergy", "category": [table("allergy_category")[kind]]}
        segment.cell(2).claim("AllergyIntolerance.category")
    weight = segment.value(4).upper()
    put(made, "criticality", table("allergy_criticality").get(weight, ""))
    made["code"] = code
    put_moment(made, "onsetDateTime", take_moment(segment.cell(11 if is_iam else 6), "AllergyIntolerance.onsetDateTime", zone))
    if is_iam:
        put_moment(made, "recordedDate", take_moment(segment.cell(13), "AllergyIntolerance.recordedDate", zone))
    severity = table("allergy_severity").get(weight, "")
    reactions: list[Resource] = []
    for cell in segment.cells(5):
        if text := cell.take("AllergyIntolerance.reaction.manifestation.text"):
            reactions.append({"manifestation": [{"text": text}]} | only(severity=severity))
    if severity and reactions:
        segment.cell(4).claim("AllergyIntolerance.reaction.severity")
    elif weight and (words := segment.take("AllergyIntolerance.note.text", 4, 2) or segment.take("AllergyIntolerance.note.text", 4)):
        made["note"] = [{"text": f"Severity as sent: {words}"}]
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
