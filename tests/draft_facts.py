"""A Draft as the JSON facts that `tests/corpus/*/expected.json` holds."""

import hashlib
from typing import Any

from exchange.fhir.draft import Draft, Outcome

PLAIN = (
    "event",
    "is_about_person",
    "merged_ids",
    "cleared",
    "kind",
    "reason",
    "source_id",
    "sent_at",
    "occurred_at",
    "is_test",
    "is_dead",
    "is_sensitive_address",
    "claimed_sender",
)
LEAVING = ("visit_id", "expected_leaving", "left_at")


def facts(draft: Draft) -> dict[str, Any]:
    """Everything but what says nothing; items as position → path of what is carried, and position → rule of what is withheld."""
    found: dict[str, Any] = {name: getattr(draft, name) for name in (*PLAIN, *LEAVING) if getattr(draft, name)}
    found |= {"patient": draft.patient, "encounter": draft.encounter, "counts": dict(draft.counts)}
    found["entries"] = [{"role": entry.role, "position": entry.position, "resource": entry.resource} for entry in draft.entries]
    found["signs"] = [[sign.kind, sign.value, sign.position] for sign in draft.signs]
    found["letters"] = [
        {
            **{name: value for name in letter.__dataclass_fields__ if (value := getattr(letter, name)) and name != "content"},
            "sha256": hashlib.sha256(letter.content).hexdigest(),
            **({"lines": letter.content.decode().split("\n")} if letter.media_type == "text/plain" else {}),
        }
        for letter in draft.letters
    ]
    found["carried"] = {item.position: item.path for item in draft.items if item.path}
    found["withheld"] = {item.position: item.reason for item in draft.items if item.outcome is Outcome.WITHHELD}
    return found
