"""One evaluation of the rules: which badge, which gaps, who fixes each and by when. Pure; under 2 ms.

The gate decides the badge, never the delivery (architecture decision 1); an override never changes what is computed here.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, time, timedelta

from exchange.fhir.content import Content
from exchange.fhir.shape import LONDON, part, parts, text
from exchange.gate.facts import Found, GateInput, Profile, State, missing
from exchange.gate.rules import RULE_SET, RULE_SET_VERSION, RULES, Rule
from exchange.gate.verdicts import contact


@dataclass(frozen=True, slots=True)
class Gap:
    """Something missing. `state` missing or not established; `due` a FHIR dateTime, which is `evaluated_at` when `at_once`."""

    rule: str
    row: str
    title: str
    state: str
    owner: str
    due: str
    at_once: bool
    what: str
    why: str
    closes: str
    detail: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class GateResult:
    """`badge` is "papers complete", "n missing" or "letter only"; `gaps` are the STOPs that it counts, `warnings` the WARNs.
    `not_asked`: ids of unmet rules that the feed's profile does not ask ("This hospital does not send this")."""

    badge: str
    profile: str
    gaps: tuple[Gap, ...]
    warnings: tuple[Gap, ...]
    not_asked: tuple[str, ...]
    rule_set: str
    rule_set_version: str
    evaluated_at: str

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, as `wardpost gate` prints and the store keeps."""
        return asdict(self)


def gate_input(
    content: Content, document: Mapping[str, object], profile: Profile, *, now: str, is_returner: bool | None = None
) -> GateInput:
    """The input of a version just assembled, its document indexed."""
    entries = [(text(entry, "fullUrl"), part(entry, "resource")) for entry in parts(document, "entry")]
    by_type: dict[str, list[Found]] = {}
    for _, resource in entries:
        by_type.setdefault(text(resource, "resourceType"), []).append(resource)
    return GateInput(content, by_type, dict(entries), profile, now, is_returner)


def evaluate(facts: GateInput, rules: Iterable[Rule] = RULES) -> GateResult:
    """The result for one document, at `facts.now`."""
    profile = _profile_of(facts)
    due, at_once = due_for(facts.content.expected_leaving, facts.now)
    gaps: list[Gap] = []
    warnings: list[Gap] = []
    not_asked: list[str] = []
    for rule in rules:
        conflict = _conflict(facts.content, rule)
        verdict = missing(conflict) if conflict else rule.verdict(facts)
        if verdict.state is State.MET:
            continue
        # Two sources that contradict each other are a gap in every profile: "does not send this" would be untrue.
        if profile is Profile.LETTER_ONLY and not rule.in_letter_only and not conflict:
            not_asked.append(rule.id)
            continue
        who, state = rule.owner, verdict.state.value
        gap = Gap(rule.id, rule.row, rule.title, state, who, due, at_once, rule.what, rule.why, rule.closes, verdict.detail)
        (gaps if rule.force == "STOP" else warnings).append(gap)
    badge = f"{len(gaps)} missing" if gaps else "letter only" if profile is Profile.LETTER_ONLY else "papers complete"
    return GateResult(badge, profile.value, tuple(gaps), tuple(warnings), tuple(not_asked), RULE_SET, RULE_SET_VERSION, facts.now)


def _conflict(content: Content, rule: Rule) -> str:
    """The words of a contradiction between sources, which opens the STOP of its row whatever else was said; else ""."""
    return next((conflict.detail for conflict in content.conflicts if conflict.rule == rule.row and rule.force == "STOP"), "")


def _profile_of(facts: GateInput) -> Profile:
    """A feed of profile "letter only" is "letter and checked" for a transfer whose Supplement answers a–f (f may stand in the ward
    directory); whether the answers are good is for the rules. A structured feed stays one."""
    if facts.profile is Profile.STRUCTURED:
        return facts.profile
    stated = facts.content.stated
    a_to_e = (stated.full_list_in_letter, stated.changes, stated.critical, stated.last_doses, stated.bag)
    answers_all = None not in a_to_e and contact(facts).state is not State.MISSING
    return Profile.LETTER_AND_CHECKED if answers_all else facts.profile


def due_for(expected: str, now: str) -> tuple[str, bool]:
    """(due, at once): noon in London on the day before leaving (practice.md 2); without a day, or when that is past, at once."""
    try:
        day = date.fromisoformat(expected[:10])
    except ValueError:
        return now, True
    noon = datetime.combine(day - timedelta(days=1), time(12), LONDON)
    return (now, True) if noon <= datetime.fromisoformat(now) else (noon.isoformat(), False)
