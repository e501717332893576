"""The adapter that adapters/README.md builds is run as it stands there, and keeps what it promises."""

import re
from pathlib import Path

import pytest

from exchange.fhir.draft import Draft, ReadingProfile, Unreadable

README = Path(__file__).parents[2] / "adapters" / "README.md"


def test_the_example_works_as_written() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    adapter: dict = {}
    exec(compile(code, "README.md", "exec"), adapter)
    raw = b"ALLERGIES|V1|9990000018|1938-05-14\nPenicillin\n\nCashew nuts\n"
    assert adapter["sniff"](raw)
    draft = adapter["read"](raw, ReadingProfile())
    assert isinstance(draft, Draft)
    assert [entry.resource["code"]["text"] for entry in draft.entries] == ["Penicillin", "Cashew nuts"]
    assert (draft.counts["allergies"], len(draft.items)) == (2, 5)
    for damaged in (b"ALLERGIES|V1", b"ALLERGIES|\xff||"):
        with pytest.raises(Unreadable):
            adapter["read"](damaged, ReadingProfile())
