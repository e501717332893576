"""What a rule sees and what it can answer: GateInput (the document indexed once, what the ward stated, the leaving) and Verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from exchange.fhir import codes
from exchange.fhir.content import Contradiction
from exchange.fhir.shape import part, parts, text
from exchange.fhir.stated import Critical, Stated


class Owner(StrEnum):
    """Who fixes it."""

    WARD = "ward"
    PHARMACY = "pharmacy"
    DOCTOR = "doctor"
    DISCHARGE_CONTACT = "discharge contact"


class Force(StrEnum):
    """STOP counts on the badge; WARN is shown as "not given" so that the home can ask."""

    STOP = "STOP"
    WARN = "WARN"


class Profile(StrEnum):
    """What a feed can send, set per feed by policy, never per patient (practice.md 4). `structured` and others come later."""

    LETTER_ONLY = "letter only"
    LETTER_AND_CHECKED = "letter and checked"


class State(StrEnum):
    MET = "met"
    MISSING = "missing"
    NOT_ESTABLISHED = "not established"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a rule found, with detail words for the home ("" when the rule's own words say it all)."""

    state: State
    detail: str = field(default="", repr=False)

    @classmethod
    def met(cls, detail: str = "") -> "Verdict":
        return cls(State.MET, detail)

    @classmethod
    def missing(cls, detail: str = "") -> "Verdict":
        return cls(State.MISSING, detail)

    @classmethod
    def not_established(cls, detail: str = "") -> "Verdict":
        return cls(State.NOT_ESTABLISHED, detail)


@dataclass(frozen=True, slots=True)
class Leaving:
    """What is known of the leaving: `expected` a date or dateTime as sent, `left_at` when the person has left, else "".
    `is_returner`: back to the home they came from; None when nobody said."""

    expected: str = ""
    left_at: str = ""
    is_returner: bool | None = None


@dataclass(frozen=True, slots=True)
class GateInput:
    """What one evaluation sees. `now` is a FHIR instant with offset; `document` the Bundle, indexed once here; `has_list`: its
    medicines are a signed letter's own list."""

    document: Mapping[str, object] = field(repr=False)
    stated: Stated = field(repr=False)
    profile: Profile
    leaving: Leaving
    now: str
    conflicts: Sequence[Contradiction] = ()
    has_list: bool = False
    by_type: Mapping[str, list[Mapping[str, object]]] = field(init=False, repr=False)
    by_url: Mapping[str, Mapping[str, object]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_type: dict[str, list[Mapping[str, object]]] = {}
        by_url: dict[str, Mapping[str, object]] = {}
        for entry in parts(self.document, "entry"):
            resource = part(entry, "resource")
            by_type.setdefault(text(resource, "resourceType"), []).append(resource)
            by_url[text(entry, "fullUrl")] = resource
        object.__setattr__(self, "by_type", by_type)
        object.__setattr__(self, "by_url", by_url)

    def only(self, kind: str) -> Mapping[str, object]:
        """The first resource of a type, else an empty one."""
        return next(iter(self.by_type.get(kind, ())), {})

    def conflict(self, rule: str) -> str:
        """The words of a contradiction that opens a gap of this rule, else ""."""
        return next((conflict.detail for conflict in self.conflicts if conflict.rule == rule), "")

    def critical(self, *kinds: str) -> list[Critical]:
        """The ticked lines of some classes (all: no argument) that are present."""
        return [line for line in self.stated.critical or () if line.present and (not kinds or line.kind in kinds)]

    def unanswered(self, *kinds: str) -> str:
        """Plain words for the classes of the tick list that nobody answered."""
        answered = {line.kind for line in self.stated.critical or ()}
        return ", ".join(
            words.lower() for kind, words in codes.CRITICAL.items() if kind in (kinds or codes.CRITICAL) and kind not in answered
        )
