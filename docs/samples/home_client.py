"""A care home's software in one page: it asks for what is new, verifies it, reads it and answers. Needs: pip install fhir.resources joserfc

python home_client.py key                        once: private.jwk.json stays here, public.jwks.json goes to the operator
python home_client.py collect URL CLIENT PERSON  as often as you like: what is new since the last time, answered "seen" by PERSON
"""

import hashlib
import json
import secrets
import sys
import time
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

from fhir.resources.R4B.bundle import Bundle
from joserfc import jwt
from joserfc.jwk import ECKey

DIGEST = "https://fhir.wardpost.example/StructureDefinition/content-digest"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PRIVATE, PUBLIC, NEWEST = Path("private.jwk.json"), Path("public.jwks.json"), Path("newest.txt")


def make_key() -> None:
    key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)
    PRIVATE.touch(mode=0o600)
    PRIVATE.write_text(json.dumps(key.as_dict(private=True)))
    PUBLIC.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))


def get_token(base: str, client: str) -> str:
    key = ECKey.import_key(json.loads(PRIVATE.read_text()))
    url, now = f"{base}/oauth2/token", int(time.time())
    claims = {"iss": client, "sub": client, "aud": url, "exp": now + 240, "jti": secrets.token_hex(16)}
    form = {"client_assertion": jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key), "client_assertion_type": ASSERTION}
    with urlopen(url, urlencode({"grant_type": "client_credentials", **form}).encode()) as answer:
        return str(json.load(answer)["access_token"])


def collect(base: str, client: str, person: str) -> None:
    token = get_token(base, client)

    def call(url: str, body: bytes | None = None, **headers: str) -> tuple[bytes, str]:
        sent = {"Authorization": f"Bearer {token}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        with urlopen(Request(url, body, sent, method="PUT" if body else "GET")) as answer:
            return answer.read(), answer.headers.get("ETag", "")

    since = NEWEST.read_text() if NEWEST.exists() else "2020-01-01"
    url = f"{base}/fhir/DocumentReference?{urlencode({'_lastUpdated': f'gt{since}'})}"
    while url:
        page = json.loads(call(url)[0])
        for paper in (entry["resource"] for entry in page.get("entry", [])):
            if paper["status"] == "current":
                keep(paper, call)
                task, etag = call(f"{base}/fhir/Task/{paper['id']}")
                who = {"authorReference": {"identifier": {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{person}"}}}
                seen = {"businessStatus": {"coding": [{"code": "seen"}]}, "note": [{**who, "text": "Read."}]}
                answer = {**json.loads(task), "status": "in-progress", **seen}
                call(f"{base}/fhir/Task/{paper['id']}", json.dumps(answer).encode(), If_Match=etag, Content_Type="application/fhir+json")
            else:
                print(f"{paper['status']}: {paper['description']}: throw away what was printed of it")
            NEWEST.write_text(paper["meta"]["lastUpdated"])
        url = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")


def keep(paper: dict, call) -> None:  # type: ignore[no-untyped-def, type-arg]
    folder = Path(paper["id"])
    folder.mkdir(mode=0o700, exist_ok=True)
    for number, attachment in enumerate(content["attachment"] for content in paper["content"]):
        content, _ = call(attachment["url"])
        digest = next(extension["valueString"] for extension in attachment["extension"] if extension["url"] == DIGEST)
        if digest != "sha256:" + hashlib.sha256(content).hexdigest():
            raise SystemExit(f"part {number} of {paper['id']} is not what the hospital sealed: it is not kept")
        (folder / f"{number}").write_bytes(content)
        if attachment["contentType"] == "application/fhir+json":
            resources = [entry.resource for entry in Bundle.model_validate_json(content).entry]
            medicines = [r.medicationCodeableConcept.text for r in resources if r.get_resource_type() == "MedicationStatement"]
            print(f"{paper['description']}; medicines named: {', '.join(medicines) or 'see the letter'}")


if __name__ == "__main__":
    make_key() if sys.argv[1:] == ["key"] else collect(*sys.argv[2:5])
