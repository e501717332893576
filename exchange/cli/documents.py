"""Commands on files: convert, gate, send. Convert and gate need no database."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer


def convert(
    file: Annotated[Path, typer.Argument(help="One message or document.", exists=True, dir_okay=False)],
    sender: Annotated[Path | None, typer.Option(help="SenderProfile as JSON: how this feed is to be read.")] = None,
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Where the UK Core document goes; default: the screen.")] = None,
    report: Annotated[Path | None, typer.Option(help="Where the account of every source value goes, as JSON.")] = None,
) -> None:
    """Turn one message into a UK Core document, and account for every value. Exit 3 when it cannot be read."""
    from exchange.cli.conversion import convert_bytes
    from exchange.directory.profiles import SenderProfile, parse_profile
    from exchange.fhir.json import dump

    profile = parse_profile(sender.read_bytes()) if sender else SenderProfile()
    document, items = convert_bytes(file.read_bytes(), profile)
    text = dump(document)
    if output is None:
        sys.stdout.buffer.write(text + b"\n")
    else:
        output.write_bytes(text)
    rows = [{"position": i.position, "value": i.value, "outcome": str(i.outcome), "path": i.path} for i in items]
    if report is not None:
        report.write_text(json.dumps({"items": rows}, ensure_ascii=False, indent=1), encoding="utf-8")
    lost = sum(row["outcome"] == "not_carried" for row in rows)
    print(f"{len(rows)} values: {len(rows) - lost} carried or withheld by rule, {lost} not carried (see --report)", file=sys.stderr)


def gate(
    file: Annotated[Path, typer.Argument(help="One message or document.", exists=True, dir_okay=False)],
    sender: Annotated[Path | None, typer.Option(help="SenderProfile as JSON.")] = None,
    format: Annotated[str, typer.Option(help="text or json.")] = "text",
) -> None:
    """What would be missing if this one message were all there is. Exit 3 when it cannot be read."""
    from exchange.cli.conversion import gate_bytes
    from exchange.cli.rules import explained
    from exchange.directory.profiles import SenderProfile, parse_profile

    profile = parse_profile(sender.read_bytes()) if sender else SenderProfile()
    result = gate_bytes(file.read_bytes(), profile)
    if format == "json":
        print(json.dumps(result.to_dict(), ensure_ascii=False))
        return
    print("\n".join(explained(json.loads(json.dumps(result.to_dict())))))


def send(
    files: Annotated[
        list[Path], typer.Argument(help="HL7 v2 messages, sent in this order on one connection.", exists=True, dir_okay=False)
    ],
    to: Annotated[str, typer.Option(help="HOST:PORT of an MLLP listener.")] = "127.0.0.1:2575",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.")] = 30.0,
) -> None:
    """Send messages by MLLP and print each acknowledgement. Exit 1 when one was not accepted."""
    import socket

    host, _, port = to.rpartition(":")
    refused = 0
    with socket.create_connection((host or "127.0.0.1", int(port)), timeout=timeout) as link:
        for file in files:
            link.sendall(b"\x0b" + file.read_bytes() + b"\x1c\r")
            answer = bytearray()
            while not answer.endswith(b"\x1c\r"):
                chunk = link.recv(65536)
                if not chunk:
                    print(f"{file.name}: the connection was closed without an answer; send it again", file=sys.stderr)
                    raise typer.Exit(1)
                answer += chunk
            lines = answer.strip(b"\x0b\x1c\r").decode("utf-8", "replace").split("\r")
            msa = next((line.split(line[3]) for line in lines if line.startswith("MSA")), ["MSA", "?"])
            refused += msa[1] not in ("AA", "CA")
            print(f"{file.name}: {' '.join(msa[1:])}")
    if refused:
        raise typer.Exit(1)
