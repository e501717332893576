"""Bytes to segments, fields and values of HL7 v2 (chapter 2), and the account of what became of each value.

Splitting is lazy: a segment is cut into fields, a field into repetitions and components when somebody asks. Whoever reads a value
says where it goes (`take`, `claim`, `withhold`); `Message.items` walks every value once at the end and lists the rest as not carried.
"""

import re
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

from adapters.common import code_table
from exchange.fhir.draft import Item, Outcome, Unreadable

MAX_VALUES = 200_000
table = partial(code_table, "hl7v2")
DELETE = '""'
TRANSPORT = frozenset(("MSH", "EVN", "FHS", "BHS", "BTS", "FTS", "SFT", "UAC"))
_HEADERS = frozenset(("MSH", "FHS", "BHS"))
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_EVENT = re.compile(r"[A-Z]{3}\^[A-Z0-9]{0,3}")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
_START = re.compile(rb"(?:\A|[\r\n])(MSH[^\r\n]*)")


class Claim(NamedTuple):
    """What became of a value: where it went, or the reason why not. `value` replaces the reported text (digests of attachments)."""

    outcome: Outcome
    path: str = ""
    reason: str = ""
    value: str = ""


class Delimiters:
    """MSH-1 and MSH-2: field, component, repetition, escape, sub-component and, from 2.7 on, the truncation character."""

    __slots__ = ("codec", "component", "decode", "escape", "field", "has_parts", "repetition", "sub")

    def __init__(self, field: str, encoding: str, codec: str) -> None:
        if len(encoding) not in (4, 5) or len(set(field + encoding)) != len(encoding) + 1:
            raise Unreadable("hl7_delimiters", "MSH-2 does not name four or five different encoding characters.", position="MSH-2")
        if any(character.isalnum() or character.isspace() or not character.isprintable() for character in field + encoding):
            raise Unreadable("hl7_delimiters", "A delimiter is a letter, a digit or a space.", position="MSH-2")
        self.field = field
        self.component, self.repetition, self.escape, self.sub = tuple(encoding[:4])
        self.codec = codec
        self.has_parts = re.compile("[" + re.escape(self.component + self.repetition + self.sub) + "]").search
        self.decode = _decoder(field, encoding, codec)


@lru_cache(maxsize=64)
def _decoder(field: str, encoding: str, codec: str) -> Callable[[str], str]:
    """The function that replaces escape sequences once (HL7 v2 2.7). Sequences that it does not know stay as they were written."""
    component, repetition, escape, sub = tuple(encoding[:4])
    plain = {"F": field, "S": component, "T": sub, "R": repetition, "E": escape, "H": "", "N": ""}
    if len(encoding) == 5:
        plain["P"] = encoding[4]
    mark = re.escape(escape)
    known = re.compile(rf"{mark}(?:([{''.join(plain)}])|[Xx]((?:[0-9A-Fa-f]{{2}})+)|\.([A-Za-z]{{2}})([+-]?[0-9]{{0,3}})){mark}")

    def replace(found: re.Match[str]) -> str:
        letter, hexadecimal, command, number = found.groups()
        if letter:
            return plain[letter]
        if hexadecimal:
            return printable(decode_bytes(bytes.fromhex(hexadecimal), codec)).replace("\r\n", "\n").replace("\r", "\n")
        command = command.lower()
        if command in ("br", "ce"):
            return "\n"
        if command in ("sp", "sk"):
            return ("\n" if command == "sp" else " ") * max(1, int(number or 1))
        return "" if command in ("fi", "nf", "in", "ti") else found.group(0)

    def decode(text: str) -> str:
        return known.sub(replace, text) if escape in text else text

    return decode


def printable(text: str) -> str:
    """The text itself, or Unreadable when it holds NUL or another control character (tab and line ends are text)."""
    if _CONTROL.search(text):
        raise Unreadable("control_character", "The message holds NUL or another control character.")
    return text


def decode_bytes(raw: bytes, codec: str) -> str:
    """Strictly by the named set. Bytes 80-9F in 8859/1 are read as Windows-1252, for they can mean nothing else (our decision)."""
    try:
        text = raw.decode(codec)
        return raw.decode("cp1252") if codec == "iso8859-1" and _CONTROL.search(text) and re.search(rb"[\x80-\x9f]", raw) else text
    except UnicodeDecodeError:
        raise Unreadable(
            "character_set", "The bytes are not text in the character set that the message or its sender's profile names."
        ) from None


class Cell:
    """One repetition of one field. Components and sub-components count from 1."""

    __slots__ = ("_parts", "field", "repetition", "segment", "text")

    def __init__(self, segment: "Segment", field: int, repetition: int, text: str) -> None:
        self.segment = segment
        self.field = field
        self.repetition = repetition
        self.text = text
        self._parts: list[str] | None = None

    def raw(self, component: int = 1, sub: int = 0) -> str:
        """As written, escapes and all; "" when absent. Without `sub` the whole component: an unescaped & in a text is part of the text."""
        parts = self._parts
        if parts is None:
            parts = self._parts = self.text.split(self.segment.delimiters.component)
        if component > len(parts):
            return ""
        text = parts[component - 1]
        if not sub or not text:
            return text
        subs = text.split(self.segment.delimiters.sub)
        return subs[sub - 1] if sub <= len(subs) else ""

    def value(self, component: int = 1, sub: int = 0) -> str:
        """Decoded and trimmed; "" when absent, blank, or the delete value."""
        text = self.raw(component, sub)
        if not text or text == DELETE:
            return ""
        delimiters = self.segment.delimiters
        if not text.replace(delimiters.sub, "").strip():
            return ""
        return delimiters.decode(text).strip()

    def claim(self, path: str, component: int = 1, sub: int = 0, outcome: Outcome = Outcome.MAPPED, value: str = "") -> None:
        """This value is carried at `path`. Component 0 stands for the whole repetition."""
        self.segment.claims[self.field, self.repetition, component, sub] = Claim(outcome, path, "", value)

    def take(self, path: str, component: int = 1, sub: int = 0) -> str:
        """The value, claimed for `path` when there is one."""
        text = self.value(component, sub)
        if text:
            self.segment.claims[self.field, self.repetition, component, sub] = Claim(Outcome.MAPPED, path)
        return text

    def words(self, path: str, outcome: Outcome = Outcome.MAPPED) -> str:
        """The whole repetition as free text (an unescaped ^ is part of it), claimed for `path` when there is any."""
        text = self.segment.delimiters.decode(self.text).strip()
        if text:
            self.claim(path, 0, outcome=outcome)
        return text

    def refuse(self, reason: str, component: int = 0, outcome: Outcome = Outcome.NOT_CARRIED) -> None:
        """This value (or the whole repetition) does not go into the document, for this reason."""
        self.segment.claims[self.field, self.repetition, component, 0] = Claim(outcome, "", reason)

    def withhold(self, rule: str) -> None:
        """The whole repetition is kept back by a named rule (architecture decision 5)."""
        self.refuse(rule, outcome=Outcome.WITHHELD)

    @property
    def position(self) -> str:
        """As in the report: `OBX[11]-5`, `PID-3[2]`."""
        return f"{self.segment.label}-{self.field}" + (f"[{self.repetition}]" if self.repetition > 1 else "")


class Segment:
    """One segment; field numbers as in the standard, MSH-1 included. `number` counts segments of the same name from 1; `notes` are the
    NTE that follow it (Z-segments between do not part them)."""

    __slots__ = ("claims", "delimiters", "fields", "name", "notes", "number")

    def __init__(self, name: str, number: int, fields: list[str], delimiters: Delimiters) -> None:
        self.name = name
        self.number = number
        self.fields = fields
        self.delimiters = delimiters
        self.claims: dict[tuple[int, int, int, int], Claim] = {}
        self.notes: list[Segment] = []

    @property
    def label(self) -> str:
        return self.name if self.number == 1 else f"{self.name}[{self.number}]"

    def text(self, field: int) -> str:
        return self.fields[field] if field < len(self.fields) else ""

    def cell(self, field: int) -> Cell:
        """The first repetition; empty when the field is absent, empty or only deletes."""
        text = self.text(field)
        first = text.partition(self.delimiters.repetition)[0] if text else ""
        return Cell(self, field, 1, "" if first == DELETE else first)

    def cells(self, field: int) -> list[Cell]:
        """Every repetition with something in it, the delete value left out."""
        parts = enumerate(self.text(field).split(self.delimiters.repetition), 1)
        return [Cell(self, field, number, text) for number, text in parts if text and text != DELETE]

    def value(self, field: int, component: int = 1) -> str:
        return self.cell(field).value(component)

    def take(self, path: str, field: int, component: int = 1) -> str:
        return self.cell(field).take(path, component)

    def deletes(self, field: int) -> bool:
        return self.text(field) == DELETE

    def settle(self, outcome: Outcome, reason: str) -> None:
        """What becomes of every value of this segment that nobody claims."""
        self.claims[0, 0, 0, 0] = Claim(outcome, "", reason)

    def leaves(self) -> Iterator[tuple[str, str, Claim | None]]:
        """Every non-empty value: position, text as written, and the nearest claim."""
        delimiters, claims = self.delimiters, self.claims
        has_parts, label = delimiters.has_parts, self.label
        whole = claims.get((0, 0, 0, 0))
        header = self.name in _HEADERS
        for field, text in enumerate(self.fields):
            if not text or not field:
                continue
            where = f"{label}-{field}"
            if (header and field < 3) or not has_parts(text):
                found = claims and (claims.get((field, 1, 1, 0)) or claims.get((field, 1, 1, 1)) or claims.get((field, 1, 0, 0)))
                yield where, text, found or whole
                continue
            for repetition, one in enumerate(text.split(delimiters.repetition), 1):
                at = where if repetition == 1 else f"{where}[{repetition}]"
                of_repetition = claims.get((field, repetition, 0, 0)) or whole
                components = one.split(delimiters.component)
                for component, part in enumerate(components, 1):
                    if not part:
                        continue
                    here = at if len(components) == 1 else f"{at}.{component}"
                    of_component = claims.get((field, repetition, component, 0))
                    if delimiters.sub not in part:
                        yield here, part, of_component or claims.get((field, repetition, component, 1)) or of_repetition
                        continue
                    if len(components) == 1:
                        here = f"{at}.1"
                    for number, piece in enumerate(part.split(delimiters.sub), 1):
                        if piece:
                            exact = claims.get((field, repetition, component, number))
                            yield f"{here}.{number}", piece, exact or of_component or of_repetition


class Message:
    """One HL7 v2 message and whatever batch envelope was around it."""

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self.named: dict[str, list[Segment]] = {}
        for segment in segments:
            self.named.setdefault(segment.name, []).append(segment)
        self.header = self.named["MSH"][0]

    def all(self, name: str) -> list[Segment]:
        return self.named.get(name, [])

    def first(self, name: str) -> Segment:
        """The first segment of this name, or an empty one."""
        return self.named[name][0] if name in self.named else Segment(name, 1, [name], self.header.delimiters)

    def groups(self, *names: str) -> list[list[Segment]]:
        """The segment groups that begin with one of these names, in order; Z-segments and notes left out (`Segment.notes` has them)."""
        found: list[list[Segment]] = []
        for segment in self.segments:
            if segment.name in names:
                found.append([segment])
            elif found and segment.name[0] != "Z" and segment.name != "NTE":
                found[-1].append(segment)
        return found

    @cached_property
    def event(self) -> str:
        """`ADT^A01`, of MSH-9; a missing trigger is read from EVN-1 (old senders). It reaches logs, so that only a code is one."""
        kind = self.header.cell(9)
        trigger = kind.value(2) or self.first("EVN").value(1)
        event = f"{kind.value(1)}^{trigger}"
        return event if _EVENT.fullmatch(event) else "unknown"

    def items(self, unused: str = "") -> tuple[Item, ...]:
        """Every non-empty value with its outcome. `unused`: the reason why nothing of this message is carried."""
        found: list[Item] = []
        add = found.append
        not_carried = Claim(Outcome.NOT_CARRIED, "", unused or "has no place in the document")
        transport = Claim(Outcome.NOT_CARRIED, "", unused or "transport")
        local = Claim(Outcome.NOT_CARRIED, "", "not interpreted")
        for segment in self.segments:
            decode = segment.delimiters.decode
            name = segment.name
            rest = local if name[0] == "Z" else transport if name in TRANSPORT else not_carried
            coded = name in _HEADERS
            for position, text, claim in segment.leaves():
                if text == DELETE:
                    add(Item(position, text, Outcome.NOT_CARRIED, "", "deletes the value"))
                    continue
                outcome, path, reason, value = claim or rest
                if unused and outcome is not Outcome.WITHHELD:
                    outcome, path, reason = Outcome.NOT_CARRIED, "", rest.reason
                plain = text if coded and position.endswith(("-1", "-2")) else value or decode(text)
                add(Item(position, plain, outcome, path, reason))
        return tuple(found)


def unwrapped(raw: bytes) -> bytes:
    """Without a byte order mark and without the MLLP frame that some tools save with a message."""
    return raw.removeprefix(b"\x0b").removesuffix(b"\x1c\r").removeprefix(b"\xef\xbb\xbf")


def header_of(raw: bytes) -> bytes:
    """The bytes of the first MSH segment, b"" when there is none. Works before anything is decoded."""
    found = _START.search(raw)
    return found.group(1) if found else b""


def parse(raw: bytes, charset: str) -> Message:
    """Read one message. `charset` (a table 0211 name) counts when MSH-18 is empty. Raises Unreadable."""
    raw = unwrapped(raw)
    header = header_of(raw)
    if len(header) < 8:
        raise Unreadable("hl7_no_header", "There is no MSH segment at the start of a line.")
    named = header.split(header[3:4])
    declared = named[17].split(named[1][1:2] or b"~")[0].decode("ascii", "replace") if len(named) > 17 else ""
    codec = table("character_set").get((declared.strip().strip('"') or charset).upper(), "")
    if not codec:
        raise Unreadable(
            "character_set_unknown", "The character set that MSH-18 or the profile names is not one that we read.", position="MSH-18"
        )
    text = printable(decode_bytes(raw, codec))
    first = header.decode(codec, "replace")
    delimiters = Delimiters(first[3], first[4:].partition(first[3])[0], codec)
    if sum(map(text.count, (delimiters.field, delimiters.component, delimiters.repetition, delimiters.sub, "\r", "\n"))) > MAX_VALUES:
        raise Unreadable("too_many_values", f"The message has more than {MAX_VALUES} values.")
    segments = _segments(text, delimiters)
    if (messages := sum(1 for segment in segments if segment.name == "MSH")) > 1:
        raise Unreadable("several_messages", f"There are {messages} messages (MSH) in one submission: each must be sent on its own.")
    return Message(segments)


def _segments(text: str, delimiters: Delimiters) -> list[Segment]:
    """CR ends a segment, or CRLF, or (a file saved on Unix) LF. Where CR does, an LF that starts no segment is part of a value."""
    if "\n" not in text:
        lines = text.split("\r")
    elif "\r" in text:
        lines = re.split(rf"\r\n?|\n(?=[A-Z][A-Z0-9]{{2}}{re.escape(delimiters.field)})", text)
    else:
        lines = text.split("\n")
    segments: list[Segment] = []
    counts: dict[str, int] = {}
    noted: Segment | None = None
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name = line[:3]
        if not _SEGMENT.fullmatch(name) or (len(line) > 3 and line[3] != delimiters.field):
            raise Unreadable("hl7_segment", "A line is no segment: the message is cut or damaged.", position=f"line {number}")
        fields = line.split(delimiters.field)
        if name in _HEADERS:
            fields.insert(1, delimiters.field)
        counts[name] = counts.get(name, 0) + 1
        segments.append(segment := Segment(name, counts[name], fields, delimiters))
        if name == "NTE" and noted:
            noted.notes.append(segment)
        elif name[0] != "Z":
            noted = segment
    return segments
