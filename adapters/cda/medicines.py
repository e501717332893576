"""substanceAdministration → MedicationStatement (rows 5.3): what it is, how it is taken, whether it is still to be given.

Directions that the sender wrote (LOINC 76662-6, or words in the entry) are the dosage's text as they stand. Without them its text is made
of the coded values, each character for character, so that no dose is only in a field that nobody reads.
"""

from adapters.cda.source import TEXT, Node
from adapters.cda.types import Resolve, amount, concept, quantity, table, take_moment
from adapters.common import put, put_moment
from exchange.fhir.draft import Resource
from exchange.fhir.shape import concept_text, instant_key, spoken

_PATH = "MedicationStatement"
_DIRECTIONS = ("76662-6", "AD")
_CHANGES = {"aborted": "stopped", "cancelled": "stopped", "nullified": "stopped", "suspended": "held"}
_STATUS = {"active": "active", "completed": "completed", "aborted": "stopped", "cancelled": "stopped", "suspended": "on-hold"}


def medicine(node: Node, resolve: Resolve, zone: str, written: str) -> tuple[str, Resource]:
    """The change that the source states ("" when it does not) and the statement. What ended before the document was written is stopped."""
    made: Resource = {"resourceType": _PATH}
    state = node.first("statusCode").take(f"{_PATH}.status", "code")
    made["status"] = _STATUS.get(state, "unknown")
    material = node.first("consumable", "manufacturedProduct", "manufacturedMaterial")
    material = material or node.first("consumable", "manufacturedProduct", "manufacturedLabeledDrug")
    made["medicationCodeableConcept"] = _product(node, material, resolve)
    times = [each for time in node.all("effectiveTime") for each in (time, *time.descendants()) if each.name in ("effectiveTime", "comp")]
    ended = _period(times, made, zone)
    change = _CHANGES.get(state, "")
    notes = []
    if node.value("negationInd") == "true":
        node.claim(f"{_PATH}.status", "negationInd")
        change, made["status"] = "stopped", "not-taken"
        notes.append("The source says: not to be taken, or not taken")
    elif not change and ended and written and instant_key(ended[:10]) < instant_key(written[: len(ended[:10])]):
        change = "stopped"
        notes.append(f"Ended {spoken(ended)}, as the source says")
    elif ended:
        notes.append(f"Until {spoken(ended)}, as the source says")
    put(made, "dosage", _dosage(node, times, resolve))
    reasons = [concept(each.first("value"), f"{_PATH}.reasonCode", resolve) for each in _inner(node, "RSON") if each.name == "observation"]
    put(made, "reasonCode", [reason for reason in reasons if reason])
    put(made, "note", [{"text": text} for text in (*notes, *_notes(node, resolve)) if text])
    return change, made


def _inner(node: Node, *types: str) -> list[Node]:
    relations = [each for each in node.all("entryRelationship") if not types or each.value("typeCode") in types]
    skipped = ("templateId", "contentId", "seperatableInd")
    return [child for relation in relations for child in relation.children if child.name not in skipped]


def _product(node: Node, material: Node, resolve: Resolve) -> Resource:
    """The product by its code and name; uncoded ones by the sender's words, never by a guess."""
    path = f"{_PATH}.medicationCodeableConcept"
    found = concept(material.first("code"), path, resolve)
    name = material.first("name").take(f"{path}.text", TEXT)
    if name and "text" not in found:
        found["text"] = name
    if not found:
        found = concept(node.first("code"), path, resolve) if node.first("code").value("displayName") else {}
    if not found:
        said = resolve(node.first("text")) or node.first("text").take(f"{path}.text", TEXT)
        found = {"text": said or "Medicine: the source does not name it"}
    return found


def _period(times: list[Node], made: Resource, zone: str) -> str:
    """The interval, or the moment, in which the medicine is taken; gives its end."""
    for time in times:
        low, high = (take_moment(time.first(end), f"{_PATH}.effectivePeriod", zone) for end in ("low", "high"))
        if low or high:
            period: Resource = {}
            put_moment(period, "start", low)
            put_moment(period, "end", high)
            made["effectivePeriod"] = period
            return high.text if high else ""
        if at := take_moment(time, f"{_PATH}.effectiveDateTime", zone):
            put_moment(made, "effectiveDateTime", at)
            return ""
    return ""


def _dosage(node: Node, times: list[Node], resolve: Resolve) -> list[Resource]:
    path = f"{_PATH}.dosage"
    dose, rate, most = node.first("doseQuantity"), node.first("rateQuantity"), node.first("maxDoseQuantity")
    made: Resource = {}
    words = [amount(dose)]
    timing, said = _timing(times)
    words += said
    route = concept(node.first("routeCode"), f"{path}.route", resolve)
    words += [concept_text(route), *(f"at {amount(rate)}" for _ in (1,) if amount(rate))]
    site = concept(node.first("approachSiteCode"), f"{path}.site", resolve)
    words.append(f"site: {concept_text(site)}" if site else "")
    condition = node.first("precondition", "criterion")
    if condition:
        value = condition.first("value")
        reason = concept(value, f"{path}.asNeededCodeableConcept", resolve) or _text(condition, f"{path}.asNeededCodeableConcept", resolve)
        made |= {"asNeededCodeableConcept": reason} if reason else {"asNeededBoolean": True}
        words.append(f"as needed: {concept_text(reason)}" if reason else "as needed")
    words.append(f"at most {amount(most)}" if amount(most) else "")
    put(made, "timing", timing)
    put(made, "route", route)
    put(made, "site", site)
    put(made, "doseAndRate", [found] if (found := _dose(dose, rate)) else [])
    top, bottom = quantity(most.first("numerator"), path), quantity(most.first("denominator"), path)
    put(made, "maxDosePerPeriod", {"numerator": top, "denominator": bottom} if top and bottom else {})
    written = [_directions(each, resolve) for each in (node, *_inner(node))]
    text = "\n".join(dict.fromkeys(filter(None, written))) or ", ".join(filter(None, words))
    if text:
        made = {"text": text, **made}
    for each in (dose, rate, dose.first("low"), dose.first("high"), dose.first("center")):
        if each.value() and "value" not in each.claims:
            each.claim(f"{path}.text", "value", "unit")
    return [made] if made else []


def _text(node: Node, path: str, resolve: Resolve) -> Resource:
    said = resolve(node.first("text")) or node.first("text").take(path, TEXT)
    return {"text": said} if said else {}


def _directions(node: Node, resolve: Resolve) -> str:
    """The sender's own words of how to take it: an inner statement coded as directions, or plain words in the entry itself."""
    path = f"{_PATH}.dosage.text"
    if node.name == "substanceAdministration" and node.first("code").value("code") not in _DIRECTIONS:
        return node.first("text").take(path, TEXT) if not node.first("text", "reference") else ""
    if node.first("code").value("code") not in _DIRECTIONS:
        return ""
    text = node.first("text")
    return resolve(text) or text.take(path, TEXT) or node.first("value").take(path, TEXT)


def _dose(dose: Node, rate: Node) -> Resource:
    path = f"{_PATH}.dosage.doseAndRate"
    made: Resource = {}
    put(made, "doseQuantity", quantity(dose, f"{path}.doseQuantity"))
    if not made:
        low, high = (quantity(dose.first(end), f"{path}.doseRange.{end}") for end in ("low", "high"))
        put(made, "doseRange", {key: value for key, value in (("low", low), ("high", high)) if value})
    put(made, "rateQuantity", quantity(rate, f"{path}.rateQuantity"))
    return made


def _timing(times: list[Node]) -> tuple[Resource, list[str]]:
    """PIVL → period (a period of 6 hours means every six hours, not six times), EIVL → when; both in words too."""
    repeat: Resource = {}
    words = []
    for time in times:
        period, event = time.first("period"), time.first("event").value("code")
        low, high = period.first("low") or period, period.first("high")
        unit = low.value("unit")
        if amount(period):
            words.append(f"every {_every(amount(period), unit)}")
        first, last = quantity(low, f"{_PATH}.dosage.timing.repeat.period"), quantity(high, f"{_PATH}.dosage.timing.repeat.periodMax")
        if first and unit in table("unit_of_time") and "period" not in repeat and high.value("unit") in ("", unit):
            repeat |= {"frequency": 1, "period": first["value"], "periodUnit": unit}
            low.claim(f"{_PATH}.dosage.timing.repeat.periodUnit", "unit")
            put(repeat, "periodMax", last.get("value"))
        if event in table("event"):
            time.first("event").claim(f"{_PATH}.dosage.timing.repeat.when", "code")
            words.append(table("event")[event])
            when = repeat.setdefault("when", [])
            assert isinstance(when, list)
            when.append(event)
            offset = time.first("offset")
            if amount(offset):
                words.append(f"offset {amount(offset)}")
    return ({"repeat": repeat} if repeat else {}), words


def _every(said: str, unit: str) -> str:
    """`4 to 6 h` as `4 to 6 hours`, `1 d` as `1 day`."""
    word = table("unit_of_time").get(unit, "")
    count = said.removesuffix(f" {unit}")
    return f"{count} {word}{'' if count == '1' else 's'}" if word and count != said else said


def _notes(node: Node, resolve: Resolve) -> list[str]:
    """Comments, instructions, quantity supplied, and what it is mixed with, in words."""
    path = f"{_PATH}.note.text"
    found = []
    for each in _inner(node):
        if each.name == "supply" and amount(each.first("quantity")):
            found.append(f"Quantity supplied: {amount(each.first('quantity'))}")
            each.first("quantity").claim(path, "value", "unit")
        elif each.name == "act":
            text = each.first("text")
            found.append(resolve(text) or text.take(path, TEXT))
    for participant in node.all("participant"):
        entity = participant.first("participantRole", "playingEntity")
        if participant.value("typeCode") == "CSM" and entity:
            name = entity.first("name").take(path, TEXT) or entity.first("code").take(path, "displayName")
            found.append(f"Given in: {name}" if name else "")
    return list(dict.fromkeys(found))
