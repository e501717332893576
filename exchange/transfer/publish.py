"""Publish: from the bytes of a Stay to a sealed, frozen Version. Computed outside the write, written in one transaction.

1. gather   rows of the transfer, its stay, its submissions and supplements (one snapshot)
2. draft    each submission through its adapter again: the bytes are the truth
3. judge    assemble one Content, build the document, check it, evaluate the gate
4. compare  with what the last version showed: unchanged means nothing to do
5. seal     manifest and parts under the organisations' keys
6. write    version, parts, event and audit row in the transaction that ends the lease
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, assert_never

import msgspec

from exchange.audit.events import of_transfer, record
from exchange.directory.keys import current_key, private_key, public_jwk
from exchange.directory.profiles import SenderProfile, parse_profile
from exchange.errors import Conflict, Gone
from exchange.fhir.content import Content, Medicine, OrganisationFacts
from exchange.fhir.document import build_document
from exchange.fhir.draft import Draft, Letter, ReadingProfile, SourceKind
from exchange.fhir.json import dump, load_strict
from exchange.fhir.pdf_scan import active_content
from exchange.fhir.stated import Contact
from exchange.gate.evaluate import GateResult, evaluate, expected_of, gate_input
from exchange.gate.rules import Profile
from exchange.intake.accept import digest_of, instant, raw_bytes
from exchange.intake.holds import blocks_publishing, raise_doubts, raise_hold, resolve_if_open, settled
from exchange.intake.work import complete
from exchange.model import Caller, Environment, HoldKind, SubmissionState, TransferState
from exchange.ports import DocumentCheck, UnitOfWork
from exchange.records import Organisation, Part, Person, Sealed, Sender, Stay, Submission, Supplement, Transfer, Version, Work
from exchange.seal.envelope import SealedVersion, seal
from exchange.transfer.assemble import Source, StatedSupplement, assemble, in_order
from exchange.transfer.match import Identity, PartLabel, Summary, read_identity
from exchange.transfer.states import check_transition
from exchange.transfer.transfers import emit, get_transfer, newest_version, reopen
from exchange.transfer.workdays import deadline

Read = Callable[[bytes, ReadingProfile], Draft]
FHIR_JSON = "application/fhir+json"


@dataclass(frozen=True, slots=True)
class Gathered:
    """Everything that one version is made of."""

    transfer: Transfer
    stay: Stay
    identity: Identity
    sender: OrganisationFacts
    site: OrganisationFacts | None
    profile: SenderProfile
    sources: tuple[Source, ...]
    supplements: tuple[StatedSupplement, ...]
    last: Version | None
    is_blocked: bool
    is_identity_settled: bool


@dataclass(frozen=True, slots=True)
class Prepared:
    """A version ready to be sealed. `document` is None when the structured version is held and the letters go alone."""

    number: int
    content: Content
    document: bytes | None
    letters: tuple[Letter, ...]
    gate: GateResult
    shown: str
    failed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The newest word of the feed is that nobody leaves."""

    reason: str


@dataclass(frozen=True, slots=True)
class IdentityConflict:
    """Two sources of the stay disagree in NHS number or date of birth: nothing leaves before a person has looked."""


def gather(uow: UnitOfWork, transfer_id: str, read: Read) -> Gathered | None:
    """Steps 1 and 2. None when the transfer is gone (erased)."""
    transfer = uow.get(Transfer, transfer_id)
    stay = uow.get(Stay, transfer.stay_id) if transfer else None
    if transfer is None or stay is None:
        return None
    profiles = {sender.id: parse_profile(sender.profile) for sender in uow.find(Sender, org=transfer.sender_org)}
    sources: list[Source] = []
    letter_profile: SenderProfile | None = None
    for submission in uow.find(Submission, stay_id=stay.id, state=SubmissionState.READ):
        try:
            raw = raw_bytes(submission)
        except Gone:
            continue
        draft = read(raw, profiles[submission.sender_id].reading)
        sources.append(Source(draft, instant(submission.accepted_at), digest_of(raw)))
        if draft.letters:
            letter_profile = profiles[submission.sender_id]
    site = uow.get(Organisation, transfer.recipient_org) if transfer.recipient_org else None
    sender = uow.get(Organisation, transfer.sender_org)
    return Gathered(
        transfer,
        stay,
        read_identity(stay.identity),
        facts_of(sender) if sender else OrganisationFacts(transfer.sender_org, transfer.sender_org),
        facts_of(site) if site else None,
        letter_profile or next(iter(profiles.values()), SenderProfile()),
        tuple(in_order(sources)),
        tuple(_stated(uow, row) for row in uow.find(Supplement, order="received_at", transfer_id=transfer.id)),
        newest_version(uow, transfer),
        blocks_publishing(uow, stay.id),
        settled(uow, HoldKind.IDENTITY, stay.id),
    )


def facts_of(organisation: Organisation) -> OrganisationFacts:
    """What the document says of an organisation, from the directory alone."""
    address = {"line": [organisation.street] if organisation.street else [], "city": organisation.town, "postalCode": organisation.postcode}
    return OrganisationFacts(
        organisation.id,
        organisation.name,
        is_site=organisation.kind == "home",
        cqc_location=organisation.cqc,
        phone=organisation.phone,
        address={name: value for name, value in address.items() if value},
    )


def _stated(uow: UnitOfWork, row: Supplement) -> StatedSupplement:
    person = uow.get(Person, row.person_id)
    content = load_strict(row.content.open())
    assert isinstance(content, dict)
    said_at = str(content.get("said_at") or instant(row.received_at))
    name, role = (person.name.text(), str(person.role).replace("_", " ")) if person else ("", "")
    return StatedSupplement(name, role, said_at, content, row.id)


def cancelled_by(sources: Sequence[Source]) -> str:
    """Why nobody leaves: the newest of cancellation (A13, A11), leaving (A03) and letter decides, by source time, not arrival."""
    reason = ""
    for source in in_order(sources):
        match source.draft.kind:
            case SourceKind.CANCEL_DISCHARGE:
                reason = "discharge_cancelled"
            case SourceKind.CANCEL_ADMISSION:
                reason = "admission_cancelled"
            case SourceKind.LETTER:
                reason = ""
            case SourceKind.FACTS:
                reason = "" if source.draft.left_at else reason
            case SourceKind.LIST | SourceKind.RECORDS | SourceKind.NOT_USED:
                pass
            case _ as never:
                assert_never(never)
    return reason


def prepare(gathered: Gathered, now: datetime, check: DocumentCheck) -> Prepared | Withdrawal | IdentityConflict | None:
    """Steps 3 and 4. None when nothing is to be done: no letter travels, no site, a hold, or nothing new to show."""
    state, reason = gathered.transfer.state, cancelled_by(gathered.sources)
    if reason:
        return Withdrawal(reason) if state in (TransferState.CONFIRMED, TransferState.PUBLISHED) else None
    if state is TransferState.WITHDRAWN and gathered.transfer.withdrawn_reason not in ("discharge_cancelled", "admission_cancelled"):
        return None
    if gathered.site is None or gathered.is_blocked or not gathered.sources:
        return None
    content, document, gate = judge(gathered, gathered.site, now)
    if not gathered.is_identity_settled and any(conflict.element == "identity" for conflict in content.conflicts):
        return IdentityConflict()
    if not content.letters:
        return None
    lost = [f"count-{conflict.rule}" for conflict in content.conflicts if conflict.element == "count"]
    failed = (*check(document, content.counts()), *lost)
    shown = shown_digest(document, content.letters, gate, bool(failed))
    if gathered.last is not None and gathered.last.shown.text() == shown and gathered.transfer.state is TransferState.PUBLISHED:
        return None
    return Prepared(content.version, content, None if failed else dump(document), content.letters, gate, shown, failed)


def judge(gathered: Gathered, site: OrganisationFacts, now: datetime) -> tuple[Content, dict[str, object], GateResult]:
    """What is known of a transfer as the next version would have it, its document, and the gate at this moment."""
    content = assemble(
        transfer_id=gathered.transfer.id,
        version=gathered.transfer.versions + 1,
        sender=gathered.sender,
        site=site,
        sources=gathered.sources,
        supplements=gathered.supplements,
        ward_contacts=ward_contacts(gathered.profile),
    )
    document = build_document(content)
    profile = gathered.profile
    due, at_once = deadline(expected_of(content), now)
    asked = Profile(profile.gate_profile)
    when = (instant(now) if at_once else due.isoformat(), at_once)
    facts = gate_input(content, document, asked, now=instant(now), due=when, not_sent=profile.does_not_send,
                       is_strict=profile.gate_policy == "strict")  # fmt: skip
    return content, document, evaluate(facts)


class Look(NamedTuple):
    """What people stated, the directory's number for the ward, the gate this minute (None before a home is picked or a message read),
    and the hospital's own list."""

    supplements: Sequence[StatedSupplement]
    directory: Contact | None = None
    gate: GateResult | None = None
    medicines: Sequence[Medicine] = ()


def look(uow: UnitOfWork, transfer_id: str, read: Read) -> Look:
    """A transfer as the next version would have it, for who fills the gaps. Raises NotFound `transfer`."""
    gathered = gather(uow, get_transfer(uow, transfer_id).id, read)
    assert gathered is not None  # a transfer has a stay
    if gathered.site is None or not gathered.sources:
        return Look(gathered.supplements)
    content, _, gate = judge(gathered, gathered.site, uow.now)
    directory = content.contact if "contact" not in content.said else None
    return Look(gathered.supplements, directory, gate, content.medicines if content.has_list else ())


def ward_contacts(profile: SenderProfile) -> dict[str, Contact]:
    """Each ward's line with the medicines line and the one who is next, from the sender's profile."""
    next_one, pharmacy = profile.discharge_contact, profile.pharmacy
    return {
        code: Contact(
            who=ward.name,
            phone=ward.phone,
            hours=ward.hours,
            medicines_phone=pharmacy.phone if pharmacy else "",
            medicines_hours=pharmacy.hours if pharmacy else "",
            next_phone=next_one.phone if next_one else "",
            next_who=next_one.name if next_one else "",
        )
        for code, ward in profile.wards.items()
    }


def shown_digest(document: dict[str, object], letters: tuple[Letter, ...], gate: GateResult, is_letter_only: bool) -> str:
    """A digest of what a reader sees: without the version's own numbers and times, so that a repeat makes no version."""
    entries = document["entry"]
    assert isinstance(entries, list)
    shown = []
    for entry in entries:
        resource = entry["resource"]
        if resource["resourceType"] == "Composition":
            resource = {k: v for k, v in resource.items() if k not in ("id", "identifier", "relatesTo", "extension", "date")}
        shown.append(resource)
    gaps = [[gap.rule, gap.state, gap.detail] for gap in (*gate.gaps, *gate.warnings)]
    seen = [
        [] if is_letter_only else shown,
        [hashlib.sha256(letter.content).hexdigest() for letter in letters],
        gate.badge,
        gaps,
        gate.override,
    ]
    return hashlib.sha256(dump(seen)).hexdigest()


def _summary(gathered: Gathered, prepared: Prepared) -> Summary:
    content = prepared.content
    ward = next((str(entry.resource.get("name", "")) for entry in content.people if entry.role == "ward"), "")
    return Summary(
        **msgspec.structs.asdict(gathered.identity),
        ward=ward,
        ward_phone=content.contact.phone if content.contact else "",
        hospital=gathered.sender.name,
        expected_leaving=content.expected_leaving,
        left_at=content.left_at,
        missing=tuple(gap.detail or gap.title for gap in prepared.gate.gaps),
    )


def seal_version(uow: UnitOfWork, environment: Environment, gathered: Gathered, prepared: Prepared) -> SealedVersion:
    """Step 5. Raises NotFound `org_key` when an organisation has no valid key."""
    sender, site = gathered.transfer.sender_org, gathered.transfer.recipient_org or ""
    parts = [(FHIR_JSON, prepared.document)] if prepared.document is not None else []
    parts += [(sealed_type(letter.media_type), letter.content) for letter in prepared.letters]
    return seal(
        env="live" if environment is Environment.LIVE else "trial",
        transfer=gathered.transfer.id,
        version=prepared.number,
        prev=gathered.last.manifest_digest if gathered.last else None,
        at=int(uow.now.timestamp()),
        from_ods=sender,
        to_ods=site,
        sender_opening=public_jwk(current_key(uow, sender, "enc")),
        site_opening=public_jwk(current_key(uow, site, "enc")),
        sender_signing=private_key(uow, current_key(uow, sender, "sig").id),
        parts=parts,
        random_bytes=uow.random_bytes,
    )


def sealed_type(media_type: str) -> str:
    """A media type as the manifest has it: no parameters (those stand in the part's label), and of a form that it allows."""
    bare = media_type.partition(";")[0].strip().lower()
    return bare if re.fullmatch(r"[a-z]+/[a-z0-9.+-]{1,80}", bare) else "application/octet-stream"


def write_version(uow: UnitOfWork, work: Work, gathered: Gathered, prepared: Prepared, sealed: SealedVersion) -> Version | None:
    """Step 6. None when opening the transfer again raised a doubt.

    Raises StaleLease when another worker holds the work, Conflict when the transfer moved on.
    """
    transfer, site = gathered.transfer, gathered.transfer.recipient_org or ""
    # Between gather and here a person may have sent the papers elsewhere, or a hold may have come: then nothing leaves.
    if uow.lock(Transfer, transfer.id) != transfer or blocks_publishing(uow, gathered.stay.id):
        raise Conflict("transfer_state", "The transfer changed while its version was made.", next_step="Nothing: it is made again.")
    if transfer.state is TransferState.WITHDRAWN:  # cancelled, and now the feed says that the person leaves after all
        reopen(uow, transfer)
        raise_doubts(uow, gathered.stay)
        if blocks_publishing(uow, gathered.stay.id):
            complete(uow, work)
            return None
    check_transition(TransferState.CONFIRMED if transfer.state is TransferState.WITHDRAWN else transfer.state, TransferState.PUBLISHED)
    version = Version(
        id=uow.new_id(),
        transfer_id=transfer.id,
        sender_org=transfer.sender_org,
        recipient_org=site,
        number=prepared.number,
        published_at=uow.now,
        jws=sealed.jws,
        manifest_digest=sealed.manifest_digest,
        badge=prepared.gate.badge,
        missing=",".join(gap.rule for gap in prepared.gate.gaps),
        rule_set=f"{prepared.gate.rule_set} {prepared.gate.rule_set_version}",
        gate=Sealed.of(dump(prepared.gate.to_dict())),
        shown=Sealed.of(prepared.shown),
        person=Sealed.of(dump(msgspec.to_builtins(_summary(gathered, prepared)))),
        nhs_number=gathered.stay.nhs_number,
        has_document=prepared.document is not None,
    )
    uow.insert(version)
    labels = [PartLabel("Discharge document", digest_of(prepared.document), FHIR_JSON)] if prepared.document is not None else []
    labels += [
        PartLabel(letter.title, digest_of(letter.content), letter.media_type, active_content(letter.content)) for letter in prepared.letters
    ]
    for position, (meta, label, jwe) in enumerate(zip(sealed.manifest.parts, labels, sealed.jwes, strict=True)):
        uow.insert(
            Part(
                uow.new_id(),
                version.id,
                transfer.id,
                transfer.sender_org,
                site,
                position,
                meta.type,
                meta.bytes,
                Sealed.of(dump(msgspec.to_builtins(label))),
                Sealed.of(jwe),
            )
        )
    changes: dict[str, object] = {
        "state": TransferState.PUBLISHED,
        "versions": prepared.number,
        "leaving_on": expected_of(prepared.content),
    }
    uow.update(Transfer, changes, id=transfer.id, versions=prepared.number - 1)
    emit(uow, "version.published", site, {"version": version.id, "transfer": transfer.id, "number": prepared.number})
    record(
        uow,
        "version.published",
        Caller(transfer.sender_org),
        of_transfer(transfer.id, detail=version.id, nhs_number=gathered.stay.nhs_number, to=site),
        code=prepared.gate.badge,
    )
    if prepared.failed:
        raise_hold(uow, HoldKind.FAILED_CHECK, org=transfer.sender_org, code=",".join(prepared.failed), transfer=transfer.id)
    else:
        resolve_if_open(uow, HoldKind.FAILED_CHECK, transfer.id, "a later version passed")
    complete(uow, work)
    return version
