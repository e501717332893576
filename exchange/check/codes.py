"""Codes in place: bindings, codings of known systems, units; and the words for broken invariants.

R4 terminologies.html: a required code must be in the set; an extensible one should be, when the set covers the concept, which only a
person can tell (warning);
a preferred one is advice (information). A code that a complete code system does not have is an error whatever the binding.
"""

import re
from typing import TYPE_CHECKING, Any

from exchange.check.invariants import items
from exchange.check.terminology import GRAMMAR, UCUM, ValueSet, ucum_like

if TYPE_CHECKING:
    from exchange.check.plan import Bound, Element
    from exchange.check.walk import Walk, Where

# What names of systems begin with in practice: anything else is a slip of the pen.
_SCHEME = re.compile(r"(?:https?|urn|ftp|file|mailto):")
_UUID = re.compile(r"(?:urn:uuid:)?[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_COMMON_UNITS = "http://hl7.org/fhir/ValueSet/ucum-common"
_SAID = {
    "required": ("error", "must come from it"),
    "extensible": ("warning", "should come from it when it covers the concept"),
    "preferred": ("information", "would better come from it"),
}


def bound_object(walk: "Walk", value: dict[str, Any], part: "Element", bound: "Bound", where: "Where") -> None:
    """A CodeableConcept, Coding or Quantity against its binding: one coding in the set is enough."""
    codings = items(value, "coding") if part.type == "CodeableConcept" else [value]
    found = [
        (coding.get("system"), coding["code"]) for coding in codings if isinstance(coding, dict) and isinstance(coding.get("code"), str)
    ]
    if not found:
        # Words alone: right for all but a required binding.
        if bound.strength == "required" and value:
            walk.say("error", "code-invalid", where, f"{part.path} needs a code from {bound.url}", "binding-required")
        return
    _verdict(walk, bound, bound.values, [bound.values.has(*pair) if bound.values else None for pair in found], bound.strength, where)
    if bound.limit:
        _verdict(walk, bound, bound.limit, [bound.limit.has(*pair) for pair in found], "required", where)


def bound_code(walk: "Walk", value: str, part: "Element", bound: "Bound", where: "Where") -> None:
    """A code, string or uri against its binding."""
    _verdict(walk, bound, bound.values, [bound.values.has_code(value) if bound.values else None], bound.strength, where)
    if bound.limit:
        _verdict(walk, bound, bound.limit, [bound.limit.has_code(value)], "required", where)


def _verdict(walk: "Walk", bound: "Bound", values: ValueSet | None, found: list[bool | None], strength: str, where: "Where") -> None:
    if True in found:
        return
    url = values.url if values else bound.url
    if None in found:
        if strength != "preferred":
            walk.unsure("binding-not-checked", url, where, f"codes against the {strength} value set {url}, which cannot be listed here")
        return
    severity, words = _SAID[strength]
    walk.say(severity, "code-invalid", where, f"The code is not in the value set {url}, and {words}", f"binding-{strength}")


def coding(walk: "Walk", found: dict[str, Any], part: "Element", where: "Where") -> None:
    """A Coding of a code system that is held completely must have one of its codes."""
    system, code = found.get("system"), found.get("code")
    if not isinstance(system, str):
        return
    codes = walk.plan.terms.system(system)
    if codes is not None and isinstance(code, str) and code in codes:
        return
    if not _SCHEME.match(system):
        # One of several codings may be local in a CodeableConcept; a Coding alone has to say whose it is.
        severity = "warning" if part.path == "CodeableConcept.coding" else "error"
        walk.say(severity, "code-invalid", (where, "system", None), "The system of a code must be an absolute URI", "system-relative")
    if not isinstance(code, str):
        return
    if (grammar := GRAMMAR.get(system)) is not None:
        if not grammar.fullmatch(code):
            walk.say("error", "code-invalid", where, f"Not a code of {system}", "code-unknown")
    elif codes is None:
        walk.unsure("system-not-checked", system, where, f"codes of the system {_public(system)}, which is not held here")
    else:
        walk.say("error", "code-invalid", where, f"The code system {system} has no such code", "code-unknown")


def quantity(walk: "Walk", found: dict[str, Any], part: "Element", where: "Where") -> None:
    """A UCUM unit must be of UCUM's form; of its units only the common ones are held."""
    system, code = found.get("system"), found.get("code")
    if isinstance(system, str) and isinstance(code, str) and not _SCHEME.match(system):
        walk.say("error", "code-invalid", (where, "system", None), "The system of a unit must be an absolute URI", "system-relative")
    if system != UCUM or not isinstance(code, str):
        return
    common = walk.plan.terms.value_set(_COMMON_UNITS)
    if not ucum_like(code):
        walk.say("error", "code-invalid", (where, "code", None), "Not a UCUM unit", "ucum")
    elif common is None or not common.has(UCUM, code):
        walk.unsure("system-not-checked", UCUM, where, "units of UCUM that are not among the common ones")


def identifier(walk: "Walk", found: dict[str, Any], part: "Element", where: "Where") -> None:
    """datatypes.html#Identifier: the system is absolute, and a value of the system urn:ietf:rfc:3986 is a whole URI."""
    system, value = found.get("system"), found.get("value")
    if isinstance(system, str) and not _SCHEME.match(system):
        walk.say("error", "value", (where, "system", None), "The system of an identifier must be an absolute URI", "system-relative")
    if found.get("system") == "urn:ietf:rfc:3986" and isinstance(value, str) and not _URI.match(value):
        walk.say("error", "value", (where, "value", None), "With the system urn:ietf:rfc:3986 the value is a whole URI", "identifier-uri")
    if system == "https://tools.ietf.org/html/rfc4122" and isinstance(value, str) and not _UUID.fullmatch(value):
        walk.say("error", "value", (where, "value", None), "With the system of RFC 4122 the value is a UUID", "identifier-uri")


def attachment(walk: "Walk", found: dict[str, Any], part: "Element", where: "Where") -> None:
    """datatypes.html#Attachment: size is the number of bytes of the data, before base64."""
    size, data = found.get("size"), found.get("data")
    if type(size) is int and isinstance(data, str):
        bare = "".join(data.split())
        if size != len(bare) // 4 * 3 - bare[-2:].count("="):
            walk.say("error", "value", (where, "size", None), "The size is not that of the data", "attachment-size")


# Systems that may be named in a text, to the character: what else stands in a system could be anything.
_PUBLIC = {"http://snomed.info/sct", "http://loinc.org", "https://dmd.nhs.uk", UCUM}


def _public(system: str) -> str:
    return system if system in _PUBLIC else "named there"


RULE_WORDS = {
    "ait-1": "Say the clinicalStatus of an allergy, unless it was entered in error",
    "ait-2": "An allergy that was entered in error has no clinicalStatus",
    "att-1": "An attachment with data needs its contentType",
    "bdl-1": "total belongs into search sets and histories only",
    "bdl-2": "entry.search belongs into search sets only",
    "bdl-3": "entry.request belongs into every entry of a batch, transaction or history, and nowhere else",
    "bdl-4": "entry.response belongs into every entry of a response or history, and nowhere else",
    "bdl-5": "An entry needs a resource, a request or a response",
    "bdl-7": "Each fullUrl may stand once (or with different meta.versionId)",
    "bdl-8": "A fullUrl names no version",
    "bdl-9": "A document needs identifier.system and identifier.value",
    "bdl-10": "A document needs a timestamp",
    "bdl-11": "The first entry of a document is a Composition",
    "bdl-12": "The first entry of a message is a MessageHeader",
    "cmp-1": "A section needs text, entries or sections",
    "cmp-2": "A section with entries has no emptyReason",
    "con-1": "A stage needs a summary or an assessment",
    "con-2": "Evidence needs a code or a detail",
    "con-4": "A condition that has abated has the clinicalStatus inactive, remission or resolved",
    "con-5": "A condition that was entered in error has no clinicalStatus",
    "cpt-2": "A contact point with a value needs its system (phone, email ...)",
    "dom-2": "A contained resource contains no other",
    "dom-3": "A contained resource must be referred to from its container",
    "dom-4": "A contained resource has no versionId and no lastUpdated",
    "dom-5": "A contained resource has no security label",
    "dom-6": "A resource should have narrative",
    "ext-1": "An extension has either a value or extensions, not both and not neither",
    "lst-1": "A list with entries has no emptyReason",
    "lst-2": "entry.deleted belongs into lists of mode changes only",
    "lst-3": "entry.date belongs into lists of mode working only",
    "mad-1": "A dosage of an administration needs a dose or a rate",
    "mdd-1": "A medicine is handed over after it was prepared, not before",
    "obs-3": "A reference range needs low, high or text",
    "obs-6": "dataAbsentReason is for observations without a value",
    "obs-7": "An observation whose component has the same code has no value of its own",
    "org-1": "An organisation needs an identifier or a name",
    "org-2": "The address of an organisation is never of use home",
    "org-3": "The telecom of an organisation is never of use home",
    "pat-1": "A contact needs a name, telecom, address or organization",
    "per-1": "A period starts before it ends",
    "ppc-1": "A consent needs policy or policyRule",
    "qty-3": "A unit code needs its system",
    "rat-1": "A ratio has numerator and denominator, or neither and an extension",
    "rng-2": "The low end of a range is not above the high end",
    "sev-1": "An audit entity has a name or a query, not both",
    "sqty-1": "A simple quantity has no comparator",
    "ukcore-obs-vs-001": "A vital sign needs a LOINC coding beside others",
    "wp-ans-1": "An acceptance says in restriction.period.start when the person can come",
    "wp-ans-2": "A refusal and a question need a code in statusReason",
    "wp-doc-1": "A reference in a document of ours is the fullUrl of one of its entries",
    "wp-doc-2": "The fullUrl is urn:uuid: and the id of the resource",
    "wp-lst-1": "A list has entries, or an emptyReason",
    "wp-pat-1": "This is not a possible NHS number: ten digits, the last of them the check digit",
}
