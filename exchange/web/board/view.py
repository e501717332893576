"""What the board and the list on the command line show of open transfers: by leaving time, the weekend first. Pure."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from urllib.parse import urlencode

from exchange.intake.holds import WORDS
from exchange.model import AnswerKind
from exchange.transfer.status import Standing, friday_list, is_weekend
from exchange.transfer.workdays import friday_list_end, weekend
from exchange.web.home import times
from exchange.web.home.answers import ASK, CANNOT, given_words
from exchange.web.home.facts import Mark
from exchange.web.home.inbox import Badge, badge_words

GROUPS = ("This weekend", "Before the weekend", "Day not known", "Was due, not closed", "After the weekend", "Taken back")
WEEKEND, BEFORE, UNKNOWN, PAST, AFTER, BACK = GROUPS
SOON = timedelta(hours=3)
PAGE_ROWS = 25
_OWNERS = {"pharmacy": "Pharmacy", "doctor": "Doctor", "discharge contact": "Discharge desk"}


@dataclass(frozen=True, slots=True)
class Fix:
    """What one owner has to put right by one time."""

    owner: str
    by: str
    is_past: bool
    due: str
    whats: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One transfer. `home_words`: what the home did and said; `is_urgent`: they need somebody now; `acts`: so does the row."""

    id: str
    group: str
    order: tuple[str, str, str] = field(repr=False)
    leaves: str
    leaves_more: str
    name: str = field(repr=False)
    age: str
    ward: str
    badge: Badge
    fixes: tuple[Fix, ...]
    home: str
    home_words: str = field(repr=False)
    is_urgent: bool
    is_opened: bool

    @property
    def acts(self) -> bool:
        return self.is_urgent or any(fix.is_past for fix in self.fixes)


@dataclass(frozen=True, slots=True)
class Owner:
    name: str
    count: int
    by: str
    is_past: bool
    url: str


@dataclass(frozen=True, slots=True)
class Choice:
    words: str
    count: int
    url: str
    is_chosen: bool


@dataclass(frozen=True, slots=True)
class BoardView:
    title: str
    lead: str
    owners: tuple[Owner, ...]
    choices: tuple[Choice, ...]
    only: str
    tables: tuple[tuple[str, str, tuple[Row, ...]], ...]
    where: str
    back_url: str
    more_url: str
    made: str


SHOWN: Mapping[str, tuple[str, Callable[[Row], bool]]] = {
    "": ("All", lambda row: True),
    "weekend": ("This weekend", lambda row: row.group == WEEKEND),
    "act": ("Act now", lambda row: row.acts),
    "unopened": ("Home has not opened", lambda row: not row.is_opened and row.group != BACK),
}


def rows_of(standings: Sequence[Standing], now: datetime) -> list[Row]:
    """Every open transfer as a row, in the order of the board."""
    return sorted((row_of(found, now) for found in standings), key=lambda row: (GROUPS.index(row.group), *row.order))


def friday_rows(standings: Sequence[Standing], now: datetime) -> list[Row]:
    """The Friday list as rows."""
    return rows_of(friday_list(standings, now), now)


def friday_view(standings: Sequence[Standing], now: datetime) -> BoardView:
    """The Friday list as one printable page."""
    rows = friday_rows(standings, now)
    last, gaps = times.day(friday_list_end(now), now), sum(len(fix.whats) for row in rows for fix in row.fixes)
    return BoardView(
        title="The Friday list",
        lead=f"Expected to leave up to {last}, and everyone with a home picked: {len(rows)}, with {gaps} to fix.",
        owners=tuple(_owners(rows, now)),
        choices=(),
        only="",
        tables=tuple((group, _when(group, now), found) for group in GROUPS if (found := tuple(row for row in rows if row.group == group))),
        where="",
        back_url="/board",
        more_url="",
        made=times.at(now, now),
    )


def board_view(standings: Sequence[Standing], now: datetime, *, shown: str = "", owner: str = "", page: int = 1) -> BoardView:
    """One page of the board. An unknown choice shows all; a page past the end shows the last."""
    rows = rows_of(standings, now)
    shown = shown if shown in SHOWN else ""
    chosen = [row for row in rows if SHOWN[shown][1](row) and (not owner or any(fix.owner == owner for fix in row.fixes))]
    last = max(1, -(-len(chosen) // PAGE_ROWS))
    page = min(max(page, 1), last)
    here = chosen[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
    count = {group: sum(row.group == group for row in rows) for group in GROUPS}
    words = ("{} leave this weekend", "{} before it", "{} on a day not known", "{} past the day", "{} after it",
             "{} taken back")  # fmt: skip
    told = ", ".join(each.format(count[group]) for each, group in zip(words, GROUPS, strict=True) if count[group])
    still = len(rows) - count[BACK]
    choices = tuple(
        Choice(text, sum(map(fits, rows)), _url(show=key), key == shown and not owner) for key, (text, fits) in SHOWN.items()
    )  # fmt: skip
    return BoardView(
        title=f"Leaving for a care home ({sum(row.acts for row in rows)} to act on)",
        lead=f"{still} open{': ' if told else ''}{told}." if rows else "Nobody is leaving for a care home.",
        owners=tuple(_owners([row for row in rows if row.group == WEEKEND], now)),
        choices=choices,
        only=owner,
        tables=tuple((group, _when(group, now), found) for group in GROUPS if (found := tuple(row for row in here if row.group == group))),
        where=f"Page {page} of {last}" if last > 1 else "",
        back_url=_url(show=shown, owner=owner, page=str(page - 1)) if page > 1 else "",
        more_url=_url(show=shown, owner=owner, page=str(page + 1)) if page < last else "",
        made=times.at(now, now),
    )


def _url(**query: str) -> str:
    kept = {name: value for name, value in query.items() if value}
    return "/board" + (f"?{urlencode(kept)}" if kept else "")


def _when(group: str, now: datetime) -> str:
    start, end = weekend(now)
    return {WEEKEND: f"{start:%A %H:%M} to {end:%A %H:%M}", PAST: "The home has not read the papers and said yes"}.get(group, "")


def row_of(found: Standing, now: datetime) -> Row:
    """One transfer as the board shows it."""
    person, when = found.person, times.moment(found.transfer.leaving_on)
    leaves, more = _leaves(found, when, person.left_at, now)
    words, is_urgent = home_words(found, when, now)
    newest = found.deliveries[-1] if found.deliveries else None
    name = f"{person.given} {person.family}".strip() or "Name not known"
    at = when.isoformat() if isinstance(when, datetime) else ""
    return Row(
        id=found.transfer.id,
        group=_group(found, when, now),
        order=(str(times.day_of(when) or ""), at, name),
        leaves=leaves,
        leaves_more=more,
        name=name,
        age=times.age(person.birth_date, now),
        ward=person.ward,
        badge=badge_of(found),
        fixes=tuple(fixes(found, now)),
        home=found.home.name if found.home else "No home picked",
        home_words=words,
        is_urgent=is_urgent,
        is_opened=newest is not None and newest.opened_at is not None,
    )


def badge_of(found: Standing) -> Badge:
    """The badge of the newest version; withdrawn over all, held where nothing has left."""
    missing = len(_gaps(found))
    if found.is_back:
        mark = Mark.WITHDRAWN
    elif found.newest is None:
        mark = Mark.HELD
    else:
        mark = {"papers complete": Mark.COMPLETE, "letter only": Mark.LETTER_ONLY}.get(found.newest.badge, Mark.MISSING)
    return Badge(mark, "Letter only" if mark is Mark.LETTER_ONLY else badge_words(mark, missing))


def fixes(found: Standing, now: datetime) -> Iterator[Fix]:
    """What is still to fix, by owner and time, the first due first; holds with the gaps. Nothing when it was taken back."""
    if found.is_back:
        return
    ward = found.person.ward or "The ward"
    due: dict[tuple[str, str], list[str]] = {}
    left = [(str(gap["due"]), str(gap["owner"]), str(gap["detail"] or gap["title"])) for gap in _gaps(found)]
    left += [(hold.deadline_at.isoformat(), hold.owner, WORDS[hold.kind].rstrip(".")) for hold in found.holds]
    for at, owner, what in left:
        due.setdefault((at, ward if owner == "ward" else _OWNERS.get(owner, owner.capitalize())), []).append(what)
    for (at, name), whats in sorted(due.items()):
        moment = times.moment(at)
        is_past = not isinstance(moment, datetime) or moment <= now
        yield Fix(name, _by(moment, is_past, now), is_past, at, tuple(whats))


def _by(moment: datetime | date | None, is_past: bool, now: datetime) -> str:
    if not isinstance(moment, datetime):
        return "at once"
    near = times.clock(moment) if moment.date() == now.astimezone(times.LONDON).date() else times.short_at(moment, now)
    return f"{near} has passed" if is_past else f"by {near}"


def _gaps(found: Standing) -> list[Mapping[str, object]]:
    gaps = found.gate["gaps"]
    return gaps if isinstance(gaps, list) else []


def home_words(found: Standing, when: datetime | date | None, now: datetime) -> tuple[str, bool]:
    """(what the home did and said, whether somebody must act on it now)."""
    if found.is_back:
        return ("Has seen that it is off", False) if found.is_back_seen else ("Has not seen yet that it is off", True)
    if found.home is None:
        return "Nothing can be sent before a named person picks the home", True
    if not found.deliveries:
        return "Not sent yet", isinstance(when, datetime) and when < now + SOON
    newest, said, sentences, is_urgent = found.deliveries[-1], found.said, [], False
    is_soon = isinstance(when, datetime) and when < now + SOON
    if said is not None:
        at = times.clock(said.answered_at) if said.answered_at > now - timedelta(hours=20) else times.short_at(said.answered_at, now)
        to = f" (to version {said.number})" if said.number < newest.number else ""
        match said.kind:
            case AnswerKind.ASK:
                sentences.append(
                    f"Asked at {at}{to}: {ASK.get(said.reason_code, 'a question')}. No reply for {times.span(now - said.answered_at)}"
                )
                is_urgent = True
            case AnswerKind.CANNOT:
                sentences.append(f"Cannot take{to}: {CANNOT.get(said.reason_code, 'no reason given')}")
                is_urgent = True
            case AnswerKind.OURS:
                sentences.append("Says that this is their resident. No yes or no yet")
            case _:
                given = given_words(said)
                sentences.append(
                    ("Admission agreed" if said.kind is AnswerKind.AGREED else "Can take") + to + (f", {given}" if given else "")
                )
    if newest.opened_at is None:
        what = f"Version {newest.number} not opened" if newest.number > 1 else "Not opened"
        sentences.append(f"{what}, but their system collected it" if newest.collected_at else what)
        if is_soon:
            sentences.append("Leaves in less than 3 hours")
        is_urgent = is_urgent or is_soon
    elif said is None:
        sentences.append(f"Opened {times.short_at(newest.opened_at, now)}. No answer yet")
        is_urgent = is_soon
    return ". ".join(sentences) + ".", is_urgent


def _leaves(found: Standing, when: datetime | date | None, left_at: str, now: datetime) -> tuple[str, str]:
    written = found.transfer.leaving_on
    if isinstance(when, datetime):
        words, more = f"{times.near(when.date(), now)}, {times.clock(when)}", times.apart(when, now)
    elif when is not None:
        words, more = times.near(when, now), times.UNKNOWN_TIME
    else:
        words, more = written or "Day not known", ""
    if found.is_back:
        return "Not leaving", f"was {words}"
    return (f"Left {times.said(left_at, now, short=True)}", f"expected {words}") if left_at else (words, more)


def _group(found: Standing, when: datetime | date | None, now: datetime) -> str:
    if found.is_back:
        return BACK
    day = times.day_of(when)
    if when is None or day is None:
        return UNKNOWN
    if is_weekend(when, now):
        return WEEKEND
    if day < now.astimezone(times.LONDON).date():
        return PAST
    return BEFORE if day <= weekend(now)[0].date() and not is_weekend(now, now) else AFTER


def _owners(rows: Sequence[Row], now: datetime) -> Iterator[Owner]:
    """Who still has what to fix, the most pressing first."""
    mine: dict[str, list[Fix]] = {}
    for row in rows:
        for fix in row.fixes:
            mine.setdefault(fix.owner, []).append(fix)
    for name, found in sorted(mine.items(), key=lambda item: (min(fix.due for fix in item[1]), item[0])):
        late = sum(len(fix.whats) for fix in found if fix.is_past)
        count = sum(len(fix.whats) for fix in found)
        by = "past its time" if late == count else f"{late} past {'its' if late == 1 else 'their'} time" if late else f"first {found[0].by}"
        yield Owner(name, count, by, bool(late), _url(owner=name))
