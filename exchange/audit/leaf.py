"""Audit leaf v1: what each audit event writes once and for ever, and the Merkle hashes over leaves (envelope.md 4).

A leaf names no person, no position and no earlier leaf, so it is final when written and any order may be given to it later.
The event itself is sealed elsewhere; the leaf holds a salted commitment to its exact bytes.
"""

import hashlib
import json
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal, get_args

from exchange.errors import WardpostError

Outcome = Literal["0", "4", "8", "12"]  # FHIR's audit-event-outcome: success, minor, serious, major failure

MAX_LEAF_BYTES: Final = 1024
SALT_BYTES: Final = 32
_LAST_MILLISECOND: Final = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ODS: Final = re.compile(r"[A-Z0-9]{3,10}")
_TYPE: Final = re.compile(r"[a-z]+(?:_[a-z]+)*\.[a-z]+(?:_[a-z]+)*")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class LeafRefused(WardpostError):
    """A leaf that would not be one: the caller's mistake. Says which member, never its value."""

    def __init__(self, member: str) -> None:
        super().__init__("bad_leaf", f"The member {member} of an audit leaf is not what leaf v1 allows.", next_step="Report this as a bug.")


@dataclass(frozen=True, slots=True)
class Leaf:
    """The members of a leaf. `at_milliseconds` is Unix time; `entity` a random id; `commitment` as commit() gives it."""

    id: str
    at_milliseconds: int
    org: str
    type: str
    outcome: Outcome
    entity: str | None
    commitment: str

    def to_bytes(self, event_types: Collection[str]) -> bytes:
        """The exact bytes to store and hash, at most 1,024. `event_types` is the closed list. LeafRefused."""
        t = self.at_milliseconds
        rows = (  # member, value, and whether leaf v1 allows it
            ("v", 1, True),
            ("id", self.id, _UUID.fullmatch(self.id)),
            ("t", t, type(t) is int and 0 <= t <= _LAST_MILLISECOND),
            ("org", self.org, _ODS.fullmatch(self.org)),
            ("type", self.type, _TYPE.fullmatch(self.type) and self.type in event_types),
            ("outcome", self.outcome, self.outcome in get_args(Outcome)),
            ("entity", self.entity, self.entity is None or _UUID.fullmatch(self.entity)),
            ("c", self.commitment, _DIGEST.fullmatch(self.commitment)),
        )
        for member, _, is_right in rows:
            if not is_right:
                raise LeafRefused(member)
        leaf = json.dumps({member: value for member, value, _ in rows}, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        if len(leaf) > MAX_LEAF_BYTES:
            raise LeafRefused("type")  # the only member without a length of its own
        return leaf


def commit(salt: bytes, body: bytes) -> str:
    """The commitment to an AuditEvent's exact bytes, 64 hex. `salt`: 32 fresh random bytes, sealed together with the body."""
    if len(salt) != SALT_BYTES:
        raise ValueError("the salt is 32 bytes")
    return hashlib.sha256(b"wardpost-audit-body/1\x00" + salt + body).hexdigest()


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf) (RFC 9162 2.1.1)."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(hashes: Sequence[bytes]) -> bytes:
    """The root over leaf hashes in log order; of none, SHA-256 of nothing. Splits at the largest power of two below n."""
    if len(hashes) <= 1:
        return hashes[0] if hashes else hashlib.sha256().digest()
    split = 1 << (len(hashes) - 1).bit_length() - 1
    return node_hash(merkle_root(hashes[:split]), merkle_root(hashes[split:]))
