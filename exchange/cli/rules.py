"""The gate's rules, for people who have to trust a badge: what is asked, of whom, what closes it, and what is not looked at yet."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.door import By, Data, service, show
from exchange.fhir.shape import joined, part, parts, spoken, text
from exchange.gate.evaluate import NOT_ASKED
from exchange.gate.rows import SOURCES, not_yet_evaluated, rows_of
from exchange.gate.rules import RULE_SET, RULE_SET_VERSION, RULES, STRICT, Rule

rules = typer.Typer(help="The gate's rules: what is asked, of whom, what closes it.", no_args_is_help=True)
Format = Annotated[str, typer.Option("--format", help="text or json.")]


def _as_json() -> dict[str, object]:
    shown = [
        {name: value for name, value in rule._asdict().items() if name != "verdict"}
        | {"strict": "STOP" if rule.id in STRICT else "", "source": SOURCES[rows_of(rule.row)[0]]}
        for rule in RULES
    ]
    later = [{"row": row, "what": words} for row, words in not_yet_evaluated()]
    whole = {"rule_set": RULE_SET, "version": RULE_SET_VERSION, "rules": shown, "not_yet_evaluated": later}
    found: dict[str, object] = json.loads(json.dumps(whole))  # as a file of another version holds it: lists, not tuples
    return found


@rules.command("list")
def rules_list(form: Format = "text") -> None:
    """Every rule, and every row of the dataset that no rule looks at yet."""
    if form == "json":
        print(json.dumps(_as_json(), indent=1, ensure_ascii=False))
        return
    for rule in RULES:
        print(f"{rule.id:21} {_classes(rule)}\n{'':21} {rule.what} ({rule.owner})")
    print("\nNot yet evaluated: no badge says anything about these rows of the dataset.")
    for row, words in not_yet_evaluated():
        print(f"row {row:17} {words}")


def _classes(rule: Rule) -> str:
    """STOP counts on the badge; WARN is told as "not given"."""
    last_day = f"in the last 24 hours: {rule.in_last_day}" if rule.in_last_day else ""
    strict = "strict policy: STOP" if rule.id in STRICT else ""
    return "; ".join(filter(None, (rule.force or "does not apply", _words(rule.force_for), last_day, strict)))


def explained(gate: Mapping[str, object]) -> Iterator[str]:
    """A badge line by line, from a GateResult as JSON: what came of each rule, whose it is, by when, and what closes it."""
    badge, profile, rule_set, version, at = (gate[name] for name in ("badge", "profile", "rule_set", "rule_set_version", "evaluated_at"))
    yield f"{badge}  (profile: {profile}; rules: {rule_set} {version}; looked at {at})"
    if words := text(gate, "override"):
        yield words
    beside = {NOT_ASKED: ": this hospital does not send this"} | {text(gap, "rule"): " (not counted)" for gap in parts(gate, "warnings")}
    gaps = {text(gap, "rule"): gap for gap in (*parts(gate, "gaps"), *parts(gate, "warnings"))}
    for rule, came in part(gate, "lines").items():
        yield f"  {rule:21} {came}{beside.get(rule) or beside.get(str(came), '')}"
        if gap := gaps.get(rule):
            due = "at once" if gap.get("at_once") else f"by {spoken(text(gap, 'due'))}"
            yield f"  {'':21} {joined('. ', text(gap, 'what'), text(gap, 'detail'))}"
            yield f"  {'':21} {text(gap, 'owner')}, {due}: {text(gap, 'closes')}"


@rules.command("explain")
def rules_explain(
    transfer: Annotated[str, typer.Argument(help="Its id, as `wardpost transfers` gives it.")], form: Format = "text", data: Data = None
) -> None:
    """The badge of a transfer's newest version, line by line."""
    from exchange.errors import NotFound
    from exchange.transfer.status import standing_of

    with service(data) as exchange:
        found = exchange.store.read(lambda uow: standing_of(uow, transfer))
    if found.newest is None:
        raise NotFound("transfer", "Nothing was published for this transfer yet.", next_step="See what waits: wardpost holds list")
    print(json.dumps(found.gate, indent=1, ensure_ascii=False) if form == "json" else "\n".join(explained(found.gate)))


@rules.command("show")
def rules_show(rule_id: Annotated[str, typer.Argument(metavar="ID", help="As `rules list` names it.")], form: Format = "text") -> None:
    """One rule in full."""
    from exchange.errors import NotFound

    rule = next((rule for rule in parts(_as_json(), "rules") if rule["id"] == rule_id), None)
    if rule is None:
        raise NotFound("rule", "No rule has this id.", next_step="List them: wardpost rules list")
    if form == "json":
        print(json.dumps(rule, indent=1, ensure_ascii=False))
        return
    print("\n".join(f"{name.replace('_', ' '):12} {words}" for name, value in rule.items() if (words := _words(value))))


def _words(value: object) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{name}: {each or 'does not apply'}" for name, each in value.items())
    return ", ".join(value) if isinstance(value, list) else str(value)


def override(
    transfer: Annotated[str, typer.Argument(help="Its id.")],
    by: By,
    code: Annotated[str, typer.Option(help="Why: O1 to O6, as docs/data-model.md lists them.")],
    promise: Annotated[str, typer.Option(help="Until when the rest comes: 2026-11-28, or with time and offset.")] = "",
    note: Annotated[str, typer.Option(help="Who at the home agreed (O2), or what else to say.")] = "",
    data: Data = None,
) -> None:
    """Say why papers go before they are complete. The home reads it; the badge stays as it is."""
    said = {"code": code, "promise": promise, "note": note}
    with service(data) as exchange:
        row = exchange.add_supplement(transfer, by, {"override": {name: value for name, value in said.items() if value}})
    print(f"Kept: {row.id}. The home is told; nothing that is missing counts as there.")


@rules.command("shadow")
def rules_shadow(
    org: Annotated[str, typer.Option(help="Only of this hospital, by ODS code.")] = "", form: Format = "text", data: Data = None
) -> None:
    """How the strict policy's rules would have done in four weeks, before they count on any badge."""
    from exchange.transfer.status import in_shadow

    with service(data) as exchange:
        found = exchange.store.read(lambda uow: in_shadow(uow, org))
    told = {
        rule: {"transfers": seen, "answered": answered, "overridden": overridden,
               "may_count": seen > 0 and answered >= 0.9 * seen and overridden < 0.1 * seen}
        for rule, (seen, answered, overridden) in found.items()
    }  # fmt: skip
    if form == "json":
        print(json.dumps(told, indent=1))
        return
    rows = [(rule, *(str(each[name]) for name in ("transfers", "answered", "overridden")), "yes" if each["may_count"] else "no")
            for rule, each in told.items()]  # fmt: skip
    show("Strict rules in shadow, 4 weeks", ("id", "transfers", "answered", "overridden", "may count"), rows, "")


@rules.command("diff")
def rules_diff(
    old: Annotated[Path, typer.Argument(help="What `wardpost rules list --format json` printed of another version.", exists=True)],
    form: Format = "text",
) -> None:
    """What differs between another version's rules and these. Exit 1 when something does."""
    from exchange.errors import Refused
    from exchange.fhir.json import JsonRefused, load_strict

    try:
        before = {text(rule, "id"): rule for rule in parts(load_strict(old.read_bytes()), "rules")}
    except JsonRefused:
        before = {}
    if not before:
        step = "Give a file that `wardpost rules list --format json` printed."
        raise Refused("rules_file", "This file holds no rules.", next_step=step)
    now = {text(rule, "id"): rule for rule in parts(_as_json(), "rules")}
    told: list[dict[str, object]] = [{"rule": name, "change": "added"} for name in now if name not in before]
    told += [{"rule": name, "change": "removed"} for name in before if name not in now]
    for name in (name for name in now if name in before):
        told += [{"rule": name, "change": member, "was": before[name].get(member), "now": value}
                 for member, value in now[name].items() if before[name].get(member) != value]  # fmt: skip
    if form == "json":
        print(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        signs = {"added": "+ {rule}", "removed": "- {rule}"}
        print(
            "\n".join(signs.get(str(each["change"]), "~ {rule} {change}: {was} → {now}").format(**each) for each in told)
            or "the same rules"
        )
    sys.exit(bool(told))
