"""Codes in place: bindings, codings of known systems, units.

R4 terminologies.html: a required code must be in the set; an extensible one should be, when the set covers the concept, which only a
person can tell (warning);
a preferred one is advice (information). A code that a complete code system does not have is an error whatever the binding.
"""

import re
from collections.abc import Callable
from typing import Any

from exchange.check.issue import Severity
from exchange.check.look import has, items
from exchange.check.plan import Bound, Element
from exchange.check.report import Report, Where
from exchange.check.terminology import GRAMMAR, UCUM, ValueSet

# What names of systems begin with in practice: anything else is a slip of the pen.
_SCHEME = re.compile(r"(?:https?|urn):")
_UUID = re.compile(r"(?:urn:uuid:)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_SAID: dict[str, tuple[Severity, str]] = {
    "required": ("error", "must come from it"),
    "extensible": ("warning", "should come from it when it covers the concept"),
    "preferred": ("information", "would better come from it"),
}


def bound_object(report: Report, value: dict[str, Any], part: Element, bound: Bound, where: Where) -> None:
    """A CodeableConcept, Coding or Quantity against its binding: one coding in the set is enough."""
    codings = items(value, "coding") if part.type == "CodeableConcept" else [value]
    pairs = [(one.get("system"), one["code"]) for one in codings if type(one) is dict and type(one.get("code")) is str]
    if pairs:
        bare = all(system is None for system, _ in pairs)
        what = "The code has no system, so it" if bare else "The code"
        _verdict(report, bound, lambda values: [values.has(*pair) for pair in pairs], where, what)
    elif bound.strength == "required" and value:  # words alone are right for every other binding
        report.say(where, "binding-required", f"{part.path} needs a code from {bound.url}", "code-invalid")


def bound_code(report: Report, value: str, bound: Bound, where: Where) -> None:
    """A code, string or uri against its binding."""
    _verdict(report, bound, lambda values: [values.has_code(value)], where)


def _verdict(report: Report, bound: Bound, ask: Callable[[ValueSet], list[bool | None]], where: Where, what: str = "The code") -> None:
    """`ask`: whether each code is in a value set; None where that cannot be said."""
    for values, strength in bound.demands:
        found = ask(values) if values else [None]
        if True in found:
            continue
        url = values.url if values else bound.url
        if None not in found:
            severity, words = _SAID[strength]
            report.say(where, f"binding-{strength}", f"{what} is not in the value set {url}, and {words}", "code-invalid", severity)
        elif strength != "preferred":
            report.unsure("binding-not-checked", url, where, f"codes against the {strength} value set {url}, which cannot be listed here")


def _relative(report: Report, where: Where, what: str, severity: Severity = "error", code: str = "code-invalid") -> None:
    words = f"The system of {what} must be an absolute URI: http, https or urn"
    report.say((where, "system", None), "system-relative", words, code, severity)


def coding(report: Report, found: dict[str, Any], part: Element, where: Where) -> None:
    """A Coding of a code system that is held completely must have one of its codes."""
    system, code = found.get("system"), found.get("code")
    if not isinstance(system, str):
        return
    codes = report.plan.terms.system(system)
    if codes is not None and isinstance(code, str) and code in codes:
        return
    if not _SCHEME.match(system):
        # Advice where a binding tells which systems are meant, and among the codings of a concept; a Coding alone has to say whose it is.
        told = part.path == "CodeableConcept.coding" or (part.bound is not None and part.bound.strength != "preferred")
        _relative(report, where, "a code", "warning" if told else "error")
    if not isinstance(code, str):
        if codes is not None and not has(found, "code"):
            report.say(where, "code-missing", f"A coding of {system} needs a code of it; words alone go without it", "code-invalid")
        return
    if (grammar := GRAMMAR.get(system)) is not None:
        if not grammar(code):
            report.say(where, "code-unknown", f"Not a code of {system}", "code-invalid")
    elif codes is None:
        report.unsure("system-not-checked", system, where, f"codes of the system {_public(system)}, which is not held here")
    else:
        report.say(where, "code-unknown", f"The code system {system} has no such code", "code-invalid")


def quantity(report: Report, found: dict[str, Any], part: Element, where: Where) -> None:
    """A unit of UCUM must be one."""
    system, code = found.get("system"), found.get("code")
    if isinstance(system, str) and isinstance(code, str) and not _SCHEME.match(system):
        _relative(report, where, "a unit")
    if system == UCUM and isinstance(code, str) and not GRAMMAR[UCUM](code):
        report.say((where, "code", None), "ucum", "Not a UCUM unit", "code-invalid")


def identifier(report: Report, found: dict[str, Any], part: Element, where: Where) -> None:
    """datatypes.html#Identifier: the system is absolute, and a value of the system urn:ietf:rfc:3986 is a whole URI."""
    system, value = found.get("system"), found.get("value")
    if isinstance(system, str) and not _SCHEME.match(system):
        _relative(report, where, "an identifier", code="value")
    if system == "urn:ietf:rfc:3986" and isinstance(value, str) and not _URI.match(value):
        report.say((where, "value", None), "identifier-uri", "With the system urn:ietf:rfc:3986 the value is a whole URI", "value")
    if system == "https://tools.ietf.org/html/rfc4122" and isinstance(value, str) and not _UUID.fullmatch(value):
        report.say((where, "value", None), "identifier-uri", "With the system of RFC 4122 the value is a UUID", "value")


def attachment(report: Report, found: dict[str, Any], part: Element, where: Where) -> None:
    """datatypes.html#Attachment: size is the number of bytes of the data, before base64."""
    size, data = found.get("size"), found.get("data")
    if type(size) is int and isinstance(data, str):
        bare = "".join(data.split())
        if size != len(bare) // 4 * 3 - bare[-2:].count("="):
            report.say((where, "size", None), "attachment-size", "The size is not that of the data", "value")


# Systems that may be named in a text, to the character: what else stands in a system could be anything.
_PUBLIC = {"http://snomed.info/sct", "http://loinc.org", "https://dmd.nhs.uk", UCUM}


def _public(system: str) -> str:
    return system if system in _PUBLIC else "named there"
