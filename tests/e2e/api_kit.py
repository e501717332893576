"""The web side in this process over tests/app_kit: a client of the HTTP API whose clock the test moves."""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fhir.resources.R4B.auditevent import AuditEvent
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.capabilitystatement import CapabilityStatement
from fhir.resources.R4B.documentreference import DocumentReference
from fhir.resources.R4B.operationoutcome import OperationOutcome
from fhir.resources.R4B.organization import Organization
from fhir.resources.R4B.task import Task
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from joserfc.jws import JWSRegistry
from starlette.testclient import TestClient

from exchange.check import Checker
from exchange.directory.entries import add_client, default_scopes
from exchange.directory.links import make_link
from exchange.model import Environment
from exchange.web.app import make_app
from exchange.web.auth.secrets import hash_secret, make_secret
from tests.app_kit import HOME, HOSPITAL, OTHER_HOME, Kit, kit

ANSWER = "https://fhir.wardpost.example/StructureDefinition/answer"
FORM = {"content-type": "application/x-www-form-urlencoded"}
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
READERS = {r.__name__: r for r in (AuditEvent, Bundle, CapabilityStatement, DocumentReference, OperationOutcome, Organization, Task)}
KEYS = {
    "ES256": ECKey.generate_key("P-256", {"use": "sig"}),
    "ES384": ECKey.generate_key("P-384", {"use": "sig"}),
    "RS384": RSAKey.generate_key(2048, {"use": "sig"}),
    "PS256": RSAKey.generate_key(2048, {"use": "sig"}),
}


@dataclass
class Api:
    """`home`, `other` and `hospital` are registered clients with an ES256 key each."""

    kit: Kit
    http: TestClient
    keys: dict[str, tuple[str, ECKey | RSAKey]] = field(default_factory=dict)

    @property
    def token_url(self) -> str:
        return f"{self.kit.settings.public_url}/oauth2/token"

    def register(self, client: str, org: str, kind: str, alg: str = "ES256") -> None:
        key = KEYS[alg] if client == "algorithms" else ECKey.generate_key("P-256", {"use": "sig"})
        key.ensure_kid()
        self.keys[client] = (alg, key)
        jwk = json.dumps(key.as_dict(private=False))
        scopes = default_scopes(kind)
        self.kit.exchange.store.write(lambda uow: add_client(uow, client, org, client, scopes, [(str(key.kid), alg, jwk)]))

    def assertion(self, client: str, *, header: dict[str, object] | None = None, signed_by: str = "", **claims: object) -> str:
        alg, key = self.keys[client]
        now = int(self.kit.clock().timestamp())
        said = {"iss": client, "sub": client, "aud": self.token_url, "exp": now + 240, "jti": secrets.token_hex(16), **claims}
        signing = self.keys[signed_by][1] if signed_by else key
        registry = JWSRegistry(algorithms=[alg])
        return jwt.encode({"alg": alg, "kid": key.kid, **(header or {})}, said, signing, registry=registry)

    def ask(self, assertion: str, **form: str):  # type: ignore[no-untyped-def]
        fields = {"grant_type": "client_credentials", "client_assertion_type": JWT_BEARER, "client_assertion": assertion, **form}
        return self.http.post("/oauth2/token", data=fields)

    def token(self, client: str) -> dict[str, str]:
        answer = self.ask(self.assertion(client))
        assert answer.status_code == 200, answer.text
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def fhir(self, method: str, path: str, client: str = "home", status: int = 200, **more):  # type: ignore[no-untyped-def]
        """A request of a client; the answer must be FHIR R4B of its kind, and every error an OperationOutcome that says what to do."""
        headers = {**(self.token(client) if client else {}), **more.pop("headers", {})}
        answer = self.http.request(method, path, headers=headers, **more)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:400]}"
        return check(answer)

    def link(self, person: str) -> str:
        secret = make_secret(secrets.token_bytes)
        self.kit.exchange.store.write(lambda uow: make_link(uow, person, hash_secret(secret)))
        return f"/in/{secret}"


def check(answer):  # type: ignore[no-untyped-def]
    """The answer, after its body was read by an independent FHIR library and judged by our checker, a Task by our profile, too."""
    if "fhir+json" in answer.headers["content-type"]:
        body = answer.json()
        issues = Checker.load().check(body, profiles=[ANSWER] if body["resourceType"] == "Task" else [])
        assert [issue for issue in issues if issue.severity in ("error", "fatal")] == []
        READERS[body["resourceType"]].model_validate(body)
        for entry in body.get("entry", []):
            READERS.get(entry["resource"]["resourceType"], Bundle).model_validate(entry["resource"]) if body.get(
                "type"
            ) == "searchset" else None
    if answer.status_code >= 400:
        body = answer.json()
        assert body["resourceType"] == "OperationOutcome", answer.text
        for issue in body["issue"]:
            assert issue["details"]["coding"][0]["code"], answer.text
            assert len(issue["diagnostics"].split()) >= 4, answer.text
    return answer


def code_of(answer) -> str:  # type: ignore[no-untyped-def]
    return str(answer.json()["issue"][0]["details"]["coding"][0]["code"])


@contextmanager
def api(folder: Path, profile: str = "{}", environment: Environment = Environment.TRIAL) -> Iterator[Api]:
    with kit(folder, profile=profile, environment=environment) as service:
        app = make_app(service.exchange, service.settings)
        with TestClient(app, base_url=service.settings.public_url, raise_server_exceptions=False, follow_redirects=False) as http:
            found = Api(service, http)
            for client, org, kind in (("home", HOME, "home"), ("other", OTHER_HOME, "home"), ("hospital", HOSPITAL, "hospital")):
                found.register(client, org, kind)
            yield found
