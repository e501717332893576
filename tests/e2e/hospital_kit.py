"""The simulated hospital (../shared/hospital): its directory is our set-up, its feed our input, its truth our judge."""

import csv
import hashlib
import html
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from exchange.model import TransferState
from exchange.records import Hold, Stay, Submission, Transfer
from exchange.transfer.match import read_identity
from exchange.wiring import open_exchange
from tests.databases import first_cell
from tests.e2e.home_kit import Home
from tests.service_kit import Service, free_port, wait_until

HOSPITAL = Path(__file__).parents[3] / "shared" / "hospital"
_MEANINGS = {"method": "method", "destination": "destination"}


def make_feed(folder: Path, seed: int, stays: int, *more: str) -> Path:
    out = folder / "feed"
    command = [sys.executable, str(HOSPITAL / "sim.py"), "--seed", str(seed), "--stays", str(stays), "--out", str(out), *more]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    return out


def profile_of(directory: dict, name: str) -> dict[str, object]:
    """The SenderProfile of one feed, from what directory.json says of it in its own words."""
    said = directory["senders"][name]
    is_welsh = "Wales" in said.get("pv1_36", "")
    reading: dict[str, object] = {
        "charset": said["default_charset"],
        "zone": said["zone"],
        "discharge_orders": [code for field, _, code in [said.get("discharge_marker", "").partition(" = ")] if field == "ORC-16.1"],
        "country": "Wales" if is_welsh else "England",
        "pv1_36": "method" if said.get("pv1_36") else "",
        "pv1_37": ("destination or home code" if "local home code" in said.get("pv1_37", "") else "destination")
        if said.get("pv1_37")
        else "",
        "aliases": said["aliases"],
        "number_status_field": said.get("nhs_number_status", ""),
        # DS is the discharge summary; what is named "(not used)" is left out.
        "letter_types": [
            code for code, words in (said.get("letter_types") or said.get("report_codes") or {}).items() if "not used" not in words
        ],
    }
    if is_welsh:
        reading["home_destinations"] = ["20"]
    desk = directory["discharge_contact"]
    return {
        "reading": reading,
        "wards": {w["code"]: {"name": w["name"], "phone": w["phone"], "hours": w["hours"]} for w in directory["wards"]},
        "discharge_contact": {"name": desk["name"], "phone": desk["phone"], "hours": desk["out_of_hours"]},
        # EDOC sends structured documents; every other feed a letter.
        "gate_profile": "structured" if name == "EDOC" else "letter only",
        "erase_raw_after_days": said["erase_raw_after_days"],
    }


@dataclass
class Playing:
    """One feed over one running service, by every way in: MLLP, the watched folder, HTTP."""

    service: Service
    feed: Path
    directory: dict = field(default_factory=dict)
    truth: dict = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    pickers: dict[str, str] = field(default_factory=dict)
    homes: dict[str, Home] = field(default_factory=dict)

    @property
    def watched(self) -> Path:
        return self.service.folder / "incoming"

    def set_up(self) -> None:
        """Organisations, homes, one MLLP feed with its own port each, a person who picks at each hospital: by the command line."""
        self.directory = json.loads((self.feed / "directory.json").read_text())
        self.truth = json.loads((self.feed / "truth.json").read_text())
        columns = ("code", "name", "kind", "street", "town", "postcode", "phone", "provider", "cqc", "opened", "closed")
        rows = [{"code": o["ods"], "name": o["name"], "kind": "hospital"} for o in self.directory["organisations"]]
        rows += [{**{c: home[c] for c in columns if c != "kind"}, "kind": "home"} for home in self.directory["homes"]]
        sites = self.service.folder / "sites.csv"
        with sites.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, columns)
            writer.writeheader()
            writer.writerows(rows)
        self.service.cli("sites", "import", str(sites))
        self.watched.mkdir()
        for name, said in self.directory["senders"].items():
            file = self.service.folder / f"{name}.json"
            file.write_text(json.dumps(profile_of(self.directory, name)))
            way = ["--folder", str(self.watched)] if said["channel"] == "folder" else ["--channel", said["channel"]]
            if said["channel"] == "mllp":
                self.ports[name] = free_port()
                way += ["--port", str(self.ports[name])]
            self.service.cli("senders", "add", name, "--org", said["organisation"], "--profile", str(file), *way)
        for org in (o["ods"] for o in self.directory["organisations"]):
            self.pickers[org] = self.service.cli(
                "people", "add", "Nurse Sim-Test", "--org", org, "--role", "discharge_desk", "--email", "n@sim.example"
            )
            self.service.add_client(f"systems-of-{org}", org)
        for code in (home["code"] for home in self.directory["homes"]):
            self.homes[code] = Home(self.service, code)
            self.homes[code].set_up()
        self.service.mllp_port = self.ports["PAS"]

    def play(self, until: str = "", resume: bool = False) -> list[dict]:
        """The real send.py over every sender; its book of answers."""
        addresses = [part for name, port in self.ports.items() for part in ("--mllp", f"{name}=127.0.0.1:{port}")]
        command = [sys.executable, str(HOSPITAL / "send.py"), str(self.feed), *addresses, "--quiet", "--tries", "5"]
        token = self.service.folder / "token"
        http = f"http://127.0.0.1:{self.service.port}/submissions?sender=EDOC"
        command += ["--folder", str(self.watched), "--http", http, "--token-command", f"cat {token}"]
        command += ["--until", until] if until else []
        command += ["--resume"] if resume else []
        client = f"systems-of-{self.directory['senders']['EDOC']['organisation']}"
        token.write_text(self.service.lasting_token(client))
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as sending:
            while True:  # a token lives for five minutes, a big feed for longer
                try:
                    said, _ = sending.communicate(timeout=60)
                    break
                except subprocess.TimeoutExpired:
                    token.write_text(self.service.lasting_token(client))
        assert sending.returncode == 0, said
        return [json.loads(line) for line in (self.feed / "acks.ndjson").read_text().splitlines()]

    def settle(self) -> None:
        """Wait until the process has nothing left to do: work, outbox and the consumer of the bus."""
        wait_until(lambda: self._left() == 0, "rest", 120)

    def _left(self) -> int:
        return first_cell(
            self.service.settings, "SELECT (SELECT count(*) FROM work) + (SELECT count(*) FROM outbox WHERE settled_at IS NULL)"
        )

    def count(self, table: str) -> int:
        return first_cell(self.service.settings, f"SELECT count(*) FROM {table}")

    def confirm(self, stay: dict) -> bool:
        """The ward's pick by its system (`POST /transfers/confirm`); False when the stay has not been heard of yet."""
        org = stay["organisation"]
        pick = {"stay": stay["visit"], "site": stay["pick"]["site"], "by": self.pickers[org]}
        status, _, body = self.service.http(
            "POST", "/transfers/confirm", json.dumps(pick).encode(), token=self.service.lasting_token(f"systems-of-{org}")
        )
        assert status == 200 or (status == 404 and b'"stay"' in body), body
        return status == 200

    def play_with_picks(self) -> list[dict]:
        """The whole feed, stopped at each moment of a pick; a stay that is not known yet is picked later."""
        picks = sorted((s for s in self.truth["stays"] if s.get("pick")), key=lambda s: s["pick"]["at"])
        waiting: list[dict] = []
        played = False
        for stay in picks:
            rows = [json.loads(line) for line in (self.feed / "feed.ndjson").read_text().splitlines()]
            if any(row["at"] < stay["pick"]["at"] for row in rows):
                self.play(until=stay["pick"]["at"], resume=played)
                played = True
                self.settle()
            waiting = [other for other in [*waiting, stay] if not self.confirm(other)]
            self.settle()  # what is sent next comes after the version of this pick, as it does in the truth
            self.poll()
        answers = self.play(resume=played)
        self.settle()
        assert not [stay["visit"] for stay in waiting if not self.confirm(stay)]
        self.settle()
        self.poll()
        return answers

    def poll(self) -> None:
        for home in self.homes.values():
            home.poll()

    def resident_megabytes(self) -> float:
        """Of the largest of its processes."""
        texts = [Path(f"/proc/{process.pid}/status").read_text() for process in self.service.processes]
        return max(int(text.split("VmRSS:")[1].split()[0]) for text in texts) / 1024


@dataclass
class Judge:
    """What the service made of the feed, against the truth. `wrong` collects every difference; `figures` what was seen."""

    playing: Playing
    wrong: list[str] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        def load(uow):  # type: ignore[no-untyped-def]
            by_bytes: dict[tuple[str, str], list[Submission]] = {}
            for row in uow.find(Submission):
                key = (row.sender_id, hashlib.sha256(row.content.open()).hexdigest())
                by_bytes.setdefault(key, []).append(row)
            visits = {(s.sender_org, read_identity(s.identity).visit_id): s for s in uow.find(Stay)}
            return by_bytes, visits, uow.find(Hold), uow.find(Transfer)

        self.truth, self.homes = self.playing.truth, self.playing.homes
        with closing(open_exchange(self.playing.service.settings).store) as store:
            self.by_bytes, self.visits, self.holds, self.transfers = store.read(load)
        self.messages = {m["n"]: m for m in self.truth["messages"]}
        self.stays = {s["stay"]: s for s in self.truth["stays"]}

    def complain(self, words: str) -> None:
        self.wrong.append(words)

    def answers(self, book: list[dict]) -> None:
        """Every message has one of the answers that its truth allows."""
        for entry in book:
            message = self.messages[entry["n"]]
            self.figures[f"answer {entry['code']}"] += 1
            # A file that the sender saw on our shelf was being taken at that moment; custody() looks for what became of it.
            is_on_its_way = entry["code"] == "aside" and entry["text"].startswith("claimed/") and "taken" in message["ack"]
            if entry["code"] not in message["ack"] and not is_on_its_way:
                self.complain(f"message {entry['n']} {message['kind']}: {entry['code']} {entry['text']}, allowed {message['ack']}")
            if message["control_id"] and entry["control_id"] is not None and entry["control_id"] != message["control_id"]:
                self.complain(f"message {entry['n']}: the answer names {entry['control_id']}")

    def custody(self) -> None:
        """Bytes of which we have custody stand once; each is used, not used with a reason, or held with an owner."""
        held = {about: h for h in self.holds for about in (h.submission_id, h.stay_id) if about and h.resolved_at is None}
        may_leave = {t.stay_id for t in self.transfers if t.state is not TransferState.WITHDRAWN}
        for message in self.truth["messages"]:
            if not message.get("custody"):
                continue
            rows = self.by_bytes.get((message["sender"], message["sha256"]), [])
            if len(rows) != 1:
                self.complain(f"message {message['n']} {message['kind']}: {len(rows)} submissions")
                continue
            row = rows[0]
            self.figures[f"{message['fate']} → {row.state}"] += message["fate"] != "duplicate"
            name = f"message {message['n']} {message['kind']} ({message['fate']})"
            hold = held.get(row.id) or held.get(row.stay_id or "")
            # What contradicts a stay of somebody who goes nowhere is kept aside and bothers nobody (architecture decision 13).
            if row.state == "held" and hold is None and (row.stay_id is None or row.stay_id in may_leave):
                self.complain(f"{name}: held without a hold")
            if row.state == "not_used" and not row.reason:
                self.complain(f"{name}: not used without a reason")
            if row.state not in ("read", "not_used", "held"):
                self.complain(f"{name}: left as {row.state}")
            self._fate(name, message, row, hold, row.stay_id in may_leave)

    def _fate(self, name: str, message: dict, row: Submission, hold: Hold | None, may_leave: bool) -> None:
        is_read_today = message["kind"].startswith(("ADT^A01", "ADT^A02", "ADT^A03", "ADT^A08", "ADT^A1", "MDM", "ORM", "RDE", "RDS"))
        match message["fate"]:
            # The truth marks a wrong birth date as held for leavers only; kept aside it is right for others, too. Never of the feed's own.
            case "used" if not message["kind"].startswith("ADT") and (
                row.reason == "birth_date_differs" and "wrong_birth_date" in self.stays[message["stay"]]["quirks"] and not may_leave
            ):
                self.figures["… a wrong birth date of somebody who goes nowhere, kept aside"] += 1
            case "used" if is_read_today and row.state != "read":
                self.complain(f"{name}: {row.state}, {row.reason}")
            case "not_used" if row.state != "not_used":
                self.complain(f"{name}: {row.state}")
            case "hold" if message["kind"] == "identity" and row.state != "held":
                self.complain(f"{name}: {row.state}, not kept aside")
            case "hold" if message["kind"] == "unreadable" or (message["kind"] in ("identity", "dead") and may_leave):
                if hold is None or hold.kind != message["kind"]:
                    self.complain(f"{name}: {row.state}, no hold of kind {message['kind']}")

    def letters_at_their_stay(self, sender: str) -> None:
        """Each used document without a visit id stands at the very visit that its truth names."""
        for message in self.truth["messages"]:
            if message["sender"] != sender or message["fate"] != "used" or not message.get("stay"):
                continue
            (row,) = self.by_bytes[sender, message["sha256"]]
            stay = self.stays[message["stay"]]
            visit = self.visits.get((stay["organisation"], stay["visit"]))
            if visit is not None and row.stay_id == visit.id:
                self.figures["Kettering letters at their visit"] += 1
            elif row.state != "held":
                self.complain(f"message {message['n']} {message['kind']}: not at {stay['visit']} ({row.state}), {stay['quirks']}")

    def stays_and_homes(self) -> None:
        """Who goes home is seen by nobody; who was picked for a home is there, with the very letters, and nowhere else."""
        for home in self.homes.values():
            fresh = Home(home.service, home.code)
            fresh.poll()
            self.wrong += home.wrong + fresh.wrong
            if {p.reference["id"]: p.reference for p in home.papers.values()} != {
                p.reference["id"]: p.reference for p in fresh.papers.values()
            }:
                self.complain(f"{home.code}: what changed, asked for by _lastUpdated, is not what stands there")
        pages = {code: home.pages() for code, home in self.homes.items()}
        for stay in self.truth["stays"]:
            row = self.visits.get((stay["organisation"], stay["visit"]))
            mine = [t for t in self.transfers if row is not None and t.stay_id == row.id]
            if stay["transfer"]:
                self.figures[f"care home: {stay['outcome']}"] += 1
                self._outcome(stay, mine, pages)
                continue
            routed = [
                t for t in mine if t.recipient_org or t.versions or (t.state is not TransferState.WITHDRAWN and not stay["misleading_sign"])
            ]
            self.figures["people not for a home"] += 1
            self.figures["… with a possible transfer by a misleading sign"] += bool(mine)
            if routed:
                self.complain(f"{stay['visit']} goes {stay['going']} and has a transfer {routed[0].state}")
        self._nobody_else()

    def _nobody_else(self) -> None:
        """Not one byte that a home was given names a person who was not picked for it: by number, by hospital number, by whole name."""
        for home in self.homes.values():
            raw = b"\n".join(home.seen)
            given = html.unescape(raw.decode("utf-8", "replace"))
            guests = [s for s in self.truth["stays"] if s["transfer"] and s["pick"]["site"] == home.code]
            # What was sent about the guests may name others: a daughter with a patient's name is no leak.
            own = "".join(self._sent_about({guest["stay"] for guest in guests}))
            for stay in self.truth["stays"]:
                for marks in marks_of(stay["person"]):
                    strange = [mark for mark in marks if mark in given]
                    if strange and not any(mark in own for mark in marks):
                        self.complain(f"{home.code} was given {strange} of {stay['visit']}")
            # The search finds those who are there: else it would prove nothing.
            self.figures["… guests found by the same search"] += sum(
                any(number in given for number in marks_of(g["person"])[0]) for g in guests
            )

    def _sent_about(self, stays: set[str]) -> Iterator[str]:
        for line in (self.playing.feed / "feed.ndjson").read_text().splitlines():
            row = json.loads(line)
            if self.messages[row["n"]].get("stay") in stays:
                sent = (self.playing.feed / row["file"]).read_bytes()
                yield sent.decode("utf-8", "replace") + sent.decode("latin-1")

    def _outcome(self, stay: dict, mine: list[Transfer], pages: dict[str, dict[str, str]]) -> None:
        visit, site = stay["visit"], stay["pick"]["site"]
        letters = [x for x in stay["letters"] if x["deliver"] == "letter"]
        ids = {t.id for t in mine}
        elsewhere = [
            home.code for home in self.homes.values() if home.code != site and any(p.transfer in ids for p in home.papers.values())
        ]
        if elsewhere:
            self.complain(f"{visit}: papers at {elsewhere}")
        items = [paper for paper in self.homes[site].papers.values() if paper.transfer in ids]
        if stay["outcome"] == "held" or not letters:
            self.figures["… nothing may leave"] += 1
            sent = [m for m in self.truth["messages"] if m.get("stay") == stay["stay"]]
            if [paper.number for paper in items] == [1] and sent[0]["fate"] == "hold" and "ADT" not in sent[0]["kind"]:
                # It came, and was picked, before the visit was heard of: nobody could know. The feed's first word holds all that follows.
                self.figures["… left before the feed contradicted it"] += 1
            elif items:
                self.complain(f"{visit} ({stay['outcome']}, {stay['hold']}): papers left")
            if (
                stay["outcome"] == "held"
                and stay["letters"]
                and not any(h.kind == stay["hold"] and h.resolved_at is None for h in self.holds)
            ):
                self.complain(f"{visit}: no hold {stay['hold']}")
            return
        stays = {t.stay_id for t in mine}
        doubts = [h for h in self.holds if h.kind == "identity" and h.stay_id in stays and h.resolved_at is None]
        if "wrong_birth_date" in stay["quirks"] and doubts and not items:
            # The right letter came after the wrong one, and the simulation lets it go; we wait until a person has looked (decision 1).
            self.figures["… in doubt about who it is, until a person has looked"] += 1
            return
        states = [paper.status for paper in items]
        if stay["outcome"] == "withdrawn":
            self.figures["… withdrawn at the home"] += 1
            # One that was cancelled before anybody picked a home was never there.
            if set(states) - {"entered-in-error"}:
                self.complain(f"{visit}: should be withdrawn, is {states}")
            return
        current = [paper for paper in items if paper.status == "current"]
        if len(current) != 1:
            self.complain(f"{visit}: {len(current)} current documents, {states}")
            return
        found = {hashlib.sha256(content).hexdigest() for content in current[0].contents}
        newest = max(letters, key=lambda x: x["n"])
        self.figures["… delivered with the very letter"] += 1
        if newest["payload_sha256"] not in found:
            self.complain(f"{visit}: the newest letter is not in version {current[0].number}")
        if "corrected_letter" in stay["quirks"] and len(letters) > 1:
            self.figures["… corrected as a new version"] += 1
            # A stay that is heard of late is picked late: both letters may stand before its first version.
            if current[0].number < 2 and "late_admission" not in stay["quirks"]:
                self.complain(f"{visit}: the correction made no new version")
            if letters[0]["payload_sha256"] in found:
                self.complain(f"{visit}: the letter that was corrected still travels")
        self._medicines(stay, current[0].document, pages[site][current[0].transfer])
        self._gaps(stay, current[0].transfer)

    def _gaps(self, stay: dict, transfer: str) -> None:
        """What the truth says is missing is named to the hospital, each with an owner, and what is there is not (rows of the dataset)."""
        service = self.playing.service
        _, _, body = service.http("GET", f"/transfers/{transfer}", token=service.lasting_token(f"systems-of-{stay['organisation']}"))
        standing = json.loads(body)
        shown = {row for gap in standing["gaps"] for row in gap["row"].split(", ") if gap["owner"]}
        for name, is_wrong in (("gaps_must", lambda row: row not in shown), ("gaps_must_not", lambda row: row in shown)):
            for gap in stay[name]:
                self.figures[name] += 1
                if is_wrong(f"{gap['item']:02}"):
                    self.complain(f"{stay['visit']}: {name} {gap['item']} {gap['what']}, shown {sorted(shown)}")
        is_right = standing["badge"].endswith(stay["badge_without_supplement"][-7:])
        self.figures["badge as the truth says" if is_right else "another badge"] += 1

    def _medicines(self, stay: dict, document: dict | None, page: str) -> None:
        """Where the list has one structured source, every row stands in document and page, character for character, and no other does."""
        expected = stay["expected_list"]
        rows = [e["resource"] for e in (document or {}).get("entry", []) if e["resource"]["resourceType"] == "MedicationStatement"]
        if expected["source"] is None:
            self.figures["… without a list that a machine can read"] += 1
            if rows:
                self.complain(f"{stay['visit']}: a list made of nothing")
            return
        source = "TTO orders" if isinstance(expected["rows"], list) else "FHIR documents"
        medicines = expected["rows"] if isinstance(expected["rows"], list) else stay["medicines"]
        self.figures[f"medicines of {source}, character for character in document and page"] += len(medicines)
        if Counter(row["medicationCodeableConcept"]["text"] for row in rows) != Counter(medicine["name"] for medicine in medicines):
            self.complain(f"{stay['visit']}: medicines {sorted(row['medicationCodeableConcept']['text'] for row in rows)}")
        texts = " ".join(dose.get("text", "") for row in rows for dose in row.get("dosage", []))
        for medicine in medicines:
            for words in (medicine["name"], medicine["dose"]):
                if words not in page or (words == medicine["dose"] and words not in texts):
                    self.complain(f"{stay['visit']}: {words!r} of {medicine['name']} ({source}) is lost")


def marks_of(person: dict) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What would give this person away in anybody's hands: the numbers, and the whole name in its usual orders."""
    number, given, family = person["nhs_number"], person["given"], person["family"]
    numbers = (number, f"{number[:3]} {number[3:6]} {number[6:]}", person["local_number"])
    names = (
        f"{given} {family}",
        f"{family}, {given}",
        f"{family}^{given}",
        f"{family.upper()}^{given.upper()}",
        f"{family.upper()}, {given}",
    )
    return numbers, names
