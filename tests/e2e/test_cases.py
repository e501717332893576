"""The cases from the field (../shared/cases) run by their own runner against the real command."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.service_kit import WARDPOST

CASES = Path(__file__).parents[3] / "shared" / "cases"
HOLD = tuple(f"{number:02}" for number in range(1, 34))
# Scenarios: 34 and 37 in test_fhir_api.py, 35 and 36 in test_bad_input.py.
SCENARIOS = ("34", "35", "36", "37")

pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="../shared/cases is not here")


def test_every_case_with_a_file_holds() -> None:
    done = subprocess.run(
        [sys.executable, str(CASES / "run.py"), "--cmd", WARDPOST, "--only", ",".join(HOLD), "-v"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{len(HOLD)} of {len(HOLD)} hold"


def test_every_case_is_accounted_for() -> None:
    there = {folder.name[:2] for folder in CASES.iterdir() if (folder / "expect.json").exists()}
    assert there == {*HOLD, *SCENARIOS}
