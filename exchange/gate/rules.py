"""The rules as a table: each row says whose it is, the words for the home, what closes it, and names a plain function in verdicts.py.

Source: practice.md 4 (default policy) and the rows of dataset.md 1. There is no expression language.
"""

from collections.abc import Callable
from functools import partial
from typing import Literal, NamedTuple

from exchange.gate import verdicts
from exchange.gate.facts import GateInput, Profile, State, Verdict

__all__ = ["RULES", "RULE_SET", "RULE_SET_VERSION", "Force", "Owner", "Profile", "Rule", "State"]

RULE_SET, RULE_SET_VERSION = "wardpost-default", "1"
# Who fixes it.
Owner = Literal["ward", "pharmacy", "doctor", "discharge contact"]
# STOP counts on the badge; WARN is shown as "not given" so that the home can ask.
Force = Literal["STOP", "WARN"]


class Rule(NamedTuple):
    """One row. `id` is stable for ever; `row` the gate row of dataset.md 1; `what` and `why` are words for the home, `closes` what
    ends the gap; `in_letter_only` whether a feed of profile "letter only" is asked for it; `since` the rule set version that brought it."""

    id: str
    row: str
    title: str
    owner: Owner
    force: Force
    verdict: Callable[[GateInput], Verdict]
    what: str
    why: str
    closes: str
    in_letter_only: bool = False
    source: str = "practice.md 4, dataset.md 1"
    since: str = "1"


RULES = (
    Rule("01-identity", "01", "Who it is", "discharge contact", "STOP", verdicts.identity, in_letter_only=True,
         what="NHS number, name and date of birth", why="Papers of the wrong person do harm.",
         closes="The hospital's system sends a traced NHS number, the name and the date of birth."),
    Rule("02-site", "02", "Which home", "discharge contact", "STOP", verdicts.site, in_letter_only=True,
         what="The home that these papers are for", why="Two homes can have nearly one name.",
         closes="A named person picks the home."),
    Rule("03-leaving-time", "03", "When", "ward", "WARN", verdicts.leaving_time,
         what="The time of leaving", why="The home has to have staff at the door.",
         closes="The ward says the day and the hour."),
    Rule("06-signed-letter", "06", "Signed letter", "doctor", "STOP", verdicts.signed_letter, in_letter_only=True,
         what="The signed discharge letter", why="An unsigned draft can still change.",
         closes="A doctor signs the letter and the system sends it."),
    Rule("07-contact", "07", "Number that answers", "ward", "STOP", verdicts.contact,
         what="A number that is answered now", why="At 2 am a switchboard does not help.",
         closes="The ward gives a number and its hours."),
    Rule("08-gp", "08", "GP practice", "ward", "WARN", verdicts.gp_practice,
         what="The GP practice", why="Without a practice nobody prescribes on Monday.",
         closes="The ward names the practice, or says that a new one is needed."),
    Rule("10-allergies", "10", "Allergies", "ward", "STOP", verdicts.allergies,
         what="Allergies, or that none are known", why="A blank is not the same as none.",
         closes="The ward lists them or says which were asked: drug, food, latex."),
    Rule("11-medicines-list", "11", "Full list of medicines", "doctor", "STOP", verdicts.medicines_list,
         what="The full list of medicines", why="A list of new medicines is not the whole list.",
         closes="The ward says that the signed letter holds the full list."),
    Rule("12-medicines-changes", "12", "What changed", "pharmacy", "STOP", verdicts.medicines_changes,
         what="Which medicines were stopped, held, new or changed", why="Old and new given together do harm.",
         closes="A prescriber or pharmacist says each change, or that nothing changed."),
    Rule("12-change-reasons", "12", "Why it changed", "pharmacy", "WARN", verdicts.change_reasons,
         what="Why a medicine was changed", why="The GP and the family will ask.",
         closes="Reason, and for a held one who restarts it, are said."),
    Rule("16-last-dose", "16", "Last dose of critical medicines", "ward", "STOP", verdicts.last_dose,
         what="The last dose of critical medicines", why="Without it the next one is doubled or left out.",
         closes="The ward answers for every kind of critical medicine, with the last dose."),
    Rule("18-time-critical", "18", "On time and in the bag", "ward", "STOP", verdicts.time_critical_in_bag,
         what="Medicines that must be on time: in the bag, next dose known", why="A late dose can put the person back in hospital.",
         closes="They are in the bag, or a plan says how they come; the next dose is said."),
    Rule("19-supply", "19", "Nothing missing without a plan", "pharmacy", "STOP", verdicts.supply,
         what="Every medicine in the bag, or a plan", why="Pharmacies are shut at the weekend.",
         closes="The ward says that nothing is missing, or each missing one has a plan."),
    Rule("20-controlled", "20", "Controlled drugs", "pharmacy", "STOP", verdicts.controlled_drugs,
         what="Count and seal of controlled drugs", why="The count has to be witnessed on arrival.",
         closes="The ward says the count and the seal number."),
    Rule("26-infection", "26", "Infection", "ward", "STOP", verdicts.infection,
         what="Infection, or that none is known", why="Others in the home can catch it.",
         closes="The ward says none known, or which and what to do."),
    Rule("27-skin", "27", "Skin", "ward", "STOP", partial(verdicts.need, name="skin"),
         what="The skin check", why="A pressure sore that nobody named looks like neglect.",
         closes="The ward says what the skin is like today."),
    Rule("28-daily-needs", "28, 29, 31, 33", "Care needs", "ward", "STOP", verdicts.daily_needs,
         what="Moving, eating and drinking, continence, equipment", why="The first night goes wrong without it.",
         closes="The ward says each, or that it is the same as before and who says so."),
    Rule("35-lines", "34, 35", "Lines and tubes", "ward", "STOP", partial(verdicts.need, name="lines"),
         what="Lines and tubes: out, or which are in", why="People have come home with a cannula in the arm.",
         closes="The ward says that all lines are out, or names each."),
    Rule("36-resuscitation", "36", "Resuscitation form", "doctor", "STOP", verdicts.resuscitation,
         what="Whether a resuscitation form exists and travels", why="Without the form an ambulance will resuscitate.",
         closes="The ward says yes or no; the original is in the bag."),
)  # fmt: skip
