"""The ward's form and the Supplement that it makes. A field has the name of its place in the Supplement: `changes.lines.0.status`. Pure.

A member is sent when one of its fields was changed, so that nobody restates in their own name what another said. Texts are kept character
for character; "I do not know" says nothing, and a blank row is no row.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exchange.fhir import codes
from exchange.fhir.content import Medicine
from exchange.fhir.shape import part, text, texts
from exchange.fhir.words import medicine_name
from exchange.gate.critical import critical_classes
from exchange.transfer.schema import SchemaIssue, SchemaRefused, schema
from exchange.transfer.supplement import check_supplement
from exchange.web.home.times import LONDON

Content = Mapping[str, object]
_YES_NO: Mapping[object, str] = {True: "yes", False: "no"}
_ANSWERS = {"yes": True, "no": False}
# A day and a time in two fields make one moment.
_CLOCKS = {"last_dose": "last_time", "promise": "promise_time"}
_ZONES = {"": "", "BST": "+01:00", "GMT": "+00:00"}
# What to do about a field that is needed, by its last name.
_NEEDED = {
    "medicine": "Name the medicine", "status": "Choose one", "present": "Say yes or no", "phone": "Write the telephone number",
    "name": "Write who decided it: a prescriber or a pharmacist", "role": "Say whether that is a prescriber or a pharmacist",
    "agent": "Write what the allergy is to", "form": "Say whether there is a form",
    "day": "Write the day", "code": "Say why", "promise": "Write until when the rest comes", "note": "Write who at the home agreed",
}  # fmt: skip
# One tap for what is usual, by the member that asks: its words, and what each field then says ("": who ticks it).
USUAL: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "last_doses": ("Every medicine is in the bag, and a copy of the drug chart", {
        "last_doses.chart_copy_in_bag": "yes", "bag.nothing_missing": "yes"}),
    "nursing": ("I checked today: skin intact, all lines and tubes out, no known infection. "
                "Moving, eating, continence and equipment are as before admission", {
        "nursing.skin": "Intact, checked today", "nursing.lines": "All out", "nursing.same_as_before": "yes", "nursing.says": "",
        "infection.status": "none known"}),
}  # fmt: skip
_CONTRADICTIONS = {
    "changes.nothing_changed": "You say that nothing changed, and a line below changed",
    "bag.nothing_missing": "You say that nothing is missing, and a line below is missing",
    "allergies.none_known": "You say that none are known, and one is listed below",
    "allergies.asked": "Tick what was asked about: drug, food or latex",
    "critical": "One kind is answered both yes and no",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """A posted form: the Supplement's content (empty: nothing is new), or what is wrong, field name → what to do."""

    content: Content = field(repr=False)
    errors: Mapping[str, str]


def leaves(content: object, name: str = "") -> Iterator[tuple[str, object]]:
    """(field name, value) of every value in a Supplement. A list of words gives one field for each word."""
    if isinstance(content, Mapping):
        for key, value in content.items():
            yield from leaves(value, f"{name}.{key}" if name else str(key))
    elif isinstance(content, list | tuple):
        for at, item in enumerate(content):
            yield from leaves(item, f"{name}.{at}") if isinstance(item, Mapping) else [(f"{name}.{item}", True)]
    else:
        yield name, content


def fields_of(content: Content) -> dict[str, str]:
    """The form filled in with a Supplement. A last dose is a day and a time in London."""
    found: dict[str, str] = {}
    for name, value in leaves(content):
        shown = _YES_NO.get(value) if isinstance(value, bool) else None
        if (clock := _clock_of(name)) and "T" in str(value):
            local = datetime.fromisoformat(str(value)).astimezone(LONDON)
            comes_twice = local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()
            found[clock] = f"{local:%H:%M}" + (f" {local.tzname()}" if comes_twice else "")
            shown = local.date().isoformat()
        found[name] = shown or str(value)
    return found


def suggested(fields: Mapping[str, str], medicines: Sequence[Medicine]) -> dict[str, str]:
    """The form with a row for each medicine of the hospital's list that waits for an answer: whether it changed, or, where its name is
    critical, its kind. `listed` beside the name says whose suggestion it is: one that nobody answers says nothing."""
    found = dict(fields)
    kinds = {value for name, value in fields.items() if name.startswith("critical.") and name.endswith(".class")}
    for medicine in medicines:
        name = medicine_name(medicine)
        rows = [("changes.lines", "")] if not medicine.change else []
        rows += [("critical", kind) for kind in sorted(critical_classes(name) - kinds) if medicine.change not in codes.NOT_TO_GIVE]
        for where, kind in rows:
            at = max((int(key[len(where) + 1 :].partition(".")[0]) for key in found if key.startswith(where + ".")), default=-1) + 1
            found |= {f"{where}.{at}.medicine": name, f"{where}.{at}.listed": name} | ({f"{where}.{at}.class": kind} if kind else {})
    return found


def _drop_suggestions(now: dict[str, str]) -> None:
    """A suggested name says nothing where its row says nothing more, or says no."""
    for mark in [name for name in now if name.endswith(".listed")]:
        row, listed = mark.rpartition(".")[0], now.pop(mark)
        said = {name.rpartition(".")[2]: value for name, value in now.items() if name.startswith(row + ".")}
        if said.get("medicine") == listed and (said.keys() <= {"class", "medicine"} or said.get("present") == "no"):
            del now[row + ".medicine"]


def _clock_of(name: str) -> str:
    """The field of the time that goes with a day's field; "" for every other field."""
    parent, _, last = name.rpartition(".")
    return f"{parent}.{_CLOCKS[last]}" if last in _CLOCKS else ""


def read_fields(posted: Mapping[str, str], base: Content, by: str = "") -> Filled:
    """The Supplement that a form posted by somebody makes over what was shown when it was opened."""
    known, was = dict(leaves(base)), fields_of(base)
    now = {name: value.replace("\r\n", "\n") for name, value in posted.items() if value.strip()}
    _drop_suggestions(now)
    if now.pop("critical.rest", ""):
        now |= _answer_rest(now)
    places: dict[str, str] = {}
    errors: dict[str, str] = {}
    for usual in [name for name in USUAL if now.pop(f"usual.{name}", "")]:
        for name, words in USUAL[usual][1].items():
            if now.setdefault(name, words or by) != words and words:
                errors[name] = "You tick the usual answer, and another stands here"

    def build(rule: Content, path: str, name: str) -> object:
        places[path] = name
        kinds = texts(rule, "type") or [text(rule, "type")]
        if "object" in kinds:
            members = {key: build(part(rule, "properties", key), f"{path}.{key}", f"{name}.{key}") for key in part(rule, "properties")}
            said = {key: value for key, value in members.items() if value is not None}
            return said if said.keys() - {"class"} else None
        if "array" in kinds and (words := texts(rule, "items", "enum")):
            return [word for word in words if f"{name}.{word}" in now] or None
        if "array" in kinds:
            rows: list[object] = []
            for at in sorted(
                {int(key[len(name) + 1 :].partition(".")[0]) for key in now if re.match(rf"{re.escape(name)}\.\d{{1,3}}\.", key)}
            ):
                row = build(part(rule, "items"), f"{path}[{len(rows)}]", f"{name}.{at}")
                rows += [row] if row is not None else []
            return rows or None
        return leaf(kinds, name)

    def leaf(kinds: list[str], name: str) -> object:
        clock = _clock_of(name)
        value, time = now.get(name), now.get(clock, "")
        if name in known and value is not None and _alike(value, was[name]) and time == was.get(clock, ""):
            return known[name]
        if clock and (value or time):
            try:
                return _moment(value or "", time)
            except ValueError as problem:
                errors[name] = str(problem)
                return None
        if value is None:
            return None
        if "boolean" in kinds:
            return _ANSWERS.get(value, value)
        return int(value) if "integer" in kinds and re.fullmatch(r"\d{1,9}", value, re.ASCII) else value

    content: dict[str, object] = {}
    for member in part(schema("supplement"), "properties").keys() - {"said_at"}:
        mine, before = _of(now, member), _of(was, member)
        if mine.keys() == before.keys() and all(_alike(mine[key], before[key]) for key in mine):
            continue
        said = build(part(schema("supplement"), "properties", member), member, member)
        if said is not None:
            content[member] = said
        elif before and not errors:
            errors[first_field(posted, member)] = "This was answered before: correct it, it cannot be emptied"
    errors = {**_mistakes(content, places), **errors}
    return Filled({} if errors else content, errors)


def _of(fields: Mapping[str, str], member: str) -> dict[str, str]:
    found = {name: value for name, value in fields.items() if name == member or name.startswith(member + ".")}
    # A row of the tick list that says no more than its kind says nothing.
    said = {name.rpartition(".")[0] for name in found if not name.endswith(".class")}
    return {name: value for name, value in found.items() if not name.endswith(".class") or name.rpartition(".")[0] in said}


def first_field(posted: Mapping[str, str], member: str) -> str:
    """The field that an error of a whole member stands beside."""
    return next((name for name in posted if name == member or name.startswith(member + ".")), member)


def _alike(one: str, other: str) -> bool:
    """A browser's one-line field loses the line breaks of a text that came another way; that is no change."""
    return one == other or ("\n" not in one and re.sub("[\r\n]", "", one) == re.sub("[\r\n]", "", other))


def _answer_rest(now: Mapping[str, str]) -> dict[str, str]:
    """ "No" to each kind of critical medicine of which nothing was said."""
    rows = {name.rpartition(".")[0]: kind for name, kind in now.items() if re.fullmatch(r"critical\.\d{1,3}\.class", name)}
    said = {row for row in rows if any(name.startswith(row + ".") and not name.endswith(".class") for name in now)}
    answered = {rows[row] for row in said}
    return {f"{row}.present": "no" for row, kind in rows.items() if row not in said and kind not in answered}


def _moment(day: str, time: str) -> str:
    """A FHIR date or dateTime from a London day and time as typed. Raises ValueError with what to do."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", day, re.ASCII):
        raise ValueError("Write the day")
    found = re.fullmatch(r"([01]?\d|2[0-3])[:.]([0-5]\d) ?(BST|GMT|)", time.strip().upper(), re.ASCII)
    if time.strip() and found is None:
        raise ValueError("Write the time as 22:00")
    try:
        local = datetime.fromisoformat(f"{day}T{int(found[1]):02}:{found[2]}:00" if found else day)
    except ValueError:
        raise ValueError("This day does not exist") from None
    if found is None:
        return day
    first, second = (local.replace(tzinfo=LONDON, fold=fold) for fold in (0, 1))
    offsets = {moment.isoformat()[-6:] for moment in (first, second)}
    if first.utcoffset() < second.utcoffset():  # type: ignore[operator]  # London always has an offset
        raise ValueError("This time does not exist: the clocks went forward")
    if len(offsets) > 1 and not found[3]:
        raise ValueError(f"{found[1]}:{found[2]} came twice that night: write BST after it for the first, GMT for the second")
    if found[3] and _ZONES[found[3]] not in offsets:
        raise ValueError("The clocks showed another zone that day: leave BST or GMT out")
    return local.isoformat() + (_ZONES[found[3]] or offsets.pop())


def _mistakes(content: Content, places: Mapping[str, str]) -> dict[str, str]:
    issues: tuple[SchemaIssue, ...] = ()
    try:
        check_supplement(content)
    except SchemaRefused as problem:
        issues = problem.issues
    found: dict[str, str] = {}
    for path, words in (*issues, *_unsaid(content)):
        parent, _, last = path.rpartition(".")
        told = _CONTRADICTIONS.get(path) or (_NEEDED.get(last, "Fill this in") if "is required" in words else f"This {words}")
        name = places.get(path) or f"{places.get(parent, parent)}.{last}".strip(".")
        found.setdefault(name, told)
    return found


def _unsaid(content: Content) -> Iterator[SchemaIssue]:
    """What the form asks beyond the schema: line b names who decided it; "no" and a medicine do not go together."""
    changes = content.get("changes")
    if isinstance(changes, Mapping) and "decided_by" not in changes:
        yield SchemaIssue("changes.decided_by.name", "is required")
    rows = content.get("critical")
    for at, row in enumerate(rows if isinstance(rows, list) else []):
        if row.get("present") is False and row.keys() - {"class", "present"}:
            yield SchemaIssue(f"critical[{at}].present", "is no, and something is written below it")
