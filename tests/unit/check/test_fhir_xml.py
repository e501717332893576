# ruff: noqa: E501 - tables of values read better as lines
"""The FHIR XML codec: there and back without loss, and what it refuses."""

from collections.abc import Iterator
from decimal import Decimal
from random import Random
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.fhir.json import load_strict
from exchange.fhir.r4 import xml
from exchange.fhir.r4.number import number
from tests.check_kit import SHARED, document

DIV = '<div xmlns="http://www.w3.org/1999/xhtml"><p>a &amp; b</p></div>'
NS = 'xmlns="http://hl7.org/fhir"'
EXAMPLES = SHARED / "samples/ukcore_r4"
needs_examples = pytest.mark.skipif(not EXAMPLES.is_dir(), reason="../shared/samples is not here")


def test_a_document_there_and_back() -> None:
    assert xml.read(xml.write(document())) == document()
    assert list(xml.read(xml.write(document()))["entry"][0]["resource"]) == [  # type: ignore[index]
        key for key in ("resourceType", *_order("Composition")) if key in document()["entry"][0]["resource"]
    ]


def _order(type_: str) -> list[str]:
    from exchange.fhir.r4.tables import TypeTables

    facts = TypeTables.load().facts(type_)
    assert facts is not None
    return list(facts["children"])


@pytest.mark.parametrize("text", ["1.50", "0.10", "-0", "-0.0", "1e3", "1E+3", "1.0e-7", "100", "12345678901234567890.123", "0.000"])
def test_decimals_to_the_character(text: str) -> None:
    source = f'<Observation {NS}><valueQuantity><value value="{text}"/></valueQuantity></Observation>'.encode()
    found: Any = xml.read(source)
    assert str(found["valueQuantity"]["value"]) == text
    assert f'value="{text}"'.encode() in xml.write(found)
    as_json: Any = load_strict(f'{{"v": {text}}}'.encode())
    assert str(as_json["v"]) == text


def test_every_form_of_property() -> None:
    resource = {
        "resourceType": "Patient",
        "id": "a.B-1",
        "extension": [{"id": "e", "url": "http://x", "valueDateTime": "2020-01-01T00:00:00.000+00:00"}],
        "contained": [{"resourceType": "Organization", "id": "o", "name": 'a "quoted" <name>\n\tand more'}],
        "text": {"status": "generated", "div": DIV},
        "active": False,
        "name": [{"given": ["a", None, "c"], "_given": [None, {"extension": [{"url": "http://x", "valueCode": "y"}]}, {"id": "i"}]}],
        "_birthDate": {"extension": [{"url": "http://x", "valueBoolean": True}]},
        "multipleBirthInteger": 2,
        "photo": [{"data": "AAAA"}],
    }
    assert xml.read(xml.write(resource)) == resource


def test_a_value_that_is_not_of_its_type_stays_for_the_checker() -> None:
    found: Any = xml.read(f'<Patient {NS}><active value="yes"/><multipleBirthInteger value="01"/></Patient>'.encode())
    assert found == {"resourceType": "Patient", "active": "yes", "multipleBirthInteger": "01"}
    beyond = "1e99999999999999999999"
    found = xml.read(f'<Observation {NS}><valueQuantity><value value="{beyond}"/></valueQuantity></Observation>'.encode())
    assert found["valueQuantity"]["value"] == beyond


def test_comments_and_instructions_go_and_the_rest_stays() -> None:
    source = f'<?xml version="1.0"?><!-- a --><Patient {NS}><?x y?><id value="a"/><!-- b --><active value="true"/></Patient>'
    assert xml.read(source.encode()) == {"resourceType": "Patient", "id": "a", "active": True}


@pytest.mark.parametrize(
    ("code", "source"),
    [
        ("xml-syntax", "<Patient"),
        ("xml-syntax", ""),
        ("xml-doctype", f"<!DOCTYPE Patient><Patient {NS}/>"),
        ("xml-doctype", f'<!DOCTYPE Patient [<!ENTITY a SYSTEM "file:///etc/hostname">]><Patient {NS}><id value="x"/></Patient>'),
        ("xml-limit", f'<!DOCTYPE P [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "{"&a;" * 100}"><!ENTITY c "{"&b;" * 1000}"><!ENTITY d "{"&c;" * 1000}">]><P {NS}>&d;</P>'),
        ("xml-type", "<Patient/>"),
        ("xml-type", f"<HumanName {NS}/>"),
        ("xml-type", f"<Bundle {NS}><entry><resource/></entry></Bundle>"),
        ("xml-element", f'<Patient {NS}><colour value="x"/></Patient>'),
        ("xml-element", f'<Patient {NS}><id xmlns="http://x" value="x"/></Patient>'),
        ("xml-element", f'<Patient {NS}><text><status value="x"/><div>x</div></text></Patient>'),
        ("xml-attribute", f'<Patient {NS}><id value="x" colour="y"/></Patient>'),
        ("xml-attribute", f'<Patient {NS} id="x"/>'),
        ("xml-order", f'<Patient {NS}><active value="true"/><id value="x"/></Patient>'),
        ("xml-repeat", f'<Patient {NS}><id value="x"/><id value="y"/></Patient>'),
        ("xml-text", f'<Patient {NS}>x<id value="x"/></Patient>'),
        ("xml-text", f'<Patient {NS}><id value="x"/>y</Patient>'),
        ("xml-depth", f"<Patient {NS}>" + '<extension url="x">' * 150 + "</extension>" * 150 + "</Patient>"),
    ],
)  # fmt: skip
def test_what_is_refused(code: str, source: str) -> None:
    with pytest.raises(xml.XmlRefused) as raised:
        xml.read(source.encode())
    assert raised.value.reason == code
    assert raised.value.diagnostics()


@pytest.mark.parametrize(
    ("code", "resource"),
    [
        ("xml-type", {"resourceType": "Nobody"}),
        ("xml-type", []),
        ("xml-element", {"resourceType": "Patient", "colour": 1}),
        ("xml-value", {"resourceType": "Patient", "name": {"family": "x"}}),
        ("xml-value", {"resourceType": "Patient", "name": ["x"]}),
        ("xml-value", {"resourceType": "Patient", "active": {}}),
        ("xml-value", {"resourceType": "Patient", "text": {"div": "<p/>"}}),
        ("xml-syntax", {"resourceType": "Patient", "text": {"div": "<div"}}),
        ("xml-character", {"resourceType": "Patient", "language": "\x00"}),
        ("xml-character", {"resourceType": "Patient", "language": "\ud800"}),
        ("xml-character", {"resourceType": "Patient", "text": {"div": DIV.replace("a", "\ud800")}}),
    ],
)
def test_what_cannot_be_written(code: str, resource: Any) -> None:
    with pytest.raises(xml.XmlRefused) as raised:
        xml.write(resource)
    assert raised.value.reason == code


@needs_examples
def test_real_files_there_and_back() -> None:
    for path in sorted(EXAMPLES.glob("*.xml")):
        found = xml.read(path.read_bytes())
        assert xml.read(xml.write(found)) == found, path.name


_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Cn")), min_size=1)


@settings(max_examples=60, deadline=None)
@given(_TEXT, st.decimals(allow_nan=False, allow_infinity=False, places=4), st.lists(st.none() | _TEXT, min_size=1, max_size=4))
def test_any_text_there_and_back(text: str, number: Decimal, given_names: list[str | None]) -> None:
    shadows = [{"id": "x"} if name is None else None for name in given_names]
    name: dict[str, Any] = {"family": text, "given": given_names}
    if any(shadows):
        name["_given"] = shadows
    resource = {
        "resourceType": "Observation",
        "contained": [{"resourceType": "Patient", "name": [name]}],
        "valueQuantity": {"value": number},
    }
    back: Any = xml.read(xml.write(resource))
    assert back == resource
    assert str(back["valueQuantity"]["value"]) == str(number) or number == int(number)


def _of_json(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Every value of FHIR JSON as (path, text), in no order; narrative by its words."""
    if isinstance(value, dict):
        inner = f"{path}.{value['resourceType']}" if "resourceType" in value else path
        for key, item in value.items():
            if key != "resourceType":
                yield from _of_json(item, f"{inner}.{key.removeprefix('_')}")
    elif isinstance(value, list):
        for item in value:
            yield from _of_json(item, path)
    elif path.endswith(".text.div"):
        yield path, "".join(ElementTree.fromstring(value).itertext())
    elif value is not None:
        yield path, str(value).lower() if isinstance(value, bool) else str(value)


def _of_xml(node: ElementTree.Element, path: str) -> Iterator[tuple[str, str]]:
    """The same of FHIR XML, by a parser that shares nothing with ours."""
    name = node.tag.partition("}")[2]
    here = f"{path}.{name}"
    if name == "div":
        yield here, "".join(node.itertext())
        return
    for key, text in node.attrib.items():
        yield here if key == "value" else f"{here}.{key}", text
    for child in node:
        yield from _of_xml(child, here)


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), _TEXT, st.sampled_from(["1.50", "-0", "1e3", "0.000", "12345678901234567890.123", "7"]))
def test_another_parser_finds_every_value(rng: Random, text: str, digits: str) -> None:
    root = document()
    holders = [root]
    for holder in holders:
        values = list(holder.values()) if isinstance(holder, dict) else holder
        holders += [value for value in values if isinstance(value, dict | list)]  # type: ignore[arg-type]
    for _ in range(20):
        holder: Any = rng.choice(holders)
        for key, value in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            if isinstance(value, str) and key not in ("resourceType", "div", "url", "id"):
                holder[key] = text
                if isinstance(holder, dict) and rng.random() < 0.5:
                    holder[f"_{key}"] = {"id": "i", "extension": [{"url": "http://x", "valueDecimal": number(digits)}]}
    holder = root["entry"][1]["resource"]
    holder["name"] = [{"given": [text, None, text], "_given": [None, {"extension": [{"url": "http://x", "valueString": text}]}, None]}]
    written = xml.write(root)
    found = sorted(_of_xml(ElementTree.fromstring(written), ""))
    assert found == sorted(_of_json(root, ""))
    assert xml.read(written) == root


@pytest.mark.parametrize("before", ["", "<!-- <div -->", '<?xml version="1.0"?>\n', "\n  <?x <div ?><!-- a -->", "\ufeff"])
def test_what_stands_before_a_narrative_goes(before: str) -> None:
    written = xml.write({"resourceType": "Patient", "text": {"status": "generated", "div": before + DIV}})
    back: Any = xml.read(written)
    assert back["text"]["div"] == DIV
