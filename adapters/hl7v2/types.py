"""HL7 v2 data types to FHIR R4 data types. Each function names its row of the HL7 v2-to-FHIR guide, or says "our decision".

Every function claims what it uses, with the path that it was given; what it does not use is listed as not carried.
"""

import re
from datetime import date
from decimal import Decimal

from adapters.common import LOCAL_PATIENT, LOCAL_PRACTITIONER, THO, UCUM, Moment, national, nhs_number, only, put, put_moment, read_time
from adapters.hl7v2.reader import Cell, Segment, table
from exchange.fhir.codes import NHS_NUMBER
from exchange.fhir.draft import Outcome, Resource
from exchange.fhir.r4.ucum import is_ucum

_NHS_AUTHORITIES = frozenset(("NHS", "NH", "NHSNUMBER", "NHS NUMBER", "2.16.840.1.113883.2.1.4.1"))
_LOCAL_TYPES = frozenset(("", "PI", "MR", "PT", "MRN", "U", "HOSP"))
_FILLERS = re.compile(r"(\d{8})(?:0000(?:00)?|2359(?:00|59)?)(?:\.0+)?(?:[+-]\d{4})?", re.ASCII)


def take_moment(cell: Cell, path: str, zone: str, component: int = 1) -> Moment | None:
    """A time from this component, claimed when it is one."""
    moment = read_time(cell.value(component, 1), zone)
    if moment:
        cell.claim(path, component, 1)
    elif cell.value(component):
        cell.refuse("is not a date or time", component)
    return moment


def take_expected(cell: Cell, path: str, zone: str) -> str:
    """PV2-9: a filler time (00:00, 23:59) is no time, so the day stays a day (practice.md 2)."""
    filler = _FILLERS.fullmatch(cell.value(1, 1))
    if not filler:
        moment = take_moment(cell, path, zone)
        return moment.text if moment else ""
    moment = read_time(filler.group(1), zone)
    if moment:
        cell.claim(path, 1, 1)
    return moment.text if moment else ""


def quantity(value: Decimal, unit: Cell, path: str, *, comparator: str = "") -> Resource:
    """Row CE, CWE → Quantity.unit: the unit in words; its code too, when it says to be one of UCUM and is."""
    made = only(value=value, comparator=comparator, unit=unit.take(f"{path}.unit", 2) or unit.take(f"{path}.unit"))
    if unit.value(3).upper() == "UCUM" and is_ucum(unit.value()):
        made |= {"system": UCUM, "code": unit.take(f"{path}.code")}
        unit.claim(f"{path}.system", 3)
    return made


def notes(segment: Segment, path: str, outcome: Outcome = Outcome.MAPPED) -> list[Resource]:
    """Row NTE → Annotation: the notes that follow this segment, each with its lines."""
    found = ("\n".join(filter(None, (cell.words(f"{path}.text", outcome) for cell in nte.cells(3)))) for nte in segment.notes)
    return [{"text": text} for text in found if text]


def take_birth_date(cell: Cell, path: str) -> str:
    """PID-7 → birthDate: a year stays a year, a time of day is dropped, no zone touches it."""
    text = cell.value(1, 1)
    moment = read_time(text[:8], "UTC") if text[:8].isdecimal() else None
    try:
        if moment and len(moment.text) == 10:
            date.fromisoformat(moment.text)
    except ValueError:
        moment = None
    if moment:
        cell.claim(path, 1, 1)
    elif text:
        cell.refuse("is not a date", 1)
    return moment.text if moment else ""


def identifier(cell: Cell, path: str, zone: str) -> Resource | None:
    """Row CX → Identifier. NHS numbers by authority or type, only when valid; others by type, with assigner (our decision)."""
    number = cell.value(1)
    if not number:
        return None
    authority = cell.value(4, 1)
    if _is_national(cell):
        digits = nhs_number(number)
        if not digits:
            cell.refuse("is not a valid NHS number")
            return None
        cell.claim(f"{path}.value")
        cell.claim(f"{path}.system", 4)
        cell.claim(f"{path}.system", 5)
        return {"system": NHS_NUMBER, "value": digits}
    made: Resource = {}
    if is_local(cell):
        made["system"] = LOCAL_PATIENT
        cell.claim(f"{path}.system", 5)
    else:
        kind = cell.take(f"{path}.type.text", 5)
        known = kind.upper() in table("identifier_type")
        made["type"] = {"coding": [{"system": f"{THO}v2-0203", "code": kind.upper()}]} if known else {"text": kind}
    made["value"] = cell.take(f"{path}.value")
    put(made, "period", _period(cell, f"{path}.period", zone, 7, 8))
    if authority:
        made["assigner"] = {"display": cell.take(f"{path}.assigner.display", 4, 1)}
    return made


def _is_national(cell: Cell) -> bool:
    return bool({cell.value(4, 1).upper(), cell.value(4, 2), cell.value(5).upper()} & _NHS_AUTHORITIES)


def is_local(cell: Cell) -> bool:
    """Whether a CX is the sender's own number of the person."""
    return not _is_national(cell) and cell.value(5).upper() in _LOCAL_TYPES


def _period(cell: Cell, path: str, zone: str, start: int, end: int) -> Resource:
    made: Resource = {}
    put_moment(made, "start", take_moment(cell, f"{path}.start", zone, start))
    put_moment(made, "end", take_moment(cell, f"{path}.end", zone, end))
    return made


def human_name(cell: Cell, path: str, first: int = 1, *, use: int = 7) -> Resource:
    """Row XPN → HumanName; also the name inside XCN, which begins at component 2 (`first`) and has no use."""
    made: Resource = {}
    if not cell.value(first, 1) and not cell.value(first + 1) and not cell.value(first + 2):
        return made
    if use:
        put(made, "use", table("name_use").get(cell.value(use).upper(), ""))
        if "use" in made:
            cell.claim(f"{path}.use", use)
    put(made, "family", cell.take(f"{path}.family", first, 1))
    put(made, "given", [text for part in (1, 2) if (text := cell.take(f"{path}.given", first + part))])
    put(made, "prefix", _texts(cell, f"{path}.prefix", first + 4))
    put(made, "suffix", _texts(cell, f"{path}.suffix", first + 3) + _texts(cell, f"{path}.suffix", first + 5))
    return made


def _texts(cell: Cell, path: str, component: int) -> list[str]:
    text = cell.take(path, component)
    return [text] if text else []


def address(cell: Cell, path: str) -> Resource:
    """Row XAD → Address. Lines are kept as written; XAD.4 is `state` and XAD.9 `district` there."""
    made: Resource = {}
    if not any(cell.value(component) for component in (1, 2, 3, 4, 5, 9)):
        return made
    kind = cell.value(7).upper()
    put(made, "use", table("address_use").get(kind, ""))
    if kind in ("M", "SH"):
        made["type"] = "postal"
    if made:
        cell.claim(f"{path}.{'use' if 'use' in made else 'type'}", 7)
    put(made, "line", [text for part in (1, 2) if (text := cell.take(f"{path}.line", part))])
    for key, component in (("city", 3), ("district", 9), ("state", 4), ("postalCode", 5), ("country", 6)):
        put(made, key, cell.take(f"{path}.{key}", component))
    return made


def telecom(cell: Cell, path: str, use: str = "") -> Resource:
    """Row XTN → ContactPoint. An e-mail address is XTN.4; a number is XTN.1 or XTN.12 as written, else its parts in order."""
    equipment, purpose = cell.value(3).upper(), cell.value(2).upper()
    system = table("telecom_system").get(equipment) or table("telecom_system").get(purpose) or ""
    value = ""
    if system == "email" or not cell.value(1):
        value = cell.take(f"{path}.value", 4)
        system = "email" if value else system
    value = value or cell.take(f"{path}.value") or cell.take(f"{path}.value", 12)
    if not value:
        value = " ".join(text for part in (5, 6, 7, 8) if (text := cell.take(f"{path}.value", part)))
    if not value:
        return {}
    made: Resource = {"system": system or ("email" if "@" in value else "phone"), "value": value}
    if equipment in table("telecom_system"):
        cell.claim(f"{path}.system", 3)
    put(made, "use", "mobile" if equipment == "CP" else table("telecom_use").get(purpose, "") or use)
    if purpose in table("telecom_use"):
        cell.claim(f"{path}.use", 2)
    return made


def concept(cell: Cell, path: str) -> Resource:
    """Row CE, CWE → CodeableConcept. A code is published only under a system that we know; a local code gives its text (our decision)."""
    codings = []
    for first in (1, 4):
        system = table("code_system").get(cell.value(first + 2).upper(), "")
        if system and cell.value(first):
            coding: Resource = {"system": system, "code": cell.take(f"{path}.coding.code", first)}
            put(coding, "display", cell.take(f"{path}.coding.display", first + 1))
            cell.claim(f"{path}.coding.system", first + 2)
            codings.append(coding)
    made: Resource = {}
    put(made, "coding", codings)
    texts = [component for component in (9, 2, 5, 1, 4) if cell.value(component)]
    if texts:
        if codings and texts[0] in (1, 4):
            return made
        made["text"] = cell.take(f"{path}.text", texts[0])
        if 1 in texts and texts[0] != 1 and not codings:
            cell.refuse("local code: its text is carried", 1)
    return made


def coded(cell: Cell, path: str, map_name: str, system: str) -> Resource:
    """A code through a v2 table to a THO system, the sender's words beside it; without a row the words alone."""
    code = table(map_name).get(cell.value().upper(), "")
    made: Resource = {}
    if code:
        cell.claim(f"{path}.coding.code")
        made["coding"] = [{"system": THO + system, "code": code}]
    put(made, "text", cell.take(f"{path}.text", 2) or ("" if code else cell.take(f"{path}.text")))
    return made


def language(cell: Cell, path: str) -> Resource:
    """Row PID-15 → a BCP 47 code with its words. What is no code stays in words under `und` (our decision: FHIR demands a code)."""
    made = concept(cell, path)
    if made:
        code = next((part for part in (1, 4) if re.fullmatch("[A-Za-z]{2,3}", cell.value(part))), 0)
        if code:
            cell.claim(f"{path}.coding.code", code)
        made["coding"] = [{"system": "urn:ietf:bcp:47", "code": cell.value(code).lower() if code else "und"}]
    return made


def national_concept(cell: Cell, path: str, name: str, country: str) -> Resource:
    """A national code (UK Core table of that country) with its display; a code that is not in the table stays as text."""
    code = cell.value(1)
    if not code:
        return {}
    found = national(name, country)
    if found and code in found["codes"]:
        cell.claim(f"{path}.coding.code")
        return {"coding": [{"system": found["system"], "code": code, "display": found["codes"][code]}]}
    cell.claim(f"{path}.text")
    words = cell.take(f"{path}.text", 2)
    return {"text": f"{words} ({code})" if words else code}


def practitioner(cell: Cell, path: str) -> Resource | None:
    """Row XCN → Practitioner. The number's system by XCN-9 or XCN-13; a number without either is local and never taken for a GMC number."""
    name = human_name(cell, f"{path}.name", 2, use=0)
    number = cell.value(1)
    if not name and not number:
        return None
    made: Resource = {"resourceType": "Practitioner"}
    if number:
        authority = cell.value(9, 1)
        known = table("practitioner_id").get(authority.upper()) or table("practitioner_id").get(cell.value(13).upper())
        issued: Resource = {"system": known or LOCAL_PRACTITIONER, "value": cell.take(f"{path}.identifier.value")}
        if authority and not known:
            issued["assigner"] = {"display": cell.take(f"{path}.identifier.assigner.display", 9, 1)}
        elif known:
            cell.claim(f"{path}.identifier.system", 9 if authority.upper() in table("practitioner_id") else 13)
        made["identifier"] = [issued]
    put(made, "name", [name] if name else [])
    return made
