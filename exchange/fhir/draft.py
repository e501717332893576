"""What an adapter reads from one submission: FHIR-shaped content, each value with the place it came from.

An adapter is a pure function `read(raw: bytes, profile: ReadingProfile) -> Draft`; it raises `Unreadable` and nothing else.
Content is R4 JSON as plain dicts (decimals as `decimal.Decimal`), without ids and without references: the document
builder gives both. See docs/data-model.md, "From Draft to Document".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from exchange.errors import WardpostError

Resource = dict[str, object]


class Unreadable(WardpostError):
    """These bytes are not what they should be. The submission becomes a Hold and can be replayed."""

    def __init__(self, code: str, message: str, *, position: str = "") -> None:
        where = f" ({position})" if position else ""
        super().__init__(code, message + where, next_step="Mend it at the sender and send it again, or ask for a replay.")
        self.position = position


class SourceKind(StrEnum):
    """What a submission can contribute. A letter freezes a version; facts only shape it; a list (checked, without a letter) names the
    medicines; records (orders, dispenses, administrations, results) add to what others own."""

    LETTER = "letter"
    FACTS = "facts"
    LIST = "list"
    RECORDS = "records"
    CANCEL_DISCHARGE = "cancel_discharge"
    CANCEL_ADMISSION = "cancel_admission"
    NOT_USED = "not_used"


class Outcome(StrEnum):
    """What became of one non-empty source value (the conversion report)."""

    MAPPED = "mapped"
    NARRATIVE = "narrative"
    ATTACHMENT = "attachment"
    WITHHELD = "withheld"
    NOT_CARRIED = "not_carried"


class LetterStatus(StrEnum):
    FINAL = "final"
    DRAFT = "draft"
    CANCELLED = "cancelled"


class Item(msgspec.Struct, frozen=True, gc=False):  # thousands a message: made fast, and never walked by the garbage collector
    """One non-empty source value and where it went. `position` as `PID-3[2].1`; `path` a FHIRPath such as `Patient.identifier.value`.

    `reason`: the named rule that withheld it, or why it is not carried, in plain words without patient data.
    """

    position: str
    value: str
    outcome: Outcome
    path: str = ""
    reason: str = ""

    def __repr__(self) -> str:
        return f"Item({self.position}, {self.outcome})"


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource read from the source. `role` is the document's word for it (see ROLES in document.py), e.g. `allergy`."""

    role: str
    position: str
    resource: Resource = field(repr=False)


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter meant for sharing: travels byte for byte beside the Bundle.

    `document_id` and `replaces` are the sender's own document numbers (TXA-12, TXA-13); times are FHIR dateTime texts.
    """

    position: str
    media_type: str
    content: bytes = field(repr=False)
    title: str
    status: LetterStatus
    document_id: str = ""
    replaces: str = ""
    author: str = field(default="", repr=False)
    signed_by: str = field(default="", repr=False)
    signed_at: str = ""
    written_at: str = ""


@dataclass(frozen=True, slots=True)
class Sign:
    """A hint that the person goes to a care home. `kind`: destination_code, local_home_code, address. Never routes by itself."""

    kind: str
    value: str = field(repr=False)
    position: str


@dataclass(frozen=True, slots=True)
class Draft:
    """FHIR-shaped content of one submission.

    `event` as `ADT^A01`; `source_id` the sender's message id (MSH-10); `sent_at`, `occurred_at` FHIR dateTime texts or "".
    `patient` is a Patient without id; `encounter` an Encounter without id, references or identifiers beyond the visit number.
    `visit_id` is the sender's visit number; `expected_leaving` a date or dateTime as sent (a bare day stays a day); None in it or in
    `left_at` takes back what an earlier message said. `cleared`: roles whose whole list this source empties.
    `is_about_person`: no stay is named (it belongs to the newest one of the person); `merged_ids`: other local ids (`system|value`) that
    the sender says are the same person's.
    `reason`: for kind not_used, why; `claimed_sender`: MSH-3/MSH-4 for the record, never for trust.
    `counts`: how many of each clinical kind the source has (medicines, allergies, diagnoses, procedures, letters), and
    how many sections with words in their own text.
    """

    format: str
    event: str
    kind: SourceKind
    source_id: str
    sent_at: str = ""
    occurred_at: str = ""
    is_test: bool = False
    is_dead: bool = False
    is_sensitive_address: bool = False
    claimed_sender: str = ""
    is_about_person: bool = False
    merged_ids: tuple[str, ...] = field(default=(), repr=False)
    visit_id: str = field(default="", repr=False)
    expected_leaving: str | None = ""
    left_at: str | None = ""
    patient: Resource = field(default_factory=dict, repr=False)
    encounter: Resource = field(default_factory=dict, repr=False)
    entries: tuple[Entry, ...] = ()
    cleared: tuple[str, ...] = ()
    letters: tuple[Letter, ...] = ()
    signs: tuple[Sign, ...] = ()
    items: tuple[Item, ...] = field(default=(), repr=False)
    counts: Mapping[str, int] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ReadingProfile:
    """How one sender's feed is to be read: the part of a SenderProfile that adapters see.

    `charset` names the HL7 table 0211 set used when the message names none; `zone` is an IANA name for times without offset.
    `pv1_36` and `pv1_37` say what these fields mean here: "method", "destination", "destination or home code", or "" = not used.
    `home_destinations` are the destination codes that hint at a care home; `aliases` maps local home codes to ODS sites.
    `signed_statuses` are the TXA-17 values that mean signed; `letter_types` the TXA-2 codes that are discharge letters (empty: all).
    `number_status_field` names the field with the NHS number status ("" = none), e.g. `PID-32`.
    `discharge_orders` are the codes of ORC-16 that mark an order as one to take out: such orders are the discharge list, others never.
    `sensitive_results` are the codes (OBR-4, OBX-3) of results that never travel.
    """

    charset: str = "UNICODE UTF-8"
    zone: str = "Europe/London"
    country: str = "England"
    pv1_36: str = "method"
    pv1_37: str = "destination"
    home_destinations: tuple[str, ...] = ("54", "65", "85", "55", "56")
    aliases: Mapping[str, str] = field(default_factory=dict)
    signed_statuses: tuple[str, ...] = ("AU", "LA")
    letter_types: tuple[str, ...] = ()
    number_status_field: str = "PID-32"
    discharge_orders: tuple[str, ...] = ()
    sensitive_results: tuple[str, ...] = ()
