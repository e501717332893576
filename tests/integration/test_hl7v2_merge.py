"""A40 and A60 in the service: a stay is found by the sender's local id; identities are merged by the sender's word and never guessed."""

from pathlib import Path

from exchange.records import Hold, Stay, Submission
from exchange.transfer.match import read_identity
from tests.app_kit import Kit, kit

NHS, OTHER = "9990000018^^^NHS^NH", "9990000026^^^NHS^NH"


def say(service: Kit, number: int, event: str, ids: str, *more: str, born: str = "19380514") -> str:
    head = f"MSH|^~\\&|PAS|RZZ01|W|RZZ01|202611271{number:02}000||ADT^{event}|C{number}|P|2.4||||||UNICODE UTF-8"
    found = service.send("\r".join((head, f"EVN|{event}|20261127160000", f"PID|1||{ids}||Testperson^Ada||{born}|F", *more)).encode())
    service.drain()
    return found


def one_of(service: Kit, submission: str) -> Submission:
    found = service.exchange.store.read(lambda uow: uow.get(Submission, submission))
    assert found is not None
    return found


def test_a_merge_gives_the_stay_of_the_old_id_the_identity_that_it_lacked(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        visit = "PV1|1|I|W05^^^RZZ01||||||||||||||||V0001"
        unknown = one_of(service, say(service, 10, "A01", "X9^^^RZZ01^PI", visit))
        merged = one_of(service, say(service, 11, "A40", f"{NHS}~X1^^^RZZ01^PI", "MRG|X9^^^RZZ01^PI"))
        assert merged.stay_id == unknown.stay_id
        assert merged.state == "read"
        (stay,) = service.exchange.store.read(lambda uow: uow.find(Stay))
        known = read_identity(stay.identity)
        assert (known.nhs_number, known.local_id.rpartition("|")[2], known.visit_id) == ("9990000018", "X1", "V0001")
        later = one_of(service, say(service, 12, "A60", "X1^^^RZZ01^PI", "IAM|1|DA|^Penicillin|||A"))
        assert later.stay_id == unknown.stay_id
        assert service.findings() == []


def test_a_merge_that_contradicts_is_kept_aside_and_settles_nothing(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        visit = "PV1|1|I|W05^^^RZZ01||||||||||||||||V0001"
        say(service, 10, "A01", f"{OTHER}~X9^^^RZZ01^PI", visit)
        merged = one_of(service, say(service, 11, "A40", f"{NHS}~X1^^^RZZ01^PI", "MRG|X9^^^RZZ01^PI"))
        assert (merged.state, merged.reason) == ("held", "nhs_number_differs")
        (stay,) = service.exchange.store.read(lambda uow: uow.find(Stay))
        assert read_identity(stay.identity).nhs_number == "9990000026"
        assert service.exchange.store.read(lambda uow: uow.find(Hold, transfer_id=None)) == []
        assert service.findings() == []


def test_a_merge_of_somebody_else_is_not_used(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        say(service, 10, "A01", "X9^^^RZZ01^PI", "PV1|1|I|W05^^^RZZ01||||||||||||||||V0001")
        merged = one_of(service, say(service, 11, "A40", "X2^^^RZZ01^PI", "MRG|X3^^^RZZ01^PI"))
        assert (merged.state, merged.reason, merged.stay_id) == ("not_used", "no stay of this person here", None)
