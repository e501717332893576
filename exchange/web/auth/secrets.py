"""The secrets of links, sessions and access tokens: 32 random bytes as text; a row holds the hash of the text (envelope.md 5)."""

import hashlib
from collections.abc import Callable

from exchange.seal.keys import encode_base64url


def make_secret(random_bytes: Callable[[int], bytes]) -> str:
    """A fresh secret: 43 characters of base64url. Hand it out once and store hash_secret of it."""
    data = random_bytes(32)
    if len(data) != 32:
        raise ValueError("random_bytes gave another length")
    return encode_base64url(data)


def hash_secret(text: str) -> bytes:
    """SHA-256 of the text, 32 bytes: what the row holds and is looked up by. Takes whatever a stranger sends."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
