"""`wardpost`: the commands and their one way of failing: a sentence on stderr, no stack trace."""

import sys

import typer

from exchange.cli import check, directory, documents, events, notices, people, rules, service

app = typer.Typer(
    name="wardpost",
    help="Discharge papers from hospital to care home: complete, sealed, read by a named person, provable.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(service.demo)
app.command("run")(service.run)
app.command("doctor")(service.doctor)
app.command("fsck")(service.fsck)
app.command("move")(service.move)
app.command("send")(documents.send)
app.command("convert")(documents.convert)
app.command("gate")(documents.gate)
app.command("check")(check.check)
app.add_typer(check.profiles, name="profiles")
app.add_typer(rules.rules, name="rules")
app.add_typer(directory.sites, name="sites")
app.add_typer(directory.senders, name="senders")
app.add_typer(directory.clients, name="clients")
app.add_typer(directory.people, name="people")
app.command("transfers")(people.transfers)
app.command("override")(rules.override)
app.command("friday")(people.friday)
app.command("inbox")(people.inbox)
app.command("open")(people.open_)
app.command("answer")(people.answer)
app.command("trace")(people.trace)
app.add_typer(people.holds, name="holds")
app.add_typer(notices.notices, name="notices")
app.add_typer(events.events, name="events")


def main() -> None:
    """Run a command. Exit 0 done; 1 refused, with what to do next; 2 wrong use; 3 unreadable input."""
    from exchange.errors import WardpostError
    from exchange.fhir.draft import Unreadable

    try:
        app()
    except Unreadable as problem:
        print(f"{problem.code}: {problem.diagnostics()}", file=sys.stderr)
        sys.exit(3)
    except WardpostError as problem:
        print(f"{problem.code}: {problem.diagnostics()}", file=sys.stderr)
        sys.exit(1)
