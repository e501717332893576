"""Working days and the weekend: Easter, Christmas, both clock changes, and data that runs out."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from exchange.errors import Refused
from exchange.transfer.workdays import deadline, england, friday_list_end, is_working_day, next_working_day, weekend

LONDON = ZoneInfo("Europe/London")


@pytest.mark.parametrize(
    ("now", "start", "end", "hours"),
    [
        ("2026-11-25T10:00", "2026-11-27T12:00", "2026-11-30T08:00", 68),  # a plain one
        ("2026-11-29T03:00", "2026-11-27T12:00", "2026-11-30T08:00", 68),
        ("2026-11-30T07:59", "2026-11-27T12:00", "2026-11-30T08:00", 68),
        ("2026-11-30T08:00", "2026-12-04T12:00", "2026-12-07T08:00", 68),
        ("2026-04-01T09:00", "2026-04-02T12:00", "2026-04-07T08:00", 116),  # Easter
        ("2026-04-07T07:00", "2026-04-02T12:00", "2026-04-07T08:00", 116),
        ("2026-12-24T13:00", "2026-12-24T12:00", "2026-12-29T08:00", 116),  # Christmas
        ("2027-12-24T13:00", "2027-12-24T12:00", "2027-12-29T08:00", 116),
        ("2026-12-30T09:00", "2026-12-31T12:00", "2027-01-04T08:00", 92),  # New Year, over the end of a year
        ("2026-10-23T09:00", "2026-10-23T12:00", "2026-10-26T08:00", 69),  # the October Sunday has 25 hours
        ("2026-03-29T00:30", "2026-03-27T12:00", "2026-03-30T08:00", 67),  # the March Sunday has 23
    ],
)
def test_the_weekend(now: str, start: str, end: str, hours: int) -> None:
    found = weekend(datetime.fromisoformat(now).replace(tzinfo=LONDON))
    assert [at.strftime("%Y-%m-%dT%H:%M") for at in found] == [start, end]
    assert found[1].astimezone(UTC) - found[0].astimezone(UTC) == timedelta(hours=hours)


@pytest.mark.parametrize("fold", [0, 1])
def test_the_hour_that_comes_twice_is_in_its_weekend_both_times(fold: int) -> None:
    start, end = weekend(datetime(2026, 10, 25, 1, 30, tzinfo=LONDON, fold=fold))
    assert (start.day, end.day) == (23, 26)


@pytest.mark.parametrize(
    ("day", "last"),
    [("2026-11-26", "2026-11-28"), ("2026-11-27", "2026-12-01"), ("2026-04-02", "2026-04-08"), ("2026-12-24", "2026-12-30")],
)
def test_the_friday_list_reaches_the_next_working_day_and_one(day: str, last: str) -> None:
    assert friday_list_end(datetime.fromisoformat(f"{day}T12:00:00+00:00")).isoformat() == last


def test_the_data_holds_eight_days_a_year_none_at_a_weekend() -> None:
    holidays = england()
    assert all(day.weekday() < 5 for day in holidays.days)
    assert {sum(day.year == year for day in holidays.days) for year in range(holidays.first.year, holidays.last.year + 1)} == {8}


@pytest.mark.parametrize("day", [date(2025, 12, 31), date(2029, 1, 1)])
def test_data_that_ran_out_is_said_and_not_guessed(day: date) -> None:
    with pytest.raises(Refused) as problem:
        is_working_day(day)
    assert problem.value.code == "bank_holidays_unknown"
    with pytest.raises(Refused):
        next_working_day(england().last)


@pytest.mark.parametrize(
    ("expected", "now", "due"),
    [
        ("2026-11-27", "2026-11-25T09:00:00+00:00", "2026-11-26T12:00:00+00:00"),
        ("2026-11-28", "2026-11-26T09:00:00+00:00", "2026-11-27T12:00:00+00:00"),  # Saturday: Friday
        ("2026-11-30", "2026-11-26T09:00:00+00:00", "2026-11-27T12:00:00+00:00"),  # Monday: Friday, not Sunday
        ("2026-11-28T18:00:00+00:00", "2026-11-27T11:59:59+00:00", "2026-11-27T12:00:00+00:00"),
        ("2026-04-07", "2026-04-01T09:00:00+00:00", "2026-04-02T12:00:00+01:00"),  # Easter: Maundy Thursday
        ("2026-12-27", "2026-12-20T09:00:00+00:00", "2026-12-24T12:00:00+00:00"),  # Christmas
        ("2026-10-25", "2026-10-20T09:00:00+00:00", "2026-10-23T12:00:00+01:00"),  # the October Sunday
        ("2026-03-29", "2026-03-24T09:00:00+00:00", "2026-03-27T12:00:00+00:00"),  # the March one
        ("2026-07-02", "2026-06-30T09:00:00+00:00", "2026-07-01T12:00:00+01:00"),
        ("2099-11-28", "2026-11-26T09:00:00+00:00", "2099-11-27T12:00:00+00:00"),  # bank holidays not known: the last weekday
        ("2099-11-30", "2026-11-26T09:00:00+00:00", "2099-11-27T12:00:00+00:00"),
        ("2099-11-29", "2026-11-26T09:00:00+00:00", "2099-11-27T12:00:00+00:00"),
        ("2026-11-28", "2026-11-27T12:00:00+00:00", ""),
        ("2026-07-02", "2026-07-01T11:30:00+00:00", ""),
        ("", "2026-11-27T12:00:00+00:00", ""),
        ("2026-11", "2026-11-27T12:00:00+00:00", ""),
    ],
)
def test_a_gap_is_due_at_noon_on_the_last_working_day_else_at_once(expected, now, due):
    found, at_once = deadline(expected, datetime.fromisoformat(now))
    assert (found.isoformat(), at_once) == (due or now, not due)
