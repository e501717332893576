"""How transfers stand, for the hospital that sends them: the one read side of the API, the command line and the board."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeVar

import msgspec

from exchange.errors import NotFound
from exchange.fhir.shape import LONDON, day_of, moment
from exchange.gate.rules import STRICT
from exchange.intake.accept import instant
from exchange.model import AnswerKind, DeliveryState, TransferState
from exchange.ports import UnitOfWork
from exchange.records import Answer, Delivery, Hold, Organisation, Stay, Submission, Transfer, Version
from exchange.transfer.match import Summary, read_identity, read_summary
from exchange.transfer.transfers import get_transfer
from exchange.transfer.workdays import friday_list_end, weekend

# A transfer leaves the list when its day is past and the home has read it and said yes; else after two weeks.
LISTED_FOR = timedelta(days=14)
UNDATED_FOR = timedelta(days=30)
SHADOW = timedelta(weeks=4)
# What was taken back is listed for a day; until the home has seen it, for a long weekend.
BACK_FOR, UNSEEN_FOR = timedelta(days=1), timedelta(days=4)
Row = TypeVar("Row", Version, Delivery, Answer)
YES = (AnswerKind.CAN_TAKE, AnswerKind.AGREED)


@dataclass(frozen=True, slots=True)
class Standing:
    """One transfer with what its hospital may see of it; rows oldest first, holds by deadline. Sealed values open when looked at."""

    transfer: Transfer
    stay: Stay
    home: Organisation | None
    versions: tuple[Version, ...]
    deliveries: tuple[Delivery, ...]
    answers: tuple[Answer, ...]
    holds: tuple[Hold, ...]

    @property
    def newest(self) -> Version | None:
        return self.versions[-1] if self.versions else None

    @property
    def person(self) -> Summary:
        """Who it is: as the newest version says, before the first one as the stay does."""
        if self.newest is not None:
            return read_summary(self.newest.person)
        return Summary(**msgspec.structs.asdict(read_identity(self.stay.identity)))

    @property
    def gate(self) -> Mapping[str, object]:
        """The newest GateResult as plain JSON; without a version nothing is missing yet."""
        found: dict[str, object] = json.loads(self.newest.gate.open()) if self.newest else {}
        return {"gaps": [], "warnings": [], **found}

    @property
    def is_back(self) -> bool:
        return self.transfer.state is TransferState.WITHDRAWN

    @property
    def said(self) -> Answer | None:
        """The newest answer that says more than "read"."""
        return next((answer for answer in reversed(self.answers) if answer.kind is not AnswerKind.SEEN), None)

    @property
    def is_back_seen(self) -> bool:
        return not any(row.state is DeliveryState.WITHDRAWN and row.withdrawal_seen_at is None for row in self.deliveries[-1:])


def standings(uow: UnitOfWork, transfers: Sequence[Transfer]) -> list[Standing]:
    """Transfers with all that belongs to them, in seven look-ups however many they are."""
    ids, stay_ids = [row.id for row in transfers], sorted({row.stay_id for row in transfers})
    stays = {row.id: row for row in uow.find(Stay, id__in=stay_ids)}
    homes = {row.id: row for row in uow.find(Organisation, id__in=sorted({row.recipient_org for row in transfers if row.recipient_org}))}
    versions = _by_transfer(uow.find(Version, order="number", transfer_id__in=ids))
    deliveries = _by_transfer(uow.find(Delivery, order="number", transfer_id__in=ids))
    answers = _by_transfer(uow.find(Answer, order="answered_at", transfer_id__in=ids))
    holds = uow.find(Hold, order="deadline_at", transfer_id__in=ids, resolved_at=None)
    holds += uow.find(Hold, order="deadline_at", stay_id__in=stay_ids, resolved_at=None)
    return [
        Standing(
            row, stays[row.stay_id], homes.get(row.recipient_org or ""), versions[row.id], deliveries[row.id], answers[row.id],
            tuple({hold.id: hold for hold in holds if row.id == hold.transfer_id or row.stay_id == hold.stay_id}.values()),
        )
        for row in transfers if row.stay_id in stays
    ]  # fmt: skip


def _by_transfer(rows: Iterable[Row]) -> Mapping[str, tuple[Row, ...]]:
    found: dict[str, tuple[Row, ...]] = defaultdict(tuple)
    for row in rows:
        found[row.transfer_id] += (row,)
    return found


def standing_of(uow: UnitOfWork, transfer_id: str) -> Standing:
    """Raises NotFound `transfer`."""
    return standings(uow, [get_transfer(uow, transfer_id)])[0]


def open_standings(uow: UnitOfWork, org: str = "") -> list[Standing]:
    """Every transfer that somebody may still have to act on, of one hospital or of all; in no order."""
    now, whose = uow.now, {"sender_org": org} if org else {}
    day = (now - LISTED_FOR).date().isoformat()
    back: dict[str, object] = {"state": TransferState.WITHDRAWN, "withdrawn_at__ge": now - UNSEEN_FOR, "versions__gt": 0}
    wanted: tuple[dict[str, object], ...] = (
        {"state__ne": TransferState.WITHDRAWN, "leaving_on__ge": day},
        {"state__ne": TransferState.WITHDRAWN, "leaving_on": "", "created_at__ge": now - UNDATED_FOR},
        back,
    )
    rows = [row for where in wanted for row in uow.find(Transfer, **where, **whose)]  # type: ignore[arg-type]  # fields of Transfer
    return [found for found in standings(uow, rows) if not _is_done(found, now)]


def _is_done(found: Standing, now: datetime) -> bool:
    if found.is_back:
        return found.is_back_seen and found.transfer.withdrawn_at is not None and found.transfer.withdrawn_at < now - BACK_FOR
    today = now.astimezone(LONDON).date().isoformat()
    newest = found.deliveries[-1] if found.deliveries else None
    is_read = newest is not None and newest.opened_at is not None and found.said is not None and found.said.kind in YES
    return bool(found.transfer.leaving_on) and found.transfer.leaving_on[:10] < today and is_read


def in_shadow(uow: UnitOfWork, org: str = "") -> dict[str, tuple[int, int, int]]:
    """Rule of the strict policy → (transfers of four weeks that it looked at, answered, overridden while unanswered), by their newest
    versions: practice.md 4's four weeks before a rule bites. Nobody's badge is touched."""
    whose: dict[str, Any] = {"sender_org": org} if org else {}
    newest = {row.transfer_id: row for row in uow.find(Version, order="number", published_at__ge=uow.now - SHADOW, **whose)}
    gates = [json.loads(row.gate.open()) for row in newest.values()]
    found = {}
    for rule in STRICT:
        looked = [gate for gate in gates if gate.get("lines", {}).get(rule) in ("met", "missing", "not established")]
        answered = sum(gate["lines"][rule] == "met" for gate in looked)
        found[rule] = (len(looked), answered, sum(bool(gate["override"]) and gate["lines"][rule] != "met" for gate in looked))
    return found


def friday_list(standings: Sequence[Standing], now: datetime) -> list[Standing]:
    """The Friday list (practice.md 2): who is expected to leave up to the next working day and one more, and who has a home picked
    for any day. Nobody who left or is not leaving."""
    last = friday_list_end(now)

    def is_on(found: Standing) -> bool:
        day = day_of(moment(found.transfer.leaving_on))
        return found.home is not None or (day is not None and day <= last)

    return [found for found in standings if not found.is_back and not found.person.left_at and is_on(found)]


def is_weekend(found: datetime | date, now: datetime) -> bool:
    """Whether a moment lies in the weekend that is on or comes next. A day without a time counts from the last working day on."""
    start, end = weekend(now)
    if isinstance(found, datetime):
        return start <= found < end
    return start.date() <= found < end.date()


def status_json(found: Standing, names: Mapping[str, str]) -> dict[str, object]:
    """A transfer as `GET /transfers/{id}` gives it; `names` by person id."""
    transfer, newest, gate = found.transfer, found.newest, found.gate
    return {
        "id": transfer.id,
        "state": str(transfer.state),
        "home": transfer.recipient_org,
        "expected_leaving": transfer.leaving_on or None,
        "version": transfer.versions,
        "badge": newest.badge if newest else None,
        "gaps": gate["gaps"],
        "warnings": gate["warnings"],
        "rules": gate.get("lines", {}),
        "rule_set": newest.rule_set if newest else None,
        "evaluated_at": gate.get("evaluated_at"),
        "gate_profile": gate.get("profile"),
        "person": gate.get("person"),
        "override": gate.get("override"),
        "withdrawn": {"at": instant(transfer.withdrawn_at), "why": transfer.withdrawn_reason} if transfer.withdrawn_at else None,
        "deliveries": [
            {
                "version": row.number,
                "state": str(row.state),
                "delivered_at": instant(row.delivered_at),
                "collected_at": _maybe(row.collected_at),
                "opened_at": _maybe(row.opened_at),
                "opened_by": names.get(row.opened_by or ""),
                "withdrawal_seen_at": _maybe(row.withdrawal_seen_at),
            }
            for row in found.deliveries
        ],
        "answers": [
            {
                "version": row.number,
                "kind": str(row.kind),
                "reason": row.reason_code,
                "at": instant(row.answered_at),
                "by": names.get(row.person_id or "") or row.client_id,
                **_content(row),
            }
            for row in found.answers
        ],
        "holds": holds_json(found.holds),
    }


def submission_json(uow: UnitOfWork, submission_id: str) -> dict[str, object]:
    """What became of bytes that were sent, as `GET /submissions/{id}` gives it. Raises NotFound `submission`."""
    row = uow.get(Submission, submission_id)
    if row is None:
        raise NotFound("submission", "There is no such submission here.", next_step="Check the id; one of others looks the same.")
    transfers = uow.find(Transfer, order="created_at", stay_id=row.stay_id) if row.stay_id else []
    holds = uow.find(Hold, order="deadline_at", submission_id=row.id, resolved_at=None)
    holds += uow.find(Hold, order="deadline_at", stay_id=row.stay_id, submission_id=None, resolved_at=None) if row.stay_id else []
    return {
        "id": row.id,
        "state": str(row.state),
        "accepted_at": instant(row.accepted_at),
        "channel": row.channel,
        "media_type": row.media_type,
        "size_bytes": row.size_bytes,
        "event": row.event or None,
        "kind": row.kind or None,
        "reason": row.reason or None,
        "reuses_id_of": row.reuses_id_of,
        "stay": row.stay_id,
        "transfers": [
            {
                "id": found.transfer.id,
                "state": str(found.transfer.state),
                "home": found.transfer.recipient_org,
                "version": found.transfer.versions,
                "badge": found.newest.badge if found.newest else None,
            }
            for found in standings(uow, transfers)
        ],
        "holds": holds_json(holds),
    }


def _maybe(moment: datetime | None) -> str | None:
    return instant(moment) if moment else None


def _content(row: Answer) -> dict[str, object]:
    found: dict[str, object] = json.loads(row.content.open())
    return found


def holds_json(rows: Iterable[Hold]) -> list[dict[str, object]]:
    return [{"id": row.id, "kind": str(row.kind), "owner": row.owner, "deadline": instant(row.deadline_at)} for row in rows]
