"""How every command comes to the data: the settings, the service, a table on the screen."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from exchange.app import Exchange

Data = Annotated[Path | None, typer.Option("--data", envvar="WARDPOST_DATA", help="Folder of the database.", show_default="wardpost-data")]
By = Annotated[str, typer.Option("--by", help="Id of the person who does this (wardpost people list).")]
W = TypeVar("W", bound=StrEnum)


def one_of(words: type[W], said: str, name: str) -> W:
    """The word of these that was said. BadParameter names them all, and not what was said: it could be about a person."""
    try:
        return words(said)
    except ValueError:
        raise typer.BadParameter(f"{name} is one of: " + ", ".join(words)) from None


def quiet_logs(level: str) -> None:
    """One JSON object a line on stderr: event names, ids and codes only."""
    import structlog

    # What a library has to say (Kafka's client, above all), in the same shape; never more than its name, level and first words.
    logging.basicConfig(handlers=[_Library()], level=logging.WARNING, force=True)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping().get(level.upper(), logging.INFO)),
        logger_factory=lambda *_: _Lines(),
        cache_logger_on_first_use=True,
    )


class _Lines:
    """Lines on stderr. One that cannot be written (a full disk, a reader that is gone) is lost and stops nothing else."""

    def msg(self, line: str) -> None:
        with suppress(OSError):
            print(line, file=sys.stderr, flush=True)

    debug = info = warning = error = critical = msg


class _Library(logging.Handler):
    """Makes a library's log record one of our lines. Its arguments are left out: nobody knows what they hold."""

    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        structlog.get_logger("wardpost.library").warning(
            "library_says", library=record.name, level=record.levelname, words=str(record.msg)[:120]
        )


@contextmanager
def service(data: Path | None) -> Iterator["Exchange"]:
    """The service over the data folder, for one command; the running service may be at work beside us."""
    from exchange.config import load_settings
    from exchange.wiring import open_exchange

    settings = load_settings(data=data)
    quiet_logs(settings.log)
    exchange = open_exchange(settings)
    try:
        yield exchange
    finally:
        exchange.bus.close()
        exchange.store.close()


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], empty: str) -> None:
    """Print a table; where the window is too narrow for one, each row as a paragraph. `empty` when there is nothing."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console()
    if not rows:
        console.print(empty)
        return
    table = Table(title=title, title_justify="left", show_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    for row in rows:
        # Text, not str: a name in square brackets is a name, not markup.
        table.add_row(*map(Text, row))
    if console.measure(table, options=console.options.update(width=9999)).maximum <= console.width:
        console.print(table)
        return
    console.print(Text(title, style="italic"))
    for first, *others in rows:
        console.print(Text(first, style="bold"))
        named = [(f"{column}: " if column else "") + cell for column, cell in zip(columns[1:], others, strict=True) if cell]
        # Short cells share a line, in their order; one of several lines stands by itself.
        for is_long, cells in groupby(named, lambda cell: "\n" in cell):
            for words in cells if is_long else [" · ".join(cells)]:
                console.print(Padding(Text(words), (0, 0, 0, 4)))
