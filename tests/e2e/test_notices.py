"""Notices over a real SMTP server with STARTTLS: who is told what, once, without a word about a person, and who is next."""

import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email import message_from_bytes
from pathlib import Path

import pytest

from exchange.config import load_settings
from exchange.directory.entries import add_person
from exchange.errors import Refused, Unavailable, WardpostError
from exchange.intake.policy import LADDERS
from exchange.model import HoldKind, PersonRole
from exchange.notices.send import GIVE_UP_AFTER, Notifier, bounced
from exchange.notices.smtp import mailer_of
from exchange.records import Hold, Notice, Transfer
from tests.app_kit import HOME, HOSPITAL, Died, Kit, dies_at, kit
from tests.databases import sqlite_only
from tests.e2e.test_new_link import Postbox, mail_server
from tests.e2e.test_tls import Authority
from tests.service_kit import WARDPOST, running_service, wait_until

BASE = "https://wardpost.test"
NAMES = re.compile("Trialman|Winifred|Testcase|999|NHS number [0-9]|Ward 2", re.IGNORECASE)
MORNING = datetime(2026, 12, 2, 10, 0, tzinfo=UTC)  # a Wednesday


@dataclass
class Book:
    """A mailer that keeps what it is given; `says` is raised for an address."""

    says: dict[str, WardpostError]
    sent: list[tuple[str, str, str, str]]

    def send(self, address: str, subject: str, body: str, id: str = "") -> None:
        if address in self.says:
            raise self.says[address]
        self.sent.append((address, subject, body, id))

    def to(self) -> list[str]:
        return [address.partition("@")[0] for address, *_ in self.sent]


@dataclass
class Desk:
    kit: Kit
    book: Book
    notifier: Notifier

    def tick(self, **forward: float) -> list[str]:
        """Let time pass and the clock process work; who got an e-mail."""
        self.kit.clock.forward(**forward)
        self.book.sent.clear()
        self.notifier.work_once()
        return sorted(self.book.to())

    def leaves(self, when: str) -> None:
        self.kit.exchange.store.write(lambda uow: uow.update(Transfer, {"leaving_on": when}))

    def notices(self, **where: object) -> list[Notice]:
        return self.kit.exchange.store.read(lambda uow: uow.find(Notice, order="created_at,code", **where))  # type: ignore[arg-type]

    def holds(self) -> list[Hold]:
        return self.kit.exchange.list_holds()


@contextmanager
def desk(folder: Path, at: datetime = MORNING, *, team: str = "team@test.example", with_desk: bool = True) -> Iterator[Desk]:
    with kit(folder) as found:
        found.clock.at = at
        if with_desk:
            found.exchange.store.write(
                lambda uow: add_person(uow, HOSPITAL, PersonRole.DISCHARGE_DESK, "Dot Desk-Test", "dot@test.example")
            )
        book = Book({}, [])
        yield Desk(found, book, Notifier(found.exchange.store, book, BASE, team))
        assert found.findings() == []


def refused() -> Refused:
    return Refused("mail_refused", "No such address.", next_step="Mend it.")


def test_a_document_that_waits_is_told_by_smtp_with_tls_and_says_nothing_of_anybody(tmp_path: Path) -> None:
    authority, box = Authority(tmp_path), Postbox()
    secret = tmp_path / "password"
    secret.write_text("a secret\n")
    with kit(tmp_path) as found, mail_server(box, authority.issue("mail.test")) as port:
        found.clock.at = MORNING
        transfer = found.story(0)
        url = f"smtp://wardpost@127.0.0.1:{port}"
        mailer = mailer_of(
            load_settings({}, smtp_url=url, mail_from="wardpost@hospital.test", smtp_password_file=secret, smtp_ca_file=authority.file)
        )
        notifier = Notifier(found.exchange.store, mailer, BASE)
        assert notifier.work_once() == 2
        assert notifier.work_once() == 0
        assert sorted(envelope.rcpt_tos[0] for envelope in box.taken) == ["ama@test.example", "mia@test.example"]
        for envelope in box.taken:
            text = str(message_from_bytes(envelope.content or b""))  # type: ignore[arg-type]  # bytes, as sent
            assert NAMES.findall(text.partition("Message-ID")[0]) == []
            assert BASE + "/home" in text
        assert NAMES.findall(" ".join(box.texts())) == []
        sent = [line for line in found.exchange.trace(transfer) if line.type == "notice.sent"]
        assert [(line.code, line.other_org) for line in sent] == [("waits-1", HOME)] * 2
        assert found.findings() == []


def test_silence_goes_up_the_policy_table_once_a_step_and_reading_ends_it(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(0)
        found.leaves("2026-12-14")
        assert found.tick() == ["ama", "mia"]
        assert found.tick(hours=3) == []
        assert found.tick(hours=1.1) == ["dot"]
        assert "Nobody at Sample Meadow has opened" in found.book.sent[0][2]
        assert found.tick(hours=7.9) == ["rob"]
        assert found.tick(hours=24) == []
        assert [(row.code, row.state) for row in found.notices(transfer_id=transfer)] == [
            ("waits-1", "sent"), ("waits-1", "sent"), ("waits-2", "sent"), ("waits-3", "sent"),
        ]  # fmt: skip


def test_working_hours_stop_over_the_weekend_and_reading_stops_everything(tmp_path: Path) -> None:
    with desk(tmp_path, datetime(2026, 12, 4, 15, 0, tzinfo=UTC)) as found:  # Friday
        transfer = found.kit.story(0)
        found.leaves("")
        found.tick()
        assert found.tick(hours=5) == []  # the desk has gone home
        found.kit.exchange.open_version(found.kit.caller(), transfer)
        assert found.tick(days=4) == []


def test_who_leaves_soon_is_not_left_to_the_ordinary_steps(tmp_path: Path) -> None:
    with desk(tmp_path, MORNING) as found:
        found.kit.story(0)
        found.leaves("2026-12-02T13:30:00+00:00")
        assert found.tick(minutes=31) == ["ama", "dot", "mia"]
        assert found.tick(minutes=60) == ["rob"]


def test_a_refused_address_makes_the_next_step_due_at_once(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(0)
        found.book.says = {"ama@test.example": refused(), "mia@test.example": refused()}
        assert found.tick() == []
        assert found.tick(minutes=1) == ["dot"]
        failed = [line.code for line in found.kit.exchange.trace(transfer) if line.type == "notice.failed"]
        assert failed == ["waits-1", "waits-1"]


def test_a_bounce_that_comes_later_counts_like_a_refusal(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        found.kit.story(0)
        found.tick()
        for row in found.notices(state="sent"):
            assert found.kit.exchange.store.write(lambda uow, id=row.id: bounced(uow, id))
            assert not found.kit.exchange.store.write(lambda uow, id=row.id: bounced(uow, id))
        assert not found.kit.exchange.store.write(lambda uow: bounced(uow, "unknown"))
        assert found.tick(minutes=1) == ["dot"]


def test_a_mail_server_that_is_away_is_tried_again_later_and_later(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        found.kit.story(0)
        found.leaves("")
        away = Unavailable("mail_away", "Away.", next_step="Wait.")
        found.book.says = dict.fromkeys(("ama@test.example", "mia@test.example"), away)
        found.tick()
        assert sorted(row.attempts for row in found.notices(state="due")) == [0, 1]  # the first failure ends the round
        for _ in range(3):
            found.tick(minutes=1)
        assert max(row.attempts for row in found.notices()) <= 3
        found.book.says = {}
        assert found.tick(minutes=30) == ["ama", "mia"]
        assert {row.state for row in found.notices()} == {"sent"}
        # What never goes through reached nobody.
        found.book.says = {"dot@test.example": away}
        found.tick(hours=4)
        for _ in range(2 * GIVE_UP_AFTER):
            found.tick(minutes=61)
        assert [row.state for row in found.notices(code="waits-2")] == ["failed"]


def test_a_newer_version_is_told_and_does_not_stop_the_clock(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(1)
        found.leaves("")
        found.tick()
        found.kit.clock.forward(hours=2)
        found.kit.exchange.add_supplement(transfer, found.kit.worker, {"infection": {"status": "none known"}})
        found.kit.drain()
        assert found.tick() == []
        assert found.tick(minutes=11) == ["ama", "mia"]
        assert "newer version" in found.book.sent[0][2]
        assert found.tick(hours=2) == ["dot"]


def test_papers_that_were_taken_back_are_told_until_the_home_has_seen_it(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(0)
        found.kit.exchange.open_version(found.kit.caller(), transfer)
        assert found.tick() == []
        visit = found.kit.exchange.open_standings()[0].transfer.stay_id
        found.kit.exchange.confirm_site(visit, "VZZ02", found.kit.worker)
        found.kit.drain()
        assert found.tick(seconds=1) == ["ama", "mia", "ola"]
        assert found.tick(hours=2.1) == ["dot"]
        found.kit.exchange.open_version(found.kit.caller(), transfer)
        found.tick(hours=12)
        assert {row.code for row in found.notices(transfer_id=transfer)} == {"back-1", "back-2"}


def test_a_hold_goes_from_owner_to_owner_by_the_clock(tmp_path: Path) -> None:
    with desk(tmp_path, MORNING) as found:
        found.kit.send(b"rubbish")
        found.kit.drain()
        assert found.tick() == ["team"]
        assert "A message could not be read" in found.book.sent[0][2]
        assert [hold.owner for hold in found.holds()] == ["integration team"]
        assert found.tick(hours=4) == ["rob"]
        (hold,) = found.holds()
        assert (hold.owner, hold.deadline_at > found.kit.clock()) == ("site manager", True)
        assert found.tick(hours=8) == ["rob"]
        assert found.tick(hours=80) == []
        moves = [line.code for line in found.kit.exchange.trace(hold.submission_id or "") if line.type == "hold.escalated"]
        assert moves == ["unreadable: site manager"]


def test_at_night_a_hold_is_the_site_managers_and_by_day_the_teams_again(tmp_path: Path) -> None:
    with desk(tmp_path, datetime(2026, 12, 2, 22, 0, tzinfo=UTC)) as found:
        found.kit.send(b"rubbish")
        found.kit.drain()
        assert found.tick() == ["rob"]
        assert [hold.owner for hold in found.holds()] == ["site manager"]
        found.kit.exchange.settle_hold(found.holds()[0].id, "release", found.kit.worker, "checked")
        assert found.tick(hours=12) == []


def test_without_a_team_or_a_desk_the_site_manager_hears_at_once_and_it_is_written_down(tmp_path: Path) -> None:
    with desk(tmp_path, team="", with_desk=False) as found:
        found.kit.send(b"rubbish")
        found.kit.drain()
        found.tick()
        assert found.tick(seconds=15) == ["rob"]
        assert next((row.code, row.state, row.person_id) for row in found.notices()) == ("unreadable-1", "nobody", "")


def test_a_matter_that_is_settled_before_its_e_mail_left_is_not_told(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(0)
        found.book.says = dict.fromkeys(("ama@test.example", "mia@test.example"), Unavailable("mail_away", "Away.", next_step="Wait."))
        found.tick()
        found.kit.exchange.open_version(found.kit.caller(), transfer)
        found.book.says = {}
        assert found.tick(minutes=90) == []
        assert {row.state for row in found.notices(transfer_id=transfer)} == {"settled"}


def test_the_friday_notice_comes_at_noon_once_and_counts_by_owner(tmp_path: Path) -> None:
    with desk(tmp_path, datetime(2026, 12, 4, 11, 50, tzinfo=UTC)) as found:
        transfer = found.kit.story(1)
        found.kit.exchange.open_version(found.kit.caller(), transfer)
        assert found.tick() == []
        assert found.tick(minutes=11) == ["dot"]
        body = found.book.sent[0][2]
        assert "On the list: 1." in body
        assert re.search(r"pharmacy: \d", body)
        assert BASE + "/board/friday" in body
        assert NAMES.findall(body) == []
        assert found.tick(hours=1) == []


def test_nobody_on_the_friday_list_is_no_e_mail(tmp_path: Path) -> None:
    with desk(tmp_path, datetime(2026, 12, 4, 12, 5, tzinfo=UTC)) as found:
        assert found.tick() == []
        assert found.notices() == []


def test_two_clock_processes_send_one_e_mail_each(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        found.kit.story(0)
        lock, sent = threading.Lock(), list[str]()

        class Slow(Book):
            def send(self, address: str, subject: str, body: str, id: str = "") -> None:
                with lock:
                    sent.append(address)

        both = [Notifier(found.kit.exchange.store, Slow({}, []), BASE, "team@test.example") for _ in range(4)]
        threads = [threading.Thread(target=one.work_once) for one in both]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(sent) == ["ama@test.example", "mia@test.example"]


def test_a_crash_between_sending_and_marking_doubles_that_e_mail_alone_under_one_message_id(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        found.kit.story(0)
        dying = Notifier(found.kit.exchange.store, found.book, BASE, fail=dies_at("notice.before_mark"))
        with pytest.raises(Died):
            dying.work_once()
        first = list(found.book.sent)
        assert len(first) == 1
        assert len(found.tick()) == 1  # the other person; the first one's is leased
        second = found.tick(minutes=2)
        assert second == [first[0][0].partition("@")[0]]
        assert found.book.sent[0][3] == first[0][3]
        assert found.tick(hours=1) == []


def test_without_a_mail_server_holds_still_change_hands_and_nothing_piles_up(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        found.kit.send(b"rubbish")
        found.kit.drain()
        found.kit.clock.forward(hours=5)
        assert Notifier(found.kit.exchange.store, None, BASE).work_once() == 0
        assert [hold.owner for hold in found.holds()] == ["site manager"]
        assert found.notices() == []


def test_every_kind_of_hold_has_a_ladder_that_ends_with_who_is_there_at_night() -> None:
    for kind in HoldKind:
        assert len(LADDERS[kind]) > 1
        assert not LADDERS[kind][-1].is_by_day


def run(folder: Path, *arguments: str, said: str = "") -> str:
    command = [WARDPOST, *arguments, "--data", str(folder / "data")] if arguments[-1] != "policy" else [WARDPOST, *arguments]
    done = subprocess.run(
        command, env={**os.environ, "COLUMNS": "250"}, input=said, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@sqlite_only
def test_the_commands_list_explain_and_take_bounces(tmp_path: Path) -> None:
    with desk(tmp_path) as found:
        transfer = found.kit.story(0)
        found.tick()
        ids = [row.id for row in found.notices(state="sent")]
    listed = run(tmp_path, "notices", "list", transfer)
    assert all(id in listed for id in ids)
    assert "ama@" not in listed
    assert "Nobody was told" in run(tmp_path, "notices", "list", "nothing")
    assert "waits-2" in run(tmp_path, "notices", "policy")
    report = f"To: wardpost@hospital.test\nSubject: Undelivered\n\nMessage-ID: <{ids[0]}@hospital.test>\n<{transfer}@x.test>\n"
    assert run(tmp_path, "notices", "bounced", said=report).startswith("1 marked")
    assert run(tmp_path, "notices", "bounced", said=report).startswith("0 marked")
    assert "mail_bounced" in run(tmp_path, "notices", "list", transfer)


@pytest.mark.services
def test_a_running_service_sends_by_itself(tmp_path: Path) -> None:
    box = Postbox()
    with mail_server(box) as port:
        mail = {"WARDPOST_SMTP_URL": f"smtp://127.0.0.1:{port}", "WARDPOST_MAIL_FROM": "w@h.test", "WARDPOST_TEAM_ADDRESS": "team@h.test"}
        with running_service(tmp_path, **mail) as service:
            service.cli("people", "add", "Rob Test", "--org", "RZZ01", "--role", "site_manager", "--email", "rob@h.test")
            service.mllp(b"MSH|^~\\&|X|Y|||1||ADT^A01|ID1|T|2.4\r")
            wait_until(lambda: bool(box.taken), "the e-mail", 60)
            assert box.taken[0].rcpt_tos[0] in ("team@h.test", "rob@h.test")  # by the hour of the day
            assert "A message could not be read" in box.texts()[0]
