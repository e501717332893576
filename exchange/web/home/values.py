"""The five answers that must not look alike, and the small pieces that pages are made of."""

from dataclasses import dataclass, field

from exchange.fhir import codes


@dataclass(frozen=True, slots=True)
class Value:
    """One answer. `kind`: value, none (looked, and none: always with a source), blank (not recorded), unknown (not known yet),
    never (this hospital does not send it) or no-reason. `source`: who said so, or when."""

    kind: str
    text: str = field(repr=False)
    source: str = ""


NOT_RECORDED = Value("blank", codes.NOT_RECORDED)
NOT_SENT = Value("never", codes.NOT_SENT)
NO_REASON = Value("no-reason", codes.NO_REASON)
_FIXED = {codes.NOT_RECORDED: "blank", codes.NOT_KNOWN_YET: "unknown", codes.NOT_SENT: "never", codes.NO_REASON: "no-reason"}


def value(words: str, *, source: str = "", blank: Value = NOT_RECORDED) -> Value:
    """A value as written; "" becomes `blank`, and the fixed words of the other answers keep their own look."""
    if not words.strip():
        return blank
    return Value(_FIXED.get(words.strip().rstrip("."), "value"), words, source)


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and an answer. `is_strong` for what someone acts on, `is_danger` for what must be seen first."""

    label: str
    value: Value
    is_strong: bool = False
    is_danger: bool = False


@dataclass(frozen=True, slots=True)
class Alert:
    """A box of the alerts. Lines without a label stand alone."""

    title: str
    lines: tuple[Fact, ...]
    is_heavy: bool = False
