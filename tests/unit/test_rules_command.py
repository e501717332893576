"""`wardpost rules`: what a badge rests on, and what it does not."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from exchange.cli.main import app
from exchange.errors import NotFound, Refused
from exchange.gate.rows import ROWS, not_yet_evaluated, rows_of
from exchange.gate.rules import RULES

RUN = CliRunner()


def test_every_row_is_asked_by_a_rule_or_said_not_to_be() -> None:
    listed = json.loads(RUN.invoke(app, ["rules", "list", "--format", "json"]).stdout)
    asked = {row for rule in listed["rules"] for row in rows_of(rule["row"])}
    later = {row["row"] for row in listed["not_yet_evaluated"]}
    assert asked <= ROWS.keys()
    assert not asked & later
    assert asked | later | {"46"} == set(ROWS)
    assert {rule["id"] for rule in listed["rules"]} == {rule.id for rule in RULES}
    assert all(rule["source"] and rule["since"] and rule["closes"] for rule in listed["rules"])
    shown = RUN.invoke(app, ["rules", "list"], env={"COLUMNS": "200"}).stdout
    asked_lines, later_lines = shown.split("Not yet evaluated: ")
    assert [line.split()[0] for line in asked_lines.splitlines() if line[:1].isdigit()] == [rule.id for rule in RULES]
    assert [tuple(line.split(None, 2)[1:]) for line in later_lines.splitlines()[1:]] == not_yet_evaluated()


def test_show_and_diff(tmp_path: Path) -> None:
    assert "A doctor signs the letter" in RUN.invoke(app, ["rules", "show", "06-signed-letter"]).stdout
    assert json.loads(RUN.invoke(app, ["rules", "show", "06-signed-letter", "--format", "json"]).stdout)["owner"] == "doctor"
    old = json.loads(RUN.invoke(app, ["rules", "list", "--format", "json"]).stdout)
    file = tmp_path / "old.json"
    file.write_text(json.dumps(old))
    same = RUN.invoke(app, ["rules", "diff", str(file)])
    assert (same.exit_code, same.stdout.strip()) == (0, "the same rules")
    old["rules"][0]["owner"] = "nobody"
    old["rules"][1]["id"] = "99-gone"
    file.write_text(json.dumps(old))
    changed = RUN.invoke(app, ["rules", "diff", str(file)])
    assert changed.exit_code == 1
    assert changed.stdout.splitlines() == ["+ 02-site", "- 99-gone", "~ 01-identity owner: nobody → discharge contact"]
    told = json.loads(RUN.invoke(app, ["rules", "diff", str(file), "--format", "json"]).stdout)
    assert told[2] == {"rule": "01-identity", "change": "owner", "was": "nobody", "now": "discharge contact"}


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    assert isinstance(RUN.invoke(app, ["rules", "show", "x"]).exception, NotFound)
    for text in ("{", "{}", "[]"):
        (tmp_path / "x.json").write_text(text)
        assert isinstance(RUN.invoke(app, ["rules", "diff", str(tmp_path / "x.json")]).exception, Refused)


@pytest.mark.parametrize("row", ROWS)
def test_rows_have_two_digits(row: str) -> None:
    assert row.isdigit()
    assert len(row) == 2
