"""What a home can say about a version, in plain words: one table of codes, one check of a posted form."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

from exchange.records import Answer

# Reasons why a home cannot take a person. The two that the hospital can mend come first; dataset.md section 6.
CANNOT: Mapping[str, str] = {
    "D05": "The papers are not complete",
    "D06": "The medicines or supplies are not here",
    "D01": "We have no bed",
    "D02": "They need more care than we can give",
    "D03": "We do not have the staff at that time",
    "D04": "We are not registered for this kind of care",
    "D07": "The equipment is not here",
    "D08": "Infection: we have no single room",
    "D09": "They would come too late in the day",
    "D10": "No doctor or GP cover",
    "D11": "Their safety, or the safety of others",
    "D12": "Who pays, or the place, is not agreed",
    "D13": "The person or the family does not want it",
    "D14": "Not our resident, or the wrong home",
    "D15": "We must see the person ourselves first",
    "D16": "We are closed because of an outbreak",
    "D99": "Another reason (write it below)",
}

# What a question can be about; also what an answer with a condition can hang on.
ASK: Mapping[str, str] = {
    "Q01": "The medicines list is missing",
    "Q02": "A medicine is not in the bag",
    "Q03": "What was stopped or changed is not clear",
    "Q04": "Last dose or next dose",
    "Q05": "When to give an “only when needed” medicine",
    "Q06": "The count of a controlled drug",
    "Q07": "Who gives the insulin or injection",
    "Q08": "Blood thinner or INR",
    "Q09": "Allergy",
    "Q10": "Skin",
    "Q11": "Moving and handling",
    "Q12": "Food and drink level",
    "Q13": "Tube or catheter",
    "Q14": "Infection",
    "Q15": "Equipment",
    "Q16": "DNACPR or ReSPECT form",
    "Q17": "Mental capacity or DoLS",
    "Q18": "What happens next, and who does it",
    "Q19": "GP or pharmacy",
    "Q20": "Time of arrival",
    "Q21": "The letter cannot be read",
    "Q22": "Not our resident",
    "Q99": "Something else",
}

MAX_WORDS = 2000


@dataclass(frozen=True, slots=True)
class Tried:
    """A posted answer that was not accepted: shown again with what was typed. `errors`: field name → what to do."""

    kind: str
    fields: Mapping[str, str] = field(default_factory=dict, repr=False)
    conditions: tuple[str, ...] = ()
    errors: Mapping[str, str] = field(default_factory=dict)


def given_words(answer: Answer) -> str:
    """What an answer says after its kind: time, conditions, reason, question."""
    content = json.loads(answer.content.open())
    words = []
    if content.get("at"):
        words.append(f"from {content.get('at_words') or content['at']}")
    if answer.reason_code:
        words.append({**CANNOT, **ASK}.get(answer.reason_code, answer.reason_code))
    if content.get("conditions"):
        words.append("only if put right first: " + ", ".join(map(str, content["conditions"])))
    if content.get("note"):
        words.append(str(content["note"]))
    return ". ".join(words)


def _is_day(text: str) -> bool:
    try:
        return bool(re.fullmatch(r"\d{4}-\d\d-\d\d", text, re.ASCII)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def mistakes(kind: str, fields: Mapping[str, str], *, planned_known: bool) -> dict[str, str]:
    """What is wrong with a posted answer, field → sentence in plain words; empty when it can be taken.

    Fields: can_take `when` (planned, other), `day` (ISO date), `time` (HH:MM); cannot `reason`, `note`; ask `topic`, `question`.
    """
    found: dict[str, str] = {}
    said = {name: value.strip() for name, value in fields.items()}
    match kind:
        case "seen" | "ours":
            pass
        case "can_take":
            when = said.get("when", "")
            if when not in ("planned", "other") or (when == "planned" and not planned_known):
                found["when"] = "Say when you can take the person"
            elif when == "other":
                if not _is_day(said.get("day", "")):
                    found["day"] = "Choose the day"
                if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", said.get("time", ""), re.ASCII):
                    found["time"] = "Write the time, for example 08:00"
        case "cannot":
            if said.get("reason", "") not in CANNOT:
                found["reason"] = "Choose why you cannot take the person"
            elif said["reason"] == "D99" and not said.get("note"):
                found["note"] = "Write the reason"
        case "ask":
            if said.get("topic", "") not in ASK:
                found["topic"] = "Choose what the question is about"
            if not said.get("question"):
                found["question"] = "Write your question"
        case _:
            found["kind"] = "Choose one of the answers"
    for name in ("note", "question"):
        if len(said.get(name, "")) > MAX_WORDS:
            found[name] = f"Write {MAX_WORDS} letters or fewer"
    return found
