"""The visible text of an XHTML narrative: blocks on lines of their own, the cells of a row beside each other."""

import re
from html import unescape

from lxml import etree

from exchange.fhir.r4.xml import XmlRefused, parse

_BLOCKS = frozenset(
    ("address", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
     "table", "tr", "ul")
)  # fmt: skip
_UNSEEN = frozenset(("script", "style", "head", "title"))
_TAG = re.compile(r"<[^<>]*>")


def plain(div: str) -> str:
    """Text as a reader sees it; white space inside `pre` is kept. What is no XHTML loses its tags and nothing else."""
    if not div:
        return ""
    try:
        root = parse(div.encode())
    except XmlRefused:
        return _tidy(unescape(_TAG.sub(" ", div)))
    out: list[str] = []
    _write(root, out, is_pre=False)
    return _tidy("".join(out))


def has_words(text: str) -> bool:
    """Whether a reader sees more than the bars and colons that stand for the borders of cells (count.py counts the same)."""
    return any(not letter.isspace() and letter not in "|:" for letter in text)


def _write(node: etree._Element, out: list[str], *, is_pre: bool) -> None:
    name = etree.QName(node).localname.lower()
    if name in _UNSEEN:
        return
    is_pre = is_pre or name == "pre"
    if name in _BLOCKS:
        out.append("\n")
    out += _words(node.text, is_pre)
    if name == "img":
        out.append(node.get("alt") or "")
    for child in node:
        if etree.QName(child).localname.lower() in ("td", "th") and child.getprevious() is not None:
            while out and out[-1].isspace():
                out.pop()
            out.append(": " if _is_label(child.getprevious(), child) else " | ")
        _write(child, out, is_pre=is_pre)
        out += _words(child.tail, is_pre)
    if name in _BLOCKS:
        out.append("\n")


def _is_label(before: etree._Element | None, cell: etree._Element) -> bool:
    return before is not None and etree.QName(before).localname == "th" and etree.QName(cell).localname == "td"


def _words(text: str | None, is_pre: bool) -> list[str]:
    return [text if is_pre else re.sub(r"[ \t\r\n]+", " ", text)] if text else []


def _tidy(text: str) -> str:
    lines = [line.rstrip() if line.strip() else "" for line in text.splitlines()]
    return "\n".join(line.removeprefix(" ") for line in lines if line).strip("\n")
