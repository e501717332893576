"""Client assertions, private_key_jwt: who is this machine? (envelope.md 5; RFC 7523 3, RFC 8725)

A pure function: the caller inserts (client_id, jti digest, exp) under its unique key in the transaction that issues the
token, and a conflict there is a replay. Nothing is said of a jti before the signature holds, else a stranger burns it.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from exchange.errors import WardpostError
from exchange.seal.keys import decode_base64url, load_strict_json

ClientAlgorithm = Literal["ES256", "ES384", "RS384", "RS512", "PS256"]
Reason = Literal[
    "too_large", "bad_format", "bad_header", "unknown_key", "wrong_algorithm", "weak_key", "bad_signature",
    "wrong_client", "wrong_audience", "bad_time", "expired", "too_long_lived", "not_yet", "bad_jti",
    "replayed",  # said by the token endpoint, when the jti is taken
]  # fmt: skip

MAX_ASSERTION_BYTES: Final = 8192
_MAX_LIFE_SECONDS: Final = 300
_CLOCK_SKEW_SECONDS: Final = 60
_MAX_JTI_CHARACTERS: Final = 128
_MIN_RSA_BITS: Final = 2048
_CURVES: Final = {"ES256": "P-256", "ES384": "P-384"}  # the other algorithms are RSA's


class ClientRefused(WardpostError):
    """401 invalid_client, whatever was wrong. `reason` is for the log: the caller of the API never sees it."""

    def __init__(self, reason: Reason) -> None:
        step = "Compare key id, algorithm, audience and clock with the client's registration."
        super().__init__("invalid_client", "The client assertion was not accepted.", next_step=step)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A client's public key as registered: `kid` is unique across clients, `alg` the one algorithm it may use."""

    kid: str
    client_id: str
    alg: ClientAlgorithm
    jwk: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """What the token endpoint stores to stop a replay: SHA-256 of jti, 32 bytes, until `exp` (Unix seconds) + 60."""

    client_id: str
    jti_digest: bytes
    exp: int


def verify_assertion(assertion: str, *, token_url: str, now: int, find_key: Callable[[str], RegisteredKey | None]) -> VerifiedAssertion:
    """Which client made this assertion. `now` is Unix seconds; `find_key` gets printable ASCII. ClientRefused, and nothing else."""
    _require(len(assertion) <= MAX_ASSERTION_BYTES, "too_large")
    try:
        header, _, _ = map(decode_base64url, assertion.split("."))
        protected = load_strict_json(header)
    except ValueError:
        raise ClientRefused("bad_format") from None
    # Only these: no crit, jwk, jku, x5c or b64 reaches a library that would heed it.
    match protected:
        case {"alg": str(alg), "kid": str(kid), **rest} if rest in ({}, {"typ": "JWT"}):
            pass
        case _:
            raise ClientRefused("bad_header")
    # Databases choke on NUL and on lone surrogates, which JSON can spell: such a kid is nobody's.
    key = find_key(kid) if kid.isascii() and kid.isprintable() else None
    if key is None:
        raise ClientRefused("unknown_key")
    _require(alg == key.alg, "wrong_algorithm")
    public = import_client_key(key.jwk, key.alg)
    try:
        # The registry alone: with `algorithms=` beside it joserfc heeds only one of the two.
        payload = jws.deserialize_compact(assertion, public, registry=jws.JWSRegistry(algorithms=[key.alg])).payload
    except (JoseError, ValueError, KeyError, TypeError, AssertionError):
        raise ClientRefused("bad_signature") from None
    try:
        claims = load_strict_json(payload)
    except ValueError:
        raise ClientRefused("bad_format") from None
    if not isinstance(claims, dict):
        raise ClientRefused("bad_format")
    _require(claims.get("iss") == claims.get("sub") == key.client_id, "wrong_client")
    _require(claims.get("aud") in (token_url, [token_url]), "wrong_audience")
    exp, jti = claims.get("exp"), claims.get("jti")
    # `type` and not `isinstance`: True is an int to Python.
    if type(exp) is not int:
        raise ClientRefused("bad_time")
    _require(now < exp, "expired")
    _require(exp <= now + _MAX_LIFE_SECONDS, "too_long_lived")
    for begin in (claims.get("nbf", now), claims.get("iat", now)):
        _require(type(begin) is int, "bad_time")
        _require(begin <= now + _CLOCK_SKEW_SECONDS, "not_yet")
    if not isinstance(jti, str) or not 1 <= len(jti) <= _MAX_JTI_CHARACTERS:
        raise ClientRefused("bad_jti")
    try:
        return VerifiedAssertion(key.client_id, hashlib.sha256(jti.encode("utf-8")).digest(), exp)
    except UnicodeEncodeError:  # a lone surrogate
        raise ClientRefused("bad_jti") from None


def _require(fact: bool, reason: Reason) -> None:
    if not fact:
        raise ClientRefused(reason)


def import_client_key(jwk: Mapping[str, str], alg: ClientAlgorithm) -> ECKey | RSAKey:
    """The public key of a registration, private members left out: call it when a client registers, too.

    ClientRefused: weak_key for RSA under 2,048 bits, unknown_key for what is no key of this kind.
    """
    try:
        if alg in _CURVES:
            if (jwk["kty"], jwk["crv"]) != ("EC", _CURVES[alg]):
                raise ValueError("another kind of key")
            return ECKey.import_key({name: jwk[name] for name in ("kty", "crv", "x", "y")})
        if jwk["kty"] != "RSA":
            raise ValueError("another kind of key")
        # Before the library sees it: joserfc only warns of a short modulus.
        _require(int.from_bytes(decode_base64url(jwk["n"]), "big").bit_length() >= _MIN_RSA_BITS, "weak_key")
        return RSAKey.import_key({name: jwk[name] for name in ("kty", "n", "e")})
    except (JoseError, ValueError, KeyError, TypeError):
        raise ClientRefused("unknown_key") from None
