"""The story: one method for each thing that somebody can ask. Read this first.

    accept → work (read, match, publish) → relay → deliver → collect or open → answer
               every arrow is one transaction: state, audit event and outbox event

The rooms hold the detail: intake, transfer, gate, seal, mailbox, audit. Nothing here knows HTTP, SQL or MLLP.
"""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from datetime import datetime, timedelta

import structlog
from structlog.contextvars import bound_contextvars

from exchange.audit import query as audit_query
from exchange.audit.events import About, of_transfer, record
from exchange.audit.query import AuditPage, AuditSearch, TraceLine
from exchange.directory import entries
from exchange.directory.profiles import parse_profile
from exchange.errors import Conflict, NotFound, Refused, Unavailable, WardpostError
from exchange.fhir.draft import Sign, Unreadable
from exchange.fhir.json import dump
from exchange.fhir.shape import moment, text
from exchange.intake import holds, work
from exchange.intake.accept import accept, raw_bytes
from exchange.intake.erase import erase_due
from exchange.mailbox import answers, collect, parking, settle
from exchange.mailbox.collect import HomeList, InboxItem, Opened
from exchange.mailbox.deliver import GROUP, transfer_of
from exchange.model import SERVICE, AnswerKind, Caller, Environment, HoldKind, Receipt, Role, Scope, SubmissionState
from exchange.ports import Bus, DocumentCheck, FailPoints, Readers, Store, T, UnitOfWork, no_fail_points
from exchange.records import (
    Answer,
    Delivery,
    Hold,
    OutboxEvent,
    ParkedEvent,
    Part,
    Person,
    Sealed,
    Sender,
    Stay,
    Submission,
    Supplement,
    Transfer,
    Work,
)
from exchange.transfer import publish, status, transfers
from exchange.transfer.candidates import Candidate, Pick, candidates, check_pick
from exchange.transfer.publish import IdentityConflict, Prepared, Withdrawal
from exchange.transfer.receive import hold_unreadable, receive
from exchange.transfer.status import Standing
from exchange.transfer.supplement import check_supplement

log = structlog.get_logger("wardpost.app")
_BATCH = 16
# How far a hospital's clock may be before ours. Said later than that it would win over what others state until then.
CLOCKS_DIFFER = timedelta(minutes=5)


def _trace_of(subject: str) -> AbstractContextManager[None]:
    """Log lines in here carry the W3C trace id of what they are about: its own id without dashes, the same in every process."""
    return bound_contextvars(trace_id=subject.replace("-", ""))


class Exchange:
    """The service over its ports. Methods are plain and blocking; who needs `async` wraps them."""

    def __init__(
        self, store: Store, bus: Bus, readers: Readers, check: DocumentCheck, environment: Environment, fail: FailPoints = no_fail_points
    ) -> None:
        self.store = store
        self.bus = bus
        self.readers = readers
        self.check = check
        self.environment = environment
        self.fail = fail
        self.woken: Callable[[], None] = lambda: None
        self._at_work: tuple[Work, ...] = ()

    # The hospital sends

    def accept(self, sender: Sender, raw: bytes, channel: str, media_type: str) -> "Future[Receipt]":
        """Take custody of bytes from an authenticated sender; done once it is durable. Raises Unavailable (then nobody has custody)."""
        source_id = self.readers.source_id(raw)
        future = self.store.submit(lambda uow: accept(uow, sender, raw, channel=channel, media_type=media_type, source_id=source_id))
        future.add_done_callback(lambda _: self.woken())
        return future

    def http_sender(self, org: str, name: str = "") -> Sender:
        """The feed of an organisation that sends over HTTP: the named one, else its only one. Raises NotFound, Refused `which_sender`."""
        feeds = self.store.read(lambda uow: uow.find(Sender, org=org, channel="http"))
        wanted = [feed for feed in feeds if name in ("", feed.id)]
        if not wanted:
            step = f"The operator sets it up: wardpost senders add NAME --org {org} --channel http"
            raise NotFound("sender", "This organisation has no such HTTP feed here.", next_step=step)
        if len(wanted) > 1:
            raise Refused("which_sender", "This organisation has several HTTP feeds.", next_step="Name one in the address: ?sender=NAME")
        return wanted[0]

    def refuse_unreadable(self, sender: Sender, raw: bytes) -> None:
        """Before custody, for a sender that can hear why. Raises Unreadable; what only lacks its person is kept, for a person to mend."""
        try:
            self.readers.read(raw, parse_profile(sender.profile).reading)
        except Unreadable as problem:
            if problem.code != "pdf_alone":
                raise

    # The service works

    def work_once(self) -> int:
        """Lease and do what is due; how many pieces. A failure puts its piece off and loses nobody else's.

        What was read is written while the next is read, so that many share one COMMIT, where the store keeps their order; what is published
        is made of all that was read.
        """
        leased = self.store.write(lambda uow: work.claim(uow, _BATCH))
        self._at_work = tuple(leased)
        written: list[tuple[Work, Future[None]]] = []
        for piece in leased:
            self.fail("work.claimed")
            is_reading = piece.kind == "read"
            if is_reading:
                self._try(piece, lambda piece=piece: written.append((piece, self._read(piece))))  # type: ignore[misc]  # bound now
            if not (is_reading and self.store.keeps_order):
                self._end_reading(written)
            if not is_reading:
                self._try(piece, lambda piece=piece: self._publish(piece), is_end=True)  # type: ignore[misc]  # bound now
        self._end_reading(written)
        self._at_work = ()
        return len(leased)

    def _end_reading(self, written: list[tuple[Work, "Future[None]"]]) -> None:
        for piece, future in written:
            self._try(piece, future.result, is_end=True)
            self.fail("read.after_commit")
        written.clear()

    def renew_leases(self) -> int:
        """Say that what is leased here is still being worked on; how many. Another thread than the worker's calls it."""
        pieces = self._at_work
        return self.store.write(lambda uow: sum(work.renew(uow, piece) for piece in pieces)) if pieces else 0

    def _try(self, piece: Work, step: Callable[[], object], *, is_end: bool = False) -> None:
        with _trace_of(piece.subject_id):
            try:
                if piece.attempts > work.GIVE_UP_AFTER:
                    raise Conflict("gave_up", "This was tried too often.", next_step="Replay its hold when the cause is mended.")
                step()
                if is_end:
                    log.info("work_done", work=piece.id)
            except work.StaleLease:
                log.warning("work_lease_lost", work=piece.id, fence=piece.fence)
            except Exception as problem:  # noqa: BLE001  # the loop: one bad piece must not stop the others
                self._put_off(piece, problem)

    def _read(self, piece: Work) -> "Future[None]":
        """accept → read → match: bytes become facts of a Stay, or a Hold, or "not used"; done once that is durable."""

        def fetch(uow: UnitOfWork) -> tuple[Submission, Sender, bytes]:
            submission = uow.get(Submission, piece.subject_id)
            sender = uow.get(Sender, submission.sender_id) if submission else None
            if submission is None or sender is None:
                raise NotFound("submission", "There is no such submission.", next_step="Run: wardpost fsck")
            return submission, sender, raw_bytes(submission)

        submission, sender, raw = self.store.read(fetch)
        profile = parse_profile(sender.profile)
        try:
            draft = self.readers.read(raw, profile.reading)
        except Unreadable as problem:
            code = problem.code
            return self.store.submit(lambda uow: hold_unreadable(uow, piece, submission, code))
        self.fail("read.before_commit")
        return self.store.submit(lambda uow: receive(uow, piece, submission, draft, profile, self.environment))

    def _publish(self, piece: Work) -> None:
        """assemble → gate → publish: a new version when what the home would see has changed."""
        gathered = self.store.read(lambda uow: publish.gather(uow, piece.subject_id, self.readers.read))
        decision = None
        if gathered is not None:
            decision = self.store.read(lambda uow: publish.prepare(gathered, uow.now, self.check))
        if gathered is not None and isinstance(decision, Prepared):
            sealed = self.store.read(lambda uow: publish.seal_version(uow, self.environment, gathered, decision))
            self.fail("publish.before_commit")
            self.store.write(lambda uow: publish.write_version(uow, piece, gathered, decision, sealed))
            self.fail("publish.after_commit")
            return

        def end(uow: UnitOfWork) -> None:
            work.complete(uow, piece)
            match decision:
                case Withdrawal(reason) if gathered is not None:
                    transfers.withdraw(uow, gathered.transfer, gathered.stay, reason)
                case IdentityConflict() if gathered is not None:
                    about = gathered.transfer
                    holds.raise_hold(uow, HoldKind.IDENTITY, org=about.sender_org, code="sources_disagree", stay=about.stay_id)

        self.store.write(end)

    def _put_off(self, piece: Work, problem: Exception) -> None:
        code = problem.code if isinstance(problem, WardpostError) else type(problem).__name__
        log.error("work_failed", work=piece.id, attempt=piece.attempts, code=code)

        def note(uow: UnitOfWork) -> None:
            if not work.give_back(uow, piece, code):
                return
            submission = uow.get(Submission, piece.subject_id) if piece.kind == "read" else None
            transfer = uow.get(Transfer, piece.subject_id) if piece.kind != "read" else None
            org = submission.sender_org if submission else transfer.sender_org if transfer else entries.SERVICE_ORG
            kind = HoldKind.UNREADABLE if submission else HoldKind.FAILED_CHECK
            about = submission.id if submission else None
            holds.raise_hold(uow, kind, org=org, code=code, submission=about, transfer=transfer.id if transfer else None)

        self.store.write(note)

    def deliver_once(self) -> int:
        """Consume the bus: each event has its effect in a transaction of its own, then the offset moves; how many came."""
        messages = self.bus.fetch(GROUP, _BATCH * 4)
        for message in messages:
            self._bring_up(message.key, message.sequence)
        if messages:
            self.fail("deliver.before_offset")
            self.bus.commit(GROUP)
            self.fail("deliver.after_offset")
        for key, up_to in self.store.read(parking.due):
            self._bring_up(key, up_to)
        return len(messages)

    def _bring_up(self, key: str, up_to: int) -> None:
        """Give a mailbox what its events up to a number say, in their order. One that fails holds up this mailbox alone."""
        while events := self.store.read(lambda uow: parking.unsettled(uow, key, up_to)):
            for event in events:
                self.fail("deliver.before_commit")
                with _trace_of(transfer_of(event)):
                    if not self._settle(event):
                        return
                self.fail("deliver.after_commit")

    def _settle(self, event: OutboxEvent) -> bool:
        try:
            is_settled = self.store.write(lambda uow: parking.settle(uow, event))
            log.info("event_settled" if is_settled else "event_waits", event_id=event.id, event_type=event.type)
            return is_settled
        except Unavailable:
            raise
        except Exception as problem:  # noqa: BLE001  # the loop: one bad event must not stop other mailboxes
            code = problem.code if isinstance(problem, WardpostError) else type(problem).__name__
            log.error("event_parked", event_id=event.id, code=code)
            failed = problem
        return self.store.write(lambda uow: parking.park(uow, event, failed))

    def sweep(self) -> int:
        """Publish again what was published long ago and never had its effect; how many."""
        return self.store.write(parking.sweep)

    def list_parked(self) -> list[ParkedEvent]:
        """Events whose effect failed: those that wait for another try, dead letters, discarded ones."""
        return self.store.read(lambda uow: uow.find(ParkedEvent, order="key,sequence"))

    def settle_parked(self, event_id: str, person_id: str, *, is_replay: bool) -> None:
        """A named person has a dead letter carried out, or discards it. Raises NotFound, or what its effect raises."""

        def act(uow: UnitOfWork) -> None:
            person = entries.get_person(uow, person_id)
            (parking.replay if is_replay else parking.discard)(uow, event_id, person.id)

        self.store.write(act)

    def judge_again(self) -> int:
        """Have the gate look again where less than 24 hours are left; how many."""
        asked = self.store.write(transfers.judge_again)
        if asked:
            self.woken()
        return asked

    def erase_due(self) -> int:
        """Erase the raw bytes whose day has come and whose stay has no transfer (architecture decision 13); how many."""
        return self.store.write(erase_due)

    # People at the hospital

    def candidates(self, caller: Caller, stay_or_transfer: str) -> list[Candidate]:
        """The homes that may be meant, for a named person of the hospital. Audited. Raises NotFound `stay`."""

        def look(uow: UnitOfWork) -> list[Candidate]:
            stay = transfers.find_stay(uow, stay_or_transfer, caller.org)
            record(uow, "transfer.viewed", caller, About(stay.id, nhs_number=stay.nhs_number))
            return self._candidates(uow, stay)

        return self.store.write(look)

    def _candidates(self, uow: UnitOfWork, stay: Stay) -> list[Candidate]:
        """Reads the stay's messages again: the bytes are the truth."""
        profiles = {sender.id: parse_profile(sender.profile).reading for sender in uow.find(Sender, org=stay.sender_org)}
        signs: list[Sign] = []
        for row in uow.find(Submission, stay_id=stay.id, state=SubmissionState.READ):
            if row.content is not None:
                signs += self.readers.read(raw_bytes(row), profiles[row.sender_id]).signs
        aliases = {code: site for profile in profiles.values() for code, site in profile.aliases.items()}
        return candidates(uow, stay, signs, aliases)

    def confirm_site(self, stay_or_transfer: str, site: str, person_id: str, org: str = "", pick: Pick | None = None) -> Transfer:
        """A named person says which home. `stay_or_transfer` is an id, or a visit or message number of the person's hospital; `org`:
        whose system asks, when one does: its own people only. With a `pick` its checks are made, and a transfer without a recipient
        comes back where a second person is needed. Raises NotFound; Refused, also what `check_pick` raises."""

        def confirm(uow: UnitOfWork) -> Transfer:
            person = entries.get_person(uow, person_id)
            if org not in ("", person.org):
                raise NotFound("person", "No active person of yours has this id.", next_step="List them: wardpost people list")
            stay, home = transfers.find_stay(uow, stay_or_transfer, person.org), entries.get_organisation(uow, site)
            if pick is None:
                return transfers.confirm(uow, stay, home, person)
            found = self._candidates(uow, stay)
            stands_alone = check_pick(uow, stay, home, pick, found)
            is_new = not any(one.site.id == home.id and one.is_backed for one in found)
            spoke_to = " ".join(pick.spoke_to.split())[:80]
            how = f"postcode typed; spoke to {spoke_to} on the directory number" if spoke_to else "postcode typed"
            return transfers.confirm(uow, stay, home, person, how, stands_alone, is_new)

        return self.store.write(confirm)

    def add_supplement(self, transfer_id: str, person_id: str, content: object, org: str | None = None) -> Supplement:
        """What a named person at the ward states. Raises Refused `supplement_invalid` with every issue, `said_in_future`; NotFound."""
        check_supplement(content)

        said = moment(text(content, "said_at"))

        def add(uow: UnitOfWork) -> Supplement:
            if isinstance(said, datetime) and said > uow.now + CLOCKS_DIFFER:
                step = "Send the moment at which the person said it, with its offset, or leave said_at out."
                raise Refused("said_in_future", "The Supplement was said at a time that has not come yet.", next_step=step)
            transfer = transfers.get_transfer(uow, transfer_id)
            person = entries.get_person(uow, person_id)
            if person.org != transfer.sender_org or (org is not None and org != transfer.sender_org):
                raise NotFound("transfer", "There is no such transfer here.", next_step="Check the id.")
            row = Supplement(uow.new_id(), transfer.id, transfer.sender_org, person.id, uow.now, Sealed.of(dump(content)))
            uow.insert(row)
            stay = uow.get(Stay, transfer.stay_id)
            record(
                uow,
                "supplement.added",
                Caller(transfer.sender_org, person=person.id),
                of_transfer(transfer.id, detail=row.id, nhs_number=stay.nhs_number if stay else None),
            )
            work.enqueue(uow, "publish", transfer.id)
            return row

        return self.store.write(add)

    def look_again(self, transfer_id: str) -> publish.Look:
        """What the ward's form shows. Whoever calls has checked whose transfer it is. Raises NotFound."""
        return self.store.read(lambda uow: publish.look(uow, transfer_id, self.readers.read))

    def transfer_status(self, transfer_id: str, org: str) -> dict[str, object]:
        """How a transfer of this hospital stands: state, badge, gaps with owners, delivered, opened, answered. Raises NotFound."""
        found = self.store.read(lambda uow: status.standing_of(uow, transfer_id), Scope(org, Role.SENDER))
        return status.status_json(found, self.names_in(found))

    def submission_status(self, submission_id: str, org: str) -> dict[str, object]:
        """What became of bytes that this hospital sent: state, reason, transfers, holds. Raises NotFound."""
        return self.store.read(lambda uow: status.submission_json(uow, submission_id), Scope(org, Role.SENDER))

    def open_standings(self, org: str = "") -> list[Standing]:
        """Every transfer of a hospital (of all, for who runs the service) that somebody may still have to act on."""
        scope = Scope(org, Role.SENDER) if org else SERVICE
        return self.store.read(lambda uow: status.open_standings(uow, org), scope)

    def view_standing(self, caller: Caller, transfer_id: str) -> tuple[Standing, Mapping[str, str]]:
        """One transfer for a named person of its hospital, with the names in it. Audited before it is shown. Raises NotFound."""

        def look(uow: UnitOfWork) -> Standing:
            found = status.standing_of(uow, transfer_id)
            record(uow, "transfer.viewed", caller, of_transfer(transfer_id, nhs_number=found.stay.nhs_number))
            return found

        found = self.store.write(look, Scope(caller.org, Role.SENDER))
        return found, self.names_in(found)

    def names_in(self, found: Standing) -> Mapping[str, str]:
        """Who picked, read and answered, by person id: the hospital may know these names of the home, but not its directory."""
        ids = {found.transfer.confirmed_by, *(row.opened_by for row in found.deliveries), *(row.person_id for row in found.answers)}
        people = self.store.read(lambda uow: uow.find(Person, id__in=sorted(filter(None, ids))))
        return {person.id: person.name.text() for person in people}

    def list_holds(self, org: str = "") -> list[Hold]:
        where: dict[str, object] = {"sender_org": org} if org else {}
        return self.store.read(lambda uow: uow.find(Hold, order="deadline_at", resolved_at=None, **where))  # type: ignore[arg-type]

    def holds_json(self, org: str) -> list[dict[str, object]]:
        """Open holds of a hospital as its systems and pages show them, each with the acts that fit."""
        return self.store.read(lambda uow: settle.open_holds(uow, org))

    def settle_hold(self, hold_id: str, act: str, person_id: str, value: str = "", org: str = "") -> int:
        """A named person settles a hold: replay, link, address, release or refuse (`mailbox/settle.py`, with what is raised)."""
        count = self.store.write(lambda uow: settle.settle(uow, hold_id, act, person_id, value, org))
        self.woken()
        return count

    # The home

    def poll(
        self,
        caller: Caller,
        *,
        after_change: int = 0,
        since: datetime | None = None,
        before: datetime | None = None,
        count: int = 50,
        nhs_number: str = "",
    ) -> tuple[list[InboxItem], bool]:
        """One page of the home's mailbox, in order of change; is there more? Audited when it discloses something new."""
        asked = collect.Page(after_change, since, before, count, nhs_number)
        return self._listed(caller, lambda uow: collect.page(uow, caller.org, asked), lambda found: found[0])

    def home_list(self, caller: Caller, earlier: int = 0) -> HomeList:
        """The home's list for a named person, with one page of the past. Audited as a poll is."""
        return self._listed(caller, lambda uow: collect.home_list(uow, caller.org, earlier), lambda found: found.near)

    def _listed(self, caller: Caller, look: Callable[[UnitOfWork], T], items: Callable[[T], list[InboxItem]]) -> T:
        scope = Scope(caller.org, Role.RECIPIENT)

        def see(uow: UnitOfWork) -> tuple[T, bool]:
            found = look(uow)
            return found, collect.needs_note(uow, caller.org, items(found))

        found, is_noted = self.store.read(see, scope)
        if is_noted:
            self.store.write(lambda uow: collect.note_listed(uow, caller, items(found)), scope)
        return found

    def delivery(self, caller: Caller, delivery_id: str) -> InboxItem:
        """One delivery of this home. Raises NotFound, also for another home's."""
        scope = Scope(caller.org, Role.RECIPIENT)
        return self.store.read(lambda uow: collect.item_of(uow, collect.get_delivery(uow, delivery_id, caller.org)), scope)

    def version_item(self, caller: Caller, transfer_id: str, number: int) -> InboxItem:
        """One version of a transfer in this home's mailbox, unopened. Raises NotFound."""

        def look(uow: UnitOfWork) -> InboxItem:
            found = uow.find(Delivery, transfer_id=transfer_id, number=number, recipient_org=caller.org)
            if not found:
                raise NotFound("delivery", "There is no such document here.", next_step="Look at your list again.")
            return collect.item_of(uow, found[0])

        return self.store.read(look, Scope(caller.org, Role.RECIPIENT))

    def collect_part(self, caller: Caller, part_id: str) -> tuple[Part, bytes]:
        """One part for the home's software or person. The audit row is durable before a byte leaves. Raises NotFound, Gone."""
        scope = Scope(caller.org, Role.RECIPIENT)

        def fetch(uow: UnitOfWork) -> tuple[Delivery, Part, bytes]:
            part = uow.get(Part, part_id)
            found = uow.find(Delivery, version_id=part.version_id) if part else []
            if part is None or not found:
                raise NotFound("part", "There is no such document here.", next_step="Look at your list again.")
            return found[0], part, collect.open_content(uow, self.environment, found[0], part)

        try:
            delivery, part, content = self.store.read(fetch, scope)
        except WardpostError as problem:
            self._note_refused(caller, part_id, problem.code)
            raise
        is_letter = part.media_type != publish.FHIR_JSON

        def note(uow: UnitOfWork) -> None:
            collect.note_disclosed(uow, caller, delivery, part, opened=caller.person is not None, is_letter=is_letter)

        self.store.write(note, scope)
        self.fail("collect.after_audit")
        return part, content

    def open_version(self, caller: Caller, transfer_id: str, number: int | None = None) -> Opened:
        """A version as a named person reads it: the document and the readable letters, opened; the newest when no number is given.

        The audit rows are durable before anything is returned. A withdrawn version gives its frame and no content. Raises NotFound.
        """
        scope = Scope(caller.org, Role.RECIPIENT)
        opened = self.store.read(lambda uow: collect.open_version(uow, self.environment, caller, transfer_id, number), scope)
        self.store.write(lambda uow: collect.note_opened(uow, caller, opened), scope)
        return opened

    def _note_refused(self, caller: Caller, about: str, code: str) -> None:
        def note(uow: UnitOfWork) -> None:
            known = uow.get(Part, about)
            entity = known.transfer_id if known and known.recipient_org == caller.org else None
            record(uow, "access.refused", caller, About(entity), code=code, outcome="4")

        self.store.write(note)

    def answer(
        self, caller: Caller, delivery_id: str, kind: AnswerKind, reason_code: str, content: dict[str, object], seen: int | None = None
    ) -> Answer:
        """Append an answer. `seen`: how many answers the caller knew of; Conflict `answered_meanwhile` when there are more."""

        def give(uow: UnitOfWork) -> Answer:
            delivery = collect.get_delivery(uow, delivery_id, caller.org)
            if seen is not None and uow.count(Answer, delivery_id=delivery.id) != seen:
                raise Conflict(
                    "answered_meanwhile", "Somebody answered meanwhile.", next_step="Read the newest answer and send again if needed."
                )
            return answers.give(uow, caller, delivery, kind, reason_code, content)

        # "Not ours" also takes the transfer back and raises a hold, which are the hospital's rows.
        answer = self.store.write(give, SERVICE if reason_code in answers.NOT_OURS else Scope(caller.org, Role.RECIPIENT))
        self.fail("answer.after_commit")
        return answer

    # Who asks what happened

    def search_audit(self, caller: Caller, search: AuditSearch) -> AuditPage:
        """One page of the AuditEvents of the caller's organisation; the question is audited first."""
        self.store.write(lambda uow: audit_query.note_search(uow, caller.org, caller.client, search))
        return self.store.read(lambda uow: audit_query.search(uow, caller.org, search), Scope(caller.org, Role.SENDER))

    def trace(self, entity: str) -> Sequence[TraceLine]:
        """Everything that happened to one transfer (or submission or stay), oldest first, for who runs the service."""
        return self.store.read(lambda uow: audit_query.trace(uow, entity), SERVICE)
