"""TXA and OBX of an MDM → letters, byte for byte. Text lines become one text letter, every encapsulated file (ED) its own."""

import binascii
import hashlib

from adapters.hl7v2.reader import DELETE, Cell, Claim, Message, Segment
from adapters.hl7v2.tables import table
from adapters.hl7v2.types import display_name, human_name, read_time, take_moment
from exchange.fhir.draft import Letter, LetterStatus, Outcome, ReadingProfile, Unreadable

_TEXT_TYPES = frozenset(("TX", "FT", "ST"))
_ATTACHED = Claim(Outcome.ATTACHMENT, "DocumentReference.content.attachment")
_TAKEN_BACK = frozenset(("D", "W"))
# Edit and replacement take the place of TXA-13; an addendum (T06) stands beside its letter.
_REPLACING = frozenset(("T08", "T10"))


def letters(message: Message, profile: ReadingProfile) -> tuple[Letter, ...]:
    """Row TXA, OBX → DocumentReference and its content, one Letter each. T11 gives a cancelled Letter without content.

    Raises Unreadable when an encapsulated file cannot be decoded: half a letter is never passed on.
    """
    txa = message.first("TXA")
    trigger = message.event.partition("^")[2]
    make = _Maker(txa, trigger, profile)
    if trigger == "T11":
        return (make.letter("TXA", "text/plain", b""),)
    found: list[Letter] = []
    lines: list[str] = []
    first_line = ""
    for obx in message.all("OBX"):
        kind = obx.value(2).upper()
        if obx.value(11).upper() in _TAKEN_BACK:
            obx.settle(Outcome.NOT_CARRIED, "the sender took this line back")
        elif kind in _TEXT_TYPES:
            first_line = first_line or f"{obx.label}-5"
            lines += _lines(obx)
        elif kind == "ED":
            for cell in obx.cells(5):
                media_type, content = _file(cell)
                if content:
                    found.append(make.letter(cell.position, media_type, content, obx))
    if any(line.strip() for line in lines):
        text = make.letter(first_line, "text/plain", "\n".join(lines).encode())
        found.insert(0, text)
    return tuple(found)


class _Maker:
    """The header fields that all letters of one message share, read once."""

    def __init__(self, txa: Segment, trigger: str, profile: ReadingProfile) -> None:
        self.txa = txa
        self.title = txa.take("DocumentReference.type.text", 2, 2)
        txa.cell(2).claim("DocumentReference.type.coding.code")
        self.document_id = txa.take("DocumentReference.identifier.value", 12)
        parent = txa.take("DocumentReference.relatesTo.target", 13)
        self.replaces = (parent or self.document_id) if trigger in _REPLACING else ""
        self.author = self._person(9) or self._person(5)
        status = txa.take("DocumentReference.docStatus", 17).upper()
        availability = txa.value(19).upper()
        signed = status in profile.signed_statuses
        self.signed_by = (self._person(22) or self._person(10)) if signed else ""
        signature = read_time(txa.cell(22).value(15, 1), profile.zone) if signed else None
        self.signed_at = signature.text if signature else ""
        if signature:
            txa.cell(22).claim("DocumentReference.authenticator", 15)
        written = take_moment(txa.cell(6), "DocumentReference.date", profile.zone) or take_moment(
            txa.cell(4), "DocumentReference.date", profile.zone
        )
        self.written_at = written.text if written else ""
        self.status = LetterStatus.FINAL if signed else LetterStatus.DRAFT
        if trigger == "T11" or availability in ("CA", "OB"):
            self.status = LetterStatus.CANCELLED
            txa.cell(19).claim("DocumentReference.status")

    def _person(self, field: int) -> str:
        """An XCN or PPN as a name; a sender that types a name into component 1 is taken at its word."""
        cell = self.txa.cell(field)
        path = "DocumentReference.author" if field in (5, 9) else "DocumentReference.authenticator"
        return display_name(human_name(cell, path, 2, use=0)) or cell.take(path)

    def letter(self, position: str, media_type: str, content: bytes, obx: Segment | None = None) -> Letter:
        title = self.title or (obx.value(3, 2) if obx else "") or "Letter"
        return Letter(
            position=position, media_type=media_type, content=content, title=title, status=self.status, document_id=self.document_id,
            replaces=self.replaces, author=self.author, signed_by=self.signed_by, signed_at=self.signed_at, written_at=self.written_at,
        )  # fmt: skip


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
