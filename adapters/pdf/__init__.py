"""A file (PDF, scan, text) with the JSON part that names its person and stay. The file is carried byte for byte, never read for content.

The bytes are `intake/file_part.py`'s container: `wardpost-file-1 <length of the JSON part> <media type>`, a line feed, the JSON part, the
file. Its members are those of fhir_profiles/wardpost/about.schema.json. A PDF alone names nobody: it is read as Unreadable `pdf_alone`.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Final

from exchange.fhir.codes import NHS_NUMBER
from exchange.fhir.draft import Draft, Item, Letter, LetterStatus, Outcome, ReadingProfile, Resource, SourceKind, Unreadable
from exchange.fhir.json import JsonRefused, load_strict
from exchange.fhir.shape import is_nhs_number, part, text

FORMAT: Final = "file"
_HEAD: Final = re.compile(rb"wardpost-file-1 ([0-9]{1,6}) ([\x21-\x7e]+)\n")
# Member of the JSON part → where its value goes; what is not here is a member that the schema refuses.
_PLACES: Final[Mapping[str, str]] = {
    "id": "MessageHeader.id",
    "person.nhs_number": "Patient.identifier.value",
    "person.family": "Patient.name.family",
    "person.given": "Patient.name.given",
    "person.birth_date": "Patient.birthDate",
    "stay.visit_id": "Encounter.identifier.value",
    "stay.admitted_at": "Encounter.period.start",
    "stay.left_at": "Encounter.period.end",
    "document.id": "DocumentReference.identifier.value",
    "document.replaces": "DocumentReference.relatesTo.target",
    "document.title": "DocumentReference.content.attachment.title",
    "document.status": "DocumentReference.docStatus",
    "document.author": "DocumentReference.author",
    "document.signed_by": "DocumentReference.authenticator",
    "document.signed_at": "DocumentReference.authenticator",
    "document.written_at": "DocumentReference.date",
}


def sniff(raw: bytes) -> bool:
    return raw.startswith((b"wardpost-file-1 ", b"%PDF-"))


def source_id(raw: bytes) -> str:
    """The JSON part's `id`."""
    try:
        return text(_split(raw)[0], "id").strip()
    except Unreadable:
        return ""


def read(raw: bytes, profile: ReadingProfile) -> Draft:
    """The Draft of one file. Raises Unreadable `pdf_alone`, `file_container`, `file_about`."""
    about, media_type, content = _split(raw)
    person, stay, document = part(about, "person"), part(about, "stay"), part(about, "document")
    status = text(document, "status")
    if not (text(document, "title") and text(person, "birth_date") and status in list(LetterStatus)):
        raise Unreadable("file_about", "The JSON part does not name the person, or the document's title and status.")
    letter = Letter(
        position="document", media_type=media_type, content=content, title=text(document, "title"), status=LetterStatus(status),
        document_id=text(document, "id"), replaces=text(document, "replaces"), author=text(document, "author"),
        signed_by=text(document, "signed_by"), signed_at=text(document, "signed_at"), written_at=text(document, "written_at"),
    )  # fmt: skip
    return Draft(
        format=FORMAT,
        event="FILE",
        kind=SourceKind.LETTER,
        source_id=text(about, "id").strip(),
        sent_at=letter.signed_at or letter.written_at,
        occurred_at=text(stay, "left_at") or letter.written_at,
        visit_id=text(stay, "visit_id"),
        left_at=text(stay, "left_at"),
        patient=_patient(person),
        encounter=_encounter(stay),
        letters=(letter,),
        items=(
            *_items(about),
            Item("file", f"sha256:{hashlib.sha256(content).hexdigest()}", Outcome.ATTACHMENT, "DocumentReference.content"),
        ),
        counts={"letters": 1},
    )


def _split(raw: bytes) -> tuple[Mapping[str, object], str, bytes]:
    """The JSON part, the file's media type by content, else as the sender says, and the file."""
    head = _HEAD.match(raw)
    if head is None and raw.startswith(b"%PDF-"):
        raise Unreadable("pdf_alone", "A PDF alone names no person and no stay: send it with its JSON part.")
    about_end = head.end() + int(head[1]) if head else 0
    if head is None or about_end >= len(raw):
        raise Unreadable("file_container", "This is not a whole file with its JSON part.")
    try:
        about = load_strict(raw[head.end() : about_end])
    except JsonRefused as problem:
        raise Unreadable("file_about", f"The JSON part cannot be read: {problem.code}.") from None
    content = raw[about_end:]
    return part(about), "application/pdf" if content.startswith(b"%PDF-") else head[2].decode("ascii"), content


def _patient(person: Mapping[str, object]) -> Resource:
    number = "".join(text(person, "nhs_number").split())
    made: Resource = {"resourceType": "Patient"}
    if is_nhs_number(number):
        made["identifier"] = [{"system": NHS_NUMBER, "value": number}]
    given = text(person, "given").split()
    made["name"] = [{"use": "official", "family": text(person, "family"), **({"given": given} if given else {})}]
    return {**made, "birthDate": text(person, "birth_date")}


def _encounter(stay: Mapping[str, object]) -> Resource:
    period = {name: moment for name, moment in (("start", text(stay, "admitted_at")), ("end", text(stay, "left_at"))) if moment}
    return {"resourceType": "Encounter", **({"period": period} if period else {})}


def _items(about: Mapping[str, object], where: str = "") -> Iterator[Item]:
    for name, value in about.items():
        position = f"{where}{name}"
        if isinstance(value, Mapping):
            yield from _items(value, f"{position}.")
        elif position == "person.nhs_number" and not is_nhs_number("".join(str(value).split())):
            yield Item(position, str(value), Outcome.NOT_CARRIED, reason="not a possible NHS number")
        elif position in _PLACES:
            yield Item(position, str(value), Outcome.MAPPED, _PLACES[position])
        else:
            yield Item(position, str(value), Outcome.NOT_CARRIED, reason="a member that we do not know")
