"""Sends the notices that are due. Never a word about a person: who reads on has to sign in.

A notice is claimed in a transaction before it leaves and marked in one after it: a crash in between sends that one e-mail again, a few
minutes later, with the same Message-ID. Nothing else can double it.
"""

from datetime import timedelta

import structlog

from exchange.audit.events import About, record
from exchange.errors import Refused, WardpostError
from exchange.intake.holds import WORDS
from exchange.model import Caller, HoldKind
from exchange.notices.plan import TO_TEAM, plan
from exchange.ports import FailPoints, Mailer, Store, UnitOfWork, no_fail_points
from exchange.records import Notice, Organisation, Person, Transfer
from exchange.transfer.status import friday_list, open_standings

log = structlog.get_logger("wardpost.notices")
# After the last try, some 9 hours after the first, the step counts as one that reached nobody.
GIVE_UP_AFTER = 12
_AT_ONCE = 50
_LONGEST_PAUSE = timedelta(hours=1)
_END = "\n\nNo names are in this e-mail. Sign in to read on:\n\n{url}\n\nA new way in, day and night: {base}/new-link\n"
# By ladder: subject and text, and for a hospital the page.
_HOME_TEXTS = {
    "waits": ("Discharge papers wait for you", "{hospital} has sent papers of somebody who is expected at {home}."),
    "changed": ("Discharge papers have changed", "{hospital} has sent a newer version of papers for {home}. Read it before you act."),
    "back": ("Discharge papers were taken back", "{hospital} took papers for {home} back. See which before you prepare anything."),
}
_HOSPITAL_TEXTS = {
    "waits": ("A care home has not opened its papers", "Nobody at {home} has opened papers for it. Call the home.", "/board?show=unopened"),
    "back": ("A care home does not know yet", "Nobody at {home} has seen that you took papers back. Call the home.", "/board"),
    "friday": ("The Friday list", "{friday}", "/board/friday"),
}


class Notifier:
    """`base_url` stands in every e-mail; `team` is the integration team's address, "" for none; no mailer: nothing is planned or sent."""

    def __init__(self, store: Store, mailer: Mailer | None, base_url: str, team: str = "", fail: FailPoints = no_fail_points) -> None:
        self._store, self._mailer, self._base_url, self._team, self._fail = store, mailer, base_url, team, fail

    def work_once(self) -> int:
        """Plan, then send what is due; how many e-mails left. When the mail server is away, the rest waits for the next time."""
        self._store.write(lambda uow: plan(uow, is_mail_on=self._mailer is not None, has_team=bool(self._team)))
        sent = 0
        for _ in range(_AT_ONCE if self._mailer is not None else 0):
            notice = self._store.write(claim)
            if notice is None:
                break
            problem = self._send(notice)
            sent += problem is None
            if problem is not None and not isinstance(problem, Refused):
                break
        return sent

    def _send(self, notice: Notice) -> WardpostError | None:
        assert self._mailer is not None
        try:
            address, subject, body = self._store.read(lambda uow: self._letter(uow, notice))
            self._mailer.send(address, subject, body, notice.id)
        except WardpostError as problem:
            # `mail_refused` is for good; any other refusal of ours is mended by a person, and tried again.
            is_final = problem.code in ("mail_refused", "person") or notice.attempts >= GIVE_UP_AFTER
            changes: dict[str, object] = {"error_code": problem.code, **({"state": "failed"} if is_final else {})}
            self._store.write(lambda uow: mark(uow, notice, "notice.failed" if is_final else "", changes))
            log.warning("notice_not_sent", notice=notice.id, step=notice.code, attempt=notice.attempts, code=problem.code)
            return problem
        self._fail("notice.before_mark")
        self._store.write(lambda uow: mark(uow, notice, "notice.sent", {"state": "sent", "sent_at": uow.now, "error_code": ""}))
        log.info("notice_sent", notice=notice.id, step=notice.code)
        return None

    def _letter(self, uow: UnitOfWork, notice: Notice) -> tuple[str, str, str]:
        """(address, subject, text)."""
        person = uow.get(Person, notice.person_id)
        address = self._team if notice.person_id == TO_TEAM else person.address.text() if person and person.is_active else ""
        if not address:
            raise Refused("person", "Nobody is registered there any more.", next_step="The next step of the policy goes on.")
        ladder = notice.code.rpartition("-")[0]
        hospital, home = _name(uow, notice.sender_org), _name(uow, _home_of(uow, notice))
        if notice.org != notice.sender_org:
            (subject, text), where = _HOME_TEXTS[ladder], "/home"
        elif ladder in _HOSPITAL_TEXTS:
            subject, text, where = _HOSPITAL_TEXTS[ladder]
        else:
            subject, where = "A hold waits for you", "/board/holds"
            text = f"{WORDS[HoldKind(ladder)]} Nothing of it leaves {{hospital}} before a person has settled it."
        friday = _friday_words(uow, notice.sender_org) if ladder == "friday" else ""
        text = text.format(hospital=hospital, home=home, friday=friday)
        return address, f"Wardpost: {subject}", text + _END.format(url=self._base_url + where, base=self._base_url)


def claim(uow: UnitOfWork) -> Notice | None:
    """Take the next due notice; another try comes after 1, 2, 4 … 60 minutes unless it is marked before."""
    found = uow.take(Notice, order="due_at", limit=1, state="due", due_at__le=uow.now)
    if not found:
        return None
    again = min(timedelta(minutes=2 ** found[0].attempts), _LONGEST_PAUSE)
    return uow.replace(found[0], attempts=found[0].attempts + 1, due_at=uow.now + again)


def mark(uow: UnitOfWork, notice: Notice, event: str, changes: dict[str, object]) -> None:
    """What became of a notice, with its audit event when that is final. A second marking changes nothing."""
    if uow.update(Notice, changes, id=notice.id, state="due") and event:
        about = About(notice.transfer_id, notice.id, to=notice.org, transfer=notice.transfer_id)
        record(uow, event, Caller(notice.sender_org), about, code=notice.code)


def bounced(uow: UnitOfWork, notice_id: str) -> bool:
    """The mail system says afterwards that it could not deliver: the step reached nobody. False when no such notice was sent."""
    notice = uow.get(Notice, notice_id)
    if notice is None or not uow.update(Notice, {"state": "failed", "error_code": "mail_bounced"}, id=notice.id, state="sent"):
        return False
    about = About(notice.transfer_id, notice.id, to=notice.org, transfer=notice.transfer_id)
    record(uow, "notice.failed", Caller(notice.sender_org), about, code=notice.code)
    return True


def _home_of(uow: UnitOfWork, notice: Notice) -> str:
    transfer = uow.get(Transfer, notice.transfer_id) if notice.transfer_id else None
    return (transfer.recipient_org or "") if transfer else ""


def _name(uow: UnitOfWork, org: str) -> str:
    found = uow.get(Organisation, org) if org else None
    return found.name if found else org


def _friday_words(uow: UnitOfWork, hospital: str) -> str:
    """How many leave and what is still to fix, by owner; no names."""
    rows = friday_list(open_standings(uow, hospital), uow.now)
    owners: dict[str, int] = {}
    for row in rows:
        gaps = row.gate["gaps"]
        for gap in gaps if isinstance(gaps, list) else ():
            owners[str(gap["owner"])] = owners.get(str(gap["owner"]), 0) + 1
    fixes = "".join(f"\n  {owner}: {count}" for owner, count in sorted(owners.items())) or " nothing"
    return f"On the list: {len(rows)}. Still to fix, by owner:{fixes}"
