"""What a check says while it walks: the issues so far, and the place, tables and resource that a rule may look at."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exchange.check.issue import Issue, Severity
from exchange.check.places import Places
from exchange.check.plan import Plan, Profile

ISSUES = 1_000

Where = tuple[Any, str, int | None]  # (parent, step, index); the parent of the root is None


class TooCostly(Exception):
    """A bound of the check was reached."""


class Report:
    """The issues of one check. `alone` judges a resource by itself under a profile."""

    def __init__(self, plan: Plan, places: Places, alone: Callable[[object, Profile], Sequence[Issue]]) -> None:
        self.plan = plan
        self.places = places
        self.alone = alone
        self.issues: list[Issue] = []
        self.resource: Mapping[str, Any] = {}  # the nearest resource that is not contained
        self._said: set[tuple[str, str]] = set()
        self._unsure: dict[tuple[str, str], tuple[Where, str, int]] = {}

    def say(self, severity: Severity, code: str, where: Where, text: str, rule: str) -> None:
        expression = spelled(where)
        if (rule, expression) in self._said:
            return
        if len(self.issues) >= ISSUES:
            raise TooCostly(f"More than {ISSUES:,} issues: the rest is not listed")
        self._said.add((rule, expression))
        self.issues.append(Issue(severity, code, expression, text, rule))

    def unsure(self, rule: str, what: str, where: Where, text: str) -> None:
        """Something that could not be checked: said once for each `what`, with the number of places."""
        first, _, count = self._unsure.get((rule, what), (where, text, 0))
        self._unsure[rule, what] = (first, text, count + 1)

    def close(self) -> None:
        """Says what was not checked."""
        for (rule, _), (where, text, count) in self._unsure.items():
            self.issues.append(Issue("information", "not-supported", spelled(where), f"Not checked: {text} (places: {count})", rule))


def spelled(where: Where) -> str:
    """The FHIRPath of a place."""
    steps: list[str] = []
    place: Where | None = where
    while place is not None:
        steps.append(place[1] if place[2] is None else f"{place[1]}[{place[2]}]")
        place = place[0]
    return ".".join(reversed(steps))
