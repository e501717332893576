"""Receive: put a Draft where it belongs. One transaction from "accepted" to "read", "not used" or "held"."""

from exchange.audit.events import About, record
from exchange.directory.profiles import SenderProfile
from exchange.fhir.draft import Draft, SourceKind
from exchange.intake.holds import raise_doubts, raise_hold, resolve_if_open
from exchange.intake.work import complete, enqueue
from exchange.model import Caller, Environment, HoldKind, SubmissionState, TransferState
from exchange.ports import UnitOfWork
from exchange.records import DataKey, Hold, Organisation, Stay, Submission, Transfer, Work
from exchange.transfer.candidates import names_address, postcodes_in
from exchange.transfer.match import Identity, Mismatch, earlier_documents, identity_of, match, match_person, set_aside_all
from exchange.transfer.transfers import open_possible, withdraw


def receive(uow: UnitOfWork, work: Work, submission: Submission, draft: Draft, profile: SenderProfile, environment: Environment) -> None:
    """Match the Draft and note what follows from it. Raises StaleLease."""
    complete(uow, work)
    if draft.kind is SourceKind.NOT_USED:
        _not_used(uow, submission, draft, draft.reason, profile)
        return
    said = identity_of(draft)
    refusal = _not_for(environment, draft, said)
    found = (
        match_person(uow, submission.sender_org, draft)
        if draft.is_about_person
        else match(uow, submission.sender_org, draft, submission.stay_id)
    )
    if found is None:
        _not_used(uow, submission, draft, "no stay of this person here", profile)
        return
    if isinstance(found, Mismatch) and found.stay is not None:
        _set_aside(uow, submission, draft, found.code, found.stay, profile)
        return
    if isinstance(found, Mismatch):
        _hold(uow, submission, draft, found.kind, found.code, None)
        return
    if refusal:
        _hold(uow, submission, draft, HoldKind.TEST, refusal, found)
        return
    changes: dict[str, object] = {
        "state": SubmissionState.READ,
        "event": draft.event,
        "kind": str(draft.kind),
        "stay_id": found.id,
        "erase_after": uow.now + profile.keeps_raw_for,
    }
    uow.update(Submission, changes, id=submission.id)
    record(
        uow,
        "submission.read",
        Caller(submission.sender_org),
        About(submission.id, detail=found.id, nhs_number=found.nhs_number),
        code=draft.event,
    )
    if submission.reuses_id_of is not None:
        raise_hold(uow, HoldKind.REUSED_ID, org=submission.sender_org, code="same_id_other_bytes", submission=submission.id, stay=found.id)
    for other in earlier_documents(uow, found):
        _join(uow, found, other.stay, other.conflict)
    _route(uow, found, draft)
    raise_doubts(uow, found, HoldKind.DEAD if draft.is_dead else None)


def _set_aside(uow: UnitOfWork, submission: Submission, draft: Draft, code: str, stay: Stay, profile: SenderProfile) -> None:
    """A message that contradicts the stay in identity: kept beside it, part of nothing, a doubt about the whole stay."""
    changes: dict[str, object] = {
        "state": SubmissionState.HELD,
        "event": draft.event,
        "kind": str(draft.kind),
        "reason": code,
        "stay_id": stay.id,
        "erase_after": uow.now + profile.keeps_raw_for,
    }
    uow.update(Submission, changes, id=submission.id)
    record(uow, "submission.read", Caller(submission.sender_org), About(submission.id, stay.id, stay.nhs_number), code=code)
    raise_doubts(uow, stay, HoldKind.IDENTITY)


def _route(uow: UnitOfWork, stay: Stay, draft: Draft) -> None:
    """A sign opens a possible transfer, its end closes one that nobody confirmed; a letter without a confirmed home waits with an
    owner; the rest goes to publish."""
    transfers = uow.find(Transfer, stay_id=stay.id)
    points = _points_to_a_home(uow, draft)
    if points and not [transfer for transfer in transfers if transfer.withdrawn_reason != "sign_gone"]:
        transfers = [open_possible(uow, stay, draft.expected_leaving or "")]
    has_letter = bool(uow.count(Submission, stay_id=stay.id, kind=str(SourceKind.LETTER), state=SubmissionState.READ))
    for transfer in transfers:
        if transfer.recipient_org is not None:
            enqueue(uow, "publish", transfer.id)
        elif transfer.state is TransferState.POSSIBLE and not points and _names_a_destination(draft):
            withdraw(uow, transfer, stay, "sign_gone")
            resolve_if_open(uow, HoldKind.UNADDRESSED, transfer.id, "the feed names another destination")
        elif transfer.state is TransferState.POSSIBLE and has_letter:
            raise_hold(uow, HoldKind.UNADDRESSED, org=stay.sender_org, code="no_confirmed_home", stay=stay.id, transfer=transfer.id)


def _join(uow: UnitOfWork, stay: Stay, other: Stay, conflict: str) -> None:
    """The visit of documents that came before it: what is theirs becomes its own, set aside where their birth date differs. Where a
    person has confirmed a home for each of the two, both stay as they are; a mere sign gives way."""
    own, theirs = (uow.find(Transfer, stay_id=one.id, state__ne=TransferState.WITHDRAWN) for one in (stay, other))
    spare = [transfers for transfers in (theirs, own) if all(one.state is TransferState.POSSIBLE for one in transfers)]
    if not spare:
        return
    for transfer in spare[0] if own and theirs else ():
        withdraw(uow, transfer, stay, "sign_gone")
        resolve_if_open(uow, HoldKind.UNADDRESSED, transfer.id, "the stay was joined with its visit")
    if conflict:
        set_aside_all(uow, other, conflict)
    for kind in (Submission, Transfer, Hold):
        uow.update(kind, {"stay_id": stay.id}, stay_id=other.id)
    uow.delete(DataKey, owner_kind="stay", owner_id=other.id)
    uow.delete(Stay, id=other.id)


def _names_a_destination(draft: Draft) -> bool:
    """Whether the feed now says where the person goes (PV1-37), and so takes back an earlier hint."""
    stay = draft.encounter.get("hospitalization")
    return isinstance(stay, dict) and "dischargeDisposition" in stay


def _points_to_a_home(uow: UnitOfWork, draft: Draft) -> bool:
    """A code that hints at a care home, or an address that is one of the directory's (street and postcode). Opens, never routes."""
    for sign in draft.signs:
        if sign.kind != "address":
            return True
        if any(names_address(sign.value, home) for home in uow.find(Organisation, kind="home", postcode__in=postcodes_in(sign.value))):
            return True
    return False


def _not_for(environment: Environment, draft: Draft, said: Identity) -> str:
    """Why a person does not belong on this system: test people on a live one, real numbers on a trial one."""
    is_test_number = said.nhs_number.startswith("999")
    if environment is Environment.LIVE:
        return "test_message" if draft.is_test else "test_number" if is_test_number else ""
    return "real_number_on_trial" if said.nhs_number and not is_test_number else ""


def _not_used(uow: UnitOfWork, submission: Submission, draft: Draft, reason: str, profile: SenderProfile) -> None:
    changes: dict[str, object] = {
        "state": SubmissionState.NOT_USED,
        "event": draft.event,
        "kind": str(SourceKind.NOT_USED),
        "reason": reason,
        "erase_after": uow.now + profile.keeps_raw_for,
    }
    uow.update(Submission, changes, id=submission.id)
    record(uow, "submission.unused", Caller(submission.sender_org), About(submission.id), code=reason)


def _hold(uow: UnitOfWork, submission: Submission, draft: Draft, kind: HoldKind, code: str, stay: Stay | None) -> None:
    changes: dict[str, object] = {"state": SubmissionState.HELD, "event": draft.event, "kind": str(draft.kind), "reason": code}
    uow.update(Submission, changes, id=submission.id)
    raise_hold(uow, kind, org=submission.sender_org, code=code, submission=submission.id, stay=stay.id if stay else None)


def hold_unreadable(uow: UnitOfWork, work: Work, submission: Submission, code: str) -> None:
    """These bytes are no message that we can read: a person looks, and it can be replayed."""
    complete(uow, work)
    uow.update(Submission, {"state": SubmissionState.HELD, "reason": code}, id=submission.id)
    raise_hold(uow, HoldKind.UNREADABLE, org=submission.sender_org, code=code, submission=submission.id)


def replay(uow: UnitOfWork, submission: Submission) -> None:
    """Read a held submission again, because the profile, the program or the facts have changed."""
    uow.update(Submission, {"state": SubmissionState.ACCEPTED, "reason": ""}, id=submission.id)
    enqueue(uow, "read", submission.id)
