"""Reading a document Bundle without surprises: plain look-ups that answer "" or () when something is not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from html.parser import HTMLParser

Resource = Mapping[str, object]


def find(value: object, *path: str | int) -> object:
    """What stands at a path of names and positions, or None."""
    for step in path:
        if isinstance(step, str) and isinstance(value, Mapping):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and step < len(value):
            value = value[step]
        else:
            return None
    return value


def text(value: object, *path: str | int) -> str:
    """The text or number at a path as written, else ""."""
    found = find(value, *path)
    return "" if found is None or isinstance(found, (dict, list, bool)) else str(found)


def each(value: object, *path: str | int) -> tuple[Resource, ...]:
    """The objects in the list at a path."""
    found = find(value, *path)
    return tuple(item for item in found if isinstance(item, Mapping)) if isinstance(found, list | tuple) else ()


def codes(value: object, *path: str | int) -> tuple[tuple[str, str], ...]:
    """(system, code) of each coding of a CodeableConcept."""
    return tuple((text(coding, "system"), text(coding, "code")) for coding in each(find(value, *path), "coding"))


def concept(value: object, *path: str | int) -> str:
    """A CodeableConcept in words: its text, else the first display, else the first code."""
    found = find(value, *path)
    displays = (text(coding, "display") for coding in each(found, "coding"))
    return text(found, "text") or next(filter(None, displays), "") or text(found, "coding", 0, "code")


@dataclass(frozen=True, slots=True)
class Run:
    """Neighbouring pieces of a narrative as plain text. `kind`: p, li, head, fact (label and value) or table (`head`: its first row)."""

    kind: str
    rows: tuple[tuple[str, ...], ...]
    head: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the Composition: its record-standard heading, its narrative as plain text, the resources it names."""

    code: str
    title: str
    blocks: tuple[Run, ...]
    entries: tuple[Resource, ...]


class _Narrative(HTMLParser):
    """XHTML narrative → Runs of plain text. No tag of the source ever reaches the page; no word is lost."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[tuple[str, str, tuple[str, ...]]] = []
        self._words: list[str] = []
        self._cells: list[str] = []
        self._tag = self._cell = "p"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "br":
            self._words.append("\n")
        elif tag not in ("b", "i", "em", "strong", "span", "a"):
            self._flush()
            self._tag = tag

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("br", "b", "i", "em", "strong", "span", "a"):
            self._flush()
            if tag in ("dd", "tr"):
                self._end_row(tag)
            self._tag = "p"

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def finish(self) -> tuple[Run, ...]:
        self._flush()
        self._end_row("tr")
        runs: list[Run] = []
        for kind, tag, cells in self.pieces:
            if kind == "table" and tag == "th":
                runs.append(Run("table", (), cells))
            elif runs and runs[-1].kind == kind:
                runs[-1] = replace(runs[-1], rows=(*runs[-1].rows, cells))
            else:
                runs.append(Run(kind, (cells,)))
        return tuple(runs)

    def _flush(self) -> None:
        words = "".join(self._words).strip()
        self._words.clear()
        if self._tag in ("dt", "dd", "th", "td"):
            self._cells.append(words)
            self._cell = self._tag
        elif words:
            kind = "head" if self._tag in ("h1", "h2", "h3", "h4", "h5", "h6") else "li" if self._tag == "li" else "p"
            self.pieces.append((kind, self._tag, (words,)))

    def _end_row(self, tag: str) -> None:
        if any(self._cells):
            kind = "fact" if tag == "dd" else "table"
            self.pieces.append((kind, self._cell, (*self._cells, "") if kind == "fact" and len(self._cells) == 1 else tuple(self._cells)))
        self._cells.clear()


def narrative(div: str) -> tuple[Run, ...]:
    """The words of a narrative, in order."""
    reader = _Narrative()
    reader.feed(div)
    reader.close()
    return reader.finish()


class Papers:
    """A document Bundle by reference, by type and by section. An absent Bundle is an empty one."""

    def __init__(self, bundle: Resource | None) -> None:
        entries = each(bundle, "entry")
        self._by_url: dict[str, Resource] = {
            text(entry, "fullUrl"): found for entry in entries if isinstance(found := entry.get("resource"), Mapping)
        }
        self.composition: Resource = next(self.of("Composition"), {})
        self.patient: Resource = self.follow(self.composition, "subject") or next(self.of("Patient"), {})
        self.encounter: Resource = self.follow(self.composition, "encounter") or next(self.of("Encounter"), {})
        self.sections = tuple(self._section(found) for found in each(self.composition, "section"))

    def of(self, kind: str) -> Iterator[Resource]:
        """Every resource of a type, in the Bundle's order."""
        return (found for found in self._by_url.values() if text(found, "resourceType") == kind)

    def follow(self, value: object, *path: str | int) -> Resource:
        """The resource that a Reference at a path points to, else an empty one."""
        return self._by_url.get(text(find(value, *path), "reference"), {})

    def section(self, code: str) -> Section | None:
        """The section with a record-standard heading, if the document has it."""
        return next((found for found in self.sections if found.code == code), None)

    def _section(self, found: Resource) -> Section:
        return Section(
            code=text(found, "code", "coding", 0, "code"),
            title=text(found, "title"),
            blocks=narrative(text(found, "text", "div")),
            entries=tuple(target for entry in each(found, "entry") if (target := self.follow(entry))),
        )
