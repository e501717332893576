"""Canary: synthetic people with marks in every value walk the whole way, errors included; then every place that must not know them is
searched: the log, files, failed commands, refusals, addresses. Pages and documents of the right person show that the search can find.
"""

import base64
import hashlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from exchange import wiring
from exchange.cli.demo_story import Person, admission, letter, people
from exchange.seal.sealer import KekSealer
from tests.app_kit import Kit, kit
from tests.service_kit import FORM, WARDPOST, Service, running_service, wait_until

NUMBERS = ("9990000026", "9990000042")
MARKS = {
    "family": "Zqfamilyname", "second family": "Zqotherfamily", "given": "Zqgivenname", "street": "Zqstreetname", "local id": "ZQLOCAL",
    "medicine": "Zqmedicine", "reason": "Zqreasonwords", "last seen": "Zqskinwords", "letter": "Zqletterwords", "pdf": "Zqpdfbytes",
    "ward contact": "Zqcontactname", "allergy": "Zqallergen", "note": "Zqanswernote", "question": "Zqquestion", "rubbish": "Zqrubbish",
    "home's person": "Zqcarername", "home's address": "zqmailbox", "hospital's person": "Zqworkername",
    "asked": "Zqaskedfor", "number": NUMBERS[0], "second number": NUMBERS[1],
}  # fmt: skip
MARK = MARKS["asked"]  # what a stranger's software puts where no person belongs


def forms(mark: str) -> Iterator[tuple[str, bytes, bool]]:
    """How a value can lie somewhere: (form, bytes in lower case unless exact, exact)."""
    raw = mark.encode()
    yield "raw", raw.lower(), False
    yield "UTF-16", mark.lower().encode("utf-16-le"), False
    yield "reversed", raw[::-1].lower(), False
    for text in (raw, raw.upper()):
        yield "hex", text.hex().encode(), False
        for shift in range(3):
            # The ends share their letters with the neighbours: left out.
            coded = base64.b64encode(b"\0" * shift + text).rstrip(b"=")
            yield "base64", coded[(0, 2, 3)[shift] : len(coded) - (1 if (shift + len(text)) % 3 else 0)], True
            yield "base64url", base64.urlsafe_b64encode(b"\0" * shift + text).rstrip(b"=")[(0, 2, 3)[shift] : -1], True
    if mark.isdigit():
        for between in (" ", "-", "%20", "+"):
            yield "with spaces", between.join((mark[:3], mark[3:6], mark[6:])).encode(), False
    yield "SHA-256", hashlib.sha256(raw).digest(), True
    yield "SHA-256 in hex", hashlib.sha256(raw).hexdigest().encode(), False


FORMS = {name: list(forms(mark)) for name, mark in MARKS.items()}


def leaks(hay: bytes, where: str) -> list[str]:
    """Every mark that is in these bytes, in whatever form: where, which, how."""
    lower = hay.lower()
    return [f"{where}: {name} ({form})" for name in MARKS for form, needle, exact in FORMS[name] if needle in (hay if exact else lower)]


def leaks_in_files(*places: Path) -> list[str]:
    """Every byte of every file of these folders and files."""
    files = [file for place in places for file in (sorted(place.rglob("*")) if place.is_dir() else [place]) if file.is_file()]
    assert files
    return [leak for file in files for leak in leaks(file.read_bytes(), file.name)]


@pytest.mark.parametrize("disguise", ["%s", "x%s", "xy%s", "xyz%s"])
def test_the_search_finds_each_mark_in_each_form(disguise: str) -> None:
    for name, mark in MARKS.items():
        for text in (disguise % mark, disguise % mark.upper()):
            assert f"here: {name} (base64)" in leaks(base64.b64encode(text.encode() + b"\xff\xff"), "here"), name
            assert f"here: {name} (hex)" in leaks(text.encode().hex().encode(), "here")
            assert f"here: {name} (raw)" in leaks(text.encode(), "here")
    for text in ("999 000 0026", "999-000-0026", hashlib.sha256(NUMBERS[0].encode()).hexdigest()):
        assert leaks(text.encode(), "here")
    assert leaks(b"9990000019 Zqfamily Zqletter", "here") == []


# The marked people


def marked_people(now: datetime) -> tuple[Person, Person]:
    """One with a text letter and a Supplement, one with a PDF."""
    complete, _, letter_only = people(now)
    said = json.dumps(complete.supplement)
    for plain, mark in (
        ("Apixaban", MARKS["medicine"]), ("Irregular heartbeat", MARKS["reason"]), ("Intact, checked today", MARKS["last seen"]),
        ("Ward 6, nurse in charge", MARKS["ward contact"]),
    ):  # fmt: skip
        assert plain in said
        said = said.replace(plain, mark)
    lines = tuple(line.replace("Apixaban", MARKS["medicine"]).replace("fall", MARKS["letter"]) for line in complete.letter or ())
    one = replace(complete, number=NUMBERS[0], family=MARKS["family"], given=MARKS["given"], letter=lines, supplement=json.loads(said))
    two = replace(letter_only, number=NUMBERS[1], family=MARKS["second family"], given=MARKS["given"])
    return replace(one, visit=MARKS["local id"] + "1"), replace(two, visit=MARKS["local id"] + "2")


def of(person: Person, raw: bytes, control_id: str = "") -> bytes:
    """A message of the story with the marks that it has no place for; the control id, which acknowledgements repeat, has none."""
    fields = raw.split(b"|", 10)
    fields[9] = (control_id or f"M{len(raw)}-{NUMBERS.index(person.number)}").encode()
    raw = b"|".join(fields).replace(b"1 Rehearsal Row^^", f"1 Rehearsal Row^{MARKS['street']}^".encode())
    raw = raw.replace(b"^No known drug allergies^", f"^{MARKS['allergy']}^".encode())
    start = raw.find(b"^Base64^") + len(b"^Base64^")
    if start < len(b"^Base64^"):
        return raw
    end = raw.index(b"|", start)
    pdf = base64.b64decode(raw[start:end]) + b"% " + MARKS["pdf"].encode() + b"\n"
    return raw[:start] + base64.b64encode(pdf) + raw[end:]


@dataclass
class Outside:
    """The outside world: every request, frame and command, and what came back where nobody may be named."""

    service: Service
    shown: bytes = b""  # pages and documents for the right person
    found: list[str] = field(default_factory=list)
    refusals: int = 0

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, status: int, shown: bool = False, token: str = "", **more: str
    ) -> tuple[dict[str, str], bytes]:
        """One request. Whatever came back, its headers and its addresses name nobody; a refusal's body neither."""
        got, headers, answer = self.service.http(method, path, body, token=token, **more)
        where = f"{method} {path.replace(MARK, '…')}"
        assert got == status, f"{where}: {got} {answer[:300]!r}"
        self.found += leaks("\n".join(f"{name}: {value}" for name, value in headers.items()).encode(), f"headers of {where}")
        for address in re.findall(rb'(?:href|src|action|"url"|"fullUrl"|"reference"): ?=?"([^"]*)"', answer.replace(b'="', b':"')):
            self.found += leaks(address, f"address in {where}")
        if shown:
            self.shown += answer
        else:
            self.refusals += status >= 400
            self.found += leaks(answer, f"body of {where}")
        return headers, answer

    def frames(self, *messages: bytes) -> list[str]:
        """Send by MLLP; the code of each answer, whose bytes name nobody."""
        codes = []
        with socket.create_connection(("127.0.0.1", self.service.mllp_port), timeout=20) as link:
            for message in messages:
                link.sendall(b"\x0b" + message + b"\x1c\r")
                answer = b""
                while not answer.endswith(b"\x1c\r"):
                    chunk = link.recv(65536)
                    assert chunk, "closed without an answer"
                    answer += chunk
                self.found += leaks(answer, "acknowledgement")
                codes.append(answer.split(b"\rMSA|")[1][:2].decode())
        return codes

    def fails(self, *arguments: str | Path) -> None:
        """A command that is refused; neither its output nor its complaint names anybody."""
        command = [WARDPOST, *map(str, arguments)]
        done = subprocess.run(command, env=self.service.environ, capture_output=True, check=False, timeout=60)
        assert done.returncode in (1, 2, 3), f"{arguments[:2]}: {done.returncode} {done.stderr!r}"
        assert b"Traceback" not in done.stderr
        self.refusals += 1
        self.found += leaks(done.stdout + done.stderr, f"wardpost {arguments[0]}")


def sent_by_error(out: Outside, one: Person, now: datetime) -> None:
    """What a broken feed sends. An acknowledgement repeats trigger and character set to who sent them: these bear no marks."""
    rubbish = MARKS["rubbish"].encode() + b" " + NUMBERS[0].encode()
    bad = admission(one, now, "A08")
    second = bad[bad.index(b"PID") :].replace(one.family.encode(), MARKS["second family"].encode())
    second = second.replace(NUMBERS[0].encode(), NUMBERS[1].encode())
    assert out.frames(
        rubbish + bytes(range(128, 256)),
        b"MSH|^~\\&|X|Y|||1||ADT^A01|RUBBISH1|T|2.4\rPID|" + rubbish + b"\r",
        of(one, bad.replace(b"ADT^A08^ADT_A01", b"SIU^S12"), "UNUSED1"),
        of(one, bad.replace(b"ADT^A08^ADT_A01", MARKS["rubbish"].encode() + b"^Z99"), "UNUSED2"),
        of(one, bad.replace(b"UNICODE UTF-8", b"NO SUCH SET"), "CHARSET1"),
        of(one, bad.replace(NUMBERS[0].encode(), b"9990000027"), "NUMBER1"),
        of(one, letter(one, now).replace(one.born.encode(), b"19420315"), "CONFLICT1"),
        of(one, bad.replace(one.born.encode(), MARKS["rubbish"].encode()), "BORN1"),
        of(one, bad + second, "TWO1"),
    ) == ["AE", *["AA"] * 8]
    with socket.create_connection(("127.0.0.1", out.service.mllp_port), timeout=10) as link:
        link.sendall(rubbish + b"\x0b" + of(one, bad)[:-40])  # noise, then a frame without its end
        link.shutdown(socket.SHUT_WR)
        assert link.recv(10) == b""
    with socket.create_connection(("127.0.0.1", out.service.port), timeout=10) as link:
        link.sendall(b"GET /" + rubbish + b" NONSENSE\r\n" + rubbish + b"\r\n\r\n")
        out.found += leaks(link.recv(65536), "answer to no HTTP")


def asked_by_error(out: Outside, home: str, hospital: str, transfer: str, worker: str, task: dict[str, object], tag: str) -> None:
    """What a stranger's or a broken client asks: wrong tokens, people in URLs, bodies that do not fit, ids that are nothing."""
    person = quote(f"https://fhir.nhs.uk/Id/nhs-number|{NUMBERS[0]}")
    for path in ("", "/", "/in/", "/home/", "/static/", "/fhir/", "/fhir/Patient/", "/fhir/Patient?name=", "/transfers/x/"):
        out.ask("GET", f"{path}{MARK}" if path else f"/{MARK}?name={MARK}", status={"/in/": 422, "/home/": 401}.get(path, 404))
    for kind in ("DocumentReference", "Task", "Bundle", "Binary"):
        out.ask("GET", f"/fhir/{kind}/{MARK}", status=404, token=home)
        out.ask("DELETE", f"/fhir/{kind}/{MARK}", status=405, token=home)
    out.ask("GET", f"/transfers/{MARK}", status=404, token=hospital)
    for name in ("patient.identifier", "patient:identifier", "subject.identifier", "patient", "identifier", "PATIENT", "_has:Patient:name"):
        out.ask("GET", f"/fhir/DocumentReference?{quote(name)}={person}", status=400, token=home)
        out.ask("POST", f"/fhir/DocumentReference/_search?{quote(name)}={person}", b"", status=400, token=home, media_type=FORM)
        out.ask("GET", f"/fhir/AuditEvent?{quote(name)}={person}", status=400, token=hospital)
    for name in ("_lastUpdated", "_count", "_page"):
        out.ask("GET", f"/fhir/DocumentReference?{name}={MARK}", status=400, token=home)
    for form in ({"date": MARK}, {MARK: MARK}, {"_count": MARK}, {"patient.identifier": f"{MARK}|{MARK}"}):
        out.ask("POST", "/fhir/AuditEvent/_search", urlencode(form).encode(), status=400, token=hospital, media_type=FORM)
    out.ask("POST", "/fhir/AuditEvent/_search", MARK.encode(), status=415, token=hospital, media_type=f"text/{MARK}")
    out.ask("GET", "/fhir/DocumentReference", status=401, token=MARK)
    for assertion in (MARK, out.service.assertion("home", aud=MARK), out.service.assertion("home", iss=MARK, sub=MARK)):
        fields = {"grant_type": "client_credentials", "client_assertion": assertion}
        fields["client_assertion_type"] = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
        out.ask("POST", "/oauth2/token", urlencode(fields).encode(), status=401, media_type=FORM)
    status, told = out.service.ask_token(out.service.assertion("home"), scope=MARK)
    assert status == 400
    out.found += leaks(json.dumps(told).encode(), "body of a token refused")

    statements: list[tuple[Mapping[str, object], int]] = [
        ({MARK: MARK}, 422), ({"by": MARK}, 404), ({"by": worker, MARK: MARK}, 422), ({"by": worker, "said_at": MARK}, 422),
        ({"by": worker, "contact": {MARK: MARK, "phone": 7}}, 422), ({"by": worker, "critical": [{"class": MARK, "present": True}]}, 422),
        ({"by": worker, "changes": {"lines": [{"medicine": MARKS["medicine"], "status": MARK}]}}, 422),
        ({"by": worker, "nursing": {"skin": MARK * 2000}}, 422),
    ]  # fmt: skip
    for statement, status in statements:
        out.ask("POST", f"/transfers/{transfer}/supplements", json.dumps(statement).encode(), status=status, token=hospital)
    for body in (f'{{"{MARK}":1,"{MARK}":2}}', f'{{"{MARK}', MARK, f'["{MARK}"]', f'{{"{MARK}": NaN}}'):
        out.ask("POST", f"/transfers/{transfer}/supplements", body.encode(), status=422 if body[0] == "[" else 400, token=hospital)
    out.ask("POST", f"/transfers/{MARK}/supplements", b'{"by": "x"}', status=404, token=hospital)
    out.ask("POST", f"/transfers/{transfer}/supplements", json.dumps({"by": worker}).encode(), status=403, token=home)

    path = f"/fhir/Task/{task['id']}"
    seen = {**task, "status": "in-progress", "businessStatus": {"coding": [{"code": "seen"}]}}
    answers: list[Mapping[str, object]] = [
        {"status": MARK}, {"id": MARK}, {"resourceType": MARK}, {"businessStatus": {"coding": [{"code": MARK}]}}, {"restriction": MARK},
        {"status": "rejected", "businessStatus": {"coding": [{"code": "cannot"}]}, "statusReason": {"coding": [{"code": MARK}]}},
        {MARK: MARK}, {"authoredOn": MARK}, {"note": [{"text": {"x": MARK}}]},
    ]  # fmt: skip
    for change in answers:
        out.ask("PUT", path, json.dumps({**seen, **change}).encode(), status=422, token=home, if_match=tag)
    out.ask("PUT", path, json.dumps(seen).encode(), status=412, token=home, if_match=MARK)
    out.ask("PUT", path, json.dumps(seen).encode(), status=428, token=home)
    stranger = {**seen, "note": [{"text": MARK, "authorReference": {"identifier": {"value": MARK}}}]}
    out.ask("PUT", path, json.dumps(stranger).encode(), status=404, token=home, if_match=tag)
    out.ask("PUT", path, json.dumps(seen).encode(), status=404, token=out.service.token("other-home"), if_match=tag)


def wrong_forms(out: Outside, transfer: str, cookie: str, good: Mapping[str, str]) -> None:
    """Forms of a signed-in person that are refused; what comes back to her own mistakes is her own page."""
    path = f"/home/{transfer}/answer"
    for change, status in (({"csrf": MARK}, 422), ({"csrf": ""}, 422), ({"version": MARK}, 404), ({"version": "99"}, 404)):
        out.ask("POST", path, urlencode({**good, "question": MARK, **change}).encode(), status=status, media_type=FORM, cookie=cookie)
    wrong = {**good, "kind": "can_take", "when": "other", "day": "2026-02-31", "time": "10:00", "note": MARKS["note"]}
    out.ask("POST", path, urlencode(wrong).encode(), status=422, shown=True, media_type=FORM, cookie=cookie)
    too_long = urlencode({**good, "question": MARK * 20_000}).encode()
    out.ask("POST", path, too_long, status=413, media_type=FORM, cookie=cookie)
    out.ask("POST", path, MARK.encode(), status=415, media_type="text/plain", cookie=cookie)
    out.ask("POST", f"/home/{MARK}/answer", urlencode(good).encode(), status=404, media_type=FORM, cookie=cookie)
    out.ask("POST", path, urlencode(good).encode(), status=401, media_type=FORM, cookie=f"wardpost={MARK}")
    for more in (MARK, f"letters/{MARK}", f"version/{MARK}", f"answered/{MARK}"):
        out.ask("GET", f"/home/{transfer}/{more}", status=404, cookie=cookie)


def the_way(out: Outside, folder: Path) -> None:
    """Send, confirm, state, collect, open, answer, replace, withdraw, trace; and on the way everything that goes wrong."""
    service, now = out.service, datetime.now(UTC)
    one, two = marked_people(now)
    worker = service.cli("people", "add", MARKS["hospital's person"], "--org", "RZZ01", "--role", "site_manager", "--email", "w@x.example")
    email = MARKS["home's address"] + "@x.example"
    carer = service.cli("people", "add", MARKS["home's person"], "--org", "VZZ01", "--role", "carer", "--email", email)
    hospital, home = service.token("hospital"), service.token("home")
    assert set(out.frames(*(of(person, make(person, now)) for person in (one, two) for make in (admission, letter)))) == {"AA"}

    def confirmed(person: Person) -> bool:
        command = [WARDPOST, "sites", "confirm", person.visit, "VZZ01", "--by", worker]
        done = subprocess.run(command, env=service.environ, capture_output=True, text=True, check=False, timeout=60)
        transfers[person.visit] = done.stdout.split("\n")[0]
        return done.returncode == 0

    transfers: dict[str, str] = {}
    for person in (one, two):
        wait_until(lambda who=person: confirmed(who), "the stay")  # type: ignore[misc]  # the default binds the loop's value
    transfer = transfers[one.visit]
    stated = json.dumps({**(one.supplement or {}), "by": worker}).encode()
    out.ask("POST", f"/transfers/{transfer}/supplements", stated, status=201, token=hospital)

    def badges() -> set[object]:
        return {json.loads(service.http("GET", f"/transfers/{each}", token=hospital)[2]).get("badge") for each in transfers.values()}

    wait_until(lambda: badges() == {"papers complete", "letter only"}, "the badges")

    def current() -> list[dict[str, object]]:
        path = "/fhir/DocumentReference?_lastUpdated=gt2020-01-01&_count=200"
        entries = json.loads(out.ask("GET", path, status=200, shown=True, token=home)[1]).get("entry", [])
        return [entry["resource"] for entry in entries if entry["resource"]["status"] == "current"]

    wait_until(lambda: len(current()) == 2 and any("complete" in str(each["description"]) for each in current()), "the papers")
    for reference in current():
        for content in reference["content"]:  # type: ignore[attr-defined]
            path = content["attachment"]["url"].split(str(service.port), 1)[1]
            out.ask("GET", path, status=200, shown=True, token=home)
            out.ask("GET", path, status=404, token=service.token("other-home"))
    mine = next(each for each in current() if transfer in str(each["identifier"]))
    headers, raw = out.ask("GET", f"/fhir/Task/{mine['id']}", status=200, shown=True, token=home)

    sent_by_error(out, one, now)
    asked_by_error(out, home, hospital, transfer, worker, json.loads(raw), headers["etag"])

    link = service.cli("people", "link", carer).split(str(service.port), 1)[1]
    out.ask("GET", link, status=200, shown=True)
    cookie = out.ask("POST", link, b"", status=303, media_type=FORM)[0]["set-cookie"].split(";")[0]
    out.ask("POST", link, b"", status=422, media_type=FORM)
    out.ask("GET", link, status=422)
    out.ask("GET", "/home", status=200, shown=True, cookie=cookie)
    page = out.ask("GET", f"/home/{transfer}", status=200, shown=True, cookie=cookie)[1].decode()
    good = {name: re.search(rf'name="{name}" value="([^"]+)"', page)[1] for name in ("csrf", "version")}  # type: ignore[index]
    good |= {"kind": "ask", "topic": "Q03", "question": MARKS["question"]}
    wrong_forms(out, transfer, cookie, good)
    done = out.ask("POST", f"/home/{transfer}/answer", urlencode(good).encode(), status=303, media_type=FORM, cookie=cookie)[0]
    out.ask("GET", done["location"], status=200, shown=True, cookie=cookie)
    headers, raw = out.ask("GET", f"/fhir/Task/{mine['id']}", status=200, shown=True, token=home)
    seen = {**json.loads(raw), "status": "in-progress", "businessStatus": {"coding": [{"code": "seen"}]}, "note": [{"text": MARKS["note"]}]}
    seen.pop("statusReason", None)
    path = f"/fhir/Task/{mine['id']}"
    out.ask("PUT", path, json.dumps(seen).encode(), status=200, shown=True, token=home, if_match=headers["etag"])
    found = urlencode({"patient.identifier": f"https://fhir.nhs.uk/Id/nhs-number|{NUMBERS[0]}"}).encode()
    out.ask("POST", "/fhir/DocumentReference/_search", found, status=200, shown=True, token=home, media_type=FORM)
    answer = out.ask("POST", "/fhir/AuditEvent/_search", found, status=200, shown=True, token=hospital, media_type=FORM)[1]
    assert json.loads(answer)["entry"]

    failed_commands(out, folder, one, now, str(mine["id"]), carer)

    # The conflict was held; somebody settles it, a newer letter comes, and the other discharge is off.
    held = service.cli("holds", "list")
    out.found += leaks(held.encode(), "wardpost holds list")
    assert "two_people" in held
    hold = next(word for word in held.split() if word.startswith("identity:"))
    service.cli("holds", "release", hold, "--by", worker, "--as", "checked")
    later = now + timedelta(minutes=5)
    newer = letter(one, later).replace(b"chest infection", b"infection of the chest")
    assert out.frames(of(one, newer, "NEWER1"), of(two, admission(two, later, "A13"), "OFF1")) == ["AA", "AA"]
    wait_until(lambda: [each["id"] != mine["id"] for each in current()] == [True], "the new version alone")
    out.ask("GET", f"/home/{transfers[two.visit]}", status=410, shown=True, cookie=cookie)
    out.ask("GET", f"/home/{transfer}/version/1", status=200, shown=True, cookie=cookie)
    for format in ("text", "json", "csv"):
        service.cli("trace", transfer, "--format", format)
    out.shown += service.cli("inbox", "--by", carer).encode()


def failed_commands(out: Outside, folder: Path, one: Person, now: datetime, delivery: str, carer: str) -> None:
    """Commands over marked files that are refused. The files stay outside of what is searched."""
    envelope, rubbish, unused = folder / "envelope", folder / "rubbish", folder / "unused.hl7"
    profile, patient, half = folder / "profile.json", folder / "patient.json", folder / "half.json"
    out.service.cli("open", delivery, "--by", carer, "--save", str(envelope))
    whole = envelope.read_bytes()
    out.found += leaks(whole, "sealed envelope")
    for place in (len(whole) // 2, 40, len(whole) - 3):
        envelope.write_bytes(whole[:place] + (b"A" if whole[place : place + 1] != b"A" else b"B") + whole[place + 1 :])
        out.fails("open", envelope, "--by", carer)
    envelope.write_bytes(MARKS["rubbish"].encode())
    out.fails("open", envelope, "--by", carer)
    out.fails("open", MARK, "--by", carer)
    out.fails("open", delivery, "--by", MARK)
    rubbish.write_bytes(MARKS["rubbish"].encode() + bytes(range(256)))
    unused.write_bytes(admission(one, now).replace(b"ADT^A01^ADT_A01", b"SIU^S12"))
    profile.write_text(json.dumps({"nonsense": MARK}))  # a refusal names the operator's own unknown setting
    half.write_text(f'{{"resourceType": "{MARK}", "name": "{one.family}')
    patient.write_text(
        json.dumps(
            {
                "resourceType": "Patient",
                "id": f"not an id {one.family}",
                "birthDate": one.family,
                "gender": one.given,
                "active": one.family,
                "identifier": [{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": one.number + one.family}],
                "text": {"status": one.family, "div": f"<div>{one.family}<script/></div>"},
                "link": [{"type": one.family, "other": {"reference": one.family}}],
            }
        )
    )
    for file in (rubbish, unused):
        out.fails("convert", file)
        out.fails("gate", file)
        out.fails("convert", file, "--sender", profile)
    out.fails("check", patient)
    out.fails("check", half)
    out.fails("answer", delivery, "agreed", "--by", carer, "--note", MARKS["note"])
    out.fails("answer", delivery, MARK, "--by", carer)
    out.fails("sites", "confirm", MARK, "VZZ01", "--by", carer)
    out.fails("people", "add", MARK, "--org", "VZZ01", "--role", MARK, "--email", MARK)
    out.fails("people", "link", MARK)
    out.fails("holds", "release", MARK, "--by", carer)


def test_marked_people_are_nowhere_that_they_do_not_belong(tmp_path: Path) -> None:
    data, files = tmp_path / "service", tmp_path / "files"
    data.mkdir()
    files.mkdir()
    with running_service(data, WARDPOST_LOG="DEBUG") as service:
        out = Outside(service)
        the_way(out, files)
        assert {"wardpost.sqlite", "wardpost.sqlite-wal", "wardpost.sqlite-shm"} <= {file.name for file in (data / "data").iterdir()}
        out.found += leaks_in_files(data)
        assert service.cli("fsck").endswith("fsck: clean")
        service.stop()
        out.found += leaks_in_files(data)
        assert out.found == []
        assert out.refusals > 100
        log = service.log.read_text()
        assert '"request"' in log
        assert "Traceback" not in log
        # The right people were shown all of it: the search would have found it.
        shown = {leak.split(": ")[1].split(" (")[0] for leak in leaks(out.shown, "shown")}
        never_shown = {"local id", "rubbish", "asked", "home's address"}
        assert shown | never_shown >= set(MARKS), set(MARKS) - shown


# The canary bites: wirings that name people where they do not belong

TALKATIVE = """
import asyncio
import structlog
from exchange import wiring
from exchange.app import Exchange
from exchange.cli.serve import serve
from exchange.config import load_settings

class Talkative(Exchange):
    def accept(self, sender, raw, channel, media_type):
        structlog.get_logger("planted").info("received", raw=raw.decode("latin-1"))
        return super().accept(sender, raw, channel, media_type)

wiring.Exchange = Talkative
asyncio.run(serve(load_settings()))
"""


def test_a_listener_that_logs_what_it_receives_is_caught(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    one, _ = marked_people(now)
    with running_service(tmp_path) as service:
        service.stop()
        assert leaks_in_files(tmp_path) == []
        service.start(sys.executable, "-c", TALKATIVE)
        assert Outside(service).frames(of(one, admission(one, now))) == ["AA"]
        service.stop()
        found = set(leaks_in_files(tmp_path))
        assert {f"service.log: {name} (raw)" for name in ("family", "given", "number", "street")} <= found
        assert {leak.partition(":")[0] for leak in found} == {"service.log"}


def marked_story(service: Kit) -> str:
    """The first marked person, up to the mailbox; the transfer's id."""
    one, _ = marked_people(service.clock())
    for make in (admission, letter):
        service.send(of(one, make(one, service.clock.at)))
    service.drain()
    transfer = service.exchange.confirm_site(one.visit, "VZZ01", service.worker).id
    service.exchange.add_supplement(transfer, service.worker, one.supplement)
    service.drain()
    return transfer


class OnlyCoded(KekSealer):
    """A sealer that only looks like one: what it seals, anybody can decode."""

    def seal(self, key_id: str, key: bytes, table: str, column: str, row: str, plaintext: bytes) -> bytes:
        return b"\x01" + bytes.fromhex(key_id) + base64.b64encode(plaintext).ljust(28, b"=")

    def open(self, key: bytes, table: str, column: str, row: str, value: bytes) -> bytes:
        return base64.b64decode(value[17:])


@pytest.mark.parametrize("sealer", [KekSealer, OnlyCoded])
def test_a_sealer_that_only_encodes_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sealer: type[KekSealer]) -> None:
    monkeypatch.setattr(wiring, "KekSealer", sealer)
    with kit(tmp_path) as service:
        marked_story(service)
        assert service.findings() == []
        found = {leak.partition(": ")[2] for leak in leaks_in_files(tmp_path / "data")}
        expected = {f"{name} (base64)" for name in ("family", "given", "number", "street", "letter", "medicine", "reason")}
        assert found >= expected if sealer is OnlyCoded else found == set()
