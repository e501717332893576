"""What a rule sees (GateInput: what was merged, and the document indexed once) and what it can answer (Verdict)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exchange.fhir import codes
from exchange.fhir.content import Content
from exchange.fhir.stated import Critical

Found = Mapping[str, object]


class Profile(StrEnum):
    """What a feed can send, set per feed by policy, never per patient (practice.md 4)."""

    LETTER_ONLY = "letter only"
    LETTER_AND_CHECKED = "letter and checked"
    STRUCTURED = "structured"
    EMERGENCY_RETURN = "emergency return"


class Who(StrEnum):
    """Who comes: it chooses the class of a rule. A person at the ward says it (Supplement `person`); it is never derived."""

    RETURNER = "returner"
    NEW_RESIDENT = "new resident"
    EMERGENCY_RETURN = "emergency return"
    END_OF_LIFE = "end of life"


class State(StrEnum):
    MET = "met"
    MISSING = "missing"
    NOT_ESTABLISHED = "not established"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule found, with detail words for the home ("" when the rule's own words say it all)."""

    state: State
    detail: str = field(default="", repr=False)


MET = Verdict(State.MET)


def missing(detail: str = "") -> Verdict:
    return Verdict(State.MISSING, detail)


def not_established(detail: str) -> Verdict:
    return Verdict(State.NOT_ESTABLISHED, detail)


@dataclass(frozen=True, slots=True)
class GateInput:
    """What one evaluation sees. `by_type` and `by_url` hold the document's resources; `now` is a FHIR instant with offset; `due` when
    gaps have to be closed, and whether that is at once; `not_sent` the WARN rules that this hospital cannot answer, by its profile, which
    also says whether its policy `is_strict`."""

    content: Content = field(repr=False)
    by_type: Mapping[str, list[Found]] = field(repr=False)
    by_url: Mapping[str, Found] = field(repr=False)
    profile: Profile
    now: str
    due: tuple[str, bool] = ("", True)
    not_sent: tuple[str, ...] = ()
    is_strict: bool = False

    @property
    def who(self) -> tuple[Who, ...]:
        """What the ward said of the person; a feed of A&E speaks of nobody else. Empty: nobody said."""
        said = self.content.stated.person
        kind = (said.kind if said else "") or (self.profile if self.profile is Profile.EMERGENCY_RETURN else "")
        return (*([Who(kind)] if kind else []), *([Who.END_OF_LIFE] if said and said.end_of_life else []))

    def of(self, kind: str) -> list[Found]:
        return self.by_type.get(kind, [])

    def only(self, kind: str) -> Found:
        """The first resource of a type, else an empty one."""
        return next(iter(self.of(kind)), {})

    def critical(self, *kinds: str) -> list[Critical]:
        """The ticked lines of some classes (all: no argument) that are present."""
        return [line for line in self.content.stated.critical or () if line.present and (not kinds or line.kind in kinds)]

    def unanswered(self, *kinds: str) -> str:
        """Plain words for the classes of the tick list (all: no argument) that nobody answered."""
        answered = {line.kind for line in self.content.stated.critical or ()}
        return ", ".join(
            words.lower() for kind, words in codes.CRITICAL.items() if kind in (kinds or codes.CRITICAL) and kind not in answered
        )
