"""The medicines table: CSV with the columns of docs/medicines-table.md, one row a medicine, person and stay on each row. Pure.

A table that a named person has checked is a list (SourceKind.LIST): it can be the one source of a version's medicines, and freezes none.
"""

import csv
import io
import re
from collections.abc import Mapping
from datetime import date
from typing import Final

from adapters.common import DMD, LOCAL_PATIENT, nhs_number, put, read_time
from adapters.tabular.count import counted
from exchange.fhir import codes
from exchange.fhir.codes import NHS_NUMBER
from exchange.fhir.draft import Draft, Entry, Item, Outcome, ReadingProfile, Resource, SourceKind, Unreadable

FORMAT: Final = "tabular"
Row = Mapping[str, str]
_NEEDED: Final = ("nhs_number", "birth_date", "visit_number", "checked_by", "checked_at", "medicine", "directions", "status")
_ROW: Final = "MedicationStatement"
# Column → where its value goes; the columns of the person and the stay say the same on every row.
_SHARED: Final = {
    "nhs_number": "Patient.identifier.value",
    "hospital_number": "Patient.identifier.value",
    "family_name": "Patient.name.family",
    "given_name": "Patient.name.given",
    "birth_date": "Patient.birthDate",
    "visit_number": "Encounter.identifier.value",
    "checked_by": "Composition.section.text",
    "checked_at": "Composition.section.text",
    "list_id": "",
}
_OWN: Final = {
    "medicine": f"{_ROW}.medicationCodeableConcept.text",
    "code": f"{_ROW}.medicationCodeableConcept.coding.code",
    "directions": f"{_ROW}.dosage.text",
    "status": "List.entry.flag",
    "was": f"{_ROW}.note.text",
    "reason": f"{_ROW}.statusReason.text",
    "note": f"{_ROW}.note.text",
}
_MOMENT: Final = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d))?(?:([+-]\d\d):?(\d\d))?", re.ASCII)
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def sniff(raw: bytes) -> bool:
    """Whether the first line names the columns medicine, directions and status."""
    head = raw[:4096].removeprefix(b"\xef\xbb\xbf").splitlines()[:1]
    return bool(head) and {"medicine", "directions", "status"} <= set(_names(head[0].decode("latin-1").split(",")))


def source_id(raw: bytes) -> str:
    """`list_id` of the first row."""
    try:
        return next(iter(_rows(raw)), {}).get("list_id", "").strip()
    except Unreadable:
        return ""


def read(raw: bytes, profile: ReadingProfile) -> Draft:
    """The Draft of one table. Every non-empty cell stands once in `items`. Raises Unreadable and nothing else."""
    rows = _rows(raw)
    if not rows:
        raise Unreadable("table_empty", "The table has no row: a list without a medicine is stated by a person.")
    for name in _SHARED:
        if len({row.get(name, "").strip() for row in rows}) > 1:
            raise Unreadable("two_people", f"The rows of the table differ in {name}: one table is one person's list.")
    first = {name: value.strip() for name, value in rows[0].items()}
    checked_at = _moment(first["checked_at"], profile.zone)
    is_checked = bool(first["checked_by"] and checked_at)
    reason = "" if is_checked else "not checked by a named person"
    entries = [_entry(number, row) for number, row in enumerate(rows, 2)]
    words = (
        f"List: the hospital's medicines table {first.get('list_id', '')}".rstrip() + f", checked by {first['checked_by']}, {checked_at}"
    )
    entries.append(Entry("note", "row[2].checked_by", {"section": "medications-and-medical-devices", "title": "", "text": words}))
    return Draft(
        format=FORMAT,
        event="TABLE",
        kind=SourceKind.LIST if is_checked else SourceKind.NOT_USED,
        source_id=first.get("list_id", ""),
        sent_at=checked_at,
        occurred_at=checked_at,
        visit_id=first["visit_number"],
        patient=_patient(first),
        entries=tuple(entries) if is_checked else (),
        items=tuple(
            _item(number, name, value, reason) for number, row in enumerate(rows, 2) for name, value in row.items() if value.strip()
        ),
        counts={"letters": 0, **(counted(raw) if is_checked else {})},
        reason=reason,
    )


def _rows(raw: bytes) -> list[Row]:
    """Each row that says something, by column name, cells as they were typed. Raises Unreadable."""
    try:
        text = raw.decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except UnicodeDecodeError:
        raise Unreadable("character_set", "The table is not UTF-8.") from None
    except csv.Error:
        raise Unreadable("table_csv", "The table is no CSV with commas and double quotes.") from None
    if _CONTROL.search(text):
        raise Unreadable("control_character", "The table holds NUL or another control character.")
    names = _names(lines[0]) if lines else []
    missing = [name for name in _NEEDED if name not in names]
    if missing or len(set(names)) < len(names):
        raise Unreadable("table_columns", f"Columns are missing or named twice: {', '.join(missing) or 'see the first line'}.")
    found = [cells for cells in lines[1:] if any(cell.strip() for cell in cells)]
    if any(len(cells) != len(names) for cells in found):
        raise Unreadable("table_csv", "A row has more or fewer cells than the first line.")
    return [dict(zip(names, cells, strict=True)) for cells in found]


def _names(cells: list[str]) -> list[str]:
    return [cell.strip().strip('"').strip().lower() for cell in cells]


def _entry(number: int, row: Row) -> Entry:
    """One medicine: name, directions and reason character for character; the status is one of our words or blank ("not said")."""
    status, name = row["status"].strip().lower(), row["medicine"]
    if not name.strip() or status not in codes.CHANGES:
        step = ", ".join(filter(None, codes.CHANGES))
        raise Unreadable("table_row", f"A row has no medicine, or a status that is none of {step}.", position=f"row[{number}]")
    drug: Resource = {"text": name}
    code = row.get("code", "").strip()
    put(drug, "coding", [{"system": DMD, "code": code}] if code else [])
    made: Resource = {"resourceType": _ROW, "medicationCodeableConcept": drug}
    put(made, "dosage", [{"text": row["directions"]}] if row["directions"].strip() else [])
    put(made, "statusReason", [{"text": row["reason"]}] if row.get("reason", "").strip() else [])
    notes = [f"Was: {row['was']}" if row.get("was", "").strip() else "", row.get("note", "")]
    put(made, "note", [{"text": note} for note in notes if note.strip()])
    return Entry(f"medicine-{status}" if status else "medicine", f"row[{number}]", made)


def _patient(first: Row) -> Resource:
    made, number, local = Resource(resourceType="Patient"), nhs_number(first["nhs_number"]), first.get("hospital_number", "")
    identifiers = [{"system": NHS_NUMBER, "value": number}] if number else []
    put(made, "identifier", [*identifiers, *([{"system": LOCAL_PATIENT, "value": local}] if local else [])])
    family, given = first.get("family_name", ""), first.get("given_name", "").split()
    put(made, "name", [{"use": "official", **({"family": family} if family else {}), "given": given}] if family or given else [])
    try:
        made["birthDate"] = date.fromisoformat(first["birth_date"]).isoformat()
    except ValueError:
        raise Unreadable("table_value", "birth_date is no day as YYYY-MM-DD.", position="row[2].birth_date") from None
    return made


def _moment(text: str, zone: str) -> str:
    """YYYY-MM-DDTHH:MM with or without offset; "" when it is none."""
    found = _MOMENT.fullmatch(text.replace("Z", "+00:00"))
    moment = read_time("".join(filter(None, found.groups())), zone) if found else None
    return moment.text if moment else ""


def _item(number: int, name: str, value: str, unused: str) -> Item:
    path = "" if unused else _SHARED.get(name) or _OWN.get(name) or ""
    if name == "nhs_number" and path and not nhs_number(value):
        path, unused = "", "is not a valid NHS number"
    if not path:
        return Item(
            f"row[{number}].{name}", value, Outcome.NOT_CARRIED, reason=unused or ("transport" if name == "list_id" else "not interpreted")
        )
    return Item(f"row[{number}].{name}", value, Outcome.NARRATIVE if name.startswith("checked") else Outcome.MAPPED, path)
