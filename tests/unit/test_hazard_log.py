"""Every control of the hazard log names tests that are there, and says plainly that nobody has signed it."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOG = (ROOT / "docs" / "clinical-safety" / "hazard-log.md").read_text()
ROWS = [line.split(" | ") for line in LOG.splitlines() if line.startswith("| H")]


def test_every_control_is_shown_by_a_test_that_is_there() -> None:
    assert len(ROWS) > 30
    for row in ROWS:
        named = re.findall(r"`(tests/[\w/.]+)::(test_\w+)`", row[5])
        assert named, row[0]
        for file, name in named:
            assert re.search(rf"^\s*(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE), f"{row[0]}: {file}::{name}"


def test_each_hazard_of_the_list_is_named_once() -> None:
    ids = [row[0].removeprefix("| ") for row in ROWS]
    assert len(ids) == len(set(ids))
    assert ids == [f"H{number:02}" for number in range(1, len(ids) + 1)]


def test_it_says_that_nobody_has_signed() -> None:
    for page in ("README.md", "hazard-log.md"):
        assert re.search(r"(Not|No clinical safety officer has) signed", (ROOT / "docs" / "clinical-safety" / page).read_text())
