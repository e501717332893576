"""Holds: what waits for a person before anything leaves. Each has an owner and a deadline from the moment it exists."""

import json
from collections.abc import Mapping

from exchange.audit.events import About, record
from exchange.errors import Conflict, NotFound
from exchange.intake.policy import LADDERS
from exchange.model import Caller, HoldKind, SubmissionState, TransferState
from exchange.ports import UnitOfWork
from exchange.records import Hold, Stay, Submission, Transfer

WORDS: Mapping[HoldKind, str] = {
    HoldKind.UNREADABLE: "A message could not be read.",
    HoldKind.UNADDRESSED: "A letter is here and no home is confirmed.",
    HoldKind.IDENTITY: "NHS number or birth date disagree.",
    HoldKind.TEST: "A test person or message on this system.",
    HoldKind.DEAD: "The person is recorded as dead.",
    HoldKind.SEVERAL_STAYS: "The letter fits several stays.",
    HoldKind.FAILED_CHECK: "The structured document is not right.",
    HoldKind.UNDELIVERED: "A version did not reach its mailbox.",
    HoldKind.NOT_OURS: "The home says that this is not their resident.",
    HoldKind.REUSED_ID: "A message number came twice with different content.",
}
# What a person can say that was found. Words from a list alone: the column is plain.
RESOLUTIONS = ("checked", "discarded", "addressed")


def raise_hold(
    uow: UnitOfWork,
    kind: HoldKind,
    *,
    org: str,
    code: str,
    submission: str | None = None,
    stay: str | None = None,
    transfer: str | None = None,
    subject: str = "",
) -> Hold:
    """Raise a hold once per kind and subject (the first of those given); a resolved one opens again with a new deadline."""
    subject = subject or submission or transfer or stay or ""
    hold_id = f"{kind}:{subject}"
    known = uow.lock(Hold, hold_id)
    if known is not None and known.resolved_at is None:
        return known
    first, second, *_ = LADDERS[kind]
    hold = Hold(hold_id, kind, org, first.who, code, uow.now, uow.now + second.after, submission, stay, transfer)
    if known is None:
        uow.insert(hold)
    else:
        fresh = ("owner", "code", "raised_at", "deadline_at", "resolved_at", "resolution")
        changes: dict[str, object] = {name: getattr(hold, name) for name in fresh}
        uow.update(Hold, changes, id=hold_id)
    record(uow, "hold.raised", Caller(org), About(transfer or stay or submission, transfer=transfer), code=f"{kind}: {code}")
    return hold


def raise_doubts(uow: UnitOfWork, stay: Stay, fresh: HoldKind | None = None) -> None:
    """Hold a stay whose identity is contradicted or whose person is recorded as dead, once somebody might go to a home.

    What a person settled is not raised again, unless `fresh` says that this doubt has just come anew.
    """
    if not uow.count(Transfer, stay_id=stay.id, state__ne=TransferState.WITHDRAWN):
        return
    doubts: list[tuple[HoldKind, str]] = []
    aside = uow.find(Submission, limit=1, order="-accepted_at", stay_id=stay.id, state=SubmissionState.HELD)
    if aside:
        doubts.append((HoldKind.IDENTITY, aside[0].reason))
    if json.loads(stay.identity.open()).get("died"):
        doubts.append((HoldKind.DEAD, "recorded_dead"))
    for kind, code in doubts:
        known = uow.get(Hold, f"{kind}:{stay.id}")
        # What was set aside while the discharge was off, nobody has seen: it raised nothing then.
        is_unseen = (
            kind is HoldKind.IDENTITY and known is not None and known.resolved_at is not None and aside[0].accepted_at > known.resolved_at
        )
        if kind is fresh or known is None or is_unseen:
            raise_hold(uow, kind, org=stay.sender_org, code=code, stay=stay.id)


def settled(uow: UnitOfWork, kind: HoldKind, subject: str) -> bool:
    """Whether a person has settled this very hold."""
    hold = uow.get(Hold, f"{kind}:{subject}")
    return hold is not None and hold.resolved_by is not None and hold.resolved_at is not None


def resolve_hold(uow: UnitOfWork, hold: Hold, resolution: str, person: str | None) -> None:
    """Close a hold; `resolution` is one of our words (replayed, discarded, addressed, released). Raises Conflict when closed."""
    changes: dict[str, object] = {"resolved_at": uow.now, "resolution": resolution, "resolved_by": person}
    if not uow.update(Hold, changes, id=hold.id, resolved_at=None):
        raise Conflict("hold_closed", "This hold is closed already.", next_step="Look at the list again.")
    about = hold.transfer_id or hold.stay_id or hold.submission_id
    record(uow, "hold.resolved", Caller(hold.sender_org, person=person), About(about), code=f"{hold.kind}: {resolution}")


def resolve_if_open(uow: UnitOfWork, kind: HoldKind, subject: str, resolution: str, person: str | None = None) -> None:
    hold = uow.get(Hold, f"{kind}:{subject}")
    if hold is not None and hold.resolved_at is None:
        resolve_hold(uow, hold, resolution, person)


def get_hold(uow: UnitOfWork, hold_id: str) -> Hold:
    """Raises NotFound `hold`."""
    hold = uow.get(Hold, hold_id)
    if hold is None:
        raise NotFound("hold", "No hold has this id.", next_step="List them: wardpost holds list")
    return hold


def blocks_publishing(uow: UnitOfWork, stay_id: str) -> bool:
    """Whether identity, death or a test flag keeps everything of this stay here."""
    kinds = [HoldKind.IDENTITY, HoldKind.DEAD, HoldKind.TEST]
    return bool(uow.count(Hold, stay_id=stay_id, resolved_at=None, kind__in=kinds))
