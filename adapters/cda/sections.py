"""Sections: which heading of our document each belongs to, its narrative as blocks of plain words, and text by reference.

Narrative becomes data, never markup: paragraphs, lists and tables of strings, which the document's own narrative writer escapes. All words
stay, in their order; attributes (styleCode, event handlers, styles) do not travel.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.cda.source import MAX_NEAR, NARRATIVE, TEXT, Node
from adapters.cda.types import table
from exchange.fhir.draft import Entry

Block = dict[str, object]
_INLINE = frozenset(("content", "linkHtml", "sub", "sup", "footnoteRef", "br", "renderMultiMedia"))
_SPACES = re.compile(r"[ \t\r\n]+")
_BREAK = "\x1f"
_FALLBACK = "clinical-summary"


@dataclass(slots=True)
class Section:
    """One section: its heading, its own code, its title with those above it, and its text as blocks and as words."""

    node: Node
    heading: str
    code: str
    title: str
    blocks: list[Block] = field(default_factory=list)
    words: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def has_words(self) -> bool:
        """Whether its own text says something that can be seen (counter.py counts the same)."""
        return _is_seen(self.words)

    def note(self) -> Entry | None:
        """The section's narrative, with a line for each coded entry that its text does not say."""
        blocks: list[Block] = [*self.blocks]
        if self.lines:
            blocks.append({"items": self.lines})
        if not blocks and (not self.title or self.node.all("component")):
            return None
        blocks = blocks or [{"text": "Nothing is written in this section."}]
        words = "\n".join(map(block_words, blocks))
        note: Block = {"resourceType": "", "section": self.heading, "title": self.title, "text": words, "blocks": blocks}
        return Entry("section" if self.has_words else "note", self.node.position, note)


class Narrative:
    """All sections of a document, and the words behind every ID in their texts."""

    def __init__(self, document: Node) -> None:
        self.ids: dict[str, list[Node]] = {}
        self._said: dict[str, str] = {}
        body = document.first("component", "structuredBody")
        self.sections = [section for node in body.all("component", "section") for section in self._read(node, "", _FALLBACK)]
        self.words = "\n".join(section.words for section in self.sections)

    def _read(self, node: Node, above: str, heading: str) -> Iterator[Section]:
        code, title = node.first("code"), node.first("title")
        own = title.take("Composition.section.title", TEXT) or code.value("displayName")
        heading = table("heading").get(code.value("code"), "") or _by_title(own) or heading
        if code.value("code") in table("heading"):
            code.claim("Composition.section.code", "code", "codeSystem", "displayName")
        words = own if not above or not own else f"{above}: {own}"
        section = Section(node, heading, code.value("code"), words)
        text = node.first("text")
        if text:
            text.settle(NARRATIVE)
            section.blocks = blocks(text)
            section.words = "\n".join(map(block_words, section.blocks))
            node.near = section.words[:MAX_NEAR]
            for each in text.descendants():
                if "ID" in each.attrs:
                    self.ids.setdefault(each.attrs["ID"], []).append(each)
        yield section
        for child in node.all("component", "section"):
            yield from self._read(child, words or above, heading)

    def resolve(self, node: Node) -> str:
        """The words that `reference` in this text or originalText points to; "" when there are none, or several that differ."""
        target = node.first("reference").value().removeprefix("#")
        if target not in self._said:
            found = {plain(each) for each in self.ids.get(target, ())} - {""}
            self._said[target] = found.pop() if len(found) == 1 else ""
        if said := self._said[target]:
            node.first("reference").claim("text", "value")
            return said
        return ""


def _is_seen(words: str) -> bool:
    """Whether a reader sees more than the bars that stand for the borders of cells."""
    return any(not letter.isspace() and letter != "|" for letter in words)


def _by_title(title: str) -> str:
    lower = title.lower()
    return next((heading for words, heading in table("title").items() if words in lower), "")


def plain(node: Node) -> str:
    """All words of one narrative element in one line; cells are set apart, line breaks are spaces."""
    if node.name == "tr":
        return " | ".join(filter(None, (plain(cell) for cell in node.children)))
    if any(each.name in ("table", "list", "paragraph") for each in node.children):
        return " ".join(filter(None, (block_words(block).replace("\n", " ") for block in blocks(node))))
    return _inline(node).replace("\n", " ").strip()


def blocks(node: Node) -> list[Block]:
    """The paragraphs, lists and tables of a text, in order: {"text"}, {"items"} or {"head", "rows"}."""
    found: list[Block] = []
    if not node.children:
        lines = [" ".join(line.split()) for line in node.text.strip().splitlines()]
        return [{"text": "\n".join(lines)}] if any(lines) else []
    run = [node.text]

    def end() -> None:
        text = _tidy("".join(run))
        run.clear()
        if text:
            found.append({"text": text})

    for child in node.children:
        if child.name in _INLINE and not any(each.name in ("table", "list", "paragraph") for each in child.descendants()):
            run.append(_raw(child))
        else:
            end()
            found += _block(child)
        run.append(child.tail)
    end()
    return found


def _block(node: Node) -> list[Block]:
    if node.name == "list":
        is_ordered = node.attrs.get("listType") == "ordered"
        items = [" ".join(filter(None, (block_words(block) for block in blocks(item)))) for item in node.all("item")]
        numbered = [f"{number}. {item}" for number, item in enumerate(items, 1)] if is_ordered else items
        loose: list[Block] = [{"text": text} for each in node.children if each.name != "item" and (text := plain(each))]
        return [*loose, {"items": numbered}] if any(map(_is_seen, items)) else loose
    if node.name == "table":
        captions: list[Block] = [{"text": text} for each in node.children if each.name == "caption" and (text := plain(each))]
        rows = [(row, [cell for cell in row.children if cell.name in ("td", "th")]) for row in _rows(node)]
        texts = [(all(cell.name == "th" for cell in cells), [_cell(cell) for cell in cells]) for _, cells in rows]
        head = texts[0][1] if texts and texts[0][0] else []
        body = [cells for _, cells in (texts[1:] if head else texts) if any(map(_is_seen, cells))]
        if not body and any(head):
            head, body = [], [head]
        return [*captions, *([{"head": head, "rows": body}] if body else [])]
    return blocks(node)


def _rows(node: Node) -> Iterator[Node]:
    for child in node.children:
        if child.name == "tr":
            yield child
        elif child.name in ("thead", "tbody", "tfoot"):
            yield from _rows(child)


def _cell(cell: Node) -> str:
    return "\n".join(map(block_words, blocks(cell)))


def _raw(node: Node) -> str:
    """The words of an inline element with breaks marked, spaces as they are; deleted words say so, a file says where it is."""
    if node.name == "br":
        return _BREAK
    if node.name == "renderMultiMedia":
        return f"[attached file{': ' + plain(node.first('caption')) if node.first('caption') else ''}]"
    words = node.text + "".join(_raw(child) + child.tail for child in node.children)
    return f"[deleted: {words.strip()}]" if node.attrs.get("revised") == "delete" and words.strip() else words


def _inline(node: Node) -> str:
    return _tidy(_raw(node))


def _tidy(words: str) -> str:
    return "\n".join(line.strip(" ") for line in _SPACES.sub(" ", words).split(_BREAK)).strip("\n ")


def block_words(block: Mapping[str, object]) -> str:
    """A block as plain lines; the cells of a row are set apart by bars."""
    if "text" in block:
        return str(block["text"])
    items = block.get("items")
    if isinstance(items, Sequence):
        return "\n".join(map(str, items))
    head, rows = block["head"], block["rows"]
    assert isinstance(head, list)
    assert isinstance(rows, list)
    return "\n".join(" | ".join(row) for row in ([head] if head else []) + rows)
