"""Typed looks into plain JSON: never raises, an absent or other-shaped member is empty. Also the NHS number's check digit."""

import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

LONDON = ZoneInfo("Europe/London")
_TEXT = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?)?)?")


def moment(text: str) -> datetime | date | None:
    """A FHIR date or dateTime text as a London datetime, or as a day; None for a month, a year or anything else."""
    if not _TEXT.fullmatch(text):
        return None
    try:
        if "T" in text:
            return datetime.fromisoformat(text).astimezone(LONDON)
        return date.fromisoformat(text) if len(text) == 10 else None
    except (ValueError, OverflowError):
        return None


def day_of(found: datetime | date | None) -> date | None:
    """The London day of a moment."""
    return found.date() if isinstance(found, datetime) else found


def part(value: object, *names: str) -> Mapping[str, object]:
    """The object at the end of a path of member names, else an empty one."""
    found = _at(value, names)
    return found if isinstance(found, (dict, Mapping)) else {}


def parts(value: object, *names: str) -> Sequence[Mapping[str, object]]:
    """The objects of the repeating member at the end of a path."""
    found = _at(value, names)
    return [item for item in found if isinstance(item, (dict, Mapping))] if isinstance(found, (list, tuple)) else []


def text(value: object, *names: str) -> str:
    """The text at the end of a path, else ""."""
    found = _at(value, names)
    return found if isinstance(found, str) else ""


def texts(value: object, *names: str) -> list[str]:
    """The texts of the repeating member at the end of a path."""
    found = _at(value, names)
    return [item for item in found if isinstance(item, str)] if isinstance(found, (list, tuple)) else []


def _at(value: object, names: Sequence[str]) -> object:
    for name in names:
        # Called thousands of times a document: a dict first, for to ask for any Mapping costs five times as much.
        value = value.get(name) if isinstance(value, (dict, Mapping)) else None
    return value


def joined(separator: str, *words: str) -> str:
    """The words that are not empty, with a separator between."""
    return separator.join(filter(None, words))


def concept_text(concept: object) -> str:
    """What a CodeableConcept says in words: its text as the source wrote it, else the first display, else the first code."""
    codings = parts(concept, "coding")
    said = (text(concept, "text"), *(text(c, "display") for c in codings), *(text(c, "code") for c in codings))
    return next(filter(None, said), "")


def codes_of(concept: object, system: str) -> list[str]:
    """The codes of a CodeableConcept in one system."""
    return [text(coding, "code") for coding in parts(concept, "coding") if text(coding, "system") == system]


def same_concept(one: object, other: object) -> bool:
    """Whether two CodeableConcepts share a code of one system, or have exactly the same text."""
    shared = [{(text(c, "system"), text(c, "code")) for c in parts(concept, "coding") if text(c, "code")} for concept in (one, other)]
    return bool(shared[0] & shared[1]) or concept_text(one) == concept_text(other) != ""


def instant_key(moment: str) -> str:
    """A text that sorts FHIR dateTimes by the clock; only for order, never for output. Partial ones sort at their beginning."""
    if len(moment) <= 10:
        return moment
    try:
        read = datetime.fromisoformat(moment)
    except ValueError:
        return moment
    return (read.astimezone(ZoneInfo("UTC")) if read.tzinfo else read).strftime("%Y-%m-%dT%H:%M:%S.%f")


MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December",
)  # fmt: skip


def spoken(moment: str) -> str:
    """A FHIR date or dateTime as a person reads it: "28 November 2026, 18:00". Never moved to another zone: an offset that is not
    London's on that day, and the hour that comes twice in October, keep the offset in brackets. Anything else comes back as it is."""
    try:
        if len(moment) == 10:
            return f"{int(moment[8:])} {MONTHS[int(moment[5:7]) - 1]} {moment[:4]}"
        read = datetime.fromisoformat(moment)
    except (ValueError, IndexError):
        return moment
    if len(moment) < 16:
        return moment
    said = f"{read.day} {MONTHS[read.month - 1]} {read.year}, {read:%H:%M}"
    plain = read.replace(tzinfo=None)
    in_london = {plain.replace(tzinfo=LONDON, fold=fold).utcoffset() for fold in (0, 1)}
    if read.tzinfo is None:
        return f"{said} (zone not given)"
    return said if in_london == {read.utcoffset()} else f"{said} ({read.tzname()})"


def is_one_person(one: object, other: object) -> bool:
    """Whether two Patients can be the same person: NHS numbers and dates of birth agree where both say them."""
    numbers = [
        {text(n, "value") for n in parts(patient, "identifier") if text(n, "system") == "https://fhir.nhs.uk/Id/nhs-number"}
        for patient in (one, other)
    ]
    born = sorted((text(one, "birthDate"), text(other, "birthDate")), key=len)
    return not (all(numbers) and numbers[0] != numbers[1]) and born[1].startswith(born[0])


def is_nhs_number(number: str) -> bool:
    """Ten digits whose last is the modulus-11 check digit (NHS data dictionary)."""
    if len(number) != 10 or not (number.isascii() and number.isdigit()):
        return False
    check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(number[:9])) % 11
    return check % 11 == int(number[9]) and check != 10
