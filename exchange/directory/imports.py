"""The national directories as CSV files: ODS sites and CQC locations, read into Organisations. Public facts alone; nothing routes by them.

ODS: report `ecarehomesite` and its like, 27 columns without a head. CQC: "HSCA active locations" saved as CSV, known by its column names.
"""

import csv
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice

from exchange.audit.events import About, record
from exchange.directory.entries import SERVICE_ORG
from exchange.errors import Refused
from exchange.model import Caller, ods_code
from exchange.ports import Store, UnitOfWork
from exchange.records import Organisation

_BATCH = 500
_DAY = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)|(\d\d)/(\d\d)/(\d{4})")
# Columns of an ODS report, counted from 0.
_ODS = {"id": 0, "name": 1, "street": 4, "town": 7, "postcode": 9, "opened_on": 10, "closed_on": 11, "provider": 14, "phone": 17}
_CQC = {
    "id": "location ods code", "name": "location name", "street": "location street address", "town": "location city",
    "postcode": "location postal code", "phone": "location telephone number", "cqc": "location id", "provider_name": "provider name",
}  # fmt: skip
_IS_HOME, _NURSING = "care home?", "service type - care home service with nursing"


@dataclass(slots=True)
class Report:
    """What an import did. `problems`: (line, words); `moved`: codes whose provider is another now: they are closed here, not passed on."""

    read: int = 0
    new: int = 0
    changed: int = 0
    closed: int = 0
    moved: list[str] = field(default_factory=list)
    problems: list[tuple[int, str]] = field(default_factory=list)


def import_file(store: Store, source: str, lines: Iterable[str], progress: Callable[[int], None]) -> Report:
    """Read `ods` or `cqc` lines, 500 rows a transaction; the same file again changes nothing. Raises Refused `import_file`."""
    report = Report()
    rows = {"ods": _ods_rows, "cqc": _cqc_rows}[source](csv.reader(lines), report)
    while batch := list(islice(rows, _BATCH)):
        _add(report, store.write(lambda uow, found=batch: _enter(uow, source, found)))  # type: ignore[misc]  # the default binds the loop's value
        progress(report.read)
    if not report.read:
        step = "ods: a report of care home sites, 27 columns without a head; cqc: the active locations, with their head, as CSV."
        raise Refused("import_file", "No site can be read from this file.", next_step=step)
    return report


def postcode(text: str) -> str:
    """A postcode in its one form: capitals, one space before the last three."""
    plain = "".join(text.upper().split())
    return f"{plain[:-3]} {plain[-3:]}" if len(plain) > 4 else plain


def _day(text: str) -> str:
    found = _DAY.fullmatch(text.strip())
    return ("-".join(found.group(1, 2, 3)) if found[1] else "-".join(found.group(6, 5, 4))) if found else ""


def _site(cells: Mapping[str, str], **more: str) -> Organisation:
    """Raises Refused `ods_code`."""
    kept = {name: " ".join(value.split()) for name, value in cells.items()} | more
    days = {name: _day(kept.get(name, "")) for name in ("opened_on", "closed_on")}
    return Organisation(**(kept | days | {"id": ods_code(kept["id"]), "kind": "home", "postcode": postcode(kept["postcode"])}))  # type: ignore[arg-type]  # texts by name


def _ods_rows(rows: Iterable[list[str]], report: Report) -> Iterator[Organisation]:
    for number, row in enumerate(rows, 1):
        if len(row) < 18:
            report.problems.append((number, f"has {len(row)} columns, not 27"))
            continue
        yield from _read(number, {name: row[at] for name, at in _ODS.items()}, report)


def _cqc_rows(rows: Iterable[list[str]], report: Report) -> Iterator[Organisation]:
    head: dict[str, int] = {}
    for number, row in enumerate(rows, 1):
        if not head:  # a few lines about the file may come first
            names = {" ".join(name.lower().split()): at for at, name in enumerate(row)}
            head = names if set(_CQC.values()) <= set(names) else {}
            continue
        cell = {name: row[at].strip() for name, at in head.items() if at < len(row)}
        if cell.get(_IS_HOME, "Y").upper() not in ("Y", "YES"):
            continue
        if not cell.get(_CQC["id"]):
            report.problems.append((number, "has no ODS code yet: after a call-back, wardpost sites add CODE NAME"))
            continue
        kind = "care home with nursing" if cell.get(_NURSING, "").upper() in ("Y", "YES") else "care home without nursing"
        yield from _read(number, {name: cell.get(column, "") for name, column in _CQC.items()}, report, care_kind=kind)


def _read(number: int, cells: Mapping[str, str], report: Report, **more: str) -> Iterator[Organisation]:
    try:
        site = _site(cells, **more)
    except Refused as problem:
        report.problems.append((number, problem.message))
        return
    if not site.name or not site.postcode:
        report.problems.append((number, f"{site.id} has no name or no postcode"))
        return
    yield site


def _enter(uow: UnitOfWork, source: str, batch: list[Organisation]) -> Report:
    """One batch: new sites without keys or mailbox (the first pick makes them), known ones changed where this source says something."""
    done = Report(read=len(batch))
    known = {row.id: row for row in uow.find(Organisation, id__in=[site.id for site in batch])}
    for site in {site.id: site for site in batch}.values():
        before = known.get(site.id)
        if before is None:
            uow.insert(replace(site, verified_at=uow.now))
            done.new += 1
            continue
        if before.kind != "home":
            done.problems.append((0, f"{site.id} is a {before.kind} here: left alone"))
            continue
        said = {name: value for name in (*_ODS, *_CQC, "care_kind") if name != "id" and (value := getattr(site, name, ""))}
        if source == "ods" and before.closed_on and not site.closed_on and before.provider == site.provider:
            said["closed_on"] = ""  # opened again, by the directory's word
        if before.provider and site.provider and before.provider != site.provider:
            # A sold home: its mailbox is the old owner's, and closed for new picks until a person has called (practice.md 1).
            done.moved.append(site.id)
            said = {"closed_on": before.closed_on or uow.now.date().isoformat()}
        if changes := {name: value for name, value in said.items() if getattr(before, name) != value}:
            uow.update(Organisation, changes, id=site.id)
            done.changed += 1
            done.closed += bool(changes.get("closed_on"))
    uow.update(Organisation, {"verified_at": uow.now}, id__in=[site.id for site in batch if site.id not in done.moved])
    if done.new or done.changed:
        record(uow, "directory.changed", Caller(SERVICE_ORG), About(), code=f"{source}: {done.new} new, {done.changed} changed")
    return done


def _add(total: Report, more: Report) -> None:
    for name in Report.__slots__:
        setattr(total, name, getattr(total, name) + getattr(more, name))
