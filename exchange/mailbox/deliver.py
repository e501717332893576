"""Deliver: a consumer of the bus that puts published versions into mailboxes, once each, however often an event comes."""

import json
from datetime import timedelta

from exchange.audit.events import of_transfer, record
from exchange.errors import WardpostError
from exchange.model import Caller, DeliveryState, TransferState
from exchange.ports import UnitOfWork
from exchange.records import Delivery, Mailbox, OutboxEvent, Transfer, Version

GROUP = "deliver"


def deliver(uow: UnitOfWork, event: OutboxEvent) -> None:
    """The effect of one event; doing it again changes nothing. Types that are not for mailboxes are passed over."""
    body = json.loads(event.body)
    match event.type:
        case "version.published":
            _put(uow, event, body["version"])
        case "transfer.withdrawn":
            take_back(uow, event.key, body["transfer"], int(body["up_to"]), body["reason"])
        case _:
            pass


def transfer_of(event: OutboxEvent) -> str:
    """The transfer that an event is about; "" when its body is damaged, so that it can be parked all the same."""
    try:
        return str(json.loads(event.body)["transfer"])
    except (ValueError, KeyError, TypeError):
        return ""


def _put(uow: UnitOfWork, event: OutboxEvent, version_id: str) -> None:
    mailbox = _locked(uow, event.key)
    if uow.count(Delivery, event_id=event.id):
        return
    version = uow.get(Version, version_id)
    if version is None:
        raise WardpostError("event_without_version", "An event names a version that is not here.", next_step="Run: wardpost fsck")
    transfer = uow.get(Transfer, version.transfer_id)
    state = DeliveryState.CURRENT
    if transfer is not None and transfer.state is not TransferState.PUBLISHED:
        # Taken back before it arrived, or taken back and confirmed anew without a newer version yet: it never shows as current.
        state = DeliveryState.WITHDRAWN
    elif uow.count(Delivery, transfer_id=version.transfer_id, number__gt=version.number):
        state = DeliveryState.REPLACED  # an event that had to wait for a person came after a newer one
    else:
        for older in uow.find(Delivery, transfer_id=version.transfer_id, state=DeliveryState.CURRENT, order="number"):
            mailbox = _change(uow, mailbox, older, {"state": DeliveryState.REPLACED})
    mailbox = _next_change(uow, mailbox, {"last_sequence": mailbox.last_sequence + 1})
    delivery = Delivery(
        id=uow.new_id(),
        transfer_id=version.transfer_id,
        version_id=version.id,
        number=version.number,
        sender_org=version.sender_org,
        recipient_org=version.recipient_org,
        event_id=event.id,
        sequence=mailbox.last_sequence,
        change=mailbox.last_change,
        updated_at=mailbox.last_updated_at or uow.now,
        delivered_at=uow.now,
        state=state,
    )
    uow.insert(delivery)
    record(
        uow,
        "delivery.made",
        Caller(version.sender_org),
        of_transfer(version.transfer_id, detail=delivery.id, nhs_number=version.nhs_number, to=version.recipient_org),
    )


def take_back(uow: UnitOfWork, mailbox_id: str, transfer_id: str, up_to: int, reason: str) -> None:
    """Withdraw the versions up to a number; a later one, published after the transfer was opened again, stays."""
    mailbox = _locked(uow, mailbox_id)
    rows = uow.find(Delivery, transfer_id=transfer_id, number__le=up_to, state__ne=DeliveryState.WITHDRAWN, order="number")
    for delivery in rows:
        mailbox = _change(uow, mailbox, delivery, {"state": DeliveryState.WITHDRAWN})
        record(
            uow,
            "delivery.changed",
            Caller(delivery.sender_org),
            of_transfer(transfer_id, detail=delivery.id, to=delivery.recipient_org),
            code=f"withdrawn: {reason}",
        )


def _locked(uow: UnitOfWork, mailbox_id: str) -> Mailbox:
    mailbox = uow.lock(Mailbox, mailbox_id)
    if mailbox is None:
        raise WardpostError("event_without_mailbox", "An event names a mailbox that is not here.", next_step="Run: wardpost fsck")
    return mailbox


def _next_change(uow: UnitOfWork, mailbox: Mailbox, more: dict[str, object]) -> Mailbox:
    """The mailbox with its next change number; the time rises strictly, so that a poller's `gt` never skips."""
    last = mailbox.last_updated_at
    moment = uow.now.replace(microsecond=uow.now.microsecond // 1000 * 1000)
    if last is not None and moment <= last:
        moment = last + timedelta(milliseconds=1)
    return uow.replace(mailbox, last_change=mailbox.last_change + 1, last_updated_at=moment, **more)


def _change(uow: UnitOfWork, mailbox: Mailbox, delivery: Delivery, changes: dict[str, object]) -> Mailbox:
    mailbox = _next_change(uow, mailbox, {})
    uow.update(Delivery, {**changes, "change": mailbox.last_change, "updated_at": mailbox.last_updated_at}, id=delivery.id)
    return mailbox
