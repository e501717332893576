"""Answers: append-only, by a named person or a client for one, each to one version. The FHIR Task is a view of them."""

import re

from exchange.audit.events import of_transfer, record
from exchange.directory.entries import get_person
from exchange.errors import Conflict, NotFound, Refused
from exchange.fhir.json import dump
from exchange.intake.holds import raise_hold
from exchange.mailbox.deliver import take_back
from exchange.model import AnswerKind, Caller, DeliveryState, HoldKind, PersonRole, TransferState
from exchange.ports import UnitOfWork
from exchange.records import Answer, Delivery, Sealed, Stay, Version
from exchange.transfer.transfers import emit, get_transfer, withdraw

# "Not our resident": as a refusal, and as a question.
NOT_OURS = ("D14", "Q22")


def give(uow: UnitOfWork, caller: Caller, delivery: Delivery, kind: AnswerKind, reason_code: str, content: dict[str, object]) -> Answer:
    """Append an answer. Raises Conflict `withdrawn`, Refused `agreed_not_allowed`, `reason_missing`; NotFound `person` (of elsewhere).

    An answer to a version that was replaced is kept as what it is: an answer to that version.
    """
    if delivery.state is DeliveryState.WITHDRAWN:
        raise Conflict(
            "withdrawn", "The hospital took these papers back; there is nothing to answer.", next_step="Call the ward if you wonder why."
        )
    person = get_person(uow, caller.person) if caller.person else None
    if person is not None and person.org != caller.org:
        raise NotFound("person", "No person of this home has this id.", next_step="Name the person who gives the answer.")
    if kind is AnswerKind.AGREED and (person is None or person.role is not PersonRole.HOME_MANAGER):
        step = "Answer “can take”, or ask the manager to agree."
        raise Refused("agreed_not_allowed", "Only the home's manager can agree to an admission.", next_step=step)
    is_wanted = kind in (AnswerKind.CANNOT, AnswerKind.ASK)
    # The column is plain: a code of the lists, never words.
    if (is_wanted or reason_code) and not re.fullmatch("[DQ][0-9]{2}", reason_code):
        raise Refused("reason_missing", "This answer needs a reason from the list.", next_step="Choose one and send again.")
    answer = Answer(
        id=uow.new_id(),
        delivery_id=delivery.id,
        transfer_id=delivery.transfer_id,
        number=delivery.number,
        sender_org=delivery.sender_org,
        recipient_org=delivery.recipient_org,
        kind=kind,
        reason_code=reason_code,
        person_id=caller.person,
        client_id=caller.client,
        answered_at=uow.now,
        content=Sealed.of(dump(content)),
    )
    uow.insert(answer)
    if reason_code in NOT_OURS:
        _lock(uow, caller, delivery)
    version = uow.get(Version, delivery.version_id)
    record(
        uow,
        "answer.given",
        caller,
        of_transfer(delivery.transfer_id, detail=answer.id, nhs_number=version.nhs_number if version else None, to=delivery.sender_org),
        code=f"{kind} {reason_code}".strip(),
    )
    emit(uow, "delivery.answered", delivery.recipient_org, {"delivery": delivery.id, "transfer": delivery.transfer_id, "answer": answer.id})
    return answer


def _lock(uow: UnitOfWork, caller: Caller, delivery: Delivery) -> None:
    """The home says that this is not their resident: nothing more opens there from this moment on, who picked it is told, and it is an
    information-governance near miss (practice.md 1). No message opens it again: a person picks anew."""
    transfer = get_transfer(uow, delivery.transfer_id)
    stay = uow.get(Stay, transfer.stay_id)
    if transfer.state is TransferState.WITHDRAWN or stay is None:
        return
    withdraw(uow, transfer, stay, "not_ours")
    take_back(uow, delivery.recipient_org, transfer.id, transfer.versions, "not_ours")
    about = of_transfer(transfer.id, nhs_number=stay.nhs_number, to=transfer.sender_org)
    for row in uow.find(Delivery, transfer_id=transfer.id, withdrawal_seen_at=None):
        uow.update(Delivery, {"withdrawal_seen_at": uow.now}, id=row.id)
        record(uow, "withdrawal.seen", caller, of_transfer(transfer.id, detail=row.id))
    record(uow, "near_miss.recorded", caller, about, code="wrong_home")
    raise_hold(uow, HoldKind.NOT_OURS, org=transfer.sender_org, code="home_says_not_ours", stay=stay.id, transfer=transfer.id)
