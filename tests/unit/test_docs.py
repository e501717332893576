"""The words of README and docs hold against the program: commands exist, files that are linked are there."""

import re
from pathlib import Path

import pytest
import typer

from exchange.cli.main import app

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands() -> set[str]:
    group = typer.main.get_command(app)
    found: set[str] = set()
    for name, command in group.commands.items():  # type: ignore[attr-defined]  # the app is a group
        found.add(name)
        found |= {f"{name} {sub}" for sub in getattr(command, "commands", {})}
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_named_in_the_docs_exist(page: Path) -> None:
    known = commands()
    for line in re.findall(r"wardpost ([a-z]+(?: [a-z]+)?)", " ".join(re.findall(r"`[^`]*`", page.read_text()))):
        first, _, second = line.partition(" ")
        assert first in {name.split()[0] for name in known}, line
        subs = {name.split()[1] for name in known if name.startswith(first + " ")}
        assert not subs or not second or second in subs, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_linked_files_are_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        assert target.startswith("http") or (page.parent / target).exists(), target
