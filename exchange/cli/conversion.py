"""One message alone, without a database: what `wardpost convert` and `wardpost gate` show an integration engineer."""

import base64
import hashlib
import uuid
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from exchange.directory.profiles import SenderProfile
from exchange.fhir.content import ROLES, Content, Medicine, OrganisationFacts
from exchange.fhir.document import build_document, letter_digest
from exchange.fhir.draft import Draft, Entry, Item, Letter, Resource, SourceKind, Unreadable
from exchange.fhir.shape import part, parts, text
from exchange.gate.evaluate import GateResult, evaluate, gate_input
from exchange.gate.rules import Profile
from exchange.transfer.assemble import Source, assemble
from exchange.transfer.publish import ward_contacts
from exchange.wiring import AdapterReaders

_NAMESPACE = uuid.UUID("5f0d7a52-6c1b-5d6e-9d6e-2f1f0f6f7a11")
# A converted file has no accept time; a fixed one keeps the bytes the same.
_NO_TIME = "1970-01-01T00:00:00Z"


def convert_bytes(raw: bytes, profile: SenderProfile) -> tuple[dict[str, object], tuple[Item, ...]]:
    """The document of one message, its letters inside, and the account of its values. Raises Unreadable; unused messages say why in it."""
    draft, content = _content(raw, profile)
    document = build_document(content)
    _put_letters(document, content.letters)
    return document, draft.items


def _put_letters(document: dict[str, object], letters: Sequence[Letter]) -> None:
    """A file alone has no envelope in which the letters could travel beside the Bundle: their bytes go into their attachments."""
    bytes_of = {letter_digest(letter): letter.content for letter in letters}
    entries = document["entry"]
    assert isinstance(entries, list)
    for resource in (entry["resource"] for entry in entries):
        if resource["resourceType"] == "DocumentReference":
            found = bytes_of[resource["masterIdentifier"]["value"]]
            resource["content"][0]["attachment"]["data"] = base64.b64encode(found).decode()


def gate_bytes(raw: bytes, profile: SenderProfile) -> GateResult:
    """The gate over one message alone. Raises Unreadable."""
    _, content = _content(raw, profile)
    now = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return evaluate(gate_input(content, build_document(content), Profile(profile.gate_profile), now=now))


def _content(raw: bytes, profile: SenderProfile) -> tuple[Draft, Content]:
    draft = AdapterReaders().read(raw, profile.reading)
    if draft.kind is SourceKind.NOT_USED:
        raise Unreadable("not_used", f"This message is not used: {draft.reason}.")
    digest = hashlib.sha256(raw).hexdigest()
    content = assemble(
        transfer_id=str(uuid.uuid5(_NAMESPACE, digest)),
        version=1,
        sender=OrganisationFacts("", draft.claimed_sender or "The sender"),
        site=OrganisationFacts("", "No home is confirmed"),
        sources=[Source(draft, _NO_TIME, f"sha256:{digest}")],
        ward_contacts=ward_contacts(profile),
    )
    if draft.kind is SourceKind.RECORDS:
        content = replace(content, medicines=tuple(_row_alone(entry) for entry in draft.entries if entry.role.startswith("medicine-")))
    return draft, content


def _row_alone(entry: Entry) -> Medicine:
    """An order, dispense or administration as a row, so that an engineer sees how it was read. Among other messages it is never one."""
    given, said = entry.resource, text(entry.resource, "status")
    body: Resource = {name: given[name] for name in ("medicationCodeableConcept", "note") if name in given}
    if ROLES[entry.role] != "MedicationRequest":
        return Medicine(entry.position, {**body, "status": "unknown"}, records=(entry,))
    row: Resource = {**body, "status": {"cancelled": "stopped"}.get(said, said), "dosage": parts(given, "dosageInstruction")}
    amount = part(given, "dispenseRequest", "quantity")
    return Medicine(entry.position, row, records=(entry,) if amount else ())
