"""check_supplement: the schema file is the authority; all issues at once, each with its path and without the words of the person."""

import json
from collections.abc import Iterator, Mapping
from importlib.resources import files

import msgspec
import pytest

from exchange.errors import Refused
from exchange.fhir import codes
from exchange.fhir.shape import part, text, texts
from exchange.fhir.stated import Stated
from exchange.transfer.schema import schema
from exchange.transfer.supplement import check_supplement

EXAMPLES = files("fhir_profiles") / "wardpost" / "examples"
# The part of JSON Schema that the code interprets, and words that only people read.
KEYWORDS = {
    "type",
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minimum",
    "maxItems",
    "uniqueItems",
    "items",
    "properties",
    "required",
    "additionalProperties",
    "description",
    "x-means",
    "$schema",
    "$id",
    "title",
}


def examples(kind: str) -> list[str]:
    return sorted(file.name for file in EXAMPLES.iterdir() if file.name.startswith(f"supplement-{kind}"))


def load(name: str) -> object:
    return json.loads((EXAMPLES / name).read_text("utf-8"))


def refusal(content: object) -> Refused:
    with pytest.raises(Refused) as caught:
        check_supplement(content)
    assert caught.value.code == "supplement_invalid"
    return caught.value


@pytest.mark.parametrize("name", examples("valid"))
def test_valid_examples_are_read(name):
    content = load(name)
    read = msgspec.to_builtins(check_supplement(content))
    assert {member: read[member] is not None for member in content} == dict.fromkeys(content, True)


@pytest.mark.parametrize("name", examples("invalid"))
def test_invalid_examples_name_every_issue(name):
    example = load(name)
    found = refusal(example["content"])
    assert sorted(issue.path for issue in found.issues) == sorted(example["issues"])


def test_there_are_both_kinds_of_examples():
    assert len(examples("valid")) >= 4
    assert len(examples("invalid")) >= 4


def rules(rule: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    yield rule
    for member in part(rule, "properties").values():
        yield from rules(member)
    if "items" in rule:
        yield from rules(part(rule, "items"))


def test_the_schema_uses_only_what_the_code_interprets():
    for rule in rules(schema("supplement")):
        assert set(rule) <= KEYWORDS
        assert ("enum" in rule) != ("type" in rule)
        assert rule.get("type") != "object" or rule["additionalProperties"] is False
        assert "pattern" not in rule or "x-means" in rule


def assert_same(rule: Mapping[str, object], kind: object) -> None:
    """Each property of the schema is a field of the struct, and the other way round."""
    info = msgspec.inspect.type_info(kind) if isinstance(kind, type) else kind
    while isinstance(info, msgspec.inspect.UnionType):
        info = next(each for each in info.types if not isinstance(each, msgspec.inspect.NoneType))
    if isinstance(info, msgspec.inspect.VarTupleType):
        assert rule["type"] == "array"
        assert_same(part(rule, "items"), info.item_type)
    elif isinstance(info, msgspec.inspect.StructType):
        fields = {field.encode_name: field for field in info.fields}
        assert set(part(rule, "properties")) == set(fields)
        assert set(texts(rule, "required")) >= {name for name, field in fields.items() if field.required}
        for name, member in part(rule, "properties").items():
            assert_same(member, fields[name].type)


def test_schema_and_struct_have_the_same_members():
    assert_same(schema("supplement"), Stated)


def test_the_classes_are_the_documents_own():
    critical = part(schema("supplement"), "properties", "critical", "items", "properties", "class")
    assert texts(critical, "enum") == list(codes.CRITICAL)
    line = part(schema("supplement"), "properties", "changes", "properties", "lines", "items", "properties", "status")
    assert set(texts(line, "enum")) == set(codes.CHANGES) - {""}


def test_no_issue_repeats_what_the_person_wrote():
    secret = "Edith Testperson 9990000026"
    found = refusal(
        {secret: 1, "contact": {"phone": secret}, "infection": {"status": secret}, "said_at": secret, "nursing": {secret: secret}}
    )
    assert secret not in found.diagnostics() + str(found) + repr(found.issues)
    assert len(found.issues) == 5


@pytest.mark.parametrize("value", [None, "x", 3, True, []])
def test_a_supplement_is_an_object(value):
    assert refusal(value).issues[0].words == "must be an object"


@pytest.mark.parametrize(("value", "words"), [(True, "whole number"), (-1, "0 or more"), (1.5, "whole number"), ("3", "whole number")])
def test_numbers_are_whole_and_not_negative(value, words):
    assert words in refusal({"bag": {"items": value}}).issues[0].words


@pytest.mark.parametrize("phone", ["01632 960106", "+44 1632 960106", "(01632) 960106 ext 12", "960106 x12"])
def test_phone_numbers_as_people_write_them(phone):
    assert check_supplement({"contact": {"phone": phone}}).contact.phone == phone


@pytest.mark.parametrize("phone", ["", "ask the switchboard", "01632 960106\n", "javascript:1", "0" * 60])
def test_what_is_no_phone_number(phone):
    assert {issue.path for issue in refusal({"contact": {"phone": phone}}).issues} == {"contact.phone"}


@pytest.mark.parametrize(
    "moment", ["2026-02-31T10:00:00+00:00", "2026-11-27T10:00+00:00", "2026-11-27T10:00:00", "2026-11-27", "2026-11-27T10:00:00Z\n"]
)
def test_said_at_is_a_whole_time_that_exists(moment):
    assert {issue.path for issue in refusal({"said_at": moment}).issues} == {"said_at"}


def test_every_pattern_is_anchored():
    assert all(text(rule, "pattern")[:1] + text(rule, "pattern")[-1:] in ("", "^$") for rule in rules(schema("supplement")))


def test_repr_shows_nothing_of_a_person():
    assert "Testperson" not in repr(check_supplement({"nursing": {"says": "Edith Testperson"}}))
