"""The elements of one Kettering file, each value with its XPath and what became of it."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import Final

from lxml import etree

from exchange.fhir.draft import Item, Outcome, Unreadable
from exchange.fhir.r4.xml import XmlRefused, parse

Element = etree._Element
ROOT: Final = "ReportMsg"
_ENCODINGS: Final = frozenset(("", "UTF-8", "US-ASCII", "ASCII", "ISO-8859-1", "LATIN1", "ISO-8859-15", "WINDOWS-1252", "CP1252"))
_DECLARED: Final = re.compile(rb"""<\?xml[^>]*?\bencoding\s*=\s*["']([^"'>]*)["']""")
# Bytes 80-9F of a file that says ISO-8859-1 are Windows-1252, for they can mean nothing else (as in HL7 v2; our decision).
_C1: Final = {code: text for code in range(0x80, 0xA0) if (text := bytes([code]).decode("cp1252", "ignore"))}
_MAX_VALUES: Final = 50_000
_TRANSPORT: Final = frozenset(("MsgUrgency", "MsgRcptAckRequest", "MsgRecipient", "MsgId", "MsgStatus", "MsgIssueDate", "MsgSender"))


class Report:
    """One file. `at` gives the elements of a path of names below an element, `take` a value with the claim that it is carried."""

    def __init__(self, raw: bytes) -> None:
        """Raises Unreadable: not well-formed, an internal subset or an entity, a character set that we do not read, too many values."""
        found = _DECLARED.match(raw.removeprefix(b"\xef\xbb\xbf"))
        self.encoding = (found[1].decode("latin-1") if found else "").upper()
        if self.encoding not in _ENCODINGS:
            raise Unreadable("character_set_unknown", "The file declares a character set that we do not read.")
        try:
            self.root = parse(raw, bare_doctype=ROOT.encode())
        except XmlRefused as problem:
            raise Unreadable("kettering_xml", str(problem)) from None
        if self.root.tag != ROOT:
            raise Unreadable("kettering_xml", f"The root of the file is not {ROOT}.")
        self.is_latin = self.encoding in ("ISO-8859-1", "LATIN1")
        self._where: dict[Element, str] = {}
        self._claims: dict[str, tuple[Outcome, str, str, str]] = {}
        self._locate(self.root, f"/{ROOT}")

    def _locate(self, element: Element, where: str) -> None:
        """The place of every element; what is inside a TextBlock is the letter's, not ours."""
        self._where[element] = where
        if len(self._where) > _MAX_VALUES or len(element.attrib) > _MAX_VALUES:
            raise Unreadable("too_many_values", f"The file has more than {_MAX_VALUES} values.")
        seen: Counter[str] = Counter()
        for child in element if element.tag != "TextBlock" else ():
            name = str(child.tag)
            seen[name] += 1
            self._locate(child, f"{where}/{name}" + (f"[{seen[name]}]" if seen[name] > 1 else ""))

    def at(self, path: str, below: Element | None = None) -> list[Element]:
        return [found for found in (self.root if below is None else below).iterfind(path) if found in self._where]

    def position(self, element: Element) -> str:
        return self._where[element]

    def plain(self, text: str | None) -> str:
        """Text as it was meant: the C1 repair, and nothing else."""
        return (text or "").translate(_C1) if self.is_latin else text or ""

    def value(self, element: Element | None) -> str:
        """The text of an element, white space evened out; "" when there is none."""
        return "" if element is None else " ".join(self.plain(element.text).split())

    def first(self, path: str, below: Element | None = None) -> Element | None:
        """The first element of this path that has a value, else the first."""
        found = self.at(path, below)
        return next((one for one in found if self.value(one)), found[0] if found else None)

    def take(self, element: Element | None, path: str, outcome: Outcome = Outcome.MAPPED) -> str:
        """The value, claimed for a FHIRPath."""
        value = self.value(element)
        if element is not None and value:
            self.claim(element, path, outcome)
        return value

    def claim(self, element: Element, path: str, outcome: Outcome = Outcome.MAPPED, said: str = "", attribute: str = "") -> None:
        self._claims[self._where[element] + (f"/@{attribute}" if attribute else "")] = (outcome, path, "", said)

    def refuse(self, element: Element, reason: str, outcome: Outcome = Outcome.NOT_CARRIED) -> None:
        self._claims[self._where[element]] = (outcome, "", reason, "")

    def items(self, unused: str = "") -> tuple[Item, ...]:
        """Every non-empty value once. `unused`: why nothing of this file is carried."""
        return tuple(self._item(where, name, value, unused) for where, name, value in self._values())

    def _item(self, where: str, name: str, value: str, unused: str) -> Item:
        rest = "transport" if name in _TRANSPORT else "has no place in the document"
        outcome, path, reason, said = self._claims.get(where, (Outcome.NOT_CARRIED, "", rest, ""))
        if unused:
            outcome, path, reason = Outcome.NOT_CARRIED, "", unused
        return Item(where, said or value, outcome, path, reason)

    def _values(self) -> Iterator[tuple[str, str, str]]:
        """(XPath, name, value) of every non-empty text and attribute."""
        for element, where in self._where.items():
            for name, value in element.attrib.items():
                if value.strip():
                    yield f"{where}/@{name}", str(name), self.plain(str(value)).strip()
            text = "".join(element.itertext()) if element.tag == "TextBlock" else element.text
            if text and text.strip():
                yield where, str(element.tag), self.plain(text).strip()
            if element.tag != "TextBlock":
                for number, child in enumerate(element, 1):
                    if child.tail and child.tail.strip():
                        yield f"{where}/text()[{number + 1}]", "", self.plain(child.tail).strip()
