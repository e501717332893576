"""The HTML of a letter → lines of text with nothing visible lost. Total, and linear in the length of its input.

What only looks can say is said in words: struck-out and hidden text, pictures, tick boxes, numbers of lists, raised figures (10^9). A row
of a table is one line with ` | ` between its cells. A "tag" that HTML does not have was text between angle brackets, and stays.
"""

import html
import re
from collections import Counter
from collections.abc import Iterator
from typing import Final, NamedTuple


def _names(words: str) -> frozenset[str]:
    return frozenset(words.split())


_KNOWN: Final = _names(
    "html head body title meta link base style script noscript template section nav article aside h1 h2 h3 h4 h5 h6 hgroup header footer "
    "address main p hr pre blockquote ol ul menu li dl dt dd figure figcaption div a em strong small s cite q dfn abbr ruby rt rp data "
    "time code var samp kbd sub sup i b u mark bdi bdo span br wbr ins del picture source img iframe embed object param video audio track "
    "map area svg math canvas table caption colgroup col tbody thead tfoot tr td th form label input button select datalist optgroup "
    "option textarea output progress meter fieldset legend details summary dialog font center big strike tt nobr basefont xml marquee"
)
_BLOCKS: Final = _names(
    "html body title section nav article aside h1 h2 h3 h4 h5 h6 header footer address main p hr pre blockquote ol ul menu li dl dt dd "
    "figure figcaption div table caption thead tbody tfoot tr form fieldset legend option select details summary dialog center"
)
_VOID: Final = _names("area base br col embed hr img input link meta param source track wbr basefont")
_UNSEEN: Final = _names("iframe embed object video audio svg canvas")
_STRUCK: Final = frozenset(("s", "strike", "del"))
_ATTRIBUTE: Final = re.compile(r"""([^\s"'>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")
_HIDING: Final = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden|mso-hide\s*:\s*all", re.IGNORECASE)
_STRIKING: Final = re.compile(r"line-through", re.IGNORECASE)
_IN_TAG: Final = re.compile("[\"'>]")
_LOOK: Final = "[This letter hides or strikes out text by a style sheet, which is not followed here: read the letter itself.]"
CELL: Final = " | "


class Token(NamedTuple):
    """Text (`name` ""), a start tag, or an end tag (`/name`); `raw` as written, `attributes` the inside of the tag after its name."""

    name: str
    raw: str
    attributes: str = ""


def looks_like_html(text: str) -> bool:
    """Whether a text has a start tag that HTML knows and ends one somewhere, or has a line break tag."""
    found = re.search(r"<(!doctype\s+html|html|body|p|div|table|br|span|b|pre|font|ul|ol|h[1-6])\b[^<>]*>", text, re.IGNORECASE)
    return found is not None


def to_lines(source: str) -> list[str]:
    """The lines of a letter as a reader sees them, without blank ones."""
    page = _Page()
    for token in _tokens(source):
        page.take(token)
    return page.finish()


def _tokens(source: str) -> Iterator[Token]:
    """Text and tags in order. Comments and declarations are dropped, scripts too; what is never closed is shown as text."""
    at, length, trusts_quotes = 0, len(source), True
    while at < length:
        start = source.find("<", at)
        if start < 0:
            start = length
        if start > at:
            yield Token("", html.unescape(source[at:start]))
        head = source[start + 1 : start + 4]
        if head == "!--":
            end = source.find("-->", start + 4) + 3
        elif head[:1] in ("!", "?"):
            end = source.find(">", start) + 1
        elif head.removeprefix("/")[:1].isalpha():
            end = _tag_end(source, start) if trusts_quotes else 0
            if not end:
                trusts_quotes, end = False, source.find(">", start) + 1
        else:  # a lone "<", as in "Hb < 100"
            end = start + 1
            yield Token("", source[start:end])
            at = end
            continue
        if end < 3:  # never closed
            yield Token("", html.unescape(source[start:]))
            return
        at = end
        if head[:1] in ("!", "?"):
            continue
        raw = source[start:end]
        name = re.split(r"[\s>]|(?<=.)/", raw[1:], maxsplit=1)[0].lower()
        yield Token(name, raw, raw[len(name) + 1 : -1])
        if name in ("script", "style", "template"):
            closing = re.compile(rf"</{name}", re.IGNORECASE).search(source, at)
            inside = source[at : closing.start() if closing else length]
            at += len(inside)
            if name == "style" and (_HIDING.search(inside) or _STRIKING.search(inside)):
                yield Token("", _LOOK)


def _tag_end(source: str, start: int) -> int:
    """The end of a tag whose quotes are balanced; 0 when there is none."""
    at = start
    while mark := _IN_TAG.search(source, at):
        if mark[0] == ">":
            return mark.end()
        at = source.find(mark[0], mark.end()) + 1
        if not at:
            return 0
    return 0


class _Page:
    """Lines as they grow. `pieces` are of the present line; `ends`: open tags with what their end adds, `open` how many of each name."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.pieces: list[str] = []
        self.open: Counter[str] = Counter()
        self.is_break_due = False
        self.is_first_cell = True
        self.ends: list[tuple[str, str]] = []
        self.numbers: list[int | None] = []

    def take(self, token: Token) -> None:
        name = token.name
        if not name:
            self.text(token.raw)
        elif name.startswith("/"):
            self.end(name[1:], token)
        elif name not in _KNOWN:
            if ":" not in name:  # Word's own (o:p, st1:place) mark nothing visible
                self.text(token.raw)
        else:
            self.start(name, {key.lower(): html.unescape(a or b or c) for key, a, b, c in _ATTRIBUTE.findall(token.attributes)})

    def text(self, words: str) -> None:
        if self.open["pre"]:
            first, *rest = words.replace("\r\n", "\n").split("\n")
            self.put(first)
            for one in rest:
                self.flush()
                self.put(one)
            return
        words = re.sub(r"[ \t\r\n\f]+", " ", words).replace("\xa0", " ")
        self.put(words.lstrip(" ") if not self.pieces or self.is_break_due else words)

    def put(self, words: str) -> None:
        if not words:
            return
        if self.is_break_due and words.strip():
            if self.pieces and self.pieces[-1] != CELL:
                self.flush()
            self.is_break_due = False
        self.pieces.append(words)

    def flush(self) -> None:
        if line := "".join(self.pieces).strip():
            self.lines.append(line)
        self.pieces, self.is_break_due = [], False

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self.is_break_due = self.is_break_due or name in _BLOCKS
        kind = attributes.get("type", "").lower()
        if name == "br":
            self.flush()
        elif name == "tr":
            self.flush()
            self.is_first_cell = True
        elif name in ("td", "th"):
            if not self.is_first_cell:
                self.pieces.append(CELL)
                self.is_break_due = False
            self.is_first_cell = False
        elif name in ("ol", "ul", "menu"):
            begin = attributes.get("start", "")
            self.numbers.append((int(begin) if begin.isdecimal() and len(begin) < 9 else 1) if name == "ol" else None)
        elif name == "li":
            number = self.numbers[-1] if self.numbers else None
            self.put(f"{number}. " if number is not None else "- ")
            if number is not None:
                self.numbers[-1] = number + 1
        elif name in ("sup", "sub"):
            self.put("^" if name == "sup" else "_")
        elif name == "q":
            self.put('"')
        elif name == "img":
            self.put(f"[picture: {attributes['alt']}]" if attributes.get("alt") else "[picture, not shown here]")
        elif name in _UNSEEN:
            self.put(f"[{name}, not shown here]")
        elif name == "option" or (name == "input" and kind in ("checkbox", "radio")):
            self.put("[x] " if {"checked", "selected"} & attributes.keys() else "[ ] ")
        elif name == "input" and kind != "hidden":
            self.put(attributes.get("value", ""))
        if name not in _VOID:
            style = attributes.get("style", "")
            is_struck, is_hidden = name in _STRUCK or bool(_STRIKING.search(style)), "hidden" in attributes or bool(_HIDING.search(style))
            self.put(("[struck out: " if is_struck else "") + ("[hidden in the letter: " if is_hidden else ""))
            self.ends.append((name, "]" * (is_struck + is_hidden) + ('"' if name == "q" else "")))
            self.open[name] += 1

    def end(self, name: str, token: Token) -> None:
        if name not in _KNOWN:
            if ":" not in name:
                self.text(token.raw)
            return
        while self.open[name]:
            closed, words = self.ends.pop()
            self.open[closed] -= 1
            self.pieces += [words] if words else []
            if closed == name:
                break
        if name in ("ol", "ul", "menu") and self.numbers:
            self.numbers.pop()
        self.is_break_due = self.is_break_due or name in _BLOCKS

    def finish(self) -> list[str]:
        self.pieces += [words for _, words in reversed(self.ends)]
        self.flush()
        return self.lines
