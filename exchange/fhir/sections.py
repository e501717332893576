"""The narrative of every section: what a person reads when only the text is shown. Single resources' words are in words.py.

Five answers, five looks (pages.md 1): a value; "None known" with who and when; "Not recorded"; "Not known yet"; and what this hospital
does not send.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from exchange.fhir import codes, words
from exchange.fhir.content import Content, Medicine, Statement
from exchange.fhir.narrative import Xhtml, bullets, facts, heading, paragraph, table
from exchange.fhir.shape import concept_text, joined, part, parts, spoken, text
from exchange.fhir.shape import texts as texts_of
from exchange.fhir.stated import NURSING_LABELS, Leaving, Person
from exchange.fhir.words import codes_in_words, said_by

YES_NO = {True: "yes", False: "no", None: codes.NOT_RECORDED}
INFECTION = {"none known": "None known", "present": "Infection that can spread", "contact": "Was in contact with an infection"}
FORM = {"yes": "The hospital says a form exists", "no": "The hospital says there is no form", "unknown": codes.NOT_KNOWN_YET}
FULL_LIST = {
    True: "The hospital says: the full list stands in the signed letter",
    False: "The hospital says: the full list does not stand in the letter",
    None: "",
}


class AlertFlag(NamedTuple):
    """One Flag: code in its system, its label, plain words, and who stated it."""

    system: str
    code: str
    label: str
    words: str
    position: str
    stated: Statement | None


def alerts(content: Content) -> Iterator[AlertFlag]:
    """What to see first: infection, resuscitation form, then one Flag per critical class and medicine."""
    infection, form, found = content.stated.infection, content.stated.resuscitation, {}
    if infection and infection.status in ("present", "contact"):
        found["infection"] = joined(": ", INFECTION[infection.status], infection.text)
    if form and form.form == "yes":
        found["resuscitation"] = resuscitation_words(content)
    for code, said in found.items():
        yield AlertFlag(codes.ALERT, code, codes.ALERTS[code], said, code, content.said.get(code))
    for medicine in content.medicines:
        for kind in medicine.classes:
            label, position = codes.CRITICAL[kind], f"{kind}/{medicine.position}"
            said = f"{label}: {words.medicine_name(medicine)}"
            yield AlertFlag(codes.CRITICAL_CLASS, kind, label, said, position, content.said.get("critical"))


def resuscitation_words(content: Content) -> str:
    """The banner of practice.md 5: the hospital says a form exists; where the original is; where it holds; follow the form."""
    form = content.stated.resuscitation
    if form is None or form.form != "yes":
        return FORM.get(form.form if form else "", codes.NOT_RECORDED)
    kind = f"The hospital says a {form.kind} form exists" if form.kind else FORM["yes"]
    original, valid = YES_NO[form.original_in_bag], YES_NO[form.valid_outside_hospital]
    return f"{kind}. Original in the bag: {original}. Valid outside hospital: {valid}. Follow the form."


def contact_lines(content: Content) -> Iterator[tuple[str, str, str, str]]:
    """(kind, who, phone, hours) of the numbers that are known, the one that answers now first."""
    contact = content.contact
    if contact and (contact.phone or contact.who):
        yield "ward", contact.who or "Ward", contact.phone, contact.hours
    if contact and contact.medicines_phone:
        yield "medicines", "Medicines", contact.medicines_phone, contact.medicines_hours
    if contact and contact.next_phone:
        yield "out-of-hours", contact.next_who or "Next to try", contact.next_phone, ""


LIST_OF_ORDERS: Final = "The list is the hospital's orders to take out: they do not say what is new, changed or stopped"


def list_note(content: Content) -> str:
    """What stands beside the list of medicines: where the full list is and who answers for the changes."""
    said = [LIST_OF_ORDERS] if content.is_list_of_orders else []
    said.append(FULL_LIST[content.stated.full_list_in_letter])
    if changes := content.stated.changes:
        name, role = changes.decided_by.name, changes.decided_by.role or "role not recorded"
        decider = f"{name} ({role})" if name else codes.NOT_RECORDED
        said.append(f"Nothing changed in hospital, checked by: {decider}" if changes.nothing_changed else f"Changes decided by: {decider}")
        said.append(said_by(content.said.get("changes")))
    return joined(". ", *said)


def texts(content: Content) -> dict[str, list[Xhtml]]:
    """Narrative blocks per section code, what a source wrote as text after our own; no blocks read "Not recorded"."""
    gp = content.stated.person.gp if content.stated.person else ""
    completed_by = (*map(words.letter_people, content.letters), *map(said_by, content.said.values()))
    own: dict[str, list[Xhtml]] = {
        "safety-alerts": _alerts(content),
        "contact-for-further-information": _contact(content),
        "allergies-and-adverse-reaction": _allergies(content),
        "medications-and-medical-devices": [*_medicines(content), *_bag(content)],
        "discharge-details": _discharge(content),
        "plan-and-requested-actions": _plan(content),
        "admission-details": [_admission(content)],
        "diagnoses": [bullets(words.clinical_words(entry.resource) for entry in content.diagnoses)],
        "procedures": [bullets(words.clinical_words(entry.resource) for entry in content.procedures)],
        "investigation-results": [bullets(words.result_words(entry.resource) for entry in content.results)],
        "individual-requirements": _nursing(content),
        "legal-information": _legal(content),
        "patient-demographics": [_demographics(content)],
        "general-practitioner-practice": [bullets((_people(content, "gp-practice"), _people(content, "gp"), gp))],
        "person-completing-record": [bullets(dict.fromkeys(completed_by))],
        "distribution-list": [paragraph(words.organisation_words(content.site))],
        "documents-including-correspondence-audio-and-images": [bullets(map(words.letter_words, content.letters))],
    }
    found = {section.code: [*own.get(section.code, ()), *_notes(content, section.code)] for section in codes.SECTIONS}
    if not found["clinical-summary"] and content.letters:
        found["clinical-summary"] = [paragraph("Stands in the hospital's letter, which travels with this document.")]
    return found


def _alerts(content: Content) -> list[Xhtml]:
    """The flags, then what is not flagged: none known, no, not recorded and not known yet stay four different answers."""
    infection, form = content.stated.infection, content.stated.resuscitation
    rows: list[tuple[str, str]] = []
    if infection is None:
        rows.append(("Infection", codes.NOT_RECORDED))
    elif infection.status == "none known":
        rows.append(("Infection", joined(". ", INFECTION["none known"], said_by(content.said.get("infection")))))
    if form is None or form.form != "yes":
        rows.append(("Resuscitation form", resuscitation_words(content)))
    answered = {line.kind: line.present for line in content.stated.critical or ()}
    rows += [(label, YES_NO[answered.get(kind)]) for kind, label in codes.CRITICAL.items() if not answered.get(kind)]
    return [bullets(flag.words for flag in alerts(content)), facts(rows), *_said(content, "critical")]


def _contact(content: Content) -> list[Xhtml]:
    lines = [joined(": ", who, joined(", ", phone, hours)) for _, who, phone, hours in contact_lines(content)]
    whose = said_by(content.said.get("contact")) or "The hospital's directory"
    return [bullets(lines), facts([("From", whose)])] if lines else []


def _allergies(content: Content) -> list[Xhtml]:
    rows = [joined(". ", words.allergy_words(e.resource), said_by(content.allergies_by.get(e.position))) for e in content.allergies]
    drugs_only = {words.none_known(entry.resource) for entry in content.allergies} == {"drug"}
    return [bullets(rows), facts([("Food", codes.NOT_RECORDED), ("Latex", codes.NOT_RECORDED)] if drugs_only else [])]


def _medicines(content: Content) -> list[Xhtml]:
    blocks = [paragraph(note)] if (note := list_note(content)) else []
    head = ("Medicine", "Directions", "Why and notes", "Last given", "Next, hospital says", "Supply")
    for change, meaning in codes.CHANGES.items():
        rows = [_row(medicine) for medicine in content.medicines if medicine.change == change]
        blocks += [heading(meaning.words), table(head, rows)] if rows else []
    return blocks or [paragraph(codes.NOT_RECORDED)]


def _row(medicine: Medicine) -> tuple[str, ...]:
    drug = codes_in_words(medicine.resource.get("medicationCodeableConcept"))
    pills = joined(", ", *(codes.CRITICAL[kind] for kind in medicine.classes))
    plan = medicine.plan or ("No plan yet" if medicine.supply == "not-supplied" else "")
    doses = (words.record_words(entry) for entry in medicine.records if entry.role == "medicine-dose")
    supplies = (words.record_words(entry) for entry in medicine.records if entry.role != "medicine-dose")
    last, supply = joined(". ", spoken(medicine.last_dose), *doses), joined(". ", codes.SUPPLY.get(medicine.supply, ""), plan, *supplies)
    known = (value or codes.NOT_RECORDED for value in (last, spoken(medicine.next_due), supply))
    return joined(". ", drug, pills, said_by(medicine.stated)), words.directions(medicine), words.why(medicine), *known


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


def _discharge(content: Content) -> list[Xhtml]:
    expected = spoken(content.expected_leaving) or codes.NOT_RECORDED
    promised, person = content.stated.leaving or Leaving(), content.stated.person or Person()
    rows = [
        ("Who comes", joined("; ", codes.PERSONS.get(person.kind, ""), "End of life" if person.end_of_life else "")),
        ("End-of-life medicines", person.anticipatory.capitalize()),
        ("Expected to leave", f"{expected}, time not known" if len(content.expected_leaving) == 10 else expected),
        ("Promised", joined(", ", spoken(promised.day), promised.window)),
        ("Transport", promised.transport),
        ("Comes with", promised.escort),
        ("Left", spoken(content.left_at)),
        ("Going to", words.organisation_words(content.site)),
        ("Ward", _people(content, "ward")),
        ("Consultant", _people(content, "consultant")),
        ("Destination code", codes_in_words(part(content.encounter, "hospitalization", "dischargeDisposition"))),
    ]
    return [facts([*rows, *_extensions(content.encounter)]), *_said(content, "leaving"), *_said(content, "person")]


def _plan(content: Content) -> list[Xhtml]:
    plan = content.stated.plan
    return [facts([("Follow-up", plan.follow_up), ("Given today", plan.given)]), *_said(content, "plan")] if plan else []


def _admission(content: Content) -> Xhtml:
    stay = content.encounter
    rows = [
        ("Admitted", spoken(text(stay, "period", "start"))),
        ("Reason", joined("; ", *map(codes_in_words, parts(stay, "reasonCode")))),
        ("Visit number", content.visit_id),
        ("Kind of stay", text(stay, "class", "display") or text(stay, "class", "code")),
        ("Service", codes_in_words(part(stay, "serviceType"))),
        ("Came from", codes_in_words(part(stay, "hospitalization", "admitSource"))),
    ]
    return facts([*rows, *_extensions(part(stay, "hospitalization"))])


def _nursing(content: Content) -> list[Xhtml]:
    """Each need; "same as before" stands for those that nobody said anew, except skin and lines (practice.md 4)."""
    nursing = content.stated.nursing
    if nursing is None:
        return []
    same = f"Same as before admission, says {nursing.says or 'a person who is not recorded'}" if nursing.same_as_before else ""
    rows = [
        (
            label,
            str(getattr(nursing, name)) or ("" if (same and name not in ("skin", "lines")) or name == "catheter" else codes.NOT_RECORDED),
        )
        for name, label in NURSING_LABELS.items()
    ]
    feed = joined(", ", nursing.feed, f"for {nursing.feed_days} days" if nursing.feed_days is not None else "")
    tube = {True: feed or "Yes", False: "None", None: ""}[nursing.feeding_tube]
    return [facts([("Needs", same), *rows, ("Feeding tube", tube)]), *_said(content, "nursing")]


def _legal(content: Content) -> list[Xhtml]:
    form = facts([("Resuscitation form", resuscitation_words(content))])
    return [form, *_said(content, "resuscitation")] if content.stated.resuscitation else []


def _demographics(content: Content) -> Xhtml:
    person = content.patient
    rows = [("Name", words.person_name(person)), ("Born", spoken(text(person, "birthDate"))), ("Gender", text(person, "gender"))]
    for number in parts(person, "identifier"):
        label = "NHS number" if text(number, "system") == codes.NHS_NUMBER else "Hospital number"
        traced = (concept_text(e.get("valueCodeableConcept")) for e in parts(number, "extension"))
        rows.append((label, joined(", ", text(number, "value"), *traced)))
    rows += [("Address", words.address_words(place)) for place in parts(person, "address")]
    rows += [(text(phone, "system").capitalize() or "Phone", text(phone, "value")) for phone in parts(person, "telecom")]
    for contact in parts(person, "contact"):
        phones = (text(phone, "value") for phone in parts(contact, "telecom"))
        name = words.person_name({"name": [part(contact, "name")]})
        rows.append(("Contact", joined(", ", name, *map(concept_text, parts(contact, "relationship")), *phones)))
    rows += [("Marital status", codes_in_words(person.get("maritalStatus"))), *_extensions(person)]
    rows += [("Language", concept_text(language.get("language"))) for language in parts(person, "communication")]
    return facts(rows)


def _notes(content: Content, section: str) -> Iterator[Xhtml]:
    for note in (entry.resource for entry in content.notes if text(entry.resource, "section") == section):
        if title := text(note, "title"):
            yield heading(title)
        blocks = parts(note, "blocks")
        yield from map(_block, blocks)
        if not blocks:
            yield paragraph(text(note, "text"))


def _block(block: Mapping[str, object]) -> Xhtml:
    """One block of a note: a paragraph, a list or a table of plain words."""
    if items := texts_of(block, "items"):
        return bullets(items)
    rows = block.get("rows")
    if isinstance(rows, list):
        return table(texts_of(block, "head"), rows)
    return paragraph(text(block, "text"))


def _said(content: Content, member: str) -> list[Xhtml]:
    statement = content.said.get(member)
    return [paragraph(said_by(statement))] if statement else []


def _people(content: Content, role: str) -> str:
    return "; ".join(words.person_words(entry.resource) for entry in content.people if entry.role == role)


def _extensions(resource: object) -> Iterator[tuple[str, str]]:
    """Coded extensions in words (admission and discharge method, …): the label is the end of the URL."""
    for extension in parts(resource, "extension"):
        name = text(extension, "url").rsplit("/", 1)[-1].removeprefix("Extension-UKCore-")
        yield re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).capitalize(), codes_in_words(extension.get("valueCodeableConcept"))
