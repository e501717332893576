"""The one module that knows `fhir.resources`: it reads the small resources that clients write. It never writes a document."""

from dataclasses import dataclass, field

from exchange.errors import Refused


@dataclass(frozen=True, slots=True)
class ReadTask:
    """What we use of a Task. `person`: who answered, from note.authorReference.identifier; "" when the software does not say."""

    id: str
    status: str
    codes: dict[str, str]
    note: str = field(repr=False)
    starts_at: str
    person: str
    conditions: tuple[str, ...] = field(default=(), repr=False)

    def code_of(self, element: str) -> str:
        """The first code of a CodeableConcept element, "" when absent."""
        return self.codes.get(element, "")


def read_task(raw: object) -> ReadTask:
    """A FHIR R4 Task from parsed JSON. Raises Refused `task_invalid` naming the wrong elements, never their values."""
    # Imported at first use: 180 ms and 38 MB that the rest of the service does not need.
    from fhir.resources.R4B.task import Task
    from pydantic import ValidationError

    if not isinstance(raw, dict) or raw.get("resourceType") != "Task":
        raise Refused("task_invalid", "This is no Task.", next_step="Send the Task that you read, changed.")
    try:
        task = Task.model_validate(raw)
    except (ValidationError, ValueError) as problem:
        # A name that is no element of a Task may be anything, and is not repeated.
        known = set(Task.model_fields)
        first = {str(e["loc"][0]) if e["loc"] else "Task" for e in problem.errors()} if isinstance(problem, ValidationError) else {"Task"}
        where = sorted({name if name in known or name == "Task" else "a member that FHIR does not know" for name in first})
        raise Refused(
            "task_invalid", "This Task does not fit FHIR R4 at: " + ", ".join(where[:10]) + ".", next_step="Mend these."
        ) from None
    codes = {}
    for name in ("businessStatus", "statusReason"):
        concept = getattr(task, name)
        if concept is not None and concept.coding:
            codes[name] = str(concept.coding[0].code or "")
    conditions = tuple(str(one.valueString) for one in task.output or () if one.valueString and _is_condition(one.type))
    reason = task.statusReason.text if task.statusReason is not None and not conditions else None
    note = reason or (task.note[0].text if task.note else "")
    period = task.restriction.period if task.restriction is not None else None
    starts = raw["restriction"]["period"].get("start", "") if period is not None else ""
    author = task.note[0].authorReference if task.note else None
    person = str(author.identifier.value or "") if author is not None and author.identifier is not None else ""
    return ReadTask(str(task.id or ""), str(task.status), codes, str(note or ""), str(starts), person.removeprefix("urn:uuid:"), conditions)


def _is_condition(concept: object) -> bool:
    codings = getattr(concept, "coding", None) or ()
    return any((coding.system, coding.code) == ("https://fhir.wardpost.example/CodeSystem/task", "condition") for coding in codings)
