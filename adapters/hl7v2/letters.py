"""TXA and OBX of an MDM, OBR and OBX of an ORU → letters, byte for byte. Text lines become one text letter, every file (ED) its own."""

import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import replace

from adapters.common import display_name, read_time
from adapters.hl7v2.reader import DELETE, Cell, Claim, Message, Segment, table
from adapters.hl7v2.types import human_name, take_moment
from exchange.fhir.draft import Letter, LetterStatus, Outcome, ReadingProfile, Unreadable

_TEXT_TYPES = frozenset(("TX", "FT", "ST"))
_ATTACHED = Claim(Outcome.ATTACHMENT, "DocumentReference.content.attachment")
_AUTHOR, _SIGNER = "DocumentReference.author", "DocumentReference.authenticator"
_TAKEN_BACK = frozenset(("D", "W"))
ELSEWHERE = "points to a file elsewhere, which the home could not open"
# Edit and replacement take the place of TXA-13; an addendum (T06) stands beside its letter.
_REPLACING = frozenset(("T08", "T10"))


def letters(message: Message, profile: ReadingProfile) -> tuple[tuple[Letter, ...], str]:
    """The letters of an MDM or ORU, and why there is none. T11 gives a cancelled Letter without content.

    Raises Unreadable when an encapsulated file cannot be decoded: half a letter is never passed on.
    """
    if message.event == "ORU^R01":
        groups = [group for group in message.groups("OBR") if is_letter(group[0], profile)]
        found = tuple(letter for group in groups for letter in _letters(_of_report(group[0], profile), group))
        return found, "" if found else "carries no content"
    txa = message.first("TXA")
    if profile.letter_types and txa.value(2) not in profile.letter_types:
        return (), "not a discharge document"
    trigger = message.event.partition("^")[2]
    head = _of_document(txa, trigger, profile)
    if trigger == "T11":
        return (replace(head, position="TXA", media_type="text/plain"),), ""
    found = _letters(head, message.all("OBX"))
    return found, "" if found else "carries no content"


def is_letter(obr: Segment, profile: ReadingProfile) -> bool:
    """Whether a report (ORU) is a discharge letter: only by its kind, for a laboratory sends its reports as files, too."""
    return obr.value(4) in profile.letter_types or obr.value(4) in table("discharge_letter")


def _letters(head: Letter, segments: Sequence[Segment]) -> tuple[Letter, ...]:
    """Row OBX → content, one Letter each under the header `head`."""
    found: list[Letter] = []
    lines: list[str] = []
    first_line = ""
    for obx in (segment for segment in segments if segment.name == "OBX"):
        kind = obx.value(2).upper()
        named = head if head.title else replace(head, title=obx.value(3, 2) or "Letter")
        if obx.value(11).upper() in _TAKEN_BACK:
            obx.settle(Outcome.NOT_CARRIED, "the sender took this line back")
        elif kind in _TEXT_TYPES:
            first_line = first_line or f"{obx.label}-5"
            lines += _lines(obx)
        elif kind == "ED":
            for cell in obx.cells(5):
                media_type, content = _file(cell)
                if content:
                    found.append(replace(named, position=cell.position, media_type=media_type, content=content))
        elif kind == "RP":
            obx.settle(Outcome.NOT_CARRIED, ELSEWHERE)
    if any(line.strip() for line in lines):
        content = "\n".join(lines).encode()
        found.insert(0, replace(head, title=head.title or "Letter", position=first_line, media_type="text/plain", content=content))
    return tuple(found)


def _of_document(txa: Segment, trigger: str, profile: ReadingProfile) -> Letter:
    """Row TXA → the header that all letters of one document share."""
    title = txa.take("DocumentReference.type.text", 2, 2)
    txa.cell(2).claim("DocumentReference.type.coding.code")
    number = txa.take("DocumentReference.identifier.value", 12)
    parent = txa.take("DocumentReference.relatesTo.target", 13)
    is_signed = txa.take("DocumentReference.docStatus", 17).upper() in profile.signed_statuses
    signature = read_time(txa.cell(22).value(15, 1), profile.zone) if is_signed else None
    if signature:
        txa.cell(22).claim("DocumentReference.authenticator", 15)
    status = LetterStatus.FINAL if is_signed else LetterStatus.DRAFT
    if trigger == "T11" or txa.value(19).upper() in ("CA", "OB"):
        status = LetterStatus.CANCELLED
        txa.cell(19).claim("DocumentReference.status")
    return Letter(
        position="",
        media_type="",
        content=b"",
        title=title or ("Letter" if trigger == "T11" else ""),
        status=status,
        document_id=number,
        replaces=(parent or number) if trigger in _REPLACING else "",
        author=_person(txa.cell(9), _AUTHOR) or _person(txa.cell(5), _AUTHOR),
        signed_by=(_person(txa.cell(22), _SIGNER) or _person(txa.cell(10), _SIGNER)) if is_signed else "",
        signed_at=signature.text if signature else "",
        written_at=_moment(profile, txa.cell(6), txa.cell(4)),
    )


def _of_report(obr: Segment, profile: ReadingProfile) -> Letter:
    """Row OBR → the same header: number OBR-3 (else 2), kind OBR-4, when OBR-22 (else 7), OBR-25 F or C is final, signed by OBR-32."""
    is_final = obr.value(25).upper() in ("F", "C")
    obr.take("DocumentReference.docStatus", 25)
    obr.cell(4).claim("DocumentReference.type.coding.code")
    signer = obr.cell(32)
    parts = (signer.take(_SIGNER, 1, sub) for sub in (6, 3, 4, 2)) if is_final else ()
    return Letter(
        position="",
        media_type="",
        content=b"",
        title=obr.take("DocumentReference.type.text", 4, 2),
        status=LetterStatus.FINAL if is_final else LetterStatus.DRAFT,
        document_id=obr.take("DocumentReference.identifier.value", 3) or obr.take("DocumentReference.identifier.value", 2),
        signed_by=" ".join(filter(None, parts)),
        written_at=_moment(profile, obr.cell(22), obr.cell(7)),
    )


def _moment(profile: ReadingProfile, *cells: Cell) -> str:
    """The first of these that is a time."""
    found = (take_moment(cell, "DocumentReference.date", profile.zone) for cell in cells)
    return next((moment.text for moment in found if moment), "")


def _person(cell: Cell, path: str) -> str:
    """An XCN or PPN as a name; a sender that types a name into component 1 is taken at its word."""
    return display_name(human_name(cell, path, 2, use=0)) or cell.take(path)


def _lines(obx: Segment) -> list[str]:
    """OBX-5 as laid out by the sender: a repetition is a line, `\\.br\\` a line end, nothing a blank line; ^ and & are text."""
    delimiters = obx.delimiters
    lines: list[str] = []
    for number, text in enumerate(obx.text(5).split(delimiters.repetition), 1):
        obx.claims[5, number, 0, 0] = _ATTACHED
        lines += ("" if text == DELETE else delimiters.decode(text)).replace("\r", "").split("\n")
    return lines


def _file(cell: Cell) -> tuple[str, bytes]:
    """Row ED → attachment: media type by ED.3 (ED.2 when it is a whole type), data by ED.4; reported by digest."""
    kind, subtype, encoding = cell.value(2), cell.value(3), cell.value(4).upper()
    names = table("media_type")
    media_type = names.get(subtype.upper()) or names.get(kind.upper()) or "application/octet-stream"
    data = cell.raw(5)
    if not data or data == DELETE:
        return media_type, b""
    decode = cell.segment.delimiters.decode
    try:
        if encoding in ("A", "NONE", ""):
            content = decode(data).encode()
        elif encoding == "HEX":
            content = bytes.fromhex(decode(data))
        else:
            compact = "".join(decode(data).split())
            content = binascii.a2b_base64(compact + "=" * (-len(compact) % 4), strict_mode=True)
    except ValueError:
        raise Unreadable("attachment_damaged", "An attached file cannot be decoded as the message says.", position=cell.position) from None
    cell.claim("DocumentReference.content.attachment", 5, outcome=Outcome.ATTACHMENT, value=f"sha256:{hashlib.sha256(content).hexdigest()}")
    for component in (2, 3, 4):
        cell.claim("DocumentReference.content.attachment.contentType", component)
    return media_type, content
