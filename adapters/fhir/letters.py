"""The document itself and every file inside it → letters, byte for byte."""

import binascii
import hashlib
import re
from collections.abc import Iterator

from adapters.fhir.carry import Carrier
from adapters.fhir.source import Claim, Found, Node, document_number
from exchange.fhir.draft import Letter, LetterStatus, Outcome, Unreadable
from exchange.fhir.shape import concept_text, part, parts, text

MAX_LETTERS = 31  # an envelope has 32 parts, and one is the document that we build
_MEDIA_TYPE = re.compile(r"[a-z]+/[a-z0-9.+-]{1,80}")
_STATUS = {"final": LetterStatus.FINAL, "amended": LetterStatus.FINAL, "entered-in-error": LetterStatus.CANCELLED}
_CARRIED = Claim(Outcome.MAPPED, "DocumentReference")


def letters(carrier: Carrier, composition: Found, raw: bytes) -> Iterator[Letter]:
    """One Letter of the submission's own bytes, then one for each Binary and Attachment with data; all of the Composition's status."""
    make = _Maker(carrier, composition)
    # The Bundle that we build is the one part of an envelope that is application/fhir+json.
    media_type = "application/fhir+xml" if raw.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"<") else "application/json"
    yield make.letter("Bundle", media_type, raw, make.title)
    files = [(found, position, node) for found in carrier.source.found for position, node in _files(found.node, found.position)]
    if len(files) >= MAX_LETTERS:
        raise Unreadable("too_many_attachments", f"The document holds {MAX_LETTERS} files or more.")
    for found, position, node in files:
        if content := _content(carrier, node, position):
            yield make.letter(position, media_type_of(node), content, text(node, "title") or make.title_of(found) or make.title)


class _Maker:
    """What all letters of one document share. Status by Composition.status; signed by the attester who answers for it."""

    def __init__(self, carrier: Carrier, composition: Found) -> None:
        node, source = composition.node, carrier.source
        self.carrier = carrier
        self.title = text(node, "title") or concept_text(node.get("type")) or "Letter"
        self.status = _STATUS.get(text(node, "status"), LetterStatus.DRAFT)
        attester = next((one for one in parts(node, "attester") if text(one, "mode") in ("legal", "professional", "official")), {})
        names = [carrier.reference(one, "DocumentReference.author", composition) for one in parts(node, "author")]
        self.author = ", ".join(filter(None, (text(name, "display") for name in names)))
        signed = carrier.reference(part(attester, "party"), "DocumentReference.authenticator", composition)
        self.signed_by = text(signed, "display") if self.status is LetterStatus.FINAL else ""
        self.signed_at = carrier.moment(text(attester, "time")) or ""
        self.written_at = carrier.moment(text(node, "date")) or ""
        self.number = document_number(node)
        self.replaces = next(
            (document_number({"identifier": one["targetIdentifier"]}) for one in parts(node, "relatesTo")
             if text(one, "code") == "replaces" and part(one, "targetIdentifier")), "",
        )  # fmt: skip
        for name in ("title", "status", "date", "identifier", "type"):
            source.claim(node, name, Claim(Outcome.MAPPED, f"DocumentReference.{'docStatus' if name == 'status' else name}"))
            source.settle(part(node, name), Claim(Outcome.MAPPED, f"DocumentReference.{name}"))
        source.settle(attester, Claim(Outcome.MAPPED, "DocumentReference.authenticator"))
        for one in parts(node, "relatesTo"):
            source.settle(one, Claim(Outcome.MAPPED, "DocumentReference.relatesTo.target"))

    def title_of(self, file: Found) -> str:
        """The title of a Binary stands in the DocumentReference that points to it."""
        for reference in self.carrier.source.of("DocumentReference"):
            for content in parts(reference.node, "content"):
                if self.carrier.source.target(text(content, "attachment", "url"), reference) is file or reference is file:
                    for name in ("type", "description"):
                        self.carrier.source.settle(part(reference.node, name), _CARRIED)
                    return (
                        text(content, "attachment", "title")
                        or text(reference.node, "description")
                        or concept_text(reference.node.get("type"))
                    )
        return ""

    def letter(self, position: str, media_type: str, content: bytes, title: str) -> Letter:
        return Letter(
            position=position, media_type=media_type, content=content, title=title, status=self.status, document_id=self.number,
            replaces=self.replaces, author=self.author, signed_by=self.signed_by, signed_at=self.signed_at, written_at=self.written_at,
        )  # fmt: skip


def _files(node: object, position: str) -> Iterator[tuple[str, Node]]:
    """Every Binary and Attachment with data at or under this object; contained and nested resources come by themselves."""
    if isinstance(node, dict):
        if isinstance(node.get("data"), str) and node["data"] and isinstance(node.get("contentType"), str):
            yield position, node
        for name, value in node.items():
            if name not in ("contained", "entry") or (node.get("resourceType") not in ("Bundle", None) and name != "contained"):
                yield from _files(value, f"{position}.{name}")
    elif isinstance(node, list):
        for index, one in enumerate(node):
            yield from _files(one, f"{position}[{index}]")


def media_type_of(node: Node) -> str:
    """contentType without its parameters; what is no media type is octets."""
    said = text(node, "contentType").partition(";")[0].strip().lower().replace("fhir+json", "json")
    return said if _MEDIA_TYPE.fullmatch(said) else "application/octet-stream"


def _content(carrier: Carrier, node: Node, position: str) -> bytes:
    try:
        content = binascii.a2b_base64("".join(text(node, "data").split()), strict_mode=True)
    except ValueError:
        raise Unreadable("attachment_damaged", "An attached file is not base64.", position=position) from None
    claim = Claim(Outcome.ATTACHMENT, "DocumentReference.content.attachment", "", f"sha256:{hashlib.sha256(content).hexdigest()}")
    carrier.source.claim(node, "data", claim)
    carrier.source.settle(node, Claim(Outcome.MAPPED, "DocumentReference.content.attachment"))
    return content
