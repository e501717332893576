"""The manifest M, its signed frame (the JWS payload) and the one way an envelope is refused (envelope.md 1.1, 1.2, 1.5)."""

import hashlib
import re
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from exchange.errors import WardpostError

RefusalCode = Literal[
    "too_large", "bad_format", "unknown_version", "bad_header", "unknown_key", "bad_signature",
    "wrong_sender", "key_not_valid", "wrong_environment", "not_for_us", "no_key",
    "from_the_future", "older_version", "two_of_one_version", "broken_chain",
    "tampered", "wrong_manifest", "bad_recipients", "cannot_open", "bad_coding", "content_mismatch",
]  # fmt: skip
Environment = Literal["trial", "live"]
Coding = Literal["identity", "deflate"]

MAX_PARTS: Final = 32
MAX_CONTENT_BYTES: Final = 20_971_520
_LAST_SECOND: Final = 253_402_300_799  # 9999-12-31T23:59:59Z

# msgspec searches: without \A and \Z a pattern would match inside a text, and `$` takes a final newline.
_Uuid = Annotated[str, Meta(pattern=r"\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")]
_Ods = Annotated[str, Meta(pattern=r"\A[A-Z0-9]{3,10}\Z")]
_Kid = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{43}\Z")]
_Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_MediaType = Annotated[str, Meta(pattern=r"\A[a-z]+/[a-z0-9.+-]{1,80}\Z")]

_Bytes = bytes  # inside of PartMeta the name means its member

_SEALED_LINE: Final = re.compile(rb"[0-9a-f]{64}")
# A manifest of another version may have any members, but its number stands first.
_ANOTHER_VERSION: Final = re.compile(rb'\{"v":(?!1[,}])-?[0-9]+[,}]')


class EnvelopeRefused(WardpostError):
    """An envelope, or one of its parts, failed a check of envelope.md 1.5.

    `code` (a RefusalCode) goes to log and audit. People always read the same sentence, and nobody learns which byte it was.
    """

    def __init__(self, code: RefusalCode) -> None:
        super().__init__(code, "This document was changed or is not for you; ring the sender.", next_step=f"Say this code to them: {code}.")


def require(fact: object, code: RefusalCode) -> None:
    """One check of envelope.md 1.5: the fact holds, or the envelope is refused."""
    if not fact:
        raise EnvelopeRefused(code)


class PartMeta(Struct, frozen=True, forbid_unknown_fields=True):
    """What the manifest says of one part. `bytes` counts the content before coding; `sha256` covers salt ‖ content."""

    type: _MediaType
    coding: Coding
    bytes: Annotated[int, Meta(ge=1, le=MAX_CONTENT_BYTES)]
    sha256: _Digest

    def describes(self, salt: _Bytes, content: _Bytes) -> bool:
        return len(content) == self.bytes and _salted_digest(salt, content) == self.sha256


class Manifest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, rename={"from_ods": "from", "to_ods": "to"}):
    """M, one line of JSON without patient data. `at` is Unix seconds; `prev` the digest of version−1's M, None at version 1.

    The rules stand in the types and hold for what parse() gives, not for what is merely constructed.
    """

    v: Literal[1] = 1
    env: Environment
    transfer: _Uuid
    version: Annotated[int, Meta(ge=1, le=9999)]
    prev: _Digest | None
    at: Annotated[int, Meta(ge=0, le=_LAST_SECOND)]
    from_ods: _Ods
    to_ods: _Ods
    from_kid: _Kid
    to_kid: _Kid
    parts: Annotated[tuple[PartMeta, ...], Meta(min_length=1, max_length=MAX_PARTS)]

    def to_bytes(self) -> bytes:
        """The exact bytes that are signed and whose digest names this version."""
        try:
            return msgspec.json.encode(self)
        except UnicodeEncodeError:  # a lone surrogate
            raise EnvelopeRefused("bad_format") from None

    def digest(self) -> str:
        """SHA-256(M), 64 lower-case hex."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @staticmethod
    def parse(line: bytes) -> "Manifest":
        """M from its bytes (check 5). EnvelopeRefused: unknown_version, bad_format."""
        require(not _ANOTHER_VERSION.match(line), "unknown_version")
        try:
            manifest = _DECODER.decode(line)
        except (msgspec.MsgspecError, ValueError):
            raise EnvelopeRefused("bad_format") from None
        # The decoder takes duplicate names, white space, escapes, any order and a missing v: none of them comes out alike.
        require(manifest.to_bytes() == line, "bad_format")
        require((manifest.prev is None) == (manifest.version == 1) and manifest.from_kid != manifest.to_kid, "bad_format")
        return manifest


_DECODER: Final = msgspec.json.Decoder(Manifest)


def _salted_digest(salt: bytes, content: bytes) -> str:
    """Salted, so that it says nothing to who merely has the letter, also after erasure."""
    digest = hashlib.sha256(salt)
    digest.update(content)
    return digest.hexdigest()


def describe_part(media_type: str, salt: bytes, content: bytes) -> PartMeta:
    """Text is deflated: it shrinks sixfold and is then faster to seal. Pictures and PDF are compressed already."""
    is_text = media_type == "application/fhir+json" or media_type.startswith("text/")
    return PartMeta(media_type, "deflate" if is_text else "identity", len(content), _salted_digest(salt, content))


def read_payload(payload: bytes) -> tuple[Manifest, tuple[str, ...]]:
    """The manifest and its sealed lines, from a payload whose signature was verified (check 5)."""
    line, *sealed = payload.split(b"\n")
    manifest = Manifest.parse(line)
    require(len(sealed) == len(manifest.parts) and all(map(_SEALED_LINE.fullmatch, sealed)), "bad_format")
    return manifest, tuple(digest.decode("ascii") for digest in sealed)
