"""What every adapter keeps: total (a Draft or Unreadable), pure (same bytes, same Draft), accounted (each item once), and its corpus.

A new adapter is one more line in ADAPTERS and folders `tests/corpus/<name>-*/` with `input.*`, `expected.json` and `NOTE`.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters import cda, fhir, hl7v2, kettering, pdf, tabular
from exchange.fhir.content import ROLES
from exchange.fhir.draft import Draft, Outcome, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.json import dump
from tests.draft_facts import facts

ADAPTERS: dict[str, tuple[Callable[[bytes], bool], Callable[[bytes, ReadingProfile], Draft]]] = {
    "hl7v2": (hl7v2.sniff, hl7v2.read),
    "kettering": (kettering.sniff, kettering.read),
    "pdf": (pdf.sniff, pdf.read),
    "fhir": (fhir.sniff, fhir.read),
    "cda": (cda.sniff, cda.read),
    "tabular": (tabular.sniff, tabular.read),
}
CORPUS = Path(__file__).parents[1] / "corpus"
CASES = sorted(path.parent for name in ADAPTERS for path in CORPUS.glob(f"{name}-*/NOTE"))


def profile_of(expected: dict[str, Any]) -> ReadingProfile:
    given = expected.get("profile", {})
    return ReadingProfile(**{name: tuple(value) if isinstance(value, list) else value for name, value in given.items()})


def load(case: Path) -> tuple[Callable[[bytes, ReadingProfile], Draft], bytes, dict[str, Any]]:
    (source,) = case.glob("input.*")
    return ADAPTERS[case.name.partition("-")[0]][1], source.read_bytes(), json.loads((case / "expected.json").read_text("utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_corpus(case: Path) -> None:
    """The facts are those of the case, twice over (pure), and the case says what it guards."""
    read, raw, expected = load(case)
    assert (case / "NOTE").read_text("utf-8").strip()
    if "unreadable" in expected:
        with pytest.raises(Unreadable) as caught:
            read(raw, profile_of(expected))
        assert caught.value.code == expected["unreadable"]
        return
    draft = read(raw, profile_of(expected))
    assert json.loads(dump(facts(draft))) == {name: value for name, value in expected.items() if name != "profile"}
    assert read(raw, profile_of(expected)) == draft


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_shape(case: Path) -> None:
    """No ids or references, known roles, every item once with a reason or a path, letters only where there are letters."""
    read, raw, expected = load(case)
    if "unreadable" in expected:
        return
    draft = read(raw, profile_of(expected))
    positions = [item.position for item in draft.items]
    assert positions
    assert len(positions) == len(set(positions))
    for item in draft.items:
        assert bool(item.path) == (item.outcome in (Outcome.MAPPED, Outcome.NARRATIVE, Outcome.ATTACHMENT))
        assert bool(item.reason) != bool(item.path)
    for resource in (draft.patient, draft.encounter, *(entry.resource for entry in draft.entries)):
        assert b'"reference"' not in dump(resource)
        assert "id" not in resource
    assert {entry.role for entry in draft.entries} <= ROLES.keys()
    assert [ROLES[entry.role] for entry in draft.entries] == [entry.resource.get("resourceType", "") for entry in draft.entries]
    assert bool(draft.letters) == (draft.kind is SourceKind.LETTER)
    assert bool(draft.reason) == (draft.kind is SourceKind.NOT_USED)
    assert draft.counts["letters"] == len(draft.letters)
    if draft.kind in (SourceKind.FACTS, SourceKind.RECORDS):
        for kind, role in {"allergies": "allergy", "medicines": "medicine", "diagnoses": "diagnosis", "procedures": "procedure"}.items():
            assert draft.counts[kind] == sum(entry.role.split("-")[0] == role for entry in draft.entries)


@pytest.mark.parametrize("name", ADAPTERS)
@pytest.mark.parametrize("raw", [b"", b"\x00", b"\xff" * 100, b"%PDF-1.4", b"<xml/>", b"{}", "PID|1||é".encode("utf-16")])
def test_foreign_bytes_are_unreadable(name: str, raw: bytes) -> None:
    sniff, read = ADAPTERS[name]
    assert sniff(raw) == (name == "pdf" and raw.startswith(b"%PDF-"))
    with pytest.raises(Unreadable):
        read(raw, ReadingProfile())


@pytest.mark.parametrize("name", ADAPTERS)
def test_nothing_about_people_in_reprs_and_errors(name: str) -> None:
    for case in CASES:
        read, raw, expected = load(case)
        try:
            said = repr(read(raw, profile_of(expected)))
        except Unreadable as problem:
            said = str(problem) + problem.diagnostics()
        assert "Testperson" not in said.replace("_test", "")
        assert "9990000018" not in said
        assert "Example Row" not in said


def test_adapters_import_only_the_kit() -> None:
    """adapters → exchange.fhir and exchange.errors, nothing else of ours."""
    own = {name for name in sys.modules if name.startswith("adapters.")}
    for name in own:
        source = Path(str(sys.modules[name].__file__)).read_text("utf-8")
        ours = [line for line in source.splitlines() if line.startswith(("from exchange", "import exchange"))]
        assert all(line.startswith(("from exchange.fhir", "from exchange.errors")) for line in ours), name
