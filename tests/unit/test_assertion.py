"""private_key_jwt, and the secrets of links, sessions and access tokens (envelope.md 5)."""

import base64
import hashlib
import hmac
import json
import os
import random
import warnings
from functools import cache

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from exchange.web.auth.assertion import ClientRefused, RegisteredKey, VerifiedAssertion, import_client_key, verify_assertion
from exchange.web.auth.secrets import hash_secret, make_secret

URL = "https://wardpost.example/token"
NOW = 1764050000


@cache
def private_key(alg: str) -> ECKey | RSAKey:
    if alg.startswith("ES"):
        return ECKey.generate_key({"ES256": "P-256", "ES384": "P-384"}[alg])
    return RSAKey.generate_key(2048)


def registered(alg: str = "ES256", client_id: str = "home-software") -> RegisteredKey:
    return RegisteredKey(f"key-{alg}", client_id, alg, private_key(alg).as_dict(private=False))


def claims(**changes: object) -> dict[str, object]:
    good = {"iss": "home-software", "sub": "home-software", "aud": URL, "exp": NOW + 300, "jti": "one"}
    return {name: value for name, value in {**good, **changes}.items() if value is not ...}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def make(payload: object = None, *, alg: str = "ES256", header: object = None, key: ECKey | RSAKey | None = None) -> str:
    """An assertion signed with the registered key. Header and payload may be raw bytes, for what no library would write."""
    header = {"alg": alg, "kid": f"key-{alg}", "typ": "JWT"} if header is None else header
    payload = claims() if payload is None else payload
    text = ".".join(b64(part if isinstance(part, bytes) else json.dumps(part).encode()) for part in (header, payload))
    signature = jws.JWSRegistry.algorithms[alg].sign(text.encode(), key or private_key(alg))
    return f"{text}.{b64(signature)}"


def verify(assertion: str, *, now: int = NOW, key: RegisteredKey | None = None) -> VerifiedAssertion:
    keys = {one.kid: one for one in [key or registered()]}
    return verify_assertion(assertion, token_url=URL, now=now, find_key=keys.get)


def reason(assertion: str, **situation) -> str:
    with pytest.raises(ClientRefused) as refused:
        verify(assertion, **situation)
    assert refused.value.code == "invalid_client"
    assert refused.value.reason not in refused.value.diagnostics().split()
    return refused.value.reason


@pytest.mark.parametrize("alg", ["ES256", "ES384", "RS384", "RS512", "PS256"])
def test_every_algorithm_that_may_be_registered(alg: str):
    verified = verify(make(alg=alg), key=registered(alg))
    assert verified == VerifiedAssertion("home-software", hashlib.sha256(b"one").digest(), NOW + 300)


@pytest.mark.parametrize(
    "payload", [claims(aud=[URL]), claims(exp=NOW + 1), claims(iat=NOW + 60, nbf=NOW + 60), claims(jti="é" * 128), claims(scope="anything")]
)
def test_good_claims(payload):
    assert verify(make(payload)).client_id == "home-software"


def test_typ_may_be_left_out():
    verify(make(header={"alg": "ES256", "kid": "key-ES256"}))


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (claims(iss="other"), "wrong_client"),
        (claims(sub="other"), "wrong_client"),
        (claims(iss=...), "wrong_client"),
        (claims(sub=None), "wrong_client"),
        (claims(iss=["home-software"]), "wrong_client"),
        (claims(aud=...), "wrong_audience"),
        (claims(aud=URL + "/"), "wrong_audience"),
        (claims(aud=[URL, "https://other.example"]), "wrong_audience"),
        (claims(aud=[]), "wrong_audience"),
        (claims(aud=[[URL]]), "wrong_audience"),
        (claims(aud={URL: 1}), "wrong_audience"),
        (claims(exp=...), "bad_time"),
        (claims(exp=str(NOW + 60)), "bad_time"),
        (claims(exp=True), "bad_time"),
        (claims(exp=NOW + 60.5), "bad_format"),
        (claims(exp=NOW), "expired"),
        (claims(exp=-1), "expired"),
        (claims(exp=NOW + 301), "too_long_lived"),
        (claims(exp=10**30), "too_long_lived"),
        (claims(nbf=NOW + 61), "not_yet"),
        (claims(iat=NOW + 61), "not_yet"),
        (claims(iat=None), "bad_time"),
        (claims(nbf="now"), "bad_time"),
        (claims(jti=...), "bad_jti"),
        (claims(jti=""), "bad_jti"),
        (claims(jti="x" * 129), "bad_jti"),
        (claims(jti=7), "bad_jti"),
        (claims(jti="\ud800"), "bad_jti"),
        ([claims()], "bad_format"),
        (b"{", "bad_format"),
        (b"\xff", "bad_format"),
        (json.dumps(claims()).encode()[:-1] + b',"sub":"home-software"}', "bad_format"),
        (json.dumps(claims()).encode()[:-1] + b',"x":NaN}', "bad_format"),
        (b"[" * 3000, "bad_format"),
    ],
)
def test_bad_claims(payload, expected: str):
    assert reason(make(payload)) == expected


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "ES256", "kid": "key-ES256", "crit": ["alg"]},
        {"alg": "ES256", "kid": "key-ES256", "jwk": {}},
        {"alg": "ES256", "kid": "key-ES256", "jku": "https://x.invalid"},
        {"alg": "ES256", "kid": "key-ES256", "b64": False},
        {"alg": "ES256", "kid": "key-ES256", "typ": "wardpost-manifest-1"},
        {"alg": "ES256", "kid": "key-ES256", "typ": ["JWT"]},
        {"alg": "ES256"},
        {"kid": "key-ES256"},
        {"alg": ["ES256"], "kid": "key-ES256"},
        {"alg": "ES256", "kid": None},
        ["alg"],
        "ES256",
    ],
)
def test_bad_headers(header):
    assert reason(make(header=header)) == "bad_header"


@pytest.mark.parametrize("header", [b'{"alg":"none","alg":"ES256","kid":"key-ES256"}', b"\xff", b"", b"[" * 3000])
def test_headers_that_are_no_strict_json(header):
    assert reason(make(header=header)) == "bad_format"


def test_only_the_registered_algorithm_counts():
    assert reason(make(alg="ES256", header={"alg": "RS256", "kid": "key-ES256"})) == "wrong_algorithm"
    assert reason(make(alg="RS512", header={"alg": "RS512", "kid": "key-PS256"}), key=registered("PS256")) == "wrong_algorithm"
    for alg in ("none", "HS256", "ES512", ""):
        assert reason(make(header={"alg": alg, "kid": "key-ES256"})) == "wrong_algorithm"


def test_a_public_key_used_as_a_shared_secret_signs_nothing():
    pem = private_key("RS512").as_pem(private=False)
    text = ".".join(b64(json.dumps(part).encode()) for part in ({"alg": "HS256", "kid": "key-RS512"}, claims()))
    forged = f"{text}.{b64(hmac.digest(pem, text.encode(), 'sha256'))}"
    assert reason(forged, key=registered("RS512")) == "wrong_algorithm"


def test_another_key_or_changed_bytes():
    good = make()
    assert reason(make(key=ECKey.generate_key("P-256"))) == "bad_signature"
    header, payload, signature = good.split(".")
    assert reason(f"{header}.{b64(json.dumps(claims(jti='two')).encode())}.{signature}") == "bad_signature"
    assert reason(f"{header}.{payload}.{b64(bytes(64))}") == "bad_signature"
    assert reason(f"{header}.{payload}.") == "bad_signature"
    assert reason(make(header={"alg": "ES256", "kid": "nobody"})) == "unknown_key"


@pytest.mark.parametrize("text", ["", ".", "a.b", "a.b.c.d", "é.é.é", "\ud800.a.b", "{}", make() + "=", make() + "\n", " " + make()])
def test_texts_that_are_no_assertion(text: str):
    assert reason(text) == "bad_format"


def test_too_long():
    assert reason(make(claims(x="y" * 8192))) == "too_large"


def test_what_no_client_may_register():
    rsa = private_key("RS512").as_dict(private=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        short = RSAKey.generate_key(1024).as_dict(private=False)
    ec = private_key("ES256").as_dict(private=False)
    for jwk, alg, expected in (
        (short, "RS512", "weak_key"),
        (rsa, "ES256", "unknown_key"),
        (ec, "PS256", "unknown_key"),
        ({**ec, "x": ec["y"]}, "ES256", "unknown_key"),
        ({**ec, "kty": "RSA"}, "ES256", "unknown_key"),
        (ec, "ES384", "unknown_key"),
        ({}, "ES384", "unknown_key"),
    ):
        with pytest.raises(ClientRefused) as refused:
            import_client_key(jwk, alg)
        assert refused.value.reason == expected
    # The registry is read again at every call: a row that was written past the check does not count.
    wrong = RegisteredKey("key-ES256", "home-software", "ES256", private_key("ES384").as_dict(private=False))
    assert reason(make(), key=wrong) == "unknown_key"


@pytest.mark.parametrize("kid", ["", "\x00", "\ud800", "é"])
def test_a_kid_that_a_database_would_choke_on_is_nobodys(kid: str):
    def find_key(asked: str) -> None:
        assert asked.isascii()
        assert "\x00" not in asked

    with pytest.raises(ClientRefused) as refused:
        verify_assertion(make(header={"alg": "ES256", "kid": kid}), token_url=URL, now=NOW, find_key=find_key)
    assert refused.value.reason == "unknown_key"


def test_a_private_registration_is_read_without_its_private_part():
    assert not import_client_key(private_key("ES256").as_dict(private=True), "ES256").is_private
    assert not import_client_key(private_key("RS512").as_dict(private=True), "RS512").is_private


def test_mutations_are_refused_and_never_crash():
    draw = random.Random(5)
    good = make()
    for _ in range(3000):
        changed = list(good)
        for _ in range(draw.randint(1, 3)):
            position = draw.randrange(len(changed))
            match draw.randrange(3):
                case 0:
                    changed[position] = chr(draw.choice([draw.randrange(128), draw.randrange(0x110000)]))
                case 1:
                    del changed[position]
                case _:
                    changed.insert(position, draw.choice("ABab09-_.="))
        text = "".join(changed)
        if text != good:
            reason(text)


def test_secrets():
    text = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
    assert make_secret(lambda n: bytes(range(n))) == text
    stored = hash_secret(text)
    assert stored.hex() == "ea866a757e4c38babfa8127cbe9a409d3e1f93a00ff1488ff735fcf917afffd0"
    for other in ("", text[:-1], text + "=", text[:-1] + "9", "é" * 43, "\ud800", make_secret(os.urandom)):
        assert hash_secret(other) != stored
    with pytest.raises(ValueError):
        make_secret(lambda n: b"short")
