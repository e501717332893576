"""What a PDF could do besides being read, by a scan of its bytes for the names of its actions (ISO 32000-1: 7.3.5 names with `#xx`, 7.5.7
object streams, 12.6 actions). It is never opened: what is packed into object streams is said to be not looked into."""

import re
from typing import Final

# A name, what may follow it, and the words for people. A short name in packed data would be chance: it has to begin a value.
_ACTIVE: Final = (
    (rb"JavaScript", rb"", "a script"),
    (rb"JS", rb"\s*(?:\(|<|\d+\s+\d+\s+R)", "a script"),
    (rb"Launch", rb"", "a command to start another program"),
    (rb"OpenAction", rb"\s*(?:<<|\d)", "something that starts when it is opened"),
    (rb"AA", rb"\s*(?:<<|\d+\s+\d+\s+R)", "something that starts by itself"),
    (rb"EmbeddedFiles?", rb"", "other files inside it"),
    (rb"RichMedia", rb"", "other files inside it"),
    (rb"SubmitForm", rb"", "a form that sends what is typed"),
    (rb"Encrypt", rb"\s*(?:<<|\d)", "a lock: it may ask for a password"),
)
_PATTERNS: Final = [(re.compile(rb"/" + name + rb"(?![A-Za-z0-9])" + then), words) for name, then, words in _ACTIVE]
_ESCAPED: Final = re.compile(rb"#([0-9A-Fa-f]{2})")
_PACKED: Final = "parts that are packed and were not looked into"


def active_content(content: bytes) -> tuple[str, ...]:
    """Plain words for each kind of active content of a PDF, each once; () for none, and for what is no PDF."""
    if b"%PDF-" not in content[:1024]:
        return ()
    plain = _ESCAPED.sub(lambda found: bytes([int(found[1], 16)]), content) if b"#" in content else content
    found = dict.fromkeys(words for pattern, words in _PATTERNS if pattern.search(plain))
    return (*found, *([_PACKED] if re.search(rb"/ObjStm(?![A-Za-z0-9])", plain) else []))


def warning(kinds: tuple[str, ...]) -> str:
    """A sentence for whoever opens the file; "" when there is nothing to say."""
    return f"This file holds {', '.join(kinds)}. Open it in a viewer that runs nothing." if kinds else ""
