"""One reader of order groups (ORM, OMP, RDE, RDS, RAS): each medicine → an order, a dispense or an administration.

Inpatient orders are not discharge medicines (practice.md 3): they never make a list, they only add supply and last dose to a medicine
of the list that has the same code or exact text, and route. Orders with the feed's discharge marker are a list.
"""

from typing import Final, NamedTuple

from adapters.common import decimal, display_name, only, put, put_moment, read_time
from adapters.hl7v2.reader import Cell, Message, Segment, table
from adapters.hl7v2.types import concept, human_name, notes, quantity, take_moment
from exchange.fhir.draft import Entry, ReadingProfile, Resource


class _Row(NamedTuple):
    """Where a medicine segment has what; 0: it has no such field. `dose`: least, most, unit; `amount`: supplied amount, unit."""

    kind: str
    role: str
    code: int
    dose: tuple[int, int, int]
    form: int
    amount: tuple[int, int]
    words: tuple[int, ...]
    timing: int
    number: int


_ROWS: Final = {
    "RXO": _Row("MedicationRequest", "medicine-order", 1, (2, 3, 4), 5, (11, 12), (7, 6), 0, 0),
    "RXE": _Row("MedicationRequest", "medicine-order", 2, (3, 4, 5), 6, (10, 11), (7, 21), 1, 15),
    "RXD": _Row("MedicationDispense", "medicine-supply", 2, (0, 0, 0), 6, (4, 5), (9,), 0, 7),
    "RXA": _Row("MedicationAdministration", "medicine-dose", 5, (6, 0, 7), 8, (0, 0), (9,), 0, 0),
}
# The segment that is the medicine in each message; the others of its group repeat what was ordered.
_MEDICINE: Final = {"ORM": "RXO", "OMP": "RXO", "RDE": "RXE", "RDS": "RXD", "RAS": "RXA"}


def orders(message: Message, profile: ReadingProfile) -> list[Entry]:
    """An Entry for each medicine that has a code or words, in the order sent."""
    wanted = _MEDICINE[message.event[:3]]
    entries: list[Entry] = []
    for group in message.groups("ORC") or [message.segments]:
        heads = [segment for segment in group if segment.name == wanted]
        for number, head in enumerate(heads):
            # What follows a medicine belongs to it; what stands before the first one (ORC, TQ1) to each.
            end = group.index(heads[number + 1]) if number + 1 < len(heads) else len(group)
            common = [segment for segment in group[: group.index(heads[0])] if segment.name in ("ORC", "TQ1")]
            made = _medicine(head, [*common, *group[group.index(head) : end]], profile.zone)
            role = _ROWS[wanted].role
            if role == "medicine-order" and any(_is_for_discharge(segment, profile) for segment in common):
                role = "medicine-discharge-order"
            if made:
                entries.append(Entry(role, head.label, made))
    return entries


def _is_for_discharge(orc: Segment, profile: ReadingProfile) -> bool:
    """ORC-16 (order control code reason) holds a code that the feed uses for orders to take out."""
    marks = [cell for cell in orc.cells(16) if orc.name == "ORC" and cell.value() in profile.discharge_orders]
    for cell in marks:
        cell.claim("MedicationStatement.category")
    return bool(marks)


def _medicine(head: Segment, group: list[Segment], zone: str) -> Resource:
    """Rows RXO, RXE, RXD, RXA with ORC, TQ1 and RXR around them."""
    row = _ROWS[head.name]
    kind = row.kind
    drug = concept(head.cell(row.code), f"{kind}.medicationCodeableConcept")
    if not drug:
        return {}
    orc = next((segment for segment in group if segment.name == "ORC"), Segment("ORC", 1, ["ORC"], head.delimiters))
    made: Resource = {"resourceType": kind, "medicationCodeableConcept": drug}
    numbers = [
        {"type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": code}]}, "value": value}
        for code, segment, field in (("PLAC", orc, 2), ("FILL", orc, 3))
        if (value := segment.take(f"{kind}.identifier.value", field))
    ]
    numbers += [{"value": value}] if row.number and (value := head.take(f"{kind}.identifier.value", row.number)) else []
    put(made, "identifier", numbers)
    dosage = _dosage(head, row, group, zone)
    amount = _amount(head, *row.amount, f"{kind}.quantity") if row.amount[0] else {}
    match kind:
        case "MedicationRequest":
            made |= {"status": _order_status(orc), "intent": "original-order" if head.name == "RXO" else "filler-order"}
            put_moment(made, "authoredOn", take_moment(orc.cell(9), f"{kind}.authoredOn", zone))
            requester = display_name(human_name(orc.cell(12), f"{kind}.requester.display", 2, use=0))
            put(made, "requester", only(display=requester))
            put(made, "dosageInstruction", [dosage] if dosage else [])
            put(made, "dispenseRequest", only(quantity=amount))
            # UK Core demands the member; a blank is neither yes nor no.
            substitution = concept(head.cell(9), f"{kind}.substitution.allowedCodeableConcept") or {"text": "Not said"}
            made["substitution"] = {"allowedCodeableConcept": substitution}
        case "MedicationDispense":
            # Dispensed is not handed over (practice.md 3): the product is ready, and no more is said.
            made["status"] = "cancelled" if _order_status(orc) in ("cancelled", "stopped") else "in-progress"
            put(made, "quantity", amount)
            put_moment(made, "whenPrepared", take_moment(head.cell(3), f"{kind}.whenPrepared", zone))
            put(made, "dosageInstruction", [dosage] if dosage else [])
        case _:
            made |= _given(head, dosage, zone)
    said = [note for segment in group if segment.name in (head.name, "ORC", "RXR") for note in notes(segment, f"{kind}.note")]
    form = head.take(f"{kind}.note.text", row.form, 2) or head.take(f"{kind}.note.text", row.form)
    put(made, "note", [*said, *([{"text": f"Form: {form}"}] if form else [])])
    return made


def _given(rxa: Segment, dosage: Resource, zone: str) -> Resource:
    """Row RXA → when, and whether it was given at all: RXA-20 (v2-0322), RXA-21 D takes back."""
    kind = "MedicationAdministration"
    status = "entered-in-error" if rxa.value(21).upper() == "D" else table("administration_status").get(rxa.value(20).upper(), "unknown")
    for field in (20, 21):
        if rxa.value(field):
            rxa.cell(field).claim(f"{kind}.status")
    made: Resource = {"status": status}
    put_moment(made, "effectiveDateTime", take_moment(rxa.cell(3), f"{kind}.effectiveDateTime", zone))
    reason = concept(rxa.cell(18), f"{kind}.statusReason") if status == "not-done" else {}
    put(made, "statusReason", [reason] if reason else [])
    dose = dosage.get("doseAndRate")
    first = dose[0] if isinstance(dose, list) else {}
    said = {name: value for name, value in dosage.items() if name in ("text", "route", "site", "method")}
    put(made, "dosage", said | only(dose=first.get("doseQuantity")))
    if "dosage" in made and "dose" not in said | only(dose=first.get("doseQuantity")) and "text" not in said:
        made["dosage"] = said | {"text": "amount not sent"}  # FHIR mad-1 and an honest word
    return made


def _order_status(orc: Segment) -> str:
    """ORC-1 says what is asked, ORC-5 how it stands; a request to cancel wins."""
    asked, stands = (table("order_status").get(orc.value(field).upper(), "") for field in (1, 5))
    for field in (1, 5):
        if orc.value(field):
            orc.cell(field).claim("MedicationRequest.status")
    return asked or stands or "unknown"


def _dosage(head: Segment, row: _Row, group: list[Segment], zone: str) -> Resource:
    """Directions in the sender's words, dose as one quantity or a range, timing code, route, site and method."""
    path = f"{row.kind}.dosage" if row.role == "medicine-dose" else f"{row.kind}.dosageInstruction"
    made: Resource = {}
    cells = [cell for field in row.words for cell in head.cells(field)]
    texts = [cell.take(f"{path}.text", 2) or cell.take(f"{path}.text") for cell in cells]
    low, high, unit = (head.cell(field) if field else Segment("", 1, [""], head.delimiters).cell(1) for field in row.dose)
    dose = _dose(low, high, unit, f"{path}.doseAndRate")
    if not dose and (low.value() or high.value()):
        texts.insert(0, " ".join(text for cell in (low, high, unit) if (text := cell.take(f"{path}.text", 2) or cell.take(f"{path}.text"))))
    timing, more = _timing(head, row, group, f"{path}.timing", zone)
    put(made, "text", ". ".join(dict.fromkeys(filter(None, [*texts, *more]))))
    put(made, "timing", timing)
    for rxr in (segment for segment in group if segment.name == "RXR"):
        for name, field in (("route", 1), ("site", 2), ("method", 4)):
            if name not in made:
                put(made, name, _route(rxr.cell(field), f"{path}.{name}"))
    put(made, "doseAndRate", [dose] if dose else [])
    return made


def _dose(low: Cell, high: Cell, unit: Cell, path: str) -> Resource:
    """One quantity, or a range when the least and the most differ; nothing when either is no number."""
    values = [decimal(cell.value()) for cell in (low, high) if cell.value()]
    if not values or None in values:
        return {}
    if len(values) == 2 and low.value() != high.value():
        low.claim(f"{path}.doseRange.low.value")
        high.claim(f"{path}.doseRange.high.value")
        ends = [quantity(value, unit, f"{path}.doseRange.high") for value in values if value is not None]
        return {"doseRange": {"low": ends[0], "high": ends[1]}}
    for cell in (low, high):
        if cell.value():
            cell.claim(f"{path}.doseQuantity.value")
    return {"doseQuantity": quantity(values[0], unit, f"{path}.doseQuantity")} if values[0] is not None else {}


def _timing(head: Segment, row: _Row, group: list[Segment], path: str, zone: str) -> tuple[Resource, list[str]]:
    """TQ1 (2.5 on), else RXE-1 or ORC-7 (TQ): how often in the sender's code, from when to when, and its words."""
    made: Resource = {}
    texts: list[str] = []
    tq1 = [segment for segment in group if segment.name == "TQ1"]
    old = head.cell(row.timing) if row.timing else next((segment.cell(7) for segment in group if segment.name == "ORC"), None)
    places = [(tq.cell(3), 1, tq.cell(7), 1, tq.cell(8), 1, tq.cell(11), 1) for tq in tq1]
    places += [(old, 2, old, 4, old, 5, old, 8)] if old and not tq1 else []
    for often, a, start, b, end, c, words, d in places:
        period: Resource = {}
        for name, cell, part in (("start", start, b), ("end", end, c)):
            if read_time(cell.value(part, 1), zone):
                put_moment(period, name, take_moment(cell, f"{path}.repeat.boundsPeriod.{name}", zone, part))
        text = often.take(f"{path}.code.text", a)
        if text and "code" not in made:
            made["code"] = {"text": text}
        elif text:
            texts.append(text)
        if period and "repeat" not in made:
            made["repeat"] = {"boundsPeriod": period}
        texts.append(words.take(f"{path.removesuffix('.timing')}.text", d))
    return made, texts


def _route(cell: Cell, path: str) -> Resource:
    """Row RXR → CodeableConcept; a code of v2-0162 stays a code when its system says so."""
    made = concept(cell, path)
    if cell.value(3).upper() == "HL70162" and cell.value().upper() in table("route"):
        cell.claim(f"{path}.coding.code")
        cell.claim(f"{path}.coding.system", 3)
        made["coding"] = [{"system": "http://terminology.hl7.org/CodeSystem/v2-0162", "code": cell.value().upper()}]
    return made


def _amount(segment: Segment, amount: int, unit: int, path: str) -> Resource:
    """The amount ordered or dispensed; one that is no number stands in words as its unit."""
    cell = segment.cell(amount)
    value = decimal(cell.value())
    if value is None:
        said = [text for one in (cell, segment.cell(unit)) if (text := one.take(f"{path}.unit", 2) or one.take(f"{path}.unit"))]
        return only(unit=" ".join(said)) if cell.value() else {}
    cell.claim(f"{path}.value")
    return quantity(value, segment.cell(unit), path)
