"""What somebody must learn of, and who by now: the policy table (intake/policy.py) against the rows of this moment.

One transaction: a notice exists once per matter, step and person, however many processes plan. Holds get the owner whose turn it is.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta

from exchange.audit.events import About, record
from exchange.fhir.shape import LONDON, moment
from exchange.intake.policy import DESK, HOME, LADDERS, MANAGER, PICKER, TEAM, Rung
from exchange.model import HOME_ROLES, Caller, DeliveryState, PersonRole
from exchange.ports import UnitOfWork
from exchange.records import Delivery, Hold, Notice, Organisation, Person, Transfer
from exchange.transfer.status import friday_list, open_standings
from exchange.transfer.workdays import after_working, is_at_work, weekend

# Older ones are the board's: nobody is woken for what was left lying before this service could send e-mail.
LOOK_BACK = timedelta(days=14)
# In place of a person's id: the integration team's one address, and nobody at all.
TO_TEAM, TO_NOBODY = "team", ""
_ROLES = {HOME: HOME_ROLES, DESK: {PersonRole.DISCHARGE_DESK}, MANAGER: {PersonRole.SITE_MANAGER}}
_UNREACHED = ("failed", "nobody")


@dataclass(frozen=True, slots=True)
class Matter:
    """One thing that somebody must learn of until it is done. `id`: plain ids alone; `since`: from when the steps count."""

    ladder: str
    id: str
    since: datetime
    sender_org: str
    home: str = ""
    transfer_id: str | None = None
    leaves: datetime | None = None
    hold: Hold | None = None


def plan(uow: UnitOfWork, *, is_mail_on: bool, has_team: bool) -> int:
    """Write what is due now, close what is done, move holds to whose turn it is; how many notices are new."""
    matters = list(_matters(uow))
    known: dict[str, dict[str, list[Notice]]] = defaultdict(lambda: defaultdict(list))
    for notice in uow.find(Notice, subject_id__in=sorted({matter.id for matter in matters})):
        known[notice.subject_id][notice.code].append(notice)
    count = 0
    for matter in matters:
        rungs = LADDERS[matter.ladder]
        found = due_rungs(matter, uow.now, {code for code, rows in known[matter.id].items() if all(r.state in _UNREACHED for r in rows)})
        if matter.hold is not None and found:
            _pass_on(uow, matter, matter.hold, found[-1])
        for number in found if is_mail_on else ():
            code = code_of(matter.ladder, number)
            if code not in known[matter.id]:
                count += _write(uow, matter, code, rungs[number].who, has_team=has_team)
    open_ids = {matter.id for matter in matters}
    for notice in uow.find(Notice, state="due"):
        if notice.subject_id not in open_ids:
            uow.update(Notice, {"state": "settled"}, id=notice.id, state="due")
    return count


def code_of(ladder: str, number: int) -> str:
    """The stable name of a step, counted from 1: `waits-2`."""
    return f"{ladder}-{number + 1}"


def due_rungs(matter: Matter, now: datetime, unreached: set[str]) -> list[int]:
    """The steps whose time has come, in order; a step after one that reached nobody is due at once, and so is, at night, the next who
    is there where a hold's owner is not."""
    rungs, found = LADDERS[matter.ladder], list[int]()
    for number, rung in enumerate(rungs):
        if moment_of(rung, matter) <= now or (number and code_of(matter.ladder, number - 1) in unreached):
            found.append(number)
    if matter.hold is not None and not is_at_work(now) and (not found or rungs[found[-1]].is_by_day):
        found += [number for number, rung in enumerate(rungs) if not rung.is_by_day and number > max(found, default=-1)][:1]
    return found


def moment_of(rung: Rung, matter: Matter) -> datetime:
    """When a step is due by the clock alone."""
    at = after_working(matter.since, rung.after) if rung.is_by_day else matter.since + rung.after
    if rung.before_leaving is not None and matter.leaves is not None:
        at = max(matter.since, min(at, matter.leaves - rung.before_leaving))
    return at


def _pass_on(uow: UnitOfWork, matter: Matter, hold: Hold, number: int) -> None:
    """The hold is now this step's: its deadline is when the next one's turn comes."""
    rungs = LADDERS[matter.ladder]
    later = [at for rung in rungs[number + 1 :] if (at := moment_of(rung, matter)) > uow.now]
    owner, deadline = rungs[number].who, min(later, default=hold.deadline_at)
    if owner != hold.owner:
        uow.update(Hold, {"owner": owner, "deadline_at": deadline}, id=hold.id, resolved_at=None)
        about = About(hold.transfer_id or hold.stay_id or hold.submission_id, transfer=hold.transfer_id)
        record(uow, "hold.escalated", Caller(hold.sender_org), about, code=f"{hold.kind}: {owner}")
    elif deadline != hold.deadline_at:
        uow.update(Hold, {"deadline_at": deadline}, id=hold.id, resolved_at=None)


def _write(uow: UnitOfWork, matter: Matter, code: str, who: str, *, has_team: bool) -> int:
    """One row for each address; who works on the ward is not e-mailed: the board is theirs. Nobody to write to is a row, too."""
    org = matter.home if who == HOME else matter.sender_org
    if who == TEAM:
        to = [TO_TEAM] if has_team else []
    elif who in _ROLES:
        to = [person.id for person in uow.find(Person, order="id", org=org, is_active=True) if person.role in _ROLES[who]]
    elif who == PICKER:
        transfer = uow.get(Transfer, matter.transfer_id or "")
        picker = uow.get(Person, (transfer and transfer.confirmed_by) or "")
        to = [picker.id] if picker and picker.is_active else []
    else:
        return 0
    for person in to or [TO_NOBODY]:
        state = "due" if to else "nobody"
        uow.insert(
            Notice(uow.new_id(), code, matter.id, org, matter.sender_org, person, uow.now, uow.now, matter.transfer_id, state)
        )  # fmt: skip
    return len(to)


def _matters(uow: UnitOfWork) -> Iterator[Matter]:
    yield from _papers(uow)
    for hold in uow.find(Hold, resolved_at=None):
        transfer = uow.get(Transfer, hold.transfer_id) if hold.transfer_id else None
        # A hold that is raised again is a new matter.
        raised = int(hold.raised_at.timestamp() * 1000)
        leaves = _leaves(transfer.leaving_on) if transfer else None
        yield Matter(hold.kind, f"{hold.id}@{raised}", hold.raised_at, hold.sender_org, "", hold.transfer_id, leaves, hold)
    yield from _friday(uow)


def _papers(uow: UnitOfWork) -> Iterator[Matter]:
    """Versions that nobody has opened, and withdrawals that nobody has seen, of each transfer whose newest delivery is such a one."""
    since = uow.now - LOOK_BACK
    unread = uow.find(Delivery, state=DeliveryState.CURRENT, opened_at=None, delivered_at__ge=since)
    back = uow.find(Delivery, state=DeliveryState.WITHDRAWN, withdrawal_seen_at=None, updated_at__ge=since)
    ids = sorted({row.transfer_id for row in (*unread, *back)})
    transfers = {row.id: row for row in uow.find(Transfer, id__in=ids)}
    rows: dict[str, list[Delivery]] = defaultdict(list)
    for row in uow.find(Delivery, order="number", transfer_id__in=ids):
        rows[row.transfer_id].append(row)
    for id, found in rows.items():
        newest, transfer = found[-1], transfers[id]
        about = (transfer.sender_org, newest.recipient_org, id, _leaves(transfer.leaving_on))
        if newest.state is DeliveryState.WITHDRAWN and newest.withdrawal_seen_at is None:
            yield Matter("back", newest.id + "@back", newest.updated_at, *about)
        elif newest.state is DeliveryState.CURRENT and newest.opened_at is None:
            first = _first_unread(found)
            yield Matter("waits", first.id, first.delivered_at, *about)
            if first is not newest:
                yield Matter("changed", newest.id, newest.delivered_at, *about)


def _first_unread(rows: Sequence[Delivery]) -> Delivery:
    """Of versions in their order, the first of those at the end that nobody opened: a newer one does not stop its clock."""
    first = rows[-1]
    for row in reversed(rows):
        if row.opened_at is not None or row.state is DeliveryState.WITHDRAWN:
            break
        first = row
    return first


def _friday(uow: UnitOfWork) -> Iterator[Matter]:
    """At noon on the last working day, each hospital that has anybody on its Friday list."""
    start, end = weekend(uow.now)
    if not start <= uow.now < end:
        return
    for hospital in uow.find(Organisation, kind="hospital"):
        id = f"friday:{hospital.id}:{start.date()}"
        if uow.count(Notice, subject_id=id) or friday_list(open_standings(uow, hospital.id), uow.now):
            yield Matter("friday", id, start, hospital.id)


def _leaves(text: str) -> datetime | None:
    """When somebody leaves; noon of a day whose time nobody has said, for reckoning alone."""
    found = moment(text)
    if found is None or isinstance(found, datetime):
        return found
    return datetime.combine(found, time(12), LONDON)
