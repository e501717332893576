"""OBR and OBX of an ORU → Observation. A value stands as its type allows; what FHIR has no form for stands in the sender's words."""

import re

from adapters.common import decimal, only, put, put_moment, read_time
from adapters.hl7v2.letters import ELSEWHERE, is_letter
from adapters.hl7v2.reader import Cell, Message, Segment, table
from adapters.hl7v2.types import coded, concept, notes, quantity, take_moment
from exchange.fhir.draft import Entry, Outcome, ReadingProfile, Resource
from exchange.fhir.shape import concept_text

_VALUE = "Observation.value"
_OPEN = frozenset(("", "N", "U", "NORM"))  # v2-0177: usual or normal; anything else is a restriction


def results(message: Message, profile: ReadingProfile) -> list[Entry]:
    """One Entry for each OBX with a value; a note under the OBR is a note about the whole report. Letters are left to letters.py."""
    entries: list[Entry] = []
    restricted = any(orc.value(28).upper() not in _OPEN for orc in message.all("ORC"))
    for obr, *rest in message.groups("OBR"):
        if is_letter(obr, profile):
            continue
        path = "Composition.section.text"
        title = concept_text(concept(obr.cell(4), "Observation.basedOn.display"))
        texts = notes(obr, path, Outcome.NARRATIVE)
        entries += [Entry("note", obr.label, only(section="investigation-results", title=title, text=note["text"])) for note in texts]
        for obx in rest:
            if obx.name != "OBX":
                continue
            if restricted or obx.value(13) or {obr.value(4), obx.value(3)} & set(profile.sensitive_results):
                for segment in (obx, *obx.notes):
                    segment.settle(Outcome.WITHHELD, "sensitive_results")
            elif made := _observation(obr, obx, title, profile.zone):
                entries.append(Entry("result", obx.label, made))
    return entries


def _observation(obr: Segment, obx: Segment, title: str, zone: str) -> Resource:
    """Row OBX → Observation; the order's number and name by OBR-3 (else 2) and 4."""
    code = concept(obx.cell(3), "Observation.code")
    status = obx.value(11).upper()
    if obx.value(2).upper() in ("ED", "RP"):
        obx.settle(Outcome.NOT_CARRIED, ELSEWHERE if obx.value(2).upper() == "RP" else "a file that is not a discharge letter")
        return {}
    if not code:
        return {}
    obx.cell(11).claim("Observation.status")
    number = obr.take("Observation.basedOn.identifier.value", 3) or obr.take("Observation.basedOn.identifier.value", 2)
    part = obx.take("Observation.identifier.value", 4)
    made: Resource = {"resourceType": "Observation", "status": table("result_status").get(status, "unknown"), "code": code}
    put(made, "identifier", [{"value": part}] if part else [])
    put(made, "basedOn", [only(identifier=only(value=number), display=title)] if number else [])
    at = take_moment(obx.cell(14), "Observation.effectiveDateTime", zone) or take_moment(obr.cell(7), "Observation.effectiveDateTime", zone)
    put_moment(made, "effectiveDateTime", at)
    made |= _value(obx, zone)
    flags = [coded(cell, "Observation.interpretation", "interpretation", "v3-ObservationInterpretation") for cell in obx.cells(8)]
    put(made, "interpretation", [flag for flag in flags if flag])
    span = obx.take("Observation.referenceRange.text", 7)
    put(made, "referenceRange", [{"text": span}] if span else [])
    put(made, "note", notes(obx, "Observation.note"))
    if not made.keys() & {"valueQuantity", "valueString", "valueCodeableConcept", "valueDateTime", "valueTime", "note"}:
        made["dataAbsentReason"] = {"text": "no value was sent"}
    return made


def _value(obx: Segment, zone: str) -> Resource:
    """OBX-5 by OBX-2; more than one value, or one that is not of its type, stands as it was written."""
    kind, cells = obx.value(2).upper(), obx.cells(5)
    obx.cell(2).claim(f"{_VALUE}[x]")
    cell = obx.cell(5)
    if len(cells) == 1 and kind in ("NM", "SN") and (made := _number(cell, obx.cell(6), kind)):
        return made
    if len(cells) == 1 and kind in ("CE", "CWE", "CNE", "CF"):
        return only(valueCodeableConcept=concept(cell, f"{_VALUE}CodeableConcept"))
    if len(cells) == 1 and kind in ("DT", "TS", "DTM") and read_time(cell.value(1, 1), zone):
        made = {}
        put_moment(made, "valueDateTime", take_moment(cell, f"{_VALUE}DateTime", zone))
        return made
    if len(cells) == 1 and kind == "TM" and (clock := re.fullmatch(r"([01]\d|2[0-3])([0-5]\d)([0-5]\d)?", cell.value(), re.ASCII)):
        cell.claim(f"{_VALUE}Time")
        return {"valueTime": f"{clock[1]}:{clock[2]}:{clock[3] or '00'}"}
    said = "\n".join(filter(None, (_written(one, kind) for one in cells)))
    unit = (obx.take(f"{_VALUE}String", 6, 2) or obx.take(f"{_VALUE}String", 6)) if said else ""
    return only(valueString=f"{said} {unit}".rstrip())


def _number(cell: Cell, unit: Cell, kind: str) -> Resource:
    """NM, and SN with a comparator that FHIR has; `=` is none. Ratios, ranges and "not equal" have no such form."""
    at = 2 if kind == "SN" else 1
    comparator = cell.value(1) if kind == "SN" else ""
    value = decimal(cell.value(at))
    if value is None or comparator not in ("", "=", "<", "<=", ">", ">=") or (kind == "SN" and (cell.value(3) or cell.value(4))):
        return {}
    cell.claim(f"{_VALUE}Quantity.value", at)
    if comparator:
        cell.claim(f"{_VALUE}Quantity.comparator", 1)
    return {
        "valueQuantity": quantity(
            value, unit, f"{_VALUE}Quantity", comparator=comparator.replace("=", "") if comparator == "=" else comparator
        )
    }


def _written(cell: Cell, kind: str) -> str:
    """A value in the sender's words; the components of a structured number with spaces between."""
    if kind == "SN":
        return " ".join(text for part in (1, 2, 3, 4) if (text := cell.take(f"{_VALUE}String", part)))
    return cell.words(f"{_VALUE}String")
