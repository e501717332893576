"""What the service knows outside the Bundle, as plain frozen data: the input of the pages.

Instants are aware datetimes; clinical days and times are FHIR texts as the source wrote them. URLs are made by the web layer.
"""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from exchange.model import AnswerKind
from exchange.web.home.answers import Tried


class Mark(StrEnum):
    """The badge of a version. Withdrawn stands over the three of the gate, held is for the hospital's own pages."""

    COMPLETE = "complete"
    MISSING = "missing"
    LETTER_ONLY = "letter_only"
    WITHDRAWN = "withdrawn"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around every page: whose home or hospital, its first page, who is signed in, trial or live, the desk for emergencies."""

    home: str
    who: str = field(repr=False)
    role: str
    is_trial: bool
    csrf: str = field(repr=False)
    start_url: str
    desk_phone: str = ""
    desk_who: str = ""

    @property
    def desk_tel(self) -> str:
        return dialled(self.desk_phone)


@dataclass(frozen=True, slots=True)
class Resident:
    """Who is coming, as the service knows it without opening the Bundle. Only what the Bundle does not say is taken from here."""

    name: str = field(repr=False)
    birth_date: str = field(default="", repr=False)
    nhs_number: str = field(default="", repr=False)
    ward: str = ""
    hospital: str = ""
    expected_leaving: str = ""


@dataclass(frozen=True, slots=True)
class Given:
    """An answer that a named person gave to one version. `words`: the whole answer after its kind (time, conditions, reason, question)."""

    kind: AnswerKind
    words: str = field(repr=False)
    who: str = field(repr=False)
    at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class Read:
    """A named person of the home opened or read a version."""

    who: str = field(repr=False)
    at: datetime
    version: int


@dataclass(frozen=True, slots=True)
class LetterFacts:
    """A letter beside the Bundle. `text` when the letter is text/plain and can be read on the page, else None; `warning`: what its file
    could do besides being read."""

    title: str
    media_type: str
    size_bytes: int
    url: str
    text: str | None = field(default=None, repr=False)
    warning: str = ""


@dataclass(frozen=True, slots=True)
class TransferFacts:
    """Everything about one version in one mailbox that the Bundle does not hold."""

    frame: Frame
    transfer_id: str
    version: int
    newest_version: int
    published_at: datetime
    resident: Resident
    answer_url: str
    newest_url: str
    delivered_at: datetime | None = None
    opened: tuple[Read, ...] = ()
    answers: tuple[Given, ...] = ()
    letters: tuple[LetterFacts, ...] = ()
    replaced_at: datetime | None = None
    withdrawn_at: datetime | None = None
    withdrawn_why: str = ""
    left_at: str = ""
    ward_phone: str = ""
    override: str = ""
    tried: Tried | None = None


@dataclass(frozen=True, slots=True)
class InboxRow:
    """One person in the list. `missing`: short words of each gap. `read_version`: the newest version that somebody here has read."""

    url: str
    resident: Resident
    mark: Mark
    version: int
    published_at: datetime
    missing: tuple[str, ...] = ()
    read_version: int | None = None
    answer: Given | None = None
    withdrawn_at: datetime | None = None
    withdrawn_why: str = ""
    is_withdrawal_seen: bool = False
    left_at: str = ""
    ward_phone: str = ""


def dialled(phone: str) -> str:
    """What a `tel:` link may hold of a phone number as written: digits, a leading plus, nothing else."""
    kept = "".join(character for character in phone.split("ext")[0] if character.isdecimal() and character.isascii())
    return ("+" if phone.strip().startswith("+") else "") + kept
