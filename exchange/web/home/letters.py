"""The hospital's letters as the page offers them: text to read here, others as links."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exchange.web.home import times
from exchange.web.home.facts import LetterFacts
from exchange.web.home.reading import Papers, Resource, find, text


@dataclass(frozen=True, slots=True)
class Letter:
    title: str
    what: str
    url: str
    text: str | None = field(repr=False)
    signed: str
    digest: str = ""
    warning: str = ""


def signed(one: Resource, now: datetime) -> str:
    """`Signed by Dr Sam Signer, Friday 27 November, 14:02`, or that this is not recorded."""
    who, when = text(one, "authenticator", "display"), times.said(text(one, "date"), now)
    words = f"Signed by {who}" if who else "Who signed it is not recorded"
    return ", ".join(filter(None, (words, when)))


def newest_letter(papers: Papers) -> Resource:
    """The DocumentReference with the latest date, else an empty one."""
    return max(papers.of("DocumentReference"), key=lambda one: text(one, "date"), default={})


def letters_view(papers: Papers, letters: Sequence[LetterFacts], now: datetime) -> Iterator[Letter]:
    """Each letter as it came; its author from the DocumentReference of the same kind and size."""
    known: dict[tuple[str, str], Resource] = {}
    for one in papers.of("DocumentReference"):
        attached = find(one, "content", 0, "attachment")
        alike = (text(attached, "contentType"), text(attached, "size"))
        known[alike] = {} if alike in known else one  # two alike: better no author than a wrong one
    for letter in letters:
        one = known.get((letter.media_type, str(letter.size_bytes)), {})
        kind = {"application/pdf": "PDF", "text/plain": "text"}.get(letter.media_type, letter.media_type)
        what = f"{kind}, {max(1, round(letter.size_bytes / 1000))} KB"
        title = letter.title or text(one, "content", 0, "attachment", "title")
        yield Letter(
            title, what, letter.url, letter.text, signed(one, now) if one else "", text(one, "masterIdentifier", "value"), letter.warning
        )
