"""Working days in England and the weekend between them, by London's clock. Bank holidays are data
(fhir_profiles/maps/bank-holidays-england.json) and run out loudly (practice.md 2)."""

import json
from collections.abc import Collection
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from exchange.errors import Refused
from exchange.fhir.shape import LONDON

# The doctor warns this long before the last day that the data covers.
WARN_BEFORE = timedelta(days=183)
# When the people are there who work by day alone.
_OPENS, _SHUTS = time(9), time(17)
_DAY = timedelta(days=1)


class Holidays(NamedTuple):
    """Bank holidays from the first to the last day that they are known for, both included."""

    first: date
    last: date
    days: Collection[date]


@cache
def england() -> Holidays:
    """The bank holidays as shipped."""
    data = json.loads((files("fhir_profiles") / "maps" / "bank-holidays-england.json").read_text("utf-8"))
    days = frozenset(date.fromisoformat(f"{year}-{day}") for year, found in data["days"].items() for day in found)
    return Holidays(date(int(min(data["days"])), 1, 1), date.fromisoformat(data["covers_to"]), days)


def is_working_day(day: date, holidays: Holidays | None = None) -> bool:
    """Monday to Friday and no bank holiday. Raises Refused `bank_holidays_unknown` for a weekday outside the data: it may be one."""
    if day.weekday() >= 5:
        return False
    known = holidays or england()
    if not known.first <= day <= known.last:
        step = "Add the year to bank-holidays-england.json, or install a newer version."
        raise Refused("bank_holidays_unknown", f"The bank holidays of {day.year} are not known here.", next_step=step)
    return day not in known.days


def next_working_day(day: date, holidays: Holidays | None = None) -> date:
    """The first working day after a day."""
    day += _DAY
    while not is_working_day(day, holidays):
        day += _DAY
    return day


def last_working_day(day: date, holidays: Holidays | None = None) -> date:
    """The last working day before a day."""
    day -= _DAY
    while not is_working_day(day, holidays):
        day -= _DAY
    return day


def weekend(now: datetime, holidays: Holidays | None = None) -> tuple[datetime, datetime]:
    """The weekend that is on or comes next: 12:00 on the last working day before a day without work to 08:00 on the next, in London. It
    spans Easter and Christmas; a bank holiday in midweek is one, too. Half-open; an offset may change inside."""
    local = now.astimezone(LONDON).replace(tzinfo=None)  # by the clock on the wall
    day = local.date()
    if is_working_day(day, holidays) and local.time() < time(8) and not is_working_day(day - _DAY, holidays):
        day -= _DAY  # the small hours still belong to it
    while is_working_day(day, holidays):
        day += _DAY
    start = datetime.combine(last_working_day(day, holidays), time(12), LONDON)
    return start, datetime.combine(next_working_day(day, holidays), time(8), LONDON)


def deadline(expected: str, now: datetime, holidays: Holidays | None = None) -> tuple[datetime, bool]:
    """(due, at once) of what is missing: noon in London on the last working day before leaving (practice.md 2); without a day, or when
    that is past, at once. Where the bank holidays are not known, the last weekday: a day mistyped far ahead must not stop the papers."""
    try:
        day = date.fromisoformat(expected[:10])
        last = last_working_day(day, holidays)
    except ValueError:
        return now, True
    except Refused:
        last = day - _DAY * (1 if 1 <= day.weekday() <= 5 else 2 if day.weekday() == 6 else 3)
    noon = datetime.combine(last, time(12), LONDON)
    return (now, True) if noon <= now else (noon, False)


def friday_list_end(now: datetime, holidays: Holidays | None = None) -> date:
    """The last day of the Friday list: the next working day and one more (practice.md 2)."""
    return next_working_day(now.astimezone(LONDON).date(), holidays) + _DAY


def is_at_work(now: datetime) -> bool:
    """Whether those are there who work on working days from 9:00 to 17:00."""
    local = now.astimezone(LONDON)
    return _OPENS <= local.time() < _SHUTS and _works(local.date())


def after_working(moment: datetime, span: timedelta) -> datetime:
    """When so many working hours have passed since a moment; with none, the next moment at which somebody is there. UTC."""
    day = moment.astimezone(LONDON).date()
    while True:
        if _works(day):
            begin, end = (datetime.combine(day, at, LONDON).astimezone(UTC) for at in (_OPENS, _SHUTS))
            begin = max(begin, moment)
            if begin < end and begin + span <= end:
                return begin + span
            if begin < end:
                span -= end - begin
        day += _DAY


def _works(day: date) -> bool:
    """Where the bank holidays have run out, which `wardpost doctor` says long before, nobody's e-mail may stop for it."""
    try:
        return is_working_day(day)
    except Refused:
        return day.weekday() < 5
