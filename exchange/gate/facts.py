"""What a rule sees (GateInput: what was merged, and the document indexed once) and what it can answer (Verdict)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from exchange.fhir import codes
from exchange.fhir.content import Content
from exchange.fhir.stated import Critical

Found = Mapping[str, object]


class Profile(StrEnum):
    """What a feed can send, set per feed by policy, never per patient (practice.md 4). "emergency return" comes later."""

    LETTER_ONLY = "letter only"
    LETTER_AND_CHECKED = "letter and checked"
    STRUCTURED = "structured"


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
    """What one evaluation sees. `by_type` and `by_url` hold the document's resources; `now` is a FHIR instant with offset;
    `is_returner`: back to the home they came from, None when nobody said."""

    content: Content = field(repr=False)
    by_type: Mapping[str, list[Found]] = field(repr=False)
    by_url: Mapping[str, Found] = field(repr=False)
    profile: Profile
    now: str
    is_returner: bool | None = None

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
