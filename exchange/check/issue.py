"""What the checker says: issues, and the OperationOutcome that carries them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue.

    `code` is a FHIR issue-type, `expression` the FHIRPath of the element (empty for the file as a whole), `text` words to act on,
    `rule` a stable id:
    an invariant's own key or one of the ids in docs/check.md. Texts hold no value of the document.
    """

    severity: Severity
    code: str
    expression: str
    text: str
    rule: str


def as_outcome(issues: Iterable[Issue]) -> dict[str, object]:
    """The OperationOutcome of these issues; of none, one that says so (an OperationOutcome needs an issue)."""
    said: list[dict[str, object]] = [_said(issue) for issue in issues]
    return {
        "resourceType": "OperationOutcome",
        "issue": said or [{"severity": "information", "code": "informational", "diagnostics": "No issue was found."}],
    }


def _said(issue: Issue) -> dict[str, object]:
    said: dict[str, object] = {
        "severity": issue.severity,
        "code": issue.code,
        "details": {"coding": [{"system": "https://fhir.wardpost.example/CodeSystem/check-rule", "code": issue.rule}]},
        "diagnostics": issue.text,
    }
    if issue.expression:
        said["expression"] = [issue.expression]
    return said
