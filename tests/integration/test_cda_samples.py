"""Public CDA samples: each is read, or refused for a reason that a reader agrees with; what is read makes a clean document.

Files that are a section, an act or an encounter alone name no person: they are refused as they are, and read inside a document of ours.
"""

import re
from collections import Counter
from pathlib import Path

import pytest

from adapters.cda import read, sniff
from exchange.check import Checker
from exchange.cli.conversion import convert_bytes
from exchange.directory.profiles import SenderProfile
from exchange.fhir.draft import Draft, ReadingProfile, Unreadable
from tests import cda_kit as kit

SAMPLES = Path(__file__).parents[3] / "shared" / "samples"
FILES = sorted(path for folder in ("ccda_hl7_examples", "nhs_cda_111", "nhs_cda_itk_tkwx") for path in SAMPLES.glob(f"{folder}/*.xml"))
# Tables of headings and of message types, not documents.
NO_CDA = ("CDA_SectionConstraintRef.xml", "DischargeReference.xml")
KINDS = {"allergies": "allergy", "medicines": "medicine", "diagnoses": "diagnosis", "procedures": "procedure"}

pytestmark = pytest.mark.skipif(not FILES, reason="../shared/samples is not here")


def within_a_document(text: str) -> str:
    """A fragment where it belongs: a section or its component in the body, an act as an entry, an encounter in the header."""
    text = re.sub(r"<\?xml.*?\?>|<!--.*?-->", "", text, flags=re.DOTALL).strip()
    if text.startswith("<componentOf"):
        return kit.document(stay=text)
    inner = re.sub(r"^<component>|</component>$", "", text)
    return kit.document(inner if inner.startswith("<section") else kit.section("11535-2", "Diagnosis", "As coded.", inner))


def outcome(raw: bytes) -> Draft | str:
    try:
        return read(raw, ReadingProfile())
    except Unreadable as problem:
        return problem.code


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_sample(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = path.read_bytes()
    found, how = outcome(raw), "as it is"
    if path.name in NO_CDA:
        assert not sniff(raw)
        assert found == "cda_no_document"
        return
    if not sniff(raw):
        assert isinstance(found, str)
        raw = within_a_document(raw.decode()).encode()
        found, how = outcome(raw), f"alone {found}, in a document"
    assert isinstance(found, Draft)
    positions = [item.position for item in found.items]
    assert len(positions) == len(set(positions))
    roles = Counter(entry.role.split("-")[0] for entry in found.entries)
    assert {kind: roles[role] for kind, role in KINDS.items()} == {kind: found.counts[kind] for kind in KINDS}
    document, _ = convert_bytes(raw, SenderProfile())
    assert [issue for issue in Checker.load().check(document) if issue.severity in ("error", "fatal")] == []
    with capsys.disabled():
        fates = Counter(item.outcome.value for item in found.items)
        print(f"\n{path.name}: {how}; {dict(found.counts)}; {dict(sorted(fates.items()))}", end="")
