"""What the transfer page is made of: plain frozen data. `view` makes it of a document, `changes` compares two."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from exchange.web.home.answer_box import AnswerView
from exchange.web.home.inbox import Badge
from exchange.web.home.letters import Letter
from exchange.web.home.medicines import MedicinesView
from exchange.web.home.reading import Section
from exchange.web.home.values import Alert, Value


@dataclass(frozen=True, slots=True)
class Gap:
    rule: str
    title: str
    detail: str = field(repr=False)
    why: str
    is_known: bool
    owner: Value
    by: str
    closes: str


@dataclass(frozen=True, slots=True)
class Notice:
    title: str
    words: str
    icon: str
    is_calm: bool = False
    url: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    label: str
    who: str
    phone: str
    tel: str
    hours: Value


@dataclass(frozen=True, slots=True)
class Part:
    anchor: str
    title: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One label with what it said and what it says; "" for a label that the version does not have."""

    label: str
    was: Value
    now: Value


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that changed. `advice`: what to do about it, where that cannot wait."""

    area: str
    title: str = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)
    advice: str = ""


@dataclass(frozen=True, slots=True)
class TransferView:
    title: str
    name: str = field(repr=False)
    first_name: str = field(repr=False)
    born: Value
    nhs_number: Value
    badge: Badge
    version: int
    published: str
    coming: Value
    origin: Value
    papers: str
    notices: tuple[Notice, ...]
    gaps_title: str
    gaps: tuple[Gap, ...]
    warnings: tuple[Gap, ...]
    override: str
    call: Call | None
    others: tuple[Call, ...]
    contact_source: str
    jumps: tuple[tuple[str, str], ...]
    alerts: tuple[Alert, ...]
    medicines: MedicinesView
    parts: tuple[Part, ...]
    letters: tuple[Letter, ...]
    own_words: tuple[Section, ...]
    record: tuple[Section, ...]
    history: tuple[tuple[str, str], ...]
    answer: AnswerView
    made: str
    transfer_id: str
    has_document: bool
    stale: str
    changes: tuple[Change, ...] = ()
    read_before: str = ""
    before_version: int = 0
    changed_cards: Mapping[str, str] = field(default_factory=dict, repr=False)
