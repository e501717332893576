"""STU3 to R4, in place, before anything is read (standards.md 5.4). Each rule looks for what only STU3 has, so R4 passes unchanged.

ITK3 documents, and bundles that somebody converted by half, go the same way. Dosage, statuses and dates keep every character.
"""

import re
from collections.abc import Callable, Iterator

from adapters.common import DMD, national
from adapters.fhir.source import UUID, Claim, Found, Node, Source, table
from exchange.fhir.codes import HL7, PROFILE, SCT, URI
from exchange.fhir.draft import Outcome
from exchange.fhir.shape import part, parts, text

UK_EXTENSION = PROFILE.replace("UKCore-", "Extension-UKCore-")
INTERPRETER = "http://hl7.org/fhir/StructureDefinition/patient-interpreterRequired"
_RFC4122 = "https://tools.ietf.org/html/rfc4122"
_V3 = re.compile(r"http://hl7\.org/fhir/v3/(\w+)")
_EXTENSION = re.compile(r"https://fhir\.(?:hl7\.org|nhs)\.uk/STU3/StructureDefinition/Extension-(?:CareConnect-|ITK-)?(\w+?)(?:-\d)?")
# dm+d ids under the UK drug extension: namespace 1000001, then partition and check digit.
_DMD_ID = re.compile(r"[0-9]{1,8}1000001[0-9]{3}")

# Elements of a resource that have another name in R4.
RENAMED = {
    "AllergyIntolerance": {"assertedDate": "recordedDate"},
    "Binary": {"content": "data"},
    "Composition": {"class": "category"},
    "Condition": {"assertedDate": "recordedDate", "context": "encounter"},
    "DocumentReference": {"class": "category", "created": "date", "indexed": "date"},
    "Encounter": {"reason": "reasonCode", "incomingReferral": "basedOn"},
    "MedicationRequest": {"context": "encounter"},
    "MedicationStatement": {"reasonNotTaken": "statusReason"},
    "Procedure": {"context": "encounter", "notDoneReason": "statusReason"},
}
# Codes that are a CodeableConcept of this system in R4.
CODED = {
    "AllergyIntolerance": {"clinicalStatus": "allergyintolerance-clinical", "verificationStatus": "allergyintolerance-verification"},
    "Condition": {"clinicalStatus": "condition-clinical", "verificationStatus": "condition-ver-status"},
}


def _national_system(system: str, code: str, country: str) -> str:
    """The UK Core code system of a CareConnect one when it has this code in the feed's country, else the system as it was."""
    found = national(table("national").get(system, ""), country)
    return found["system"] if found and code in found["codes"] else system


def convert(source: Source, country: str) -> None:
    """Brings every resource of the source to R4 shape."""
    for found in source.found:
        for old, new in RENAMED.get(found.type, {}).items():
            if old in found.node and new not in found.node:
                source.move(found.node, old, found.node, new)
        for name, system in CODED.get(found.type, {}).items():
            if isinstance(found.node.get(name), str):
                coding: Node = {"system": HL7 + system}
                source.move(found.node, name, coding, "code")
                found.node[name] = {"coding": [coding]}
        if found.type in _RULES:
            _RULES[found.type](source, found)
    for node in _every(source.bundle):
        _normalise(node, country)


def extension_name(extension: object) -> str:
    """The last part of the url of a CareConnect, ITK or UK Core extension, without prefix and version; else the url."""
    url = text(extension, "url")
    stu3 = _EXTENSION.fullmatch(url)
    return stu3[1] if stu3 else url.removeprefix(UK_EXTENSION)


def _normalise(node: Node, country: str) -> None:
    """One object: systems, document numbers and extension urls as R4 and UK Core write them."""
    system, code, url = text(node, "system"), text(node, "code"), text(node, "url")
    if system:
        v3 = _V3.fullmatch(system)
        node["system"] = f"{HL7}v3-{v3[1]}" if v3 else table("system").get(system, _national_system(system, code, country))
        number = text(node, "value").lower().removeprefix("urn:uuid:")
        if system == _RFC4122 and UUID.fullmatch(number):
            node["system"], node["value"] = URI, f"urn:uuid:{number}"
    if url and (name := extension_name(node)) in table("extension"):
        node["url"] = UK_EXTENSION + name
    for member in ("code", "medicationCodeableConcept"):
        if member == "medicationCodeableConcept" or text(node, "resourceType") == "Medication":
            for coding in parts(node, member, "coding"):
                if isinstance(coding, dict) and text(coding, "system") == SCT and _DMD_ID.fullmatch(text(coding, "code")):
                    coding["system"] = DMD


def _every(node: object) -> Iterator[Node]:
    stack = [node]
    while stack:
        one = stack.pop()
        if isinstance(one, dict):
            yield one
        stack += one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()


def _is_true(value: object) -> bool:
    return value is True or value == "true"


def _allergy(source: Source, found: Found) -> None:
    """AllergyIntoleranceEnd stands under clinicalStatus."""
    status = found.node.get("clinicalStatus")
    if isinstance(status, dict):
        _move_extension(found.node, "AllergyIntoleranceEnd", status)


def _encounter(source: Source, found: Found) -> None:
    """DischargeMethod stands on the Encounter."""
    stay = found.node.get("hospitalization")
    if isinstance(stay, dict):
        _move_extension(stay, "DischargeMethod", found.node)


def _move_extension(node: Node, name: str, to: Node) -> None:
    extensions = node.get("extension")
    for one in [one for one in parts(node, "extension") if extension_name(one) == name]:
        if isinstance(extensions, list):
            extensions.remove(one)
            before = to.get("extension")
            to["extension"] = [*(before if isinstance(before, list) else ()), one]


def _doses(source: Source, found: Found) -> None:
    """Dosage: dose[x] and rate[x] → doseAndRate."""
    for dose in (*parts(found.node, "dosage"), *parts(found.node, "dosageInstruction")):
        moved: Node = {}
        for name in ("doseQuantity", "doseRange", "rateRatio", "rateRange", "rateQuantity"):
            if isinstance(dose, dict) and name in dose:
                source.move(dose, name, moved, name)
        if isinstance(dose, dict) and moved:
            dose.setdefault("doseAndRate", [moved])


def _statement(source: Source, found: Found) -> None:
    """`taken` n → status not-taken, unless the status already says not to give it; y, unk and na say nothing more."""
    _doses(source, found)
    if found.node.get("taken") == "n" and text(found.node, "status") in ("active", "completed", "intended", ""):
        found.node["status"] = "not-taken"
        source.claim(found.node, "taken", Claim(Outcome.MAPPED, "MedicationStatement.status"))
    source.claim(found.node, "taken", Claim(Outcome.NOT_CARRIED, "", "R4 has no such element; the status is kept"))


def _request(source: Source, found: Found) -> None:
    _doses(source, found)
    requester = found.node.get("requester")
    if isinstance(requester, dict) and isinstance(requester.get("agent"), dict):
        source.move(requester, "agent", found.node, "requester")


def _procedure(source: Source, found: Found) -> None:
    if _is_true(found.node.get("notDone")):
        found.node["status"] = "not-done"
        source.claim(found.node, "notDone", Claim(Outcome.MAPPED, "Procedure.status"))


def _patient(source: Source, found: Found) -> None:
    """NHSCommunication → communication, with patient-interpreterRequired on the Patient."""
    for extension in parts(found.node, "extension"):
        if extension_name(extension) != "NHSCommunication" or not isinstance(extension, dict):
            continue
        spoken: Node = {}
        for one in parts(extension, "extension"):
            name, value = text(one, "url"), next((name for name in one if name.startswith("value")), "")
            if isinstance(one, dict) and name in ("language", "preferred") and value:
                source.move(one, value, spoken, name)
            elif isinstance(one, dict) and name == "interpreterRequired":
                one["url"] = INTERPRETER
                found.node["extension"] = [*parts(found.node, "extension"), one]
        if part(spoken, "language"):
            found.node["communication"] = [*parts(found.node, "communication"), spoken]


_RULES: dict[str, Callable[[Source, Found], None]] = {
    "AllergyIntolerance": _allergy,
    "Encounter": _encounter,
    "MedicationRequest": _request,
    "MedicationStatement": _statement,
    "Patient": _patient,
    "Procedure": _procedure,
}
