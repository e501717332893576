"""The gate's rules, for people who have to trust a badge: what is asked, of whom, what closes it, and what is not looked at yet."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.door import By, Data, service, show

rules = typer.Typer(help="The gate's rules: what is asked, of whom, what closes it.", no_args_is_help=True)
Format = Annotated[str, typer.Option("--format", help="text or json.")]


def _as_json() -> dict[str, object]:
    from exchange.gate.rows import SOURCES, not_yet_evaluated, rows_of
    from exchange.gate.rules import RULE_SET, RULE_SET_VERSION, RULES

    shown = [
        {name: value for name, value in rule._asdict().items() if name != "verdict"} | {"source": SOURCES[rows_of(rule.row)[0]]}
        for rule in RULES
    ]
    later = [{"row": row, "what": words} for row, words in not_yet_evaluated()]
    whole = {"rule_set": RULE_SET, "version": RULE_SET_VERSION, "rules": shown, "not_yet_evaluated": later}
    found: dict[str, object] = json.loads(json.dumps(whole))  # as a file of another version holds it: lists, not tuples
    return found


@rules.command("list")
def rules_list(form: Format = "text") -> None:
    """Every rule, and every row of the dataset that no rule looks at yet."""
    from exchange.gate.rows import not_yet_evaluated
    from exchange.gate.rules import RULES

    if form == "json":
        print(json.dumps(_as_json(), indent=1, ensure_ascii=False))
        return
    rows: list[tuple[str, ...]] = [
        (rule.id, rule.row, "; ".join(filter(None, (rule.force, _words(rule.force_for)))), rule.owner, rule.what) for rule in RULES
    ]
    rows += [("–", row, "–", "–", f"not yet evaluated: {words}") for row, words in not_yet_evaluated()]
    show("Rules", ("id", "row", "force", "owner", "what"), rows, "")


@rules.command("show")
def rules_show(rule_id: Annotated[str, typer.Argument(metavar="ID", help="As `rules list` names it.")], form: Format = "text") -> None:
    """One rule in full."""
    from exchange.errors import NotFound
    from exchange.fhir.shape import parts

    rule = next((rule for rule in parts(_as_json(), "rules") if rule["id"] == rule_id), None)
    if rule is None:
        raise NotFound("rule", "No rule has this id.", next_step="List them: wardpost rules list")
    if form == "json":
        print(json.dumps(rule, indent=1, ensure_ascii=False))
        return
    print("\n".join(f"{name:15} {_words(value)}" for name, value in rule.items()))


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


@rules.command("diff")
def rules_diff(
    old: Annotated[Path, typer.Argument(help="What `wardpost rules list --format json` printed of another version.", exists=True)],
) -> None:
    """What differs between another version's rules and these. Exit 1 when something does."""
    from exchange.errors import Refused
    from exchange.fhir.json import JsonRefused, load_strict
    from exchange.fhir.shape import parts, text

    try:
        before = {text(rule, "id"): rule for rule in parts(load_strict(old.read_bytes()), "rules")}
    except JsonRefused:
        before = {}
    if not before:
        step = "Give a file that `wardpost rules list --format json` printed."
        raise Refused("rules_file", "This file holds no rules.", next_step=step)
    now = {text(rule, "id"): rule for rule in parts(_as_json(), "rules")}
    lines = [f"+ {name}" for name in now if name not in before] + [f"- {name}" for name in before if name not in now]
    for name in now:
        changed = [member for member in now[name] if name in before and before[name].get(member) != now[name][member]]
        lines += [f"~ {name} {member}: {before[name].get(member)} → {now[name][member]}" for member in changed]
    print("\n".join(lines) or "the same rules")
    sys.exit(bool(lines))
