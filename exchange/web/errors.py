"""The one table from our errors to HTTP, and OperationOutcome as the body of every error of the API."""

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from exchange.errors import Conflict, Gone, NotFound, Refused, Unavailable, WardpostError
from exchange.fhir.draft import Unreadable
from exchange.fhir.json import JsonRefused, dump
from exchange.fhir.outcome import ERROR_CODES, outcome, outcome_of
from exchange.fhir.r4.xml import XmlRefused
from exchange.seal.manifest import EnvelopeRefused
from exchange.transfer.schema import SchemaRefused
from exchange.web.auth.assertion import ClientRefused

log = structlog.get_logger("wardpost.web")
FHIR_JSON = "application/fhir+json"

# error class → (HTTP status, FHIR issue type); the first that fits counts.
TABLE: tuple[tuple[type[WardpostError], int, str], ...] = (
    (JsonRefused, 400, "structure"),
    (XmlRefused, 400, "structure"),
    (ClientRefused, 401, "login"),
    (NotFound, 404, "not-found"),
    (Gone, 410, "deleted"),
    (Conflict, 409, "conflict"),
    (SchemaRefused, 422, "invalid"),
    (Unreadable, 422, "structure"),
    (Refused, 422, "business-rule"),
    (Unavailable, 503, "transient"),
    (EnvelopeRefused, 500, "exception"),
    (WardpostError, 500, "exception"),
)
# Codes that say more than their class.
BY_CODE: dict[str, tuple[int, str]] = {
    "answered_meanwhile": (412, "conflict"),
    "if_match_missing": (428, "required"),
    "token": (401, "login"),
    "scope": (403, "forbidden"),
    "too_large": (413, "too-long"),
    "media_type": (415, "not-supported"),
    "content_encoding": (415, "not-supported"),
    "multipart": (400, "structure"),
    "empty_body": (400, "structure"),
    "not_acceptable": (406, "not-supported"),
    "parameter": (400, "invalid"),
}


# What the framework refuses by itself: (FHIR issue type, code, words).
_OF_FRAMEWORK: dict[int, tuple[str, str, str]] = {
    404: ("not-found", "no_such_address", "There is nothing at this address."),
    405: ("not-supported", "method", "This address does not take this method."),
    413: ("too-long", "too_large", "The body is too large."),
}


def status_of(error: WardpostError) -> tuple[int, str]:
    """(HTTP status, FHIR issue type) of an error."""
    if error.code in BY_CODE:
        return BY_CODE[error.code]
    return next((status, issue) for kind, status, issue in TABLE if isinstance(error, kind))


def fhir(body: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A FHIR JSON answer that nobody caches."""
    return Response(dump(body), status, {"Cache-Control": "no-store", **(headers or {})}, FHIR_JSON)


def error_response(error: WardpostError) -> Response:
    status, issue = status_of(error)
    body = outcome_of(error, issue)
    if isinstance(error, SchemaRefused):
        details = {"coding": [{"system": ERROR_CODES, "code": error.code}]}
        body["issue"] = [
            {"severity": "error", "code": "invalid", "diagnostics": words, "details": details} | ({"expression": [path]} if path else {})
            for path, words in error.issues
        ]
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {"Retry-After": "5"} if status == 503 else {}
    return fhir(body, status, headers)


async def on_wardpost_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, WardpostError)
    if isinstance(error, ClientRefused):
        log.warning("client_refused", reason=error.reason)
        body = {"error": "invalid_client", "error_description": error.diagnostics()}
        return JSONResponse(body, 401, {"Cache-Control": "no-store"})
    if status_of(error)[0] >= 500:
        log.error("request_failed", code=error.code)
    return error_response(error)


async def on_http_error(request: Request, error: Exception) -> Response:
    """What the framework itself refuses (404, 405, 413): the same shape."""
    assert isinstance(error, HTTPException)
    issue, code, words = _OF_FRAMEWORK.get(error.status_code, ("invalid", "http", "This request was not accepted."))
    body = outcome("error", issue, f"{words} See docs/api.md.", details=code)
    return fhir(body, error.status_code, dict(error.headers or {}))


async def on_bad_parameter(request: Request, error: Exception) -> Response:
    """What the framework could not read into a route's parameters; its own words could repeat what was sent."""
    return fhir(outcome("error", "invalid", "A part of this request cannot be read. See docs/api.md.", details="parameter"), 400)


async def on_any_error(request: Request, error: Exception) -> Response:
    """A defect: said as such, without a word of the request or the exception's text."""
    log.error("defect", error=type(error).__name__)
    words = "This is a defect of ours. Tell us the time; the sender and the home lose nothing."
    return fhir(outcome("fatal", "exception", words, details="defect"), 500)
