"""Commands for events whose effect failed: which wait, which are dead letters, what a person does with one."""

from typing import Annotated

import typer

from exchange.cli.door import By, Data, service, show
from exchange.cli.people import london

events = typer.Typer(help="Events whose effect failed: list, show, replay, discard.", no_args_is_help=True)
Event = Annotated[str, typer.Argument(help="Id of the event (wardpost events list).")]


@events.command("list")
def list_(data: Data = None) -> None:
    """Events that wait for another try, dead letters, and discarded ones, by mailbox and number."""
    with service(data) as exchange:
        found = exchange.list_parked()
    rows = [
        (row.id, f"{row.key} {row.sequence}", row.type, row.state, row.code, f"{row.attempts} since {london(row.failed_at)}")
        for row in found
    ]
    show("Events", ("id", "mailbox", "event", "state", "code", "tries"), rows, "Every event had its effect.")


@events.command("show")
def show_(event: Event, data: Data = None) -> None:
    """One event, whole: it holds ids only."""
    from exchange.errors import NotFound
    from exchange.records import OutboxEvent, ParkedEvent

    with service(data) as exchange:
        found, parked = exchange.store.read(lambda uow: (uow.get(OutboxEvent, event), uow.get(ParkedEvent, event)))
    if found is None:
        raise NotFound("event", "There is no such event here.", next_step="List them: wardpost events list")
    print(f"{found.type}, number {found.sequence} of mailbox {found.key}, {london(found.created_at)}: {found.state}")
    print(found.body)
    if parked is not None:
        print(f"{parked.state}: {parked.code}, tried {parked.attempts} times; next try {london(parked.due_at)}")


@events.command("replay")
def replay(event: Event, by: By, data: Data = None) -> None:
    """The cause is mended: carry a dead letter out now. Recorded with the person's name."""
    with service(data) as exchange:
        exchange.settle_parked(event, by, is_replay=True)
    print("carried out")


@events.command("discard")
def discard(event: Event, by: By, data: Data = None) -> None:
    """A dead letter shall have no effect. Recorded with the person's name."""
    with service(data) as exchange:
        exchange.settle_parked(event, by, is_replay=False)
    print("discarded")
