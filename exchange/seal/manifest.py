"""The manifest M, its signed frame (the JWS payload) and the one way an envelope is refused (envelope.md 1.1, 1.2, 1.5)."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Self

from exchange.errors import WardpostError
from exchange.seal.keys import dump_json, load_strict_json

RefusalCode = Literal[
    "too_large", "bad_format", "unknown_version", "bad_header", "unknown_key", "bad_signature",
    "wrong_sender", "key_not_valid", "wrong_environment", "not_for_us", "no_key",
    "from_the_future", "older_version", "two_of_one_version", "broken_chain",
    "tampered", "wrong_manifest", "bad_recipients", "cannot_open", "bad_coding", "content_mismatch",
]  # fmt: skip

MAX_PARTS: Final = 32
MAX_CONTENT_BYTES: Final = 20_971_520
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_ODS: Final = re.compile(r"[A-Z0-9]{3,10}")
_KID: Final = re.compile(r"[A-Za-z0-9_-]{43}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_MEDIA_TYPE: Final = re.compile(r"[a-z]+/[a-z0-9.+-]{1,80}")
_ENVIRONMENT: Final = re.compile(r"trial|live")
_CODING: Final = re.compile(r"identity|deflate")

_MEMBERS: Final = ("v", "env", "transfer", "version", "prev", "at", "from", "to", "from_kid", "to_kid", "parts")
_PART_MEMBERS: Final = ("type", "coding", "bytes", "sha256")


class EnvelopeRefused(WardpostError):
    """An envelope, or one of its parts, failed a check of envelope.md 1.5.

    `code` (a RefusalCode) goes to log and audit. People always read the same sentence, and nobody learns which byte it was.
    """

    def __init__(self, code: RefusalCode) -> None:
        super().__init__(code, "This document was changed or is not for you; ring the sender.", next_step=f"Say this code to them: {code}.")


@dataclass(frozen=True, slots=True)
class PartMeta:
    """What the manifest says of one part. `bytes` counts the content before coding; `sha256` covers salt ‖ content."""

    type: str
    coding: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """M, one line of JSON without patient data. `at` is Unix seconds; `prev` the digest of version−1's M, None at version 1."""

    env: str
    transfer: str
    version: int
    prev: str | None
    at: int
    from_ods: str
    to_ods: str
    from_kid: str
    to_kid: str
    parts: tuple[PartMeta, ...]

    def to_bytes(self) -> bytes:
        """The exact bytes that are signed and whose digest names this version."""
        parts = [{"type": p.type, "coding": p.coding, "bytes": p.bytes, "sha256": p.sha256} for p in self.parts]
        values = (
            1, self.env, self.transfer, self.version, self.prev, self.at,
            self.from_ods, self.to_ods, self.from_kid, self.to_kid, parts,
        )  # fmt: skip
        return dump_json(dict(zip(_MEMBERS, values, strict=True)))

    def digest(self) -> str:
        """SHA-256(M), 64 lower-case hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """M from its bytes (check 5). EnvelopeRefused: unknown_version, bad_format."""
        value = load_canonical_json(line)
        # The number first: a manifest of another version may have any members.
        number = value.get("v") if isinstance(value, dict) else None
        if type(number) is int and number != 1:
            raise EnvelopeRefused("unknown_version")
        m = take_members(value, _MEMBERS)
        if type(number) is not int:
            raise EnvelopeRefused("bad_format")
        parts = m["parts"]
        if not isinstance(parts, list) or not 1 <= len(parts) <= MAX_PARTS:
            raise EnvelopeRefused("bad_format")
        manifest = cls(
            env=_text(m["env"], _ENVIRONMENT),
            transfer=_text(m["transfer"], _UUID),
            version=_whole(m["version"], 1, 9999),
            prev=None if m["prev"] is None else _text(m["prev"], _DIGEST),
            at=_whole(m["at"], 0, _LAST_SECOND),
            from_ods=_text(m["from"], _ODS),
            to_ods=_text(m["to"], _ODS),
            from_kid=_text(m["from_kid"], _KID),
            to_kid=_text(m["to_kid"], _KID),
            parts=tuple(_part_meta(part) for part in parts),
        )
        if (manifest.prev is None) != (manifest.version == 1) or manifest.from_kid == manifest.to_kid:
            raise EnvelopeRefused("bad_format")
        return manifest


def write_payload(manifest: Manifest, jwes: Sequence[bytes]) -> bytes:
    """What is signed: M, then the digest of each finished part, one a line, without a final newline."""
    return b"\n".join([manifest.to_bytes(), *(hashlib.sha256(jwe).hexdigest().encode("ascii") for jwe in jwes)])


def read_payload(payload: bytes) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest and its sealed lines, from a payload whose signature was verified (check 5)."""
    line, *sealed = payload.split(b"\n")
    manifest = Manifest.parse(line)
    if len(sealed) != len(manifest.parts):
        raise EnvelopeRefused("bad_format")
    return manifest, tuple(_text(digest.decode("latin-1"), _DIGEST) for digest in sealed)


def load_canonical_json(data: bytes) -> object:
    """Strict JSON that comes out byte for byte when written again. EnvelopeRefused: bad_format."""
    try:
        value = load_strict_json(data)
        same = dump_json(value) == data
    except ValueError:
        raise EnvelopeRefused("bad_format") from None
    if not same:
        raise EnvelopeRefused("bad_format")
    return value


def take_members(value: object, names: tuple[str, ...], refusal: RefusalCode = "bad_format") -> dict[str, object]:
    """The value as an object with exactly these members in this order, or EnvelopeRefused."""
    if not isinstance(value, dict) or tuple(value) != names:
        raise EnvelopeRefused(refusal)
    return value


def _part_meta(value: object) -> PartMeta:
    m = take_members(value, _PART_MEMBERS)
    return PartMeta(
        type=_text(m["type"], _MEDIA_TYPE),
        coding=_text(m["coding"], _CODING),
        bytes=_whole(m["bytes"], 1, MAX_CONTENT_BYTES),
        sha256=_text(m["sha256"], _DIGEST),
    )


def _text(value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise EnvelopeRefused("bad_format")
    return value


def _whole(value: object, lowest: int, highest: int) -> int:
    # `type` and not `isinstance`: True is an int to Python, and 1 to a comparison.
    if type(value) is not int or not lowest <= value <= highest:
        raise EnvelopeRefused("bad_format")
    return value
