"""Access tokens for machines: private_key_jwt in, an opaque token of 300 seconds out; each use checked, verdict cached briefly."""

import json
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from exchange.audit.events import About, record
from exchange.errors import Refused
from exchange.model import Caller
from exchange.ports import Store, UnitOfWork
from exchange.records import AccessToken, Client, ClientKey, UsedAssertion
from exchange.web.auth.assertion import ClientAlgorithm, ClientRefused, RegisteredKey, verify_assertion
from exchange.web.auth.secrets import hash_secret, make_secret

TOKEN_LIFE = timedelta(seconds=300)
_VERDICT_SECONDS = 60.0
_CACHE_SIZE = 10_000


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who holds a valid token: the client, its organisation, its scopes."""

    client_id: str
    org: str
    scopes: frozenset[str]
    expires_at: datetime

    def require(self, scope: str) -> None:
        """Raises Refused `scope`."""
        if scope not in self.scopes:
            raise Refused("scope", f"This client may not do this; it needs the scope {scope}.", next_step="Ask the operator to grant it.")


class Tokens:
    """Issues and checks. `clock` is the service's; revoking clears the cache of this process, others follow within 60 seconds."""

    def __init__(self, store: Store, token_url: str, random_bytes: Callable[[int], bytes]) -> None:
        self._store = store
        self._token_url = token_url
        self._random_bytes = random_bytes
        self._verdicts: OrderedDict[bytes, tuple[Bearer, float]] = OrderedDict()

    def issue(self, assertion: str, scope: str) -> tuple[str, Bearer]:
        """A token for the client that signed the assertion. Raises ClientRefused, whatever was wrong; Refused `scope`."""
        text = make_secret(self._random_bytes)

        def give(uow: UnitOfWork) -> Bearer:
            verified = verify_assertion(
                assertion, token_url=self._token_url, now=int(uow.now.timestamp()), find_key=lambda kid: _registered(uow, kid)
            )
            client = uow.get(Client, verified.client_id)
            if client is None or client.revoked_at is not None:
                raise ClientRefused("unknown_key")
            granted = frozenset(client.scopes.split())
            asked = frozenset(scope.split()) or granted
            if not asked <= granted:
                raise Refused("scope", "The client asked for a scope that it was not granted.", next_step="Ask for: " + client.scopes)
            spent = UsedAssertion(f"{client.id}:{verified.jti_digest.hex()}", uow.now + timedelta(seconds=360))
            if uow.get(UsedAssertion, spent.id) is not None:
                raise ClientRefused("replayed")
            uow.insert(spent)
            uow.delete(UsedAssertion, expires_at__lt=uow.now)
            uow.delete(AccessToken, expires_at__lt=uow.now)
            expires = uow.now + TOKEN_LIFE
            uow.insert(AccessToken(hash_secret(text).hex(), client.id, client.org, " ".join(sorted(asked)), expires))
            record(uow, "token.issued", Caller(client.org, client=client.id), About())
            return Bearer(client.id, client.org, asked, expires)

        return text, self._store.write(give)

    def check(self, header: str) -> Bearer:
        """Who sends this Authorization header. Raises Refused `token`."""
        kind, _, text = header.partition(" ")
        digest = hash_secret(text)
        found = self._verdicts.get(digest)
        if found is not None and found[1] > time.monotonic():
            return found[0]

        def look(uow: UnitOfWork) -> Bearer | None:
            token = uow.get(AccessToken, digest.hex())
            client = uow.get(Client, token.client_id) if token else None
            if token is None or token.revoked_at or token.expires_at <= uow.now or client is None or client.revoked_at:
                return None
            return Bearer(token.client_id, token.org, frozenset(token.scopes.split()), token.expires_at)

        bearer = self._store.read(look) if kind.lower() == "bearer" and len(text) == 43 else None
        if bearer is None:
            step = "Get a token at /oauth2/token and send it as: Authorization: Bearer …"
            raise Refused("token", "There is no valid token with this request.", next_step=step)
        left = (bearer.expires_at - self._store.read(lambda uow: uow.now)).total_seconds()
        self._verdicts[digest] = (bearer, time.monotonic() + min(_VERDICT_SECONDS, left))
        while len(self._verdicts) > _CACHE_SIZE:
            self._verdicts.popitem(last=False)
        return bearer


def _registered(uow: UnitOfWork, kid: str) -> RegisteredKey | None:
    key = uow.get(ClientKey, kid)
    return None if key is None else RegisteredKey(key.id, key.client_id, cast(ClientAlgorithm, key.alg), json.loads(key.jwk))
