"""The rules as a table: each row says whose it is, the words for the home, what closes it, and names a plain function in verdicts.py.

Which rules stop is the default policy; the public source of each row stands in rows.py. There is no expression language.
"""

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from exchange.gate import medicines, verdicts
from exchange.gate.facts import GateInput, Profile, State, Verdict, Who

__all__ = ["RULES", "RULE_SET", "RULE_SET_VERSION", "STRICT", "STRICT_SET", "Force", "Owner", "Profile", "Rule", "State", "Who"]

RULE_SET, STRICT_SET, RULE_SET_VERSION = "wardpost-default", "wardpost-strict", "3"
# What the strict policy lets count on the badge, too: dataset.md 1 as written, as far as rules look.
STRICT = ("03-leaving-time", "04-destination", "05-who-comes", "07-medicines-line", "09-what-happened", "14-as-needed", "15-taper-steps",
          "24-follow-up")  # fmt: skip
# Who fixes it.
Owner = Literal["ward", "pharmacy", "doctor", "discharge contact"]
# STOP counts on the badge; WARN is shown as "not given" so that the home can ask; "" is not asked.
Force = Literal["STOP", "WARN", ""]


# By which profiles a rule is asked: by all, by those that ask more than a letter, of a list alone.
ALWAYS = tuple(Profile)
MORE = (Profile.LETTER_AND_CHECKED, Profile.STRUCTURED, Profile.EMERGENCY_RETURN)
LISTED = (Profile.STRUCTURED,)
SAME: Mapping[Who, Force] = {}


class Rule(NamedTuple):
    """One row. `id` is stable for ever; `row` the gate row of dataset.md 1; `what` and `why` are words for the home, `closes` what
    ends the gap; `asked_by` the profiles that ask it; `force_for` its class for some people, where it differs ("" does not apply);
    `in_last_day` its class from 24 hours before leaving; `asks_with` the rule whose question establishes its condition, so that one
    blank asks once; `since` the rule set version that brought it."""

    id: str
    row: str
    title: str
    owner: Owner
    force: Force
    verdict: Callable[[GateInput], Verdict]
    what: str
    why: str
    closes: str
    asked_by: tuple[Profile, ...] = MORE
    force_for: Mapping[Who, Force] = SAME
    in_last_day: Force = ""
    asks_with: str = ""
    since: str = "1"


NEW_STOP: Mapping[Who, Force] = {Who.NEW_RESIDENT: "STOP", Who.EMERGENCY_RETURN: ""}
NO_EMERGENCY: Mapping[Who, Force] = {Who.EMERGENCY_RETURN: ""}
EMERGENCY_WARN: Mapping[Who, Force] = {Who.EMERGENCY_RETURN: "WARN"}
EMERGENCY_STOP: Mapping[Who, Force] = {Who.EMERGENCY_RETURN: "STOP"}
END_OF_LIFE: Mapping[Who, Force] = {Who.END_OF_LIFE: "STOP"}
_CRITICAL, _LINES = "16-last-dose", "35-lines"

RULES = (
    Rule("01-identity", "01", "Who it is", "discharge contact", "STOP", verdicts.identity, asked_by=ALWAYS,
         what="NHS number, name and date of birth", why="Papers of the wrong person do harm.",
         closes="The hospital's system sends a traced NHS number, the name and the date of birth."),
    Rule("02-site", "02", "Which home", "discharge contact", "STOP", verdicts.site, asked_by=ALWAYS,
         what="The home that these papers are for", why="Two homes can have nearly one name.",
         closes="A named person picks the home."),
    Rule("03-leaving-time", "03", "When", "ward", "WARN", verdicts.leaving_time, in_last_day="STOP",
         what="The time of leaving", why="The home has to have staff at the door.",
         closes="The ward says the day and the hour."),
    Rule("04-destination", "04", "Where to, by code", "discharge contact", "WARN", verdicts.destination, asked_by=LISTED,
         since="3", what="The code of the discharge destination", why="It says how the hospital counts this move.",
         closes="The hospital's system sends it; nobody works it out."),
    Rule("05-who-comes", "05", "Returning or new", "ward", "WARN", verdicts.coming_back,
         since="2", what="Whether the person returns or is new to the home", why="A new resident has no notes in the home to go back to.",
         closes="The ward says: returns, new, or back from A&E."),
    Rule("06-signed-letter", "06", "Signed letter", "doctor", "STOP", verdicts.signed_letter, asked_by=ALWAYS,
         what="The signed discharge letter", why="An unsigned draft can still change.",
         closes="A doctor signs the letter and the system sends it."),
    Rule("06-consultant", "06", "Consultant", "discharge contact", "WARN", verdicts.consultant, force_for=NO_EMERGENCY,
         since="2", what="The consultant", why="The GP has to know whom to ask.",
         closes="The hospital's system sends the consultant."),
    Rule("07-contact", "07", "Number that answers", "ward", "STOP", verdicts.contact,
         what="A number that is answered now", why="At 2 am a switchboard does not help.",
         closes="The ward gives a number and its hours."),
    Rule("07-medicines-line", "07", "Medicines line", "pharmacy", "WARN", verdicts.medicines_line, force_for=NO_EMERGENCY,
         since="2", what="A number for questions about medicines, with its hours", why="The ward may not know why a medicine changed.",
         closes="The ward gives the pharmacy's number and hours."),
    Rule("08-gp", "08", "GP practice", "ward", "WARN", verdicts.gp_practice, force_for=NEW_STOP,
         what="The GP practice", why="Without a practice nobody prescribes on Monday.",
         closes="The ward names the practice, or says who finds a new one."),
    Rule("08-next-of-kin", "08", "Next of kin", "ward", "WARN", verdicts.next_of_kin,
         since="2", what="Next of kin, with a number", why="The home has to be able to ring somebody.",
         closes="The hospital's system sends a next of kin with a number."),
    Rule("09-what-happened", "09", "What happened", "doctor", "WARN", verdicts.what_happened, asked_by=LISTED,
         since="2", what="Main diagnosis and what happened", why="The home cannot watch for what it does not know.",
         closes="The structured letter names the diagnosis."),
    Rule("10-allergies", "10", "Allergies", "ward", "STOP", verdicts.allergies,
         what="Allergies, or that none are known", why="A blank is not the same as none.",
         closes="The ward lists them or says which were asked: drug, food, latex."),
    Rule("11-medicines-list", "11", "Full list of medicines", "doctor", "STOP", medicines.medicines_list, force_for=NO_EMERGENCY,
         what="The full list of medicines", why="A list of new medicines is not the whole list.",
         closes="The ward says that the signed letter holds the full list."),
    Rule("12-medicines-changes", "12", "What changed", "pharmacy", "STOP", medicines.medicines_changes,
         what="Which medicines were stopped, held, new or changed", why="Old and new given together do harm.",
         closes="A prescriber or pharmacist says each change, or that nothing changed."),
    Rule("12-change-reasons", "12", "Why it changed", "pharmacy", "WARN", medicines.change_reasons,
         what="Why a medicine was changed", why="The GP and the family will ask.",
         closes="Reason, and for a held one who restarts it, are said."),
    Rule("12-held-restart", "12", "Who restarts it", "pharmacy", "WARN", medicines.held_restart,
         since="2", what="Who restarts a held medicine, and when", why="A held medicine is forgotten, or given too soon.",
         closes="A prescriber or pharmacist says who restarts it and when."),
    Rule("13-what-for", "13", "What it is for", "pharmacy", "WARN", medicines.indication, asked_by=LISTED, force_for=NO_EMERGENCY,
         since="2", what="What each medicine is for", why="Nobody gives an as-needed medicine without knowing what for.",
         closes="The list says it for each medicine."),
    Rule("14-as-needed", "14", "The most in a day", "pharmacy", "WARN", medicines.as_needed, asked_by=LISTED, force_for=NO_EMERGENCY,
         since="3", what="The most in 24 hours of each as-needed medicine", why="Carers cannot give it, or give too much.",
         closes="The directions of the list say it."),
    Rule("15-how-long", "15", "How long", "pharmacy", "WARN", medicines.duration, asked_by=LISTED, force_for=NO_EMERGENCY,
         since="3", what="How long each new medicine goes on", why="A course runs on, or stops too early.",
         closes="The list says until when, or that it goes on."),
    Rule("15-taper-steps", "15", "Steps of a dose that goes down", "pharmacy", "WARN", medicines.taper_steps,
         asks_with="12-medicines-changes", since="3", what="Each step of a dose that goes down", why="The home must not work it out.",
         closes="The directions say each step and its days."),
    Rule("16-last-dose", "16", "Last dose of critical medicines", "ward", "STOP", medicines.last_dose, force_for=NO_EMERGENCY,
         what="The last dose of critical medicines", why="Without it the next one is doubled or left out.",
         closes="The ward answers for every kind of critical medicine, with the last dose."),
    Rule("16-kinds-agree", "16, 18", "Kinds of critical medicine", "pharmacy", "STOP",
         medicines.tick_matches_list, force_for=NO_EMERGENCY, asks_with=_CRITICAL,
         since="2", what="The ward's tick list and the list of medicines agree",
         why="A critical medicine that is overlooked is given late or twice.",
         closes="A pharmacist corrects the tick list, or the list."),
    Rule("16-chart-copy", "16", "Other last doses", "ward", "WARN", medicines.chart_copy, force_for=NO_EMERGENCY,
         since="2", what="A copy of the drug chart in the bag", why="It holds the last dose of every other medicine.",
         closes="The ward puts it into the bag and says so."),
    Rule("16-given-today", "16", "Given today", "ward", "", verdicts.said("plan", "given"), force_for=EMERGENCY_STOP,
         since="2", what="What was given today, and when", why="The evening dose is doubled or left out.",
         closes="The ward says what was given and when, or none."),
    Rule("17-next-dose", "17", "Next dose", "ward", "WARN", medicines.next_dose, force_for=NO_EMERGENCY, asks_with=_CRITICAL,
         since="2", what="The next dose of critical medicines, as the hospital says it", why="The home must not work it out.",
         closes="The ward says when the chart has it next."),
    Rule("18-time-critical", "18", "On time and in the bag", "ward", "STOP", medicines.time_critical_in_bag, force_for=NO_EMERGENCY,
         what="Medicines that must be on time: in the bag, next dose known", why="A late dose can put the person back in hospital.",
         closes="They are in the bag, or a plan says how they come; the next dose is said."),
    Rule("19-supply", "19", "Nothing missing without a plan", "pharmacy", "STOP", medicines.supply, force_for=NO_EMERGENCY,
         what="Every medicine in the bag, or a plan", why="Pharmacies are shut at the weekend.",
         closes="The ward says that nothing is missing, or each missing one has a plan."),
    Rule("19-supply-lasts", "19", "Supply lasts", "pharmacy", "WARN", medicines.supply_lasts, force_for=NO_EMERGENCY,
         since="2", what="Medicines for seven days", why="A GP and a pharmacy need days to supply more.",
         closes="The ward counts the days of the shortest supply."),
    Rule("20-controlled", "20", "Controlled drugs", "pharmacy", "STOP", medicines.controlled_drugs, force_for=NO_EMERGENCY,
         what="Count and seal of controlled drugs", why="The count has to be witnessed on arrival.",
         closes="The ward says the count and the seal number."),
    Rule("21-insulin", "21", "Insulin", "ward", "STOP", medicines.insulin, force_for=NO_EMERGENCY, asks_with=_CRITICAL,
         since="2", what="Insulin: device, who gives it, hypo plan, last glucose", why="Not every home may inject.",
         closes="The ward writes it beside the insulin, or says that there is none."),
    Rule("22-blood-thinner", "22", "Blood thinner", "pharmacy", "STOP",
         medicines.anticoagulant, force_for=NO_EMERGENCY, asks_with=_CRITICAL,
         since="2", what="Blood thinner: what for, and for warfarin INR and next test", why="People have been given two at once for weeks.",
         closes="What it is for stands in the list or beside it."),
    Rule("24-follow-up", "24", "Follow-up", "doctor", "WARN", verdicts.follow_up, force_for=EMERGENCY_STOP,
         since="2", what="Follow-up and who does it, or none", why="What nobody owns is not done.",
         closes="A doctor says who does what by when, or none."),
    Rule("26-infection", "26", "Infection", "ward", "STOP", verdicts.infection, force_for=EMERGENCY_WARN,
         what="Infection, or that none is known", why="Others in the home can catch it.",
         closes="The ward says none known, or which and what to do."),
    Rule("27-skin", "27", "Skin", "ward", "STOP", verdicts.said("nursing", "skin"), force_for=EMERGENCY_WARN,
         what="The skin check", why="A pressure sore that nobody named looks like neglect.",
         closes="The ward says what the skin is like today."),
    Rule("28-daily-needs", "28, 29, 31, 33", "Care needs", "ward", "STOP", verdicts.daily_needs, force_for=EMERGENCY_WARN,
         what="Moving, eating and drinking, continence, equipment", why="The first night goes wrong without it.",
         closes="The ward says each, or that it is the same as before and who says so."),
    Rule("35-lines", "34, 35", "Lines and tubes", "ward", "STOP", verdicts.said("nursing", "lines"), force_for=EMERGENCY_WARN,
         what="Lines and tubes: out, or which are in", why="People have come home with a cannula in the arm.",
         closes="The ward says that all lines are out, or names each."),
    Rule("33-catheter", "33", "Catheter", "ward", "STOP", verdicts.catheter, force_for=EMERGENCY_WARN, asks_with=_LINES,
         since="2", what="Catheter: type, size, put in when, next change", why="Without a date nobody changes it.",
         closes="The ward says it, or that there is none."),
    Rule("34-feeding-tube", "34", "Feeding tube", "ward", "STOP", verdicts.feeding_tube, force_for=EMERGENCY_WARN, asks_with=_LINES,
         since="2", what="Feeding tube: feed, and enough for three days", why="There is no feed to buy at the weekend.",
         closes="The ward says feed, regimen and days, or that there is none."),
    Rule("36-resuscitation", "36", "Resuscitation form", "doctor", "STOP", verdicts.resuscitation, force_for=EMERGENCY_WARN,
         what="Whether a resuscitation form exists and travels", why="Without the form an ambulance will resuscitate.",
         closes="The ward says yes or no; the original is in the bag."),
    Rule("37-legal", "37", "Capacity and legal status", "doctor", "WARN", verdicts.legal, asked_by=LISTED, force_for=NO_EMERGENCY,
         since="3", what="Capacity, DoLS, power of attorney", why="A home may have to apply before the person arrives.",
         closes="The structured letter has its legal section."),
    Rule("38-anticipatory", "38", "End-of-life medicines", "doctor", "", verdicts.anticipatory, force_for=END_OF_LIFE,
         since="2", what="Anticipatory medicines and their chart", why="At night nobody can give them without the chart.",
         closes="The ward says: in the bag with the chart, or none prescribed."),
    Rule("42-transport", "42", "Transport and escort", "ward", "WARN", verdicts.escort, force_for=EMERGENCY_STOP,
         since="2", what="How the person comes, and who with", why="Somebody has to be at the door.",
         closes="The ward says transport and escort."),
)  # fmt: skip
