"""Questions to the audit trail: search for an organisation, trace for one entity. Only the page that is returned is decrypted."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from exchange.audit.events import About, record
from exchange.audit.leaf import SALT_BYTES
from exchange.errors import Gone
from exchange.fhir.json import load_strict
from exchange.model import Caller
from exchange.ports import UnitOfWork
from exchange.records import AuditEvent

MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class AuditSearch:
    """What an integration team asks. Empty or None: no filter. `after` is the id that the last page ended with."""

    nhs_number: str = ""
    entity: str = ""
    agent: str = ""
    type: str = ""
    since: datetime | None = None
    before: datetime | None = None
    count: int = 50
    after: str = ""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """FHIR AuditEvents, newest first, and where the next page begins ("" at the end)."""

    events: Sequence[dict[str, object]]
    next: str


@dataclass(frozen=True, slots=True)
class TraceLine:
    """One event for people: when (UTC instant), what, by which organisation and person, about which row, with which outcome."""

    at: datetime
    type: str
    org: str
    other_org: str
    by: str
    detail: str
    outcome: str
    code: str


def note_search(uow: UnitOfWork, org: str, client: str | None, search: AuditSearch) -> None:
    """The question itself is audited, by what it filtered on, not by the values."""
    asked = "+".join(name for name in ("nhs_number", "entity", "agent", "type", "since", "before") if getattr(search, name))
    index = uow.index("nhs_number", "", search.nhs_number) if search.nhs_number else None
    record(uow, "audit.searched", Caller(org, client=client), About(nhs_number=index), code=asked)


def search(uow: UnitOfWork, org: str, search: AuditSearch) -> AuditPage:
    """One page. The unit of work's scope limits it to what this organisation did or was shown."""
    where: dict[str, Any] = {}
    if search.nhs_number:
        where["nhs_number"] = uow.indexes("nhs_number", "", search.nhs_number)
    if search.entity:
        where["entity_id"] = search.entity
    if search.type:
        where["type"] = search.type
    if search.since is not None:
        where["recorded_at__ge"] = search.since
    upto = search.before
    skip_to = uow.get(AuditEvent, search.after) if search.after else None
    if skip_to is not None:
        where["recorded_at__le"] = skip_to.recorded_at
    elif upto is not None:
        where["recorded_at__lt"] = upto
    count = max(1, min(search.count, MAX_PAGE))
    rows: list[AuditEvent] = []
    # Agent is person or client: two searches of one page each, joined, keep every filter an equality on an index.
    filters: list[dict[str, Any]] = [{"person_id": search.agent}, {"client_id": search.agent}] if search.agent else [{}]
    for extra in filters:
        rows += uow.find(AuditEvent, order="-recorded_at,-id", limit=count + 1 + (MAX_PAGE if skip_to else 0), **where, **extra)
    rows.sort(key=lambda row: (row.recorded_at, row.id), reverse=True)
    if skip_to is not None:
        rows = [row for row in rows if (row.recorded_at, row.id) < (skip_to.recorded_at, skip_to.id)]
    page = rows[:count]
    return AuditPage([resource_of(row) for row in page], page[-1].id if len(rows) > count else "")


def resource_of(row: AuditEvent) -> dict[str, object]:
    """The FHIR AuditEvent; what is left of it when the body was erased."""
    try:
        body = load_strict(row.body.open()[SALT_BYTES:]) if row.body is not None else None
    except Gone:
        body = None
    if not isinstance(body, dict):
        body = {"resourceType": "AuditEvent", "action": row.action, "outcome": row.outcome, "outcomeDesc": "erased"}
    return {"resourceType": "AuditEvent", "id": row.id, **{k: v for k, v in body.items() if k != "resourceType"}}


def trace(uow: UnitOfWork, entity: str) -> list[TraceLine]:
    """Everything recorded about one transfer, submission or stay, oldest first."""
    rows = {row.id: row for row in (*uow.find(AuditEvent, entity_id=entity), *uow.find(AuditEvent, detail_id=entity))}
    return [_line(row) for row in sorted(rows.values(), key=lambda row: (row.recorded_at, row.id))]


def _line(row: AuditEvent) -> TraceLine:
    resource = resource_of(row)
    agents = resource.get("agent")
    whos = [agent.get("who") for agent in agents if isinstance(agent, dict)] if isinstance(agents, list) else []
    names = [str(who["display"]) for who in whos if isinstance(who, dict) and "display" in who]
    by = ", ".join(names) or row.client_id or row.person_id or ""
    code = resource.get("outcomeDesc")
    return TraceLine(row.recorded_at, row.type, row.org, row.other_org, by, row.detail_id or "", row.outcome, str(code) if code else "")
