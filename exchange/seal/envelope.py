"""Envelope v1: the sender signs a manifest together with the digests of the finished parts; each part is its own JWE.

The numbers in the code are the checks of envelope.md 1.5, in their order. A receiver verifies before it parses, and nothing
is decrypted before check 12. Every refusal is an EnvelopeRefused with the code of its check.
"""

import hashlib
import re
import zlib
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from exchange.seal import keys
from exchange.seal.keys import Use, decode_base64url, decode_coordinate, decode_sized, encode_base64url
from exchange.seal.manifest import (
    MAX_CONTENT_BYTES,
    MAX_PARTS,
    EnvelopeRefused,
    Environment,
    Manifest,
    describe_part,
    read_payload,
    require,
)

Role = Literal["site", "sender"]

MAX_JWS_BYTES: Final = 16_384
MAX_JWE_BYTES: Final = 29_360_128
_CLOCK_SKEW_SECONDS: Final = 300
_FIRST_LINE: Final = b"wardpost-envelope-1"
_ANY_FIRST_LINE: Final = re.compile(rb"wardpost-envelope-[1-9][0-9]*")
# The allow-list of 1.1: one algorithm, one kid and nothing else, compared before any library reads a header.
_HEADER: Final = re.compile(r'\{"alg":"ES256","kid":"([A-Za-z0-9_-]{43})","typ":"wardpost-manifest-([1-9][0-9]*)"\}')
_PROTECTED: Final = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "typ": "wardpost-part-1"}
_PROTECTED_TEXT: Final = encode_base64url(keys.dump_json(_PROTECTED))
# A salt of ours; AES-256-GCM's nonce and tag; a 256-bit key under RFC 3394.
_SALT_BYTES, _IV_BYTES, _TAG_BYTES, _WRAPPED_KEY_BYTES = 32, 12, 16, 40


class _Registry(jwe.JWERegistry):
    """Our two algorithms and our limits. joserfc's own caps would refuse to open what it has just sealed."""

    max_ciphertext_length = MAX_JWE_BYTES
    max_aad_length = 64
    max_recipients = 2


# Always passed alone: with `algorithms=` beside it joserfc drops the registry and its limits.
_REGISTRY: Final = _Registry(algorithms=["ECDH-ES+A256KW", "A256GCM"])


class DirectoryKey(NamedTuple):
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


class Holder(NamedTuple):
    """Who opens: an organisation, and the kids of the opening keys that it holds."""

    ods: str
    kids: frozenset[str]


class Seen(NamedTuple):
    """The highest version of a transfer that the receiver has accepted, and the digest of its manifest."""

    version: int
    digest: str


class SealedVersion(NamedTuple):
    """A version as it is stored: the JWS, and one JWE per part. Copy these bytes, never serialise them anew."""

    jws: str
    manifest: Manifest
    manifest_digest: str
    jwes: tuple[bytes, ...]


class VerifiedManifest(NamedTuple):
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
    site, sender = (_jose_key(keys.import_public_key(jwk, "enc")) for jwk in (site_opening, sender_opening))
    signing = keys.import_private_key(sender_signing, "sig")
    require(len(parts) <= MAX_PARTS and all(len(content) <= MAX_CONTENT_BYTES for _, content in parts), "too_large")
    salts = [random_bytes(_SALT_BYTES) for _ in parts]
    if any(len(salt) != _SALT_BYTES for salt in salts):
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
        parts=tuple(describe_part(media_type, salt, content) for (media_type, content), salt in zip(parts, salts, strict=True)),
    )
    Manifest.parse(manifest.to_bytes())  # what a receiver would refuse is never signed
    digest, jwes = manifest.digest(), []
    for meta, salt, (_, content) in zip(manifest.parts, salts, parts, strict=True):
        coded = zlib.compress(content, 1) if meta.coding == "deflate" else content
        part = jwe.GeneralJSONEncryption(dict(_PROTECTED), salt + coded, aad=bytes.fromhex(digest))
        # A header dict of its own for each recipient: joserfc writes the ephemeral key into it.
        part.add_recipient({"kid": manifest.to_kid}, site)
        part.add_recipient({"kid": manifest.from_kid}, sender)
        jwes.append(keys.dump_json(jwe.encrypt_json(part, None, registry=_REGISTRY)))
    header = f'{{"alg":"ES256","kid":"{keys.thumbprint(sender_signing)}","typ":"wardpost-manifest-1"}}'.encode("ascii")
    payload = b"\n".join([manifest.to_bytes(), *(hashlib.sha256(one).hexdigest().encode("ascii") for one in jwes)])
    signed = f"{encode_base64url(header)}.{encode_base64url(payload)}"
    jws = f"{signed}.{encode_base64url(keys.sign_es256(signing, signed.encode('ascii')))}"
    require(len(jws) <= MAX_JWS_BYTES, "too_large")
    return SealedVersion(jws, manifest, digest, tuple(jwes))


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
    match = _HEADER.fullmatch(header.decode("latin-1"))  # 2
    if match is None:
        raise EnvelopeRefused("bad_header")
    kid, number = match.groups()
    require(number == "1", "unknown_version")
    entry = directory.find_key(kid)  # 3
    if entry is None or entry.use != "sig":
        raise EnvelopeRefused("unknown_key")
    try:
        key = keys.import_public_key(entry.jwk, "sig")
    except ValueError:
        raise EnvelopeRefused("unknown_key") from None
    require(keys.thumbprint(entry.jwk) == kid, "unknown_key")
    signed = jws.rpartition(".")[0].encode("ascii")
    require(keys.is_es256_signature(key, signed, signature), "bad_signature")  # 4
    manifest, sealed = read_payload(payload)  # 5
    require(entry.ods == manifest.from_ods, "wrong_sender")  # 6
    require(entry.not_before <= manifest.at < entry.not_after, "key_not_valid")
    # `at` is the signer's word; a thief writes any. Only when it reached us counts.
    first_received = now if received_at is None else received_at
    require(entry.compromised_at is None or first_received < entry.compromised_at, "key_not_valid")
    require(manifest.env == environment, "wrong_environment")  # 7
    if me is not None:  # 8
        named = ((manifest.to_ods, manifest.to_kid), (manifest.from_ods, manifest.from_kid))
        mine = {opening for ods, opening in named if ods == me.ods}
        require(mine, "not_for_us")
        require(mine & me.kids, "no_key")
    digest = manifest.digest()
    require(manifest.at <= now + _CLOCK_SKEW_SECONDS, "from_the_future")  # 9
    if seen is not None:
        require(manifest.version >= seen.version, "older_version")
        if manifest.version == seen.version:
            require(digest == seen.digest, "two_of_one_version")
        else:
            # Over a gap `prev` names a manifest that we never saw: nothing ties it to what we did see.
            require((manifest.version, manifest.prev) == (seen.version + 1, seen.digest), "broken_chain")
    return VerifiedManifest(manifest, digest, sealed, kid)


def _split(jws: str) -> tuple[bytes, bytes, bytes]:
    require(len(jws) <= MAX_JWS_BYTES, "too_large")
    try:
        header, payload, signature = map(decode_base64url, jws.split("."))
    except ValueError:
        raise EnvelopeRefused("bad_format") from None
    return header, payload, signature


def open_part(verified: VerifiedManifest, index: int, jwe_bytes: bytes, private_jwk: dict[str, str], role: Role) -> bytes:
    """The content of part `index`, counted from 0 (checks 10 to 14), with the opening key of the site or of the sender.

    EnvelopeRefused with the code of its check; no_key when the key is not the one that the manifest names for this role.
    IndexError when the manifest has no such part; ValueError when the JWK is no private opening key.
    """
    if not 0 <= index < len(verified.sealed):
        raise IndexError("no such part")
    manifest, meta = verified.manifest, verified.manifest.parts[index]
    key = _jose_key(keys.import_private_key(private_jwk, "enc"))
    require(keys.thumbprint(private_jwk) == (manifest.to_kid if role == "site" else manifest.from_kid), "no_key")
    check_part_bytes(verified, index, jwe_bytes)  # 10
    part, recipients = _check_part(verified, jwe_bytes)  # 11
    # Only our own entry: joserfc would try our key on the other recipient's and fail.
    mine = {**part, "recipients": [recipients[0 if role == "site" else 1]]}
    try:  # 12
        plaintext = jwe.decrypt_json(mine, key, registry=_REGISTRY).plaintext  # type: ignore[arg-type]  # checked just above
        assert plaintext is not None
    except (JoseError, ValueError, KeyError, TypeError, AssertionError, InvalidTag):
        # One answer for all of them: the library's classes differ by which byte was wrong.
        raise EnvelopeRefused("cannot_open") from None
    salt, coded = plaintext[:_SALT_BYTES], plaintext[_SALT_BYTES:]
    content = _inflate(coded, meta.bytes) if meta.coding == "deflate" else coded  # 13
    require(meta.describes(salt, content), "content_mismatch")  # 14
    return content


def check_part_bytes(verified: VerifiedManifest, index: int, jwe_bytes: bytes) -> None:
    """Are these the bytes that were signed (check 10)? Needs no key: fsck asks it too. EnvelopeRefused: too_large, tampered."""
    require(len(jwe_bytes) <= MAX_JWE_BYTES, "too_large")
    require(hashlib.sha256(jwe_bytes).hexdigest() == verified.sealed[index], "tampered")


def _check_part(verified: VerifiedManifest, data: bytes) -> tuple[dict[str, object], list[object]]:
    """The JWE's members, and its two recipients: site, sender."""
    try:
        loaded = keys.load_strict_json(data)
        require(keys.dump_json(loaded) == data, "bad_format")
        part = _take_members(loaded, "protected", "iv", "ciphertext", "tag", "aad", "recipients")
        # joserfc parses the header and writes it anew before it authenticates it: compare the text instead.
        require(part["protected"] == _PROTECTED_TEXT, "bad_header")
        require(isinstance(part["ciphertext"], str), "bad_format")
        decode_sized(part["iv"], _IV_BYTES)
        decode_sized(part["tag"], _TAG_BYTES)
    except ValueError:
        raise EnvelopeRefused("bad_format") from None
    require(part["aad"] == encode_base64url(bytes.fromhex(verified.digest)), "wrong_manifest")
    recipients = part["recipients"]
    if not isinstance(recipients, list) or len(recipients) != 2:
        raise EnvelopeRefused("bad_recipients")
    try:
        for recipient, kid in zip(recipients, (verified.manifest.to_kid, verified.manifest.from_kid), strict=True):
            entry = _take_members(recipient, "header", "encrypted_key")
            header = _take_members(entry["header"], "kid", "epk")
            epk = _take_members(header["epk"], "crv", "x", "y", "kty")
            require((header["kid"], epk["crv"], epk["kty"]) == (kid, "P-256", "EC"), "bad_recipients")
            decode_coordinate(epk["x"])
            decode_coordinate(epk["y"])
            decode_sized(entry["encrypted_key"], _WRAPPED_KEY_BYTES)
    except ValueError:
        raise EnvelopeRefused("bad_recipients") from None
    return part, recipients


def _take_members(value: object, *names: str) -> dict[str, object]:
    """The value as an object with exactly these members in this order. ValueError."""
    if not isinstance(value, dict) or tuple(value) != names:
        raise ValueError("other members")
    return value


def _inflate(coded: bytes, expected_bytes: int) -> bytes:
    """RFC 1950, never more than one byte over what the manifest says, and the stream ends where the data ends."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(coded, expected_bytes + 1)
    except zlib.error:
        raise EnvelopeRefused("bad_coding") from None
    # zlib hands out cut data without an error, and ignores what follows the stream.
    require(stream.eof and not stream.unused_data, "bad_coding")
    return content


def _jose_key(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> ECKey:
    return ECKey.import_key(key, {"use": "enc", "alg": "ECDH-ES+A256KW"})


def write_file(jws: str, jwes: Sequence[bytes]) -> bytes:
    """The envelope as one file: a version line, the JWS, one line per JWE, each ended by one line feed."""
    return b"".join(line + b"\n" for line in (_FIRST_LINE, jws.encode("ascii"), *jwes))


def read_file(data: bytes) -> tuple[str, tuple[bytes, ...]]:
    """The JWS and the JWEs of a file, nothing verified yet. EnvelopeRefused: too_large, bad_format, unknown_version (check 1)."""
    require(data.count(b"\n") <= 2 + MAX_PARTS, "bad_format")
    first, _, rest = data.partition(b"\n")
    if first != _FIRST_LINE:
        raise EnvelopeRefused("unknown_version" if _ANY_FIRST_LINE.fullmatch(first) else "bad_format")
    line, *jwes = rest.split(b"\n")
    require(jwes and not jwes.pop(), "bad_format")  # what follows the last line feed is nothing
    require(all(len(one) <= MAX_JWE_BYTES for one in jwes), "too_large")
    jws = line.decode("latin-1")
    require(_split(jws)[1].count(b"\n") == len(jwes), "bad_format")  # as many lines as digests were signed
    return jws, tuple(jwes)
