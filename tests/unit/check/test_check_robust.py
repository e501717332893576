# ruff: noqa: E501 - tables of values read better as lines
"""No input crashes the checker or makes it hang; nesting, size and time are bounded."""

import copy
import random
import time
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.check import Checker
from exchange.check.report import ISSUES
from tests.check_kit import UK, broken, document

CHECKER = Checker.load()
_WORDS = (
    "resourceType id meta profile text div status extension url valueString valueCoding modifierExtension contained reference name given _given entry"
    " resource fullUrl type identifier system value code coding section subject birthDate _birthDate period start end"
)
_NAMES = st.sampled_from([*_WORDS.split(" ")])
_LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | st.text(max_size=20) | st.binary(max_size=3)
    | st.sampled_from(["Patient", "Bundle", "Composition", "Observation", "document", "#a", "urn:uuid:", "http://x/Patient/1", "2020-02-30", "<div>"])
)  # fmt: skip
_VALUES = st.recursive(
    _LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_NAMES | st.text(max_size=5), inner, max_size=6), max_leaves=40
)
_NASTY: list[Any] = [
    None, True, 0, -1, 10**30, 1.5, float("nan"), float("inf"), Decimal("NaN"), Decimal("1e999999"), "", " ", "\x00", "\ud800", "#", "#x", "x" * 10_000,
    [], {}, [None], [[]], [{}], {"": ""}, {"a": {"b": []}}, b"x", object(), {1: 2}, {None: None},
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(_VALUES)
def test_any_value_at_all(value: Any) -> None:
    CHECKER.check(value)
    CHECKER.check({"resourceType": "Patient", "contained": [value], "extension": value, "name": [value]})


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False))
def test_a_document_with_anything_anywhere(rng: random.Random) -> None:
    root = document()
    holders = [root]
    for holder in holders:
        inner = holder.values() if isinstance(holder, dict) else holder
        holders += [value for value in inner if isinstance(value, dict | list) and value]  # type: ignore[arg-type]
    for _ in range(rng.randint(1, 8)):
        holder: Any = rng.choice(holders)
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
        holder[key] = copy.copy(rng.choice(_NASTY))
    CHECKER.check(root)


@pytest.mark.parametrize("value", _NASTY, ids=[f"{n}" for n in range(len(_NASTY))])
def test_a_root_that_is_no_resource(value: Any) -> None:
    issues = CHECKER.check(value)
    assert [(issue.severity, issue.rule) for issue in issues] == [("fatal", "resource-type")]


def test_nesting_is_bounded() -> None:
    extension: dict[str, Any] = {"url": "http://x", "valueString": "y"}
    for _ in range(5_000):
        extension = {"url": "http://x", "extension": [extension]}
    issues = CHECKER.check({"resourceType": "Patient", "extension": [extension]})
    assert "bounds" in {issue.rule for issue in issues if issue.severity == "fatal"}


def test_a_structure_that_contains_itself_ends() -> None:
    loop: dict[str, Any] = {"url": "http://x"}
    loop["extension"] = [loop, loop]
    issues = CHECKER.check({"resourceType": "Patient", "extension": [loop]})
    assert issues[-1].severity in ("fatal", "information")
    assert "bounds" in {issue.rule for issue in issues}


def test_loops_and_nested_lists_where_rules_look_around() -> None:
    loop: dict[str, Any] = {"resourceType": "Patient", "meta": {"profile": [UK + "UKCore-Patient"]}, "id": "a"}
    loop["contained"] = [loop, {"resourceType": "Patient", "id": "b"}]
    loop["text"] = {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml"><a href="#x">x</a></div>'}
    nested: list[Any] = []
    for _ in range(5_000):
        nested = [nested]
    loop["identifier"] = [{"system": nested, "value": "x"}, loop]
    assert "bounds" in {issue.rule for issue in CHECKER.check(loop)}
    CHECKER.check({"resourceType": "Questionnaire", "status": "draft", "item": nested, "contained": nested})
    concept = {"coding": [{"system": nested, "code": nested}]}
    CHECKER.check({"resourceType": "Observation", "valueString": "x", "code": concept, "component": [{"code": concept}]})
    CHECKER.check({"resourceType": "Bundle", "type": "document", "entry": [{"fullUrl": nested, "resource": {"resourceType": "Basic"}}]})


@pytest.mark.parametrize("size", [20_000])
def test_wide_documents_take_linear_time(size: int) -> None:
    people = [{"resourceType": "Patient", "id": f"p{n}"} for n in range(size // 2)] + [{"resourceType": "Patient", "id": "p0"}] * (
        size // 2
    )
    links = "".join(f'<a href="#q{n}">x</a>' for n in range(size))
    chain = [
        {"fullUrl": f"urn:x:{n}", "resource": {"resourceType": "Basic", "code": {"text": "x"}, "subject": {"reference": f"urn:x:{n - 1}"}}}
        for n in range(size)
    ]
    coding = [{"system": "http://x", "code": str(n)} for n in range(size)]
    roots = [
        {"resourceType": "Observation", "contained": people, "performer": [{"reference": f"#p{n}"} for n in range(size)]},
        {"resourceType": "Patient", "text": {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{links}</div>'}},
        {
            "resourceType": "Bundle",
            "type": "document",
            "entry": [{"fullUrl": "urn:x:c", "resource": {"resourceType": "Composition"}}, *chain[::-1]],
        },
        {"resourceType": "Observation", "valueString": "x", "code": {"coding": coding}, "component": [{"code": {"coding": coding[::-1]}}]},
    ]
    for root in roots:
        before = time.process_time()
        CHECKER.check(root)
        assert time.process_time() - before < 5, root["resourceType"]


def test_the_number_of_issues_is_bounded() -> None:
    issues = CHECKER.check({"resourceType": "Patient", "name": [{"colour": n} for n in range(5_000)]})
    assert len(issues) == ISSUES + 1
    assert issues[-1].severity == "fatal"


def test_advice_without_end_hides_no_error_and_refuses_nothing() -> None:
    entries = [{"fullUrl": f"urn:x:{n}", "resource": {"resourceType": "Basic", "code": {"text": "x"}}} for n in range(ISSUES + 500)]
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
    issues = CHECKER.check(bundle)
    assert len(issues) == ISSUES + 1
    assert {issue.severity for issue in issues} == {"warning", "information"}
    assert issues[-1].text.startswith("500 more")
    entries[-1]["resource"]["colour"] = "blue"  # type: ignore[index]
    assert [issue.rule for issue in CHECKER.check(bundle) if issue.severity == "error"] == ["unknown-element"]
    codings = [{"system": f"http://x/{n}", "code": "y"} for n in range(ISSUES * 3)]
    assert len(CHECKER.check({"resourceType": "Basic", "code": {"coding": codings}})) == ISSUES + 1


@pytest.mark.parametrize(
    "text",
    [
        "a" * 1_000_000,
        "a " * 500_000,
        " " * 1_000_000,
        "1" * 1_000_000,
        "-" * 1_000_000,
        "urn:uuid:" + "a" * 1_000_000,
        "<div" + " a" * 300_000,
        '<div xmlns="http://www.w3.org/1999/xhtml">' + "<p>" * 200_000,
        '<div xmlns="http://www.w3.org/1999/xhtml">' + "&amp;" * 200_000 + "</div>",
        "en" + "-aaaaaaaa" * 100_000,
        "a/" * 500_000,
        "{" * 500_000,
    ],
)
def test_no_text_is_slow(text: str) -> None:
    resource = {
        "resourceType": "Observation", "id": text, "language": text, "implicitRules": text, "text": {"status": text, "div": text}, "effectiveDateTime": text,
        "code": {"coding": [{"system": text, "code": text, "display": text}, {"system": "urn:ietf:bcp:47", "code": text}]}, "issued": text,
        "valueQuantity": {"system": "http://unitsofmeasure.org", "code": text}, "subject": {"reference": text}, "extension": [{"url": text, "valueBase64Binary": text}],
        "contained": [{"resourceType": "Patient", "photo": [{"contentType": text, "data": text}], "identifier": [{"system": "urn:ietf:rfc:3986", "value": text}]}],
    }  # fmt: skip
    before = time.process_time()
    CHECKER.check(resource)
    assert time.process_time() - before < 3


def test_the_check_changes_nothing() -> None:
    root = broken(**{"entry.1.resource.gender": "x"})
    before = copy.deepcopy(root)
    first = CHECKER.check(root)
    assert root == before
    assert CHECKER.check(root) == first
