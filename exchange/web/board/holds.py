"""The page of holds: what waits, whose turn it is, and the forms that settle it. Pure; no names: what a hold is about has its own page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from exchange.errors import WardpostError
from exchange.fhir.shape import moment, text, texts
from exchange.intake.holds import RESOLUTIONS
from exchange.mailbox.settle import REFUSALS
from exchange.web.home import times

_WORDS = {
    "checked": "It was checked and is right", "discarded": "It is not needed", "addressed": "It was sent another way",
    "not_ours": "Not our patient", "test": "A test", "duplicate": "It came twice", "wrong_person": "It is about somebody else",
    "not_for_a_home": "The person goes to no care home", "died": "The person has died",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Held:
    """One hold. `offers`: (act, button, label of its text field or "", the words to choose from) for each form."""

    id: str
    words: str
    code: str
    owner: str
    by: str
    is_past: bool
    transfer: str
    picks: bool
    offers: tuple[tuple[str, str, str, tuple[tuple[str, str], ...]], ...]


@dataclass(frozen=True, slots=True)
class HoldsPage:
    lead: str
    problem: str
    holds: tuple[Held, ...]
    made: str


def _choices(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    return tuple((word, _WORDS[word]) for word in words)


_OFFERS: Mapping[str, tuple[str, str, tuple[tuple[str, str], ...]]] = {
    "link": ("It belongs to this stay", "Visit number", ()),
    "replay": ("Read it again", "", ()),
    "release": ("Let it go on", "", _choices(RESOLUTIONS)),
    "refuse": ("Use it for nothing", "", _choices(REFUSALS)),
}


def holds_page(found: Sequence[Mapping[str, object]], may_act: bool, problem: WardpostError | None, now: datetime) -> HoldsPage:
    """`found`: as `Exchange.holds_json` gives them, the most urgent first."""
    holds = tuple(_held(one, may_act, now) for one in found)
    late = sum(one.is_past for one in holds)
    lead = f"{len(holds)} wait for a person{f', {late} past the time' if late else ''}." if holds else "Nothing waits."
    return HoldsPage(lead, f"{problem.message} {problem.next_step}" if problem else "", holds, times.at(now, now))


def _held(one: Mapping[str, object], may_act: bool, now: datetime) -> Held:
    deadline = moment(text(one, "deadline"))
    assert isinstance(deadline, datetime)
    acts = texts(one, "acts") if may_act else []
    return Held(
        text(one, "id"),
        text(one, "words"),
        text(one, "code").replace("_", " "),
        text(one, "owner").capitalize(),
        times.exact(deadline, now),
        deadline <= now,
        text(one, "transfer"),
        "address" in acts,
        tuple((act, *_OFFERS[act]) for act in acts if act in _OFFERS),
    )
