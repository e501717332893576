"""PID, PD1, NK1 → Patient and the people and practice around it. Rows of the HL7 v2-to-FHIR guide; UK rules are marked."""

from adapters.common import LOCAL_PATIENT, UK_CORE, national, put, put_moment
from adapters.hl7v2.reader import Cell, Message, Segment, table
from adapters.hl7v2.types import (
    address,
    coded,
    human_name,
    identifier,
    is_local,
    language,
    national_concept,
    practitioner,
    take_birth_date,
    take_moment,
    telecom,
)
from exchange.fhir.codes import NHS_NUMBER, ODS_ORGANISATION
from exchange.fhir.draft import Entry, Outcome, ReadingProfile, Resource, Sign, Unreadable

# What `""` in a whole field clears: the member stands there empty, which is neither absent (says nothing) nor a value (HL7 v2 2.5.3).
_DELETABLE = {
    5: "name", 8: "gender", 11: "address", 13: "telecom", 15: "communication", 16: "maritalStatus", 22: "extension",
    29: "deceasedDateTime", 30: "deceasedBoolean",
}  # fmt: skip


def refuse_two_people(message: Message) -> None:
    """Two PID are one person only when they share an identifier and contradict each other nowhere. Raises Unreadable."""
    seen: list[tuple[set[str], set[str], str]] = []
    for pid in message.all("PID"):
        cells = pid.cells(3)
        numbers = {f"{cell.value(4, 1)}|{cell.value(1)}".replace(" ", "") for cell in cells if cell.value(1)}
        national_numbers = {
            cell.value(1).replace(" ", "") for cell in cells if cell.value(4, 1).upper() == "NHS" or cell.value(5).upper() == "NH"
        }
        seen.append((numbers, national_numbers, pid.value(7)[:8]))
    for numbers, national_numbers, born in seen[1:]:
        first, first_national, first_born = seen[0]
        conflict = (national_numbers and first_national and national_numbers != first_national) or (
            born and first_born and born != first_born
        )
        if conflict or not numbers & first:
            raise Unreadable("two_people", "The message is about two different people.", position="PID[2]")


def merged_ids(message: Message) -> tuple[str, ...]:
    """A40: the local ids of MRG-1, as `system|value`. They relink a stay here and never travel (rule merged_identities)."""
    cells = [cell for mrg in message.all("MRG") for cell in mrg.cells(1)] if message.event == "ADT^A40" else []
    return tuple(f"{LOCAL_PATIENT}|{cell.value(1)}" for cell in cells if cell.value(1) and is_local(cell))


def is_sensitive_address(message: Message) -> bool:
    """PD1-12, the protection indicator: Y means that the address must reach nobody (our decision, after FHIR-PDS-04)."""
    return any(pd1.value(12).upper() == "Y" for pd1 in message.all("PD1"))


def patient(message: Message, profile: ReadingProfile) -> Resource:
    """Row PID → Patient, with NK1 → contact. Only current names travel. A member without content is one to clear."""
    pid = message.first("PID")
    zone = profile.zone
    hidden = is_sensitive_address(message)
    made: Resource = {"resourceType": "Patient"}
    put(made, "extension", _extensions(pid, profile))
    cells = pid.cells(3) + [cell for cell in pid.cells(2) if cell.value() not in {other.value() for other in pid.cells(3)}]
    put(made, "identifier", [found for cell in cells if (found := identifier(cell, "Patient.identifier", zone))])
    _number_status(message, made, profile)
    put(made, "name", [name for cell in pid.cells(5) if _is_current(cell) and (name := human_name(cell, "Patient.name"))])
    put(made, "telecom", [] if hidden else _telecoms(pid, "Patient.telecom", {13: "home", 14: "work", 40: ""}))
    gender = table("gender").get(pid.value(8).upper(), "")
    if gender:
        pid.cell(8).claim("Patient.gender")
    put(made, "gender", gender)
    put(made, "birthDate", take_birth_date(pid.cell(7), "Patient.birthDate"))
    _deceased(pid, made, zone)
    put(made, "address", [] if hidden else [found for cell in pid.cells(11) if (found := address(cell, "Patient.address"))])
    put(made, "maritalStatus", _marital_status(pid.cell(16), profile.country))
    put(made, "contact", [found for nk1 in message.all("NK1") if (found := _contact(nk1, zone, hidden))])
    spoken = language(pid.cell(15), "Patient.communication.language")
    put(made, "communication", [{"language": spoken}] if spoken else [])
    _withhold(message, hidden)
    if hidden:  # also what other messages of this person said before
        made |= {"address": [], "telecom": []}
    for field, member in _DELETABLE.items():
        if pid.deletes(field):
            made.setdefault(member, None)
    return made if len(made) > 1 else {}


def _is_current(cell: Cell) -> bool:
    """Previous and other names are kept back (practice.md 5: disclosure)."""
    if cell.value(7).upper() not in table("previous_name"):
        return True
    cell.withhold("previous_names")
    return False


def _withhold(message: Message, hidden: bool) -> None:
    """The named rules: previous_names, merged_identities, sensitive_address (architecture decision 5, practice.md 5)."""
    fields = {4: "merged_identities", 6: "previous_names", 9: "previous_names"}
    if hidden:
        fields |= dict.fromkeys((11, 12, 13, 14, 40), "sensitive_address")
    for pid in message.all("PID"):
        for field, rule in fields.items():
            for cell in pid.cells(field):
                cell.withhold(rule)
    if hidden:
        for nk1 in message.all("NK1"):
            for cell in nk1.cells(4):
                cell.withhold("sensitive_address")
    for name in ("MRG", "PID"):
        for segment in message.all(name)[0 if name == "MRG" else 1 :]:
            segment.settle(
                Outcome.WITHHELD if name == "MRG" else Outcome.NOT_CARRIED, "merged_identities" if name == "MRG" else "repeats the person"
            )


def _extensions(pid: Segment, profile: ReadingProfile) -> list[Resource]:
    """Row PID-22 → UK Core EthnicCategory; a code that the country's table lacks is not carried."""
    found = national("EthnicCategory", profile.country)
    if not found or pid.value(22) not in found["codes"]:
        return []
    value = national_concept(pid.cell(22), "Patient.extension.valueCodeableConcept", "EthnicCategory", profile.country)
    return [{"url": f"{UK_CORE}EthnicCategory", "valueCodeableConcept": value}]


def _number_status(message: Message, made: Resource, profile: ReadingProfile) -> None:
    """UK: the field that the profile names holds the NHS number status; only codes of the national table are published."""
    name, _, number = profile.number_status_field.partition("-")
    if not number.isdecimal():
        return
    cell = message.first(name).cell(int(number))
    found = national("NHSNumberVerificationStatus", profile.country)
    identifiers = made.get("identifier")
    if not found or cell.value() not in found["codes"] or not isinstance(identifiers, list):
        return
    for one in identifiers:
        if one.get("system") == NHS_NUMBER:
            path = "Patient.identifier.extension.valueCodeableConcept"
            status = national_concept(cell, path, "NHSNumberVerificationStatus", profile.country)
            one["extension"] = [{"url": f"{UK_CORE}NHSNumberVerificationStatus", "valueCodeableConcept": status}]


def _marital_status(cell: Cell, country: str) -> Resource:
    """UK: PID-16 by the country's own table first (its P is "Separated", the international P a partner), else v2-0002."""
    found = national("PersonMaritalStatus", country)
    path = "Patient.maritalStatus"
    if found and cell.value() in found["codes"]:
        return national_concept(cell, path, "PersonMaritalStatus", country)
    return coded(cell, path, "marital_status", "v3-MaritalStatus")


def _deceased(pid: Segment, made: Resource, zone: str) -> None:
    """Rows PID-29, PID-30 → deceasedDateTime, else deceasedBoolean; the one clears the other that an earlier message gave."""
    died = take_moment(pid.cell(29), "Patient.deceasedDateTime", zone)
    indicator = pid.value(30).upper()
    if died:
        put_moment(made, "deceasedDateTime", died)
        made["deceasedBoolean"] = None
        pid.cell(30).claim("Patient.deceasedDateTime")
    elif indicator in ("Y", "N"):
        made |= {"deceasedBoolean": indicator == "Y", "deceasedDateTime": None}
        pid.cell(30).claim("Patient.deceasedBoolean")


def _telecoms(segment: Segment, path: str, uses: dict[int, str]) -> list[Resource]:
    return [found for field, use in uses.items() for cell in segment.cells(field) if (found := telecom(cell, path, use))]


def _contact(nk1: Segment, zone: str, hidden: bool) -> Resource:
    """Row NK1 → Patient.contact: 2 name, 3 relationship, 4 address, 5 and 6 telecom, 7 role, 8 and 9 period, 15 gender."""
    made: Resource = {}
    put(made, "name", human_name(nk1.cell(2), "Patient.contact.name"))
    put(made, "telecom", _telecoms(nk1, "Patient.contact.telecom", {5: "home", 6: "work"}))
    put(made, "address", {} if hidden else address(nk1.cell(4), "Patient.contact.address"))
    if not made:  # FHIR pat-1: a relationship alone is no contact
        return made
    relations = [
        coded(nk1.cell(3), "Patient.contact.relationship", "relationship", "v3-RoleCode"),
        coded(nk1.cell(7), "Patient.contact.relationship", "contact_role", "v2-0131"),
    ]
    put(made, "relationship", [relation for relation in relations if relation])
    gender = table("gender").get(nk1.value(15).upper(), "")
    if gender:
        nk1.cell(15).claim("Patient.contact.gender")
    put(made, "gender", gender)
    period: Resource = {}
    put_moment(period, "start", take_moment(nk1.cell(8), "Patient.contact.period.start", zone))
    put_moment(period, "end", take_moment(nk1.cell(9), "Patient.contact.period.end", zone))
    put(made, "period", period)
    return made


def general_practice(message: Message) -> list[Entry]:
    """Rows PD1-3 → Organization (ODS code in XON-3, UK usage; XON-10 in newer versions), PD1-4 → Practitioner."""
    pd1 = message.first("PD1")
    entries = []
    cell = pd1.cell(3)
    name, code = (
        cell.take("Organization.name"),
        cell.take("Organization.identifier.value", 3) or cell.take("Organization.identifier.value", 10),
    )
    if name or code:
        surgery: Resource = {"resourceType": "Organization"}
        put(surgery, "identifier", [{"system": ODS_ORGANISATION, "value": code}] if code else [])
        put(surgery, "name", name)
        entries.append(Entry("gp-practice", cell.position, surgery))
    if doctor := practitioner(pd1.cell(4), "Practitioner"):
        entries.append(Entry("gp", pd1.cell(4).position, doctor))
    return entries


def address_signs(message: Message) -> list[Sign]:
    """Each current home address, for the directory to compare; an address that must not leak is no sign."""
    if is_sensitive_address(message):
        return []
    signs = []
    for cell in message.first("PID").cells(11):
        if cell.value(7).upper() in ("", "H", "C", "P", "L"):
            words = [text for part in (1, 2, 3, 4, 5) if (text := cell.value(part))]
            signs += [Sign("address", ", ".join(words), cell.position)] if words else []
    return signs
