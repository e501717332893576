"""The rules' functions that look at medicines: the list, what changed, last and next doses, the bag, the critical kinds (practice.md 3)."""

import re
from collections.abc import Callable, Collection

from exchange.fhir import codes
from exchange.fhir.content import Medicine
from exchange.fhir.shape import part, parts, text
from exchange.fhir.words import directions, medicine_name
from exchange.gate.critical import critical_classes
from exchange.gate.facts import MET, Found, GateInput, State, Verdict, missing, not_established
from exchange.gate.verdicts import signed_letter

TIMED = ("time-critical", "insulin", "anticoagulant")
ENOUGH_DAYS = 7
# Words of a list's directions, as labels have them.
_AS_NEEDED = re.compile(r"\b(?:when|if|as)\s+(?:needed|required|necessary)\b|\bprn\b", re.I)
_AT_MOST = re.compile(r"\b(?:up to|max\.?|maximum|at most|no more than|not more than)\b", re.I)
_STEPS = re.compile(r"\b(?:then|reduc\w+|followed by|step|down (?:by|to))\b|\n", re.I)
_HOW_LONG = re.compile(
    r"\bfor\s+\w+\s+(?:days?|weeks?|months?)\b|\b(?:until|till|course|ongoing|long[ -]term|lifelong|continue|review|stop (?:on|after))\b",
    re.I,
)
NO_TICKS = "The tick list of critical medicines is empty"


def _named(*problems: tuple[str, Collection[str]]) -> str:
    """A sentence for each problem that names its medicines; "" when none has any."""
    return ". ".join(f"{words}: {', '.join(medicines)}" for words, medicines in problems if medicines)


def _none(words: str, medicines: Collection[str], otherwise: Verdict = MET) -> Verdict:
    """Missing for the medicines that are named, else the other verdict."""
    return missing(_named((words, medicines))) if medicines else otherwise


def _of_list(facts: GateInput, words: str, is_bare: Callable[[Medicine], bool]) -> Verdict:
    if not facts.content.has_list:
        return not_established("There is no list to look at")
    return _none(words, [medicine_name(medicine) for medicine in facts.content.medicines if is_bare(medicine)])


def _has_reason(medicine: Medicine) -> bool:
    return bool(parts(medicine.resource, "reasonCode") or parts(medicine.resource, "statusReason"))


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
        return _of_list(facts, "No reason", lambda m: m.change not in ("", "unchanged") and not parts(m.resource, "statusReason"))
    if changes is None:
        return missing()
    if changes.nothing_changed is None and not changes.lines:
        return not_established("What changed is not said")
    return _none("No reason", [line.medicine for line in changes.lines if line.status != "unchanged" and not line.reason])


def last_dose(facts: GateInput) -> Verdict:
    if not facts.content.stated.critical:
        return missing(NO_TICKS)
    blank = dict.fromkeys(line.medicine for line in facts.critical() if not line.last_dose)
    return _none("No last dose", blank, _all_answered(facts))


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


def held_restart(facts: GateInput) -> Verdict:
    """Who restarts a held medicine, and when: by the ward's line, or words beside it in the list."""
    changes = facts.content.stated.changes
    lines = changes.lines if changes else ()
    silent = [line.medicine for line in lines if line.status == "held" and not line.restart]
    told = {line.medicine for line in lines}
    held = [medicine for medicine in facts.content.medicines if medicine.change == "held" and medicine_name(medicine) not in told]
    beside = {line.note for line in facts.content.stated.critical or ()}  # a tick's note says other things
    notes = {id(medicine): {text(note, "text") for note in parts(medicine.resource, "note")} - beside for medicine in held}
    silent += [medicine_name(medicine) for medicine in held if not notes[id(medicine)]]
    is_told = facts.content.has_list or (changes is not None and (changes.nothing_changed or lines))
    otherwise = MET if is_told else not_established("Whether a medicine is held is not said")
    return _none("Who restarts it and when is not said", silent, otherwise)


def indication(facts: GateInput) -> Verdict:
    return _of_list(facts, "Not said what it is for", lambda m: m.change != "stopped" and not _has_reason(m))


def taper_steps(facts: GateInput) -> Verdict:
    """Of a dose that goes down: the steps stand in its directions. Nobody works them out."""
    if not facts.content.has_list and facts.content.stated.changes is None:
        return not_established("Whether a dose goes down in steps is not said")
    falling = [medicine for medicine in facts.content.medicines if medicine.change == "tapering"]
    return _none(
        "The steps are not said",
        [medicine_name(m) for m in falling if len(parts(m.resource, "dosage")) < 2 and not _STEPS.search(directions(m))],
    )


def as_needed(facts: GateInput) -> Verdict:
    """Of a list's as-needed medicines: the most in 24 hours, coded or in the directions' words."""

    def is_bare(dose: Found) -> bool:
        is_needed = dose.get("asNeededBoolean") is True or dose.get("asNeededCodeableConcept") or _AS_NEEDED.search(text(dose, "text"))
        return bool(is_needed) and not dose.get("maxDosePerPeriod") and not _AT_MOST.search(text(dose, "text"))

    return _of_list(
        facts,
        "The most in 24 hours is not said",
        lambda m: m.change not in codes.NOT_TO_GIVE and any(map(is_bare, parts(m.resource, "dosage"))),
    )


def duration(facts: GateInput) -> Verdict:
    """Of a list's new medicines: until when, or that it goes on; coded or in words."""

    def is_bare(medicine: Medicine) -> bool:
        resource = medicine.resource
        coded = [name for dose in parts(resource, "dosage") for name in part(dose, "timing", "repeat")]
        said = [text(each, "text") for name in ("dosage", "note", "reasonCode", "statusReason") for each in parts(resource, name)]
        is_coded = text(resource, "effectivePeriod", "end") or any(name.startswith(("bounds", "count")) for name in coded)
        return medicine.change == "new" and not is_coded and not _HOW_LONG.search(" ".join(said))

    return _of_list(facts, "How long is not said", is_bare)


def chart_copy(facts: GateInput) -> Verdict:
    said = facts.content.stated.last_doses
    if said is None:
        return missing()
    if said.chart_copy_in_bag is None:
        return not_established("Whether it is in the bag is not said")
    return MET if said.chart_copy_in_bag else missing("The ward says that no copy of the chart is in the bag")


def next_dose(facts: GateInput) -> Verdict:
    """Of the critical medicines that need not be on time to the half hour: those are asked by 18-time-critical."""
    if not facts.content.stated.critical:
        return not_established(NO_TICKS)
    blank = dict.fromkeys(line.medicine for line in facts.critical() if line.kind not in TIMED and not line.next_due)
    return _none("No next dose", blank)


def supply_lasts(facts: GateInput) -> Verdict:
    """Seven days: the shortest supply that the ward counts (dataset.md 1, row 19)."""
    bag = facts.content.stated.bag
    if bag is None:
        return missing()
    days = bag.shortest_supply_days
    if days is None:
        return not_established("For how many days is not said")
    return missing(f"The shortest supply is for {days} days") if days < ENOUGH_DAYS else MET


def insulin(facts: GateInput) -> Verdict:
    return _noted(facts, "insulin", "Device, who gives it, hypo plan and last glucose are not said")


def anticoagulant(facts: GateInput) -> Verdict:
    """What it is for may stand in the list; of warfarin the INR and its next test have to be said."""
    names = {medicine_name(medicine) for medicine in facts.content.medicines if _has_reason(medicine)}
    known = {name for name in names if "warfarin" not in name.lower()}
    return _noted(facts, "anticoagulant", "What it is for, and for warfarin INR and next test, is not said", known)


def _noted(facts: GateInput, kind: str, words: str, known: Collection[str] = ()) -> Verdict:
    if facts.unanswered(kind):
        return not_established("Nobody said whether there is one")
    bare = dict.fromkeys(line.medicine for line in facts.critical(kind) if not line.note and line.medicine not in known)
    return _none(words, bare)


def tick_matches_list(facts: GateInput) -> Verdict:
    """A medicine of the list that our table counts to a kind must not be of a kind to which the ward said no. The table answers for
    nobody: what it does not know is not established, and the ward's tick list decides."""
    denied = {line.kind for line in facts.content.stated.critical or () if not line.present}
    given = [medicine_name(m) for m in facts.content.medicines if m.change not in codes.NOT_TO_GIVE]
    unsaid = sorted({name for name in given if critical_classes(name)}) if facts.content.stated.critical is None else []
    otherwise = not_established(_named(("By its name critical, not confirmed", unsaid))) if unsaid else MET
    return _none("The ward says that there is none of its kind", [name for name in given if denied & critical_classes(name)], otherwise)
