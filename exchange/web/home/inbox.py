"""The list "Who is coming": rows in groups, what hurts soonest first."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from exchange.model import AnswerKind
from exchange.web.home import times
from exchange.web.home.facts import Frame, Given, InboxRow, Mark

GROUPS = ("Not read yet", "Changed since you read it", "Not coming", "Late", "Read")
UNREAD_GROUPS = frozenset(GROUPS[:3])
LATE_AFTER_HOURS = 1


@dataclass(frozen=True, slots=True)
class Badge:
    kind: Mark
    words: str


@dataclass(frozen=True, slots=True)
class Row:
    url: str
    name: str = field(repr=False)
    age: str
    badge: Badge
    pills: tuple[str, ...]
    late: str
    when: str
    when_more: str
    origin: str
    missing: str
    notes: tuple[str, ...]
    answer: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    title: str
    rows: tuple[Row, ...]
    is_unread: bool


@dataclass(frozen=True, slots=True)
class Past:
    """One page of who came long ago. `unread_left`: papers that nobody has read and that are too many to show."""

    rows: Sequence[InboxRow] = ()
    page: int = 0
    has_more: bool = False
    unread_left: int = 0


@dataclass(frozen=True, slots=True)
class InboxView:
    title: str
    lead: str
    groups: tuple[Group, ...]
    checked: str
    made: str
    newer: str = ""
    older: str = ""


def inbox_view(rows: Sequence[InboxRow], frame: Frame, now: datetime, past: Past = Past()) -> InboxView:
    """The list as its page shows it. Groups without a row are left out; within a group: by arrival, unknown time first on its day.

    "Read" begins with who is still to come, then the latest; what was long ago follows page by page.
    """
    sorted_rows: dict[str, list[InboxRow]] = {title: [] for title in GROUPS}
    for row in sorted(rows, key=_order):
        sorted_rows[_group(row, now)].append(row)
    read = sorted(sorted_rows["Read"], key=lambda row: _is_past(row, now))
    gone = next((at for at, row in enumerate(read) if _is_past(row, now)), len(read))
    recent = [] if past.page else read[:gone] + read[gone:][::-1]
    sorted_rows["Read"] = recent + sorted(past.rows, key=_order, reverse=True)
    newer = f"{frame.start_url}?earlier={past.page - 1}" if past.page else ""
    older = f"{frame.start_url}?earlier={past.page + 1}" if past.has_more else ""
    groups = tuple(
        Group(title, tuple(_row(row, now) for row in found), title in UNREAD_GROUPS) for title, found in sorted_rows.items() if found
    )
    unread = sum(len(sorted_rows[title]) for title in UNREAD_GROUPS) + past.unread_left
    coming = [row for row in rows if row.withdrawn_at is None]
    weekend = sum(_is_weekend(row, now) for row in coming)
    late = sum(bool(_late(row, now)) for row in coming)
    sentences = [f"{unread} to read." if unread else "Everything is read."]
    if past.unread_left:
        sentences.append(f"Only the newest are shown, {past.unread_left} wait behind them.")
    if weekend:
        sentences.append(f"{weekend} {'is' if weekend == 1 else 'are'} due at the weekend.")
    if late:
        sentences.append(f"{late} {'is' if late == 1 else 'are'} late.")
    title = f"Who is coming ({unread} to read)" if unread else "Who is coming"
    return InboxView(title, " ".join(sentences), groups, times.at(now, now), times.at(now, now), newer, older)


def badge_words(mark: Mark, missing: int) -> str:
    """The badge in words; the same on every page."""
    match mark:
        case Mark.COMPLETE:
            return "Papers complete"
        case Mark.MISSING:
            return f"{missing} missing"
        case Mark.LETTER_ONLY:
            return "Letter only: check by eye"
        case Mark.WITHDRAWN | Mark.HELD:
            return mark.name.capitalize()


def answer_words(given: Given, now: datetime, *, version: int) -> str:
    """`can take, today 08:00 (Priya Testworth, Sat 28 Nov, 02:11)`; an answer to an older version says so."""
    kind = {
        AnswerKind.SEEN: "read, no yes or no yet",
        AnswerKind.CAN_TAKE: "can take",
        AnswerKind.CANNOT: "cannot take",
        AnswerKind.AGREED: "admission agreed",
        AnswerKind.ASK: "question asked",
        AnswerKind.OURS: "our resident",
    }[given.kind]
    to = f"to version {given.version}: " if given.version != version else ""
    words = f": {given.words}" if given.words else ""
    said = ", ".join(filter(None, (given.who, times.short_at(given.at, now))))
    return f"{to}{kind}{words} ({said})"


def _order(row: InboxRow) -> tuple[date, int, str, str]:
    found = times.moment(row.resident.expected_leaving)
    clock = found.isoformat() if isinstance(found, datetime) else ""
    return times.day_of(found) or date.min, 1 if clock else 0, clock, row.resident.name


def _group(row: InboxRow, now: datetime) -> str:
    if row.withdrawn_at is not None:
        return "Read" if row.is_withdrawal_seen else "Not coming"
    if row.read_version is None:
        return "Not read yet"
    if row.read_version < row.version:
        return "Changed since you read it"
    return "Late" if _late(row, now) else "Read"


def _is_past(row: InboxRow, now: datetime) -> bool:
    day = times.day_of(times.moment(row.left_at or row.resident.expected_leaving))
    return row.withdrawn_at is not None or (day is not None and day < now.astimezone(times.LONDON).date())


def _late(row: InboxRow, now: datetime) -> str:
    """How late, when the expected moment is past and the hospital has not said that the person left."""
    found = times.moment(row.resident.expected_leaving)
    if found is None or row.left_at or row.withdrawn_at is not None:
        return ""
    hours = times.hours_since(found, now)
    if hours < LATE_AFTER_HOURS:
        return ""
    if hours >= 48:
        return f"Late: {hours // 24} days"
    return f"Late: {hours} hour{'' if hours == 1 else 's'}"


def _is_weekend(row: InboxRow, now: datetime) -> bool:
    found = times.day_of(times.moment(row.resident.expected_leaving))
    return found is not None and found.weekday() >= 5 and not _is_past(row, now)


def _row(row: InboxRow, now: datetime) -> Row:
    late = _late(row, now)
    when, more = _when(row, now, bool(late))
    who = row.resident
    return Row(
        url=row.url,
        name=who.name,
        age=times.age(who.birth_date, now),
        badge=Badge(mark := Mark.WITHDRAWN if row.withdrawn_at else row.mark, badge_words(mark, len(row.missing))),
        pills=("Weekend",) if _is_weekend(row, now) else (),
        late=late,
        when=when,
        when_more=more,
        origin=", ".join(part for part in (who.ward, who.hospital) if part),
        missing=", ".join(row.missing) if row.withdrawn_at is None else "",
        notes=tuple(_notes(row, now, bool(late))),
        answer="" if row.withdrawn_at else answer_words(row.answer, now, version=row.version) if row.answer else "none yet",
    )


def _when(row: InboxRow, now: datetime, is_late: bool) -> tuple[str, str]:
    """The bold part and what follows it."""
    found = times.moment(row.resident.expected_leaving)
    if isinstance(found, datetime):
        words, more = f"{times.near_day(found.date(), now)}, {times.clock(found)}", ""
    elif found is not None:
        words, more = times.near_day(found, now), f", {times.UNKNOWN_TIME}"
    else:
        words, more = row.resident.expected_leaving or "Day not known", ""
    if row.withdrawn_at is not None:
        return "Not coming", f". Was expected: {words}{more}."
    if row.left_at:
        return f"Left the ward {times.said(row.left_at, now)}", ""
    return (f"Was due: {words}" if is_late else words), more


def _notes(row: InboxRow, now: datetime, is_late: bool) -> list[str]:
    notes = []
    if row.withdrawn_at is not None:
        why = f" {row.withdrawn_why.rstrip('.')}." if row.withdrawn_why else ""
        return [f"The hospital took this back on {times.at(row.withdrawn_at, now)}.{why} Throw away any print."]
    if row.read_version is not None and row.read_version < row.version:
        notes.append(f"Version {row.version} came {times.at(row.published_at, now)}. You read version {row.read_version}.")
    if is_late:
        call = f" Call the ward: {row.ward_phone}." if row.ward_phone else ""
        notes.append(f"We have no word that this person left the ward.{call}")
    return notes
