"""Result observations (C-CDA 2.1 Result Observation; any observation of a results section) → Observation.

A value stands as its type allows; what FHIR has no form for stands in words, character for character.
"""

from adapters.cda.source import TEXT, Node
from adapters.cda.types import Resolve, amount, concept, quantity, take_moment
from adapters.common import put, put_moment
from exchange.fhir.draft import Resource
from exchange.fhir.shape import concept_text

_PATH = "Observation"
_STATUS = {"completed": "final", "active": "preliminary", "aborted": "cancelled", "cancelled": "cancelled", "nullified": "entered-in-error"}
_CODED = frozenset(("CD", "CE", "CV", "CO", "CS"))


def result(node: Node, panel: Node, resolve: Resolve, zone: str) -> Resource:
    """One Observation; `panel` is the organizer around it (or nothing), whose name becomes a note. {} for what
    is none, or is not named, or is said not to be."""
    if node.name != "observation" or node.value("moodCode") not in ("", "EVN") or node.value("negationInd") == "true":
        return {}
    code = concept(node.first("code"), f"{_PATH}.code", resolve)
    if not code and (said := resolve(node.first("text")) or node.first("text").take(f"{_PATH}.code.text", TEXT)):
        code = {"text": said}
    if not code:
        return {}
    status = node.first("statusCode").take(f"{_PATH}.status", "code")
    made: Resource = {"resourceType": _PATH, "status": _STATUS.get(status, "unknown"), "code": code}
    time = node.first("effectiveTime") or panel.first("effectiveTime")
    path = f"{_PATH}.effectiveDateTime"
    at = take_moment(time, path, zone)
    low, high = (take_moment(time.first(end), f"{_PATH}.effectivePeriod", zone) for end in ("low", "high"))
    if low and high and low.text != high.text:
        period: Resource = {}
        put_moment(period, "start", low)
        put_moment(period, "end", high)
        made["effectivePeriod"] = period
    else:
        put_moment(made, "effectiveDateTime", at or low or high)
    values = [found for value in node.all("value") if (found := _value(value, resolve, zone))]
    if len(values) == 1:
        made |= values[0]
    else:
        put(made, "valueString", "\n".join(_in_words(value) for value in values))
    flags = [concept(each, f"{_PATH}.interpretation") for each in node.all("interpretationCode")]
    put(made, "interpretation", [flag for flag in flags if flag])
    ranges = [_range(each.first("observationRange"), resolve) for each in node.all("referenceRange")]
    put(made, "referenceRange", [{"text": span} for span in ranges if span])
    methods = [concept(each, f"{_PATH}.method") for each in node.all("methodCode")]
    if len(methods) == 1:
        put(made, "method", methods[0])
    named = panel.first("code")
    name = named.first("originalText").take(f"{_PATH}.note.text", TEXT) or named.take(f"{_PATH}.note.text", "displayName")
    put(made, "note", [{"text": f"Part of: {name}"}] if name else [])
    if not values:
        made["dataAbsentReason"] = {"text": "no value was sent"}
    return made


def _value(node: Node, resolve: Resolve, zone: str) -> Resource:
    """One value by its xsi:type; one that is not of its type stands as it was written."""
    kind = node.value("xsi:type").rpartition(":")[2]
    if kind in _CODED and (coded := concept(node, f"{_PATH}.valueCodeableConcept", resolve)):
        return {"valueCodeableConcept": coded}
    if kind in ("PQ", "INT", "REAL", "MO") and (number := quantity(node, f"{_PATH}.valueQuantity")):
        return {"valueQuantity": number}
    if kind == "TS" and (moment := take_moment(node, f"{_PATH}.valueDateTime", zone)):
        made: Resource = {}
        put_moment(made, "valueDateTime", moment)
        return made
    said = resolve(node) or amount(node)
    for each in (node, *node.descendants()):
        each.claim(f"{_PATH}.valueString", "value", "unit", TEXT)
    return {"valueString": said} if said else {}


def _in_words(value: Resource) -> str:
    (found,) = value.values()
    if isinstance(found, dict):
        return concept_text(found) or " ".join(str(found[key]) for key in ("value", "unit") if key in found)
    return str(found)


def _range(node: Node, resolve: Resolve) -> str:
    """A reference range in words: the sender's own, else its bounds."""
    text, value = node.first("text"), node.first("value")
    said = resolve(text) or text.take(f"{_PATH}.referenceRange.text", TEXT)
    if not said and (said := amount(value)):
        for each in (value, *value.descendants()):
            each.claim(f"{_PATH}.referenceRange.text", "value", "unit", TEXT)
    return said
