"""`./dev campaign [--seeds N] [--stays N] [--first N] [--at-once N]`: whole weekends of the simulated hospital, judged by its truth.

Every second weekend is the one in October with the hour that comes twice. A seed that fails is named with its log; exit 1 then.
`./dev campaign --crash N`: instead, every death of the embedded deployment once, and N passes of deaths under load on PostgreSQL and on
Kafka, one after the other; the passes die at other turns of each step. What is not on this machine counts as failed.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from tests.e2e.hospital_kit import HOSPITAL


def play(seed: int, stays: int, log: Path) -> tuple[int, list[str], float]:
    """One feed in a service of its own; exit code of its test, what the judge counted, seconds."""
    began = time.monotonic()
    more = "--clock-change" if seed % 2 == 0 else ""
    said = {"WARDPOST_FEED_SEED": str(seed), "WARDPOST_FEED_STAYS": str(stays), "WARDPOST_FEED_MORE": more}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "tests/e2e/test_hospital_feed.py", "-k", "usual"]
    with log.open("w") as out:
        code = subprocess.run(command, env={**os.environ, **said}, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    figures = [line for line in log.read_text().splitlines() if line[:5].strip().isdigit() or line.startswith("resident")]
    return code, figures, time.monotonic() - began


def played(seeds: range, stays: int, at_once: int, folder: Path) -> Iterator[tuple[int, int, list[str], float]]:
    with ThreadPoolExecutor(at_once) as pool:
        running = {pool.submit(play, seed, stays, folder / f"seed-{seed}.log"): seed for seed in seeds}
        for done in as_completed(running):
            yield running[done], *done.result()


def crash(passes: int, folder: Path) -> list[str]:
    """The names of the passes that failed, each with its log in the folder."""
    under_load = "tests/fault/test_under_load.py::test_killed_at_every_step_of_every_role"
    plan = [(on, turn, f"{under_load}[{on}]") for turn in range(passes) for on in ("postgres", "kafka")]
    plan += [("embedded", 0, "tests/fault/test_crash.py")]
    failed = []
    for name, turn, tests in plan:
        log = folder / f"crash-{name}-{turn + 1}.log"
        began, said = time.monotonic(), {"WARDPOST_CRASH_TURN": str(turn)}
        command = [sys.executable, "-m", "pytest", "-rs", "-m", "services or not services", tests]
        with log.open("w") as out:
            code = subprocess.run(command, env={**os.environ, **said}, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
        text = log.read_text()
        is_good = code == 0 and "SKIPPED" not in text
        print(
            f"{log.stem}: {'nothing lost, nothing twice' if is_good else f'FAILED, see {log}'} in {time.monotonic() - began:.0f} s",
            flush=True,
        )
        failed += [] if is_good else [log.stem]
    return failed


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev campaign", description=__doc__)
    for name, default in (("seeds", 10), ("stays", 400), ("first", 1), ("at-once", os.cpu_count() or 2), ("crash", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    if asked.crash:
        return 1 if crash(asked.crash, Path(tempfile.mkdtemp(prefix="wardpost-crash-"))) else 0
    if not HOSPITAL.is_dir():
        print("../shared/hospital is not here: there is nothing to play.", file=sys.stderr)
        return 3
    folder = Path(tempfile.mkdtemp(prefix="wardpost-campaign-"))
    seeds, failed = range(asked.first, asked.first + asked.seeds), []
    print(f"{asked.seeds} weekends of {asked.stays} stays, {asked.at_once} at once; logs in {folder}", flush=True)
    for number, (seed, code, figures, seconds) in enumerate(played(seeds, asked.stays, asked.at_once, folder), 1):
        print(f"\n[{number}/{asked.seeds}] seed {seed}: {'as its truth says' if code == 0 else 'FAILED'} in {seconds:.0f} s", flush=True)
        print("\n".join(figures), flush=True)
        failed += [seed] if code else []
    print(
        f"\n{asked.seeds - len(failed)} of {asked.seeds} weekends as their truth says" + (f"; see the logs of {failed}" if failed else "")
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
