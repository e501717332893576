"""The FHIR adapter: one document Bundle of bytes to one Draft. R4 and STU3 (ITK3), JSON and XML; also inside messages and transactions.

Read `read` first. source.py finds and accounts, stu3.py converts, carry.py copies, clinical.py, person.py and letters.py map; count.py
counts the source a second time by itself.
"""

import re
from typing import Final

import msgspec

from adapters.fhir import person
from adapters.fhir.carry import Carrier
from adapters.fhir.clinical import Reader
from adapters.fhir.count import count
from adapters.fhir.letters import letters
from adapters.fhir.source import Found, Source, first_identifier
from adapters.fhir.stu3 import convert
from exchange.fhir.draft import Draft, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.shape import part, parts, text

FORMAT: Final = "fhir"
_HOLDS_A_DOCUMENT: Final = ("document", "message", "transaction")
_TEST: Final = "HTEST"  # v3-ActReason: test health data
_IDENTIFIER: Final = re.compile(rb"<(?:\w+:)?identifier\b.*?<(?:\w+:)?value\s+value\s*=\s*[\"']([^\"']*)", re.DOTALL)
_ID: Final = re.compile(rb"<(?:\w+:)?id\s+value\s*=\s*[\"']([^\"']*)")


def sniff(raw: bytes) -> bool:
    """Whether these bytes claim to be FHIR: a JSON object with a resourceType, or XML in FHIR's namespace."""
    start = raw[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith(b"{"):
        return b'"resourceType"' in raw
    return start.startswith(b"<") and re.search(rb"xmlns(?::\w+)?\s*=\s*[\"']http://hl7\.org/fhir[\"']", start) is not None


class _Identifier(msgspec.Struct, frozen=True):
    value: str = ""


class _Head(msgspec.Struct, frozen=True):
    id: str = ""
    identifier: _Identifier = _Identifier()


def source_id(raw: bytes) -> str:
    """Bundle.identifier.value, else Bundle.id."""
    if raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        try:
            head = msgspec.json.decode(raw.removeprefix(b"\xef\xbb\xbf"), type=_Head)
        except (msgspec.MsgspecError, ValueError, RecursionError):
            return ""
        return (head.identifier.value or head.id).strip()
    head_bytes = re.split(rb"<(?:\w+:)?entry\b", raw, maxsplit=1)[0][:65_536]
    found = _IDENTIFIER.search(head_bytes) or _ID.search(head_bytes)
    return found[1].decode("utf-8", "replace").strip() if found else ""


def read(raw: bytes, profile: ReadingProfile) -> Draft:
    """The Draft of one document. Every non-empty value of it stands once in `items`. Raises Unreadable and nothing else."""
    source = Source(raw)
    composition = _composition(source)
    convert(source, profile.country)
    patient = person.subject(source, composition)
    carrier = Carrier(source, profile.zone)
    types = [text(coding, "code") for coding in parts(composition.node, "type", "coding")]
    unused = "not a discharge document" if profile.letter_types and not {*types} & {*profile.letter_types} else ""
    files = tuple(letters(carrier, composition, raw))
    who, stay, reader = person.read_patient(carrier, patient), person.Stay(carrier, composition, profile), Reader(carrier)
    entries = () if unused else (*stay.practice(patient), *stay.entries(), *reader.entries(composition))
    counts = count(raw)
    counts = {kind: number + reader.lost.get(kind, 0) for kind, number in counts.items()}
    written = files[0].written_at
    is_stu3 = any("/STU3/" in url for found in source.found for url in _profiles(found))
    custodian = source.target(composition.node.get("custodian"), composition)
    return Draft(
        format=FORMAT,
        event=f"FHIR {'STU3' if is_stu3 else 'R4'} {text(source.bundle, 'type')}",
        kind=SourceKind.NOT_USED if unused else SourceKind.LETTER,
        source_id=source_id(raw),
        sent_at=_full(carrier, text(source.bundle, "timestamp") or text(source.bundle, "meta", "lastUpdated")) or _full(carrier, written),
        occurred_at=_full(carrier, written),
        is_test=any(text(label, "code") == _TEST for name in ("security", "tag") for label in parts(source.bundle, "meta", name)),
        is_dead=bool(who.get("deceasedDateTime") or who.get("deceasedBoolean")),
        is_sensitive_address=person.is_sensitive(patient),
        claimed_sender=first_identifier(custodian.node) if custodian else "",
        visit_id=stay.visit_id,
        patient=who,
        encounter=stay.node,
        entries=tuple(entries),
        letters=() if unused else files,
        signs=() if unused else tuple(stay.signs(patient)),
        items=source.items(unused),
        counts=counts | ({"letters": 0} if unused else {}),
        reason=unused,
    )


def _composition(source: Source) -> Found:
    """The one Composition. Raises Unreadable for FHIR that is no document, and for several documents in one submission."""
    found = source.of("Composition")
    if text(source.bundle, "type") not in _HOLDS_A_DOCUMENT or not found:
        raise Unreadable("fhir_not_document", "This is FHIR, and no Bundle with a document (a Composition) in it.")
    if len(found) > 1:
        raise Unreadable(
            "several_documents", "There is more than one document (Composition) in one submission.", position=found[1].position
        )
    return found[0]


def _full(carrier: Carrier, moment: str) -> str:
    """A day or a time; a year or a month alone does not put a document in order."""
    return (carrier.moment(moment) or "") if len(moment) >= 10 else ""


def _profiles(found: Found) -> list[str]:
    said = part(found.node, "meta").get("profile")
    return [one for one in said if isinstance(one, str)] if isinstance(said, list) else []
