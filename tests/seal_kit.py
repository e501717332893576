"""What the seal tests share: the published keys and file, envelopes made to order, and lies signed with the true key.

`python -m tests.seal_kit` writes tests/vectors/envelope-*.txt anew. Keys in here are for tests only.
"""

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from exchange.seal import keys
from exchange.seal.envelope import DirectoryKey, EnvelopeRefused, Holder, Seen, open_manifest, open_part, read_file, seal, write_file

VECTORS = Path(__file__).parent / "vectors"
NOW = 1764050010
AT = 1764050000
TRANSFER = "6f1d1c1e-7c1b-4f0e-9a52-0d6a0c0b8a11"
BUNDLE = b'{"resourceType":"Bundle","type":"document"}' * 40
PDF = b"%PDF-1.4\n"
N = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def private_jwk(use: keys.Use, x: str, y: str, d: str) -> dict[str, str]:
    jwk = {"kty": "EC", "crv": "P-256", "x": x, "y": y, "d": d, "use": use, "alg": keys.ALGORITHMS[use]}
    return {**jwk, "kid": keys.thumbprint(jwk)}


# envelope.md 7
SENDER_SIGN = private_jwk(
    "sig",
    "bCycUDCzwYmSuN40QSTmjab-bo58GYcKlYVSLpSMtGw",
    "_mPJzhCi73J7zV2buygQfTzhR0CWr9n53d15ig1dUMM",
    "vr7SfPJnp8wI5O1W-7k1SxsUFzVfocWAL_aWNPBOV4Y",
)
SENDER_OPEN = private_jwk(
    "enc",
    "LW_LP_KV8rOBKfUL062gxmEDSDAorKHh2170MS93I-c",
    "tdyc3UOOjhdFTGP99oTNS4cDdjR5HEo88BwxadoC72k",
    "BAQvNkPGBYh7OqvbPGtX2fGnv7hrsqLRztJgO81_1Ro",
)
SITE_OPEN = private_jwk(
    "enc",
    "pnV6aJGGpAEmeT8nc7ci2gA5WiWYDS_amabIme6N3-A",
    "DSPZ74ouN3vacBy-flGRrhZ4UI54locniaA2XMJKcEA",
    "t828554zc9KEFalz4od2oU6FpPmKr-m_vOoeXOUtFH8",
)
# A second sender, and a second site: neither is in the published values.
OTHER_SIGN = private_jwk(
    "sig",
    "Rxw-dYxJBChbun5TEY7Q9SSt6wdX0lvS-Oew1236cUw",
    "3VIPesqKi5F6zDf1HejwybvjrYWDgucC3CWhLQn3qFg",
    "EjRWeJCrze8SNFZ4kKvN7xI0VniQq83vEjRWeJCrze8",
)
KID = {name: jwk["kid"] for name, jwk in (("sign", SENDER_SIGN), ("sender", SENDER_OPEN), ("site", SITE_OPEN), ("other", OTHER_SIGN))}


@dataclass
class Directory:
    """A key directory held in a dict."""

    keys: dict[str, DirectoryKey] = field(default_factory=dict)

    def find_key(self, kid: str) -> DirectoryKey | None:
        return self.keys.get(kid)


def directory(ods: str = "RZZ01", *, not_before: int = 0, not_after: int = 2_000_000_000, compromised_at: int | None = None) -> Directory:
    """The senders' keys. An opening key is in it too: it must not count as a signing key."""

    def entry(owner: str, jwk: dict[str, str], use: keys.Use) -> DirectoryKey:
        return DirectoryKey(owner, use, keys.public_part(jwk), not_before, not_after, compromised_at)

    return Directory(
        {
            KID["sign"]: entry(ods, SENDER_SIGN, "sig"),
            KID["other"]: entry("RZZ02", OTHER_SIGN, "sig"),
            KID["sender"]: entry(ods, SENDER_OPEN, "enc"),
        }
    )


def counting_bytes(start: int = 0) -> Callable[[int], bytes]:
    """A source of different 'random' bytes that is the same in every run."""
    calls = iter(range(start, 1 << 30))
    return lambda n: hashlib.shake_256(next(calls).to_bytes(4, "big")).digest(n)


def make_file(**changes: object) -> bytes:
    """A good envelope of a Bundle and a PDF, in file form."""
    values: dict[str, object] = {
        "env": "trial",
        "transfer": TRANSFER,
        "version": 1,
        "prev": None,
        "at": AT,
        "from_ods": "RZZ01",
        "to_ods": "VZZ01",
        "sender_opening": keys.public_part(SENDER_OPEN),
        "site_opening": keys.public_part(SITE_OPEN),
        "sender_signing": SENDER_SIGN,
        "parts": [("application/fhir+json", BUNDLE), ("application/pdf", PDF)],
        "random_bytes": counting_bytes(),
    }
    sealed = seal(**{**values, **changes})
    return write_file(sealed.jws, sealed.jwes)


@dataclass(frozen=True)
class Situation:
    """Who opens a file, when, and what it knows."""

    environment: str = "trial"
    now: int = NOW
    received_at: int | None = None
    me: str = "VZZ01"
    role: str = "site"
    holds: bool = True
    seen: Seen | None = None
    directory: Directory = field(default_factory=directory)


def open_file(data: bytes, at: Situation = Situation()) -> list[bytes]:
    """Every part of a file, in the one way: read, verify, open. EnvelopeRefused."""
    jws, jwes = read_file(data)
    jwk = SITE_OPEN if at.role == "site" else SENDER_OPEN
    verified = open_manifest(
        jws,
        directory=at.directory,
        environment=at.environment,
        now=at.now,
        received_at=at.received_at,
        me=Holder(at.me, frozenset([jwk["kid"]] if at.holds else [])),
        seen=at.seen,
    )
    return [open_part(verified, index, jwe, jwk, at.role) for index, jwe in enumerate(jwes)]


def verdict(data: bytes, at: Situation = Situation()) -> str:
    """'opened', or the code of the refusal. Anything but a refusal is a crash and comes through."""
    try:
        open_file(data, at)
    except EnvelopeRefused as refused:
        return refused.code
    return "opened"


# --- forging: an own writer that will write anything, and the true key signs it -----------------------------------------


def b64(data: bytes) -> str:
    return keys.encode_base64url(data)


def dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def header_bytes(kid: str = KID["sign"]) -> bytes:
    return b'{"alg":"ES256","kid":"%s","typ":"wardpost-manifest-1"}' % kid.encode()


def sign_file(payload: bytes, jwes: list[bytes], *, header: bytes | None = None, jwk: dict[str, str] = SENDER_SIGN) -> bytes:
    """A file whose payload is signed with the true key, whatever the payload says."""
    signed = f"{b64(header or header_bytes(jwk['kid']))}.{b64(payload)}"
    signature = keys.sign_es256(keys.import_private_key(jwk, "sig"), signed.encode())
    return b"".join(line + b"\n" for line in (b"wardpost-envelope-1", f"{signed}.{b64(signature)}".encode(), *jwes))


Edit = Callable[[dict], None]


def nothing(_: dict) -> None:
    """The edit that changes nothing."""


@dataclass(frozen=True)
class Forgery:
    """A one-part envelope with edits applied at each stage before it is signed with the true key.

    `manifest` edits M as a dict, `line` its bytes, `part` the JWE as a dict, `jwe` its bytes, `payload` the signed bytes.
    """

    manifest: Edit = nothing
    line: Callable[[bytes], bytes] = bytes
    part: Edit = nothing
    jwe: Callable[[bytes], bytes] = bytes
    payload: Callable[[bytes], bytes] = bytes
    header: bytes | None = None
    jwk: dict[str, str] = field(default_factory=lambda: SENDER_SIGN)
    content: bytes = PDF
    coded: bytes | None = None
    media_type: str = "application/pdf"
    coding: str = "identity"
    aad: bytes | None = None
    protected: bytes = b'{"alg":"ECDH-ES+A256KW","enc":"A256GCM","typ":"wardpost-part-1"}'
    iv: bytes = bytes(range(0x40, 0x4C))

    def build(self) -> bytes:
        salt = bytes(range(32))
        meta = {
            "type": self.media_type,
            "coding": self.coding,
            "bytes": len(self.content),
            "sha256": hashlib.sha256(salt + self.content).hexdigest(),
        }
        manifest = {
            "v": 1,
            "env": "trial",
            "transfer": TRANSFER,
            "version": 1,
            "prev": None,
            "at": AT,
            "from": "RZZ01",
            "to": "VZZ01",
            "from_kid": KID["sender"],
            "to_kid": KID["site"],
            "parts": [meta],
        }
        self.manifest(manifest)
        line = self.line(dump(manifest))
        part = self.encrypt(hashlib.sha256(line).digest() if self.aad is None else self.aad, salt)
        self.part(part)
        jwe = self.jwe(dump(part))
        payload = self.payload(line + b"\n" + hashlib.sha256(jwe).hexdigest().encode())
        return sign_file(payload, [jwe], header=self.header, jwk=self.jwk)

    def encrypt(self, aad: bytes, salt: bytes) -> dict[str, object]:
        """ECDH-ES+A256KW with A256GCM by cryptography alone, so that the opener does not only meet its own writer."""
        content_key = bytes(range(0x20, 0x40))
        protected = b64(self.protected)
        plain = salt + (self.content if self.coded is None else self.coded)
        sealed = AESGCM(content_key).encrypt(self.iv, plain, f"{protected}.{b64(aad)}".encode())
        return {
            "protected": protected,
            "iv": b64(self.iv),
            "ciphertext": b64(sealed[:-16]),
            "tag": b64(sealed[-16:]),
            "aad": b64(aad),
            "recipients": [wrap_for(SITE_OPEN, content_key, 2), wrap_for(SENDER_OPEN, content_key, 3)],
        }


def wrap_for(jwk: dict[str, str], content_key: bytes, ephemeral: int) -> dict[str, object]:
    """One recipient entry. `ephemeral` is the private scalar."""
    key = ec.derive_private_key(ephemeral, ec.SECP256R1())
    shared = key.exchange(ec.ECDH(), keys.import_public_key(keys.public_part(jwk), "enc"))
    otherinfo = bytes.fromhex("0000000e454344482d45532b413235364b57000000000000000000000100")
    wrapping_key = ConcatKDFHash(SHA256(), 32, otherinfo).derive(shared)
    point = key.public_key().public_numbers()
    epk = {"crv": "P-256", "x": b64(point.x.to_bytes(32, "big")), "y": b64(point.y.to_bytes(32, "big")), "kty": "EC"}
    return {"header": {"kid": jwk["kid"], "epk": epk}, "encrypted_key": b64(aes_key_wrap(wrapping_key, content_key))}


def put(*path: str | int, value: object) -> Edit:
    """An edit that sets one member, however deep."""

    def edit(target: dict) -> None:
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value

    return edit


def drop(*path: str | int) -> Edit:
    """An edit that removes one member."""

    def edit(target: dict) -> None:
        for step in path[:-1]:
            target = target[step]
        del target[path[-1]]

    return edit


def flipped(text: str) -> str:
    """The same text with another first character."""
    return ("A" if text[0] != "A" else "B") + text[1:]


def edit_with(change: Callable[[str], str], *path: str | int) -> Edit:
    def edit(target: dict) -> None:
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = change(target[path[-1]])

    return edit


def swap_recipients(part: dict) -> None:
    part["recipients"].reverse()


def reorder(target: dict) -> None:
    first = next(iter(target))
    target[first] = target.pop(first)


def high_s(data: bytes) -> bytes:
    """The twin signature n−s of a file: any library verifies it."""
    first, jws, *rest = data.split(b"\n")
    signed, _, signature = jws.decode().rpartition(".")
    raw = keys.decode_base64url(signature)
    twin = raw[:32] + (N - int.from_bytes(raw[32:], "big")).to_bytes(32, "big")
    return b"\n".join([first, f"{signed}.{b64(twin)}".encode(), *rest])


def rewrite_signature(data: bytes, signature: bytes) -> bytes:
    first, jws, *rest = data.split(b"\n")
    return b"\n".join([first, jws.rpartition(b".")[0] + b"." + b64(signature).encode(), *rest])


def splice(one: bytes, two: bytes, line: int) -> bytes:
    """The first file with one line of the second."""
    lines = one.split(b"\n")
    lines[line] = two.split(b"\n")[line]
    return b"\n".join(lines)


def deflated(**changes: object) -> Forgery:
    values = {"content": BUNDLE, "media_type": "application/fhir+json", "coding": "deflate", "coded": zlib.compress(BUNDLE, 1)}
    return Forgery(**{**values, **changes})


RECIPIENT = ("recipients", 0)
EPK = ("recipients", 0, "header", "epk")
OFF_CURVE = b64(b"\0" * 31 + b"\x05")
OVER_PRIME = b64(b"\xff" * 32)
NEXT_M = hashlib.sha256(b"another manifest").hexdigest()

# What a sender can do wrong, or lie about, with its own true key: name → (code, forgery).
LIES: dict[str, tuple[str, Forgery]] = {
    # the JWS header
    "header-version-2": ("unknown_version", Forgery(header=header_bytes().replace(b"manifest-1", b"manifest-2"))),
    "header-crit": ("bad_header", Forgery(header=header_bytes()[:-1] + b',"crit":["alg"]}')),
    "header-jwk": ("bad_header", Forgery(header=header_bytes()[:-1] + b',"jku":"https://x.invalid"}')),
    "header-none": ("bad_header", Forgery(header=header_bytes().replace(b"ES256", b"none"))),
    "header-hs256": ("bad_header", Forgery(header=header_bytes().replace(b"ES256", b"HS256"))),
    "header-two-algs": ("bad_header", Forgery(header=b'{"alg":"none",' + header_bytes()[1:])),
    "header-space": ("bad_header", Forgery(header=header_bytes().replace(b":", b": ", 1))),
    "header-line-feed": ("bad_header", Forgery(header=header_bytes() + b"\n")),
    "header-long-kid": ("bad_header", Forgery(header=header_bytes(KID["sign"] + "A"))),
    "kid-opening-key": ("unknown_key", Forgery(header=header_bytes(KID["sender"]))),
    "kid-stranger": ("unknown_key", Forgery(header=header_bytes("A" * 43))),
    "kid-of-another": ("bad_signature", Forgery(header=header_bytes(KID["other"]))),
    # the manifest
    "m-version-2": ("unknown_version", Forgery(manifest=put("v", value=2))),
    "m-version-true": ("bad_format", Forgery(manifest=put("v", value=True))),
    "m-version-text": ("bad_format", Forgery(manifest=put("v", value="1"))),
    "m-version-float": ("bad_format", Forgery(line=lambda m: m.replace(b'"v":1', b'"v":1.0'))),
    "m-no-version": ("bad_format", Forgery(manifest=drop("v"))),
    "m-extra-member": ("bad_format", Forgery(manifest=put("more", value=1))),
    "m-order": ("bad_format", Forgery(manifest=reorder)),
    "m-space": ("bad_format", Forgery(line=lambda m: m.replace(b":", b": ", 1))),
    "m-escape": ("bad_format", Forgery(line=lambda m: m.replace(b"RZZ01", b"\\u0052ZZ01"))),
    "m-twice": ("bad_format", Forgery(line=lambda m: m.replace(b'"env":', b'"env":"live","env":'))),
    "m-nan": ("bad_format", Forgery(line=lambda m: m.replace(b'"at":1764050000', b'"at":NaN'))),
    "m-exponent": ("bad_format", Forgery(line=lambda m: m.replace(b'"at":1764050000', b'"at":1e9'))),
    "m-deep": ("bad_format", Forgery(line=lambda m: b"[" * 5000)),
    "m-huge-number": ("bad_format", Forgery(line=lambda m: m.replace(b"1764050000", b"9" * 5000))),
    "m-not-json": ("bad_format", Forgery(line=lambda m: m[:-1])),
    "m-not-ascii": ("bad_format", Forgery(line=lambda m: m.replace(b"RZZ01", "RZZ0é".encode()))),
    "m-not-utf8": ("bad_format", Forgery(line=lambda m: m.replace(b"RZZ01", b"RZZ0\xff"))),
    "m-list": ("bad_format", Forgery(line=lambda m: b"[" + m + b"]")),
    "m-env": ("bad_format", Forgery(manifest=put("env", value="test"))),
    "m-transfer": ("bad_format", Forgery(manifest=put("transfer", value=TRANSFER.upper()))),
    "m-version-0": ("bad_format", Forgery(manifest=put("version", value=0))),
    "m-version-number-true": ("bad_format", Forgery(manifest=put("version", value=True))),
    "m-version-10000": ("bad_format", Forgery(manifest=lambda m: m.update(version=10000, prev=NEXT_M))),
    "m-prev-at-1": ("bad_format", Forgery(manifest=put("prev", value=NEXT_M))),
    "m-no-prev-at-2": ("bad_format", Forgery(manifest=put("version", value=2))),
    "m-at-negative": ("bad_format", Forgery(manifest=put("at", value=-1))),
    "m-ods-lower": ("bad_format", Forgery(manifest=put("to", value="vzz01"))),
    "m-ods-line-feed": ("bad_format", Forgery(manifest=put("to", value="VZZ01\n"))),
    "m-same-kids": ("bad_format", Forgery(manifest=put("from_kid", value=KID["site"]))),
    "m-kid-short": ("bad_format", Forgery(manifest=put("to_kid", value="short"))),
    "m-no-parts": ("bad_format", Forgery(manifest=put("parts", value=[]))),
    "m-33-parts": ("bad_format", Forgery(manifest=lambda m: m.update(parts=m["parts"] * 33))),
    "m-part-type": ("bad_format", Forgery(manifest=put("parts", 0, "type", value="text/plain; charset=utf-8"))),
    "m-part-coding": ("bad_format", Forgery(manifest=put("parts", 0, "coding", value="gzip"))),
    "m-part-empty": ("bad_format", Forgery(manifest=put("parts", 0, "bytes", value=0))),
    "m-part-big": ("bad_format", Forgery(manifest=put("parts", 0, "bytes", value=20_971_521))),
    "m-part-order": ("bad_format", Forgery(manifest=lambda m: reorder(m["parts"][0]))),
    "m-two-parts-one-line": ("bad_format", Forgery(manifest=lambda m: m.update(parts=m["parts"] * 2))),
    "line-upper": ("bad_format", Forgery(payload=lambda p: p[:-64] + p[-64:].upper())),
    "line-missing": ("bad_format", Forgery(payload=lambda p: p[:-65])),
    "line-feed-at-end": ("bad_format", Forgery(payload=lambda p: p + b"\n")),
    "line-of-another-part": ("tampered", Forgery(payload=lambda p: p[:-64] + NEXT_M.encode())),
    # who, where, when
    "from-another": ("wrong_sender", Forgery(manifest=put("from", value="RZZ02"))),
    "another-sender": ("wrong_sender", Forgery(jwk=OTHER_SIGN)),
    "live": ("wrong_environment", Forgery(manifest=put("env", value="live"))),
    "to-another": ("not_for_us", Forgery(manifest=put("to", value="VZZ02"))),
    "to-another-key": ("no_key", Forgery(manifest=put("to_kid", value="A" * 43))),
    "tomorrow": ("from_the_future", Forgery(manifest=put("at", value=NOW + 301))),
    "after-the-key": ("key_not_valid", Forgery(manifest=put("at", value=2_000_000_000))),
    # the part
    "part-not-json": ("bad_format", Forgery(jwe=lambda j: j[:-1])),
    "part-empty": ("bad_format", Forgery(jwe=lambda j: b"")),
    "part-space": ("bad_format", Forgery(jwe=lambda j: j.replace(b":", b": ", 1))),
    "part-twice": ("bad_format", Forgery(jwe=lambda j: j.replace(b'"iv":', b'"iv":"A","iv":'))),
    "part-zip": ("bad_format", Forgery(part=put("zip", value="DEF"))),
    "part-unprotected": ("bad_format", Forgery(part=put("unprotected", value={"alg": "dir"}))),
    "part-no-iv": ("bad_format", Forgery(part=drop("iv"))),
    "part-order": ("bad_format", Forgery(part=reorder)),
    "part-iv-16": ("bad_format", Forgery(iv=bytes(16))),
    "part-tag-15": ("bad_format", Forgery(part=put("tag", value=b64(bytes(15))))),
    "part-tag-loose-bits": ("bad_format", Forgery(part=edit_with(lambda t: t[:-1] + chr(ord(t[-1]) + 1), "tag"))),
    "part-iv-number": ("bad_format", Forgery(part=put("iv", value=12))),
    "part-ciphertext-list": ("bad_format", Forgery(part=put("ciphertext", value=[]))),
    "part-ciphertext-rubbish": ("cannot_open", Forgery(part=edit_with(lambda c: "*" + c[1:], "ciphertext"))),
    "part-ciphertext-empty": ("cannot_open", Forgery(part=put("ciphertext", value=""))),
    "protected-space": ("bad_header", Forgery(protected=b'{"alg": "ECDH-ES+A256KW","enc":"A256GCM","typ":"wardpost-part-1"}')),
    "protected-zip": ("bad_header", Forgery(protected=b'{"alg":"ECDH-ES+A256KW","enc":"A256GCM","typ":"wardpost-part-1","zip":"DEF"}')),
    "protected-a128": ("bad_header", Forgery(protected=b'{"alg":"ECDH-ES+A128KW","enc":"A256GCM","typ":"wardpost-part-1"}')),
    "protected-list": ("bad_header", Forgery(part=put("protected", value=[]))),
    "aad-of-another": ("wrong_manifest", Forgery(aad=bytes.fromhex(NEXT_M))),
    "aad-empty": ("wrong_manifest", Forgery(part=put("aad", value=""))),
    "recipients-swapped": ("bad_recipients", Forgery(part=swap_recipients)),
    "recipients-one": ("bad_recipients", Forgery(part=drop("recipients", 1))),
    "recipients-three": ("bad_recipients", Forgery(part=lambda p: p["recipients"].append(p["recipients"][0]))),
    "recipients-object": ("bad_recipients", Forgery(part=put("recipients", value={}))),
    "recipient-number": ("bad_recipients", Forgery(part=put(*RECIPIENT, value=1))),
    "recipient-stranger": ("bad_recipients", Forgery(part=put("recipients", 1, "header", "kid", value="A" * 43))),
    "recipient-alg": ("bad_recipients", Forgery(part=put(*RECIPIENT, "header", "alg", value="dir"))),
    "recipient-apu": ("bad_recipients", Forgery(part=put(*RECIPIENT, "header", "apu", value="AA"))),
    "recipient-key-48": ("bad_recipients", Forgery(part=put(*RECIPIENT, "encrypted_key", value=b64(bytes(48))))),
    "epk-d": ("bad_recipients", Forgery(part=put(*EPK, "d", value=OFF_CURVE))),
    "epk-p384": ("bad_recipients", Forgery(part=put(*EPK, "crv", value="P-384"))),
    "epk-33-bytes": ("bad_recipients", Forgery(part=put(*EPK, "x", value=b64(bytes(33))))),
    "epk-over-the-prime": ("bad_recipients", Forgery(part=put(*EPK, "x", value=OVER_PRIME))),
    "epk-off-curve": ("cannot_open", Forgery(part=put(*EPK, "x", value=OFF_CURVE))),
    "key-changed": ("cannot_open", Forgery(part=edit_with(flipped, *RECIPIENT, "encrypted_key"))),
    "tag-changed": ("cannot_open", Forgery(part=edit_with(flipped, "tag"))),
    "ciphertext-changed": ("cannot_open", Forgery(part=edit_with(flipped, "ciphertext"))),
    # the content
    "deflate-cut": ("bad_coding", deflated(coded=zlib.compress(BUNDLE, 1)[:-1])),
    "deflate-more": ("bad_coding", deflated(coded=zlib.compress(BUNDLE, 1) + b"\0")),
    "deflate-bomb": ("bad_coding", deflated(coded=zlib.compress(bytes(10_000_000), 9))),
    "deflate-raw": ("bad_coding", deflated(coded=zlib.compress(BUNDLE, 1)[2:-4])),
    "deflate-none": ("bad_coding", deflated(coded=BUNDLE)),
    "deflate-one-over": ("content_mismatch", deflated(coded=zlib.compress(BUNDLE + b"}", 1))),
    "deflate-one-under": ("content_mismatch", deflated(coded=zlib.compress(BUNDLE[:-1], 1))),
    "content-other": ("content_mismatch", Forgery(coded=b"%PDF-1.5\n")),
    "content-none": ("content_mismatch", Forgery(coded=b"")),
}  # fmt: skip


# --- the vectors --------------------------------------------------------------------------------------------------------


def situations() -> Iterator[tuple[str, str, dict[str, str], bytes]]:
    """Name, verdict, what the opener knows, file. Everything that depends on more than the file and the default opener."""
    good = Forgery().build()
    yield "ok-sender-copy", "opened", {"me": "RZZ01", "role": "sender"}, good
    yield "ok-deflate", "opened", {}, deflated().build()
    yield "ok-no-key-but-old-compromise", "opened", {"compromised-at": str(NOW), "received-at": str(NOW - 1)}, good
    yield "ok-at-the-edge-of-the-clock", "opened", {"now": str(AT - 300)}, good
    digest = hashlib.sha256(keys.decode_base64url(good.split(b"\n")[1].decode().split(".")[1]).split(b"\n")[0]).hexdigest()
    second = Forgery(manifest=lambda m: m.update(version=2, prev=digest)).build()
    third = Forgery(manifest=lambda m: m.update(version=3, prev=NEXT_M)).build()
    yield "ok-next-version", "opened", {"seen": f"1 {digest}"}, second
    yield "ok-same-again", "opened", {"seen": f"1 {digest}"}, good
    yield "ok-first-sight-of-version-3", "opened", {}, third
    yield "older", "older_version", {"seen": f"2 {NEXT_M}"}, good
    yield "two-of-one", "two_of_one_version", {"seen": f"1 {NEXT_M}"}, good
    yield "chain-wrong-prev", "broken_chain", {"seen": f"1 {NEXT_M}"}, second
    yield "chain-gap", "broken_chain", {"seen": f"1 {digest}"}, third
    skipped = Forgery(manifest=lambda m: m.update(version=3, prev=digest)).build()
    yield "chain-number-skipped", "broken_chain", {"seen": f"1 {digest}"}, skipped
    yield "key-compromised-before-it-came", "key_not_valid", {"compromised-at": str(NOW)}, good
    yield "key-not-yet", "key_not_valid", {"not-before": str(AT + 1)}, good
    yield "key-ended", "key_not_valid", {"not-after": str(AT)}, good
    yield "key-of-another", "wrong_sender", {"sender": "RZZ03"}, good
    yield "not-mine", "not_for_us", {"me": "VZZ02"}, good
    yield "key-not-held", "no_key", {"holds": "no"}, good
    yield "clock-one-second-too-far", "from_the_future", {"now": str(AT - 301)}, good
    yield "on-a-live-system", "wrong_environment", {"environment": "live"}, good
    lines = good.split(b"\n")
    yield "file-version-2", "unknown_version", {}, good.replace(b"envelope-1", b"envelope-2", 1)
    yield "file-no-last-line-feed", "bad_format", {}, good[:-1]
    yield "file-blank-line", "bad_format", {}, good + b"\n"
    yield "file-more-after-the-end", "bad_format", {}, good + b"x"
    yield "file-part-missing", "bad_format", {}, b"\n".join(lines[:2]) + b"\n"
    yield "file-part-twice", "bad_format", {}, good + lines[2] + b"\n"
    yield "file-carriage-returns", "bad_format", {}, good.replace(b"\n", b"\r\n")
    yield "jws-too-large", "too_large", {}, good.replace(lines[1], lines[1].replace(b".", b"." + b"A" * 16384, 1))
    yield "jws-four-segments", "bad_format", {}, good.replace(lines[1], lines[1] + b".AAAA")
    yield "jws-padding", "bad_format", {}, good.replace(lines[1], lines[1] + b"=")
    yield "signature-high-s", "bad_signature", {}, high_s(good)
    yield "signature-zero", "bad_signature", {}, rewrite_signature(good, bytes(64))
    yield "signature-der", "bad_signature", {}, rewrite_signature(good, b"\x30\x44" + bytes(68))
    yield "payload-changed", "bad_signature", {}, good.replace(lines[1][200:204], b"AAAA", 1)
    other = Forgery(content=b"%PDF-1.7\n").build()
    yield "part-of-another-envelope", "tampered", {}, splice(good, other, 2)
    yield "part-changed-for-the-other-recipient", "tampered", {}, good[:-10] + flipped(good[-10:].decode()).encode()


def read_vector(path: Path) -> tuple[str, Situation, bytes]:
    """The verdict expected of a vector, its opener, and the file it holds."""
    head, _, data = path.read_bytes().partition(b"\n\n")
    facts = dict(line.split(": ", 1) for line in head.decode().splitlines())
    expected = facts.pop("expect")
    situation = Situation(
        directory=directory(
            facts.pop("sender", "RZZ01"),
            not_before=int(facts.pop("not-before", 0)),
            not_after=int(facts.pop("not-after", 2_000_000_000)),
            compromised_at=int(facts.pop("compromised-at")) if "compromised-at" in facts else None,
        )
    )
    if "seen" in facts:
        version, digest = facts.pop("seen").split()
        situation = replace(situation, seen=Seen(int(version), digest))
    if "received-at" in facts:
        situation = replace(situation, received_at=int(facts.pop("received-at")))
    situation = replace(situation, now=int(facts.pop("now", NOW)), holds=facts.pop("holds", "yes") == "yes")
    return expected, replace(situation, **facts), data


def write_vectors() -> None:
    made = [(name, expected, {}, forgery.build()) for name, (expected, forgery) in LIES.items()]
    for name, expected, facts, data in [*made, *situations()]:
        head = "".join(f"{key}: {value}\n" for key, value in {"expect": expected, **facts}.items())
        (VECTORS / f"envelope-{name}.txt").write_bytes(head.encode() + b"\n" + data)


if __name__ == "__main__":
    write_vectors()
