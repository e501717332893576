"""What a named person of the hospital does with a hold: each act closes it, and what waited goes on or ends. One transaction each."""

from collections.abc import Callable, Mapping

from exchange.audit.events import About, record
from exchange.directory import entries
from exchange.directory.profiles import parse_profile
from exchange.errors import NotFound, Refused
from exchange.intake import holds, work
from exchange.mailbox import parking
from exchange.model import Caller, HoldKind, PersonRole, SubmissionState, TransferState
from exchange.ports import UnitOfWork
from exchange.records import Hold, Person, Sender, Submission, Transfer
from exchange.transfer import transfers
from exchange.transfer.receive import replay
from exchange.transfer.status import holds_json

# Why what a hold names never goes anywhere. Words from a list alone: the columns are plain.
REFUSALS = ("not_ours", "test", "duplicate", "wrong_person", "not_for_a_home", "died")

_ADDRESSABLE = (HoldKind.UNADDRESSED, HoldKind.NOT_OURS)


def settle(uow: UnitOfWork, hold_id: str, act: str, person_id: str, value: str = "", org: str = "") -> int:
    """Do one act of `ACTS`; how many messages or transfers it set going or ended. `value`: the site's ODS code, the stay or a word;
    `org`: whose system asks, when one does. Raises NotFound `hold`, `person`; Conflict `hold_closed`; Refused."""
    hold = holds.get_hold(uow, hold_id)
    person = entries.get_person(uow, person_id)
    if hold.sender_org != entries.SERVICE_ORG and {person.org, org or person.org} != {hold.sender_org}:
        raise NotFound("hold", "No hold of this hospital has this id.", next_step="List them: wardpost holds list")
    if person.role is PersonRole.AUDITOR:
        raise Refused("scope", "An auditor reads and settles nothing.", next_step="Ask who owns the hold.")
    if act not in ACTS:
        raise Refused("hold_act", "This is no act on a hold.", next_step="Use one of: " + ", ".join(ACTS) + ".")
    return ACTS[act](uow, hold, person, value)


def acts_of(uow: UnitOfWork, hold: Hold) -> list[str]:
    """The acts that fit a hold, in the order in which they are offered."""
    fits = {
        "address": hold.kind in _ADDRESSABLE,
        "link": hold.kind is HoldKind.SEVERAL_STAYS,
        "replay": bool(_waiting(uow, hold)) or hold.kind is HoldKind.UNREADABLE,
        "release": True,
        "refuse": bool(_waiting(uow, hold) or _ending(uow, hold)) or hold.kind is HoldKind.UNDELIVERED,
    }
    return [act for act, is_fit in fits.items() if is_fit]


def open_holds(uow: UnitOfWork, org: str) -> list[dict[str, object]]:
    """The holds of a hospital that nobody settled yet, the most urgent first, each with the acts that fit."""
    found = uow.find(Hold, order="deadline_at", resolved_at=None, sender_org=org)
    return [
        {**said, "words": holds.WORDS[row.kind], "code": row.code, "transfer": row.transfer_id, "acts": acts_of(uow, row)}
        for row, said in zip(found, holds_json(found), strict=True)
    ]


def _waiting(uow: UnitOfWork, hold: Hold) -> list[Submission]:
    """The messages that wait in a hold: one, or all that were set aside from a stay."""
    if hold.submission_id is not None:
        return uow.find(Submission, id=hold.submission_id, state=SubmissionState.HELD)
    return uow.find(Submission, stay_id=hold.stay_id, state=SubmissionState.HELD) if hold.stay_id else []


def _ending(uow: UnitOfWork, hold: Hold) -> list[Transfer]:
    """The transfers that end when somebody says that nobody goes to a home."""
    if hold.kind not in (HoldKind.UNADDRESSED, HoldKind.DEAD) or hold.stay_id is None:
        return []
    return uow.find(Transfer, stay_id=hold.stay_id, state__ne=TransferState.WITHDRAWN)


def _replay(uow: UnitOfWork, hold: Hold, person: Person, _: str) -> int:
    stuck = uow.find(Submission, id=hold.submission_id, state=SubmissionState.ACCEPTED) if hold.submission_id else []
    found = _waiting(uow, hold) or stuck  # whose reading failed too often
    if not found:
        raise Refused("hold_not_replayable", "No message waits in this hold.", next_step="Settle what it names, or release it.")
    holds.resolve_hold(uow, hold, "replayed", person.id)
    for submission in found:
        replay(uow, submission)
    return len(found)


def _link(uow: UnitOfWork, hold: Hold, person: Person, stay: str) -> int:
    """The document that fits several stays belongs to this one; it is read again for it."""
    found = _waiting(uow, hold) if hold.kind is HoldKind.SEVERAL_STAYS else []
    if not found:
        raise Refused("hold_not_linkable", "No document waits for its stay in this hold.", next_step="Replay or release it.")
    holds.resolve_hold(uow, hold, "linked", person.id)
    uow.update(Submission, {"stay_id": transfers.find_stay(uow, stay, hold.sender_org).id}, id=found[0].id)
    replay(uow, found[0])
    return 1


def _address(uow: UnitOfWork, hold: Hold, person: Person, site: str) -> int:
    """The letter goes to this home: the pick of a home, which closes the hold."""
    if hold.kind not in _ADDRESSABLE or hold.resolved_at is not None or hold.transfer_id is None:
        raise Refused("hold_not_addressable", "No letter waits for its home in this hold.", next_step="List the holds again.")
    stay = transfers.find_stay(uow, hold.transfer_id, hold.sender_org)
    transfers.confirm(uow, stay, entries.get_organisation(uow, site), person)
    return 1


def _release(uow: UnitOfWork, hold: Hold, person: Person, word: str) -> int:
    """The matter is settled; what waited goes on."""
    _check_word(word, holds.RESOLUTIONS)
    holds.resolve_hold(uow, hold, word, person.id)
    if hold.kind is HoldKind.UNDELIVERED:
        (parking.discard if word == "discarded" else parking.replay)(uow, hold.id.partition(":")[2], person.id)
    found = uow.find(Transfer, stay_id=hold.stay_id) if hold.stay_id else uow.find(Transfer, id=hold.transfer_id or "")
    for transfer in found:
        work.enqueue(uow, "publish", transfer.id)
    return len(found)


def _refuse(uow: UnitOfWork, hold: Hold, person: Person, word: str) -> int:
    """What waits is used for nothing, ever; a letter without a home, or of somebody who died, ends its transfer."""
    _check_word(word, REFUSALS)
    messages, ending = _waiting(uow, hold), _ending(uow, hold)
    if "refuse" not in acts_of(uow, hold):
        raise Refused("hold_not_refusable", "Nothing waits in this hold that could be refused.", next_step="Release it.")
    holds.resolve_hold(uow, hold, f"refused: {word}", person.id)
    for submission in messages:
        sender = uow.get(Sender, submission.sender_id)
        keep = parse_profile(sender.profile if sender else "{}").keeps_raw_for
        reason = f"refused_{word}"
        changes: dict[str, object] = {"state": SubmissionState.NOT_USED, "reason": reason, "erase_after": uow.now + keep}
        uow.update(Submission, changes, id=submission.id)
        record(uow, "submission.unused", Caller(submission.sender_org, person=person.id), About(submission.id), code=reason)
    for transfer in ending:
        transfers.withdraw(uow, transfer, transfers.find_stay(uow, transfer.id, transfer.sender_org), "refused", person.id)
        holds.resolve_if_open(uow, HoldKind.UNADDRESSED, transfer.id, f"refused: {word}", person.id)
    if hold.kind is HoldKind.UNDELIVERED:
        parking.discard(uow, hold.id.partition(":")[2], person.id)
    # What was set aside beside a stay no longer doubts it: the rest of the stay goes on.
    for transfer in uow.find(Transfer, stay_id=hold.stay_id) if messages and hold.stay_id else []:
        work.enqueue(uow, "publish", transfer.id)
    return len(messages) + len(ending)


def _check_word(word: str, words: tuple[str, ...]) -> None:
    if word not in words:
        step = f"Say one of: {', '.join(words)}."
        raise Refused("resolution_unknown", "A hold is settled with a word from the list.", next_step=step)


ACTS: Mapping[str, Callable[[UnitOfWork, Hold, Person, str], int]] = {
    "address": _address,
    "link": _link,
    "replay": _replay,
    "release": _release,
    "refuse": _refuse,
}
