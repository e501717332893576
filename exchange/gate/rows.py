"""What ought to arrive with a person: the 46 rows of the dataset (dataset.md 1), so that nobody believes a row was checked that no rule
looks at yet."""

from collections.abc import Sequence

from exchange.gate.rules import RULES

ROWS = {
    "01": "NHS number, name and date of birth", "02": "the receiving home", "03": "day and time of leaving",
    "04": "destination and pathway", "05": "returning or new resident", "06": "ward, consultant, author, who signed and when",
    "07": "the contact that answers now", "08": "GP practice, next of kin", "09": "reason for admission, main diagnosis, what happened",
    "10": "allergies and reactions", "11": "the complete list of medicines", "12": "what became of each medicine, and why",
    "13": "what each medicine is for", "14": "as-needed medicines: when, how much, how often", "15": "duration, stop date, who continues",
    "16": "the last dose", "17": "the next dose as the hospital says it", "18": "time-critical medicines", "19": "supply of each medicine",
    "20": "controlled drugs", "21": "insulin: device, dose, hypo plan, last glucose", "22": "anticoagulant: indication, INR, next test",
    "23": "covert, crushed or by tube", "24": "monitoring, results awaited, follow-up and who does it",
    "25": "community referrals made", "26": "infection", "27": "skin", "28": "equipment needed and delivered", "29": "moving",
    "30": "falls, cognition, behaviour", "31": "eating and drinking", "32": "weight", "33": "continence and catheter",
    "34": "feeding tube", "35": "cannula and lines", "36": "resuscitation form", "37": "capacity, DoLS, power of attorney",
    "38": "end of life: anticipatory medicines", "39": "observations", "40": "communication, aids, adjustments",
    "41": "belongings and bag", "42": "transport", "43": "family told, consent to share", "44": "funding and placement",
    "45": "copies sent", "46": "version, what it replaces, digest",
}  # fmt: skip
# Where it is asked for in public, by row; "our judgement" where nothing public was found.
SOURCES = {
    "01": "NICE SC1 and NG5; NHS Discharge Medicines Service, minimum data",
    "02": "ODS: a single-site provider has two codes",
    "03": "Transfer of Care R4 guide: discharge date 1..1",
    "04": "Transfer of Care R4 guide; DHSC discharge guidance",
    "05": "CQC: medicines reconciliation",
    "06": "ITK3 eDischarge: discharging details",
    "07": "NHS Discharge Medicines Service: contact for queries",
    "08": "NICE NG5",
    "09": "PRSB eDischarge summary: clinical summary, diagnoses",
    "10": "Transfer of Care R4 guide: allergies mandatory; SNOMED CT 716186003, 409137002",
    "11": "NICE SC1 and QS85",
    "12": "NICE NG5; NHS Discharge Medicines Service",
    "13": "NICE NG5: what it is taken for",
    "14": "NICE SC1: as-needed medicines",
    "15": "NHS Discharge Medicines Service: duration",
    "16": "NICE NG5: date and time of the last dose",
    "17": "our judgement: the hospital's own words, never worked out",
    "18": "Parkinson's UK: within 30 minutes",
    "19": "NHS Standard Contract: 7 days",
    "20": "CQC: controlled drugs in adult social care",
    "21": "HSSIB 2025: insulin after discharge",
    "22": "HSIB: two anticoagulants",
    "24": "PRSB: plan and requested actions",
    "26": "Code of practice on the prevention of infections, criterion 4",
    "27": "RNAO: transfer content",
    "28": "DHSC: delays for equipment",
    "33": "HSSIB 2025: catheter",
    "34": "CQC: enteral feeding",
    "35": "Ombudsman: unsafe discharge, issue 3",
    "36": "Red bag evaluation; Healthwatch Rochdale",
    "37": "Deprivation of liberty: the managing authority applies",
    "38": "PRSB interview: supply at the end of life",
    "42": "DHSC: delays for transport",
}
# These no rule asks because nothing could leave without them.
ALWAYS = {"46": "every version has a number, the digest of the one before it, and a signature"}


def rows_of(rule_row: str) -> list[str]:
    """The rows that a rule's `row` names."""
    return rule_row.split(", ")


def not_yet_evaluated() -> Sequence[tuple[str, str]]:
    """(row, words) of each row that no rule looks at, in order."""
    seen = {row for rule in RULES for row in rows_of(rule.row)} | ALWAYS.keys()
    return [(row, words) for row, words in ROWS.items() if row not in seen]
