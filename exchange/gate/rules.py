"""The rules as a table: each row says whose it is, the words for the home, what closes it, and names a plain function in verdicts.py.

Source: practice.md 4 (default policy) and the rows of dataset.md 1. There is no expression language.
"""

from collections.abc import Callable
from typing import NamedTuple

from exchange.gate import verdicts
from exchange.gate.facts import Force, GateInput, Leaving, Owner, Profile, State, Verdict

__all__ = ["RULES", "RULE_SET", "RULE_SET_VERSION", "Force", "GateInput", "Leaving", "Owner", "Profile", "Rule", "State", "Verdict"]

RULE_SET = "wardpost-default"
RULE_SET_VERSION = "1"


class Rule(NamedTuple):
    """One row. `id` is stable for ever; `row` the gate row of dataset.md 1; `what` and `why` are words for the home, `closes` what
    ends the gap; `in_letter_only` whether a feed of profile "letter only" is asked for it."""

    id: str
    row: str
    title: str
    owner: Owner
    what: str
    why: str
    closes: str
    force: Force
    verdict: Callable[[GateInput], Verdict]
    source: str = "practice.md 4, dataset.md 1"
    since: str = "1"
    in_letter_only: bool = False


STOP, WARN = Force.STOP, Force.WARN
WARD, PHARMACY, DOCTOR, DESK = Owner.WARD, Owner.PHARMACY, Owner.DOCTOR, Owner.DISCHARGE_CONTACT

RULES = (
    Rule(
        "01-identity", "01", "Who it is", DESK,
        "NHS number, name and date of birth",
        "Papers of the wrong person do harm.",
        "The hospital's system sends a traced NHS number, the name and the date of birth.",
        STOP, verdicts.identity, in_letter_only=True,
    ),
    Rule(
        "02-site", "02", "Which home", DESK,
        "The home that these papers are for",
        "Two homes can have nearly one name.",
        "A named person picks the home.",
        STOP, verdicts.site, in_letter_only=True,
    ),
    Rule(
        "03-leaving-time", "03", "When", WARD,
        "The time of leaving",
        "The home has to have staff at the door.",
        "The ward says the day and the hour.",
        WARN, verdicts.leaving_time,
    ),
    Rule(
        "06-signed-letter", "06", "Signed letter", DOCTOR,
        "The signed discharge letter",
        "An unsigned draft can still change.",
        "A doctor signs the letter and the system sends it.",
        STOP, verdicts.signed_letter, in_letter_only=True,
    ),
    Rule(
        "07-contact", "07", "Number that answers", WARD,
        "A number that is answered now",
        "At 2 am a switchboard does not help.",
        "The ward gives a number and its hours.",
        STOP, verdicts.contact,
    ),
    Rule(
        "08-gp", "08", "GP practice", WARD,
        "The GP practice",
        "Without a practice nobody prescribes on Monday.",
        "The ward names the practice, or says that a new one is needed.",
        WARN, verdicts.gp_practice,
    ),
    Rule(
        "10-allergies", "10", "Allergies", WARD,
        "Allergies, or that none are known",
        "A blank is not the same as none.",
        "The ward lists them or says which were asked: drug, food, latex.",
        STOP, verdicts.allergies,
    ),
    Rule(
        "11-medicines-list", "11", "Full list of medicines", DOCTOR,
        "The full list of medicines",
        "A list of new medicines is not the whole list.",
        "The ward says that the signed letter holds the full list.",
        STOP, verdicts.medicines_list,
    ),
    Rule(
        "12-medicines-changes", "12", "What changed", PHARMACY,
        "Which medicines were stopped, held, new or changed",
        "Old and new given together do harm.",
        "A prescriber or pharmacist says each change, or that nothing changed.",
        STOP, verdicts.medicines_changes,
    ),
    Rule(
        "12-change-reasons", "12", "Why it changed", PHARMACY,
        "Why a medicine was changed",
        "The GP and the family will ask.",
        "Reason, and for a held one who restarts it, are said.",
        WARN, verdicts.change_reasons,
    ),
    Rule(
        "16-last-dose", "16", "Last dose of critical medicines", WARD,
        "The last dose of critical medicines",
        "Without it the next one is doubled or left out.",
        "The ward answers for every kind of critical medicine, with the last dose.",
        STOP, verdicts.last_dose,
    ),
    Rule(
        "18-time-critical", "18", "On time and in the bag", WARD,
        "Medicines that must be on time: in the bag, next dose known",
        "A late dose can put the person back in hospital.",
        "They are in the bag, or a plan says how they come; the next dose is said.",
        STOP, verdicts.time_critical_in_bag,
    ),
    Rule(
        "19-supply", "19", "Nothing missing without a plan", PHARMACY,
        "Every medicine in the bag, or a plan",
        "Pharmacies are shut at the weekend.",
        "The ward says that nothing is missing, or each missing one has a plan.",
        STOP, verdicts.supply,
    ),
    Rule(
        "20-controlled", "20", "Controlled drugs", PHARMACY,
        "Count and seal of controlled drugs",
        "The count has to be witnessed on arrival.",
        "The ward says the count and the seal number.",
        STOP, verdicts.controlled_drugs,
    ),
    Rule(
        "26-infection", "26", "Infection", WARD,
        "Infection, or that none is known",
        "Others in the home can catch it.",
        "The ward says none known, or which and what to do.",
        STOP, verdicts.infection,
    ),
    Rule(
        "27-skin", "27", "Skin", WARD,
        "The skin check",
        "A pressure sore that nobody named looks like neglect.",
        "The ward says what the skin is like today.",
        STOP, verdicts.skin,
    ),
    Rule(
        "28-daily-needs", "28, 29, 31, 33", "Care needs", WARD,
        "Moving, eating and drinking, continence, equipment",
        "The first night goes wrong without it.",
        "The ward says each, or that it is the same as before and who says so.",
        STOP, verdicts.daily_needs,
    ),
    Rule(
        "35-lines", "34, 35", "Lines and tubes", WARD,
        "Lines and tubes: out, or which are in",
        "People have come home with a cannula in the arm.",
        "The ward says that all lines are out, or names each.",
        STOP, verdicts.lines_and_tubes,
    ),
    Rule(
        "36-resuscitation", "36", "Resuscitation form", DOCTOR,
        "Whether a resuscitation form exists and travels",
        "Without the form an ambulance will resuscitate.",
        "The ward says yes or no; the original is in the bag.",
        STOP, verdicts.resuscitation,
    ),
)  # fmt: skip
