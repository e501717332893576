"""Days and times in plain words, London time, never more exact than the source. Nothing here works out a clinical time."""

from datetime import UTC, date, datetime, timedelta

from exchange.fhir.shape import LONDON as LONDON
from exchange.fhir.shape import day_of as day_of
from exchange.fhir.shape import moment as moment

UNKNOWN_TIME = "time not known"


def clock(at: datetime) -> str:
    """`06:30` in London. The hour that happens twice in October says which one, midnight says of which day it is the start."""
    local = at.astimezone(LONDON)
    words = f"{local:%H:%M}"
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        return words + (" (after the clocks went back)" if local.fold else " (before the clocks went back)")
    return words + " (start of the day)" if words == "00:00" else words


def day(found: date, now: datetime, *, short: bool = False) -> str:
    """`Saturday 28 November` or `Sat 28 Nov`; the year only when it is not this year."""
    words = f"{found:%a} {found.day} {found:%b}" if short else f"{found:%A} {found.day} {found:%B}"
    return words if found.year == now.astimezone(LONDON).year else f"{words} {found.year}"


def near_day(found: date, now: datetime) -> str:
    """As `day`, led by Today, Tomorrow or Yesterday where that is so."""
    apart = (found - now.astimezone(LONDON).date()).days
    lead = {0: "Today, ", 1: "Tomorrow, ", -1: "Yesterday, "}.get(apart, "")
    return lead + day(found, now)


def at(instant: datetime, now: datetime) -> str:
    """An instant of ours: `Saturday 28 November, 06:30`."""
    return f"{day(instant.astimezone(LONDON).date(), now)}, {clock(instant)}"


def short_at(instant: datetime, now: datetime) -> str:
    """`Sat 28 Nov, 06:30`."""
    return f"{day(instant.astimezone(LONDON).date(), now, short=True)}, {clock(instant)}"


def said(text: str, now: datetime, *, short: bool = False) -> str:
    """A time from the source in words. A day alone says that the time is not known; what is not a time comes back as written."""
    found = moment(text)
    if isinstance(found, datetime):
        return f"{day(found.date(), now, short=short)}, {clock(found)}"
    if found is not None:
        return f"{day(found, now, short=short)}, {UNKNOWN_TIME}"
    return text


def birth(text: str, now: datetime) -> str:
    """`14 March 1942 (84 years)`; a birth date never passes through a time zone."""
    found = moment(text)
    if not isinstance(found, date) or isinstance(found, datetime):
        return text
    return f"{found.day} {found:%B} {found.year} ({age(text, now)} years)"


def age(text: str, now: datetime) -> str:
    """Whole years on the London day of `now`; empty when the day of birth is not known."""
    born = day_of(moment(text))
    if born is None:
        return ""
    today = now.astimezone(LONDON).date()
    return str(today.year - born.year - ((today.month, today.day) < (born.month, born.day)))


def next_days(now: datetime, count: int = 7) -> tuple[tuple[str, str], ...]:
    """(ISO day, words) of today and the days after it, for a choice in a form."""
    today = now.astimezone(LONDON).date()
    days = (today + timedelta(days=offset) for offset in range(count))
    return tuple((found.isoformat(), near_day(found, now)) for found in days)


def hours_since(found: datetime | date, now: datetime) -> int:
    """Whole hours since a moment; a day counts from its end. Negative when it is still to come."""
    if not isinstance(found, datetime):
        found = datetime(found.year, found.month, found.day, tzinfo=LONDON) + timedelta(days=1)
    return int((now.astimezone(UTC) - found.astimezone(UTC)).total_seconds() // 3600)


def exact(instant: datetime, now: datetime) -> str:
    """`Sat 28 Nov, 06:30 GMT`: for a record of what happened, where an hour that came twice must not be mistaken."""
    local = instant.astimezone(LONDON)
    return f"{day(local.date(), now, short=True)}, {local:%H:%M} {local.tzname()}"


def near(found: date, now: datetime) -> str:
    """`Today`, `Tomorrow`, `Sat 28 Nov`: for a list that says its own day."""
    days = (found - now.astimezone(LONDON).date()).days
    return {0: "Today", 1: "Tomorrow", -1: "Yesterday"}.get(days) or day(found, now, short=True)


def span(length: timedelta) -> str:
    """A length of time, no more exact than it helps: `20 min`, `2 h 20 min`, `20 h`, `3 days`."""
    minutes = int(length.total_seconds() // 60)
    if minutes >= 48 * 60:
        return f"{minutes // 1440} days"
    hours = f"{minutes // 60} h" if minutes >= 60 else ""
    return " ".join(filter(None, (hours, f"{minutes % 60} min" if not hours or (minutes < 1200 and minutes % 60) else "")))


def apart(found: datetime, now: datetime) -> str:
    """How far away a moment is: `in 2 h 20 min`, `3 days ago`."""
    return f"in {span(found - now)}" if found > now else f"{span(now - found)} ago"
