"""The service as a process of its own, spoken to by sockets, HTTP and the command line alone."""

import http.client
import json
import os
import secrets
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey

from exchange.config import Settings, load_settings
from exchange.roles import RunRole
from tests.databases import settings_for

WARDPOST = str(Path(sys.executable).with_name("wardpost"))
FORM = "application/x-www-form-urlencoded"


def free_port() -> int:
    """Free now, and below what the system gives to outgoing connections: so it still is when a server binds it."""
    while True:
        port = 10_000 + secrets.randbelow(10_000)
        with socket.socket() as found, suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port


def wait_until(is_so: Callable[[], bool], what: str, seconds: float = 20.0) -> None:
    """Poll a condition of another process; a bounded wait, no fixed sleep."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds} s"
        time.sleep(0.02)


@dataclass
class Service:
    """One data folder and the process over it."""

    folder: Path
    port: int = field(default_factory=free_port)
    mllp_port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None
    keys: dict[str, ECKey] = field(default_factory=dict)
    tokens: dict[str, tuple[str, float]] = field(default_factory=dict)
    more_environ: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    @property
    def environ(self) -> dict[str, str]:
        ours = {"WARDPOST_DATA": str(self.folder / "data"), "WARDPOST_PORT": str(self.port), "WARDPOST_MLLP_PORT": str(self.mllp_port)}
        if postgres := settings_for(self.folder).postgres:
            ours["WARDPOST_DATABASE"] = postgres
        return {**{k: v for k, v in os.environ.items() if not k.startswith("WARDPOST_")}, **ours, "COLUMNS": "200", **self.more_environ}

    @property
    def settings(self) -> Settings:
        return load_settings(self.environ)

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        return [self.process] if self.process else []

    @property
    def log(self) -> Path:
        return self.folder / "service.log"

    def cli(self, *arguments: str, exit: int = 0) -> str:
        """Run a command; its stdout (stderr when it is to fail)."""
        done = subprocess.run([WARDPOST, *arguments], env=self.environ, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == exit, f"wardpost {arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return (done.stdout if exit == 0 else done.stderr).strip()

    def start(self, *command: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(list(command) or [WARDPOST, "run"], env=self.environ, stdout=log, stderr=log)
        wait_until(lambda: self.http("GET", "/ready")[0] == 200, "the service", 60)
        wait_until(lambda: self.is_listening(), "the MLLP listener", 60)

    def is_listening(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.mllp_port), timeout=1):
                return True
        except OSError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop the process by its id; its exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        self.process = None
        return code

    def connection(self) -> socket.socket:
        plain = socket.create_connection(("127.0.0.1", self.mllp_port), timeout=20)
        return self.tls.wrap_socket(plain, server_hostname="127.0.0.1") if self.tls else plain

    def mllp(self, *messages: bytes) -> list[str]:
        """Send frames on one connection; the MSA code of each answer ("" when the connection closed without one)."""
        codes = []
        with self.connection() as link:
            for message in messages:
                link.sendall(b"\x0b" + message + b"\x1c\r")
                answer = bytearray()
                while not answer.endswith(b"\x1c\r"):
                    chunk = link.recv(65536)
                    if not chunk:
                        return [*codes, ""]
                    answer += chunk
                msa = next(line for line in bytes(answer).split(b"\r") if line.startswith(b"MSA"))
                codes.append(msa.split(msa[3:4])[1].decode())
        return codes

    def http(
        self, method: str, path: str, body: bytes | None = None, *, token: str = "", media_type: str = "", **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        """One request; (status, headers in lower case, body). Status 0: nobody answers. Header names: `_` stands for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent |= {"Authorization": f"Bearer {token}"} if token else {}
        sent |= {"Content-Type": media_type} if media_type else {}
        if self.tls:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.tls)
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except (OSError, http.client.HTTPException):  # also one that died in the middle of its answer
            return 0, {}, b""
        finally:
            connection.close()

    def add_client(self, client: str, org: str, scopes: str = "") -> None:
        key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True)
        key.ensure_kid()
        self.keys[client] = key
        file = self.folder / f"{client}.jwks.json"
        file.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
        self.cli("clients", "add", client, "--org", org, "--keys", str(file), "--scopes", scopes)

    def assertion(self, client: str, **claims: object) -> str:
        now = int(time.time())
        url = f"http://127.0.0.1:{self.port}/oauth2/token"
        all_claims = {"iss": client, "sub": client, "aud": url, "exp": now + 240, "jti": secrets.token_hex(16), **claims}
        return jwt.encode({"alg": "ES256", "kid": self.keys[client].kid}, all_claims, self.keys[client])

    def ask_token(self, assertion: str, **form: str) -> tuple[int, dict[str, object]]:
        kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        fields = {"grant_type": "client_credentials", "client_assertion_type": kind, "client_assertion": assertion, **form}
        status, _, body = self.http("POST", "/oauth2/token", urlencode(fields).encode(), media_type=FORM)
        return status, json.loads(body)

    def token(self, client: str) -> str:
        status, answer = self.ask_token(self.assertion(client))
        assert status == 200, answer
        return str(answer["access_token"])

    def lasting_token(self, client: str) -> str:
        """One of the client's tokens, good for a while yet."""
        text, made = self.tokens.get(client, ("", 0.0))
        if time.monotonic() - made > 60:
            text, made = self.token(client), time.monotonic()
            self.tokens[client] = (text, made)
        return text


@dataclass
class ServiceOfRoles(Service):
    """One process per role over one PostgreSQL database; `process` is the API's."""

    others: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def processes(self) -> list[subprocess.Popen[bytes]]:
        return [*super().processes, *self.others]

    def start(self, *command: str) -> None:
        for role in RunRole:
            if role is not RunRole.API:
                environ = {**self.environ, "WARDPOST_PORT": str(free_port())}
                with (self.folder / f"{role}.log").open("ab") as log:
                    self.others.append(subprocess.Popen([WARDPOST, "run", "--role", role], env=environ, stdout=log, stderr=log))
        super().start(WARDPOST, "run", "--role", RunRole.API)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stop them all; the first exit code that is not 0."""
        for process in self.others:
            process.send_signal(how)
        codes = [process.wait(timeout=30) for process in self.others]
        self.others = []
        return next((code for code in [super().stop(how), *codes] if code), 0)


@contextmanager
def running_service(folder: Path, tls: ssl.SSLContext | None = None, **environ: str) -> Iterator[Service]:
    """A set-up service that runs: hospital RZZ01 with feed PAS, homes VZZ01 and VZZ02, a client for each, and people."""
    service = Service(folder, more_environ=environ, tls=tls)
    service.cli("sites", "add", "RZZ01", "Sample General Hospital", "--kind", "hospital", "--phone", "01632 960100")
    for code, name, street in (("VZZ01", "Sample Meadow", "1 Rehearsal Row"), ("VZZ02", "Sample Court", "3 Rehearsal Row")):
        service.cli("sites", "add", code, name, "--street", street, "--town", "Testmouth", "--postcode", "NM4 7QA")
    service.cli("senders", "add", "PAS", "--org", "RZZ01")
    service.add_client("hospital", "RZZ01")
    service.add_client("home", "VZZ01")
    service.add_client("other-home", "VZZ02")
    service.start()
    try:
        yield service
    finally:
        if service.process is not None:
            service.stop()
