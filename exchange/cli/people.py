"""Commands for people: transfers and holds at the hospital, inbox and answers at the home, the trace for whoever asks."""

import json
import sys
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from exchange.cli.door import By, Data, one_of, service, show
from exchange.model import AnswerKind, Caller

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from exchange.app import Exchange
    from exchange.web.board.view import Row

Hold = Annotated[str, typer.Argument(help="Id of the hold (wardpost holds list).")]
holds = typer.Typer(help="What waits for a person, and how a person settles it.", no_args_is_help=True)


def london(moment: "datetime") -> str:
    """A moment as people read it: `Fri 27 Nov 2026 16:40 GMT`."""
    from zoneinfo import ZoneInfo

    return moment.astimezone(ZoneInfo("Europe/London")).strftime("%a %d %b %Y %H:%M %Z")


def transfers(
    org: Annotated[str, typer.Option("--org", help="ODS code of the hospital.")] = "",
    format: Annotated[str, typer.Option(help="text, json or csv.")] = "text",
    page: Annotated[int, typer.Option(min=1, help="25 transfers each.")] = 1,
    data: Data = None,
) -> None:
    """Open transfers by leaving time, the weekend first: badge, what is still to fix by whom, what the home read and said."""
    from exchange.transfer.status import status_json
    from exchange.web.board.view import PAGE_ROWS, rows_of

    with service(data) as exchange:
        standings = exchange.open_standings(org.upper())
        found = rows_of(standings, exchange.store.read(lambda uow: uow.now))
        last = max(1, -(-len(found) // PAGE_ROWS))
        here = found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        if format == "json":
            by_id = {standing.transfer.id: standing for standing in standings}
            bodies = [{"group": row.group, **status_json(by_id[row.id], exchange.names_in(by_id[row.id]))} for row in here]
            print(json.dumps({"page": page, "pages": last, "transfers": bodies}, ensure_ascii=False, indent=1))
            return
    _show_rows(here, format, "Open transfers", "No transfer is open.")
    if page < last and format == "text":
        print(f"Page {page} of {last}. Next: wardpost transfers --page {page + 1}", file=sys.stderr)


def friday(
    org: Annotated[str, typer.Option("--org", help="ODS code of the hospital.")] = "",
    format: Annotated[str, typer.Option(help="text, json or csv.")] = "text",
    data: Data = None,
) -> None:
    """The Friday list: who leaves up to the next working day and one more, and everyone with a home picked, with gaps by owner."""
    from dataclasses import asdict

    from exchange.web.board.view import friday_rows

    with service(data) as exchange:
        rows = friday_rows(exchange.open_standings(org.upper()), exchange.store.read(lambda uow: uow.now))
    if format == "json":
        kept = ("id", "group", "leaves", "leaves_more", "ward", "home", "home_words", "fixes")
        body = [{"badge": row.badge.words, **{name: value for name, value in asdict(row).items() if name in kept}} for row in rows]
        print(json.dumps({"transfers": body}, ensure_ascii=False, indent=1))
        return
    _show_rows(rows, format, "The Friday list", "Nobody is on the list.")


def _show_rows(found: "Sequence[Row]", format: str, title: str, empty: str) -> None:
    """Rows of the board as a table or CSV, without names."""
    columns = ("id", "group", "leaves", "when", "home", "papers", "who fixes what", "the home")
    rows = [
        (
            row.id,
            row.group,
            row.leaves,
            row.leaves_more,
            row.home,
            row.badge.words,
            "; ".join(f"{fix.owner}, {fix.by}: {', '.join(fix.whats)}" for fix in row.fixes) or "nothing",
            row.home_words,
        )
        for row in found
    ]
    if format == "csv":
        _print_csv(columns, rows)
        return
    short = [(r[0], "\n".join(filter(None, r[1:4])), f"{r[4]}\n{r[5]}", r[6].replace("; ", "\n"), r[7]) for r in rows]
    show(title, ("id", "leaves", "home and papers", "who fixes what", "the home"), short, empty)


def _print_csv(columns: "Sequence[str]", rows: "Sequence[Sequence[str]]") -> None:
    import csv

    writer = csv.writer(sys.stdout)
    writer.writerow(columns)
    # A cell that a spreadsheet would run as a formula is text.
    writer.writerows([f"'{cell}" if cell[:1] in "=+-@\t\r" else cell for cell in row] for row in rows)


def _caller(exchange: "Exchange", by: str) -> Caller:
    from exchange.directory.entries import get_person

    person = exchange.store.read(lambda uow: get_person(uow, by))
    return Caller(person.org, person=person.id)


def inbox(by: By, data: Data = None) -> None:
    """The mailbox of a person's home, as a list."""
    with service(data) as exchange:
        items, _ = exchange.poll(_caller(exchange, by), count=200)
        rows = [
            (
                item.delivery.id,
                f"{item.person.given} {item.person.family}",
                item.version.badge,
                f"version {item.version.number}, {item.delivery.state}",
                london(item.delivery.updated_at),
            )
            for item in items
        ]
    show("Who is coming", ("delivery", "name", "papers", "", "changed"), rows, "No one is expected.")


def open_(
    what: Annotated[str, typer.Argument(help="A delivery's id, or an envelope file.")],
    by: By,
    to: Annotated[Path | None, typer.Option(help="Folder for the opened parts.")] = None,
    save: Annotated[Path | None, typer.Option(help="Write the sealed envelope of the delivery to this file instead.")] = None,
    data: Data = None,
) -> None:
    """Open a sealed document as a person at the home: every check first. A changed one is refused and opens for nobody."""
    from exchange.mailbox.envelopes import envelope_file, open_envelope_file

    with service(data) as exchange:
        caller = _caller(exchange, by)
        if save is not None:
            save.write_bytes(exchange.store.read(lambda uow: envelope_file(uow, caller.org, what)))
            print(f"{save}: the sealed envelope, {save.stat().st_size} bytes")
            return
        if Path(what).is_file():
            sealed = Path(what).read_bytes()
            parts = exchange.store.read(lambda uow: open_envelope_file(uow, exchange.environment, caller.org, sealed))
        else:
            item = exchange.delivery(caller, what)
            parts = [(part.media_type, exchange.collect_part(caller, part.id)[1]) for part in item.parts]
    for number, (media_type, content) in enumerate(parts):
        print(f"part {number}: {media_type}, {len(content)} bytes, every check passed")
        if to is not None:
            to.mkdir(parents=True, exist_ok=True)
            (to / f"part-{number}").write_bytes(content)


def answer(
    delivery: Annotated[str, typer.Argument(help="Id of the delivery (wardpost inbox).")],
    kind: Annotated[str, typer.Argument(help=", ".join(AnswerKind))],
    by: By,
    reason: Annotated[str, typer.Option(help="Code: D… for cannot, Q… for ask.")] = "",
    at: Annotated[str, typer.Option(help="For can_take: when, in your words.")] = "",
    note: str = "",
    data: Data = None,
) -> None:
    """Answer as a named person at the home."""
    wanted = one_of(AnswerKind, kind, "kind")
    content: dict[str, object] = {name: value for name, value in (("at", at), ("note", note)) if value}
    with service(data) as exchange:
        given = exchange.answer(_caller(exchange, by), delivery, wanted, reason, content)
    print(f"{given.kind}: kept as the answer to version {given.number}")


def trace(
    entity: Annotated[str, typer.Argument(help="Id of a transfer, submission, stay or version.")],
    format: Annotated[str, typer.Option(help="text, json or csv.")] = "text",
    data: Data = None,
) -> None:
    """Everything that happened, oldest first, in London time and UTC."""
    with service(data) as exchange:
        lines = exchange.trace(entity)
    columns = ("london", "utc", "event", "organisation", "other", "by", "about", "outcome", "detail")
    rows = [
        (
            london(line.at),
            line.at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            line.type,
            line.org,
            line.other_org,
            line.by,
            line.detail,
            line.outcome,
            line.code,
        )
        for line in lines
    ]
    if format == "json":
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], ensure_ascii=False, indent=1))
    elif format == "csv":
        _print_csv(columns, rows)
    else:
        show(
            f"Trace of {entity}",
            ("when", "UTC", "event", "who", "by", "detail"),
            [(r[0], r[1][11:], r[2], " → ".join(filter(None, r[3:5])), r[5], r[8]) for r in rows],
            "Nothing is recorded under this id.",
        )


@holds.command("list")
def holds_list(org: Annotated[str, typer.Option("--org")] = "", data: Data = None) -> None:
    """Open holds, the most urgent first."""
    from exchange.intake.holds import WORDS

    with service(data) as exchange:
        found = exchange.list_holds(org.upper())
    rows = [(h.id, WORDS[h.kind], h.code, h.owner, "by " + london(h.deadline_at)) for h in found]
    show("Holds", ("id", "what", "code", "owner", ""), rows, "Nothing waits.")


@holds.command("replay")
def holds_replay(hold: Hold, by: By, data: Data = None) -> None:
    """Read the held message again, after the profile or the program was mended."""
    print(f"{_settle(data, hold, 'replay', by)} read again; see wardpost holds list")


@holds.command("link")
def holds_link(
    hold: Hold, stay: Annotated[str, typer.Argument(help="Visit number, or the id of the stay or transfer.")], by: By, data: Data = None
) -> None:
    """A named person says to which stay a document belongs that fits several."""
    _settle(data, hold, "link", by, stay)
    print("linked")


@holds.command("address")
def holds_address(
    hold: Hold, site: Annotated[str, typer.Argument(help="ODS code of the home (wardpost sites candidates).")], by: By, data: Data = None
) -> None:
    """A named person says to which home the letter goes."""
    _settle(data, hold, "address", by, site)
    print("addressed")


@holds.command("release")
def holds_release(
    hold: Hold,
    by: By,
    as_: Annotated[str, typer.Option("--as", help="What was found: checked, discarded or addressed.")] = "checked",
    data: Data = None,
) -> None:
    """A named person has settled the matter: what waited goes on. Recorded with the person's name."""
    _settle(data, hold, "release", by, as_)
    print("released")


@holds.command("refuse")
def holds_refuse(
    hold: Hold,
    by: By,
    as_: Annotated[str, typer.Option("--as", help="Why: not_ours, test, duplicate, wrong_person, not_for_a_home or died.")],
    data: Data = None,
) -> None:
    """A named person says that what waits is used for nothing: the message, or the transfer of a letter without a home."""
    print(f"refused: {_settle(data, hold, 'refuse', by, as_)} ended")


def _settle(data: Path | None, hold: str, act: str, by: str, value: str = "") -> int:
    with service(data) as exchange:
        return exchange.settle_hold(hold, act, by, value)
