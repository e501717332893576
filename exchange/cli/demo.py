"""The demo: the whole story as the outside world plays it, with sockets, HTTP and the command line. Imports nothing of the service."""

import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from textwrap import indent
from typing import Any
from urllib.parse import urlencode

from joserfc import jwt
from joserfc.jwk import ECKey
from rich.console import Console
from rich.text import Text

from exchange.cli.demo_deployment import DEPLOYMENTS, ROLES, NotHere, Surroundings
from exchange.cli.demo_story import HOME, HOSPITAL, Person, admission, letter, people

console = Console(highlight=False, soft_wrap=True)
_WAIT_SECONDS = 60
_SERVERS = {"postgres": "PostgreSQL", "kafka": "Apache Kafka with three brokers"}


class DemoFailed(Exception):
    """A step of the story did not go as it must."""


def play(data: Path, *, once: bool, deployment: str = "embedded") -> int:
    """Play it; exit code 0 when every step held."""
    demo = Demo(data, deployment)
    try:
        demo.story()
        if not once:
            console.print(Text("The service stays up; Ctrl-C ends it.", style="bold"))
            next(iter(demo.processes.values())).wait()
    except KeyboardInterrupt:
        pass
    except (DemoFailed, NotHere) as problem:
        console.print(f"\nThe demo stopped: {problem}", style="bold red", markup=False)
        console.print(f"What the service said: {demo.log_file}", markup=False)
        return 1
    finally:
        demo.stop()
    return 0


class Demo:
    """One playing of the story over one data folder."""

    def __init__(self, data: Path, deployment: str) -> None:
        if data.exists() and any(data.iterdir()) and not (data / "wardpost.sqlite").exists():
            raise SystemExit(f"{data} is not a demo's folder; name another one with --data.")
        shutil.rmtree(data, ignore_errors=True)
        kek = data.resolve().with_name(data.resolve().name + ".kek.json")
        kek.unlink(missing_ok=True)
        self.port, self.mllp_port = _free_port(), _free_port()
        self.files = Path(tempfile.mkdtemp(prefix="wardpost-demo-"))
        self.log_file = data.resolve().with_name(data.resolve().name + ".log")
        base = {"WARDPOST_DATA": str(data), "WARDPOST_PORT": str(self.port), "WARDPOST_MLLP_PORT": str(self.mllp_port)}
        self.environ = {**{k: v for k, v in os.environ.items() if not k.startswith("WARDPOST_")}, **base, "COLUMNS": "160"}
        self.deployment, self.surroundings = deployment, Surroundings(deployment)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.steps = 0

    def step(self, words: str) -> None:
        self.steps += 1
        console.print(Text(f"\n{self.steps:2}. {words}", style="bold"))

    def say(self, words: str) -> None:
        console.print(Text(f"    {words}"))

    def cli(self, *arguments: str, fails: bool = False) -> str:
        """Run `wardpost …` as a person at a terminal would."""
        command = [str(Path(sys.executable).with_name("wardpost")), *arguments]
        done = subprocess.run(command, env=self.environ, capture_output=True, text=True, timeout=120, check=False)
        if (done.returncode != 0) != fails:
            raise DemoFailed(f"wardpost {' '.join(arguments)} → exit {done.returncode}: {done.stderr or done.stdout}")
        return (done.stderr if fails else done.stdout).strip()

    def story(self) -> None:
        now = datetime.now(UTC)
        console.print(Text("Wardpost demo. Every person, home and number is made up.", style="bold"))
        if self.deployment != "embedded":
            self.step(f"The servers start, without Docker: {' and '.join(_SERVERS[name] for name in DEPLOYMENTS[self.deployment])}")
            self.environ |= self.surroundings.start()
        self.step("An operator sets up a hospital, a care home and their people (command line)")
        worker, carer = self.set_up()
        self.step("The service starts: " + ("one process, loopback, SQLite" if self.deployment == "embedded" else "one process per role"))
        self.start()
        everyone = people(now)
        self.step("The hospital's systems send by MLLP: admissions with an expected day, then the letters")
        for person in everyone:
            self.send(admission(person, now), f"A01 {person.given} {person.family}")
            self.send(letter(person, now), f"T02 {person.given} {person.family}")
        self.step(f"A named person at the hospital confirms the home, {HOME}")
        transfers = {person.visit: self.confirm(person, worker) for person in everyone}
        self.step("The ward states what no system sends (POST /transfers/{id}/supplements)")
        hospital = self.token("sample-hospital-system")
        for person in everyone:
            if person.supplement is None:
                self.say(f"{person.given} {person.family}: nothing stated; the hospital sends letters only")
                continue
            body = json.dumps({**person.supplement, "by": worker}).encode()
            status, _, answer = self.http("POST", f"/transfers/{transfers[person.visit]}/supplements", body, hospital)
            if status != 201:
                raise DemoFailed(f"supplement: {status} {answer.decode()}")
            self.say(f"{person.given} {person.family}: kept")
        self.step("The gate says what is missing, and who fixes it")
        for person in everyone:
            self.show_badge(person, transfers[person.visit], hospital)
        self.step("The home's software collects Edith's papers (private_key_jwt, FHIR search, Bundle and letter)")
        delivery = self.collect(transfers["V1001"])
        self.step("A one-time link opens the home's page for a named person, who reads and answers")
        self.read_and_answer(carer, transfers["V1002"])
        self.step("The discharge is keyed last: A03 changes nothing for the home")
        self.send(admission(everyone[0], now, "A03"), "A03 Edith Testperson")
        self.step("A sealed document is tampered with, and refused")
        self.tamper(delivery, carer)
        self.step("Who did what: the trace of one transfer")
        console.print(Text(indent(self.cli("trace", transfers["V1002"]), "    ")))
        self.step("Every invariant of the database is checked")
        self.say(self.cli("fsck"))
        console.print(Text(f"\nDone: {self.steps} steps.", style="bold green"))
        console.print(Text(f"The home's page for {HOME}: {self.cli('people', 'link', carer)}"))

    def set_up(self) -> tuple[str, str]:
        self.cli("sites", "add", HOSPITAL, "Sample General Hospital", "--kind", "hospital", "--phone", "01632 960100")
        address = ("--street", "1 Rehearsal Row", "--town", "Testmouth", "--postcode", "NM4 7QA", "--phone", "01632 960111")
        self.cli("sites", "add", HOME, "Sample Meadow", *address)
        profile = self.files / "profile.json"
        ward = {"W06": {"name": "Ward 6", "phone": "01632 960106", "hours": "day and night"}}
        profile.write_text(json.dumps({"wards": ward, "site_manager": {"name": "Site manager", "phone": "01632 960108"}}))
        self.cli("senders", "add", "PAS", "--org", HOSPITAL, "--profile", str(profile))
        worker = self.cli(
            "people", "add", "Rob Manager-Test", "--org", HOSPITAL, "--role", "site_manager", "--email", "rob@hospital.example"
        )
        carer = self.cli("people", "add", "Ama Carer-Test", "--org", HOME, "--role", "carer", "--email", "ama@home.example")
        self.keys = {}
        for client, org in (("sample-hospital-system", HOSPITAL), ("sample-care-system", HOME)):
            key = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, private=True)
            key.ensure_kid()
            self.keys[client] = key
            public = self.files / f"{client}.jwks.json"
            public.write_text(json.dumps({"keys": [key.as_dict(private=False)]}))
            self.say(self.cli("clients", "add", client, "--org", org, "--keys", str(public)))
        return worker, carer

    def start(self) -> None:
        command = [str(Path(sys.executable).with_name("wardpost")), "run"]
        roles = ("",) if self.deployment == "embedded" else ROLES
        ports = {role: self.port if role in ("", "api") else _free_port() for role in roles}
        with self.log_file.open("wb") as log:
            for role, port in ports.items():
                more = ["--role", role] if role else []
                environ = {**self.environ, "WARDPOST_PORT": str(port)}
                self.processes[role] = subprocess.Popen([*command, *more], env=environ, stdout=log, stderr=log)
        for role, port in ports.items():
            self.wait_for(f"the service {role}".strip(), lambda p=port: self.http("GET", "/ready", port=p)[0] == 200)
            if role:
                self.say(f"{role}: process {self.processes[role].pid}, ready at http://127.0.0.1:{port}/ready")
        self.wait_for("the MLLP listener", lambda: _is_listening(self.mllp_port))
        self.say(f"http://127.0.0.1:{self.port}  MLLP 127.0.0.1:{self.mllp_port}  (processes: {len(self.processes)})")

    def send(self, message: bytes, name: str) -> None:
        file = self.files / (name.replace(" ", "-") + ".hl7")
        file.write_bytes(message)
        self.say(self.cli("send", str(file), "--to", f"127.0.0.1:{self.mllp_port}"))

    def confirm(self, person: Person, worker: str) -> str:
        for _ in range(_WAIT_SECONDS * 5):
            try:
                transfer = self.cli("sites", "confirm", person.visit, HOME, "--by", worker)
            except DemoFailed as problem:
                if "stay:" not in str(problem):
                    raise
                time.sleep(0.2)  # its first message is still being read
                continue
            self.say(f"{person.given} {person.family} → {HOME}: transfer {transfer}")
            return transfer
        raise DemoFailed(f"the stay {person.visit} did not appear")

    def show_badge(self, person: Person, transfer: str, token: str) -> None:
        def status() -> dict[str, Any]:
            answer: dict[str, Any] = json.loads(self.http("GET", f"/transfers/{transfer}", token=token)[2])
            return answer

        self.wait_for(f"the badge of {person.given}", lambda: person.badge in str(status()["badge"]))
        found = status()
        self.say(f"{person.given} {person.family}: [{found['badge']}] version {found['version']}")
        for gap in found["gaps"]:
            self.say(f"     - {gap['title']}: {gap['owner']}, {gap['closes']}")

    def collect(self, transfer: str) -> str:
        token = self.token("sample-care-system")
        status, _, body = self.http("GET", "/fhir/DocumentReference?_lastUpdated=gt2020-01-01", token=token)
        entries = [entry["resource"] for entry in json.loads(body)["entry"]]
        mine = [e for e in entries if e["identifier"][0]["value"] == f"urn:uuid:{transfer}" and e["status"] == "current"]
        if status != 200 or len(mine) != 1:
            raise DemoFailed(f"search: {status}, {len(mine)} current documents")
        for content in mine[0]["content"]:
            attachment = content["attachment"]
            status, _, received = self.http("GET", attachment["url"].split(str(self.port), 1)[1], token=token)
            if status != 200 or len(received) != attachment["size"]:
                raise DemoFailed(f"collect: {status}")
            self.say(f"{attachment['title']}: {attachment['contentType']}, {len(received)} bytes")
        return str(mine[0]["id"])

    def read_and_answer(self, carer: str, transfer: str) -> None:
        path = self.cli("people", "link", carer).split(str(self.port), 1)[1]
        self.http("GET", path)
        status, headers, _ = self.http("POST", path, {})
        cookie = headers.get("set-cookie", "").split(";")[0]
        if status != 303 or not cookie:
            raise DemoFailed(f"link: {status}")
        again, _, _ = self.http("POST", path, {})
        self.say(f"the link worked once; used again it is refused ({again})")
        status, _, page = self.http("GET", f"/home/{transfer}", cookie=cookie)
        hidden = dict(re.findall(r'name="(csrf|version)" value="([0-9a-f]+)"', page.decode()))
        if status != 200 or len(hidden) != 2:
            raise DemoFailed(f"page: {status}")
        self.say(f"the papers of Arthur Trialman are read ({len(page) // 1024} KB page)")
        fields = {"kind": "can_take", "when": "other", "day": datetime.now(UTC).strftime("%Y-%m-%d"), "time": "17:30"}
        status, headers, _ = self.http("POST", f"/home/{transfer}/answer", hidden | fields, cookie=cookie)
        if status != 303:
            raise DemoFailed(f"answer: {status}")
        self.say("answer by Ama Carer-Test: we can take him, from 17:30 today")

    def tamper(self, delivery: str, carer: str) -> None:
        envelope = self.files / "edith.envelope"
        self.say(self.cli("open", delivery, "--by", carer, "--save", str(envelope)))
        self.say(self.cli("open", str(envelope), "--by", carer).replace("\n", "\n    "))
        raw = bytearray(envelope.read_bytes())
        place = len(raw) // 2
        raw[place] = ord("A") if raw[place] != ord("A") else ord("B")
        envelope.write_bytes(bytes(raw))
        self.say(f"one byte changed → {self.cli('open', str(envelope), '--by', carer, fails=True)}")

    def token(self, client: str) -> str:
        now = int(time.time())
        url = f"http://127.0.0.1:{self.port}/oauth2/token"
        claims = {"iss": client, "sub": client, "aud": url, "exp": now + 240, "jti": secrets.token_hex(16)}
        key = self.keys[client]
        assertion = jwt.encode({"alg": "ES256", "kid": key.kid}, claims, key)
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": assertion,
        }
        status, _, body = self.http("POST", "/oauth2/token", form)
        if status != 200:
            raise DemoFailed(f"token: {status} {body.decode()}")
        return str(json.loads(body)["access_token"])

    def http(
        self, method: str, path: str, body: bytes | dict[str, str] = b"", token: str = "", cookie: str = "", port: int = 0
    ) -> tuple[int, dict[str, str], bytes]:
        """One request, with JSON or the fields of a form; (status, headers in lower case, body)."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        headers |= {"Cookie": cookie} if cookie else {}
        headers["Content-Type"] = "application/x-www-form-urlencoded" if isinstance(body, dict) else "application/json"
        body = urlencode(body).encode() if isinstance(body, dict) else body
        connection = http.client.HTTPConnection("127.0.0.1", port or self.port, timeout=30)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        except OSError:
            return 0, {}, b""
        finally:
            connection.close()

    def wait_for(self, what: str, is_there: Callable[..., bool]) -> None:
        deadline = time.monotonic() + _WAIT_SECONDS
        while not is_there():
            for role, process in self.processes.items():
                if process.poll() is not None:
                    raise DemoFailed(f"the service {role} ended with {process.returncode} while waiting for {what}")
            if time.monotonic() > deadline:
                raise DemoFailed(f"{what} did not come within {_WAIT_SECONDS} seconds")
            time.sleep(0.1)

    def stop(self) -> None:
        for process in self.processes.values():
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self.processes.values():
            process.wait(timeout=30)
        self.surroundings.stop()
        shutil.rmtree(self.files, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _is_listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
