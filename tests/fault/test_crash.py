"""The process dies at every durable step: nothing that was acknowledged is lost, nothing comes twice, `fsck` is clean.

Every fail point that the product names is found in its source; a new one is tested without anybody remembering it.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fault.runner import KILLED

ROOT = Path(__file__).parents[2]
SOURCE = "\n".join(file.read_text() for file in sorted((ROOT / "exchange").rglob("*.py")))
POINTS = sorted(set(re.findall(r'fail\(\s*"([a-z_.]+)"', SOURCE)))
NOUN_POINTS = [point for point in POINTS if not point.startswith("store.")]
# The commits of the story are dealt out to this many tests, so that they spread over the cores; each is died at, however many they are.
# Three of the hands a point are played by default, all of them in CI, which runs what is marked `services`.
HANDS = 24


class Lives:
    """Processes that live and die, forked from one that has started already (tests/fault/runner.py, `serve`)."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.fault.runner"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def live(self, folder: Path, point: str = "", at: int = 1, defect: str = "") -> int:
        """One life over a folder; its exit code."""
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        folder.mkdir(exist_ok=True)
        self._server.stdin.write(json.dumps([str(folder), point, at, defect]) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def seen(self, folder: Path, defect: str = "") -> dict[str, Any]:
        """A life that nobody ends, and what is there afterwards."""
        code = self.live(folder, defect=defect)
        assert code == 0, f"the process could not go on ({code}): {(folder / 'log').read_text()[-3000:]}"
        found: dict[str, Any] = json.loads((folder / "seen.json").read_text())
        return found

    def close(self) -> None:
        assert self._server.stdin is not None
        self._server.stdin.close()
        self._server.wait(30)
        assert self._server.stdout is not None
        self._server.stdout.close()


@pytest.fixture(scope="session")
def lives() -> Iterator[Lives]:
    made = Lives()
    yield made
    made.close()


@pytest.fixture(scope="session")
def whole(lives: Lives, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The story that nobody interrupts."""
    return lives.seen(tmp_path_factory.mktemp("whole"))


def wrong_with(here: dict[str, Any], there: dict[str, Any]) -> list[str]:
    """What differs from the story that nobody interrupted, and what is not there although somebody was told that it is.

    Ids are compared within one story, everything else between the two.
    """
    same = ("stopped", "mailboxes", "versions", "holds", "aside", "mail", "waiting", "findings")
    wrong = [f"{name}: {here[name]}, not {there[name]}" for name in same if here[name] != there[name]]
    told = {row["step"]: row for row in here["believed"]}
    if sorted(told) != sorted(row["step"] for row in there["believed"]) or len(told) != len(here["believed"]):
        wrong.append(f"steps: {[row['step'] for row in here['believed']]}")

    sent = [row for step, row in told.items() if step.startswith("send")]
    # One row for each: nothing is lost, nothing is there twice, and the bytes are the ones that were sent.
    if Counter(row["digest"] for row in sent) != Counter(content for _, _, content in here["submissions"]):
        wrong.append(f"submissions: {here['submissions']} are there, {sent} were acknowledged")
    contents = {row_id: content for row_id, _, content in here["submissions"]}
    wrong += [f"submissions: {row} has another id" for row in sent if row["id"] and contents.get(row["id"]) != row["digest"]]
    wrong += [f"submissions: {row_id} is {state}" for row_id, state, _ in here["submissions"] if state != "read"]

    for kind in ("answer", "supplement"):
        ids, rows = sorted(row["id"] for step, row in told.items() if step.startswith(kind)), here[f"{kind}s"]
        if ids != sorted(row[0] for row in rows) or [row[1:] for row in rows] != [row[1:] for row in there[f"{kind}s"]]:
            wrong.append(f"{kind}s: {rows} are there, {ids} were acknowledged")

    for step, row in told.items():
        if not step.startswith("collect"):
            continue
        if here["contents"].get(row["id"]) != row["digest"]:
            wrong.append(f"contents: {step} was given other bytes than are there")
        unsaid = {part for part, version in here["parts"].items() if version == row["id"]} - set(here["disclosed"])
        if unsaid:
            wrong.append(f"disclosed: {step} has parts {sorted(unsaid)}, and no audit row says so")
    return wrong


def test_the_whole_story_is_worth_interrupting(whole: dict[str, Any]) -> None:
    rows = [row for mailbox in whole["mailboxes"].values() for row in mailbox]
    assert {row[3] for row in rows} == {"current", "replaced", "withdrawn"}
    assert all(len(mailbox) >= 2 for mailbox in whole["mailboxes"].values())
    assert len(whole["submissions"]) == 10
    assert len(whole["answers"]) == 3
    assert whole["findings"] == []
    assert whole["waiting"] == [0, 0, 0]
    assert whole["mail"] == [0, 0, 0]
    assert wrong_with(whole, whole) == []


def test_the_story_passes_every_point_that_the_product_names(whole: dict[str, Any]) -> None:
    """A new fail point without a step that comes by it fails here; one that comes by is died at below, because POINTS is the source's."""
    assert sorted(whole["passes"]) == POINTS
    assert min(whole["passes"].values()) >= 2
    named = len(re.findall(r"\bfail\((?!self|name)", SOURCE))
    assert named == len(re.findall(r'\bfail\(\s*"[a-z]+\.[a-z_]+"\s*\)', SOURCE)), "a fail point has another name than noun.step"


@pytest.mark.parametrize("point", NOUN_POINTS)
@pytest.mark.parametrize(
    "deaths",
    [(-1,), *(pytest.param(more, marks=pytest.mark.services) for more in ((1,), (2,), (1, 1)))],
    ids=["last", "first", "second", "twice"],
)
def test_killed_at_a_named_point(point: str, deaths: tuple[int, ...], lives: Lives, whole: dict[str, Any], tmp_path: Path) -> None:
    for number, at in enumerate(deaths):
        code = lives.live(tmp_path, point, at if at > 0 else whole["passes"][point])
        # The second time, what was left of the story may not come by here again.
        assert code == KILLED or (number and code == 0)
    assert wrong_with(lives.seen(tmp_path), whole) == []


@pytest.mark.parametrize(
    ("point", "hand"),
    [
        pytest.param(point, hand, marks=[] if hand % 8 == rest else pytest.mark.services)
        for point, rest in (("store.before_commit", 2), ("store.after_commit", 6))
        for hand in range(HANDS)
    ],
)
def test_killed_at_every_commit(point: str, hand: int, lives: Lives, whole: dict[str, Any], tmp_path: Path) -> None:
    for at in range(1 + hand, whole["passes"][point] + 1, HANDS):
        folder = tmp_path / str(at)
        # What is read together shares commits as it happens: a life may have a few fewer of them than the one that was counted.
        code = lives.live(folder, point, at)
        assert code == KILLED or (code == 0 and at > 0.9 * whole["passes"][point])
        assert wrong_with(lives.seen(folder), whole) == [], f"killed at {point} {at}"


# Where each mistake is fatal, and in what the comparison must show it.
WHERE = {
    "ack_before_commit": ("defect.after_ack", "submissions"),
    "mark_before_publish": ("relay.after_mark", "findings"),
    "offset_before_effect": ("deliver.before_commit", "mailboxes"),
    "no_event_key": ("deliver.after_commit", "mailboxes"),
    "event_in_a_second_transaction": ("publish.after_commit", "mailboxes"),
    "bytes_before_audit": ("defect.after_disclosure", "disclosed"),
}


@pytest.mark.parametrize("defect", WHERE)
def test_a_seeded_defect_is_seen(defect: str, lives: Lives, whole: dict[str, Any], tmp_path: Path) -> None:
    point, shown_in = WHERE[defect]
    # A later event of the same mailbox would bring it up to date: the last one has none.
    at = whole["passes"][point] if defect == "offset_before_effect" else 1
    assert wrong_with(lives.seen(tmp_path / "calm", defect), whole) == [], "it is not the kill that shows this mistake"
    assert lives.live(tmp_path / "killed", point, at, defect) == KILLED
    wrong = wrong_with(lives.seen(tmp_path / "killed", defect), whole)
    assert {line.partition(":")[0] for line in wrong} >= {shown_in}, wrong


def test_a_relay_that_skips_is_seen(lives: Lives, whole: dict[str, Any], tmp_path: Path) -> None:
    """This one needs no kill: two mailboxes, each with numbers of its own, are enough."""
    wrong = wrong_with(lives.seen(tmp_path, "relay_by_number"), whole)
    assert {line.partition(":")[0] for line in wrong} >= {"mailboxes", "waiting"}, wrong
