"""One evaluation of the rules: which badge, which gaps, who fixes each and by when. Pure; under 2 ms.

The gate decides the badge, never the delivery (architecture decision 1); an override never changes what is computed here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from exchange.fhir import codes
from exchange.fhir.content import Content
from exchange.fhir.shape import LONDON, part, parts, spoken, text
from exchange.gate.facts import Found, GateInput, Profile, State, Verdict, Who, missing
from exchange.gate.rules import RULE_SET, RULE_SET_VERSION, RULES, STRICT, STRICT_SET, Force, Rule
from exchange.gate.verdicts import contact

NOT_ASKED = "not asked"
# The rule that a contradiction of a row opens: its first STOP.
CONFLICTS = {next(rule.id for rule in RULES if rule.row == row and rule.force == "STOP"): row for row in ("10", "11", "12", "16", "19")}
# What two sources say of a medicine differently is pharmacy's, whoever answers the rule else (practice.md 3).
MEDICINES = ("11", "12", "16", "19")


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
    `not_asked`: ids of unmet rules that the feed's profile does not ask ("This hospital does not send this"). `lines` explains the
    badge: what came of every rule, by id. `person`: who comes, as the ward says it; `override`: the words of who sent it with gaps;
    `look_again`: the instant from which the passing of time alone gives another result, "" when none does."""

    badge: str
    profile: str
    gaps: tuple[Gap, ...]
    warnings: tuple[Gap, ...]
    not_asked: tuple[str, ...]
    rule_set: str
    rule_set_version: str
    evaluated_at: str
    person: str = ""
    lines: Mapping[str, str] = field(default_factory=dict)
    override: str = field(default="", repr=False)
    look_again: str = ""

    def to_dict(self) -> dict[str, object]:
        """Plain JSON, as `wardpost gate` prints and the store keeps."""
        return asdict(self)


def gate_input(
    content: Content,
    document: Mapping[str, object],
    profile: Profile,
    *,
    now: str,
    due: tuple[str, bool] = ("", True),
    not_sent: tuple[str, ...] = (),
    is_strict: bool = False,
) -> GateInput:
    """The input of a version just assembled, its document indexed."""
    entries = [(text(entry, "fullUrl"), part(entry, "resource")) for entry in parts(document, "entry")]
    by_type: dict[str, list[Found]] = {}
    for _, resource in entries:
        by_type.setdefault(text(resource, "resourceType"), []).append(resource)
    return GateInput(content, by_type, dict(entries), profile, now, (due[0] or now, due[1]), not_sent, is_strict)


def evaluate(facts: GateInput, rules: Sequence[Rule] = RULES) -> GateResult:
    """The result for one document, at `facts.now`."""
    profile, now = _profile_of(facts), datetime.fromisoformat(facts.now)
    promise, last_day = promised_until(facts.content), last_day_begins(facts.content)
    is_broken = promise is not None and promise <= now
    found: dict[Force, dict[str, Gap]] = {"STOP": {}, "WARN": {}}
    lines: dict[str, str] = {}
    for rule in rules:
        conflict = next((each.detail for each in facts.content.conflicts if each.rule and each.rule == CONFLICTS.get(rule.id)), "")
        force = _force(rule, facts)
        verdict = missing(conflict) if conflict else rule.verdict(facts) if force else None
        rule = rule._replace(owner="pharmacy") if conflict and rule.row[:2] in MEDICINES else rule
        # Two sources that contradict each other are a gap for everybody: "does not send this" would be untrue.
        if verdict is None:
            lines[rule.id] = "does not apply"
        elif verdict.state is State.MET:
            lines[rule.id] = "met"
        elif not conflict and (profile not in rule.asked_by or (force == "WARN" and rule.id in facts.not_sent)):
            lines[rule.id] = NOT_ASKED
        elif not conflict and verdict.state is State.NOT_ESTABLISHED and rule.asks_with in found["STOP"]:
            lines[rule.id] = f"asked by {rule.asks_with}"
        else:
            lines[rule.id] = verdict.state.value
            force = force or rule.force or "STOP"
            found[force][rule.id] = _gap(rule, facts, verdict, promise if is_broken and force == "STOP" else None)
    gaps, warnings = (tuple(found[force].values()) for force in ("STOP", "WARN"))
    badge = f"{len(gaps)} missing" if gaps else "letter only" if profile is Profile.LETTER_ONLY else "papers complete"
    not_asked = tuple(rule for rule, line in lines.items() if line == NOT_ASKED)
    who, why = ", ".join(facts.who), _override(facts.content, is_broken) if gaps else ""
    waits = [last_day if any(rule.in_last_day and rule.id in found["WARN"] for rule in rules) else None, promise if gaps else None]
    rule_set = STRICT_SET if facts.is_strict else RULE_SET
    again = min((each for each in waits if each and each > now), default=None)
    return GateResult(
        badge, profile, gaps, warnings, not_asked, rule_set, RULE_SET_VERSION, facts.now, who, lines, why,
        again.isoformat() if again else "",
    )  # fmt: skip


def _gap(rule: Rule, facts: GateInput, verdict: Verdict, broken: datetime | None) -> Gap:
    """A gap of its owner; one that an override promised to close by a moment that has passed is the discharge contact's."""
    (due, at_once), owner, detail = facts.due, rule.owner, verdict.detail
    if broken is not None:
        said = f"Promised until {spoken(facts.content.stated.override.promise)}"  # type: ignore[union-attr]  # whose promise it is
        due, at_once, owner, detail = broken.isoformat(), False, "discharge contact", ". ".join(filter(None, (detail, said)))
    return Gap(rule.id, rule.row, rule.title, verdict.state.value, owner, due, at_once, rule.what, rule.why, rule.closes, detail)


def _force(rule: Rule, facts: GateInput) -> Force:
    """A rule's class for this person at this moment; the last word of practice.md 4's rule sets is the end of life's."""
    force = rule.force
    for who in facts.who:
        force = rule.force_for.get(who, force)
    if force and rule.in_last_day and (begins := last_day_begins(facts.content)) and begins <= datetime.fromisoformat(facts.now):
        force = rule.in_last_day
    return "STOP" if force == "WARN" and facts.is_strict and rule.id in STRICT else force


def last_day_begins(content: Content) -> datetime | None:
    """When 24 hours are left; of a day without a time the midnight before the day before, for midnight is no time (practice.md 2)."""
    return _moment(expected_of(content), -1, -1)


def promised_until(content: Content) -> datetime | None:
    """When the promise of an override has passed; a day is kept until it is over."""
    return _moment(content.stated.override.promise, 0, 1) if content.stated.override else None


def _moment(said: str, days: int, days_of_a_date: int) -> datetime | None:
    """A FHIR dateTime, or a date's midnight in London, moved by days; None: it is none."""
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return None
    if len(said) > 10:
        return found + timedelta(days=days)
    return found.replace(tzinfo=LONDON) + timedelta(days=days_of_a_date)


def expected_of(content: Content) -> str:
    """The day or moment of leaving: the hospital's system's, else the day that a person promised; "" when nobody said."""
    promised = content.stated.leaving
    return content.expected_leaving or (promised.day if promised else "")


def _override(content: Content, is_broken: bool) -> str:
    """Who sent the papers before they were complete, why, and until when the rest is promised. It changes nothing else here."""
    said, statement = content.stated.override, content.said.get("override")
    if said is None or not said.code:
        return ""
    by = f"{statement.person}, {statement.role}, " if statement else ""
    is_kept = "was promised, and has not come," if is_broken else "is promised"
    promise = f". The rest {is_kept} until {spoken(said.promise)}" if said.promise else ""
    note = f". {said.note}" if said.note else ""
    return f"{by}chose to send these papers before they were complete: {codes.OVERRIDES[said.code].lower()}{note}{promise}."


def _profile_of(facts: GateInput) -> Profile:
    """A feed of profile "letter only" is "letter and checked" for a transfer whose Supplement answers a–f (f may stand in the ward
    directory), "emergency return" where the ward says that it is one; whether the answers are good is for the rules."""
    if facts.profile in (Profile.STRUCTURED, Profile.EMERGENCY_RETURN):
        return facts.profile
    stated = facts.content.stated
    if Who.EMERGENCY_RETURN in facts.who and None not in (stated.changes, stated.plan):
        return Profile.EMERGENCY_RETURN
    a_to_e = (stated.full_list_in_letter, stated.changes, stated.critical, stated.last_doses, stated.bag)
    answers_all = None not in a_to_e and contact(facts).state is not State.MISSING
    return Profile.LETTER_AND_CHECKED if answers_all else facts.profile
