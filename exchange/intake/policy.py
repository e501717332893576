"""The one policy table: who is told what, after how long, and who is next when nobody acts. Data alone; the clock acts on it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import NamedTuple

from exchange.model import HoldKind


class Rung(NamedTuple):
    """One step of a ladder: `who` is told, and owns a hold, once `after` has passed without an act.

    `is_by_day`: this owner is there on working days from 9:00 to 17:00 alone, and `after` counts those hours; else any hours count.
    `before_leaving`: at the latest so long before the person leaves; a day without a time counts from its noon.
    A step that reaches nobody (no address, every e-mail refused) makes the next one due at once.
    """

    who: str
    after: timedelta = timedelta(0)
    is_by_day: bool = False
    before_leaving: timedelta | None = None


HOME, WARD, PICKER, DESK, MANAGER, TEAM = "home", "ward", "who picked the home", "discharge contact", "site manager", "integration team"


def _hours(hours: float) -> timedelta:
    return timedelta(hours=hours)


_TEAM_FIRST = (Rung(TEAM, is_by_day=True), Rung(MANAGER, _hours(4)), Rung(MANAGER, _hours(12)))
_TEAM_SLOWLY = (Rung(TEAM, is_by_day=True), Rung(TEAM, _hours(8), is_by_day=True), Rung(MANAGER, timedelta(days=3)))
_DESK_FIRST = (Rung(DESK, is_by_day=True), Rung(MANAGER, _hours(2)), Rung(MANAGER, _hours(6)))
_NEVER = timedelta(days=60)

LADDERS: Mapping[str, tuple[Rung, ...]] = {
    # A version that nobody at the home has opened, from the first such one on; a newer one meanwhile; one that was taken back.
    "waits": (
        Rung(HOME), Rung(DESK, _hours(4), is_by_day=True, before_leaving=_hours(3)), Rung(MANAGER, _hours(12), before_leaving=_hours(2)),
    ),
    # Ten minutes, so that a burst of messages is one e-mail.
    "changed": (Rung(HOME, timedelta(minutes=10)),),
    "back": (Rung(HOME), Rung(DESK, _hours(2), is_by_day=True), Rung(MANAGER, _hours(12))),
    "friday": (Rung(DESK), Rung(MANAGER, _NEVER)),
    HoldKind.UNREADABLE: _TEAM_FIRST,
    # Deadline noon the day before; at once when the person leaves today (practice.md 1).
    HoldKind.UNADDRESSED: (
        Rung(WARD), Rung(DESK, _hours(4), is_by_day=True, before_leaving=_hours(24)), Rung(MANAGER, _hours(8), before_leaving=_hours(20)),
    ),
    HoldKind.NOT_OURS: (Rung(PICKER), Rung(DESK, _hours(1), is_by_day=True), Rung(MANAGER, _hours(2))),
    HoldKind.IDENTITY: _DESK_FIRST,
    HoldKind.TEST: _TEAM_SLOWLY,
    HoldKind.DEAD: _DESK_FIRST,
    HoldKind.SEVERAL_STAYS: _DESK_FIRST,
    HoldKind.FAILED_CHECK: _TEAM_FIRST,
    HoldKind.UNDELIVERED: (Rung(TEAM, is_by_day=True), Rung(MANAGER, _hours(1)), Rung(MANAGER, _hours(4))),
    HoldKind.REUSED_ID: _TEAM_SLOWLY,
}  # fmt: skip
