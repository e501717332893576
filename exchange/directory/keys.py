"""Organisations' keys as the envelope needs them."""

import json

from exchange.errors import NotFound
from exchange.ports import UnitOfWork
from exchange.records import OrgKey
from exchange.seal.envelope import DirectoryKey, Holder
from exchange.seal.keys import PrivateJwk


class Directory:
    """The envelope's KeyDirectory over one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def find_key(self, kid: str) -> DirectoryKey | None:
        found = self._uow.get(OrgKey, kid)
        if found is None:
            return None
        return DirectoryKey(
            found.org,
            "sig" if found.use == "sig" else "enc",
            json.loads(found.public_jwk),
            int(found.not_before.timestamp()),
            int(found.not_after.timestamp()),
            int(found.compromised_at.timestamp()) if found.compromised_at else None,
        )


def current_key(uow: UnitOfWork, org: str, use: str) -> OrgKey:
    """The newest valid key of an organisation for one use. Raises NotFound `org_key`."""
    for key in uow.find(OrgKey, order="-not_before", org=org, use=use):
        if key.not_before <= uow.now < key.not_after and key.compromised_at is None:
            return key
    raise NotFound("org_key", "The organisation has no valid key.", next_step="Make new ones: wardpost sites keys CODE")


def holder(uow: UnitOfWork, org: str) -> Holder:
    """Who opens for an organisation: all its opening keys that we hold."""
    return Holder(org, frozenset(k.id for k in uow.find(OrgKey, org=org, use="enc") if k.private_jwk is not None))


def private_key(uow: UnitOfWork, kid: str) -> PrivateJwk:
    """A private key that we hold. Raises NotFound `org_key`."""
    key = uow.get(OrgKey, kid)
    if key is None or key.private_jwk is None:
        raise NotFound("org_key", "This key is not held here.", next_step="The organisation opens its documents with its own software.")
    return PrivateJwk(json.loads(key.private_jwk.open()))


def public_jwk(key: OrgKey) -> dict[str, str]:
    found: dict[str, str] = json.loads(key.public_jwk)
    return found
