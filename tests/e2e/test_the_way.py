"""The whole way in one process: three people, their badges, the home's mailbox, answers, late changes. fsck is the oracle."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.errors import Conflict, Gone, NotFound, Refused
from exchange.model import AnswerKind, Caller, DeliveryState, TransferState
from exchange.records import OutboxEvent, Submission, Transfer
from exchange.transfer import transfers
from exchange.wiring import broken_rules
from tests.app_kit import HOME, OTHER_HOME, kit


def test_three_people_three_badges(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        transfers = [service.story(which) for which in range(3)]
        found = [service.exchange.transfer_status(transfer, "RZZ01") for transfer in transfers]
        assert [status["badge"] for status in found] == ["papers complete", "4 missing", "letter only"]
        items, more = service.exchange.poll(service.caller())
        assert not more
        assert {item.transfer.id for item in items if item.delivery.state is DeliveryState.CURRENT} == set(transfers)
        assert service.findings() == []


def test_the_same_bytes_again_give_the_same_receipt_and_nothing_new(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        person = people(service.clock())[0]
        raw = admission(person, service.clock.at)
        first = service.exchange.accept(service.sender, raw, "mllp", "x").result()
        again = service.exchange.accept(service.sender, raw, "mllp", "x").result()
        assert (again.submission, again.digest, again.accepted_at, again.is_repeat) == (
            first.submission,
            first.digest,
            first.accepted_at,
            True,
        )
        assert service.exchange.store.read(lambda uow: uow.count(Submission)) == 1
        other = service.exchange.accept(service.sender, raw + b"ZZZ|1\r", "mllp", "x").result()
        assert other.submission != first.submission
        service.drain()
        assert [hold.kind for hold in service.exchange.list_holds()] == ["reused_id"]
        assert service.findings() == []


def test_a03_and_repeats_make_no_new_version(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        transfer = service.story(0)
        before = service.exchange.transfer_status(transfer, "RZZ01")["version"]
        person = people(service.clock())[0]
        service.send(admission(person, service.clock.at, "A08"))
        service.drain()
        assert service.exchange.transfer_status(transfer, "RZZ01")["version"] == before
        assert service.findings() == []


def test_a_cancelled_discharge_withdraws_and_a_new_one_publishes_again(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        transfer = service.story(0)
        person = people(service.clock())[0]
        service.clock.forward(hours=1)
        service.send(admission(person, service.clock.at, "A13"))
        service.drain()
        items, _ = service.exchange.poll(service.caller())
        assert {item.delivery.state for item in items} == {DeliveryState.WITHDRAWN}
        with pytest.raises(Gone, match="withdrawn"):
            service.exchange.collect_part(service.caller(), items[-1].parts[0].id)
        with pytest.raises(Conflict, match="withdrawn"):
            service.exchange.answer(service.caller(), items[-1].delivery.id, AnswerKind.SEEN, "", {})
        service.clock.forward(hours=1)
        service.send(admission(person, service.clock.at, "A03"))
        service.drain()
        found = service.exchange.store.read(lambda uow: uow.get(Transfer, transfer))
        assert found is not None
        assert found.state is TransferState.PUBLISHED
        newest = service.exchange.poll(service.caller())[0][-1]
        assert newest.delivery.state is DeliveryState.CURRENT
        assert service.exchange.collect_part(service.caller(), newest.parts[0].id)[1]
        assert service.findings() == []


def test_one_home_sees_nothing_of_another(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        transfer = service.story(0)
        item = service.exchange.poll(service.caller())[0][-1]
        stranger = Caller(OTHER_HOME, person=service.other_carer)
        assert service.exchange.poll(stranger) == ([], False)
        for attempt in (
            lambda: service.exchange.delivery(stranger, item.delivery.id),
            lambda: service.exchange.collect_part(stranger, item.parts[0].id),
            lambda: service.exchange.open_version(stranger, transfer),
            lambda: service.exchange.answer(stranger, item.delivery.id, AnswerKind.SEEN, "", {}),
        ):
            with pytest.raises(NotFound):
                attempt()
        assert service.findings() == []


def test_another_home_is_a_new_transfer_and_the_old_one_is_withdrawn(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        first = service.story(0)
        second = service.exchange.confirm_site(first, OTHER_HOME, service.worker)
        service.drain()
        assert second.id != first
        assert service.exchange.poll(service.caller())[0][-1].delivery.state is DeliveryState.WITHDRAWN
        assert service.exchange.poll(Caller(OTHER_HOME))[0][-1].delivery.number == 1
        assert service.findings() == []


def test_answers_are_appended_and_agreement_is_the_managers(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        transfer = service.story(0)
        item = service.exchange.open_version(service.caller(), transfer).item
        service.exchange.answer(service.caller(), item.delivery.id, AnswerKind.SEEN, "", {})
        with pytest.raises(Refused, match="agreed_not_allowed"):
            service.exchange.answer(service.caller(), item.delivery.id, AnswerKind.AGREED, "", {})
        service.exchange.answer(
            service.caller(service.manager), item.delivery.id, AnswerKind.AGREED, "", {"at": "2026-11-28T10:00:00+00:00"}
        )
        kinds = [answer["kind"] for answer in service.exchange.transfer_status(transfer, "RZZ01")["answers"]]
        assert kinds == ["seen", "agreed"]
        assert service.findings() == []


def test_someone_going_home_leaves_nothing_anywhere(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        person = people(service.clock())[0]
        raw = admission(person, service.clock.at).replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", b"5 Own Street^^Testmouth^^NM1 1AA")
        raw_letter = letter(person, service.clock.at).replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", b"5 Own Street^^Testmouth^^NM1 1AA")
        service.send(raw)
        service.send(raw_letter)
        service.drain()
        assert service.exchange.list_holds() == []
        assert service.exchange.store.read(lambda uow: uow.count(Transfer)) == 0
        assert service.exchange.poll(Caller(HOME)) == ([], False)
        service.clock.forward(days=15)
        assert service.exchange.erase_due() == 2
        rows = service.exchange.store.read(lambda uow: uow.find(Submission))
        assert {row.state for row in rows} == {"erased"}
        assert service.findings() == []


def test_a_letter_without_a_confirmed_home_is_held_until_somebody_confirms(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.story(0, confirmed=False)
        holds = service.exchange.list_holds()
        assert [(hold.kind, hold.owner != "", hold.deadline_at > hold.raised_at) for hold in holds] == [("unaddressed", True, True)]
        service.story(0)
        assert service.exchange.list_holds() == []
        assert service.findings() == []


def test_a_failed_check_holds_the_structured_version_and_the_letter_goes(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.exchange.check = lambda document, expected: broken_rules(without_a_medicine(document), expected)
        transfer = service.story(0)
        newest = service.exchange.poll(service.caller())[0][-1]
        assert newest.delivery.state is DeliveryState.CURRENT
        assert [part.media_type for part in newest.parts] == ["text/plain"]
        assert [(hold.kind, hold.transfer_id) for hold in service.exchange.list_holds()] == [("failed_check", transfer)]
        assert service.exchange.open_version(service.caller(), transfer).contents
        assert service.findings() == []


def without_a_medicine(document: Mapping[str, object]) -> dict[str, object]:
    """A document that lost one medicine on the way."""
    entries = document["entry"]
    assert isinstance(entries, list)
    lost = next((entry for entry in entries if entry["resource"]["resourceType"] == "MedicationStatement"), None)
    return {**document, "entry": [entry for entry in entries if entry is not lost]}


def test_a_contradicted_identity_holds_the_whole_stay_once_and_a_person_settles_it(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        person = people(service.clock())[0]
        service.send(admission(person, service.clock.at))
        wrong = letter(person, service.clock.at).replace(b"19420314", b"19420315")
        for number in range(3):
            service.send(wrong.replace(b"T02-V1001", b"T02-WRONG%d" % number))
        service.drain()
        service.send(letter(person, service.clock.at))
        service.drain()
        transfer = service.exchange.confirm_site(person.visit, HOME, service.worker).id
        service.drain()
        assert [(hold.kind, hold.code) for hold in service.exchange.list_holds()] == [("identity", "birth_date_differs")]
        assert service.exchange.poll(service.caller()) == ([], False)
        service.exchange.settle_hold(service.exchange.list_holds()[0].id, "release", service.worker, "checked")
        service.drain()
        assert service.exchange.transfer_status(transfer, "RZZ01")["version"] == 1
        assert service.exchange.list_holds() == []
        assert service.findings() == []


def test_doubts_about_people_who_go_home_raise_nothing(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        person = people(service.clock())[0]
        home = b"5 Own Street^^Testmouth^^NM1 1AA"
        raw = admission(person, service.clock.at).replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", home)
        service.send(raw)
        service.send(raw.replace(b"A01-V1001", b"A01-OTHER").replace(b"19420314", b"19420315"))
        service.drain()
        assert service.exchange.list_holds() == []
        assert service.findings() == []


def test_a_dead_person_is_held_until_somebody_has_checked(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        transfer = service.story(0)
        before = service.exchange.transfer_status(transfer, "RZZ01")["version"]
        person = people(service.clock())[0]
        service.clock.forward(hours=1)
        dead = admission(person, service.clock.at, "A08").replace(b"|" * 21 + b"01", b"|" * 19 + b"Y" + b"||" + b"01")
        assert b"Y||01" in dead
        service.send(dead)
        corrected = letter(person, service.clock.at).replace(b"chest infection", b"chest infection (corrected)").replace(b"T02-V", b"T10-V")
        service.send(corrected)
        service.drain()
        assert [hold.kind for hold in service.exchange.list_holds()] == ["dead"]
        assert service.exchange.transfer_status(transfer, "RZZ01")["version"] == before
        assert service.findings() == []


def test_a_hint_that_the_feed_takes_back_leaves_no_hold(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        person = people(service.clock())[0]
        own = b"5 Own Street^^Testmouth^^NM1 1AA"
        hint = admission(person, service.clock.at).replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", own)
        fields = hint.split(b"\r")
        pv1 = next(n for n, line in enumerate(fields) if line.startswith(b"PV1"))

        def with_destination(code: bytes, control_id: bytes) -> bytes:
            parts = fields[pv1].split(b"|")
            parts[37] = code
            return b"\r".join([*fields[:pv1], b"|".join(parts), *fields[pv1 + 1 :]]).replace(b"A01-V1001", control_id)

        service.send(with_destination(b"85", b"A01-HINT"))
        service.send(letter(person, service.clock.at).replace(b"1 Rehearsal Row^^Testmouth^^NM4 7QA", own))
        service.drain()
        assert [hold.kind for hold in service.exchange.list_holds()] == ["unaddressed"]
        service.send(with_destination(b"19", b"A08-BACK"))
        service.drain()
        assert service.exchange.list_holds() == []
        assert service.exchange.store.read(lambda uow: [t.state for t in uow.find(Transfer)]) == [TransferState.WITHDRAWN]
        assert service.findings() == []


@pytest.mark.parametrize("is_settled_before", [False, True])
def test_a_contradiction_that_came_while_the_discharge_was_off_is_seen_before_anything_leaves_again(
    tmp_path: Path, is_settled_before: bool
) -> None:
    with kit(tmp_path) as service:
        transfer, person = service.story(0), people(service.clock())[0]

        def contradiction(number: int) -> None:
            wrong = letter(person, service.clock.at).replace(person.born.encode(), b"19420315")
            service.send(wrong.replace(b"T02-V1001", b"T02-WRONG%d" % number))
            service.drain()

        if is_settled_before:
            contradiction(1)
            service.exchange.settle_hold(service.exchange.list_holds()[0].id, "release", service.worker, "checked")
            service.drain()
        before = service.exchange.transfer_status(transfer, "RZZ01")["version"]
        service.clock.forward(hours=1)
        service.send(admission(person, service.clock.at, "A13"))
        service.drain()
        contradiction(2)
        assert service.exchange.list_holds() == []
        service.clock.forward(hours=1)
        service.send(admission(person, service.clock.at, "A03"))
        service.drain()
        assert [hold.kind for hold in service.exchange.list_holds()] == ["identity"]
        assert service.exchange.transfer_status(transfer, "RZZ01")["version"] == before
        assert service.findings() == []
        service.exchange.settle_hold(service.exchange.list_holds()[0].id, "release", service.worker, "checked")
        service.drain()
        assert service.exchange.transfer_status(transfer, "RZZ01")["version"] == before + 1
        assert service.exchange.poll(service.caller())[0][-1].delivery.state is DeliveryState.CURRENT
        assert service.findings() == []


def test_a_damaged_event_is_parked_and_the_ones_behind_it_go_on(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.story(0)
        for body in ("{", "[]", "{}", "null"):
            event = service.exchange.store.write(lambda uow: transfers.emit(uow, "version.published", HOME, {}))
            service.exchange.store.write(lambda uow, e=event, b=body: uow.update(OutboxEvent, {"body": b}, id=e))  # type: ignore[misc]
        transfer = service.story(1)
        items = service.exchange.poll(service.caller())[0]
        assert transfer in {item.transfer.id for item in items}
        assert {hold.kind for hold in service.exchange.list_holds()} == {"undelivered"}
        assert len(service.exchange.list_holds()) == 4


def test_words_of_people_never_reach_a_plain_column(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        service.story(0)
        delivery = service.exchange.poll(service.caller())[0][-1].delivery.id
        with pytest.raises(Refused, match="from the list"):
            service.exchange.answer(service.caller(), delivery, AnswerKind.SEEN, "Mrs Testperson", {})
        service.send(b"MSH|^~\\&|X|Y|||1||ADT^A01|ID1|T|2.4\r")
        service.drain()
        hold = service.exchange.list_holds()[0].id
        with pytest.raises(Refused, match="word from the list"):
            service.exchange.settle_hold(hold, "release", service.worker, "Mrs Testperson")
        service.exchange.settle_hold(hold, "release", service.worker, "discarded")
        assert service.exchange.list_holds() == []
        assert service.findings() == []
