"""docs/mapping-hl7v2.md is current, and every path that the adapter can name is shown by a corpus case."""

import ast
import re
from pathlib import Path

import pytest

from tests.make_mapping import OTHERS, PAGE, ROOT, other_page, page, rows

RESOURCES = (
    "Patient|Encounter|Location|Practitioner|Organization|AllergyIntolerance|Condition|Procedure|DocumentReference|Observation|"
    "MedicationRequest|MedicationDispense|MedicationAdministration"
)


def paths_of_the_code() -> set[str]:
    """Whole paths that stand as literals in the adapter."""
    found: set[str] = set()
    for module in (ROOT / "adapters" / "hl7v2").glob("*.py"):
        for node in ast.walk(ast.parse(Path(module).read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(rf"({RESOURCES})(\.[A-Za-z]+)+", node.value):
                found.add(node.value)
    return found


def test_the_page_is_current() -> None:
    assert PAGE.read_text("utf-8") == page(), "python -m tests.make_mapping"
    assert OTHERS.read_text("utf-8") == other_page(), "python -m tests.make_mapping"


@pytest.mark.parametrize("path", sorted(paths_of_the_code()))
def test_a_case_shows_every_path(path: str) -> None:
    assert any(shown.startswith(path) for _, shown in rows()), path
