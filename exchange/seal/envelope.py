"""Envelope v1: the sender signs a manifest together with the digests of the finished parts; each part is its own JWE.

The numbers in the code are the checks of envelope.md 1.5, in their order. A receiver verifies before it parses, and nothing
is decrypted before check 12. Every refusal is an EnvelopeRefused with the code of its check.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, Protocol

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

from exchange.seal import keys
from exchange.seal.keys import Use, decode_base64url, encode_base64url
from exchange.seal.manifest import MAX_CONTENT_BYTES, MAX_PARTS, EnvelopeRefused, Manifest, PartMeta, read_payload, write_payload
from exchange.seal.part import MAX_JWE_BYTES, SALT_BYTES, Role, coding_for, open_sealed_part, salted_digest, seal_part

MAX_JWS_BYTES: Final = 16_384
_CLOCK_SKEW_SECONDS: Final = 300
_FIRST_LINE: Final = b"wardpost-envelope-1"
_ANY_FIRST_LINE: Final = re.compile(rb"wardpost-envelope-[1-9][0-9]*")
# The allow-list of 1.1: one algorithm, one kid and nothing else, compared before any library reads a header.
_HEADER: Final = re.compile(rb'\{"alg":"ES256","kid":"([A-Za-z0-9_-]{43})","typ":"wardpost-manifest-([1-9][0-9]*)"\}')

Environment = Literal["trial", "live"]


@dataclass(frozen=True, slots=True)
class DirectoryKey:
    """What the directory knows of a key: whose it is and when it counts. Times are Unix seconds, `not_after` is exclusive."""

    ods: str
    use: Use
    jwk: dict[str, str]
    not_before: int
    not_after: int
    compromised_at: int | None = None


class KeyDirectory(Protocol):
    """Whoever binds keys to organisations: our directory, or the key set that a site pinned."""

    def find_key(self, kid: str) -> DirectoryKey | None:
        """The key of this kid, or None. Any text may come in: it is a stranger's."""
        ...


@dataclass(frozen=True, slots=True)
class Holder:
    """Who opens: an organisation, and the kids of the opening keys that it holds."""

    ods: str
    kids: frozenset[str]


class Seen(NamedTuple):
    """The highest version of a transfer that the receiver has accepted, and the digest of its manifest."""

    version: int
    digest: str


@dataclass(frozen=True, slots=True)
class SealedVersion:
    """A version as it is stored: the JWS, and one JWE per part. Copy these bytes, never serialise them anew."""

    jws: str
    manifest: Manifest
    manifest_digest: str
    jwes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class VerifiedManifest:
    """A manifest that passed checks 1 to 9, its digest, and the digest of each part's bytes. Only open_manifest makes one."""

    manifest: Manifest
    digest: str
    sealed: tuple[str, ...]
    signed_by_kid: str


def seal(
    *,
    env: Environment,
    transfer: str,
    version: int,
    prev: str | None,
    at: int,
    from_ods: str,
    to_ods: str,
    sender_opening: dict[str, str],
    site_opening: dict[str, str],
    sender_signing: dict[str, str],
    parts: Sequence[tuple[str, bytes]],
    random_bytes: Callable[[int], bytes],
) -> SealedVersion:
    """Seal the parts of one version, (media type, content) each, for the site and the sender's own copy.

    `at` is Unix seconds; `prev` the digest of the last version's manifest, None at version 1. `sender_opening` and
    `site_opening` are public JWKs, `sender_signing` is private. `random_bytes` makes the salts; content keys, nonces and
    ephemeral keys come from the operating system inside joserfc. 20 MiB need about 290 MB: at most two such at a time.
    EnvelopeRefused when a value would not pass check 5 or a limit (bad_format, too_large); ValueError for a wrong key.
    """
    site, sender = keys.import_public_key(site_opening, "enc"), keys.import_public_key(sender_opening, "enc")
    signing = keys.import_private_key(sender_signing, "sig")
    if len(parts) > MAX_PARTS or any(len(content) > MAX_CONTENT_BYTES for _, content in parts):
        raise EnvelopeRefused("too_large")
    salts = [random_bytes(SALT_BYTES) for _ in parts]
    if any(len(salt) != SALT_BYTES for salt in salts):
        raise ValueError("random_bytes gave a salt of another length")
    manifest = Manifest(
        env=env,
        transfer=transfer,
        version=version,
        prev=prev,
        at=at,
        from_ods=from_ods,
        to_ods=to_ods,
        from_kid=keys.thumbprint(sender_opening),
        to_kid=keys.thumbprint(site_opening),
        parts=tuple(
            PartMeta(media_type, coding_for(media_type), len(content), salted_digest(salt, content))
            for (media_type, content), salt in zip(parts, salts, strict=True)
        ),
    )
    Manifest.parse(manifest.to_bytes())  # what a receiver would refuse is never signed
    jwes = tuple(
        seal_part(manifest, meta, salt, content, site=site, sender=sender)
        for meta, salt, (_, content) in zip(manifest.parts, salts, parts, strict=True)
    )
    signed = f"{_header(keys.thumbprint(sender_signing))}.{encode_base64url(write_payload(manifest, jwes))}"
    jws = f"{signed}.{encode_base64url(keys.sign_es256(signing, signed.encode('ascii')))}"
    if len(jws) > MAX_JWS_BYTES:
        raise EnvelopeRefused("too_large")
    return SealedVersion(jws, manifest, manifest.digest(), jwes)


def open_manifest(
    jws: str,
    *,
    directory: KeyDirectory,
    environment: Environment,
    now: int,
    received_at: int | None = None,
    me: Holder | None,
    seen: Seen | None,
) -> VerifiedManifest:
    """The manifest of an envelope, once checks 1 to 9 have passed. Needs no private key.

    `now` is Unix seconds. `received_at` is when these bytes first came here, None for just now: a compromised key still
    counts for what came before. `me` is None for nobody in particular (fsck). `seen` is the highest version known of this
    transfer, None for none, and then any version may be the first; with it a gap is broken_chain: fetch the manifests
    between and open them in turn. The same envelope again is accepted.
    """
    header, payload, signature = _split(jws)  # 1
    kid = _read_header(header)  # 2
    entry = directory.find_key(kid)  # 3
    if entry is None or entry.use != "sig":
        raise EnvelopeRefused("unknown_key")
    signed = jws.rpartition(".")[0].encode("ascii")
    if not keys.is_es256_signature(_signing_key(entry, kid), signed, signature):  # 4
        raise EnvelopeRefused("bad_signature")
    manifest, sealed = read_payload(payload)  # 5
    _check_sender(manifest, entry, now if received_at is None else received_at)  # 6
    if manifest.env != environment:  # 7
        raise EnvelopeRefused("wrong_environment")
    if me is not None:
        _check_holder(manifest, me)  # 8
    verified = VerifiedManifest(manifest, manifest.digest(), sealed, kid)
    _check_order(verified, now, seen)  # 9
    return verified


def open_part(verified: VerifiedManifest, index: int, jwe_bytes: bytes, private_jwk: dict[str, str], role: Role) -> bytes:
    """The content of part `index`, counted from 0 (checks 10 to 14), with the opening key of the site or of the sender.

    EnvelopeRefused with the code of its check; no_key when the key is not the one that the manifest names for this role.
    IndexError when the manifest has no such part; ValueError when the JWK is no private opening key.
    """
    if not 0 <= index < len(verified.sealed):
        raise IndexError("no such part")
    manifest = verified.manifest
    key = keys.import_private_key(private_jwk, "enc")
    if keys.thumbprint(private_jwk) != (manifest.to_kid if role == "site" else manifest.from_kid):
        raise EnvelopeRefused("no_key")
    check_part_bytes(verified, index, jwe_bytes)  # 10
    return open_sealed_part(manifest, manifest.parts[index], jwe_bytes, key=key, role=role)  # 11 to 14


def check_part_bytes(verified: VerifiedManifest, index: int, jwe_bytes: bytes) -> None:
    """Are these the bytes that were signed (check 10)? Needs no key: fsck asks it too. EnvelopeRefused: too_large, tampered."""
    if len(jwe_bytes) > MAX_JWE_BYTES:
        raise EnvelopeRefused("too_large")
    if hashlib.sha256(jwe_bytes).hexdigest() != verified.sealed[index]:
        raise EnvelopeRefused("tampered")


# --- the file form ---------------------------------------------------------------------------------------------------


def write_file(jws: str, jwes: Sequence[bytes]) -> bytes:
    """The envelope as one file: a version line, the JWS, one line per JWE, each ended by one line feed."""
    return b"".join(line + b"\n" for line in (_FIRST_LINE, jws.encode("ascii"), *jwes))


def read_file(data: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The JWS and the JWEs of a file, nothing verified yet. EnvelopeRefused: too_large, bad_format, unknown_version (check 1)."""
    if data.count(b"\n") > 2 + MAX_PARTS:
        raise EnvelopeRefused("bad_format")
    first, _, rest = data.partition(b"\n")
    if first != _FIRST_LINE:
        raise EnvelopeRefused("unknown_version" if _ANY_FIRST_LINE.fullmatch(first) else "bad_format")
    line, *jwes = rest.split(b"\n")
    if not jwes or jwes.pop():  # what follows the last line feed is nothing
        raise EnvelopeRefused("bad_format")
    if any(len(jwe) > MAX_JWE_BYTES for jwe in jwes):
        raise EnvelopeRefused("too_large")
    jws = line.decode("latin-1")
    if _split(jws)[1].count(b"\n") != len(jwes):  # as many lines as digests were signed
        raise EnvelopeRefused("bad_format")
    return jws, tuple(jwes)


# --- checks ----------------------------------------------------------------------------------------------------------


def _header(kid: str) -> str:
    return encode_base64url(f'{{"alg":"ES256","kid":"{kid}","typ":"wardpost-manifest-1"}}'.encode("ascii"))


def _split(jws: str) -> tuple[bytes, bytes, bytes]:
    if len(jws) > MAX_JWS_BYTES:
        raise EnvelopeRefused("too_large")
    try:
        header, payload, signature = (decode_base64url(segment) for segment in jws.split("."))
    except ValueError:
        raise EnvelopeRefused("bad_format") from None
    return header, payload, signature


def _read_header(header: bytes) -> str:
    match = _HEADER.fullmatch(header)
    if match is None:
        raise EnvelopeRefused("bad_header")
    kid, number = match.groups()
    if number != b"1":
        raise EnvelopeRefused("unknown_version")
    return kid.decode("ascii")


def _signing_key(entry: DirectoryKey, kid: str) -> EllipticCurvePublicKey:
    try:
        key = keys.import_public_key(entry.jwk, "sig")
    except ValueError:
        raise EnvelopeRefused("unknown_key") from None
    if keys.thumbprint(entry.jwk) != kid:
        raise EnvelopeRefused("unknown_key")
    return key


def _check_sender(manifest: Manifest, entry: DirectoryKey, received_at: int) -> None:
    if entry.ods != manifest.from_ods:
        raise EnvelopeRefused("wrong_sender")
    if not entry.not_before <= manifest.at < entry.not_after:
        raise EnvelopeRefused("key_not_valid")
    # `at` is the signer's word; a thief writes any. Only when it reached us counts.
    if entry.compromised_at is not None and received_at >= entry.compromised_at:
        raise EnvelopeRefused("key_not_valid")


def _check_holder(manifest: Manifest, me: Holder) -> None:
    mine = {kid for ods, kid in ((manifest.to_ods, manifest.to_kid), (manifest.from_ods, manifest.from_kid)) if ods == me.ods}
    if not mine:
        raise EnvelopeRefused("not_for_us")
    if not mine & me.kids:
        raise EnvelopeRefused("no_key")


def _check_order(verified: VerifiedManifest, now: int, seen: Seen | None) -> None:
    manifest = verified.manifest
    if manifest.at > now + _CLOCK_SKEW_SECONDS:
        raise EnvelopeRefused("from_the_future")
    if seen is None:
        return
    if manifest.version < seen.version:
        raise EnvelopeRefused("older_version")
    if manifest.version == seen.version and verified.digest != seen.digest:
        raise EnvelopeRefused("two_of_one_version")
    # Over a gap `prev` names a manifest that we never saw: nothing ties it to what we did see.
    if manifest.version > seen.version and (manifest.version, manifest.prev) != (seen.version + 1, seen.digest):
        raise EnvelopeRefused("broken_chain")
