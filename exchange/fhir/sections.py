"""The narrative of every section: what a person reads when only the text is shown. Single resources' words are in words.py.

Five answers, five looks (pages.md 1): a value; "None known" with who and when; "Not recorded"; "Not known yet"; and what this hospital
does not send.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from exchange.fhir import codes
from exchange.fhir.content import Content, Medicine, Statement
from exchange.fhir.narrative import Xhtml, bullets, facts, heading, paragraph, table
from exchange.fhir.shape import concept_text, joined, part, parts, spoken, text
from exchange.fhir.stated import NURSING_LABELS
from exchange.fhir.words import (
    address_words,
    allergy_words,
    clinical_words,
    codes_in_words,
    directions,
    letter_people,
    letter_words,
    medicine_name,
    none_known,
    organisation_words,
    person_name,
    person_words,
    said_by,
    why,
)  # fmt: skip

YES_NO = {True: "yes", False: "no", None: codes.NOT_RECORDED}
INFECTION = {"none known": "None known", "present": "Infection that can spread", "contact": "Was in contact with an infection"}
FORM = {"yes": "The hospital says a form exists", "no": "The hospital says there is no form", "unknown": codes.NOT_KNOWN_YET}


class AlertFlag(NamedTuple):
    """One Flag: code in its system, its label, plain words, and who stated it."""

    system: str
    code: str
    label: str
    words: str
    position: str
    stated: Statement | None


def alerts(content: Content) -> list[AlertFlag]:
    """What to see first: infection, resuscitation form, then one Flag per critical class and medicine."""
    stated, said, found = content.stated, content.said, []
    if stated.infection and stated.infection.status in ("present", "contact"):
        found.append(("infection", joined(": ", INFECTION[stated.infection.status], stated.infection.text)))
    if stated.resuscitation and stated.resuscitation.form == "yes":
        found.append(("resuscitation", resuscitation_words(content)))
    flags = [AlertFlag(codes.ALERT, code, codes.ALERTS[code], words, code, said.get(code)) for code, words in found]
    for medicine in content.medicines:
        for kind in medicine.classes:
            label, position = codes.CRITICAL[kind], f"{kind}/{medicine.position}"
            words = f"{label}: {medicine_name(medicine)}"
            flags.append(AlertFlag(codes.CRITICAL_CLASS, kind, label, words, position, said.get("critical")))
    return flags


def resuscitation_words(content: Content) -> str:
    """The banner of practice.md 5: the hospital says a form exists; where the original is; where it holds; follow the form."""
    form = content.stated.resuscitation
    if form is None:
        return codes.NOT_RECORDED
    if form.form != "yes":
        return FORM.get(form.form, codes.NOT_RECORDED)
    kind = f"The hospital says a {form.kind} form exists" if form.kind else FORM["yes"]
    original, valid = YES_NO[form.original_in_bag], YES_NO[form.valid_outside_hospital]
    return f"{kind}. Original in the bag: {original}. Valid outside hospital: {valid}. Follow the form."


def contact_lines(content: Content) -> Iterator[tuple[str, str, str, str]]:
    """(kind, who, phone, hours) of the numbers that are known, the one that answers now first."""
    contact = content.contact
    if contact is None:
        return
    if contact.phone or contact.who:
        yield "ward", contact.who or "Ward", contact.phone, contact.hours
    if contact.medicines_phone:
        yield "medicines", "Medicines", contact.medicines_phone, contact.medicines_hours
    if contact.next_phone:
        yield "out-of-hours", contact.next_who or "Next to try", contact.next_phone, ""


def list_note(content: Content) -> str:
    """What stands beside the list of medicines: where the full list is and who answers for the changes."""
    stated = content.stated
    said = []
    if stated.full_list_in_letter is True:
        said.append("The hospital says: the full list stands in the signed letter")
    elif stated.full_list_in_letter is False:
        said.append("The hospital says: the full list does not stand in the letter")
    if changes := stated.changes:
        name, role = changes.decided_by.name, changes.decided_by.role or "role not recorded"
        decider = f"{name} ({role})" if name else codes.NOT_RECORDED
        said.append(f"Nothing changed in hospital, checked by: {decider}" if changes.nothing_changed else f"Changes decided by: {decider}")
        said.append(said_by(content.said.get("changes")))
    return joined(". ", *said)


def texts(content: Content) -> dict[str, list[Xhtml]]:
    """Narrative blocks per section code, what a source wrote as text after our own; no blocks read "Not recorded"."""
    own: dict[str, list[Xhtml]] = {
        "safety-alerts": _alerts(content),
        "contact-for-further-information": _contact(content),
        "allergies-and-adverse-reaction": _allergies(content),
        "medications-and-medical-devices": [*_medicines(content), *_bag(content)],
        "discharge-details": [_discharge(content)],
        "admission-details": [_admission(content)],
        "diagnoses": [bullets(clinical_words(entry.resource) for entry in content.diagnoses)],
        "procedures": [bullets(clinical_words(entry.resource) for entry in content.procedures)],
        "individual-requirements": _nursing(content),
        "legal-information": _legal(content),
        "patient-demographics": [_demographics(content)],
        "general-practitioner-practice": [bullets(_people(content, role) for role in ("gp-practice", "gp"))],
        "person-completing-record": [bullets(dict.fromkeys((*map(letter_people, content.letters), *map(said_by, content.said.values()))))],
        "distribution-list": [paragraph(organisation_words(content.site))],
        "documents-including-correspondence-audio-and-images": [bullets(map(letter_words, content.letters))],
    }
    found = {section.code: [*own.get(section.code, ()), *_notes(content, section.code)] for section in codes.SECTIONS}
    if not found["clinical-summary"] and content.letters:
        found["clinical-summary"] = [paragraph("Stands in the hospital's letter, which travels with this document.")]
    return found


def _contact(content: Content) -> list[Xhtml]:
    lines = [joined(": ", who, joined(", ", phone, hours)) for _, who, phone, hours in contact_lines(content)]
    whose = said_by(content.said.get("contact")) or "The hospital's directory"
    return [bullets(lines), facts([("From", whose)])] if lines else []


def _discharge(content: Content) -> Xhtml:
    stay = content.encounter
    return facts(
        [
            ("Expected to leave", _leaving(content.expected_leaving)),
            ("Left", spoken(content.left_at)),
            ("Going to", organisation_words(content.site)),
            ("Ward", _people(content, "ward")),
            ("Consultant", _people(content, "consultant")),
            ("Destination code", codes_in_words(part(stay, "hospitalization", "dischargeDisposition"))),
            *_extensions(stay),
        ]
    )


def _admission(content: Content) -> Xhtml:
    stay = content.encounter
    return facts(
        [
            ("Admitted", spoken(text(stay, "period", "start"))),
            ("Reason", joined("; ", *map(codes_in_words, parts(stay, "reasonCode")))),
            ("Visit number", content.visit_id),
            ("Kind of stay", text(stay, "class", "display") or text(stay, "class", "code")),
            ("Service", codes_in_words(part(stay, "serviceType"))),
            ("Came from", codes_in_words(part(stay, "hospitalization", "admitSource"))),
            *_extensions(part(stay, "hospitalization")),
        ]
    )


def _legal(content: Content) -> list[Xhtml]:
    form = facts([("Resuscitation form", resuscitation_words(content))])
    return [form, *_said(content, "resuscitation")] if content.stated.resuscitation else []


def _notes(content: Content, section: str) -> list[Xhtml]:
    found = []
    for entry in (entry for entry in content.notes if text(entry.resource, "section") == section):
        title = text(entry.resource, "title")
        found += [heading(title)] if title else []
        found.append(paragraph(text(entry.resource, "text")))
    return found


def _said(content: Content, member: str) -> list[Xhtml]:
    statement = content.said.get(member)
    return [paragraph(said_by(statement))] if statement else []


def _leaving(moment: str) -> str:
    return f"{spoken(moment)}, time not known" if len(moment) == 10 else spoken(moment) or codes.NOT_RECORDED


def _people(content: Content, role: str) -> str:
    return "; ".join(person_words(entry.resource) for entry in content.people if entry.role == role)


def _extensions(resource: object) -> list[tuple[str, str]]:
    """Coded extensions in words (admission and discharge method, …): the label is the end of the URL."""
    found = []
    for extension in parts(resource, "extension"):
        name = text(extension, "url").rsplit("/", 1)[-1].removeprefix("Extension-UKCore-")
        label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize()
        found.append((label, codes_in_words(part(extension, "valueCodeableConcept"))))
    return found


def _alerts(content: Content) -> list[Xhtml]:
    """The flags, then what is not flagged: none known, no, not recorded and not known yet stay four different answers."""
    stated = content.stated
    rows: list[tuple[str, str]] = []
    if stated.infection is None:
        rows.append(("Infection", codes.NOT_RECORDED))
    elif stated.infection.status == "none known":
        rows.append(("Infection", joined(". ", "None known", said_by(content.said.get("infection")))))
    if stated.resuscitation is None or stated.resuscitation.form != "yes":
        rows.append(("Resuscitation form", resuscitation_words(content)))
    answered = {line.kind: line.present for line in stated.critical or ()}
    rows += [(words, YES_NO[answered.get(kind)]) for kind, words in codes.CRITICAL.items() if not answered.get(kind)]
    return [bullets(flag.words for flag in alerts(content)), facts(rows), *_said(content, "critical")]


def _allergies(content: Content) -> list[Xhtml]:
    rows = [joined(". ", allergy_words(entry.resource), said_by(content.allergies_by.get(entry.position))) for entry in content.allergies]
    drugs_only = {none_known(entry.resource) for entry in content.allergies} == {"drug"}
    return [bullets(rows), facts([("Food", codes.NOT_RECORDED), ("Latex", codes.NOT_RECORDED)] if drugs_only else [])]


def _medicines(content: Content) -> list[Xhtml]:
    blocks = [paragraph(note)] if (note := list_note(content)) else []
    head = ("Medicine", "Directions", "Why and notes", "Last given", "Next, hospital says", "Supply")
    for change, meaning in codes.CHANGES.items():
        rows = [_row(medicine) for medicine in content.medicines if medicine.change == change]
        blocks += [heading(meaning.words), table(head, rows)] if rows else []
    return blocks or [paragraph(codes.NOT_RECORDED)]


def _row(medicine: Medicine) -> tuple[str, ...]:
    drug = codes_in_words(part(medicine.resource, "medicationCodeableConcept"))
    pills = joined(", ", *(codes.CRITICAL[kind] for kind in medicine.classes))
    plan = medicine.plan or ("No plan yet" if medicine.supply == "not-supplied" else "")
    supply = joined(". ", codes.SUPPLY.get(medicine.supply, ""), plan) or codes.NOT_RECORDED
    last, due = spoken(medicine.last_dose) or codes.NOT_RECORDED, spoken(medicine.next_due) or codes.NOT_RECORDED
    return joined(". ", drug, pills, said_by(medicine.stated)), directions(medicine), why(medicine), last, due, supply


def _bag(content: Content) -> list[Xhtml]:
    bag, doses = content.stated.bag, content.stated.last_doses
    blocks = []
    if bag:
        seal = f"seal {bag.controlled.seal}" if bag.controlled.seal else ""
        rows = [
            ("Items in the bag", "" if bag.items is None else str(bag.items)),
            ("Runs out first", "" if bag.shortest_supply_days is None else f"in {bag.shortest_supply_days} days"),
            ("Controlled drugs", joined(", ", str(bag.controlled.count), seal)),
            ("Missing from the bag", joined("; ", *(f"{item.medicine}: {item.plan or 'no plan yet'}" for item in bag.missing))),
            ("Nothing is missing", "" if bag.missing else YES_NO[bag.nothing_missing]),
        ]
        blocks += [heading("The medicine bag"), facts(rows), *_said(content, "bag")]
    if doses:
        blocks.append(facts([("Copy of the chart with the last doses in the bag", YES_NO[doses.chart_copy_in_bag])]))
    return blocks


def _nursing(content: Content) -> list[Xhtml]:
    """Each need; "same as before" stands for those that nobody said anew, except skin and lines (practice.md 4)."""
    nursing = content.stated.nursing
    if nursing is None:
        return []
    same = f"Same as before admission, says {nursing.says or 'a person who is not recorded'}" if nursing.same_as_before else ""
    rows = [
        (label, str(getattr(nursing, name)) or ("" if same and name not in ("skin", "lines") else codes.NOT_RECORDED))
        for name, label in NURSING_LABELS.items()
    ]
    return [facts([("Needs", same), *rows]), *_said(content, "nursing")]


def _demographics(content: Content) -> Xhtml:
    person = content.patient
    rows = [("Name", person_name(person)), ("Born", spoken(text(person, "birthDate"))), ("Gender", text(person, "gender"))]
    for number in parts(person, "identifier"):
        label = "NHS number" if text(number, "system") == codes.NHS_NUMBER else "Hospital number"
        traced = (concept_text(part(e, "valueCodeableConcept")) for e in parts(number, "extension"))
        rows.append((label, joined(", ", text(number, "value"), *traced)))
    rows += [("Address", address_words(place)) for place in parts(person, "address")]
    rows += [(text(phone, "system").capitalize() or "Phone", text(phone, "value")) for phone in parts(person, "telecom")]
    for contact in parts(person, "contact"):
        phones = (text(phone, "value") for phone in parts(contact, "telecom"))
        name = person_name({"name": [part(contact, "name")]})
        rows.append(("Contact", joined(", ", name, *map(concept_text, parts(contact, "relationship")), *phones)))
    rows += [("Marital status", codes_in_words(part(person, "maritalStatus"))), *_extensions(person)]
    rows += [("Language", concept_text(part(language, "language"))) for language in parts(person, "communication")]
    return facts(rows)
