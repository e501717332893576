"""Commands for the e-mails that tell people what waits: list, policy, bounced."""

import re
import sys
from typing import Annotated

import typer

from exchange.cli.door import Data, service, show
from exchange.cli.people import london

notices = typer.Typer(help="E-mails about what waits: which went to whom, and the policy behind them.", no_args_is_help=True)


@notices.command("list")
def notices_list(
    about: Annotated[str, typer.Argument(help="Id of a transfer, delivery or hold; empty: the newest 100.")] = "", data: Data = None
) -> None:
    """Who was told what, when, and what could not be sent."""
    from exchange.records import Notice

    with service(data) as exchange:
        if about:
            found = exchange.store.read(lambda uow: uow.find(Notice, order="created_at"))
            found = [row for row in found if about in (row.transfer_id, row.subject_id, row.subject_id.partition("@")[0])]
        else:
            found = exchange.store.read(lambda uow: uow.find(Notice, order="-created_at", limit=100))
    rows = [
        (row.id, row.code, row.subject_id, f"{row.org} {row.person_id}", row.state, london(row.sent_at or row.created_at), row.error_code)
        for row in found
    ]
    show("Notices", ("id", "step", "about", "to", "state", "when", ""), rows, "Nobody was told anything yet.")


@notices.command("policy")
def notices_policy() -> None:
    """The policy table: who is told after how long, and who is next."""
    from exchange.intake.policy import LADDERS
    from exchange.notices.plan import code_of

    rows = [
        (
            code_of(ladder, number),
            rung.who,
            f"{rung.after.total_seconds() / 3600:g} {'working ' if rung.is_by_day else ''}hours",
            f"or {rung.before_leaving.total_seconds() / 3600:g} hours before leaving" if rung.before_leaving else "",
        )
        for ladder, rungs in LADDERS.items()
        for number, rung in enumerate(rungs)
    ]
    show("Policy", ("step", "who", "after", ""), rows, "")


@notices.command("bounced")
def notices_bounced(data: Data = None) -> None:
    """Read the message of a mail system that could not deliver (stdin; let the mail server pipe what comes to WARDPOST_MAIL_FROM)."""
    from exchange.notices.send import bounced

    # The id is the local part of the Message-ID that the report quotes; nothing else of it is looked at.
    ids = set(re.findall(rb"<([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})@", sys.stdin.buffer.read(1_048_576)))
    with service(data) as exchange:
        count = exchange.store.write(lambda uow: sum(bounced(uow, id.decode()) for id in sorted(ids)))
    print(f"{count} marked: the next step of the policy is due at once")
