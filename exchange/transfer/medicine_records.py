"""What orders, dispenses and administrations add to a list (supply, last dose), and the list that discharge orders are.

Inpatient orders are not discharge medicines (practice.md 3): only those with the feed's discharge marker make a list.
A record joins every row that has the same code or exact text, and route.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from exchange.fhir.content import Contradiction, Medicine, Statement
from exchange.fhir.draft import Entry, Resource
from exchange.fhir.shape import instant_key, part, parts, same_concept, text

_STANDS = ("active", "completed", "in-progress", "on-hold", "unknown")
_DRUG = "medicationCodeableConcept"
_DISCHARGE = "medicine-discharge-order"
_ORDERS = ("medicine-order", _DISCHARGE)


def discharge_list(records: Sequence[Entry]) -> list[Entry]:
    """The orders that the feed marks for discharge, as rows of a list (`records` oldest first). The newest word on an order number counts;
    one that takes back without a number takes back that medicine."""
    rows: dict[object, Entry] = {}
    for place, entry in enumerate(entry for entry in records if entry.role == _DISCHARGE):
        number = next((text(one, "value") for one in parts(entry.resource, "identifier")), "")
        if text(entry.resource, "status") in _STANDS:
            rows[number or place] = entry
        else:
            rows = {key: row for key, row in rows.items() if not (key == number if number else _joins(row.resource, entry.resource))}
    return [_as_row(entry) for entry in rows.values()]


def _as_row(order: Entry) -> Entry:
    kept = {name: order.resource[name] for name in (_DRUG, "note") if name in order.resource}
    dosage = parts(order.resource, "dosageInstruction")
    return Entry("medicine", order.position, {"resourceType": "MedicationStatement", **kept, "dosage": dosage})


def with_records(
    medicines: Sequence[Medicine], records: Sequence[Entry], said: Mapping[str, Statement]
) -> tuple[tuple[Medicine, ...], list[Contradiction]]:
    """The rows with their records (`records` oldest first), and where a record contradicts what the ward stated."""
    rows, conflicts = [], []
    for row in medicines:
        mine = [entry for entry in records if _joins(row.resource, entry.resource)]
        dose = _last_dose([entry for entry in mine if entry.role == "medicine-dose"])
        if dose and row.last_dose and _is_before(text(dose.resource, "effectiveDateTime"), row.last_dose):
            dose = None  # the ward names a later one
        supply = _supply(mine)
        found = tuple(entry for entry in (dose, supply) if entry)
        rows.append(replace(row, records=found))
        critical = said.get("critical")
        if dose and row.last_dose and critical and _contradicts(dose, row.last_dose, critical.said_at):
            conflicts.append(Contradiction("last dose", "16", "A later dose was recorded than the last one that the ward names."))
        if supply and supply.role == "medicine-supply" and row.supply == "not-supplied" and not row.plan:
            conflicts.append(Contradiction("supply", "19", "A medicine was dispensed that the ward says is not in the bag."))
    return tuple(rows), conflicts


def _joins(row: Resource, record: Resource) -> bool:
    """The same medicine by the same route; a route that one of the two does not name parts nothing."""
    if not same_concept(row.get(_DRUG), record.get(_DRUG)):
        return False
    routes = [route for dose in _dosages(row) if (route := dose.get("route"))]
    mine = [route for dose in _dosages(record) if (route := dose.get("route"))]
    return not routes or not mine or any(same_concept(one, other) for one in routes for other in mine)


def _dosages(resource: Resource) -> list[Mapping[str, object]]:
    one = part(resource, "dosage")
    return [one] if one else [*parts(resource, "dosage"), *parts(resource, "dosageInstruction")]


def _last_dose(doses: Sequence[Entry]) -> Entry | None:
    """The latest that was given. What was said again of the same moment replaces what was said before."""
    newest = {text(entry.resource, "effectiveDateTime"): entry for entry in doses}
    given = [entry for at, entry in newest.items() if at and text(entry.resource, "status") == "completed"]
    return max(given, key=lambda entry: instant_key(text(entry.resource, "effectiveDateTime")), default=None)


def _supply(records: Sequence[Entry]) -> Entry | None:
    """The newest dispense, else the newest order that names an amount; per order number the newest word counts."""
    newest: dict[object, Entry] = {}
    for place, entry in enumerate(records):
        if entry.role in ("medicine-supply", *_ORDERS):
            number = next((text(one, "value") for one in parts(entry.resource, "identifier")), "")
            newest.pop((entry.role, number or place), None)
            newest[entry.role, number or place] = entry
    standing = [entry for entry in newest.values() if text(entry.resource, "status") in _STANDS]
    dispensed = [entry for entry in standing if entry.role == "medicine-supply"]
    ordered = [entry for entry in standing if entry.role in _ORDERS and part(entry.resource, "dispenseRequest", "quantity")]
    return next(iter([*reversed(dispensed), *reversed(ordered)]), None)


def _is_before(one: str, other: str) -> bool:
    return instant_key(one) < instant_key(other) and not other.startswith(one)


def _contradicts(dose: Entry, stated: str, said_at: str) -> bool:
    """Whether the recorded dose came after the last one that the ward named, and before the ward spoke."""
    at = text(dose.resource, "effectiveDateTime")
    return not at.startswith(stated) and not stated.startswith(at) and _is_before(stated, at) and instant_key(at) <= instant_key(said_at)
