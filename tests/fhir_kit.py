"""FHIR documents to send: made from plain words, so that a test says only what it is about."""

import copy
import json
from collections.abc import Mapping, Sequence
from typing import Any

from exchange.fhir.codes import CHANGE_SYSTEM, HEADINGS, NHS_NUMBER, SCT
from exchange.fhir.r4.xml import write

Row = Mapping[str, Any]
NUMBER = "9990000018"


def url(name: str) -> str:
    return f"urn:uuid:00000000-0000-4000-8000-{name.encode().hex()[-12:]:0>12}"


def medicine(name: str, dose: str, status: str = "active", change: str = "", **more: Any) -> dict[str, Any]:
    """One row: name and dose as the hospital wrote them, status, ITK change code."""
    return {"name": name, "dose": dose, "status": status, "change": change, **more}


def document(
    medicines: Sequence[Row] = (), others: Mapping[str, Mapping[str, Any]] | None = None, *, kind: str = "document", **composition: Any
) -> dict[str, Any]:
    """A Bundle with Edith Testperson, a stay V0001, two medicines lists as ITK3 writes them, and further resources by name."""
    made: dict[str, dict[str, Any]] = {
        "patient": {
            "resourceType": "Patient",
            "identifier": [{"system": NHS_NUMBER, "value": NUMBER}],
            "name": [{"use": "official", "family": "Testperson", "given": ["Edith"]}],
            "birthDate": "1938-05-14",
        },
        "stay": {
            "resourceType": "Encounter",
            "identifier": [{"system": "https://example.org/Id/spell", "value": "V0001"}],
            "status": "finished",
            "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
            "period": {"start": "2026-11-20T09:00:00+00:00", "end": "2026-11-28T11:00:00+00:00"},
        },
        "doctor": {"resourceType": "Practitioner", "name": [{"text": "Dr Sam Signer-Test"}]},
    }
    lists: dict[str, list[dict[str, Any]]] = {"1102411000000102": [], "1102191000000100": []}
    for number, row in enumerate(medicines):
        key = f"m{number}"
        made[key] = {
            "resourceType": "MedicationStatement",
            "status": row["status"],
            "medicationCodeableConcept": {"text": row["name"]},
            "subject": {"reference": url("patient")},
            "dosage": [{"text": row["dose"]}],
            **{name: value for name, value in row.items() if name not in ("name", "dose", "status", "change")},
        }
        flag = {"flag": {"coding": [{"system": CHANGE_SYSTEM, "code": row["change"]}]}} if row["change"] else {}
        lists["1102191000000100" if row["status"] == "stopped" else "1102411000000102"].append({**flag, "item": {"reference": url(key)}})
    for code, rows in lists.items():
        made[f"l{code[4]}"] = {
            "resourceType": "List",
            "status": "current",
            "mode": "snapshot",
            "code": {"coding": [{"system": SCT, "code": code}]},
            "entry": rows,
        }
    made |= copy.deepcopy(dict(others or {}))  # type: ignore[arg-type]  # plain JSON either way
    entries = [{"reference": url(name)} for name in made if name[0] == "l"]
    head = {
        "resourceType": "Composition",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:0e6f9a52-4f6e-4a34-9f1f-7a6a4bb0a001"},
        "status": "final",
        "type": {"coding": [{"system": SCT, "code": "373942005"}]},
        "subject": {"reference": url("patient")},
        "encounter": {"reference": url("stay")},
        "date": "2026-11-27T14:00:00+00:00",
        "author": [{"reference": url("doctor")}],
        "title": "Discharge summary",
        "attester": [{"mode": "legal", "time": "2026-11-27T14:02:00+00:00", "party": {"reference": url("doctor")}}],
        "section": [section("medications-and-medical-devices", "Medications and medical devices", "See the list", entries)],
        **composition,
    }
    return {
        "resourceType": "Bundle",
        "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:uuid:0e6f9a52-4f6e-4a34-9f1f-7a6a4bb0b001"},
        "type": kind,
        "timestamp": "2026-11-27T14:03:00+00:00",
        "entry": [{"fullUrl": url(name), "resource": node} for name, node in {"head": head, **made}.items()],
    }


def section(code: str, title: str, words: str, entries: Sequence[Row] = ()) -> dict[str, Any]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml"><p>{words}</p></div>'
    made = {"title": title, "code": {"coding": [{"system": HEADINGS, "code": code}]}, "text": {"status": "generated", "div": div}}
    return {**made, "entry": list(entries)} if entries else made


def as_json(bundle: Mapping[str, Any]) -> bytes:
    return json.dumps(bundle, ensure_ascii=False).encode()


def as_xml(bundle: Mapping[str, Any]) -> bytes:
    return write(bundle)


def resource(bundle: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The resource that `document` made under this name, to be changed."""
    found: dict[str, Any] = next(entry["resource"] for entry in bundle["entry"] if entry["fullUrl"] == url(name))
    return found
