"""How many medicines, allergies, diagnoses and procedures a message has: counted over its bytes, sharing no code with the reader.

The merge compares these with the entries that the reader made (practice.md 3); a difference holds the structured version.
"""

import re
from collections.abc import Mapping
from typing import Final

# Segment, kind, and the fields of which one must have a code or words.
_COUNTED: Final = {
    b"AL1": ("allergies", (3,)),
    b"IAM": ("allergies", (3,)),
    b"DG1": ("diagnoses", (3, 4)),
    b"PR1": ("procedures", (3, 4)),
    b"RXO": ("medicines", (1,)),
    b"RXE": ("medicines", (2,)),
    b"RXD": ("medicines", (2,)),
    b"RXA": ("medicines", (5,)),
}
# The segment that is the medicine in each kind of order message; the others repeat what was ordered.
_MEDICINE: Final = {b"ORM": b"RXO", b"OMP": b"RXO", b"RDE": b"RXE", b"RDS": b"RXD", b"RAS": b"RXA"}
_WORDS: Final = (0, 1, 3, 4, 8)  # code, text, alternate code and text, original text


def count(raw: bytes) -> Mapping[str, int]:
    """By kind, as in Draft.counts. `raw` is what the reader could read: one message, with or without its envelopes."""
    header = re.search(rb"(?:\A|[\r\n\x0b\xbf])MSH", raw)
    start = header.end() - 3 if header else 0
    bar, hat, tilde, sub = raw[start + 3 : start + 4], raw[start + 4 : start + 5], raw[start + 5 : start + 6], raw[start + 7 : start + 8]
    kind = [*raw[start:].split(bar, 9), *[b""] * 9][8].split(hat)[0].strip()
    found = dict.fromkeys(("allergies", "diagnoses", "procedures", "medicines"), 0)
    for line in re.split(rb"\r|\n(?=[A-Z][A-Z0-9]{2}" + re.escape(bar) + rb")", raw[start:]):
        fields = line.strip(b"\n").split(bar)
        counted, numbers = _COUNTED.get(fields[0], ("", ()))
        if counted == "medicines" and _MEDICINE.get(kind) != fields[0]:
            continue
        texts = (fields[number] for number in numbers if number < len(fields))
        if counted and any(_says(text, hat, tilde, sub) for text in texts):
            found[counted] += 1
    return found


def _says(field: bytes, hat: bytes, tilde: bytes, sub: bytes) -> bool:
    """Whether the first repetition has a code or words, the delete value and blanks left out."""
    parts = field.split(tilde)[0].split(hat)
    return any(parts[at].replace(sub, b"").strip() not in (b"", b'""') for at in _WORDS if at < len(parts))
