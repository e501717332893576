"""How a Transfer may change: the only table of it. docs/data-model.md shows it as drawn by `picture`."""

from exchange.errors import Conflict
from exchange.model import TransferState as S

TRANSITIONS: dict[tuple[S, S], str] = {
    (S.POSSIBLE, S.CONFIRMED): "a named person confirms the site",
    (S.CONFIRMED, S.PUBLISHED): "version 1 is published",
    (S.PUBLISHED, S.PUBLISHED): "a later version is published",
    (S.POSSIBLE, S.WITHDRAWN): "the discharge or admission is cancelled, or another site is chosen",
    (S.CONFIRMED, S.WITHDRAWN): "the discharge or admission is cancelled, or another site is chosen",
    (S.PUBLISHED, S.WITHDRAWN): "the discharge or admission is cancelled, or another site is chosen",
    (S.WITHDRAWN, S.CONFIRMED): "the same site is confirmed again, or a newer letter or leaving follows the cancellation",
}


def check_transition(old: S, new: S) -> None:
    """Raises Conflict `transfer_state` when the table does not have it."""
    if (old, new) not in TRANSITIONS:
        raise Conflict("transfer_state", f"A transfer that is {old} cannot become {new}.", next_step="Look at its trace first.")


def picture() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["```mermaid", "stateDiagram-v2"]
    lines += [f"    {old} --> {new}: {why}" for (old, new), why in TRANSITIONS.items()]
    return "\n".join([*lines, "```"])
