"""How a transfer stands, for the hospital that sends it."""

import json

from exchange.intake.accept import instant
from exchange.ports import UnitOfWork
from exchange.records import Answer, Delivery, Hold, Version
from exchange.transfer.transfers import get_transfer


def transfer_status(uow: UnitOfWork, transfer_id: str) -> dict[str, object]:
    """Plain JSON: the transfer, its newest version with gaps and owners, each delivery, each answer, open holds. Raises NotFound."""
    transfer = get_transfer(uow, transfer_id)
    versions = uow.find(Version, order="number", transfer_id=transfer.id)
    gate = json.loads(versions[-1].gate.open()) if versions else None
    deliveries = uow.find(Delivery, order="number", transfer_id=transfer.id)
    answers = uow.find(Answer, order="answered_at", transfer_id=transfer.id)
    holds = uow.find(Hold, order="deadline_at", transfer_id=transfer.id, resolved_at=None)
    return {
        "id": transfer.id,
        "state": str(transfer.state),
        "home": transfer.recipient_org,
        "expected_leaving": transfer.leaving_on or None,
        "version": transfer.versions,
        "badge": versions[-1].badge if versions else None,
        "gaps": gate["gaps"] if gate else [],
        "warnings": gate["warnings"] if gate else [],
        "withdrawn": {"at": instant(transfer.withdrawn_at), "why": transfer.withdrawn_reason} if transfer.withdrawn_at else None,
        "deliveries": [
            {
                "version": d.number,
                "state": str(d.state),
                "delivered_at": instant(d.delivered_at),
                "collected_at": instant(d.collected_at) if d.collected_at else None,
                "opened_at": instant(d.opened_at) if d.opened_at else None,
            }
            for d in deliveries
        ],
        "answers": [
            {
                "version": a.number,
                "kind": str(a.kind),
                "reason": a.reason_code,
                "at": instant(a.answered_at),
                **json.loads(a.content.open()),
            }
            for a in answers
        ],
        "holds": [{"id": h.id, "kind": str(h.kind), "owner": h.owner, "deadline": instant(h.deadline_at)} for h in holds],
    }
