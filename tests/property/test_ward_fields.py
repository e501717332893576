"""What the ward's form sends is what the Supplement holds, character for character; what it shows and nobody touched is never sent."""

import json
from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from exchange.fhir.content import Medicine
from exchange.fhir.json import dump
from exchange.transfer.schema import SchemaRefused, schema
from exchange.transfer.supplement import check_supplement
from exchange.web.board.ward_form import fields_of, read_fields, suggested

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1, max_size=40).filter(str.strip)
PHONE = st.from_regex(r"[+(0-9][0-9 ()-]{2,20}", fullmatch=True)
MOMENTS = st.one_of(
    st.dates().map(lambda day: day.isoformat()),
    st.datetimes().map(lambda at: at.replace(microsecond=0).isoformat() + "+00:00"),
    st.datetimes().map(lambda at: at.replace(microsecond=0).isoformat() + "Z"),
)


def of(rule: Mapping[str, object], name: str = "") -> st.SearchStrategy[object]:
    """Any value that a part of the schema allows and that says something."""
    match rule:
        case {"enum": list(words)}:
            return st.sampled_from(words)
        case {"type": "object", "properties": dict(members)}:
            needed = rule.get("required", ())
            assert isinstance(needed, list | tuple)
            each = {key: of(sub, key) for key, sub in members.items()}
            return st.fixed_dictionaries(
                {key: each[key] for key in needed}, optional={key: value for key, value in each.items() if key not in needed}
            ).filter(bool)
        case {"type": "array", "items": dict(item)}:
            return st.lists(of(item), min_size=1, max_size=3, unique="uniqueItems" in rule)
        case {"type": "boolean"}:
            return st.booleans()
        case {"type": "integer"} | {"type": ["integer", "string"]}:
            return st.integers(0, 999)
        case _:
            return MOMENTS if name == "last_dose" else PHONE if "pattern" in rule else TEXT


def valid(content: object) -> bool:
    try:
        check_supplement(content)
    except SchemaRefused:
        return False
    changes = content.get("changes", {}) if isinstance(content, dict) else {}
    rows = content.get("critical", []) if isinstance(content, dict) else []
    return ("decided_by" in changes or not changes) and all(row["present"] or row.keys() == {"class", "present"} for row in rows)


LIST = [
    Medicine(name, {"medicationCodeableConcept": {"text": name}}, change=change)
    for name, change in (("Macrogol sachets", ""), ("Apixaban 2.5mg tablets", ""), ("Insulin glargine", "new"), ("Senna", "unchanged"))
]
PROPERTIES = schema("supplement")["properties"]
assert isinstance(PROPERTIES, dict)
CONTENT = of({"type": "object", "properties": {name: rule for name, rule in PROPERTIES.items() if name != "said_at"}}).filter(valid)


def normal(content: object) -> object:
    """The order of ticked words says nothing."""
    found = json.loads(dump(content))
    if "asked" in found.get("allergies", {}):
        found["allergies"]["asked"].sort()
    return found


@given(CONTENT)
def test_what_is_shown_and_untouched_is_not_sent(content: Mapping[str, object]) -> None:
    shown = suggested(fields_of(content), LIST)
    filled = read_fields({name: value.replace("\n", "\r\n") for name, value in shown.items()}, content)
    assert (filled.errors, filled.content) == ({}, {})


@given(CONTENT)
def test_what_is_typed_is_held_to_the_letter(content: Mapping[str, object]) -> None:
    typed = fields_of(content)
    filled = read_fields(typed, {})
    times = [name for name in typed if name.endswith("last_dose")]
    assert {name for name in filled.errors if name not in times} == set()
    if not filled.errors:
        assert fields_of(filled.content) == {name: value for name, value in typed.items()}
        for plain in ("nursing", "bag", "changes", "contact", "infection", "resuscitation", "allergies", "last_doses"):
            assert normal(filled.content).get(plain) == normal(content).get(plain)  # type: ignore[attr-defined]


NAMES = [*fields_of({"critical": [{"class": "x", "present": True, "last_dose": "x"}]}), "bag.items", "changes", "critical.0.last_time",
         "critical.rest", "changes.lines.0.status", "allergies.asked.drug", "nursing.skin"]  # fmt: skip


@given(st.dictionaries(st.sampled_from(NAMES), st.text(max_size=12)), CONTENT)
def test_nothing_posted_breaks_the_reader(posted: Mapping[str, str], base: Mapping[str, object]) -> None:
    filled = read_fields(posted, base)
    if filled.content:
        check_supplement(filled.content)
