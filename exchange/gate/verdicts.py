"""The plain functions of the rules: each looks at the facts and says met, missing or not established. A blank never passes.

Missing: nobody said, or the answer is not good enough. Not established: the condition cannot be told from what was said, so the ward is
asked one question. Rows and words stand in rules.py.
"""

from collections.abc import Collection

from exchange.fhir import codes
from exchange.fhir.shape import codes_of, is_nhs_number, parts, text
from exchange.fhir.stated import NURSING_LABELS
from exchange.fhir.words import medicine_name
from exchange.gate.facts import MET, GateInput, State, Verdict, missing, not_established

TIMED = ("time-critical", "insulin", "anticoagulant")
NOT_SAID = ("not known", "unknown", "do not know", "don't know", "not checked")
NO_TICKS = "The tick list of critical medicines is empty"


def _named(*problems: tuple[str, Collection[str]]) -> str:
    """A sentence for each problem that names its medicines; "" when none has any."""
    return ". ".join(f"{words}: {', '.join(medicines)}" for words, medicines in problems if medicines)


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
    expected = facts.content.expected_leaving
    if facts.content.left_at or len(expected) > 10:
        return MET
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


def medicines_list(facts: GateInput) -> Verdict:
    in_letter = facts.content.stated.full_list_in_letter
    if facts.content.has_list:
        return MET
    if in_letter is None:
        return missing("Nobody said whether the letter holds the full list")
    if not in_letter:
        return missing("The ward says that the letter does not hold the full list")
    is_here = signed_letter(facts).state is State.MET
    return MET if is_here else not_established("The list is said to be in a signed letter that is not here")


def medicines_changes(facts: GateInput) -> Verdict:
    """A list that says of every medicine what became of it needs no word from the ward."""
    changes, listed = facts.content.stated.changes, facts.content.medicines if facts.content.has_list else ()
    unsaid = [medicine_name(medicine) for medicine in listed if not medicine.change]
    if listed and not unsaid:
        return MET
    if changes is None or not (changes.nothing_changed or changes.lines):
        return missing(
            _named(("Not said whether new, changed or the same", unsaid)) or "Nobody said what was stopped, held, new or changed"
        )
    is_decided = changes.decided_by.name and changes.decided_by.role
    return MET if is_decided else not_established("Which prescriber or pharmacist decided is not said")


def change_reasons(facts: GateInput) -> Verdict:
    changes = facts.content.stated.changes
    if changes is None and facts.content.has_list:
        return _reasons_in_list(facts)
    if changes is None:
        return missing()
    if changes.nothing_changed is None and not changes.lines:
        return not_established("What changed is not said")
    bare = [line.medicine for line in changes.lines if line.status != "unchanged" and not line.reason]
    held = [line.medicine for line in changes.lines if line.status == "held" and not line.restart]
    words = _named(("No reason", bare), ("Who restarts it and when is not said", held))
    return missing(words) if words else MET


def _reasons_in_list(facts: GateInput) -> Verdict:
    altered = [medicine for medicine in facts.content.medicines if medicine.change not in ("", "unchanged")]
    bare = [medicine_name(medicine) for medicine in altered if not parts(medicine.resource, "statusReason")]
    return missing(_named(("No reason", bare))) if bare else MET


def last_dose(facts: GateInput) -> Verdict:
    if not facts.content.stated.critical:
        return missing(NO_TICKS)
    blank = dict.fromkeys(line.medicine for line in facts.critical() if not line.last_dose)
    return missing(_named(("No last dose", blank))) if blank else _all_answered(facts)


def time_critical_in_bag(facts: GateInput) -> Verdict:
    if not facts.content.stated.critical:
        return missing(NO_TICKS)
    lines = facts.critical(*TIMED)
    out = dict.fromkeys(line.medicine for line in lines if not line.in_bag and not line.plan)
    undue = dict.fromkeys(line.medicine for line in lines if not line.next_due)
    words = _named(("Not known to be in the bag, no plan", out), ("No next dose", undue))
    return missing(words) if words else _all_answered(facts, *TIMED)


def _all_answered(facts: GateInput, *kinds: str) -> Verdict:
    unanswered = facts.unanswered(*kinds)
    return not_established(f"Nobody said yes or no to: {unanswered}") if unanswered else MET


def supply(facts: GateInput) -> Verdict:
    bag = facts.content.stated.bag
    if bag is None:
        return missing("Nobody said what is in the bag")
    unplanned = [item.medicine for item in bag.missing if not item.plan]
    unplanned += [line.medicine for line in facts.critical() if line.in_bag is False and not line.plan]
    if unplanned:
        return missing(_named(("Not in the bag, no plan", dict.fromkeys(unplanned))))
    is_said = bag.nothing_missing or bag.missing
    return MET if is_said else not_established("Whether anything is missing from the bag is not said")


def controlled_drugs(facts: GateInput) -> Verdict:
    bag, present = facts.content.stated.bag, facts.critical("controlled")
    count, seal = (bag.controlled.count, bag.controlled.seal) if bag else ("", "")
    if not facts.content.stated.critical:
        return missing(NO_TICKS)
    if facts.unanswered("controlled"):
        return not_established("Nobody said whether there is a controlled drug")
    if not present:
        return missing("The ward says none, and counts some in the bag") if count else MET
    if all(line.in_bag is False and line.plan for line in present):
        return MET
    if not count:
        return missing("No count")
    return MET if seal else missing("No seal number")


def infection(facts: GateInput) -> Verdict:
    stated = facts.content.stated.infection
    if stated is None or not stated.status:
        return missing()
    is_told = stated.status == "none known" or stated.text.strip()
    return MET if is_told else not_established("Which infection, and what to do, is not said")


def need(facts: GateInput, name: str) -> Verdict:
    """Skin, lines and tubes: always said anew, even for a returner."""
    said = str(getattr(facts.content.stated.nursing, name, "")).strip()
    if not said:
        return missing()
    return not_established("The ward says that it is not known") if said.lower().rstrip(".") in NOT_SAID else MET


def daily_needs(facts: GateInput) -> Verdict:
    """ "Same as before admission, says …" is a full answer unless the person is new to the home."""
    nursing = facts.content.stated.nursing
    if nursing is None:
        return missing()
    is_same = nursing.same_as_before and facts.is_returner is not False
    if is_same and not nursing.says:
        return not_established("Who says that it is the same as before is not said")
    found = {name: need(facts, name).state for name in ("mobility", "eating", "continence", "equipment")}
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
