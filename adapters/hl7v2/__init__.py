"""The HL7 v2 adapter: one message of bytes to one Draft. Pure; the code tables are its only files.

Read events.py first: what each trigger contributes. Mapping rows stand in person.py, adt.py, letters.py, results.py and orders.py;
docs/mapping-hl7v2.md lists them.
"""

from typing import Final

from adapters.common import read_time
from adapters.hl7v2 import adt, counter, letters, orders, person, results
from adapters.hl7v2.events import EVENTS, NOT_USED
from adapters.hl7v2.reader import Message, header_of, parse, unwrapped
from exchange.fhir.draft import Draft, Entry, Letter, ReadingProfile, SourceKind, Unreadable

FORMAT: Final = "hl7v2"


def sniff(raw: bytes) -> bool:
    """Whether these bytes claim to be HL7 v2: an MSH segment first, or within its batch envelope."""
    start = unwrapped(raw).lstrip(b"\r\n")
    return start[:3] in (b"MSH", b"FHS", b"BHS") and not start[3:4].isalnum() and bool(header_of(start))


def source_id(raw: bytes) -> str:
    """MSH-10, trimmed."""
    header = header_of(raw)
    fields = header.split(header[3:4]) if len(header) > 8 else []
    return fields[9].decode("latin-1").strip() if len(fields) > 9 else ""


def read(raw: bytes, profile: ReadingProfile) -> Draft:
    """The Draft of one message. Every non-empty value of it stands once in `items`. Raises Unreadable and nothing else."""
    message = parse(raw, profile.charset)
    use = EVENTS.get(message.event)
    kind = use.kind if use else SourceKind.NOT_USED
    reason = "" if use else NOT_USED.get(message.event, "unsupported event")
    if message.event not in ("ADT^A17", "ADT^A24", "ADT^A37"):  # these are about two people by their nature
        person.refuse_two_people(message)
    if use and not message.all("PID"):
        raise Unreadable("hl7_no_patient", "The message has no PID segment.")
    found: tuple[Letter, ...] = ()
    entries: list[Entry] = []
    if kind is SourceKind.LETTER or message.event == "ORU^R01":
        found, reason = letters.letters(message, profile)
        kind = SourceKind.LETTER if found else kind
    if message.event == "ORU^R01":
        entries = results.results(message, profile)
    elif kind is SourceKind.RECORDS:
        entries = orders.orders(message, profile)
    if kind is SourceKind.RECORDS and not entries:
        reason = reason or "carries no content"
    if not found and (kind is SourceKind.LETTER or (kind is SourceKind.RECORDS and not entries)):
        kind = SourceKind.NOT_USED
    return _draft(raw, message, profile, kind, reason if kind is SourceKind.NOT_USED else "", entries, found)


def _draft(
    raw: bytes, message: Message, profile: ReadingProfile, kind: SourceKind, reason: str, entries: list[Entry], found: tuple[Letter, ...]
) -> Draft:
    """The facts that every event shares; a message that is not used keeps who and when, for matching and for the record."""
    header, evn, zone = message.header, message.first("EVN"), profile.zone
    patient = person.patient(message, profile)
    stay = adt.Stay(message, profile)
    entries = person.general_practice(message) + stay.entries() + adt.clinical(message, zone) + entries
    used = kind is not SourceKind.NOT_USED
    sent = read_time(header.value(7), zone)
    occurred = read_time(evn.value(6), zone) or read_time(evn.value(2), zone)
    return Draft(
        format=FORMAT,
        event=message.event,
        kind=kind,
        source_id=header.value(10),
        sent_at=sent.text if sent else "",
        occurred_at=occurred.text if occurred else "",
        is_test=header.value(11) in ("T", "D"),
        is_dead=stay.has_died or bool(patient.get("deceasedDateTime") or patient.get("deceasedBoolean")),
        is_sensitive_address=person.is_sensitive_address(message),
        claimed_sender=f"{header.value(3)}/{header.value(4)}",
        is_about_person=used and stay.is_about_person,
        merged_ids=person.merged_ids(message) if used else (),
        visit_id=stay.visit_id,
        expected_leaving=stay.expected,
        left_at=stay.left_at,
        patient=patient,
        encounter=stay.encounter,
        entries=tuple(entries) if used else (),
        cleared=adt.cleared(message) if used else (),
        letters=found,
        signs=tuple(stay.signs + person.address_signs(message)) if used else (),
        items=message.items(unused=reason),
        counts={**counter.count(raw), "letters": len(found)},
        reason=reason,
    )
