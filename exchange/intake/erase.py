"""Erase the raw bytes of people who do not go to a home, when their day has come."""

from exchange.audit.events import About, record
from exchange.model import Caller, SubmissionState
from exchange.ports import UnitOfWork
from exchange.records import DataKey, Stay, Submission, Transfer


def erase_due(uow: UnitOfWork) -> int:
    """Erase what is due and belongs to no transfer, 200 at a time, and a stay with its last message; how many."""
    erased = 0
    for submission in uow.find(Submission, order="erase_after", limit=200, erase_after__le=uow.now, state__ne=SubmissionState.ERASED):
        if submission.stay_id is not None and uow.count(Transfer, stay_id=submission.stay_id):
            uow.update(Submission, {"erase_after": None}, id=submission.id)
            continue
        uow.delete(DataKey, owner_kind="submission", owner_id=submission.id)
        gone: dict[str, object] = {"content": None, "source_id": None, "digest": None, "stay_id": None, "erase_after": None}
        uow.replace(submission, **gone, state=SubmissionState.ERASED)
        record(uow, "data.erased", Caller(submission.sender_org), About(submission.id), code="not_for_a_home")
        if submission.stay_id is not None and not uow.count(Submission, stay_id=submission.stay_id):
            uow.delete(DataKey, owner_kind="stay", owner_id=submission.stay_id)
            uow.delete(Stay, id=submission.stay_id)
        erased += 1
    return erased
