"""One part of an envelope: a general JSON JWE to the site and the sender, bound to its manifest (envelope.md 1.3).

The caller has compared the part's bytes with the signed digest before anything here parses them.
"""

import hashlib
import zlib
from typing import Final, Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from exchange.seal.keys import decode_base64url, dump_json, encode_base64url, is_coordinate
from exchange.seal.manifest import EnvelopeRefused, Manifest, PartMeta, load_canonical_json, take_members

Role = Literal["site", "sender"]
Coding = Literal["identity", "deflate"]

MAX_JWE_BYTES: Final = 29_360_128
SALT_BYTES: Final = 32
# AES-256-GCM's nonce and tag, and a 256-bit key under RFC 3394.
_IV_BYTES, _TAG_BYTES, _WRAPPED_KEY_BYTES = 12, 16, 40

_PROTECTED: Final = {"alg": "ECDH-ES+A256KW", "enc": "A256GCM", "typ": "wardpost-part-1"}
_PROTECTED_TEXT: Final = encode_base64url(dump_json(_PROTECTED))
_MEMBERS: Final = ("protected", "iv", "ciphertext", "tag", "aad", "recipients")


class _Registry(jwe.JWERegistry):
    """Our two algorithms and our limits. joserfc's own caps would refuse to open what it has just sealed."""

    max_ciphertext_length = MAX_JWE_BYTES
    max_aad_length = 64
    max_recipients = 2


# Always passed alone: with `algorithms=` beside it joserfc drops the registry and its limits.
_REGISTRY: Final = _Registry(algorithms=["ECDH-ES+A256KW", "A256GCM"])


def coding_for(media_type: str) -> Coding:
    """Text shrinks sixfold and is then faster to seal; pictures and PDF are compressed already (envelope.md 1.3)."""
    return "deflate" if media_type == "application/fhir+json" or media_type.startswith("text/") else "identity"


def salted_digest(salt: bytes, content: bytes) -> str:
    """SHA-256(salt ‖ content), hex: says nothing to who merely has the letter, also after erasure."""
    digest = hashlib.sha256(salt)
    digest.update(content)
    return digest.hexdigest()


def seal_part(
    manifest: Manifest, meta: PartMeta, salt: bytes, content: bytes, *, site: ec.EllipticCurvePublicKey, sender: ec.EllipticCurvePublicKey
) -> bytes:
    """The part's JWE bytes. joserfc draws content key, nonce and both ephemeral keys from the operating system."""
    coded = zlib.compress(content, 1) if meta.coding == "deflate" else content
    part = jwe.GeneralJSONEncryption(dict(_PROTECTED), salt + coded, aad=bytes.fromhex(manifest.digest()))
    # A header dict of its own for each recipient: joserfc writes the ephemeral key into it.
    part.add_recipient({"kid": manifest.to_kid}, _jose_key(site))
    part.add_recipient({"kid": manifest.from_kid}, _jose_key(sender))
    return dump_json(jwe.encrypt_json(part, None, registry=_REGISTRY))


def open_sealed_part(manifest: Manifest, meta: PartMeta, data: bytes, *, key: ec.EllipticCurvePrivateKey, role: Role) -> bytes:
    """The content of a part (checks 11 to 14).

    EnvelopeRefused: bad_format, bad_header, wrong_manifest, bad_recipients, cannot_open, bad_coding, content_mismatch.
    """
    members = _check_part(manifest, data)  # 11
    plaintext = _decrypt(members, 0 if role == "site" else 1, key)  # 12
    salt, coded = plaintext[:SALT_BYTES], plaintext[SALT_BYTES:]
    content = _inflate(coded, meta.bytes) if meta.coding == "deflate" else coded  # 13
    if len(content) != meta.bytes or salted_digest(salt, content) != meta.sha256:  # 14
        raise EnvelopeRefused("content_mismatch")
    return content


def _check_part(manifest: Manifest, data: bytes) -> dict[str, object]:
    part = take_members(load_canonical_json(data), _MEMBERS)
    # joserfc parses the header and writes it anew before it authenticates it: compare the text instead.
    if part["protected"] != _PROTECTED_TEXT:
        raise EnvelopeRefused("bad_header")
    if not isinstance(part["ciphertext"], str) or not _is_size(part["iv"], _IV_BYTES) or not _is_size(part["tag"], _TAG_BYTES):
        raise EnvelopeRefused("bad_format")
    if part["aad"] != encode_base64url(bytes.fromhex(manifest.digest())):
        raise EnvelopeRefused("wrong_manifest")
    recipients = part["recipients"]
    if not isinstance(recipients, list) or len(recipients) != 2:
        raise EnvelopeRefused("bad_recipients")
    for recipient, kid in zip(recipients, (manifest.to_kid, manifest.from_kid), strict=True):
        entry = take_members(recipient, ("header", "encrypted_key"), "bad_recipients")
        header = take_members(entry["header"], ("kid", "epk"), "bad_recipients")
        epk = take_members(header["epk"], ("crv", "x", "y", "kty"), "bad_recipients")
        if (
            header["kid"] != kid
            or (epk["crv"], epk["kty"]) != ("P-256", "EC")
            or not (is_coordinate(epk["x"]) and is_coordinate(epk["y"]))
            or not _is_size(entry["encrypted_key"], _WRAPPED_KEY_BYTES)
        ):
            raise EnvelopeRefused("bad_recipients")
    return part


def _is_size(text: object, size_bytes: int) -> bool:
    """Is this canonical base64url of exactly so many bytes? The length of the text is looked at first."""
    if not isinstance(text, str) or len(text) != -(-size_bytes * 4 // 3):
        return False
    try:
        return len(decode_base64url(text)) == size_bytes
    except ValueError:
        return False


def _decrypt(part: dict[str, object], index: int, key: ec.EllipticCurvePrivateKey) -> bytes:
    recipients = part["recipients"]
    assert isinstance(recipients, list)
    # Only our own entry: joserfc would try ours on the other recipient's and fail.
    mine = {**part, "recipients": [recipients[index]]}
    try:
        plaintext = jwe.decrypt_json(mine, _jose_key(key), registry=_REGISTRY).plaintext  # type: ignore[arg-type]  # checked just above
    except (JoseError, ValueError, KeyError, TypeError, AssertionError, InvalidTag):
        # One answer for all of them: the library's classes differ by which byte was wrong.
        raise EnvelopeRefused("cannot_open") from None
    if plaintext is None:
        raise EnvelopeRefused("cannot_open")
    return plaintext


def _inflate(coded: bytes, expected_bytes: int) -> bytes:
    """RFC 1950, never more than one byte over what the manifest says, and the stream ends where the data ends."""
    stream = zlib.decompressobj()
    try:
        content = stream.decompress(coded, expected_bytes + 1)
    except zlib.error:
        raise EnvelopeRefused("bad_coding") from None
    # zlib hands out cut data without an error, and ignores what follows the stream.
    if not stream.eof or stream.unused_data:
        raise EnvelopeRefused("bad_coding")
    return content


def _jose_key(key: ec.EllipticCurvePublicKey | ec.EllipticCurvePrivateKey) -> ECKey:
    return ECKey.import_key(key, {"use": "enc", "alg": "ECDH-ES+A256KW"})
