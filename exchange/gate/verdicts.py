"""The plain functions of the rules: each looks at the facts and says met, missing or not established. A blank never passes.

Missing: nobody said, or the answer is not good enough. Not established: the condition cannot be told from what was said, so the ward is
asked one question. Rows and words stand in rules.py.
"""

from exchange.fhir import codes
from exchange.fhir.shape import codes_of, is_nhs_number, part, parts, text
from exchange.fhir.stated import NURSING_LABELS
from exchange.gate.facts import GateInput, State, Verdict


def identity(facts: GateInput) -> Verdict:
    patient = facts.only("Patient")
    number = next((n for n in parts(patient, "identifier") if text(n, "system") == codes.NHS_NUMBER and text(n, "value")), None)
    if number is None:
        return Verdict.missing("No NHS number")
    if not is_nhs_number(text(number, "value")):
        return Verdict.missing("The NHS number is not a possible one")
    if not parts(patient, "name") or not text(patient, "birthDate"):
        return Verdict.missing("No name" if not parts(patient, "name") else "No date of birth")
    status = [
        code for e in parts(number, "extension") for c in parts(part(e, "valueCodeableConcept"), "coding") if (code := text(c, "code"))
    ]
    if {"04", "05"} & set(status):
        return Verdict.not_established("The trace of the NHS number found no match or a conflict")
    return Verdict.met()


def site(facts: GateInput) -> Verdict:
    target = text(part(facts.only("Encounter"), "hospitalization", "destination"), "reference")
    if not target:
        return Verdict.missing()
    home = facts.by_url.get(target, {})
    ods = [n for n in parts(home, "identifier") if text(n, "system") in (codes.ODS_SITE, codes.ODS_ORGANISATION) and text(n, "value")]
    return Verdict.met() if ods else Verdict.not_established("The home has no ODS code")


def signed_letter(facts: GateInput) -> Verdict:
    letters = [d for d in facts.by_type.get("DocumentReference", ()) if text(d, "docStatus") == "final"]
    if not letters:
        return Verdict.missing()
    if any(text(letter, "authenticator", "display") or parts(letter, "author") for letter in letters):
        return Verdict.met()
    return Verdict.not_established("A signed letter is there; neither who wrote it nor who signed it is said")


def contact(facts: GateInput) -> Verdict:
    roles = [
        r for r in facts.by_type.get("PractitionerRole", ()) if any("ward" in codes_of(c, codes.CONTACT_KIND) for c in parts(r, "code"))
    ]
    phones = [role for role in roles if any(text(telecom, "value") for telecom in parts(role, "telecom"))]
    if not phones:
        return Verdict.missing()
    return (
        Verdict.met()
        if any(text(r, "availabilityExceptions") for r in phones)
        else Verdict.not_established("When it is answered is not said")
    )


def allergies(facts: GateInput) -> Verdict:
    if conflict := facts.conflict("10"):
        return Verdict.missing(conflict)
    found = facts.by_type.get("AllergyIntolerance", ())
    if any(codes.NOT_ASKED not in codes_of(part(allergy, "code"), codes.SCT) for allergy in found):
        return Verdict.met()
    stated = facts.stated.allergies
    if found or (stated and stated.none_known is False):
        return Verdict.not_established("The ward says that there is one and does not name it" if not found else "Nobody asked")
    return Verdict.missing()


def medicines_list(facts: GateInput) -> Verdict:
    if conflict := facts.conflict("11"):
        return Verdict.missing(conflict)
    if facts.has_list:
        return Verdict.met()
    in_letter = facts.stated.full_list_in_letter
    if in_letter is None:
        return Verdict.missing("Nobody said whether the letter holds the full list")
    if not in_letter:
        return Verdict.missing("The ward says that the letter does not hold the full list")
    letter = signed_letter(facts)
    return (
        Verdict.met()
        if letter.state is State.MET
        else Verdict.not_established("The list is said to be in a signed letter that is not here")
    )


def medicines_changes(facts: GateInput) -> Verdict:
    changes = facts.stated.changes
    if conflict := facts.conflict("12"):
        return Verdict.missing(conflict)
    if changes is None or (changes.nothing_changed is not True and not changes.lines):
        return Verdict.missing("Nobody said what was stopped, held, new or changed")
    if not changes.decided_by.name or not changes.decided_by.role:
        return Verdict.not_established("Which prescriber or pharmacist decided is not said")
    return Verdict.met()


def change_reasons(facts: GateInput) -> Verdict:
    changes = facts.stated.changes
    if changes is None:
        return Verdict.missing()
    if changes.nothing_changed is None and not changes.lines:
        return Verdict.not_established("What changed is not said")
    bare = [line.medicine for line in changes.lines if line.status != "unchanged" and not line.reason]
    held = [line.medicine for line in changes.lines if line.status == "held" and not line.restart]
    words = [f"No reason: {', '.join(bare)}"] if bare else []
    words += [f"Who restarts it and when is not said: {', '.join(held)}"] if held else []
    return Verdict.missing(". ".join(words)) if words else Verdict.met()


def last_dose(facts: GateInput) -> Verdict:
    if not facts.stated.critical:
        return Verdict.missing("The tick list of critical medicines is empty")
    if blank := [line.medicine for line in facts.critical() if not line.last_dose]:
        return Verdict.missing(f"No last dose: {', '.join(dict.fromkeys(blank))}")
    unanswered = facts.unanswered()
    return Verdict.not_established(f"Nobody said yes or no to: {unanswered}") if unanswered else Verdict.met()


TIMED = ("time-critical", "insulin", "anticoagulant")


def time_critical_in_bag(facts: GateInput) -> Verdict:
    if not facts.stated.critical:
        return Verdict.missing("The tick list of critical medicines is empty")
    lines = facts.critical(*TIMED)
    words = []
    if out := [line.medicine for line in lines if not line.in_bag and not line.plan]:
        words.append(f"Not known to be in the bag, no plan: {', '.join(dict.fromkeys(out))}")
    if undue := [line.medicine for line in lines if not line.next_due]:
        words.append(f"No next dose: {', '.join(dict.fromkeys(undue))}")
    if words:
        return Verdict.missing(". ".join(words))
    unanswered = facts.unanswered(*TIMED)
    return Verdict.not_established(f"Nobody said yes or no to: {unanswered}") if unanswered else Verdict.met()


def supply(facts: GateInput) -> Verdict:
    bag = facts.stated.bag
    if bag is None:
        return Verdict.missing("Nobody said what is in the bag")
    unplanned = [item.medicine for item in bag.missing if not item.plan]
    unplanned += [line.medicine for line in facts.critical() if line.in_bag is False and not line.plan]
    if unplanned:
        return Verdict.missing(f"Not in the bag, no plan: {', '.join(dict.fromkeys(unplanned))}")
    if bag.nothing_missing is True or bag.missing:
        return Verdict.met()
    return Verdict.not_established("Whether anything is missing from the bag is not said")


def controlled_drugs(facts: GateInput) -> Verdict:
    bag = facts.stated.bag
    counted = bag is not None and bag.controlled.count not in ("", 0)
    if not facts.stated.critical:
        return Verdict.missing("The tick list of critical medicines is empty")
    if facts.unanswered("controlled"):
        return Verdict.not_established("Nobody said whether there is a controlled drug")
    present = facts.critical("controlled")
    if not present:
        return Verdict.missing("The ward says none, and counts some in the bag") if counted else Verdict.met()
    if all(line.in_bag is False and line.plan for line in present):
        return Verdict.met()
    if not counted or bag is None or not bag.controlled.seal:
        return Verdict.missing("No count" if not counted else "No seal number")
    return Verdict.met()


def infection(facts: GateInput) -> Verdict:
    stated = facts.stated.infection
    if stated is None or not stated.status:
        return Verdict.missing()
    if stated.status != "none known" and not stated.text.strip():
        return Verdict.not_established("Which infection, and what to do, is not said")
    return Verdict.met()


def resuscitation(facts: GateInput) -> Verdict:
    stated = facts.stated.resuscitation
    if stated is None or not stated.form:
        return Verdict.missing()
    if stated.form == "unknown":
        return Verdict.not_established("The ward does not know whether a form exists")
    if stated.form == "yes" and stated.original_in_bag is False:
        return Verdict.missing("A form exists and the original is not in the bag")
    if stated.form == "yes" and None in (stated.original_in_bag, stated.valid_outside_hospital):
        return Verdict.not_established("Where the original is, or whether it holds outside hospital, is not said")
    return Verdict.met()


NOT_SAID = ("not known", "unknown", "do not know", "don't know", "not checked")


def _need(facts: GateInput, name: str) -> Verdict:
    """Skin, lines: always said anew, even for a returner."""
    said = str(getattr(facts.stated.nursing, name, "")).strip()
    if not said:
        return Verdict.missing()
    return Verdict.not_established("The ward says that it is not known") if said.lower().rstrip(".") in NOT_SAID else Verdict.met()


def skin(facts: GateInput) -> Verdict:
    return _need(facts, "skin")


def lines_and_tubes(facts: GateInput) -> Verdict:
    return _need(facts, "lines")


def daily_needs(facts: GateInput) -> Verdict:
    """ "Same as before admission, says …" is a full answer unless the person is new to the home."""
    nursing = facts.stated.nursing
    if nursing is None:
        return Verdict.missing()
    names = ("mobility", "eating", "continence", "equipment")
    found = {name: _need(facts, name) for name in names}
    if nursing.same_as_before and facts.leaving.is_returner is not False:
        if not nursing.says:
            return Verdict.not_established("Who says that it is the same as before is not said")
        found = {name: verdict for name, verdict in found.items() if verdict.state is State.NOT_ESTABLISHED}
    for state in (State.MISSING, State.NOT_ESTABLISHED):
        if open_ones := [NURSING_LABELS[name].lower() for name, verdict in found.items() if verdict.state is state]:
            return Verdict(state, f"Not said: {', '.join(open_ones)}")
    return Verdict.met()


def leaving_time(facts: GateInput) -> Verdict:
    if facts.leaving.left_at or len(facts.leaving.expected) > 10:
        return Verdict.met()
    return Verdict.not_established("The day is known, the time is not") if facts.leaving.expected else Verdict.missing()


def gp_practice(facts: GateInput) -> Verdict:
    practice = parts(facts.only("Patient"), "generalPractitioner")
    known = [found for reference in practice if (found := facts.by_url.get(text(reference, "reference"), {}))]
    if not known:
        return Verdict.missing()
    if all(any(text(n, "value") == "V81999" for n in parts(found, "identifier")) for found in known):
        return Verdict.not_established("The practice is recorded as not known")
    return Verdict.met()
