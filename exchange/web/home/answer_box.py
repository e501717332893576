"""The answer box of the transfer page: what this home said, and the choices of its three forms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exchange.model import AnswerKind
from exchange.web.home import times
from exchange.web.home.answers import ASK, CANNOT, Tried
from exchange.web.home.facts import TransferFacts
from exchange.web.home.inbox import answer_words

Choice = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class AnswerView:
    """The answer box: what was said, and the choices of the forms. `errors`: field → sentence; `closed`: why no answer is taken here."""

    url: str
    now: str = field(repr=False)
    link: str
    given_title: str
    given: str = field(repr=False)
    is_read: str
    closed: str
    whens: tuple[Choice, ...]
    days: tuple[Choice, ...]
    conditions: tuple[Choice, ...]
    reasons: tuple[Choice, ...]
    topics: tuple[Choice, ...]
    open: str
    fields: Mapping[str, str] = field(repr=False)
    errors: Mapping[str, str]
    error_list: tuple[Choice, ...]


def answer_view(facts: TransferFacts, gaps: Sequence[tuple[str, str]], planned: str, now: datetime) -> AnswerView:
    """The box for one version. `gaps`: (rule, words) that a yes can hang on; `planned`: the expected leaving as the source wrote it."""
    tried = facts.tried or Tried("")
    said = max((given for given in facts.answers if given.kind is not AnswerKind.SEEN), key=lambda given: given.at, default=None)
    last = said or max(facts.answers, key=lambda given: given.at, default=None)
    seen = [given for given in facts.answers if given.kind is AnswerKind.SEEN and given.version == facts.version]
    closed = ""
    if facts.withdrawn_at:
        closed = "The hospital took these papers back, so there is nothing to answer."
    elif facts.version < facts.newest_version:
        closed = f"Answer on version {facts.newest_version}: this one is out of date."
    found = times.moment(planned)
    if isinstance(found, datetime):
        when = f"At the planned time: {times.said(planned, now)}"
    else:
        when = f"On the planned day, at any time: {times.day(found, now)}" if found else ""
    errors = tried.errors
    is_older = said is not None and said.version < facts.version
    return AnswerView(
        url=facts.answer_url,
        now=answer_words(last, now, version=facts.version) if last else "None yet.",
        link="" if closed else f"Answer again for version {facts.version}" if is_older else "Change your answer" if said else "Answer",
        given_title=f"Sent {times.at(said.at, now)}. The hospital has it." if said else "",
        given=answer_words(said, now, version=facts.version) if said else "",
        is_read=f"Read by {seen[-1].who}, {times.at(seen[-1].at, now)}." if seen else "",
        closed=closed,
        whens=(*([{"value": "planned", "text": when}] if when else []), {"value": "other", "text": "At another time (choose it below)"}),
        days=({"value": "", "text": "Choose one"}, *({"value": iso, "text": words} for iso, words in times.next_days(now))),
        conditions=tuple({"value": rule, "text": words, "checked": rule in tried.conditions} for rule, words in gaps),
        reasons=({"value": "", "text": "Choose one"}, *({"value": code, "text": words} for code, words in CANNOT.items())),
        topics=({"value": "", "text": "Choose one"}, *({"value": code, "text": words} for code, words in ASK.items())),
        open=tried.kind,
        fields=tried.fields,
        errors=errors,
        error_list=tuple({"text": words, "href": "#answer" if name == "kind" else f"#{name}"} for name, words in errors.items()),
    )
