"""The command line as scripts use it: help that is quick, exit codes, shapes of what is printed."""

import csv
import io
import json
import os
import resource
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from tests.app_kit import START
from tests.service_kit import WARDPOST, Service, running_service, wait_until

COMMANDS = [
    [], ["demo"], ["run"], ["send"], ["convert"], ["gate"], ["sites"], ["sites", "confirm"], ["people"], ["people", "link"], ["senders"],
    ["clients"], ["inbox"], ["open"], ["answer"], ["trace"], ["holds"], ["holds", "replay"], ["fsck"], ["doctor"], ["transfers"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=[" ".join(c) or "wardpost" for c in COMMANDS])
def test_help_is_quick(command: list[str]) -> None:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([WARDPOST, *command, "--help"], capture_output=True, text=True, check=False, timeout=30)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(f"{' '.join(command)} --help: {seconds:.2f} s of CPU")
    assert done.returncode == 0
    assert "Usage" in done.stdout
    assert seconds < 0.6


def run(*arguments: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [WARDPOST, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60, env={**os.environ, **environ}
    )


def test_convert_and_gate(tmp_path: Path) -> None:
    person = people(START)[0]
    source, document, report = tmp_path / "letter.hl7", tmp_path / "doc.json", tmp_path / "report.json"
    source.write_bytes(letter(person, START))
    done = run("convert", source, "-o", document, "--report", report)
    assert (done.returncode, done.stdout) == (0, "")
    bundle = json.loads(document.read_text())
    assert (bundle["type"], bundle["entry"][0]["resource"]["resourceType"]) == ("document", "Composition")
    said = json.loads(report.read_text())
    assert list(said) == ["items"]
    assert all(list(item) == ["position", "value", "outcome", "path"] for item in said["items"])
    assert {item["outcome"] for item in said["items"]} <= {"mapped", "narrative", "attachment", "withheld", "not_carried"}
    assert json.loads(run("convert", source).stdout) == bundle
    gate = run("gate", source, "--format", "json")
    assert gate.returncode == 0
    said = json.loads(gate.stdout)
    assert said["badge"] == f"{len(said['gaps'])} missing"
    assert all(gap["owner"] and gap["closes"] for gap in said["gaps"])


@pytest.mark.parametrize("raw", [b"", b"rubbish", b"MSH|^~\\&|", b"\x00" * 100, b"<xml/>", b"{}"])
def test_what_cannot_be_read_is_exit_3_with_a_reason(tmp_path: Path, raw: bytes) -> None:
    source, document = tmp_path / "x", tmp_path / "doc.json"
    source.write_bytes(raw)
    for command in (["convert", source, "-o", document], ["gate", source, "--format", "json"]):
        done = run(*command)
        assert done.returncode == 3, done.stderr
        assert len(done.stderr.split()) > 4
        assert "Traceback" not in done.stderr
        assert done.stdout == ""
    assert not document.exists()


def test_wrong_use_is_exit_2_and_a_refusal_exit_1(tmp_path: Path) -> None:
    assert run("convert", tmp_path / "nowhere").returncode == 2
    assert run("nonsense").returncode == 2
    profile, source = tmp_path / "p.json", tmp_path / "x"
    profile.write_text('{"unknown": 1}')
    source.write_bytes(b"MSH")
    done = run("convert", source, "--sender", profile)
    assert done.returncode == 1
    assert "unknown names" in done.stderr
    done = run("trace", "x", WARDPOST_PORT="many")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("cli")) as found:
        yield found
        assert found.cli("fsck").endswith("fsck: clean")


def test_the_way_by_commands(service: Service) -> None:
    """Send, confirm, inbox, open, answer, trace in three formats; a hold listed, replayed and released."""
    person = people(START)[2]
    files = []
    for name, raw in (("a", admission(person, START)), ("b", letter(person, START)), ("bad", b"MSH|^~\\&|X|Y|||1||ADT^A01|ID1|T|2.4\r")):
        files.append(service.folder / f"{name}.hl7")
        files[-1].write_bytes(raw)
    service.cli("send", *map(str, files), "--to", f"127.0.0.1:{service.mllp_port}")
    worker = service.cli("people", "add", "Rob Test", "--org", "RZZ01", "--role", "site_manager", "--email", "r@x.example")
    carer = service.cli("people", "add", "[b]Ama[/b] Test", "--org", "VZZ01", "--role", "carer", "--email", "a@x.example")
    wait_until(lambda: "unreadable" in service.cli("holds", "list"), "the hold")
    wait_until(lambda: run("sites", "confirm", person.visit, "VZZ01", "--by", worker, **service.environ).returncode == 0, "the stay")
    transfer = service.cli("sites", "confirm", person.visit, "VZZ01", "--by", worker).splitlines()[0]
    wait_until(lambda: "letter only" in service.cli("inbox", "--by", carer), "the papers")
    delivery = next(word for line in service.cli("inbox", "--by", carer).splitlines() for word in line.split() if word.count("-") == 4)
    assert "every check passed" in service.cli("open", delivery, "--by", carer)
    assert "kept as the answer" in service.cli("answer", delivery, "seen", "--by", carer)
    assert "agreed_not_allowed" in service.cli("answer", delivery, "agreed", "--by", carer, exit=1)
    service.cli("answer", delivery, "maybe", "--by", carer, exit=2)
    assert "person" in service.cli("inbox", "--by", "nobody", exit=1)
    events = json.loads(service.cli("trace", transfer, "--format", "json"))
    assert {"transfer.confirmed", "version.published", "delivery.made", "answer.given"} <= {event["event"] for event in events}
    assert all(event["utc"].endswith("Z") and event["london"] for event in events)
    rows = list(csv.DictReader(io.StringIO(service.cli("trace", transfer, "--format", "csv"))))
    assert [row["event"] for row in rows] == [event["event"] for event in events]
    assert "version.published" in service.cli("trace", transfer)
    hold = next(word for word in service.cli("holds", "list").split() if word.startswith("unreadable:"))
    assert "hold" in service.cli("holds", "release", "nothing", "--by", worker, exit=1)
    service.cli("holds", "replay", hold, "--by", worker)
    wait_until(lambda: hold in service.cli("holds", "list"), "the hold again")
    service.cli("holds", "release", hold, "--by", worker, "--as", "discarded")
    assert hold not in service.cli("holds", "list")
