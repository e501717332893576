"""The CDA adapter: one ClinicalDocument, bare or in its NHS envelopes, to one Draft. Pure; the code tables are its only files.

Read `read` first. Rows of the mapping (standards 5.2 NHS CDA, 5.3 C-CDA 2.1, 5.5 data types) stand in header.py, sections.py, entries.py
and medicines.py; counter.py counts the same bytes without any of them. The document's own bytes travel as the letter.
"""

import binascii
import re
from typing import Final

from adapters.cda import counter, header
from adapters.cda.entries import read_entries
from adapters.cda.sections import Narrative
from adapters.cda.source import START, TEXT, Claim, Node, Source, account, attached, open_source
from exchange.fhir.draft import Draft, Entry, Letter, Outcome, ReadingProfile, SourceKind, Unreadable

FORMAT: Final = "cda"
_MARK: Final = re.compile(rb"<(?:[\w.-]+:)?(?:ClinicalDocument|DistributionEnvelope)[\s>/]")
_ID: Final = re.compile(rb"<(?:[\w.-]+:)?id\b([^>]*)>")
_HEAD_BYTES: Final = 50_000
_TRACKING: Final = re.compile(rb"""\btrackingid\s*=\s*["']([^"'<]*)["']""")
_ATTRIBUTE: Final = re.compile(rb"""\b(root|extension)\s*=\s*["']([^"'<]*)["']""")
_PLAIN_EVENT: Final = re.compile(r"[\w.-]{1,40}", re.ASCII)


def sniff(raw: bytes) -> bool:
    """Whether these bytes claim to be CDA: XML with a ClinicalDocument, or the ITK envelope that can hold one."""
    plain = raw.replace(b"\x00", b"") if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else raw
    start = plain.removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff").lstrip()
    return start[:1] == b"<" and bool(_MARK.search(start))


def source_id(raw: bytes) -> str:
    """The document's id, else the envelope's tracking id: what identifies this version at its sender."""
    plain = raw.replace(b"\x00", b"")
    start = START.search(plain)
    found = _ID.search(plain, start.end(), start.end() + _HEAD_BYTES) if start else None
    parts = dict(_ATTRIBUTE.findall(found[1])) if found else {}
    number = "^".join(part for name in (b"root", b"extension") if (part := parts.get(name, b"").decode("latin-1").strip()))
    if not number and (tracking := _TRACKING.search(plain, 0, _HEAD_BYTES)):
        number = tracking[1].decode("latin-1").strip()
    return number


def read(raw: bytes, profile: ReadingProfile) -> Draft:
    """The Draft of one document. Every non-empty value of it stands once in `items`. Raises Unreadable and nothing else."""
    source = open_source(raw)
    document = source.document
    role = header.only_person(document)
    head = header.header(document, profile)
    narrative = Narrative(document)
    stay = header.Stay(document, head.effective, profile)
    entries, admissions = read_entries(narrative, profile.zone, head.effective)
    for admission in admissions:
        stay.add_admission(admission)
    letters = _letters(source, head)
    patient = header.patient(role, document, profile)
    notes = [note for section in narrative.sections if (note := section.note())]
    people: list[Entry] = [*stay.entries(), *header.general_practice(role, document)]
    event = head.message_type or document.first("code").value("code")
    kind, reason = SourceKind.LETTER, ""
    if profile.letter_types and not {event, document.first("code").value("code")} & set(profile.letter_types):
        kind, reason, letters = SourceKind.NOT_USED, "not a discharge document", ()
    used = kind is SourceKind.LETTER
    return Draft(
        format=FORMAT,
        event=event if _PLAIN_EVENT.fullmatch(event) else "ClinicalDocument",
        kind=kind,
        source_id=source_id(raw),
        sent_at=head.effective,
        occurred_at=head.effective,
        is_dead=bool(patient.get("deceasedDateTime") or patient.get("deceasedBoolean")),
        is_sensitive_address=header.is_masked(role),
        claimed_sender=header.custodian(document),
        visit_id=stay.visit_id,
        expected_leaving=stay.expected,
        left_at=stay.left_at,
        patient=patient,
        encounter=stay.encounter,
        entries=tuple([*people, *entries, *notes]) if used else (),
        letters=letters,
        signs=tuple(header.address_signs(role)) if used else (),
        items=account(source, unused=reason),
        counts=counter.count(source.content) | {"letters": len(letters)},
        reason=reason,
    )


def _letters(source: Source, head: header.Header) -> tuple[Letter, ...]:
    """Files first (an unstructured body, media in sections), then the document itself, byte for byte. One number: they stay together."""
    found = [_letter(head, node.position, *_file(node)) for node in _files(source.document)]
    own = _letter(head, source.document.position, "application/xml", source.content)
    return (*(letter for letter in found if letter.content), own)


def _letter(head: header.Header, position: str, media_type: str, content: bytes) -> Letter:
    return Letter(
        position=position, media_type=media_type, content=content, title=head.title, status=head.status, document_id=head.document_id,
        replaces=head.replaces, author=head.author, signed_by=head.signed_by, signed_at=head.signed_at, written_at=head.written_at,
    )  # fmt: skip


def _files(document: Node) -> list[Node]:
    """Every attached file: nonXMLBody/text, observationMedia/value; one that lies elsewhere (a reference) is not fetched."""
    body = document.first("component", "nonXMLBody", "text")
    return [*([body] if body else []), *(node.first("value") for node in document.descendants() if node.name == "observationMedia")]


def _file(node: Node) -> tuple[str, bytes]:
    """Row ED → attachment: base64 or plain text, reported by its digest. Half a file is never passed on."""
    media_type = node.value("mediaType") or "text/plain"
    text = "" if "nullFlavor" in node.attrs else node.text
    if node.value("representation") == "B64":
        compact = "".join(text.split())
        try:
            content = binascii.a2b_base64(compact, strict_mode=True)
        except ValueError:
            raise Unreadable("attachment_damaged", "An attached file cannot be decoded.", position=node.position) from None
    else:
        content = text.strip().encode()
    if content:
        node.claims[TEXT] = attached(content)
        node.claims["mediaType"] = Claim(Outcome.MAPPED, "DocumentReference.content.attachment.contentType")
    return media_type, content
