"""Every action leaves one AuditEvent in the same transaction: plain ids, a final leaf, and a sealed FHIR body (IHE BALP shape).

Names stand in the sealed body alone. Leaf and commitment: envelope.md section 4, `leaf.py`.
"""

from dataclasses import dataclass

from exchange.audit.leaf import Leaf, Outcome, commit
from exchange.fhir.json import dump
from exchange.model import Caller, Role
from exchange.ports import UnitOfWork
from exchange.records import AuditEvent, Indexed, Person, Sealed

_DCM = "http://dicom.nema.org/resources/ontology/DCM"
_REST = ("http://terminology.hl7.org/CodeSystem/audit-event-type", "rest", "RESTful Operation")
_IMPORT = (_DCM, "110107", "Import")
_EXPORT = (_DCM, "110106", "Export")
_RESTFUL = "http://hl7.org/fhir/restful-interaction"
_DISCLOSE = ("http://terminology.hl7.org/CodeSystem/iso-21089-lifecycle", "disclose", "Disclose")
_OURS = "https://fhir.wardpost.example/CodeSystem/audit-event"


@dataclass(frozen=True, slots=True)
class Kind:
    """How one event type looks in FHIR: AuditEvent.type, .subtype and .action (C, R, U, D or E)."""

    action: str
    type: tuple[str, str, str] = _REST
    subtype: tuple[str, str, str] = (_RESTFUL, "operation", "operation")


_CREATE = Kind("C", subtype=(_RESTFUL, "create", "create"))
_UPDATE = Kind("U", subtype=(_RESTFUL, "update", "update"))
_SEARCH = Kind("E", subtype=(_RESTFUL, "search", "search"))

KINDS: dict[str, Kind] = {
    "submission.accepted": Kind("C", _IMPORT, _DISCLOSE),
    "submission.read": _UPDATE,
    "submission.unused": _UPDATE,
    "hold.raised": _CREATE,
    "hold.escalated": _UPDATE,
    "hold.resolved": _UPDATE,
    "notice.sent": _CREATE,
    "notice.failed": _CREATE,
    "transfer.possible": _CREATE,
    "transfer.proposed": _UPDATE,
    "transfer.confirmed": _UPDATE,
    "transfer.withdrawn": _UPDATE,
    "transfer.viewed": Kind("R", _REST, (_RESTFUL, "read", "read")),
    "supplement.added": _CREATE,
    "version.published": _CREATE,
    "delivery.made": _CREATE,
    "delivery.changed": _UPDATE,
    "inbox.searched": _SEARCH,
    "document.collected": Kind("R", _EXPORT, _DISCLOSE),
    "letter.collected": Kind("R", _EXPORT, _DISCLOSE),
    "document.opened": Kind("R", _REST, (_RESTFUL, "read", "read")),
    "letter.opened": Kind("R", _REST, (_RESTFUL, "read", "read")),
    "withdrawal.seen": _UPDATE,
    "answer.given": _CREATE,
    "near_miss.recorded": _CREATE,
    "link.made": _CREATE,
    "link.used": _UPDATE,
    "session.ended": _UPDATE,
    "token.issued": _CREATE,
    "access.refused": _SEARCH,
    "audit.searched": _SEARCH,
    "trace.read": _SEARCH,
    "data.erased": Kind("D", subtype=(_RESTFUL, "delete", "delete")),
    "directory.changed": _UPDATE,
}


@dataclass(frozen=True, slots=True)
class About:
    """What an event is about: `entity` (a transfer where there is one), `detail` the exact row, the person's index, `to` the other side.

    `transfer` owns the sealed body, so that erasing the transfer erases it; without one the month does.
    """

    entity: str | None = None
    detail: str | None = None
    nhs_number: Indexed | None = None
    to: str = ""
    transfer: str | None = None


def of_transfer(transfer: str, detail: str | None = None, nhs_number: Indexed | None = None, to: str = "") -> About:
    return About(transfer, detail, nhs_number, to, transfer)


def record(uow: UnitOfWork, type: str, by: Caller, about: About, *, code: str = "", outcome: Outcome = "0") -> str:
    """Write one AuditEvent; its id. `code` is a stable word for the reason (a hold's code, a refusal), never free text."""
    kind = KINDS[type]
    event_id = uow.new_id()
    known = uow.get(Person, by.person) if by.person and (uow.scope.role is Role.SERVICE or uow.scope.org == by.org) else None
    body = dump(_body(uow, kind, type, by, about, known.name.text() if known else "", outcome, code))
    salt = uow.random_bytes(32)
    leaf = Leaf(event_id, int(uow.now.timestamp() * 1000), by.org, type, outcome, about.entity, commit(salt, body))
    row = AuditEvent(
        id=event_id,
        leaf=leaf.to_bytes(KINDS.keys()),
        recorded_at=uow.now,
        org=by.org,
        other_org=about.to,
        type=type,
        action=kind.action,
        outcome=outcome,
        entity_id=about.entity,
        detail_id=about.detail,
        person_id=by.person,
        client_id=by.client,
        nhs_number=about.nhs_number,
        key_owner=about.transfer or f"month:{uow.now:%Y-%m}",
        body=Sealed.of(salt + body),
    )
    uow.insert(row)
    return event_id


def _coding(coding: tuple[str, str, str]) -> dict[str, object]:
    return {"system": coding[0], "code": coding[1], "display": coding[2]}


def _agent(requestor: bool, ods: str, role: tuple[str, str, str]) -> dict[str, object]:
    return {
        "type": {"coding": [_coding(role)]},
        "who": {"identifier": {"system": "https://fhir.nhs.uk/Id/ods-organization-code", "value": ods}},
        "requestor": requestor,
        "network": {"address": "urn:wardpost", "type": "5"},
    }


def _body(uow: UnitOfWork, kind: Kind, type: str, by: Caller, about: About, name: str, outcome: Outcome, code: str) -> dict[str, object]:
    """The AuditEvent in FHIR R4, after IHE BALP: who acted (organisation, person, client), on what, with which outcome."""
    agents = [_agent(True, by.org, (_DCM, "110153", "Source Role ID"))]
    if about.to:
        agents.append(_agent(False, about.to, (_DCM, "110152", "Destination Role ID")))
    if by.person is not None:
        user = {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{by.person}"}
        who = {"identifier": user, "display": name} if name else {"identifier": user}
        ircp = ("http://terminology.hl7.org/CodeSystem/v3-ParticipationType", "IRCP", "information recipient")
        agents.append({"type": {"coding": [_coding(ircp)]}, "who": who, "requestor": True})
    if by.client is not None:
        agents.append({"who": {"identifier": {"value": by.client}}, "requestor": True})
    whats = [what for what in (about.entity, about.detail) if what is not None]
    body: dict[str, object] = {
        "resourceType": "AuditEvent",
        "type": _coding(kind.type),
        "subtype": [_coding(kind.subtype), {"system": _OURS, "code": type}],
        "action": kind.action,
        "recorded": uow.now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "outcome": outcome,
        "agent": agents,
        "source": {"observer": {"display": "wardpost"}},
    }
    if code:
        body["outcomeDesc"] = code
    if whats:
        body["entity"] = [{"what": {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{what}"}}} for what in whats]
    return body
