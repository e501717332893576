"""Each command of docs/connect-a-hospital.md and docs/connect-a-home.md, run in their order against a service of their own."""

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, letter, people
from tests.service_kit import WARDPOST, Service, wait_until

DOCS = Path(__file__).parents[2] / "docs"
# `./dev` of the documents: a command that has to wait for the running service is tried again, as a person would.
DEV = f"""#!/bin/sh
shift
for try in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do
    "{WARDPOST}" "$@" && exit 0
    case "$1 $2" in "send "* | "sites confirm") sleep 0.3 ;; *) exit 1 ;; esac
done
exit 1
"""


def blocks(page: str) -> list[str]:
    return re.findall(r"^```sh\n(.*?)^```$", (DOCS / page).read_text(), re.DOTALL | re.MULTILINE)


def test_both_ways_in_as_written(tmp_path: Path) -> None:
    service = Service(tmp_path)
    service.start()
    try:
        person = people(datetime.now(UTC))[0]
        (tmp_path / "admission.hl7").write_bytes(admission(person, datetime.now(UTC)))
        (tmp_path / "letter.hl7").write_bytes(letter(person, datetime.now(UTC)))
        (tmp_path / "dev").write_text(DEV)
        (tmp_path / "dev").chmod(0o700)
        (tmp_path / "docs").symlink_to(DOCS)
        environ = {**service.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}

        def run(*scripts: str) -> str:
            text = "\n".join(scripts).replace("127.0.0.1:2575", f"127.0.0.1:{service.mllp_port}").replace(":8080", f":{service.port}")
            done = subprocess.run(["sh", "-eux"], input=text, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
            return done.stdout

        person_to_answer, software = blocks("connect-a-home.md")
        told = run(person_to_answer, *blocks("connect-a-hospital.md"), 'echo "$CARER" >carer', 'echo "$TRANSFER" >transfer')
        assert f"http://127.0.0.1:{service.port}/in/" in told
        transfer = (tmp_path / "transfer").read_text().strip()
        assert json.loads((tmp_path / "document.json").read_text())["type"] == "document"
        assert (tmp_path / "report.json").exists()
        wait_until(lambda: "delivery.made" in service.cli("trace", transfer, "--format", "csv"), "the delivery")
        assert "medicines named: " in run("CARER=$(cat carer)", software)
        assert "answer.given" in service.cli("trace", transfer, "--format", "csv")
        assert run("CARER=$(cat carer)", software.splitlines()[-1]) == ""
        assert service.cli("fsck").endswith("fsck: clean")
    finally:
        service.stop()


def test_the_sample_client_keeps_nothing_that_was_changed(tmp_path: Path) -> None:
    source = (DOCS / "samples" / "home_client.py").read_text()
    assert len([line for line in source.splitlines() if line.strip()]) < 90
    sys.path.insert(0, str(DOCS / "samples"))
    try:
        import home_client  # type: ignore[import-not-found]
    finally:
        sys.path.pop(0)
    extension = [{"url": home_client.DIGEST, "valueString": "sha256:" + "0" * 64}]
    attachment = {"url": "x", "contentType": "text/plain", "extension": extension}
    paper = {"id": str(tmp_path / "paper"), "content": [{"attachment": attachment}]}
    with pytest.raises(SystemExit, match="not kept"):
        home_client.keep(paper, lambda url: (b"changed", ""))
    assert list((tmp_path / "paper").iterdir()) == []
