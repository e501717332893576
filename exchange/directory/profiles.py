"""SenderProfile: how one feed is to be read and whom to ask. Kept as JSON, checked when it is set."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta

import msgspec

from exchange.errors import Refused
from exchange.fhir.draft import ReadingProfile


@dataclass(frozen=True, slots=True)
class Contact:
    """Someone who answers: who, phone, hours in words."""

    name: str
    phone: str
    hours: str = ""


@dataclass(frozen=True, slots=True)
class SenderProfile:
    """One feed: `reading` for the adapter, ward contacts by code, the discharge contact, and policy.

    `gate_profile` is what this feed can ever send: "letter only", "letter and checked", "structured" or "emergency return" (an A&E's).
    `does_not_send`: ids of rules that this hospital cannot answer; where they are WARNs, the home reads "this hospital does not send this".
    `client_name`: the DNS or common name of the certificate that this feed shows, where MLLP runs over TLS with client certificates.
    `erase_raw_after_days`: raw messages of people who go home are erased then.
    """

    reading: ReadingProfile = field(default_factory=ReadingProfile)
    wards: Mapping[str, Contact] = field(default_factory=dict)
    discharge_contact: Contact | None = None
    site_manager: Contact | None = None
    pharmacy: Contact | None = None
    gate_profile: str = "letter only"
    does_not_send: tuple[str, ...] = ()
    client_name: str = ""
    erase_raw_after_days: int = 14

    @property
    def keeps_raw_for(self) -> timedelta:
        return timedelta(days=self.erase_raw_after_days)


_GATE_PROFILES = ("letter only", "letter and checked", "structured", "emergency return")


def parse_profile(text: bytes | str) -> SenderProfile:
    """Read a profile's JSON; unknown names are refused. Raises Refused `profile`."""
    try:
        raw = msgspec.json.decode(text)
        _refuse_unknown(raw, SenderProfile, "profile")
        _refuse_unknown(raw.get("reading", {}), ReadingProfile, "reading")
        profile = msgspec.json.decode(text, type=SenderProfile)
    except (msgspec.MsgspecError, AttributeError) as problem:
        raise Refused("profile", f"The sender profile cannot be read: {problem}.", next_step="See docs/sender-profile.md.") from None
    if profile.gate_profile not in _GATE_PROFILES:
        raise Refused("profile", "gate_profile is not one of ours.", next_step="Use one of: " + ", ".join(_GATE_PROFILES) + ".")
    return profile


def _refuse_unknown(raw: object, kind: type, where: str) -> None:
    known = {item.name for item in fields(kind)}
    unknown = sorted(set(raw) - known) if isinstance(raw, dict) else []
    if unknown:
        raise Refused(
            "profile", f"{where} has unknown names: {', '.join(unknown)}.", next_step="Known are: " + ", ".join(sorted(known)) + "."
        )
