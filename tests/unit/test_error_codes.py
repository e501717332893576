"""Every error code of the program stands in docs/errors.md, and nothing else does."""

import ast
import re
from pathlib import Path
from typing import get_args

from exchange.seal.columns import ColumnCode
from exchange.seal.kek import KekCode
from exchange.seal.manifest import RefusalCode

ROOT = Path(__file__).parents[2]
RAISERS = {"WardpostError", "Refused", "NotFound", "Gone", "Conflict", "Unavailable", "Unreadable", "KekRefused"}


def codes_of_the_program() -> set[str]:
    schemas = (ROOT / "fhir_profiles" / "wardpost").glob("*.schema.json")
    found = {f"{schema.name.partition('.')[0]}_invalid" for schema in schemas}
    found |= {*get_args(RefusalCode), *get_args(KekCode)} | (set(get_args(ColumnCode)) - {"unknown_version"})
    for file in [*ROOT.glob("exchange/**/*.py"), *ROOT.glob("adapters/**/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            first = node.args[0]
            if (
                (name in RAISERS or ast.unparse(node.func) == "super().__init__")
                and isinstance(first, ast.Constant)
                and isinstance(first.value, str)
            ):
                found.add(first.value)
    return found


def test_the_page_names_every_code_and_no_other() -> None:
    page = (ROOT / "docs" / "errors.md").read_text()
    named = {code for row in page.splitlines() if row.startswith("| `") for code in re.findall(r"`([a-z0-9_]+)`", row.split("|")[1])}
    program = codes_of_the_program()
    assert program - named == set()
    assert named - program == set()
