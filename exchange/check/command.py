"""What `wardpost check` and `wardpost profiles` do, without a command-line framework: functions that take paths and give text and exit
codes.

Exit codes: 0 nothing of severity error, 1 an issue of severity error or fatal, 3 something could not be read.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from exchange.check.checker import Checker, UnknownProfile
from exchange.check.issue import Issue, as_outcome
from exchange.fhir.json import JsonRefused, load_strict
from exchange.fhir.r4.xml import XmlRefused, read

FORMATS = ("text", "json", "outcome")
CLEAN, ISSUES, UNREADABLE = 0, 1, 3
_SUFFIXES = (".json", ".xml")
_STEP = re.compile(r"(\w+)(?:\.ofType\((\w+)\))?(?:\[(\d+)\])?")
_LARGEST = Decimal("1e300")
_QUOTED = 200  # characters of a value that is quoted
_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Checked:
    """One file: its issues, or why it could not be read."""

    path: Path
    issues: tuple[Issue, ...] = ()
    unreadable: str = ""
    resource: object = None  # kept only to quote values of it

    @property
    def exit_code(self) -> int:
        if self.unreadable:
            return UNREADABLE
        return ISSUES if any(issue.severity in ("error", "fatal") for issue in self.issues) else CLEAN


def read_resource(data: bytes) -> object:
    """FHIR JSON or XML, told apart by the first character. Raises `JsonRefused` or `XmlRefused`."""
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    return read(data) if start[:1] == b"<" else load_strict(data)


def files(paths: Iterable[Path]) -> Iterator[Path]:
    """The files named, and every .json and .xml file in the folders named, in order of name."""
    for path in paths:
        if path.is_dir():
            yield from (found for found in sorted(path.rglob("*")) if found.is_file() and found.suffix.lower() in _SUFFIXES)
        else:
            yield path


def value_at(resource: object, expression: str) -> object:
    """The value at the place of an issue (the FHIRPath that `Issue.expression` has), None where there is none."""
    value = resource
    for step in _STEP.findall(expression.partition(".")[2]):
        name, type_, index = step
        names = [name + type_[:1].upper() + type_[1:]] if type_ else [name, f"_{name}"]
        value = next((value[one] for one in names if one in value), None) if isinstance(value, dict) else None
        if index:
            value = value[int(index)] if isinstance(value, list) and int(index) < len(value) else None
    return value


def check_file(checker: Checker, path: Path, profiles: Sequence[str] = (), *, keep: bool = False) -> Checked:
    """Raises `UnknownProfile`; everything about the file itself is in what is returned. `keep`: the resource, too."""
    try:
        if path.stat().st_size > _MAX_BYTES:
            return Checked(path, unreadable=f"larger than {_MAX_BYTES:,} bytes")
        value = read_resource(path.read_bytes())
    except OSError as error:
        return Checked(path, unreadable=error.strerror or "cannot be opened")
    except (JsonRefused, XmlRefused) as refused:
        return Checked(path, unreadable=refused.diagnostics())
    if not isinstance(value, dict):
        return Checked(path, unreadable="not a FHIR resource: a JSON object is needed")
    return Checked(path, tuple(checker.check(value, profiles=profiles)), resource=value if keep else None)


def check(
    paths: Iterable[Path],
    *,
    form: str = "text",
    profiles: Sequence[str] = (),
    values: bool = False,
    write: Callable[[str], object],
    seen: Callable[[Checked], object] | None = None,
) -> int:
    """Checks files and folders and writes the report; returns the exit code, the worst of all files.

    `values`: each issue of text and json quotes what stands there, which may be a person's data.
    `seen` is called after each file (for a progress bar). With no file at all the code is 3. An unknown profile is 3, too, and is said.
    """
    checker = Checker.load()
    exits: Counter[int] = Counter()
    severities: Counter[str] = Counter()
    try:
        for path in files(paths):
            result = check_file(checker, path, profiles, keep=values)
            exits[result.exit_code] += 1
            severities.update(issue.severity for issue in result.issues)
            for line in _FORMATS[form](result):
                write(line + "\n")
            if seen:
                seen(result)
    except UnknownProfile as unknown:
        write(f"{unknown.diagnostics()}\n")
        return UNREADABLE
    if not exits:
        write("No FHIR file (.json, .xml) was found there.\n")
        return UNREADABLE
    if form == "text":
        total = exits.total()
        said = ", ".join(f"{severities[one]} {one}" for one in ("fatal", "error", "warning", "information") if severities[one])
        verdicts = f"{exits[CLEAN]} without errors, {exits[ISSUES]} with errors, {exits[UNREADABLE]} not readable"
        write(f"{total} file{'s' * (total > 1)}: {verdicts}; issues: {said or 'none'}\n")
    return max(exits)


def _plain(number: Any) -> object:
    """A Decimal as JSON writes numbers; one that a float cannot hold, in quotes."""
    return float(number) if abs(number) < _LARGEST else str(number)


def _quoted(result: Checked, issue: Issue) -> str:
    if result.resource is None:
        return ""
    text = json.dumps(value_at(result.resource, issue.expression), default=_plain)
    return f" = {text if len(text) <= _QUOTED else text[:_QUOTED] + '...'}"


def _text(result: Checked) -> Iterator[str]:
    if result.unreadable:
        yield f"{result.path}: not readable: {result.unreadable}"
    for issue in result.issues:
        place = f"{issue.expression or '(the whole)'}{_quoted(result, issue)}"
        yield f"{result.path}: {issue.severity}: {place}: {issue.text} [{issue.rule}]"


def _json(result: Checked) -> Iterator[str]:
    issues = [
        {"severity": one.severity, "code": one.code, "expression": one.expression, "rule": one.rule, "text": one.text}
        | ({"value": value_at(result.resource, one.expression)} if result.resource is not None else {})
        for one in result.issues
    ]
    said = {"file": str(result.path), "exit": result.exit_code, "unreadable": result.unreadable or None, "issues": issues}
    yield json.dumps(said, default=_plain)


def _outcome(result: Checked) -> Iterator[str]:
    unreadable = (Issue("fatal", "structure", "", result.unreadable, "unreadable"),)
    yield json.dumps(as_outcome(unreadable if result.unreadable else result.issues))


_FORMATS: dict[str, Callable[[Checked], Iterator[str]]] = {"text": _text, "json": _json, "outcome": _outcome}


def list_profiles(write: Callable[[str], object], contains: str = "") -> int:
    """Every profile and extension compiled in, one a line: canonical, version, type, source. 3 when there is none with that word."""
    plan = Checker.load().plan
    chosen = [pair for pair in sorted(plan.profile_names()) if contains.lower() in pair[0].lower()]
    for url, source in chosen:
        if found := plan.record(url):
            write(f"{url}|{found[0].get('version', '')}  {found[0]['type']}  {source}\n")
    if not chosen:
        write("No profile compiled in has that in its canonical.\n")
    return CLEAN if chosen else UNREADABLE


def show_profile(url: str, write: Callable[[str], object]) -> int:
    """What a profile adds to its type: 3 when it is not compiled in."""
    url = url.partition("|")[0]
    plan = Checker.load().plan
    if found := plan.record(url):
        write(json.dumps(found[0], indent=1) + "\n")
    elif plan.profile(url):
        write(f"{url} is a type of R4: every resource of it is held to it, asked for or not.\n")
    else:
        write(f"{UnknownProfile(url).diagnostics()}\n")
        return UNREADABLE
    return CLEAN
