"""A Task as answer: what is read of it, and what is refused by name."""

import json

import pytest

from exchange.errors import Refused
from exchange.model import AnswerKind
from exchange.web.fhir.task import read_answer

BASE = {"resourceType": "Task", "id": "t1", "intent": "order"}


def task(status: str, business: str, **more: object) -> bytes:
    return json.dumps({**BASE, "status": status, "businessStatus": {"coding": [{"code": business}]}, **more}).encode()


def test_each_kind_is_read() -> None:
    reason = {"coding": [{"code": "D01"}], "text": "Full"}
    start = {"period": {"start": "2026-11-28T10:00:00+00:00"}}
    assert read_answer(task("in-progress", "seen"), "t1").kind is AnswerKind.SEEN
    assert read_answer(task("accepted", "can-take", restriction=start), "t1").content == {"at": "2026-11-28T10:00:00+00:00"}
    found = read_answer(task("rejected", "cannot", statusReason=reason), "t1")
    assert (found.kind, found.reason_code, found.content) == (AnswerKind.CANNOT, "D01", {"note": "Full"})


@pytest.mark.parametrize("code", ["D77", "Q01", "d01", " "])
def test_a_reason_that_is_not_in_the_list_is_refused(code: str) -> None:
    with pytest.raises(Refused, match="task_invalid"):
        read_answer(task("rejected", "cannot", statusReason={"coding": [{"code": code}]}), "t1")
