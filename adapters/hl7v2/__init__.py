"""The HL7 v2 adapter: one message of bytes to one Draft. Pure; the code tables are its only files.

Read `read` first: it says which events are used and what each becomes. Mapping rows stand in person.py, adt.py and mdm.py.
"""

from typing import Final

from adapters.hl7v2 import adt, mdm, person
from adapters.hl7v2.reader import Message, header_of, parse, unwrapped
from adapters.hl7v2.types import read_time
from exchange.fhir.draft import Draft, Letter, ReadingProfile, SourceKind, Unreadable

FORMAT: Final = "hl7v2"
_ADT: Final = {
    **dict.fromkeys(("A01", "A02", "A03", "A08", "A12", "A28", "A31"), SourceKind.FACTS),
    "A11": SourceKind.CANCEL_ADMISSION,
    "A13": SourceKind.CANCEL_DISCHARGE,
}
_MDM: Final = frozenset(("T02", "T06", "T08", "T10", "T11"))
_MDM_WITHOUT_CONTENT: Final = frozenset(("T01", "T03", "T05", "T07", "T09"))
# These are about two people by their nature, and so no reason to doubt the sender.
_ABOUT_TWO: Final = frozenset(("ADT^A17", "ADT^A24", "ADT^A37", "ADT^A40"))


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
    kind, reason = _use(message)
    if message.event not in _ABOUT_TWO:
        person.refuse_two_people(message)
    if kind is not SourceKind.NOT_USED and not message.all("PID"):
        raise Unreadable("hl7_no_patient", "The message has no PID segment.")
    letters: tuple[Letter, ...] = ()
    if kind is SourceKind.LETTER:
        document_type = message.first("TXA").value(2)
        if profile.letter_types and document_type not in profile.letter_types:
            kind, reason = SourceKind.NOT_USED, "not a discharge document"
        else:
            letters = mdm.letters(message, profile)
            if not letters:
                kind, reason = SourceKind.NOT_USED, "carries no content"
    return _draft(message, profile, kind, reason=reason, letters=letters)


def _use(message: Message) -> tuple[SourceKind, str]:
    """What this event contributes, or why it is not used."""
    kind, _, trigger = message.event.partition("^")
    if kind == "ADT" and trigger in _ADT:
        return _ADT[trigger], ""
    if kind == "MDM" and trigger in _MDM:
        return SourceKind.LETTER, ""
    if kind == "MDM" and trigger in _MDM_WITHOUT_CONTENT:
        return SourceKind.NOT_USED, "carries no content"
    return SourceKind.NOT_USED, "concerns two people or identities" if message.event in _ABOUT_TWO else "unsupported event"


def _draft(message: Message, profile: ReadingProfile, kind: SourceKind, *, reason: str, letters: tuple[Letter, ...] = ()) -> Draft:
    """The facts that every event shares; a message that is not used keeps who and when, for matching and for the record."""
    header, evn, zone = message.header, message.first("EVN"), profile.zone
    patient = person.patient(message, profile)
    stay = adt.Stay(message, profile)
    entries = person.general_practice(message) + stay.entries() + adt.clinical(message, zone)
    used = kind is not SourceKind.NOT_USED
    sent = read_time(header.value(7), zone)
    occurred = read_time(evn.value(6), zone) or read_time(evn.value(2), zone)
    left_at = stay.left_at or (occurred.text if occurred and message.event == "ADT^A03" and evn.value(6) else "")
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
        visit_id=stay.visit_id,
        expected_leaving=stay.expected,
        left_at=left_at,
        patient=patient,
        encounter=stay.encounter,
        entries=tuple(entries) if used else (),
        letters=letters,
        signs=tuple(stay.signs + person.address_signs(message)) if used else (),
        items=message.items(unused="" if used else reason),
        counts=dict(adt.counts(message)) | {"letters": len(letters)},
        reason=reason,
    )
