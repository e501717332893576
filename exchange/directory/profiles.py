"""SenderProfile: how one feed is to be read and whom to ask. Kept as JSON, checked when it is set."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from zoneinfo import ZoneInfo

import msgspec

from exchange.errors import Refused
from exchange.fhir.draft import ReadingProfile
from exchange.model import is_ods_code


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
    `gate_policy`: "default", or "strict", by which more rules count on the badge (rules.STRICT).
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
    gate_policy: str = "default"
    client_name: str = ""
    erase_raw_after_days: int = 14

    @property
    def keeps_raw_for(self) -> timedelta:
        return timedelta(days=self.erase_raw_after_days)


_MEANINGS = {"", "method", "destination", "destination or home code"}
_FIELD = re.compile(r"([A-Z][A-Z0-9]{2}-[1-9][0-9]?)?")
_GATE_PROFILES = ("letter only", "letter and checked", "structured", "emergency return")


def parse_profile(text: bytes | str) -> SenderProfile:
    """Read a profile's JSON; unknown names are refused. Raises Refused `profile`."""
    try:
        raw = msgspec.json.decode(text)
        _refuse_unknown(raw, SenderProfile, "profile")
        _refuse_unknown(raw.get("reading", {}), ReadingProfile, "reading")
        profile = msgspec.json.decode(text, type=SenderProfile)
    except (msgspec.MsgspecError, AttributeError) as problem:
        raise Refused(
            "profile", f"The sender profile cannot be read: {problem}.", next_step="See docs/operations.md, SenderProfile."
        ) from None
    _check(profile)
    return profile


def _check(profile: SenderProfile) -> None:
    """Every value that JSON alone cannot hold to its list. Raises Refused `profile`, naming the member."""
    reading = profile.reading
    try:
        ZoneInfo(reading.zone)
        is_zone = True
    except (KeyError, ValueError, OSError):  # what is no name of a zone, or of none that is here
        is_zone = False
    phones = [(f"wards.{code}", ward) for code, ward in profile.wards.items()]
    phones += [(name, one) for name in ("discharge_contact", "site_manager", "pharmacy") if (one := getattr(profile, name))]
    wrong = [f"{where} needs a name and a phone" for where, contact in phones if not (contact.name.strip() and contact.phone.strip())]
    fits = {
        "gate_profile is one of: " + ", ".join(_GATE_PROFILES): profile.gate_profile in _GATE_PROFILES,
        "gate_policy is default or strict": profile.gate_policy in ("default", "strict"),
        "reading.zone is a zone such as Europe/London": is_zone,
        "reading.country is England or Wales": reading.country in ("England", "Wales"),
        "reading.pv1_36 and pv1_37 are method, destination, destination or home code, or empty": {reading.pv1_36, reading.pv1_37}
        <= _MEANINGS,
        "reading.number_status_field is a field such as PID-32, or empty": bool(_FIELD.fullmatch(reading.number_status_field)),
        "reading.aliases lead to ODS codes": all(map(is_ods_code, reading.aliases.values())),
        "erase_raw_after_days is 0 to 366": 0 <= profile.erase_raw_after_days <= 366,
    }
    wrong += [rule for rule, is_so in fits.items() if not is_so]
    if wrong:
        raise Refused(
            "profile", f"The sender profile does not fit: {'; '.join(wrong)}.", next_step="See docs/operations.md, SenderProfile."
        )


def _refuse_unknown(raw: object, kind: type, where: str) -> None:
    known = {item.name for item in fields(kind)}
    unknown = sorted(set(raw) - known) if isinstance(raw, dict) else []
    if unknown:
        raise Refused(
            "profile", f"{where} has unknown names: {', '.join(unknown)}.", next_step="Known are: " + ", ".join(sorted(known)) + "."
        )
