"""OperationOutcome: the one shape of every error that leaves by the FHIR API."""

from exchange.errors import WardpostError

ERROR_CODES = "https://fhir.wardpost.example/CodeSystem/error"


def outcome(severity: str, code: str, diagnostics: str, *, details: str = "", expression: str = "") -> dict[str, object]:
    """One-issue OperationOutcome. `code` is FHIR's issue-type, `details` our stable error code."""
    issue: dict[str, object] = {"severity": severity, "code": code, "diagnostics": diagnostics}
    if details:
        issue["details"] = {"coding": [{"system": ERROR_CODES, "code": details}]}
    if expression:
        issue["expression"] = [expression]
    return {"resourceType": "OperationOutcome", "issue": [issue]}


def outcome_of(error: WardpostError, issue_type: str) -> dict[str, object]:
    """The OperationOutcome of one of our errors."""
    return outcome("error", issue_type, error.diagnostics(), details=error.code)
