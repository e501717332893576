"""Safe XHTML narrative from plain data: everything is escaped, nothing a source wrote can become markup or hide.

The only tags that come out are TAGS; the only attribute is xmlns on the div (txt-1, txt-2).
"""

import re
from collections.abc import Iterable, Sequence
from typing import NewType

Xhtml = NewType("Xhtml", str)
TAGS = frozenset(("div", "h4", "p", "br", "dl", "dt", "dd", "ul", "li", "table", "thead", "tbody", "tr", "th", "td"))

# Made visible, not obeyed: C0 without tab and line feed, DEL, C1, bidi marks and overrides, line and paragraph separators,
# surrogates, non-characters.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def _mark(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(0x2400 + code) if code < 0x20 else f"[U+{code:04X}]"


def visible(words: str) -> str:
    """The words with one kind of line end and every hidden character made visible; nothing else changes."""
    return _HIDDEN.sub(_mark, words.replace("\r\n", "\n").replace("\r", "\n"))


def escape(words: str) -> Xhtml:
    """Text as XHTML: hidden characters visible, markup escaped, line ends as <br/>."""
    plain = visible(words).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
    return Xhtml(plain.replace("\n", "<br/>"))


def heading(words: str) -> Xhtml:
    return Xhtml(f"<h4>{escape(words)}</h4>")


def paragraph(words: str) -> Xhtml:
    return Xhtml(f"<p>{escape(words)}</p>")


def facts(rows: Iterable[tuple[str, str]]) -> Xhtml:
    """Label and value, in order; a row without value is left out."""
    body = "".join(f"<dt>{escape(label)}</dt><dd>{escape(value)}</dd>" for label, value in rows if value)
    return Xhtml(f"<dl>{body}</dl>" if body else "")


def bullets(lines: Iterable[str]) -> Xhtml:
    body = "".join(f"<li>{escape(line)}</li>" for line in lines if line)
    return Xhtml(f"<ul>{body}</ul>" if body else "")


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Xhtml:
    """A table whose empty cells stay empty; no rows, no table."""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    top = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    return Xhtml(f"<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>" if body else "")


def narrative(*blocks: Xhtml) -> dict[str, object]:
    """Narrative of the blocks; with nothing in them it says "Not recorded"."""
    body = "".join(blocks) or paragraph("Not recorded")
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{body}</div>'}
