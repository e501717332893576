"""What a check says while it walks: the issues so far, and the place, tables and resource that a rule may look at."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from exchange.check.issue import Issue, Severity
from exchange.check.places import Places
from exchange.check.plan import Plan, Profile

ISSUES = 1_000  # of errors; and of warnings and information together

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
        self._errors = self._advice = 0
        self._unsure: dict[tuple[str, str], tuple[Where, str, int]] = {}

    def say(self, where: Where, rule: str, text: str, code: str = "structure", severity: Severity = "error") -> None:
        expression = spelled(where)
        if (rule, expression) not in self._said:
            self._add(Issue(severity, code, expression, text, rule))

    def _add(self, issue: Issue) -> None:
        if issue.severity in ("error", "fatal"):
            self._errors += 1
            if self._errors > ISSUES:
                raise TooCostly(f"More than {ISSUES:,} errors: not checked to the end")
        else:
            self._advice += 1
            if self._advice > ISSUES:
                return
        self._said.add((issue.rule, issue.expression))
        self.issues.append(issue)

    def unsure(self, rule: str, what: str, where: Where, text: str) -> None:
        """Something that could not be checked: said once for each `what`, with the number of places."""
        first, _, count = self._unsure.get((rule, what), (where, text, 0))
        self._unsure[rule, what] = (first, text, count + 1)

    def close(self) -> None:
        """Says what was not checked, and that advice was left out."""
        for (rule, _), (where, text, count) in self._unsure.items():
            self._add(Issue("information", "not-supported", spelled(where), f"Not checked: {text} (places: {count})", rule))
        if (more := self._advice - ISSUES) > 0:
            words = f"{more:,} more warnings and remarks are not listed"
            self.issues.append(Issue("information", "informational", "", words, "bounds"))


def spelled(where: Where) -> str:
    """The FHIRPath of a place."""
    steps: list[str] = []
    place: Where | None = where
    while place is not None:
        steps.append(place[1] if place[2] is None else f"{place[1]}[{place[2]}]")
        place = place[0]
    return ".".join(reversed(steps))
