"""Envelope v1: the published values, the vectors, and what sealing and opening promise (envelope.md 1)."""

import hashlib
import os
import typing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.concatkdf import ConcatKDFHash
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap

from exchange.seal import keys
from exchange.seal.envelope import (
    DirectoryKey,
    EnvelopeRefused,
    Holder,
    Seen,
    check_part_bytes,
    open_manifest,
    open_part,
    read_file,
    seal,
    write_file,
)
from exchange.seal.keys import load_strict_json
from exchange.seal.manifest import Manifest, PartMeta, RefusalCode, read_payload
from tests import seal_kit as kit

PUBLISHED = kit.VECTORS / "envelope-published.txt"
NOBODY = Holder("VZZ01", frozenset([kit.KID["site"]]))


def published() -> bytes:
    return PUBLISHED.read_bytes().partition(b"\n\n")[2]


def verify(jws: str, *, me: Holder | None = NOBODY, seen: Seen | None = None):
    return open_manifest(jws, directory=kit.directory(), environment="trial", now=kit.NOW, me=me, seen=seen)


def sealing(**changes: object):
    values: dict[str, object] = {
        "env": "trial",
        "transfer": kit.TRANSFER,
        "version": 1,
        "prev": None,
        "at": kit.AT,
        "from_ods": "RZZ01",
        "to_ods": "VZZ01",
        "sender_opening": keys.public_part(kit.SENDER_OPEN),
        "site_opening": keys.public_part(kit.SITE_OPEN),
        "sender_signing": kit.SENDER_SIGN,
        "parts": [("application/pdf", kit.PDF)],
        "random_bytes": os.urandom,
    }
    return seal(**{**values, **changes})


# --- envelope.md 7 ----------------------------------------------------------------------------------------------------


def test_published_kids():
    assert kit.KID["sign"] == "42sQ1nGrhbAIA-rMeH0cFHPHXkeu29ruFnvjY6-R3bI"
    assert kit.KID["sender"] == "p5ArFD0c_uJ1bho-qxUcEW3q45vudNGxtivp1FEPBjc"
    assert kit.KID["site"] == "Q3r7u8mUoVX58yC33trAuhIjpBRpAPPxlITHSBL2neA"


def test_published_file_is_the_one_of_the_design():
    assert len(published()) == 1686
    assert hashlib.sha256(published()).hexdigest() == "17fd34c0e6370ff25faf52ccbeed1f2f5d006a20e591cb9a03980bc4eb30c55f"


def test_published_file_opens_for_site_and_sender():
    assert kit.open_file(published()) == [kit.PDF]
    assert kit.open_file(published(), kit.Situation(me="RZZ01", role="sender")) == [kit.PDF]


def test_published_manifest_and_digests():
    verified = verify(read_file(published())[0])
    digest = "1b2dcf5a87dab000eeab3ddcd2658868475eae098eb61e295db739c4e92a6ec1"
    assert verified.manifest == Manifest(
        env="trial",
        transfer=kit.TRANSFER,
        version=1,
        prev=None,
        at=kit.AT,
        from_ods="RZZ01",
        to_ods="VZZ01",
        from_kid=kit.KID["sender"],
        to_kid=kit.KID["site"],
        parts=(PartMeta("application/pdf", "identity", 9, digest),),
    )
    assert verified.digest == "29503171a74926da679587373a9c866fef8686af36b6a24fab66dc308e95794b"
    assert verified.sealed == ("5cdd24f3fa625462cb564c5e66361a16eba3f6298a34038f5b65b730d931524f",)
    assert verified.signed_by_kid == kit.KID["sign"]


def test_published_jws_comes_out_byte_for_byte_when_signed_again():
    jws, jwes = read_file(published())
    payload = keys.decode_base64url(jws.split(".")[1])
    assert kit.sign_file(payload, list(jwes)) == published()
    assert read_payload(payload)[0].to_bytes() == payload.split(b"\n")[0]


def test_published_key_agreement():
    part = load_strict_json(read_file(published())[1][0])
    entry = part["recipients"][0]
    x, y = (int.from_bytes(keys.decode_base64url(entry["header"]["epk"][name]), "big") for name in "xy")
    ephemeral = ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    shared = keys.import_private_key(kit.SITE_OPEN, "enc").exchange(ec.ECDH(), ephemeral)
    assert shared.hex() == "35c51a896d9e9e5067a17d6a50a1d00b3213e9f0ef4d940bacacd3d1ffdb2d48"
    otherinfo = bytes.fromhex("0000000e454344482d45532b413235364b57000000000000000000000100")
    wrapping_key = ConcatKDFHash(SHA256(), 32, otherinfo).derive(shared)
    assert wrapping_key.hex() == "14e81a46f346141ad677423436adad63cce5dc743a8dba9fc642b4f814338306"
    wrapped = keys.decode_base64url(entry["encrypted_key"])
    assert wrapped.hex() == "bfd1edfcba06dbf4e6a1cbe4b9f35386d0d0db9d760e7d46dc2071460af9510fa0fb6618571759fa"
    assert aes_key_unwrap(wrapping_key, wrapped) == bytes(range(0x20, 0x40))


def test_published_ciphertext_comes_out_of_an_own_writer():
    part = load_strict_json(read_file(published())[1][0])
    forged = load_strict_json(read_file(kit.Forgery().build())[1][0])
    for name in ("protected", "iv", "ciphertext", "tag", "aad"):
        assert part[name] == forged[name]


# --- the vectors --------------------------------------------------------------------------------------------------------

VECTORS = sorted(kit.VECTORS.glob("envelope-*.txt"))


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem.removeprefix("envelope-"))
def test_vector(path: Path):
    expected, situation, data = kit.read_vector(path)
    assert kit.verdict(data, situation) == expected


def test_vectors_show_every_code():
    expected = {kit.read_vector(path)[0] for path in VECTORS}
    assert expected == {"opened", *typing.get_args(RefusalCode)}


# --- sealing and opening ------------------------------------------------------------------------------------------------


def test_round_trip_for_both_recipients():
    data = kit.make_file()
    assert kit.open_file(data) == [kit.BUNDLE, kit.PDF]
    assert kit.open_file(data, kit.Situation(me="RZZ01", role="sender")) == [kit.BUNDLE, kit.PDF]


def test_what_is_stored_is_what_was_sealed():
    sealed = sealing(parts=[("application/fhir+json", kit.BUNDLE), ("text/plain", b"x")])
    verified = verify(sealed.jws)
    assert (verified.manifest, verified.digest) == (sealed.manifest, sealed.manifest_digest)
    assert [part.coding for part in sealed.manifest.parts] == ["deflate", "deflate"]
    assert read_file(write_file(sealed.jws, sealed.jwes)) == (sealed.jws, sealed.jwes)
    for index, jwe in enumerate(sealed.jwes):
        check_part_bytes(verified, index, jwe)


def test_nothing_repeats_between_two_seals_of_the_same_bytes():
    one, two = sealing(), sealing()
    assert one.manifest_digest != two.manifest_digest
    first, second = (load_strict_json(sealed.jwes[0]) for sealed in (one, two))
    for name in ("iv", "ciphertext", "tag", "aad"):
        assert first[name] != second[name]
    epks = [str(recipient["header"]["epk"]) for part in (first, second) for recipient in part["recipients"]]
    assert len(set(epks)) == 4


def test_largest_part_seals_and_opens():
    content = os.urandom(20_971_520)
    sealed = sealing(parts=[("application/pdf", content)])
    assert len(sealed.jwes[0]) <= 29_360_128
    assert open_part(verify(sealed.jws), 0, sealed.jwes[0], kit.SITE_OPEN, "site") == content


def test_thirty_two_parts_fit():
    sealed = sealing(parts=[("text/plain", b"%d" % number) for number in range(32)])
    assert len(sealed.jws) <= 16_384
    assert len(verify(sealed.jws).sealed) == 32


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"parts": []}, "bad_format"),
        ({"parts": [("text/plain", b"")]}, "bad_format"),
        ({"parts": [("text/plain; charset=utf-8", b"x")]}, "bad_format"),
        ({"parts": [("\ud800", b"x")]}, "bad_format"),
        ({"transfer": "\ud800"}, "bad_format"),
        ({"parts": [("text/plain", b"x")] * 33}, "too_large"),
        ({"parts": [("text/plain", bytes(20_971_521))]}, "too_large"),
        ({"version": 2}, "bad_format"),
        ({"env": "test"}, "bad_format"),
        ({"site_opening": keys.public_part(kit.SENDER_OPEN)}, "bad_format"),
    ],
)
def test_what_a_receiver_would_refuse_is_never_signed(changes, code):
    with pytest.raises(EnvelopeRefused) as refused:
        sealing(**changes)
    assert refused.value.code == code


@pytest.mark.parametrize(
    "changes",
    [
        {"sender_signing": kit.SENDER_OPEN},
        {"sender_signing": keys.public_part(kit.SENDER_SIGN)},
        {"site_opening": kit.SITE_OPEN},
        {"sender_opening": keys.public_part(kit.SENDER_SIGN)},
        {"random_bytes": lambda n: b"short"},
    ],
)
def test_a_wrong_key_or_source_of_randomness_is_the_callers_error(changes):
    with pytest.raises(ValueError):
        sealing(**changes)


def test_fsck_needs_no_recipient_and_no_key():
    jws, jwes = read_file(kit.make_file())
    verified = verify(jws, me=None)
    check_part_bytes(verified, 1, jwes[1])
    with pytest.raises(EnvelopeRefused) as refused:
        check_part_bytes(verified, 0, jwes[1])
    assert refused.value.code == "tampered"


def test_an_oversized_part_is_refused_before_it_is_hashed():
    with pytest.raises(EnvelopeRefused) as refused:
        check_part_bytes(verify(read_file(kit.make_file())[0]), 0, bytes(29_360_129))
    assert refused.value.code == "too_large"


def test_the_key_of_the_other_role_opens_nothing():
    jws, jwes = read_file(kit.make_file())
    with pytest.raises(EnvelopeRefused) as refused:
        open_part(verify(jws), 0, jwes[0], kit.SENDER_OPEN, "site")
    assert refused.value.code == "no_key"


@pytest.mark.parametrize("index", [-1, 2])
def test_a_part_that_is_not_there(index: int):
    jws, jwes = read_file(kit.make_file())
    with pytest.raises(IndexError):
        open_part(verify(jws), index, jwes[0], kit.SITE_OPEN, "site")


def test_an_organisation_that_sends_to_itself_holds_either_key():
    sealed = sealing(to_ods="RZZ01")
    for kid in (kit.KID["site"], kit.KID["sender"]):
        verify(sealed.jws, me=Holder("RZZ01", frozenset([kid])))
    with pytest.raises(EnvelopeRefused) as refused:
        verify(sealed.jws, me=Holder("RZZ01", frozenset(["A" * 43])))
    assert refused.value.code == "no_key"


@pytest.mark.parametrize(
    "jwk",
    [
        keys.public_part(kit.OTHER_SIGN),  # another key under this kid
        {**keys.public_part(kit.SENDER_SIGN), "use": "enc"},
        kit.SENDER_SIGN,  # a private key has no place in a directory
        {},
    ],
)
def test_a_directory_that_answers_nonsense_makes_the_key_unknown(jwk):
    directory = kit.Directory({kit.KID["sign"]: DirectoryKey("RZZ01", "sig", jwk, 0, 2_000_000_000)})
    assert kit.verdict(kit.make_file(), kit.Situation(directory=directory)) == "unknown_key"


def test_an_opening_key_signs_nothing_even_when_its_jwk_says_otherwise():
    entry = DirectoryKey("RZZ01", "enc", keys.public_part(kit.SENDER_SIGN), 0, 2_000_000_000)
    assert kit.verdict(kit.make_file(), kit.Situation(directory=kit.Directory({kit.KID["sign"]: entry}))) == "unknown_key"


def test_an_endless_jws_is_refused_before_it_is_decoded():
    with pytest.raises(EnvelopeRefused) as refused:
        verify("A" * 16_385)
    assert refused.value.code == "too_large"


def test_text_that_is_not_ascii_is_a_bad_format():
    for jws in ("é.é.é", "\ud800.a.b", "", "..", "a.b", "\x00.\x00.\x00", "=.=.="):
        with pytest.raises(EnvelopeRefused) as refused:
            verify(jws)
        assert refused.value.code in ("bad_format", "bad_header")


def test_every_refusal_says_the_same_to_people_and_names_its_code_to_the_log():
    messages = set()
    for code in typing.get_args(RefusalCode):
        refused = EnvelopeRefused(code)
        assert code in refused.diagnostics()
        messages.add(refused.message)
    assert messages == {"This document was changed or is not for you; ring the sender."}


def test_content_stays_out_of_repr():
    assert kit.SENDER_SIGN["d"] not in repr(sealing())


# --- keys ---------------------------------------------------------------------------------------------------------------


def test_made_keys_work_and_hide_their_secret():
    made = keys.make_organisation_keys()
    assert (made.signing["use"], made.signing["alg"]) == ("sig", "ES256")
    assert (made.opening["use"], made.opening["alg"]) == ("enc", "ECDH-ES+A256KW")
    for jwk in (made.signing, made.opening):
        assert jwk["kid"] == keys.thumbprint(jwk) != ""
        assert jwk["d"] not in repr(jwk) + repr(made) + f"{made}"
        assert "d" not in keys.public_part(jwk)
    signature = keys.sign_es256(keys.import_private_key(made.signing, "sig"), b"text")
    assert keys.is_es256_signature(keys.import_public_key(keys.public_part(made.signing), "sig"), b"text", signature)


@pytest.mark.parametrize(
    "change",
    [
        {"kty": "OKP"},
        {"crv": "P-384"},
        {"use": "enc"},
        {"alg": "ES384"},
        {"kid": "A" * 43},
        {"x": kit.OVER_PRIME},
        {"x": kit.OFF_CURVE},
        {"x": kit.b64(bytes(33))},
        {"x": kit.SENDER_SIGN["x"] + "="},
        {"x": kit.SENDER_SIGN["x"][:-1] + "h"},  # loose end bits
        {"y": 5},
        {"d": kit.SITE_OPEN["d"]},  # belongs to another point
        {"d": kit.b64(bytes(32))},
        {"d": "AQ"},
        {"d": "*"},
        {"key_ops": ["sign"]},
    ],
)
def test_strict_import_refuses(change):
    jwk = {**kit.SENDER_SIGN, **change}
    if change.keys() & {"x", "y"}:
        del jwk["kid"]
    with pytest.raises(ValueError):
        keys.import_private_key(jwk, "sig")
    if "d" not in change:
        with pytest.raises(ValueError):
            keys.import_public_key(keys.public_part(jwk), "sig")


def test_signatures_are_low_and_the_same_every_time():
    key = keys.import_private_key(kit.SENDER_SIGN, "sig")
    for number in range(64):
        message = b"%d" % number
        signature = keys.sign_es256(key, message)
        assert signature == keys.sign_es256(key, message)
        s = int.from_bytes(signature[32:], "big")
        assert 0 < s <= kit.N // 2
        twin = signature[:32] + (kit.N - s).to_bytes(32, "big")
        assert keys.is_es256_signature(key.public_key(), message, signature)
        assert not keys.is_es256_signature(key.public_key(), message, twin)


def test_rfc6979_vector():
    # RFC 6979 A.2.5, P-256 with SHA-256, message "sample"; its s is high, so ours is n−s.
    d = 0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721
    signature = keys.sign_es256(ec.derive_private_key(d, ec.SECP256R1()), b"sample")
    assert signature[:32].hex().upper() == "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    high = 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert int.from_bytes(signature[32:], "big") == kit.N - high


@pytest.mark.parametrize("text", ["AA==", "AB", "A", "A+", "A/", "A A", "AA\n", "é", "\ud800"])
def test_base64url_is_canonical(text: str):
    with pytest.raises(ValueError):
        keys.decode_base64url(text)


@pytest.mark.parametrize("data", [b'{"a":1,"a":1}', b"1.0", b"1e3", b"NaN", b"-Infinity", b"", b"[" * 100_000, b"\xff", b"9" * 5000])
def test_json_is_strict(data: bytes):
    with pytest.raises(ValueError):
        load_strict_json(data)
