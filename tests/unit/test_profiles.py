"""Our own definitions (fhir_profiles/wardpost): compiled as committed, right by the checker, complete for all that a document can carry."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from exchange.check import Checker, compile
from exchange.fhir import codes
from exchange.fhir.document import build_document
from exchange.web.home.answers import ASK, CANNOT
from tests.draft_kit import arthur, doris, edith

OURS = "https://fhir.wardpost.example/"
DEFINED = list(compile.own_resources())
EXAMPLES = sorted(path for path in (compile.OWN.parent / "examples").glob("*.json") if not path.name.startswith("supplement-"))
SYSTEMS = {found["url"]: {one["code"]: one["display"] for one in found.get("concept", ())} for found in DEFINED if "content" in found}


def errors(resource: dict[str, Any], *profiles: str) -> set[str]:
    return {issue.rule for issue in Checker.load().check(resource, profiles=profiles) if issue.severity in ("error", "fatal")}


def test_the_committed_table_is_that_of_the_definitions() -> None:
    assert compile.main(["--verify"]) == 0, "run python -m exchange.check.compile"


@pytest.mark.parametrize("found", DEFINED, ids=lambda found: f"{found['resourceType']}-{found['id']}")
def test_a_definition_is_right_itself(found: dict[str, Any]) -> None:
    assert errors(found) == set()


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_what_its_name_says(path: Path) -> None:
    """`<profile>-valid…` has no error, `<profile>-invalid-<rule>` that one alone."""
    profile, verdict, rule = (*path.stem.split("-", 2), "")[:3]
    wanted = {rule} if verdict == "invalid" else set()
    assert errors(json.loads(path.read_text()), f"{OURS}StructureDefinition/{profile}") == wanted


def test_every_rule_of_ours_has_an_invalid_example_or_is_broken_in_the_tests_of_documents() -> None:
    rules = {
        rule["key"] for found in DEFINED for one in found.get("differential", {}).get("element", ()) for rule in one.get("constraint", ())
    }
    assert rules - {path.stem.partition("-invalid-")[2] for path in EXAMPLES} == {"wp-doc-2"}


def test_the_code_and_the_definitions_have_the_same_words() -> None:
    tables = {
        "critical-class": codes.CRITICAL, "alert": codes.ALERTS, "supply": codes.SUPPLY, "contact-kind": codes.CONTACTS,
        "answer-reason": {**CANNOT, **ASK},
        "dosage-note": {codes.NEXT_DUE["code"]: codes.NEXT_DUE["display"]},
    }  # fmt: skip
    assert {name: SYSTEMS[codes.OURS + name] for name in tables} == tables
    sections = next(found for found in DEFINED if found["id"] == "sections")
    assert [one["code"] for one in sections["compose"]["include"][0]["concept"]] == [section.code for section in codes.SECTIONS]


def named(value: object) -> Iterator[str]:
    """Every text in it that begins with our base."""
    if isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from named(item)
    elif isinstance(value, str) and value.startswith(OURS):
        yield value


def test_every_url_of_ours_is_defined() -> None:
    known = {found.get("url") or found["uniqueId"][0]["value"] for found in DEFINED}
    documents = [build_document(story().content()) for story in (edith, arthur, doris)]
    used = {*named([vars(codes), documents])} - {codes.OURS}
    assert used - known == set()
    source = "".join(path.read_text() for path in (compile.OWN.parents[2] / "exchange").rglob("*.py"))
    written = {*re.findall(rf"{OURS}[A-Za-z]+/[a-z-]+", source)} | {
        codes.OURS + word for word in re.findall(r'OURS \+ "([a-z-]+)"', source)
    }
    assert len(written) > 10
    assert written - known == set()
