"""The ward's two-minute form as a view: lines a–f of practice.md 4, then what else can be missing. A done line is one row. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from markupsafe import Markup, escape

from exchange.fhir import codes
from exchange.fhir.shape import joined
from exchange.fhir.stated import Bag, Changes, Stated
from exchange.gate.evaluate import GateResult
from exchange.gate.facts import Profile, Who
from exchange.transfer.assemble import merge
from exchange.transfer.publish import Look
from exchange.web.board.view import Row
from exchange.web.board.ward_form import USUAL, fields_of, suggested
from exchange.web.home import times
from exchange.web.home.page import Gap
from exchange.web.home.view import read_gaps

SPARE_ROWS = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the form: `state` gap, done or unasked; `member` what it states; `told` its answer in one row; `asks` what the gate
    still wants of it; `usual` the words of its one-tap answer."""

    letter: str
    member: str
    title: str
    state: str
    told: str = field(repr=False)
    source: str = field(repr=False)
    asks: tuple[str, ...] = field(repr=False)
    usual: str


@dataclass(frozen=True, slots=True)
class WardPage:
    """`fields` are what the inputs hold, kept as typed; `rows` the indexes to draw of each list; `base` the newest Supplement it shows."""

    title: str
    row: Row
    base: str
    steps: tuple[Step, ...]
    more: tuple[Step, ...]
    unasked: tuple[Step, ...]
    fields: Mapping[str, Markup] = field(repr=False)
    errors: Mapping[str, str]
    error_list: tuple[Mapping[str, str], ...]
    rows: Mapping[str, Sequence[int]]
    critical: tuple[tuple[int, str, str], ...]
    gaps: tuple[Gap, ...]
    badge_now: str
    elsewhere: tuple[Gap, ...]
    is_letter_only: bool
    made: str


def _changes(changes: Changes) -> str:
    said = [line.status for line in changes.lines]
    counted = ", ".join(f"{said.count(status)} {status}" for status in codes.CHANGES if status in said)
    return counted or ("Nothing changed" if changes.nothing_changed else "")


def _bag(bag: Bag) -> str:
    return joined(
        ", ", f"{bag.items} items" if bag.items is not None else "",
        f"supply for {bag.shortest_supply_days} days or more" if bag.shortest_supply_days is not None else "",
        f"seal {bag.controlled.seal}" if bag.controlled.seal else "",
        "nothing missing" if bag.nothing_missing else f"{len(bag.missing)} missing, planned" if bag.missing else "",
    )  # fmt: skip


class Line(NamedTuple):
    """A line of the form; `rules` begin the ids of the gate's rules that it answers, `tell` puts its member's answer in one row."""

    letter: str
    member: str
    title: str
    rules: tuple[str, ...]
    tell: Callable[[Any], str]

    def covers(self, rule: str) -> bool:
        return bool(self.rules) and rule.startswith(self.rules)


# The first six are the letters of practice.md 4.
LINES = (
    Line("a", "full_list_in_letter", "Full medicines list", ("11",), lambda a: "In the signed letter" if a else "Not in the signed letter"),
    Line("b", "changes", "Stopped, held, new and changed", ("12",), _changes),
    Line("c", "critical", "Critical medicines", ("16-last", "16-kinds", "17", "18", "21", "22"),
         lambda c: ", ".join(dict.fromkeys(line.medicine for line in c if line.present)) or ("None of these" if c else "")),
    Line("d", "last_doses", "Other last doses", ("16-chart",),
         lambda d: "A copy of the drug chart is in the bag" if d.chart_copy_in_bag else ""),
    Line("e", "bag", "The bag", ("19", "20"), _bag),
    Line("f", "contact", "Number that answers now", ("07",), lambda f: joined(", ", f.phone, f.who, f.hours)),
    Line("g", "nursing", "Skin, lines and daily care", ("27", "28", "33", "34", "35"),
         lambda g: joined(", ", g.skin, g.lines, "the rest as before admission" if g.same_as_before else "")),
    Line("h", "resuscitation", "Resuscitation form (DNACPR)", ("36",),
         lambda h: {"yes": "There is a form", "no": "There is no form"}.get(h.form, "")),
    Line("i", "infection", "Infection", ("26",), lambda i: joined(": ", i.status.capitalize(), i.text)),
    Line("j", "allergies", "Allergies", ("10",), lambda j: joined(", ", *(one.agent for one in j.list)) or (
         f"None known ({', '.join(j.asked)})" if j.none_known else "")),
    Line("k", "person", "Who comes", ("05", "08-gp", "38"),
         lambda k: joined(", ", codes.PERSONS.get(k.kind, ""), "end of life" if k.end_of_life else "", k.gp)),
    Line("l", "leaving", "The journey", ("03", "42"), lambda j: joined(", ", j.window, j.transport, j.escort)),
    Line("m", "plan", "Follow-up and what was given", ("24", "16-given"), lambda m: joined(", ", m.follow_up, m.given)),
    Line("n", "override", "Send before it is complete", (), lambda n: codes.OVERRIDES[n.code]),
)  # fmt: skip
_TITLES = {line.member: line.title for line in LINES}


def known_before(look: Look, base: str) -> dict[str, object]:
    """What a form that was opened at Supplement `base` showed: the newest statements up to it, and the directory's number for the ward."""
    ids = [supplement.id for supplement in look.supplements]
    shown = look.supplements[: ids.index(base) + 1] if base in ids else ()
    members, _ = merge(shown)
    if "contact" not in members and look.directory is not None:
        members["contact"] = {name: value for name, value in msgspec.to_builtins(look.directory).items() if value}
    return members


def ward_page(
    row: Row, look: Look, now: datetime, *, typed: Mapping[str, str] | None = None, errors: Mapping[str, str] | None = None, more: str = ""
) -> WardPage:
    """The form of one transfer; with `typed`, as it was posted. `more`: the list, or kind as `critical.insulin`, that gets more rows."""
    supplements, _, gate, medicines = look
    base = supplements[-1].id if supplements else ""
    members = known_before(look, base)
    stated, errors = msgspec.convert(members, Stated), dict(errors or {})
    fields = dict(typed) if typed is not None else suggested(fields_of(members), medicines)
    _, said = merge(supplements)
    spoken = {name: f"{s.person}, {times.said(s.said_at, now, short=True)}" for name, s in said.items()}
    steps = [_step(line, stated, members, gate, errors, spoken) for line in LINES]
    rows = {
        name: _rows(fields, name, SPARE_ROWS * (2 if more == name else 1)) for name in ("changes.lines", "bag.missing", "allergies.list")
    }
    gaps = read_gaps(msgspec.to_builtins(gate), "gaps", row.ward, now) if gate else ()
    open_steps = sum(step.state == "gap" for step in steps)
    return WardPage(
        title=f"{row.name}: " + (f"{open_steps} line{'s'[: open_steps != 1]} to answer" if open_steps else "nothing left to answer"),
        row=row,
        base=base,
        steps=tuple(steps[:6]),
        more=tuple(step for step in steps[6:] if step.state != "unasked"),
        unasked=tuple(step for step in steps if step.state == "unasked"),
        fields={name: Markup(escape(value)) for name, value in fields.items()},  # noqa: S704  # escaped here: an input keeps what was typed
        errors=errors,
        error_list=tuple(
            {"text": f"{_TITLES.get(name.partition('.')[0], '')}: {words}", "href": f"#{name}"} for name, words in errors.items()
        ),
        rows=rows,
        critical=tuple(_ticks(fields, more.removeprefix("critical."))),
        gaps=gaps,
        badge_now=gate.badge if gate else "",
        elsewhere=tuple(gap for gap in gaps if not any(line.covers(gap.rule) for line in LINES)),
        is_letter_only=_is_letter_only(gate),
        made=times.at(now, now),
    )


def _step(line: Line, stated: Stated, members: Mapping[str, object], gate: GateResult | None, errors: Mapping[str, str],
          said: Mapping[str, str]) -> Step:  # fmt: skip
    """A–f are asked until they are answered or the hospital's list answers them, the rest when the gate asks. A letter-only feed's a–f
    are always asked: the answers make it more."""
    open_gaps, warned = ([gap for gap in gaps if line.covers(gap.rule)] for gaps in ((gate.gaps, gate.warnings) if gate else ((), ())))
    is_first, is_said = line in LINES[:6], line.member in members
    is_wrong = any(name == line.member or name.startswith(line.member + ".") for name in errors)
    is_here = gate is not None and not (is_first and _is_letter_only(gate)) and any(
        came == "met" and line.covers(rule) for rule, came in gate.lines.items())  # fmt: skip
    is_open = is_wrong or bool(open_gaps) or (is_first and not is_said and not is_here)
    answer = getattr(stated, line.member)
    told = (line.tell(answer) if answer is not None else "") or (
        "The home sees “not given”" if warned else "Came with the papers" if is_here else ""
    )
    source = said.get(line.member) or ("The ward's directory" if is_said else "The hospital's systems" if is_here and not warned else "")
    is_unasked = not (is_open or is_said or is_first or (is_here and not warned))
    usual, answers = USUAL.get(line.member, ("", {}))
    is_new = gate is not None and Who.NEW_RESIDENT in gate.person.split(", ")  # nothing is "as before" for them
    if any(name.partition(".")[0] in members for name in answers) or (is_new and "nursing.same_as_before" in answers):
        usual = ""
    state = "gap" if is_open else "unasked" if is_unasked else "done"
    return Step(line.letter, line.member, line.title, state, told, source, tuple(gap.detail or gap.what for gap in open_gaps if is_said),
                usual)  # fmt: skip


def _is_letter_only(gate: GateResult | None) -> bool:
    return gate is not None and gate.profile == Profile.LETTER_ONLY


def _rows(fields: Mapping[str, str], name: str, spare: int) -> Sequence[int]:
    """Each row that holds something, and some empty ones."""
    used = {int(at) for key, value in fields.items() if value.strip() and key.startswith(name + ".")
            and (at := key[len(name) + 1 :].partition(".")[0]).isdecimal() and len(at) < 3}  # fmt: skip
    return range(min(100, max(used, default=-1) + 1 + spare))


def _ticks(fields: Mapping[str, str], more: str) -> Sequence[tuple[int, str, str]]:
    """(index, class, its words) of each row of the tick list: the filled ones, then each class that has none."""
    filled = {int(at): kind for key, kind in fields.items() if key.startswith("critical.") and key.endswith(".class")
              and (at := key.split(".")[1]).isdecimal() and len(at) < 3 and kind in codes.CRITICAL}  # fmt: skip
    free = (at for at in range(99) if at not in filled)
    missing = [kind for kind in codes.CRITICAL if kind not in filled.values()]
    found = [*filled.items(), *((next(free), kind) for kind in missing)]
    if more in codes.CRITICAL:
        found.append((next(free), more))
    order = list(codes.CRITICAL)
    return [(at, kind, codes.CRITICAL[kind]) for at, kind in sorted(found, key=lambda each: (order.index(each[1]), each[0]))]
