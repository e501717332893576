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
# Disagreements that the standard's text decides against the engine, and what the engine gives no verdict on: told by what was said,
# never by the kind of damage. The first that fits is the reason in docs/check-oracle.md.
OURS = {
    r"not-xhtml ": "we: Narrative.div is an XHTML fragment: one div, well-formed (narrative.html); the engine mends it in silence",
    r"binding-required .*ValueSet/(all-languages|mimetypes)(,|$)": "we: required sets and maximum sets bind (terminologies.html)",
    r"empty .*An empty array": "we: arrays are never empty (json.html)",
    r"binding-required .*The code has no system": "we: a code without a system means nothing, and is in no value set",
    r"profile-type ": "we: the engine says the same of the resource alone, and inside a Bundle only where elements differ",
    r"ucum ": "we: the code is no unit of UCUM; the engine sees it in some places and not in others",
    r"reference-target ": "we: the reference itself names a type that may not stand there",
}
THEIRS = {
    r"threw |Cannot invoke ": "nobody: the engine's own evaluation throws, which is no verdict",
    r"SLICING_CANNOT_BE_EVALUATED|Profile_MatchMultiple .*valueset-": "we: such slices cannot be told apart",
    r"Malformed XHTML: Found \"</\w+ >\"": "we: XML allows a space in an end tag",
    r"BUNDLE_LINK_SEARCH_": "we: R4 limits no Bundle.link",
}
OPEN = "open"


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
    def said(self) -> list[str]:
        """What the stricter one says, without what the engine says of a narrative that it could not read."""
        if not self.engine_refuses:
            return self.ours
        found = [f"{i[2]} {i[1]} {i[3]}" for i in self.engine if i[0] in BAD]
        unread = any("Error parsing XHTML" in text for text in found)
        return [text for text in found if not (unread and "Narrative#txt-" in text)]

    @property
    def differs(self) -> bool:
        return self.engine_refuses != self.we_refuse

    @property
    def right(self) -> str:
        """Who is right in a disagreement and why; `OPEN` unless the tables above answer everything that the stricter one says."""
        table = THEIRS if self.engine_refuses else OURS
        reasons = [next((why for key, why in table.items() if re.search(key, text)), OPEN) for text in self.said]
        return OPEN if OPEN in reasons else reasons[0]

    @property
    def settled(self) -> bool:
        return self.differs and self.right != OPEN

    @property
    def at_the_change(self) -> bool:
        """Some error of ours names a place that was changed, something in it, or what it stands in."""
        ours = {plain(line.split(" ")[1]) for line in self.ours if " " in line}
        return any(f"{a}.".startswith(f"{b}.") or b.rpartition(".")[0] == a for a in ours for b in self.changed) or not all(
            " " in line for line in self.ours
        )

    @property
    def misplaced(self) -> bool:
        """The engine refuses it, and no error of ours names what was changed, something in it, or anything that it stands in."""
        above = {plain(line.split(" ")[1]) for line in self.ours if " " in line}
        over = any(not a or f"{b}.".startswith(f"{a}.") for a in above for b in self.changed)
        # Another type or profile changes what the resource as a whole is held to.
        over = over or any(re.search(r"\.(resourceType|meta(\.profile)?)$", place) for place in self.changed)
        return bool(self.kind) and self.engine_refuses and not self.settled and not (self.ours and (over or self.at_the_change))

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
    unseen = {**held_out.KINDS, **held_out.SECOND, **held_out.THIRD}
    kinds = {**damage.KINDS, **damage.HARMLESS, **unseen}
    if only == "held-out":
        kinds = unseen
    elif only == "third":
        kinds = held_out.THIRD
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


def counts(cases: list[Case]) -> tuple[int, ...]:
    """Both refuse, both pass, engine alone, checker alone, settled."""
    cell = Counter((case.engine_refuses, case.we_refuse) for case in cases)
    return cell[True, True], cell[False, False], cell[True, False], cell[False, True], sum(case.settled for case in cases)


def shares(cases: list[Case]) -> tuple[float, float]:
    """Percent of agreement on verdicts, raw and with what is settled."""
    refused, passed, _, _, settled = counts(cases)
    return tuple(100 * some / max(1, len(cases)) for some in (refused + passed, refused + passed + settled))  # type: ignore[return-value]


def report(title: str, cases: list[Case], verbose: bool) -> None:
    refused, passed, engine, ours, _ = counts(cases)
    raw, settled = shares(cases)
    print(
        f"\n{title}: {len(cases)} documents: both refuse {refused}, both pass {passed}, engine alone {engine}, checker alone {ours};"
        f" agreement {raw:.1f} %, with what is settled {settled:.1f} %; of those refused by both {sum(case.same_place for case in cases)}"
        f" at the same place; {sum(case.at_the_change for case in cases if case.ours)} of {refused + ours} where changed"
    )
    for case in cases if verbose else ():
        if case.differs:
            who = "engine" if case.engine_refuses else "checker"
            print(f"  {who} alone: {case.name}: {case.right}\n      {case.said[0][:260]}")
        elif case.ours and case.kind and not case.at_the_change:
            print(f"  elsewhere: {case.name}: {sorted(case.changed)[:3]}\n      {case.ours[:2]}")


def page(parts: dict[str, list[Case]], arguments: str) -> str:
    """docs/check-oracle.md: the matrix of each set, and every disagreement with who is right."""
    lines = [
        "# The checker beside HL7's engine",
        "",
        f"Written by `python -m tests.oracle.run {arguments}`: not by hand. What the columns mean: [check.md](check.md).",
        "",
        "| set | documents | kinds | both refuse | both pass | engine alone | checker alone | raw | settled |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for title, cases in parts.items():
        refused, passed, engine, ours, _ = counts(cases)
        raw, settled = shares(cases)
        kinds = len({case.kind for case in cases} - {""})
        lines.append(
            f"| {title} | {len(cases)} | {kinds or '–'} | {refused} | {passed} | {engine} | {ours} | {raw:.1f} % | {settled:.1f} % |"
        )
    lines += [
        "",
        "Every disagreement, like ones in one row:",
        "",
        "| set | damage | refused by | what it says | documents | who is right |",
        "|---|---|---|---|---|---|",
    ]
    rows: Counter[str] = Counter()
    for title, cases in parts.items():
        for case in cases:
            if case.differs:
                rule, where, *_ = f"{case.said[0]} ".split(" ")
                place = ".".join(bare(where).removeprefix("Bundle.entry.resource").split(".")[-2:])
                who = "engine" if case.engine_refuses else "checker"
                rows[f"| {title} | {case.kind or case.name} | {who} | `{rule}` {place.strip('.')} | {{}} | {case.right} |"] += 1
    return "\n".join([*lines, *(row.format(count) for row, count in rows.items()), ""])


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.oracle.run", description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--count", type=int, default=300, help="damaged documents")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="names of kinds, with commas, or held-out, or third")
    parser.add_argument("--quiet", action="store_true", help="no single disagreements")
    parser.add_argument("--write", type=Path, help="write the page with the matrix and every disagreement here")
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
    parts = {
        "samples": whole,
        "harmless changes": [case for case in broken if case.kind in damage.HARMLESS],
        "damaged, kinds used while building": [case for case in broken if case.kind in damage.KINDS],
        "damaged, kinds first seen afterwards": [case for case in broken if case.kind in held_out.KINDS],
        "damaged, second kinds first seen afterwards": [case for case in broken if case.kind in held_out.SECOND],
        "damaged, third kinds first seen afterwards": [case for case in broken if case.kind in held_out.THIRD],
    }
    parts = {title: some for title, some in parts.items() if some}
    for title, some in parts.items():
        report(title, some, not chosen.quiet)
    report("all", whole + broken, False)
    if chosen.write:
        chosen.write.write_text(page(parts, f"--count {chosen.count} --seed {chosen.seed}"))
    # A mutation either keeps the document clean by the engine's word, or is reported where it is.
    misplaced = [case for case in broken if case.misplaced and case.kind not in damage.HARMLESS]
    for case in misplaced:
        print(f"not reported where it is: {case.name}: {sorted(case.changed)[:3]}: {case.ours[:2]}")
    return 1 if shares(whole + broken)[1] < chosen.agreement or misplaced else 0


if __name__ == "__main__":
    sys.exit(main())
