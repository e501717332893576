"""What the database keeps: one frozen dataclass per table, the single definition that the store, the docs and fsck read.

The first field is the primary key. A `Sealed` field is encrypted under the data key of the row's owner (`META.owner`: kind and
the field that names it); an `Indexed` field becomes two columns, digest and key generation; everything else is plain.
"""

from collections.abc import Callable
from dataclasses import Field, dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar, dataclass_transform

from exchange.model import AnswerKind, DeliveryState, HoldKind, PersonRole, SubmissionState, TransferState

R = TypeVar("R", bound="Record")


class Sealed:
    """A sealed value: `open()` gives the plaintext bytes. Made from plaintext with `Sealed.of`, or lazily by the store."""

    __slots__ = ("_open",)

    def __init__(self, opener: Callable[[], bytes]) -> None:
        self._open = opener

    @classmethod
    def of(cls, plaintext: bytes | str) -> "Sealed":
        """A value that is yet to be written."""
        data = plaintext.encode() if isinstance(plaintext, str) else plaintext
        return cls(lambda: data)

    def open(self) -> bytes:
        """The plaintext. Raises Gone `erased` when its key was destroyed, WardpostError `tampered` when it was changed."""
        return self._open()

    def text(self) -> str:
        return self.open().decode()

    def __repr__(self) -> str:
        return "Sealed(…)"


@dataclass(frozen=True, slots=True)
class Indexed:
    """A blind index: 16 bytes of a keyed hash, and the key's generation."""

    digest: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class Meta:
    """Makes a row type of a class. Table name, owner of its sealed columns, unique sets and plain indexes (tuples of field names).

    `large`: a sealed field that is read only when somebody opens it, so that lists stay cheap.
    """

    table: str
    owner: tuple[str, str] = ("", "")
    unique: tuple[tuple[str, ...], ...] = ()
    index: tuple[tuple[str, ...], ...] = ()
    large: str = ""

    def __call__(self, kind: type[R]) -> type[R]:
        kind.META = self
        return dataclass(frozen=True, slots=True)(kind)


@dataclass_transform(frozen_default=True)
class Record:
    """Base of every row type."""

    __slots__ = ()
    META: ClassVar[Meta]
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]


@Meta("data_key", unique=(("owner_kind", "owner_id"),))
class DataKey(Record):
    """A data key, wrapped under the key-encryption key. Deleting the row erases everything of its owner."""

    id: str
    owner_kind: str
    owner_id: str
    sealed: bytes
    created_at: datetime


@Meta("index_key", owner=("system", "scope"))
class IndexKey(Record):
    id: str
    generation: int
    scope: str
    key: Sealed
    retired_at: datetime | None = None


@Meta("organisation", index=(("postcode",),))
class Organisation(Record):
    """A hospital, site (home) or provider by ODS code. Public directory facts only; dates are ISO texts, empty means none."""

    id: str
    name: str
    kind: str
    street: str = ""
    town: str = ""
    postcode: str = ""
    phone: str = ""
    provider: str = ""
    provider_name: str = ""
    cqc: str = ""
    care_kind: str = ""
    has_mailbox: bool = False
    opened_on: str = ""
    closed_on: str = ""
    verified_at: datetime | None = None


@Meta("org_key", owner=("organisation", "org"), index=(("org", "use"),))
class OrgKey(Record):
    """One P-256 key of an organisation; id is its RFC 7638 thumbprint; `use` sig or enc. `private_jwk` None: held elsewhere."""

    id: str
    org: str
    use: str
    public_jwk: str
    private_jwk: Sealed | None
    not_before: datetime
    not_after: datetime
    compromised_at: datetime | None = None
    destroyed_at: datetime | None = None


@Meta("person", owner=("person", "id"), index=(("org",),))
class Person(Record):
    """Someone known by name at one organisation; `address` is the registered one for links and notices, `registered` its index."""

    id: str
    org: str
    role: PersonRole
    name: Sealed
    address: Sealed
    created_at: datetime
    is_active: bool = True
    registered: Indexed | None = None


@Meta("link", unique=(("secret_hash",),))
class Link(Record):
    """A one-time way in for one Person; only the hash of its text is kept."""

    id: str
    person_id: str
    org: str
    secret_hash: bytes
    created_at: datetime
    expires_at: datetime
    used_at: datetime | None = None
    revoked_at: datetime | None = None


@Meta("session", unique=(("secret_hash",),))
class Session(Record):
    id: str
    person_id: str
    org: str
    secret_hash: bytes
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None


@Meta("client", index=(("org",),))
class Client(Record):
    """A system that speaks to the API for one organisation. Scopes are space-separated."""

    id: str
    org: str
    name: str
    scopes: str
    created_at: datetime
    revoked_at: datetime | None = None


@Meta("client_key", index=(("client_id",),))
class ClientKey(Record):
    """A client's public key; id is its kid, unique across clients."""

    id: str
    client_id: str
    org: str
    alg: str
    jwk: str


@Meta("used_assertion", index=(("expires_at",),))
class UsedAssertion(Record):
    """A client assertion that was spent; id is `<client>:<sha256 of jti>`."""

    id: str
    expires_at: datetime


@Meta("access_token", index=(("expires_at",),))
class AccessToken(Record):
    """id is the SHA-256 of the token's text in hex."""

    id: str
    client_id: str
    org: str
    scopes: str
    expires_at: datetime
    revoked_at: datetime | None = None


@Meta("sender", index=(("org",),))
class Sender(Record):
    """One feed of an organisation; `profile` is its SenderProfile as JSON (no patient data), `folder` what channel folder watches."""

    id: str
    org: str
    channel: str
    port: int
    profile: str
    created_at: datetime
    folder: str = ""


@Meta("submission", owner=("submission", "id"), index=(("stay_id",), ("state", "accepted_at")), large="content")
class Submission(Record):
    """Bytes a hospital sent, whole, as they came. `content` is the only copy."""

    id: str
    sender_org: str
    sender_id: str
    channel: str
    media_type: str
    size_bytes: int
    accepted_at: datetime
    source_id: Indexed | None
    digest: Indexed | None
    content: Sealed | None
    state: SubmissionState = SubmissionState.ACCEPTED
    event: str = ""
    kind: str = ""
    reason: str = ""
    stay_id: str | None = None
    reuses_id_of: str | None = None
    erase_after: datetime | None = None


@Meta("work", index=(("due_at",),))
class Work(Record):
    """Something to do, leased by a worker. id is `<kind>:<subject>`; `again` counts requests, `fence` counts leases."""

    id: str
    kind: str
    subject_id: str
    due_at: datetime
    again: int = 1
    fence: int = 0
    attempts: int = 0
    leased_until: datetime | None = None
    error_code: str = ""


@Meta("hold", index=(("sender_org", "resolved_at"), ("transfer_id",), ("submission_id",), ("stay_id",)))
class Hold(Record):
    """What waits for a person: owner and deadline always set. id is `<kind>:<subject>` so that it is raised once."""

    id: str
    kind: HoldKind
    sender_org: str
    owner: str
    code: str
    raised_at: datetime
    deadline_at: datetime
    submission_id: str | None = None
    stay_id: str | None = None
    transfer_id: str | None = None
    resolved_at: datetime | None = None
    resolution: str = ""
    resolved_by: str | None = None


@Meta("notice", unique=(("subject_id", "code", "person_id"),), index=(("state", "due_at"),))
class Notice(Record):
    """One e-mail of one step (`code`: ladder and number) of the policy table, to one person, about one matter (`subject_id`).

    `state`: due, sent, failed (refused for good), nobody (no address to send to), settled (the matter was done with before it left).
    """

    id: str
    code: str
    subject_id: str
    org: str
    sender_org: str
    person_id: str
    created_at: datetime
    due_at: datetime
    transfer_id: str | None = None
    state: str = "due"
    attempts: int = 0
    sent_at: datetime | None = None
    error_code: str = ""


@Meta("stay", owner=("stay", "id"), index=(("sender_org", "visit_id_index"), ("nhs_number_index",)))
class Stay(Record):
    """A hospital spell. `identity` is JSON: nhs_number, local_id, birth_date, family, given, visit_id, start, end (texts as sent)."""

    id: str
    sender_org: str
    created_at: datetime
    visit_id: Indexed | None
    nhs_number: Indexed | None
    identity: Sealed
    local_id: Indexed | None = None


@Meta("transfer", index=(("stay_id",), ("sender_org", "state"), ("recipient_org", "leaving_on", "id")))
class Transfer(Record):
    """One Stay to one Site. `leaving_on` is the expected day or instant as the hospital sent it; `proposed_site` was picked
    against what the messages say and waits for a second person; `is_heads_up`: a new resident, shut until the home says "ours"."""

    id: str
    stay_id: str
    sender_org: str
    recipient_org: str | None
    state: TransferState
    created_at: datetime
    confirmed_at: datetime | None = None
    confirmed_by: str | None = None
    leaving_on: str = ""
    versions: int = 0
    withdrawn_at: datetime | None = None
    withdrawn_reason: str = ""
    proposed_site: str = ""
    proposed_by: str | None = None
    is_heads_up: bool = False


@Meta("supplement", owner=("transfer", "transfer_id"), index=(("transfer_id",),))
class Supplement(Record):
    """Facts a named person added; `content` is JSON (docs/data-model.md, Supplement)."""

    id: str
    transfer_id: str
    sender_org: str
    person_id: str
    received_at: datetime
    content: Sealed


@Meta("version", owner=("transfer", "transfer_id"), unique=(("transfer_id", "number"),))
class Version(Record):
    """A published version, frozen. `missing` are the rule ids of its gaps; `shown` digests what a reader sees.

    `person` is the stay's identity as it was then (JSON): a home sees no stay.
    """

    id: str
    transfer_id: str
    sender_org: str
    recipient_org: str
    number: int
    published_at: datetime
    jws: str
    manifest_digest: str
    badge: str
    missing: str
    rule_set: str
    gate: Sealed
    shown: Sealed
    person: Sealed
    nhs_number: Indexed | None
    has_document: bool = True


@Meta("part", owner=("transfer", "transfer_id"), unique=(("version_id", "position"),), large="jwe")
class Part(Record):
    """One sealed part of a version: the Bundle (position 0 when there is one), then each letter. `label` is JSON: title, digest, type."""

    id: str
    version_id: str
    transfer_id: str
    sender_org: str
    recipient_org: str
    position: int
    media_type: str
    size_bytes: int
    label: Sealed
    jwe: Sealed


@Meta("mailbox")
class Mailbox(Record):
    """A site's counters. Locked before any of its rows are numbered, so that numbers rise with visibility."""

    id: str
    last_sequence: int = 0
    last_change: int = 0
    last_event: int = 0
    listed_change: int = 0
    last_updated_at: datetime | None = None
    polled_at: datetime | None = None


@Meta(
    "delivery",
    unique=(("event_id",), ("version_id",), ("recipient_org", "sequence"), ("recipient_org", "change")),
    index=(("transfer_id",), ("recipient_org", "updated_at"), ("recipient_org", "state", "opened_at", "change")),
)
class Delivery(Record):
    """One Version in one Mailbox. `change` is the mailbox's number of its newest change; `updated_at` rises strictly with it."""

    id: str
    transfer_id: str
    version_id: str
    number: int
    sender_org: str
    recipient_org: str
    event_id: str
    sequence: int
    change: int
    updated_at: datetime
    delivered_at: datetime
    state: DeliveryState = DeliveryState.CURRENT
    collected_at: datetime | None = None
    opened_at: datetime | None = None
    opened_by: str | None = None
    withdrawal_seen_at: datetime | None = None


@Meta("answer", owner=("transfer", "transfer_id"), index=(("delivery_id",), ("transfer_id",)))
class Answer(Record):
    """What a named person (or a client for one) at the home said to one version. `content` is JSON: note, time, conditions."""

    id: str
    delivery_id: str
    transfer_id: str
    number: int
    sender_org: str
    recipient_org: str
    kind: AnswerKind
    reason_code: str
    person_id: str | None
    client_id: str | None
    answered_at: datetime
    content: Sealed


@Meta("outbox", unique=(("key", "sequence"),), index=(("state", "key"), ("settled_at", "key")))
class OutboxEvent(Record):
    """A domain fact to be published (`state` new, published). `sequence` counts within `key` (the mailbox); `body` holds ids only.

    `settled_at`: the deliver consumer is done with it, by its effect or as a dead letter. Whoever publishes does not look at it.
    """

    id: str
    type: str
    key: str
    sequence: int
    body: str
    created_at: datetime
    state: str = "new"
    published_at: datetime | None = None
    settled_at: datetime | None = None


@Meta("parked_event", index=(("state", "due_at"),))
class ParkedEvent(Record):
    """An event whose effect failed; id is the event's. `waiting` holds up its mailbox until `due_at`; `dead` and `discarded` do not."""

    id: str
    key: str
    sequence: int
    type: str
    code: str
    state: str
    attempts: int
    failed_at: datetime
    due_at: datetime


@Meta("lease")
class Lease(Record):
    """Which process does what only one may do at a time (id: relay), and until when unless it says so again."""

    id: str
    holder: str
    until: datetime


@Meta("bus_log", unique=(("position",),))
class BusEntry(Record):
    """The table bus: a log. id is the outbox event's id; `position` rises with commit, and again when it is published again."""

    id: str
    position: int
    key: str
    sequence: int
    type: str
    body: str
    created_at: datetime


@Meta("bus_offset")
class BusOffset(Record):
    """How far one consumer group has come."""

    id: str
    position: int


@Meta(
    "audit_event",
    owner=("audit", "key_owner"),
    index=(("entity_id",), ("detail_id",), ("recorded_at",), ("nhs_number_index",), ("org", "recorded_at")),
)
class AuditEvent(Record):
    """One thing that happened. `leaf` is final when written; `body` the sealed FHIR AuditEvent (salt, then JSON)."""

    id: str
    leaf: bytes
    recorded_at: datetime
    org: str
    other_org: str
    type: str
    action: str
    outcome: str
    entity_id: str | None
    detail_id: str | None
    person_id: str | None
    client_id: str | None
    nhs_number: Indexed | None
    key_owner: str
    body: Sealed | None = None


TABLES: tuple[type[Record], ...] = (
    DataKey, IndexKey, Organisation, OrgKey, Person, Link, Session, Client, ClientKey, UsedAssertion, AccessToken,
    Sender, Submission, Work, Hold, Notice, Stay, Transfer, Supplement, Version, Part, Mailbox, Delivery, Answer,
    OutboxEvent, ParkedEvent, Lease, BusEntry, BusOffset, AuditEvent,
)  # fmt: skip
