"""Commands around the service itself: run, demo, fsck, doctor."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.door import Data, one_of, service


def run(
    data: Data = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback TLS is needed in front.")] = None,
    port: Annotated[int | None, typer.Option(help="HTTP port; 0: any free one.")] = None,
    mllp_port: Annotated[int | None, typer.Option(help="MLLP port of the sender that has none of its own; 0: any free one.")] = None,
    role: Annotated[list[str] | None, typer.Option(help="api, intake, worker, relay or clock; may come again. Needs PostgreSQL.")] = None,
) -> None:
    """Start everything in one process: listeners, API, pages, worker, relay, clock. Ctrl-C stops it gracefully."""
    import uvloop

    from exchange.cli.serve import serve
    from exchange.config import load_settings
    from exchange.roles import RunRole

    roles = [one_of(RunRole, name, "role") for name in role or RunRole]
    uvloop.run(serve(load_settings(data=data, host=host, port=port, mllp_port=mllp_port), roles))


def demo(
    once: Annotated[bool, typer.Option("--once", help="Play the story and end; otherwise the service stays up until Ctrl-C.")] = False,
    data: Annotated[Path, typer.Option(help="Folder for the demo's data; it is made anew.")] = Path("demo-data"),
    deployment: Annotated[str, typer.Option(help="embedded; postgres or kafka: with real servers and one process per role.")] = "embedded",
) -> None:
    """Play the whole story on this machine: three people, one care home, every step as the outside world would do it."""
    from exchange.cli.demo import play
    from exchange.cli.demo_deployment import DEPLOYMENTS

    if deployment not in DEPLOYMENTS:
        raise typer.BadParameter("deployment is one of: " + ", ".join(DEPLOYMENTS))
    raise typer.Exit(play(data, once=once, deployment=deployment))


def fsck(data: Data = None) -> None:
    """Check every invariant of the database. Exit 1 when something is wrong, each finding named."""
    from exchange.cli.fsck import check_all

    with service(data) as exchange:
        findings = exchange.store.read(lambda uow: check_all(uow, exchange.environment))
    for finding in findings:
        print(f"{finding.rule}: {finding.words} ({finding.row})")
    if findings:
        print(f"fsck: {len(findings)} findings", file=sys.stderr)
        raise typer.Exit(1)
    print("fsck: clean")


def move(
    to: Annotated[str, typer.Option("--to", help="postgresql://… of an empty database; else WARDPOST_DATABASE.")] = "", data: Data = None
) -> None:
    """Copy the stopped SQLite database to PostgreSQL, compared row by row; run it again when it was interrupted."""
    from urllib.parse import urlsplit

    from exchange.config import load_settings
    from exchange.errors import Refused
    from exchange.wiring import move_to

    settings = load_settings(data=data)
    if to and urlsplit(to).password:
        step = "Leave it out, and give it in PGPASSWORD or PGPASSFILE, or the whole URL in WARDPOST_DATABASE."
        raise Refused("password_shown", "A password on the command line can be read by others on this machine.", next_step=step)
    if not (to or settings.postgres):
        raise Refused("setting", "Nobody said where to.", next_step="Give --to, or set WARDPOST_DATABASE.")
    rows = move_to(settings, to or settings.postgres, lambda table, done, total: print(f"{table}: {done} of {total}", flush=True))
    print(f"moved: {rows} rows, equal on both sides. Next: set WARDPOST_DATABASE, keep {settings.kek}, and run wardpost fsck.")


def doctor(
    data: Data = None, states: Annotated[bool, typer.Option(help="Print the picture of a transfer's states and end.")] = False
) -> None:
    """Name every setting that is unsafe or unfinished, and what to do about it. Exit 1 when one is unsafe."""
    from datetime import UTC, datetime

    from exchange.cli.doctor import look_at
    from exchange.transfer.states import picture

    if states:
        print(picture())
        return
    from exchange.config import load_settings

    notes = look_at(load_settings(data=data), datetime.now(UTC).date())
    for note in notes:
        print(f"{'UNSAFE' if note.is_unsafe else 'note'}: {note.words}")
    if any(note.is_unsafe for note in notes):
        raise typer.Exit(1)
    print("doctor: nothing unsafe")
