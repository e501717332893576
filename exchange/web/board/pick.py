"""The page on which a named person picks the home: candidates with reasons, look-alikes beside them, nothing preselected. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from exchange.errors import WardpostError
from exchange.model import is_open
from exchange.transfer.candidates import Candidate
from exchange.web.board.view import Row
from exchange.web.home import times


@dataclass(frozen=True, slots=True)
class Choice:
    """One home as the picker sees it. `told`: (what, words) lines."""

    code: str
    name: str
    told: tuple[tuple[str, str], ...]
    reasons: tuple[str, ...]
    is_open: bool
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class PickPage:
    title: str
    row: Row
    problem: str
    waits: str
    backed: tuple[Choice, ...]
    others: tuple[Choice, ...]
    postcode: str
    spoke_to: str
    nothing: str
    made: str


def pick_page(
    row: Row,
    found: Sequence[Candidate],
    near: Sequence[Candidate],
    proposed: str,
    is_own: bool,
    typed: Mapping[str, str],
    problem: WardpostError | None,
    now: datetime,
) -> PickPage:
    """`found`: what the messages point to; `near`: what a search for the typed postcode found; `proposed`: the site that one person
    picked already, `is_own` when it was this one."""
    known = {one.site.id for one in found}
    others = [*(one for one in found if not one.is_backed), *(one for one in near if one.site.id not in known)]
    name = next((one.site.name for one in (*found, *near) if one.site.id == proposed), proposed)
    waits = f"{name} is picked, against what the messages say. " if proposed else ""
    if proposed:
        waits += (
            "Ask another person to open this page and pick it, too." if is_own else "Pick it, too, if you have made sure of it yourself."
        )
    is_nowhere = bool(typed.get("postcode")) and not near
    error = f"{problem.message} {problem.next_step}" if problem else ""
    return PickPage(
        f"{'Error: ' if error else ''}Which home? {row.name}",
        row,
        error,
        waits,
        tuple(_choice(one, typed, now) for one in found if one.is_backed),
        tuple(_choice(one, typed, now) for one in others),
        typed.get("postcode", ""),
        typed.get("spoke_to", ""),
        "No home at this postcode in the directory." if is_nowhere else "",
        times.at(now, now),
    )


def _choice(one: Candidate, typed: Mapping[str, str], now: datetime) -> Choice:
    site = one.site
    verified = f"in the directory of {times.day(site.verified_at.date(), now)}" if site.verified_at else "entered by hand"
    told = (
        ("Address", ", ".join(filter(None, (site.street, site.town, site.postcode)))),
        ("Provider", site.provider_name or site.provider or "not known"),
        ("Kind of care", site.care_kind or "not known"),
        ("CQC location", site.cqc or "not known"),
        ("Call back on", site.phone or "no number in the directory"),
        ("Known since", f"{_day(site.opened_on, now) or 'not known'}, {verified}"),
        ("Mailbox", "yes" if site.has_mailbox else "nobody signs in there yet: print the papers, and call"),
    )
    is_on = is_open(site.opened_on, site.closed_on, now.date())
    closed = (f"Closed on {_day(site.closed_on, now)}: pick what took its place, after a call" if site.closed_on else "Not open yet",)
    reasons = one.reasons if is_on else (*one.reasons, *closed)
    return Choice(site.id, site.name, told, reasons, is_on, is_on and typed.get("site") == site.id)


def _day(text: str, now: datetime) -> str:
    return times.day(date.fromisoformat(text), now) if text else ""
