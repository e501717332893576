"""The plain functions of the rules: each looks at the facts and says met, missing or not established. A blank never passes.

Missing: nobody said, or the answer is not good enough. Not established: the condition cannot be told from what was said, so the ward is
asked one question. Rows and words stand in rules.py, what looks at medicines in medicines.py.
"""

import re
from collections.abc import Callable

from exchange.fhir import codes
from exchange.fhir.shape import codes_of, is_nhs_number, parts, text
from exchange.fhir.stated import NURSING_LABELS
from exchange.gate.facts import MET, GateInput, State, Verdict, Who, missing, not_established

NOT_SAID = ("not known", "unknown", "do not know", "don't know", "not checked")
WEEKEND_DAYS = 3
TUBE = re.compile(r"\b(peg|pej|rig|ng|nj)\b|feeding tube|nasogastric|gastrostomy", re.I)


def identity(facts: GateInput) -> Verdict:
    patient = facts.only("Patient")
    number = next((n for n in parts(patient, "identifier") if text(n, "system") == codes.NHS_NUMBER and text(n, "value")), None)
    if number is None:
        return missing("No NHS number")
    if not is_nhs_number(text(number, "value")):
        return missing("The NHS number is not a possible one")
    if not parts(patient, "name"):
        return missing("No name")
    if not text(patient, "birthDate"):
        return missing("No date of birth")
    traces = {text(c, "code") for extension in parts(number, "extension") for c in parts(extension, "valueCodeableConcept", "coding")}
    return not_established("The trace of the NHS number found no match or a conflict") if traces & {"04", "05"} else MET


def site(facts: GateInput) -> Verdict:
    target = text(facts.only("Encounter"), "hospitalization", "destination", "reference")
    if not target:
        return missing()
    numbers = parts(facts.by_url.get(target), "identifier")
    has_ods = any(text(n, "system") in (codes.ODS_SITE, codes.ODS_ORGANISATION) and text(n, "value") for n in numbers)
    return MET if has_ods else not_established("The home has no ODS code")


def leaving_time(facts: GateInput) -> Verdict:
    """A promise holds for the day that it names: when the system's day moves on, the ward is asked anew."""
    expected, promised = facts.content.expected_leaving, facts.content.stated.leaving
    if facts.content.left_at or len(expected) > 10:
        return MET
    if promised and promised.window:
        is_same = promised.day == (expected or promised.day)
        return MET if is_same else not_established("The day that the ward promised is not the one in the hospital's system")
    return not_established("The day is known, the time is not") if expected else missing()


def signed_letter(facts: GateInput) -> Verdict:
    letters = [letter for letter in facts.of("DocumentReference") if text(letter, "docStatus") == "final"]
    if not letters:
        return missing()
    if any(text(letter, "authenticator", "display") or parts(letter, "author") for letter in letters):
        return MET
    return not_established("A signed letter is there; neither who wrote it nor who signed it is said")


def contact(facts: GateInput) -> Verdict:
    roles = facts.of("PractitionerRole")
    wards = [role for role in roles if any("ward" in codes_of(kind, codes.CONTACT_KIND) for kind in parts(role, "code"))]
    phones = [role for role in wards if any(text(telecom, "value") for telecom in parts(role, "telecom"))]
    if not phones:
        return missing()
    has_hours = any(text(role, "availabilityExceptions") for role in phones)
    return MET if has_hours else not_established("When it is answered is not said")


def gp_practice(facts: GateInput) -> Verdict:
    references = [text(reference, "reference") for reference in parts(facts.only("Patient"), "generalPractitioner")]
    known = [found for reference in references if (found := facts.by_url.get(reference))]
    if facts.content.stated.person and facts.content.stated.person.gp:
        return said("person", "gp")(facts)
    if not known:
        return missing()
    is_unknown = all(any(text(n, "value") == "V81999" for n in parts(found, "identifier")) for found in known)
    return not_established("The practice is recorded as not known") if is_unknown else MET


def allergies(facts: GateInput) -> Verdict:
    found, stated = facts.of("AllergyIntolerance"), facts.content.stated.allergies
    if any(codes.NOT_ASKED not in codes_of(allergy.get("code"), codes.SCT) for allergy in found):
        return MET
    if found:
        return not_established("Nobody asked")
    if stated and stated.none_known is False:
        return not_established("The ward says that there is one and does not name it")
    return missing()


def infection(facts: GateInput) -> Verdict:
    stated = facts.content.stated.infection
    if stated is None or not stated.status:
        return missing()
    is_told = stated.status == "none known" or stated.text.strip()
    return MET if is_told else not_established("Which infection, and what to do, is not said")


def said(member: str, name: str) -> Callable[[GateInput], Verdict]:
    """What the ward says in words, anew each time: skin, lines and tubes, what was given."""
    return lambda facts: _in_words(getattr(getattr(facts.content.stated, member), name, ""))


def daily_needs(facts: GateInput) -> Verdict:
    """ "Same as before admission, says …" is a full answer unless the person is new to the home (practice.md 4)."""
    nursing = facts.content.stated.nursing
    if nursing is None:
        return missing()
    is_same = nursing.same_as_before and Who.NEW_RESIDENT not in facts.who
    if is_same and not nursing.says:
        return not_established("Who says that it is the same as before is not said")
    found = {name: said("nursing", name)(facts).state for name in ("mobility", "eating", "continence", "equipment")}
    for state in (State.NOT_ESTABLISHED,) if is_same else (State.MISSING, State.NOT_ESTABLISHED):
        if unsaid := [NURSING_LABELS[name].lower() for name, each in found.items() if each is state]:
            return Verdict(state, f"Not said: {', '.join(unsaid)}")
    return MET


def resuscitation(facts: GateInput) -> Verdict:
    stated = facts.content.stated.resuscitation
    if stated is None or not stated.form:
        return missing()
    if stated.form == "unknown":
        return not_established("The ward does not know whether a form exists")
    if stated.form == "yes" and stated.original_in_bag is False:
        return missing("A form exists and the original is not in the bag")
    if stated.form == "yes" and None in (stated.original_in_bag, stated.valid_outside_hospital):
        return not_established("Where the original is, or whether it holds outside hospital, is not said")
    return MET


def coming_back(facts: GateInput) -> Verdict:
    if set(facts.who) - {Who.END_OF_LIFE}:
        return MET
    return not_established("Returning or new is not said") if facts.content.stated.person else missing()


def consultant(facts: GateInput) -> Verdict:
    found = [entry.resource for entry in facts.content.people if entry.role == "consultant"]
    if not found:
        return missing()
    return MET if any(parts(each, "name") for each in found) else not_established("The consultant has a number and no name")


def medicines_line(facts: GateInput) -> Verdict:
    found = facts.content.contact
    if found is None or not found.medicines_phone:
        return missing()
    return MET if found.medicines_hours else not_established("When it is answered is not said")


def next_of_kin(facts: GateInput) -> Verdict:
    contacts = parts(facts.only("Patient"), "contact")
    if not contacts:
        return missing()
    has_phone = any(text(telecom, "value") for contact in contacts for telecom in parts(contact, "telecom"))
    return MET if has_phone else not_established("Someone is named, without a number")


def what_happened(facts: GateInput) -> Verdict:
    """In coded form or in words beside it; a letter that only people can read is not looked into."""
    if facts.content.diagnoses or parts(facts.content.encounter, "reasonCode"):
        return MET
    is_told = any(text(note.resource, "section") == "clinical-summary" for note in facts.content.notes)
    return not_established("No diagnosis; what happened stands in words") if is_told else missing()


def destination(facts: GateInput) -> Verdict:
    """The code as the hospital's system has it; never inferred (practice.md 5)."""
    codings = parts(facts.content.encounter, "hospitalization", "dischargeDisposition", "coding")
    if not codings:
        return missing()
    return not_established("The code says: not known") if {text(each, "code") for each in codings} & {"98", "99"} else MET


def legal(facts: GateInput) -> Verdict:
    """Capacity, DoLS, power of attorney: whether a structured letter has the section; what it says is for people to read."""
    notes = [note.resource for note in facts.content.notes if text(note.resource, "section") == "legal-information"]
    return MET if any(parts(note, "blocks") for note in notes) else _in_words(" ".join(text(note, "text") for note in notes))


def follow_up(facts: GateInput) -> Verdict:
    plan = facts.content.stated.plan
    if plan and plan.follow_up:
        return _in_words(plan.follow_up)
    is_told = any(text(note.resource, "section") == "plan-and-requested-actions" for note in facts.content.notes)
    return MET if is_told else missing()


def catheter(facts: GateInput) -> Verdict:
    nursing = facts.content.stated.nursing
    if nursing is None or not nursing.lines.strip():
        return not_established("Whether there is one is not said")
    if nursing.catheter:
        return _in_words(nursing.catheter)
    is_named = any("cathet" in said.lower() and "no cathet" not in said.lower() for said in (nursing.lines, nursing.continence))
    return missing() if is_named else MET


def feeding_tube(facts: GateInput) -> Verdict:
    """Feed, and enough of it until the shops and the pharmacy are open after a weekend: 72 hours (practice.md 2)."""
    nursing = facts.content.stated.nursing
    if nursing is None or (nursing.feeding_tube is None and not nursing.lines.strip()):
        return not_established("Whether there is one is not said")
    if nursing.feeding_tube is None:
        is_named = TUBE.search(f"{nursing.lines} {nursing.eating}")
        return not_established("The ward names a tube; feed and supply are not said") if is_named else MET
    if not nursing.feeding_tube:
        return MET
    if not nursing.feed or nursing.feed_days is None:
        return missing("Feed, regimen, or for how many days it lasts is not said")
    return MET if nursing.feed_days >= WEEKEND_DAYS else missing(f"Feed for {nursing.feed_days} days only")


def anticipatory(facts: GateInput) -> Verdict:
    if facts.content.stated.person and facts.content.stated.person.anticipatory == "not in the bag":
        return missing("The ward says that they are not in the bag")
    return said("person", "anticipatory")(facts)


def escort(facts: GateInput) -> Verdict:
    journey = facts.content.stated.leaving
    if journey is None or not (journey.escort or journey.transport):
        return missing()
    return MET if journey.escort and journey.transport else not_established("Only one of transport and escort is said")


def _in_words(told: str) -> Verdict:
    words = told.strip().lower().rstrip(".")
    return missing() if not words else not_established("The ward says that it is not known") if words in NOT_SAID else MET
