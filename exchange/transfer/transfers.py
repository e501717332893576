"""Transfers: a sign opens one, a named person confirms its site, a cancelled discharge withdraws it. Machines never route."""

import json
from datetime import datetime, timedelta

from exchange.audit.events import of_transfer, record
from exchange.directory.entries import make_ready
from exchange.errors import Conflict, NotFound, Refused
from exchange.fhir.json import dump
from exchange.intake.holds import raise_doubts, resolve_if_open
from exchange.intake.work import enqueue
from exchange.model import HOSPITAL_ROLES, Caller, HoldKind, TransferState, is_open
from exchange.ports import UnitOfWork
from exchange.records import Mailbox, Organisation, OutboxEvent, Person, Stay, Submission, Transfer, Version
from exchange.transfer.states import check_transition

# So long after the day of leaving the promise of an override is still looked at.
JUDGED_FOR = timedelta(days=14)
ENDED = TransferState.WITHDRAWN


def transfers_of(uow: UnitOfWork, stay: Stay) -> list[Transfer]:
    """The transfers of a stay that are not withdrawn, oldest first."""
    return uow.find(Transfer, order="created_at", stay_id=stay.id, state__ne=ENDED)


def open_possible(uow: UnitOfWork, stay: Stay, leaving_on: str) -> Transfer:
    """A care-home sign was seen: a possible leaver that nobody has confirmed."""
    transfer = Transfer(uow.new_id(), stay.id, stay.sender_org, None, TransferState.POSSIBLE, uow.now, leaving_on=leaving_on)
    uow.insert(transfer)
    record(uow, "transfer.possible", Caller(stay.sender_org), of_transfer(transfer.id, detail=stay.id, nhs_number=stay.nhs_number))
    return transfer


def confirm(
    uow: UnitOfWork, stay: Stay, site: Organisation, person: Person, how: str = "", stands_alone: bool = True, is_new: bool = False
) -> Transfer:
    """A named person at the sender says which site. A different site than before is a new Transfer; the old one is withdrawn.

    `how`: how it was made sure, for the sealed audit trail. Not `stands_alone`: kept as a proposal until another person picks the same.
    `is_new`: nothing says that the person lived there; the home gets a heads-up, and the papers open when it says "ours".
    Raises Refused: `person_not_allowed`, `not_a_home`, `site_closed`.
    """
    if person.org != stay.sender_org or person.role not in HOSPITAL_ROLES:
        raise Refused("person_not_allowed", "Only a person of the sending hospital picks the home.", next_step="Name one with --by.")
    if site.kind != "home":
        raise Refused("not_a_home", "This organisation is not a care home site.", next_step="Search: wardpost sites find POSTCODE")
    if not is_open(site.opened_on, site.closed_on, uow.now.date()):
        step = "Call the home on its directory number and pick the site that took its place."
        raise Refused("site_closed", "This site is closed or not open yet.", next_step=step)
    if not stands_alone:
        own = uow.find(Transfer, order="-created_at", stay_id=stay.id)
        kept = own[0] if own else open_possible(uow, stay, "")
        if kept.proposed_site != site.id or kept.proposed_by in (None, person.id):
            uow.update(Transfer, {"proposed_site": site.id, "proposed_by": person.id}, id=kept.id)
            about = of_transfer(kept.id, nhs_number=stay.nhs_number)  # not `to` the site: it may never be theirs to know
            record(uow, "transfer.proposed", Caller(stay.sender_org, person=person.id), about, code=f"{site.id}: {how}")
            return get_transfer(uow, kept.id)
    uow.update(Transfer, {"proposed_site": "", "proposed_by": None}, stay_id=stay.id, proposed_site__ne="")
    make_ready(uow, site)
    same = next((t for t in uow.find(Transfer, stay_id=stay.id, recipient_org=site.id)), None)
    for other in transfers_of(uow, stay):
        if other.recipient_org not in (None, site.id):
            withdraw(uow, other, stay, "redirected", person.id)
    transfer = same or next((t for t in transfers_of(uow, stay) if t.recipient_org is None), None) or open_possible(uow, stay, "")
    if transfer.state in (TransferState.POSSIBLE, TransferState.WITHDRAWN):
        check_transition(transfer.state, TransferState.CONFIRMED)
        changes: dict[str, object] = {
            "state": TransferState.CONFIRMED,
            "recipient_org": site.id,
            "confirmed_at": uow.now,
            "confirmed_by": person.id,
            "withdrawn_at": None,
            "withdrawn_reason": "",
            "is_heads_up": is_new,
        }
        uow.update(Transfer, changes, id=transfer.id)
        record(
            uow,
            "transfer.confirmed",
            Caller(stay.sender_org, person=person.id),
            of_transfer(transfer.id, nhs_number=stay.nhs_number, to=site.id),
            code=how,
        )
    for one in uow.find(Transfer, stay_id=stay.id):
        for kind in (HoldKind.UNADDRESSED, HoldKind.NOT_OURS):
            resolve_if_open(uow, kind, one.id, "addressed", person.id)
    raise_doubts(uow, stay)
    enqueue(uow, "publish", transfer.id)
    return get_transfer(uow, transfer.id)


def withdraw(uow: UnitOfWork, transfer: Transfer, stay: Stay, reason: str, person: str | None = None) -> None:
    """The discharge is off, or it goes elsewhere: nothing new leaves and the home is told. Raises Conflict `transfer_state`."""
    check_transition(transfer.state, TransferState.WITHDRAWN)
    changes: dict[str, object] = {"state": TransferState.WITHDRAWN, "withdrawn_at": uow.now, "withdrawn_reason": reason}
    if not uow.update(Transfer, changes, id=transfer.id, state=transfer.state):
        raise Conflict("transfer_state", "The transfer changed meanwhile.", next_step="Try again.")
    record(
        uow,
        "transfer.withdrawn",
        Caller(transfer.sender_org, person=person),
        of_transfer(transfer.id, nhs_number=stay.nhs_number, to=transfer.recipient_org or ""),
        code=reason,
    )
    if transfer.recipient_org is not None and transfer.versions:
        body: dict[str, object] = {"transfer": transfer.id, "up_to": transfer.versions, "reason": reason}
        emit(uow, "transfer.withdrawn", transfer.recipient_org, body)


def reopen(uow: UnitOfWork, transfer: Transfer) -> None:
    """The feed says that the person leaves after all: the same confirmed site is used again."""
    check_transition(transfer.state, TransferState.CONFIRMED)
    uow.update(
        Transfer, {"state": TransferState.CONFIRMED, "withdrawn_at": None, "withdrawn_reason": ""}, id=transfer.id, state=transfer.state
    )
    record(uow, "transfer.confirmed", Caller(transfer.sender_org), of_transfer(transfer.id), code="leaves_after_all")


def emit(uow: UnitOfWork, type: str, mailbox_id: str, body: dict[str, object]) -> str:
    """Put an event into the outbox, numbered within its mailbox under the mailbox's lock. Ids only in the body."""
    mailbox = uow.lock(Mailbox, mailbox_id)
    if mailbox is None:
        raise NotFound("mailbox", "This organisation has no mailbox.", next_step="Add it as a home: wardpost sites add … --kind home")
    sequence = mailbox.last_event + 1
    uow.update(Mailbox, {"last_event": sequence}, id=mailbox_id)
    event_id = uow.new_id()
    uow.insert(OutboxEvent(event_id, type, mailbox_id, sequence, dump(body).decode(), uow.now))
    return event_id


def get_transfer(uow: UnitOfWork, transfer_id: str) -> Transfer:
    """Raises NotFound `transfer`."""
    found = uow.get(Transfer, transfer_id)
    if found is None:
        raise NotFound("transfer", "There is no such transfer here.", next_step="Check the id; a transfer of others looks the same.")
    return found


def find_stay(uow: UnitOfWork, text: str, org: str) -> Stay:
    """A stay of a hospital by its own id or a transfer's, or by a visit or message number. Raises NotFound `stay`."""
    transfer = uow.get(Transfer, text)
    stay = uow.get(Stay, transfer.stay_id if transfer else text)
    if stay is None:
        found = uow.find(Stay, sender_org=org, visit_id=uow.indexes("visit_id", org, text))
        sent = uow.find(Submission, sender_org=org, source_id=uow.indexes("source_id", org, text))
        found = found or [stay for row in sent if row.stay_id and (stay := uow.get(Stay, row.stay_id))]
        stay = found[0] if found else None
    if stay is None or stay.sender_org != org:
        step = "Check the visit number; it is here once its first message has been read."
        raise NotFound("stay", "There is no such stay of this hospital here.", next_step=step)
    return stay


def judge_again(uow: UnitOfWork) -> int:
    """Ask for a new look at each published transfer whose last 24 hours began, or whose promise passed, since its gate was evaluated;
    how many. Only then can the passing of time alone change a result. A look that finds nothing new makes no version."""
    first, soon = ((uow.now + delta).date().isoformat() for delta in (-JUDGED_FOR, timedelta(days=2)))
    asked = 0
    for transfer in uow.find(Transfer, state=TransferState.PUBLISHED, leaving_on__ge=first):
        newest = newest_version(uow, transfer)
        may_change = newest is not None and (newest.missing or transfer.leaving_on[:10] <= soon)  # else the seal stays closed
        again = json.loads(newest.gate.open()).get("look_again", "") if newest and may_change else ""
        if again and datetime.fromisoformat(again) <= uow.now:
            enqueue(uow, "publish", transfer.id)
            asked += 1
    return asked


def newest_version(uow: UnitOfWork, transfer: Transfer) -> Version | None:
    found = uow.find(Version, order="-number", limit=1, transfer_id=transfer.id)
    return found[0] if found else None
