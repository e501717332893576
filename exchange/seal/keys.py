"""An organisation's two P-256 keys as JWK, ES256, and the two text forms JOSE stands on: canonical base64url and strict JSON.

Keys travel as plain JWK (RFC 7517) and become cryptography objects only at the moment of use; a key is named by its
RFC 7638 thumbprint (envelope.md 1.1). Everything that reads a stranger's bytes raises ValueError and nothing else.
"""

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

Use = Literal["sig", "enc"]
ALGORITHMS: Final[Mapping[Use, str]] = {"sig": "ES256", "enc": "ECDH-ES+A256KW"}

# SEC 2, secp256r1: the prime of the field, and the order of the group.
_P: Final = 2**256 - 2**224 + 2**192 + 2**96 - 1
_N: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class PrivateJwk(dict[str, str]):
    """A private JWK: a dict that keeps `d` out of logs and tracebacks."""

    def __repr__(self) -> str:
        return f"<PrivateJwk {self.get('use')} {self.get('kid')}>"


class OrganisationKeys(NamedTuple):
    """The key that signs manifests and the key that opens parts; both private."""

    signing: PrivateJwk
    opening: PrivateJwk


def encode_base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode_base64url(text: str) -> bytes:
    """The bytes of a canonical base64url text. ValueError for padding, `+/`, white space, rubbish and loose end bits."""
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    # The library skips what it does not know: only a text that we would write ourselves is accepted.
    if encode_base64url(data) != text:
        raise ValueError("not canonical base64url")
    return data


def decode_sized(text: object, size_bytes: int) -> bytes:
    """As decode_base64url, and ValueError for what is no text or not of this size; the length is looked at first."""
    if not isinstance(text, str) or len(text) != -(-size_bytes * 4 // 3):
        raise ValueError("not a text of this size")
    return decode_base64url(text)


def dump_json(value: object) -> bytes:
    """JSON as everything here is written: ASCII, no white space, members in the order given."""
    return json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode("ascii")


def load_strict_json(data: bytes) -> object:
    """Parse UTF-8 JSON. ValueError for duplicate names, floats, NaN, endless nesting and everything that is not JSON."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_float=_refuse, parse_constant=_refuse)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a name occurs twice")
    return members


def _refuse(_: str) -> NoReturn:
    raise ValueError("only integers are allowed")


def make_organisation_keys() -> OrganisationKeys:
    """Two fresh keys from the operating system's randomness, each with `use`, `alg` and its thumbprint as `kid`."""
    return OrganisationKeys(_make_key("sig"), _make_key("enc"))


def _make_key(use: Use) -> PrivateJwk:
    numbers = ec.generate_private_key(ec.SECP256R1()).private_numbers()
    point = numbers.public_numbers
    x, y, d = (encode_base64url(number.to_bytes(32, "big")) for number in (point.x, point.y, numbers.private_value))
    key = PrivateJwk(kty="EC", crv="P-256", x=x, y=y, d=d, use=use, alg=ALGORITHMS[use])
    key["kid"] = thumbprint(key)
    return key


def public_part(jwk: Mapping[str, str]) -> dict[str, str]:
    """The JWK without `d`: what the directory and a JWK Set hold."""
    return {name: value for name, value in jwk.items() if name != "d"}


def thumbprint(jwk: Mapping[str, str]) -> str:
    """The kid of an EC key: RFC 7638 thumbprint, 43 characters of base64url. KeyError when a member is missing."""
    required = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return encode_base64url(hashlib.sha256(dump_json(required)).digest())


def decode_coordinate(text: object) -> int:
    """A coordinate of a P-256 point from its one form, 32 bytes and below the field's prime. ValueError."""
    number = int.from_bytes(decode_sized(text, 32), "big")
    if number >= _P:
        raise ValueError("not below the prime")
    return number


def import_public_key(jwk: Mapping[str, str], use: Use) -> ec.EllipticCurvePublicKey:
    """The public key of a JWK that was made for this use.

    ValueError for anything else: another curve or `use` or `alg`, a wrong `kid`, a member we do not know, a coordinate
    that is not 32 canonical bytes, a point off the curve, and a private key where a public one belongs.
    """
    return _import_point(jwk, use, {"kty", "crv", "x", "y", "use", "alg"}).public_key()


def import_private_key(jwk: Mapping[str, str], use: Use) -> ec.EllipticCurvePrivateKey:
    """The private key of a JWK that was made for this use. ValueError as above, and when `d` does not belong to x and y."""
    point = _import_point(jwk, use, {"kty", "crv", "x", "y", "use", "alg", "d"})
    return ec.EllipticCurvePrivateNumbers(int.from_bytes(decode_sized(jwk["d"], 32), "big"), point).private_key()


def _import_point(jwk: Mapping[str, str], use: Use, required: set[str]) -> ec.EllipticCurvePublicNumbers:
    if not required <= set(jwk) <= required | {"kid"} or not all(isinstance(value, str) for value in jwk.values()):
        raise ValueError("a member is missing, unknown or not a text")
    if (jwk["kty"], jwk["crv"], jwk["use"], jwk["alg"]) != ("EC", "P-256", use, ALGORITHMS[use]):
        raise ValueError("made for another curve or purpose")
    if "kid" in jwk and jwk["kid"] != thumbprint(jwk):
        raise ValueError("kid is not the thumbprint")
    return ec.EllipticCurvePublicNumbers(decode_coordinate(jwk["x"]), decode_coordinate(jwk["y"]), ec.SECP256R1())


def sign_es256(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """r‖s, 64 bytes (RFC 7518 3.4), deterministic (RFC 6979) and with s ≤ n/2, so that a message has one signature."""
    r, s = decode_dss_signature(key.sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
    return r.to_bytes(32, "big") + min(s, _N - s).to_bytes(32, "big")


def is_es256_signature(key: ec.EllipticCurvePublicKey, message: bytes, signature: bytes) -> bool:
    """Is this the signature of the message, in the one form that sign_es256 writes? The high twin n−s is refused."""
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    if len(signature) != 64 or not 0 < r < _N or not 0 < s <= _N // 2:
        return False
    try:
        key.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
    except InvalidSignature:
        return False
    return True
