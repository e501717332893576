"""TextBlock → a letter's bytes, its media type by what they are (TextMarkupIndicator claims HTML for everything), its text when HTML."""

import binascii
import re
from typing import Final, NamedTuple

from lxml import etree

from adapters.kettering.html import looks_like_html, to_lines
from adapters.kettering.report import Element, Report
from exchange.fhir.draft import Unreadable

_BINARY: Final = (
    (b"%PDF-", "application/pdf"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"{\\rtf", "application/rtf"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
)
_WORD: Final = "application/msword"
_WORD_XML: Final = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/\s]{20,}={0,2}\s*", re.ASCII)
# How base64 of the above begins: cut or damaged it is no text.
_CLAIMS: Final = ("JVBERi0", "SUkqA", "TU0AK", "e1xydG", "0M8R4KGxGuE", "UEsDB", "/9j/", "iVBORw0KGgo")
_TOKEN: Final = re.compile(
    rb"""<!--.*?-->|<\?.*?\?>|<!\[CDATA\[.*?\]\]>|<TextBlock(?:\s(?:[^<>"']|"[^"]*"|'[^']*')*)?(/?)>|</TextBlock\s*>""", re.DOTALL
)
# A longer letter is read as the letter itself.
_MAX_SHOWN: Final = 500_000


class Payload(NamedTuple):
    """One letter; `lines`: an HTML letter as text, None when it is no HTML or too long to be shown."""

    media_type: str
    content: bytes
    lines: tuple[str, ...] | None


def blocks(raw: bytes) -> list[bytes]:
    """The bytes between the tags of each TextBlock of well-formed XML, in order."""
    found: list[bytes] = []
    start: int | None = None
    for token in _TOKEN.finditer(raw):
        if token[0].startswith(b"<TextBlock"):
            if token[1]:
                found.append(b"")
            elif start is None:
                start = token.end()
        elif token[0].startswith(b"</") and start is not None:
            found.append(raw[start : token.start()])
            start = None
    return found


def payload(report: Report, block: Element, inner: bytes) -> Payload | None:
    """The letter of a TextBlock, None when it is empty. `inner`: its bytes in the file.

    CDATA and markup travel as they stand in the file; escaped text travels as the text it stands for, in UTF-8.
    Raises Unreadable when base64 of a known kind cannot be decoded: half a letter is never passed on.
    """
    text = report.plain(etree.tostring(block, encoding="unicode", with_tail=False) if len(block) else block.text)
    if not text.strip():
        return None
    if file := _file(text, report.position(block)):
        return Payload(*file, _shown(_decoded(file[1])) if file[0] == "text/html" else None)
    content, charset = text.encode(), "utf-8"
    if len(block):
        content, charset = inner, report.encoding.lower()
    elif inner.strip().startswith(b"<![CDATA[") and inner.find(b"]]>") == len(inner.rstrip()) - 3:
        content, charset = inner.strip()[9:-3], report.encoding.lower()
    if content.lstrip().startswith(b"{\\rtf"):
        return Payload("application/rtf", content, None)
    if report.is_latin and charset != "utf-8" and re.search(rb"[\x80-\x9f]", content):
        charset = "windows-1252"
    is_html = looks_like_html(text)
    media_type = "text/html" if is_html else "text/plain"
    if not content.isascii() and (is_html or charset not in ("", "utf-8")):
        media_type += f"; charset={charset or 'utf-8'}"
    return Payload(media_type, content, _shown(text) if is_html else None)


def _shown(text: str) -> tuple[str, ...] | None:
    return tuple(to_lines(text)) if len(text) <= _MAX_SHOWN else None


def _decoded(content: bytes) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _file(text: str, where: str) -> tuple[str, bytes] | None:
    """A file in base64: of a kind that we know by its beginning, or anything long that can be nothing else."""
    text = text.strip()
    if not _BASE64.fullmatch(text) and not text.startswith(_CLAIMS):
        return None
    compact = "".join(text.split())
    try:
        content = binascii.a2b_base64(compact + "=" * (-len(compact) % 4), strict_mode=True)
    except ValueError:
        if text.startswith(_CLAIMS):
            raise Unreadable("attachment_damaged", "An attached file cannot be decoded from its base64.", position=where) from None
        return None
    kind = _kind(content)
    if kind:
        return kind, content
    return ("application/octet-stream", content) if len(compact) > 200 and max(map(len, text.split())) > 60 else None


def _kind(content: bytes) -> str:
    """The media type by what the bytes say of themselves; "" when they say nothing. Archives are not opened."""
    head = content[:1024]
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _WORD if "WordDocument".encode("utf-16-le") in content else "application/octet-stream"
    if head.startswith(b"PK\x03\x04"):
        return _WORD_XML if b"word/" in content else "application/zip"
    if looks_like_html(head.decode("latin-1")):
        return "text/html"
    return next((media_type for magic, media_type in _BINARY if head.lstrip().startswith(magic)), "")
