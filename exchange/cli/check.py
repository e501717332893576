"""Commands of the conformance checker: check files and folders, list and show the profiles compiled in."""

import sys
from pathlib import Path
from typing import Annotated

import typer

profiles = typer.Typer(help="The profiles that the checker holds.", no_args_is_help=True)


def check(
    files: Annotated[list[Path], typer.Argument(help="FHIR files, JSON or XML, or folders of them.")],
    format: Annotated[str, typer.Option(help="text, json (a line a file) or outcome.")] = "text",
    profile: Annotated[list[str] | None, typer.Option(help="Canonical URL that each file must conform to, beside its own claims.")] = None,
    with_values: Annotated[bool, typer.Option("--with-values", help="Quote what stands at each issue: it may be a person's data.")] = False,
) -> None:
    """Judge FHIR against R4 and UK Core, offline. Exit 0 clean, 1 an issue of severity error, 3 something unreadable."""
    from rich.console import Console
    from rich.progress import Progress

    from exchange.check import command

    if format not in command.FORMATS:
        raise typer.BadParameter("format is one of: " + ", ".join(command.FORMATS))
    found = list(command.files(files))
    report: list[str] = []  # written when the bar is gone: it would take standard output for itself
    with Progress(console=Console(stderr=True), transient=True, disable=len(found) < 2 or not sys.stderr.isatty()) as progress:
        task = progress.add_task("checking", total=len(found))
        code = command.check(
            found, form=format, profiles=profile or (), values=with_values, write=report.append, seen=lambda _: progress.advance(task)
        )
    sys.stdout.writelines(report)
    raise typer.Exit(code)


@profiles.command("list")
def profiles_list(contains: Annotated[str, typer.Argument(help="Only canonicals that contain this.")] = "") -> None:
    """Every profile and extension compiled in."""
    from exchange.check import command

    raise typer.Exit(command.list_profiles(sys.stdout.write, contains))


@profiles.command("show")
def profiles_show(url: Annotated[str, typer.Argument(help="Canonical URL.")]) -> None:
    """What a profile adds to its type. Exit 3 when it is not compiled in."""
    from exchange.check import command

    raise typer.Exit(command.show_profile(url, sys.stdout.write))
