"""The domain's words as types: who acts, where, and the states that things can be in. Imports nothing of ours but errors."""

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from exchange.errors import Refused

_ODS = re.compile(r"[A-Z0-9]{3,10}")


def ods_code(text: str) -> str:
    """An ODS code in its one form. Raises Refused `ods_code`."""
    code = text.strip().upper()
    if not is_ods_code(code):
        raise Refused("ods_code", "This is not an ODS code.", next_step="Use the 3 to 10 letters and digits of the ODS directory.")
    return code


def is_ods_code(text: str) -> bool:
    return bool(_ODS.fullmatch(text))


class Environment(StrEnum):
    """Trial takes test people only; live refuses or holds them (architecture decision 15)."""

    TRIAL = "trial"
    LIVE = "live"


class Role(StrEnum):
    """On whose side a unit of work stands. The service itself sees all; a sender or recipient sees its own rows."""

    SERVICE = "service"
    SENDER = "sender"
    RECIPIENT = "recipient"


@dataclass(frozen=True, slots=True)
class Scope:
    """What a unit of work may see: the organisation's rows in its role."""

    org: str
    role: Role


SERVICE = Scope("", Role.SERVICE)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who acts: an organisation, and the client or the person that acts for it."""

    org: str
    client: str | None = None
    person: str | None = None


class SubmissionState(StrEnum):
    ACCEPTED = "accepted"
    READ = "read"
    NOT_USED = "not_used"
    HELD = "held"
    ERASED = "erased"


class TransferState(StrEnum):
    """Where a Transfer stands; the allowed changes are in transfer/states.py."""

    POSSIBLE = "possible"
    CONFIRMED = "confirmed"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


class DeliveryState(StrEnum):
    CURRENT = "current"
    REPLACED = "replaced"
    WITHDRAWN = "withdrawn"


class HoldKind(StrEnum):
    """Why something waits for a person before anything leaves (architecture decision 1)."""

    UNREADABLE = "unreadable"
    UNADDRESSED = "unaddressed"
    IDENTITY = "identity"
    TEST = "test"
    DEAD = "dead"
    SEVERAL_STAYS = "several_stays"
    FAILED_CHECK = "failed_check"
    REUSED_ID = "reused_id"
    UNDELIVERED = "undelivered"
    NOT_OURS = "not_ours"


class AnswerKind(StrEnum):
    """What a home can say to one version. Silence is never one of them."""

    SEEN = "seen"
    CAN_TAKE = "can_take"
    CANNOT = "cannot"
    AGREED = "agreed"
    ASK = "ask"
    OURS = "ours"


class PersonRole(StrEnum):
    """What a Person may do; `site_manager` and `discharge_desk` act for the whole sender."""

    WARD = "ward"
    DISCHARGE_DESK = "discharge_desk"
    SITE_MANAGER = "site_manager"
    PHARMACIST = "pharmacist"
    PRESCRIBER = "prescriber"
    CARER = "carer"
    HOME_MANAGER = "home_manager"
    AUDITOR = "auditor"


HOSPITAL_ROLES = frozenset(
    {PersonRole.WARD, PersonRole.DISCHARGE_DESK, PersonRole.SITE_MANAGER, PersonRole.PHARMACIST, PersonRole.PRESCRIBER, PersonRole.AUDITOR}
)
HOME_ROLES = frozenset({PersonRole.CARER, PersonRole.HOME_MANAGER})


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender gets for its bytes; never changes. `digest` is `sha256:<hex>` of the bytes; `accepted_at` an ISO instant."""

    submission: str
    digest: str
    accepted_at: str
    is_repeat: bool = False


def is_open(opened_on: str, closed_on: str, day: date) -> bool:
    """Whether a site is open on a day; dates are ISO texts, empty means no limit."""
    return not ((opened_on and day.isoformat() < opened_on) or (closed_on and day.isoformat() >= closed_on))
