"""The checker beside HL7's own engine, over samples and damaged documents: `python -m tests.oracle.run --count 300`.

Needs Maven, Java 17 and the shared data. Prints a confusion matrix of verdicts (refused: at least one issue of severity error) for
clean and for damaged
documents, the kinds that one of the two missed, and every disagreement. See docs/check.md for who is right in those that remain.
"""

import argparse
import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.check import Checker
from exchange.fhir.json import JsonRefused, load_strict
from exchange.fhir.r4 import xml
from tests import check_kit
from tests.oracle import damage, held_out
from tests.oracle.definitions import Definitions

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("WARDPOST_ORACLE_CACHE", Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "wardpost-oracle"))
RESOURCES = "hapi-fhir-validation-resources-r4-8.8.0.jar"
BAD = ("error", "fatal")
# Disagreements in which the standard's text is on our side, told by what was said (docs/check.md gives the passages). Counted apart.
OURS = {
    r"not-xhtml ": "Narrative.div is an XHTML fragment: well-formed XML in one div",
    r"binding-required .*ValueSet/(all-languages|mimetypes),": "a required set, and a maximum value set, bind: terminologies.html",
    r"empty .*An empty array": "json.html: arrays are never empty",
    r"reference-target ": "the reference itself names a type that may not stand there",
}
THEIRS = {
    r"threw |Cannot invoke ": "the engine's own evaluation throws",
    r"SLICING_CANNOT_BE_EVALUATED|Profile_MatchMultiple .*valueset-": "slices of UK Core that cannot be told apart: slicing-not-checked",
    r"Narrative#txt-2 .*CDATA": "words in a CDATA section are words",
    r"BUNDLE_LINK_SEARCH_": "R4 limits no Bundle.link",
    r"Unknown code '[^']*#null'": "a coding may have no code; no binding here is required",
}


@dataclass
class Case:
    name: str
    kind: str  # empty for a sample as it is
    text: str
    profile: str = ""
    engine: list[list[str]] = field(default_factory=list)
    ours: list[str] = field(default_factory=list)
    micros: int = 0
    changed: set[str] = field(default_factory=set)  # places that differ from the sample

    @property
    def engine_refuses(self) -> bool:
        return any(issue[0] in BAD for issue in self.engine)

    @property
    def we_refuse(self) -> bool:
        return bool(self.ours)

    @property
    def settled(self) -> bool:
        """The two disagree, and for everything that the stricter one says the table above has an answer."""
        cdata = "CDATA" * ("<![CDATA[" in self.text)
        said = [f"{i[2]} {i[1]} {i[3]} {cdata}" for i in self.engine if i[0] in BAD] if self.engine_refuses else self.ours
        table = THEIRS if self.engine_refuses else OURS
        return self.engine_refuses != self.we_refuse and all(any(re.search(key, text) for key in table) for text in said)

    @property
    def at_the_change(self) -> bool:
        """Some error of ours names a place that was changed, something in it, or what it stands in."""
        ours = {plain(line.split(" ")[1]) for line in self.ours if " " in line}
        return any(f"{a}.".startswith(f"{b}.") or b.rpartition(".")[0] == a for a in ours for b in self.changed) or not all(
            " " in line for line in self.ours
        )

    @property
    def same_place(self) -> bool:
        """Some error of the engine and some error of ours name the same element, or one the other's parent (entry numbers of the
        engine are unreliable).
        """
        theirs = {bare(issue[1] or "") for issue in self.engine if issue[0] in BAD}
        ours = {bare(line.split(" ")[1]) for line in self.ours if " " in line}
        return any(a == b or a.rpartition(".")[0] == b or b.rpartition(".")[0] == a for a in theirs for b in ours)


def bare(path: str) -> str:
    """A FHIRPath without indexes, types and the engine's remarks."""
    return re.sub(r"/\*.*?\*/|\[\d+\]|\.ofType\(\w+\)", "", path)


def plain(path: str) -> str:
    """A FHIRPath without indexes and with choices as JSON spells them."""
    return re.sub(r"\.ofType\((\w)", lambda hit: hit[1].upper(), re.sub(r"\[\d+\]", "", path)).replace(")", "")


def changes(before: Any, after: Any, path: str) -> Iterator[str]:
    """The places where two resources differ, without indexes."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in dict.fromkeys([*before, *after]):
            if before.get(key) != after.get(key) or (key in before) != (key in after):
                yield from changes(before.get(key), after.get(key), f"{path}.{key.removeprefix('_')}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for one, other in zip(before, after, strict=True):
            yield from changes(one, other, path)
    elif before != after or type(before) is not type(after):
        yield path


def missing() -> str:
    """Why the engine cannot run here; empty when it can."""
    lacking = [name for name in ("mvn", "java") if shutil.which(name) is None]
    if lacking:
        return f"{' and '.join(lacking)} not on PATH"
    return "" if check_kit.SHARED.is_dir() else "no shared data beside the repository"


def build() -> Path:
    """Builds the Java program in the cache folder; the folder of its jars."""
    target = CACHE / "target"
    stamp = CACHE / "built"
    sources = (HERE / "pom.xml").read_text() + (HERE / "src/main/java/Oracle.java").read_text()
    if not stamp.exists() or stamp.read_text() != sources:
        shutil.rmtree(CACHE, ignore_errors=True)
        CACHE.mkdir(parents=True)
        shutil.copy(HERE / "pom.xml", CACHE)
        shutil.copytree(HERE / "src", CACHE / "src")
        subprocess.run(["mvn", "-q", "-B", "package"], cwd=CACHE, check=True)
        stamp.write_text(sources)
    return target


def ask_engine(cases: list[Case]) -> None:
    """Fills in `engine` and `micros` of every case."""
    target = build()
    with tempfile.TemporaryDirectory() as folder:
        lines = []
        for index, case in enumerate(cases):
            path = Path(folder) / f"{index}.json"
            path.write_text(case.text)
            lines.append(f"{path}\t{case.profile}" if case.profile else str(path))
        classpath = f"{target / 'oracle.jar'}:{target / 'lib'}/*"
        command = ["java", "-Xmx700m", "-XX:+UseSerialGC", "-cp", classpath, "Oracle", str(check_kit.SHARED / "ukcore")]
        done = subprocess.run(command, input="\n".join(lines) + "\n", capture_output=True, text=True, check=True)
    for line, case in zip(done.stdout.splitlines(), cases, strict=True):
        answer = json.loads(line)
        case.engine, case.micros = answer["issues"], answer["us"]


def ask_checker(cases: Iterable[Case]) -> None:
    checker = Checker.load()
    for case in cases:
        try:
            value = load_strict(case.text.encode())
            issues = checker.check(value, profiles=[case.profile] if case.profile else [])  # type: ignore[arg-type]
            case.ours = [f"{issue.rule} {issue.expression} {issue.text}" for issue in issues if issue.severity in BAD]
        except JsonRefused as refused:
            case.ours = [refused.code]


def samples() -> Iterator[Case]:
    """Whole documents and UK Core's examples, as JSON."""
    yield Case("document", "", check_kit.as_bytes(check_kit.document()).decode())
    path = check_kit.SHARED / "samples/spec_skeleton_bundle.json"
    yield Case("skeleton", "", path.read_text())
    profiles = {url.rpartition("/")[2]: url for url, _ in Checker.load().plan.profile_names()}
    for path in sorted((check_kit.SHARED / "samples/ukcore_r4").iterdir()):
        data = path.read_bytes()
        value: Any = xml.read(data) if path.suffix == ".xml" else load_strict(data)
        names = [name for name in profiles if path.stem.startswith(f"{name}-") or path.stem == name]
        profile = profiles[max(names, key=len)] if names else ""
        found = Checker.load().plan.profile(profile) if profile else None
        text = json.dumps(value, default=float)
        yield Case(path.stem, "", text, profile if found and found.type == value["resourceType"] else "")


def damaged(clean: list[Case], definitions: Definitions, count: int, seed: int, only: str) -> Iterator[Case]:
    """`count` damaged documents, the kinds in turn, each over a random clean sample that offers a place for it."""
    rng = random.Random(seed)
    kinds = {**damage.KINDS, **damage.HARMLESS, **held_out.KINDS, **held_out.SECOND}
    if only == "held-out":
        kinds = {**held_out.KINDS, **held_out.SECOND}
    elif only:
        kinds = {name: kind for name, kind in kinds.items() if name in only.split(",")}
    made = 0
    while made < count:
        for name, kind in kinds.items():
            for _ in range(60):
                base = rng.choice(clean[:2]) if rng.random() < 0.35 else rng.choice(clean)
                root = json.loads(base.text)
                where = kind(rng, root, definitions)
                if where is not None:
                    before = json.loads(base.text)
                    changed = set(changes(before, root, before["resourceType"]))
                    yield Case(f"{name} in {base.name} at {where}", name, json.dumps(root), base.profile, changed=changed)
                    made += 1
                    break
            if made >= count:
                return


def matrix(cases: list[Case]) -> str:
    cell = Counter((case.engine_refuses, case.we_refuse) for case in cases)
    same, settled = cell[True, True] + cell[False, False], sum(case.settled for case in cases)
    return (
        f"{len(cases)} documents: both refuse {cell[True, True]}, both pass {cell[False, False]},"
        f" engine alone {cell[True, False]}, checker alone {cell[False, True]}; agreement {100 * same / max(1, len(cases)):.1f} %,"
        f" with the {settled} that the standard settles {100 * (same + settled) / max(1, len(cases)):.1f} %;"
        f" of those refused by both {sum(case.same_place for case in cases)} at the same place;"
        f" {sum(case.at_the_change for case in cases if case.ours)} of {cell[True, True] + cell[False, True]} where changed"
    )


def report(title: str, cases: list[Case], verbose: bool) -> None:
    print(f"\n{title}: {matrix(cases)}")
    by_kind: dict[str, list[Case]] = {}
    for case in cases:
        by_kind.setdefault(case.kind, []).append(case)
    for name, some in sorted(by_kind.items()):
        differ = [case for case in some if case.engine_refuses != case.we_refuse]
        if differ and name:
            print(f"  {name}: {matrix(some)}")
    for case in cases:
        if case.engine_refuses != case.we_refuse and verbose:
            who = "engine alone" if case.engine_refuses else "checker alone"
            why = [f"{i[2]} {i[1]} {i[3]}"[:260] for i in case.engine if i[0] in BAD] if case.engine_refuses else case.ours
            print(f"  {who}{', settled' if case.settled else ''}: {case.name}\n      {why[0]}")
        elif verbose and case.ours and case.kind and not case.at_the_change:
            print(f"  elsewhere: {case.name}: {sorted(case.changed)[:3]}\n      {case.ours[:2]}")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.run", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=300, help="damaged documents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="names of kinds, with commas, or held-out")
    parser.add_argument("--quiet", action="store_true", help="no single disagreements")
    parser.add_argument("--agreement", type=float, default=0.0, help="fail below this percentage, with what the standard settles")
    chosen = parser.parse_args(arguments)
    if why := missing():
        print(f"oracle: not run: {why}")
        return 0
    build()
    definitions = Definitions(CACHE / "target/lib" / RESOURCES)
    whole = list(samples())
    ask_checker(whole)
    ask_engine(whole)
    # Damage starts from samples that both pass.
    clean = [copy.copy(case) for case in whole if not case.we_refuse and not case.engine_refuses]
    broken = list(damaged(clean, definitions, chosen.count, chosen.seed, chosen.only))
    ask_checker(broken)
    ask_engine(broken)
    report("samples", whole, not chosen.quiet)
    parts = {
        "harmless changes": [case for case in broken if case.kind in damage.HARMLESS],
        "damaged, kinds used while building": [case for case in broken if case.kind in damage.KINDS],
        "damaged, kinds first seen afterwards": [case for case in broken if case.kind in held_out.KINDS],
        "damaged, second kinds first seen afterwards": [case for case in broken if case.kind in held_out.SECOND],
    }
    for title, some in parts.items():
        if some:
            report(title, some, not chosen.quiet)
    everything = whole + broken
    same = sum(case.engine_refuses == case.we_refuse or case.settled for case in everything)
    print(f"\nall: {matrix(everything)}; {len({case.kind for case in broken})} kinds")
    return 1 if 100 * same / len(everything) < chosen.agreement else 0


if __name__ == "__main__":
    sys.exit(main())
