"""Read an answer from the Task that a home's software writes. `fhir.resources` reads it: small, strict, off the hot path."""

from dataclasses import dataclass

from exchange.errors import Refused
from exchange.fhir.json import load_strict
from exchange.fhir.typed import read_task
from exchange.model import AnswerKind
from exchange.web.fhir.views import TASK
from exchange.web.home.answers import ASK, CANNOT

_KINDS = {business: kind for kind, (_, business) in TASK.items()}


@dataclass(frozen=True, slots=True)
class GivenAnswer:
    """One answer as sent: `person` is the id of the named person who gave it ("" when the software does not say)."""

    kind: AnswerKind
    reason_code: str
    content: dict[str, object]
    person: str


def read_answer(body: bytes, task_id: str) -> GivenAnswer:
    """Raises JsonRefused, Refused `task_invalid` with what to change."""
    raw = load_strict(body)
    task = read_task(raw)
    if task.id != task_id:
        raise _invalid("its id is not the one of the address")
    business = task.code_of("businessStatus")
    kind = _KINDS.get(business)
    if kind is None:
        raise _invalid("businessStatus is none of: " + ", ".join(sorted(_KINDS)))
    if task.status != TASK[kind][0]:
        raise _invalid(f"status must be {TASK[kind][0]} with businessStatus {business}")
    content: dict[str, object] = {}
    if task.note:
        content["note"] = task.note
    if task.starts_at:
        content["at"] = task.starts_at
    if task.conditions and kind is AnswerKind.CAN_TAKE:
        content["conditions"] = list(task.conditions)
    if kind is AnswerKind.CAN_TAKE and not task.starts_at:
        raise _invalid("restriction.period.start says when the home can take the person; it is missing")
    reason, known = task.code_of("statusReason"), CANNOT if kind is AnswerKind.CANNOT else ASK
    if reason and reason not in known:
        raise _invalid("statusReason is none of: " + ", ".join(known))
    return GivenAnswer(kind, reason, content, task.person)


def _invalid(why: str) -> Refused:
    return Refused("task_invalid", f"This Task is no answer: {why}.", next_step="See docs/data-model.md, Task and Answer.")
