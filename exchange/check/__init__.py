"""The conformance checker: every rule of R4 and UK Core that can be checked offline, in milliseconds, inside the process.

    checker = Checker.load()
    issues = checker.check(resource)          # a dict as from `exchange.fhir.json.load_strict`
    outcome = as_outcome(issues)

It needs nothing of the rest of the product. What is checked, and what is said to be not checked: docs/check.md.
"""

from exchange.check.checker import Checker, UnknownProfile
from exchange.check.issue import Issue, as_outcome

__all__ = ["Checker", "Issue", "UnknownProfile", "as_outcome"]
