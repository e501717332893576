"""Public sample messages and a simulated hospital's feed are read without a crash. Absent ones are skipped by name."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.hl7v2 import read, sniff
from exchange.check import Checker
from exchange.cli.conversion import convert_bytes
from exchange.directory.profiles import SenderProfile
from exchange.fhir.draft import LetterStatus, Outcome, ReadingProfile, SourceKind, Unreadable
from exchange.fhir.json import dump, load_strict
from exchange.fhir.shape import concept_text
from exchange.model import SubmissionState
from exchange.records import Hold, Submission, Work
from tests.app_kit import kit

CORPUS = Path(__file__).parents[1] / "corpus"
SHARED = Path(__file__).parents[3] / "shared"
SAMPLES = sorted([*SHARED.glob("samples/hl7v2_*/*.hl7"), *SHARED.glob("samples/hl7v2_*/*.txt")])
# Refused with reason: its file is a place holder, "<Base64 encoded>".
REFUSED = {"Message.hl7_MDM_T02.txt": "attachment_damaged"}
PROFILES = {
    "PAS": ReadingProfile(charset="8859/1", pv1_37="destination or home code", aliases={f"LH0{n}": f"SIMH0{n}" for n in range(1, 9)}),
    "EPR": ReadingProfile(letter_types=("DS",)),
    "WPAS": ReadingProfile(country="Wales", home_destinations=("20", "21"), letter_types=("DS",)),
}
PROFILES |= {"EPMA": ReadingProfile(charset="8859/1"), "PHARM": ReadingProfile(charset="8859/1")}


@pytest.mark.skipif(not SAMPLES, reason="../shared/samples is not here")
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.name)
def test_public_sample(path: Path) -> None:
    raw = path.read_bytes()
    assert sniff(raw)
    try:
        draft = read(raw, ReadingProfile())
    except Unreadable as problem:
        code = problem.code
    else:
        code = ""
        assert draft.items
        assert draft.kind is not SourceKind.NOT_USED or draft.reason
    assert code == REFUSED.get(path.name, "")


@pytest.mark.parametrize("path", [*SAMPLES, *sorted(CORPUS.glob("hl7v2-*/input.hl7"))], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_converted_document_passes_the_checker(path: Path) -> None:
    """What is used gives a document without an error of R4 or UK Core; each medicine, allergy and result of the message stands in it."""
    raw = path.read_bytes()
    try:
        document, _ = convert_bytes(raw, SenderProfile())
    except Unreadable:  # which ones and why: test_public_sample, and the corpus itself
        return
    found = load_strict(dump(document))
    assert isinstance(found, dict)
    assert [issue for issue in Checker.load().check(found) if issue.severity in ("error", "fatal")] == []
    words = dump(document).decode()
    for entry in read(raw, ReadingProfile()).entries:
        named = entry.resource.get("medicationCodeableConcept") or entry.resource.get("code")
        if entry.role != "allergy-removed" and named and entry.resource.get("status") not in ("entered-in-error", "cancelled"):
            assert dump(concept_text(named)).decode() in words, entry.position


@pytest.fixture(scope="module")
def feed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    generator = SHARED / "hospital" / "sim.py"
    if not generator.exists():
        pytest.skip("../shared/hospital is not here")
    out = tmp_path_factory.mktemp("feed") / "feed"
    subprocess.run([sys.executable, str(generator), "--seed", "7", "--stays", "40", "--out", str(out)], check=True, capture_output=True)
    return out


def test_simulated_hospital(feed: Path) -> None:
    """What the feed's truth says of a message is what the adapter makes of it. The truth only judges."""
    truth = {entry["n"]: entry for entry in json.loads((feed / "truth.json").read_text())["messages"]}
    read_messages = letters = 0
    for line in (feed / "feed.ndjson").read_text().splitlines():
        sent = json.loads(line)
        if sent["channel"] != "mllp":
            continue
        raw, fate = (feed / sent["file"]).read_bytes(), truth[sent["n"]]
        if sent.get("how") == "truncated":
            continue
        try:
            draft = read(raw, PROFILES[sent["sender"]])
        except Unreadable:
            assert fate.get("kind") in ("unreadable", "rubbish") or fate["fate"] == "duplicate", sent["file"]
            continue
        read_messages += 1
        assert draft.source_id == fate["control_id"]
        assert (fate.get("kind") == "test") <= draft.is_test
        if fate["fate"] == "not_used":
            assert draft.kind is SourceKind.NOT_USED, sent["file"]
        if fate.get("payload_sha256") and draft.kind is SourceKind.LETTER:
            letters += 1
            assert fate["payload_sha256"] in {hashlib.sha256(letter.content).hexdigest() for letter in draft.letters}
            assert draft.letters[0].status is (LetterStatus.DRAFT if "draft" in str(fate.get("as_")) else LetterStatus.FINAL)
        if draft.is_sensitive_address:
            assert not draft.patient["address"]
            assert {item.outcome for item in draft.items if item.position.startswith("PID-11")} == {Outcome.WITHHELD}
    assert read_messages > 300
    assert letters > 10


@pytest.mark.skipif(not SAMPLES, reason="../shared/samples is not here")
def test_every_sample_is_accepted_and_comes_to_an_end(tmp_path: Path) -> None:
    """In custody, then read, a Hold or "not used" with its reason; nothing waits, and the database is whole."""
    with kit(tmp_path) as service:
        for path in SAMPLES:
            service.send(path.read_bytes())
        service.drain()
        rows, held, waits = service.exchange.store.read(
            lambda uow: (uow.find(Submission), {hold.submission_id for hold in uow.find(Hold)}, uow.count(Work))
        )
        assert len(rows) == len({path.read_bytes() for path in SAMPLES})
        assert [row.id for row in rows if row.state is not SubmissionState.READ and not row.reason and row.id not in held] == []
        assert SubmissionState.ACCEPTED not in {row.state for row in rows}
        assert waits == 0
        assert service.findings() == []
