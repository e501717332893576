"""A long hunt for an input that crashes the checker or makes it hang: `python -m tests.fuzz.check_campaign --minutes 15 --seed 1`.

Mutates whole documents as trees, as bytes of JSON and as bytes of XML, several times over, and sends each through the reader and the
checker by the door of `wardpost check`. A crash, a slow one (over `SLOW` seconds of CPU) and an outcome that our own checker refuses
are written to --keep with the seed that makes them again. Exit 1 when there is one.
"""

import argparse
import copy
import json
import random
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from exchange.check import Checker, as_outcome, command
from exchange.fhir.json import JsonRefused
from exchange.fhir.r4 import xml
from tests.check_kit import SHARED, as_bytes, document

SLOW = 3.0
NASTY: tuple[Any, ...] = (
    None, True, 0, -1, 10**40, 1.5, float("nan"), float("inf"), "", " ", "\x00", "\ud800", "#", "x" * 5_000, [], {},
    [None], [[]], [{}], {"": ""},
    {"resourceType": "Bundle"}, {"resourceType": "Parameters", "parameter": [{"name": "x"}]}, "<div>", "urn:uuid:",
    "2020-02-30", "a|b|c", "//",
)  # fmt: skip
PIECES = (b"<", b">", b"&", b"&amp;", b'"', b"]]>", b"<!--", b"<?x ?>", b"\x00", b"\xff", b"\\u0000", b"\\ud800",
          b"[" * 60, b'{"a":' * 60, b"<a>" * 60,
          b"1e999999999", b"-", b"null", b"<![CDATA[", b'<!DOCTYPE x [<!ENTITY a "b">]>', b"xmlns='x'",
          b"\xef\xbb\xbf", b"0" * 4_000)  # fmt: skip


def holders(root: Any) -> list[Any]:
    found = [root]
    for one in found:
        found += [inner for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, dict | list) and inner]
        if len(found) > 20_000:
            break
    return found


def tree(rng: random.Random, root: Any) -> None:
    """Values of any kind anywhere, subtrees moved, doubled, renamed and nested."""
    every = holders(root)
    for _ in range(rng.choice((1, 1, 2, 5, 20))):
        holder = rng.choice(every)
        if not holder:
            continue
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        match rng.randrange(6):
            case 0:
                holder[key] = copy.deepcopy(rng.choice(NASTY))
            case 1:
                holder[key] = copy.deepcopy(rng.choice(every))
            case 2 if isinstance(holder, list):
                holder *= rng.choice((2, 3, 50))
            case 3 if isinstance(holder, dict):
                other = rng.choice(every)
                name = rng.choice(list(other)) if isinstance(other, dict) and other else f"_{key}"
                holder[name] = holder.pop(key)
            case 4:
                for _ in range(rng.choice((1, 10, 120))):
                    holder[key] = {rng.choice(("extension", "contained", "item", "section")): [holder[key]]}
            case _:
                del holder[key]


def raw(rng: random.Random, data: bytes) -> bytes:
    """Bytes flipped, cut, doubled and put in."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 10))):
        at = rng.randrange(len(out) + 1)
        match rng.randrange(4):
            case 0 if at < len(out):
                out[at] = rng.randrange(256)
            case 1:
                del out[at : at + rng.choice((1, 5, 200))]
            case 2:
                out[at:at] = rng.choice(PIECES)
            case _:
                start = rng.randrange(len(out) + 1)
                out[at:at] = out[start : start + rng.choice((10, 300, 5_000))]
    return bytes(out)


def as_json(rng: random.Random, root: Any) -> bytes:
    tree(rng, root)
    return json.dumps(root, default=str).encode(errors="replace")


def json_bytes(rng: random.Random, root: Any) -> bytes:
    return raw(rng, as_bytes(root))


def xml_bytes(rng: random.Random, root: Any) -> bytes:
    return raw(rng, xml.write(root))


def xml_tree(rng: random.Random, root: Any) -> bytes:
    """A broken tree written as XML, where it can be."""
    tree(rng, root)
    with suppress(xml.XmlRefused, JsonRefused):
        return raw(rng, xml.write(root)) if rng.random() < 0.3 else xml.write(root)
    return as_bytes({"resourceType": "Patient"})


MUTATORS: dict[str, Callable[[random.Random, Any], bytes]] = {
    "json": as_json,
    "json-bytes": json_bytes,
    "xml": xml_tree,
    "xml-bytes": xml_bytes,
}


def seeds() -> list[Any]:
    found = [document()]
    for path in sorted((SHARED / "samples/ukcore_r4").glob("*")) if SHARED.is_dir() else ():
        with suppress(xml.XmlRefused, JsonRefused):
            found.append(command.read_resource(path.read_bytes()))
    return found


def judge(path: Path, checker: Checker, rng: random.Random) -> str:
    """Why this file is a finding; empty for none."""
    before = time.process_time()
    result = command.check_file(checker, path, keep=True)
    written: list[str] = []
    command.check([path], form=rng.choice(command.FORMATS), values=rng.random() < 0.5, write=written.append)
    spent = time.process_time() - before
    if spent > SLOW + path.stat().st_size / 500_000:
        return f"slow: {spent:.1f} s"
    outcome = as_outcome(result.issues)
    if any(issue.severity in ("error", "fatal") for issue in checker.check(outcome)):
        return "an outcome that is not clean"
    "".join(written).encode()
    return ""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.check_campaign")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, required=True, help="folder for findings and the file at work")
    chosen = parser.parse_args(arguments)
    chosen.keep.mkdir(parents=True, exist_ok=True)
    checker, bases, done = Checker.load(), seeds(), Counter[str]()
    work = chosen.keep / f"at-work-{chosen.seed}"
    end, number, findings, slowest = time.monotonic() + chosen.minutes * 60, 0, 0, 0.0
    while time.monotonic() < end:
        number += 1
        name = list(MUTATORS)[number % len(MUTATORS)]
        rng = random.Random(f"{chosen.seed}-{number}")
        said, started = "", time.process_time()
        try:
            data = MUTATORS[name](rng, copy.deepcopy(rng.choice(bases) if rng.random() < 0.6 else bases[0]))
            work.write_bytes(data)
            started = time.process_time()
            said = judge(work, checker, rng)
        except Exception:  # noqa: BLE001 - whatever is raised is a finding
            said = traceback.format_exc(limit=-6)
        slowest = max(slowest, time.process_time() - started)
        done[name] += 1
        if said:
            findings += 1
            print(f"{name} {chosen.seed}-{number}: {said}", flush=True)
            if work.exists():
                (chosen.keep / f"{chosen.seed}-{number}").write_bytes(work.read_bytes())
    print(f"seed {chosen.seed}: {dict(done)}; findings {findings}; slowest {slowest:.2f} s")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
