"""CDA data types (HL7 V3 R1) to FHIR R4 data types. Each function names its row of standards (II, CD, TS, PN, AD, TEL, PQ) or our decision.

Every function claims what it uses, with the path that it was given; what it does not use is listed as not carried.
"""

import re
from collections.abc import Callable
from functools import partial

from adapters.cda.source import TEXT, Claim, Node
from adapters.common import DMD, LOCAL_PATIENT, LOCAL_PRACTITIONER, THO, UCUM, Moment, code_table, national, nhs_number, put, read_time
from exchange.fhir.codes import NHS_NUMBER, SCT, URI
from exchange.fhir.draft import Outcome, Resource
from exchange.fhir.r4.number import number
from exchange.fhir.r4.ucum import is_ucum

# A SNOMED CT concept of the UK drug extension (namespace 1000001) is a dm+d code.
_DMD_CODE = re.compile(r"\d+1000001(?:10)\d", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,18})?", re.ASCII)
_SHORT_OFFSET = re.compile(r"[+-]\d\d", re.ASCII)
# Resolves `#id` to the words in the narrative; "" when there are none or they are not one and the same.
Resolve = Callable[[Node], str]
table = partial(code_table, "cda")


def take_moment(node: Node, path: str, zone: str) -> Moment | None:
    """Row TS → date, dateTime: partial stays partial; an offset of hours alone gets its minutes; claimed when it is a time."""
    text = node.value()
    moment = read_time(text + "00" if _SHORT_OFFSET.fullmatch(text[-3:]) else text, zone) if text else None
    if moment:
        node.claim(path, "value")
    return moment


def take_date(node: Node, path: str) -> str:
    """A date that passes through no zone: a time of day and its offset are left out."""
    moment = read_time(node.value()[:8], "UTC")
    if moment:
        node.claim(path, "value")
    return moment.text if moment else ""


def identifier(node: Node, path: str) -> Resource:
    """Row II → Identifier: known OID its UK Core system, another one urn:oid:, a root alone is the value. Only valid NHS numbers."""
    root, extension = node.value("root"), node.value("extension")
    if not root:
        return {}
    system = table("identifier").get(root, "")
    if system == NHS_NUMBER and not nhs_number(extension):
        if extension:
            node.claims["extension"] = Claim(Outcome.NOT_CARRIED, reason="is not a valid NHS number")
        return {}
    node.claim(f"{path}.system", "root")
    if not extension:
        node.claim(f"{path}.value", "root")
        return {"system": URI, "value": f"urn:uuid:{root.lower()}" if _UUID.fullmatch(root) else f"urn:oid:{root}"}
    node.claim(f"{path}.value", "extension")
    if system == NHS_NUMBER:
        return {"system": system, "value": nhs_number(extension)}
    if not system:
        system = f"urn:uuid:{root.lower()}" if _UUID.fullmatch(root) else f"urn:oid:{root}"
    made: Resource = {"system": system, "value": extension}
    if authority := node.take(f"{path}.assigner.display", "assigningAuthorityName"):
        made["assigner"] = {"display": authority}
    return made


def full_id(node: Node) -> str:
    """An II as one text: its extension, else its root."""
    return node.value("extension") or node.value("root")


def concept(node: Node, path: str, resolve: Resolve | None = None) -> Resource:
    """Row CD → CodeableConcept: code and translations by OID, the sender's own words as text, qualifiers in words behind them."""
    codings = [found for each in (node, *node.all("translation")) if (found := _coding(each, path))]
    original = node.first("originalText")
    said = (resolve(original) if resolve and original else "") or original.take(f"{path}.text", TEXT)
    if not said and not codings:
        said = node.take(f"{path}.text", "displayName") or (node.take(f"{path}.text", "code") if not node.value("codeSystem") else "")
    qualifiers = [_qualifier(each, path) for each in node.all("qualifier")]
    if any(qualifiers):
        said = f"{said or node.value('displayName') or node.value('code')} ({'; '.join(filter(None, qualifiers))})"
    made: Resource = {}
    put(made, "coding", codings)
    put(made, "text", said)
    return made


def _coding(node: Node, path: str) -> Resource:
    code, oid = node.value("code"), node.value("codeSystem")
    if not code or not oid:
        return {}
    system = table("system").get(oid) or f"urn:oid:{oid}"
    coding: Resource = {"system": DMD if system == SCT and _DMD_CODE.fullmatch(code) else system, "code": code}
    put(coding, "display", node.take(f"{path}.coding.display", "displayName"))
    node.claim(f"{path}.coding.code", "code")
    node.claim(f"{path}.coding.system", "codeSystem")
    return coding


def _qualifier(node: Node, path: str) -> str:
    """A qualifier in words, such as `Laterality: Left`, with those of its value."""
    name, value = node.first("name"), node.first("value")
    inner = "; ".join(filter(None, (_qualifier(each, path) for each in value.all("qualifier"))))
    said = ": ".join(filter(None, (name.take(f"{path}.text", "displayName"), value.take(f"{path}.text", "displayName"))))
    return f"{said} ({inner})" if inner else said


def national_code(node: Node, path: str) -> Resource:
    """A code of an English national table, with the table's display; what the table lacks stays a concept of its OID."""
    found = national(table("national").get(node.value("codeSystem"), "AdmissionMethod"), "England")
    code = node.value("code")
    if not found or node.value("codeSystem") not in table("national") or code not in found["codes"]:
        return concept(node, path)
    node.claim(f"{path}.coding.code", "code", "codeSystem", "displayName")
    return {"coding": [{"system": found["system"], "code": code, "display": found["codes"][code]}]}


def human_name(node: Node, path: str) -> Resource:
    """Row PN → HumanName, its parts as written; a name without parts is its text."""
    made: Resource = {}
    put(made, "use", table("name_use").get(node.value("use").split(" ")[0].upper(), ""))
    if "use" in made:
        node.claim(f"{path}.use", "use")
    for key in ("family", "given", "prefix", "suffix"):
        found = [text for part in node.all(key) if (text := part.take(f"{path}.{key}", TEXT))]
        put(made, key, " ".join(found) if key == "family" else found)
    if not made.keys() - {"use"}:
        text = node.take(f"{path}.text", TEXT)
        return {**made, "text": text} if text else {}
    return made


def is_previous(name: Node) -> bool:
    """Names a person had, or other names: kept back by the rule previous_names."""
    use = name.value("use").upper()
    ended = name.first("validTime", "high").value()
    birth = any(part.value("qualifier") == "BR" for part in name.children)
    return use in ("A", "P", "OLD") or use.startswith("PREVIOUS") or bool(ended) or birth


def address(node: Node, path: str) -> Resource:
    """Row AD → Address: lines as written, a house number before its street; masked and bad ones say nothing."""
    made: Resource = {}
    use = node.value("use").split(" ")[0].upper()
    if use == "BAD" or "nullFlavor" in node.attrs:
        return made
    lines: list[str] = []
    house = ""
    for part in node.children:
        key = table("address").get(part.name, "line")
        text = part.value(TEXT) if part.name != "useablePeriod" else ""
        if text:
            part.claim(f"{path}.{key}", TEXT)
        if text and key == "line":
            lines.append(f"{house} {text}".strip())
            house = lines.pop() if part.name == "houseNumber" else ""
        elif text:
            made[key] = text
    put(made, "line", lines + [house] * bool(house))
    if not made:
        put(made, "text", node.take(f"{path}.text", TEXT))
    if made and table("use").get(use, "mobile") != "mobile":
        made["use"] = table("use")[use]
        node.claim(f"{path}.use", "use")
    return made


def telecom(node: Node, path: str) -> Resource:
    """Row TEL → ContactPoint: the scheme of the URL is the system; the number stays as written."""
    scheme, colon, rest = node.value().partition(":")
    system = {"tel": "phone", "mailto": "email", "fax": "fax", "http": "url", "https": "url", "sms": "sms"}.get(scheme.lower(), "")
    value = (rest if system and system != "url" else node.value()).strip()
    if not value or (colon and not rest.strip()):
        return {}
    node.claim(f"{path}.value", "value")
    made: Resource = {"system": system or ("email" if "@" in value else "phone"), "value": value}
    use = table("use").get(node.value("use").split(" ")[0].upper(), "")
    if use:
        made["use"] = use
        node.claim(f"{path}.use", "use")
    return made


def quantity(node: Node, path: str) -> Resource:
    """Row PQ → Quantity with the number's own characters; what is no FHIR decimal stays out here and stands in words."""
    value, unit = node.value(), node.value("unit")
    if not _DECIMAL.fullmatch(value):
        return {}
    node.claim(f"{path}.value", "value")
    made: Resource = {"value": number(value)}
    if unit and unit != "1":
        node.claim(f"{path}.unit", "unit")
        made["unit"] = unit
        if is_ucum(unit):
            made |= {"system": UCUM, "code": unit}
    return made


def amount(node: Node) -> str:
    """A PQ, IVL_PQ or RTO in words, character for character: `1.50 mg`, `1 to 2 tablet`, `4 per 1 d`."""
    low, high, top, bottom = (node.first(name) for name in ("low", "high", "numerator", "denominator"))
    if top:
        return " per ".join(filter(None, (amount(top), amount(bottom))))
    if low.value() or high.value():
        lower, upper = amount(low), amount(high)
        if lower and upper:
            same = low.value("unit") == high.value("unit")
            return f"{low.value() if same else lower} to {upper}"
        return f"at least {lower}" if lower else f"up to {upper}"
    unit = node.value("unit")
    said = node.value() or node.first("center").value() or node.value(TEXT)
    return f"{said} {unit}" if said and unit and unit != "1" else said


def status_concept(system: str, code: str, text: str = "") -> Resource:
    """A CodeableConcept of one HL7 status code, with plain words where the code could be overlooked."""
    made: Resource = {"coding": [{"system": THO + system, "code": code}]}
    put(made, "text", text)
    return made


def practitioner(node: Node, path: str, resolve: Resolve | None = None) -> Resource:
    """An assigned entity or author → Practitioner: numbers and the person's name; without a name there is nobody."""
    person = node.first("assignedPerson") or node.first("associatedPerson") or node.first("informationRecipient")
    name = human_name(person.first("name"), f"{path}.name")
    if not name:
        return {}
    made: Resource = {"resourceType": "Practitioner"}
    numbers = [found for each in node.all("id") if (found := identifier(each, f"{path}.identifier"))]
    for found in numbers:
        if found["system"] == LOCAL_PATIENT:
            found["system"] = LOCAL_PRACTITIONER
    put(made, "identifier", numbers)
    put(made, "telecom", [found for each in node.all("telecom") if (found := telecom(each, f"{path}.telecom"))])
    return {**made, "name": [name]}
