"""The page of a new resident before the home has said that the person is theirs: who comes, from where and when, and nothing clinical."""

from dataclasses import dataclass
from datetime import datetime

from exchange.web.home import times
from exchange.web.home.facts import InboxRow, dialled
from exchange.web.home.view import spaced


@dataclass(frozen=True, slots=True)
class HeadsUp:
    """`facts`: a label and its words, in their order; `tel`: what a link may dial."""

    name: str
    facts: tuple[tuple[str, str], ...]
    phone: str
    tel: str
    version: int


def heads_up(row: InboxRow, now: datetime) -> HeadsUp:
    """What the home may know of this person so far, times in London."""
    who = row.resident
    facts = (
        ("Born", times.birth(who.birth_date, now) or "not given"),
        ("NHS number", spaced(who.nhs_number) or "not given"),
        ("From", ", ".join(filter(None, (who.hospital, who.ward)))),
        ("Expected", times.said(who.expected_leaving, now) or "day not known"),
    )
    return HeadsUp(who.name, facts, row.ward_phone, dialled(row.ward_phone), row.version)
