"""What a PDF could do is told in plain words; a plain one says nothing, and chance bytes of packed data are no script."""

import random

import pytest

from exchange.fhir.pdf_scan import active_content, warning

PLAIN = b"%PDF-1.4\n1 0 obj\n<< /Type /Catalog /Pages 2 0 R /OpenAction [3 0 R /Fit] >>\nendobj\ntrailer << /Root 1 0 R >>\n%%EOF\n"


def with_(member: bytes) -> bytes:
    return PLAIN.replace(b"/Pages", member + b" /Pages")


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (b"/OpenAction << /S /JavaScript /JS (app.alert\\(1\\)) >>", ("a script", "something that starts when it is opened")),
        (b"/OpenAction 9 0 R", ("something that starts when it is opened",)),
        (b"/AA << /O 9 0 R >>", ("something that starts by itself",)),
        (b"/S /Launch", ("a command to start another program",)),
        (b"/Names << /EmbeddedFiles 7 0 R >>", ("other files inside it",)),
        (b"/J#61va#53cript 9 0 R", ("a script",)),
        (b"/J#53(x)", ("a script",)),
        (b"/Encrypt 5 0 R", ("a lock: it may ask for a password",)),
        (b"/Type /ObjStm", ("parts that are packed and were not looked into",)),
    ],
)
def test_each_kind_is_named(member: bytes, words: tuple[str, ...]) -> None:
    assert active_content(with_(member)) == words
    assert warning(active_content(with_(member))).startswith("This file holds ")


@pytest.mark.parametrize("member", [b"", b"/JSON 1", b"/AAPL:Keywords []", b"/LaunchPad 1", b"/EncryptMetadata false"])
def test_a_plain_pdf_says_nothing(member: bytes) -> None:
    assert active_content(with_(member)) == ()
    assert warning(()) == ""


def test_what_is_no_pdf_is_not_looked_at() -> None:
    assert active_content(b"Dear colleague, /JavaScript (x) /Launch") == ()


def test_packed_data_is_no_script_by_chance() -> None:
    noise = random.Random(1).randbytes(2_000_000)
    assert active_content(PLAIN + b"stream\n" + noise + b"\nendstream") == ()
