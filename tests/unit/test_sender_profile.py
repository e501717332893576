"""Sender profiles are held to their rules, and tried on sample messages without showing anybody."""

import json
import os
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from exchange.directory.profiles import parse_profile
from exchange.errors import Refused
from tests.service_kit import WARDPOST

NOW = datetime(2026, 11, 27, 16, 30, tzinfo=UTC)
WARD = {"name": "Ward 6", "phone": "01632 960101"}


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ({"gate_profile": "best"}, "gate_profile"),
        ({"gate_policy": "soft"}, "gate_policy"),
        ({"reading": {"zone": "Europe/Nowhere"}}, "reading.zone"),
        ({"reading": {"zone": "../../etc/passwd"}}, "reading.zone"),
        ({"reading": {"country": "Elsewhere"}}, "reading.country"),
        ({"reading": {"pv1_37": "sometimes"}}, "pv1_37"),
        ({"reading": {"number_status_field": "PID"}}, "number_status_field"),
        ({"reading": {"aliases": {"L1": "not a code"}}}, "reading.aliases"),
        ({"erase_raw_after_days": -1}, "erase_raw_after_days"),
        ({"wards": {"W06": {"name": "Ward 6", "phone": " "}}}, "wards.W06"),
        ({"pharmacy": {"name": "", "phone": "1"}}, "pharmacy"),
        ({"reading": {"zones": "x"}}, "zones"),
        ({"wards": 7}, "wards"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused_by_the_name_of_its_member(profile: dict[str, object], named: str) -> None:
    with pytest.raises(Refused, match="profile") as problem:
        parse_profile(json.dumps(profile))
    assert named in problem.value.message


def test_every_wrong_member_is_named_at_once() -> None:
    with pytest.raises(Refused) as problem:
        parse_profile('{"gate_profile": "best", "erase_raw_after_days": -1}')
    assert "gate_profile" in problem.value.message
    assert "erase_raw_after_days" in problem.value.message


def check(folder: Path, profile: dict[str, object], **samples: bytes) -> subprocess.CompletedProcess[str]:
    file = folder / "profile.json"
    file.write_text(json.dumps(profile))
    paths = []
    for name, raw in samples.items():
        (folder / name).write_bytes(raw)
        paths.append(str(folder / name))
    command = [WARDPOST, "senders", "check", str(file), *paths]
    return subprocess.run(command, env={**os.environ, "COLUMNS": "220"}, capture_output=True, text=True, timeout=60, check=False)


def test_the_dry_run_says_what_became_of_each_sample_and_shows_nobody(tmp_path: Path) -> None:
    person = people(NOW)[0]
    said = check(tmp_path, {"wards": {"W07": WARD}}, admission=admission(person, NOW), letter=letter(person, NOW))
    assert said.returncode == 0, said.stderr
    for words in ("a valid profile", "ADT^A01", "facts", "MDM^T02", "letter", "1 letters, 1 final", "points to a home by", "alone:",
                  "No contact for ward W06", "No pharmacy"):  # fmt: skip
        assert words in said.stdout, words
    for secret in (person.family, person.given, person.number, person.visit, person.born, "Rehearsal"):
        assert secret not in said.stdout
    complete = {"wards": {"W06": WARD}, "discharge_contact": WARD, "site_manager": WARD, "pharmacy": WARD}
    assert "No contact" not in check(tmp_path, complete, letter=letter(person, NOW)).stdout


def test_a_sample_that_cannot_be_read_is_named_and_the_others_still_told(tmp_path: Path) -> None:
    said = check(tmp_path, {}, rubbish=b"rubbish", admission=admission(people(NOW)[0], NOW))
    assert said.returncode == 3
    assert "unknown_format" in said.stdout
    assert "ADT^A01" in said.stdout
    assert "Nothing of this feed" in said.stdout or "No sample is a signed letter" in said.stdout
    wrong = check(tmp_path, {"gate_profile": "best"})
    assert (wrong.returncode, "gate_profile" in wrong.stderr) == (1, True)
