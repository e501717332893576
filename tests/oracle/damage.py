# ruff: noqa: E501 - tables of data read better as lines
"""Systematic damage: each kind takes a clean resource and breaks one thing in it, at a place chosen by the definitions.

A kind is a function (rng, root, definitions) → the path of the fault as words, or None where the resource offers no place for it. `harmless` kinds change
something that the standard allows. Kinds that were written after the checker are in `held_out`, and are reported apart.
"""

import copy
import random
from collections.abc import Callable, Iterator
from typing import Any

from tests.oracle.definitions import Definitions, Site

Kind = Callable[[random.Random, Any, Definitions], "str | None"]
KINDS: dict[str, Kind] = {}
HARMLESS: dict[str, Kind] = {}
UK = "https://fhir.hl7.org.uk/StructureDefinition/"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
_NUMBERS = {"integer", "decimal", "positiveInt", "unsignedInt"}


def kind(function: Kind) -> Kind:
    KINDS[function.__name__] = function
    return function


def harmless(function: Kind) -> Kind:
    HARMLESS[function.__name__] = function
    return function


def pick(rng: random.Random, root: Any, definitions: Definitions, wanted: Callable[[Site], bool]) -> Site | None:
    found = [site for site in definitions.sites(root) if wanted(site)]
    return rng.choice(found) if found else None


def objects(root: Any) -> Iterator[dict[str, Any]]:
    if isinstance(root, dict):
        yield root
        for value in root.values():
            yield from objects(value)
    elif isinstance(root, list):
        for value in root:
            yield from objects(value)


def one(rng: random.Random, root: Any, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any] | None:
    found = [item for item in objects(root) if wanted(item)]
    return rng.choice(found) if found else None


def resources(root: Any, *types: str) -> list[dict[str, Any]]:
    return [item for item in objects(root) if "resourceType" in item and (not types or item["resourceType"] in types)]


def is_text(site: Site, *types: str) -> bool:
    return site.type in types and isinstance(site.value, str)


def _replace(name: str, wanted: Callable[[Site], bool], change: Callable[[Any], Any]) -> None:
    """A kind that replaces the value (of arrays: the first item) at a site."""

    def made(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
        site = pick(rng, root, definitions, wanted)
        if site is None:
            return None
        if isinstance(site.value, list):
            site.value[0] = change(site.value[0])
        else:
            site.holder[site.key] = change(site.value)
        return site.definition.path

    made.__name__ = name
    kind(made)


def _structural(site: Site) -> bool:
    return site.key not in ("resourceType", "resource", "entry", "div", "contained")


# structure
@kind
def drop_required(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: s.definition.min > 0 and s.key != "resourceType")
    if site is None:
        return None
    del site.holder[site.key]
    return site.definition.path


@kind
def unknown_property(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, _structural)
    if site is None:
        return None
    site.holder["colour"] = "blue"
    return site.definition.path


@kind
def misspelt_property(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, _structural)
    if site is None:
        return None
    site.holder[site.key.capitalize() if site.key[0].islower() else site.key + "s"] = site.holder.pop(site.key)
    return site.definition.path


@kind
def value_into_array(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: _structural(s) and not isinstance(s.value, list))
    if site is None:
        return None
    site.holder[site.key] = [site.value]
    return site.definition.path


@kind
def array_into_value(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: isinstance(s.value, list) and len(s.value) == 1 and s.key != "entry")
    if site is None:
        return None
    site.holder[site.key] = site.value[0]
    return site.definition.path


_replace("text_into_number", lambda s: is_text(s, "string", "code", "uri", "dateTime", "date"), lambda v: 5)
_replace("text_into_boolean", lambda s: is_text(s, "string", "code", "uri"), lambda v: True)
_replace("text_into_object", lambda s: is_text(s, "string", "code", "uri"), lambda v: {"value": v})
_replace("number_into_text", lambda s: s.type in _NUMBERS, lambda v: str(v))
_replace("boolean_into_text", lambda s: s.type == "boolean", lambda v: str(v).lower())
_replace("object_into_text", lambda s: _structural(s) and isinstance(s.value, dict), lambda v: "words")
_replace("null_value", _structural, lambda v: None)
_replace("empty_text", lambda s: is_text(s, "string", "code", "uri"), lambda v: "")
_replace("empty_object", lambda s: _structural(s) and isinstance(s.value, dict), lambda v: {})


@kind
def empty_array(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: isinstance(s.value, list) and s.key != "entry")
    if site is None:
        return None
    site.holder[site.key] = []
    return site.definition.path


@kind
def unknown_resource(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = rng.choice(resources(root))
    found["resourceType"] = "Patients"
    return "resourceType"


@kind
def no_resource_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    del rng.choice(resources(root))["resourceType"]
    return "resourceType"


@kind
def two_choices(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: s.definition.path.endswith("[x]") and len(s.definition.types) > 1)
    if site is None:
        return None
    base = site.definition.path.rpartition(".")[2][:-3]
    for type_, value in (
        ("dateTime", "2020-01-01"),
        ("string", "x"),
        ("boolean", True),
        ("Period", {"start": "2020"}),
        ("Range", {"low": {"value": 1}}),
    ):
        key = base + type_[0].upper() + type_[1:]
        if type_ in site.definition.types and key != site.key:
            site.holder[key] = value
            return site.definition.path
    return None


@kind
def choice_of_wrong_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: s.definition.path.endswith("[x]") and "oid" not in s.definition.types)
    if site is None:
        return None
    del site.holder[site.key]
    site.holder[site.definition.path.rpartition(".")[2][:-3] + "Oid"] = "urn:oid:1.2.3"
    return site.definition.path


# primitive forms
_replace("month_thirteen", lambda s: is_text(s, "date", "dateTime"), lambda v: "2020-13-01")
_replace("day_that_is_not", lambda s: is_text(s, "date", "dateTime"), lambda v: "2023-02-30")
_replace("time_without_zone", lambda s: is_text(s, "dateTime"), lambda v: "2020-01-01T10:00:00")
_replace("time_without_seconds", lambda s: is_text(s, "dateTime", "instant"), lambda v: "2020-01-01T10:00Z")
_replace("slashes_in_date", lambda s: is_text(s, "date", "dateTime"), lambda v: "01/02/2020")
_replace("date_as_instant", lambda s: is_text(s, "instant"), lambda v: "2020-01-01")
_replace("code_with_space", lambda s: is_text(s, "code"), lambda v: f" {v}")
_replace("id_with_underscore", lambda s: s.key == "id" and "resourceType" in s.holder, lambda v: "a_b")
_replace("id_too_long", lambda s: s.key == "id" and "resourceType" in s.holder, lambda v: "a" * 65)
_replace("uri_with_space", lambda s: is_text(s, "uri", "canonical", "url"), lambda v: "http://a b")
_replace("positive_zero", lambda s: s.type == "positiveInt", lambda v: 0)
_replace("whole_with_point", lambda s: s.type in ("positiveInt", "integer", "unsignedInt"), lambda v: 1.5)
_replace("whole_too_big", lambda s: s.type in ("positiveInt", "integer", "unsignedInt"), lambda v: 3_000_000_000)


@kind
def bad_base64(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: o.get("resourceType") in ("Patient", "Practitioner", "RelatedPerson"))
    if found is None:
        return None
    found["photo"] = [{"contentType": "image/png", "data": "a*b="}]
    return "photo.data"


_replace("text_of_spaces", lambda s: is_text(s, "string"), lambda v: "   ")
_replace("control_character", lambda s: is_text(s, "string"), lambda v: f"{v}\x01")
_replace("zone_too_far", lambda s: is_text(s, "dateTime", "instant"), lambda v: "2020-01-01T10:00:00+15:00")
_replace("hour_24", lambda s: is_text(s, "dateTime", "instant"), lambda v: "2020-01-01T24:00:00Z")
_replace("year_zero", lambda s: is_text(s, "date", "dateTime"), lambda v: "0000-01-01")
_replace("uuid_upper_case", lambda s: is_text(s, "uri") and s.value.startswith("urn:uuid:"), lambda v: "urn:uuid:" + v[9:].upper())


def _into(name: str, types: tuple[str, ...], change: Callable[[dict[str, Any]], object], register: Callable[[Kind], Kind] = kind) -> None:
    """A kind that changes a resource of one of these types."""

    def made(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
        found = resources(root, *types)
        if not found:
            return None
        change(rng.choice(found))
        return types[0]

    made.__name__ = name
    register(made)


_PEOPLE = ("Patient", "Practitioner", "RelatedPerson")
_into("identifier_not_uri", _PEOPLE, lambda r: r.update(identifier=[{"system": "urn:ietf:rfc:3986", "value": "not a uri"}]))
_into("shadow_too_long", _PEOPLE, lambda r: r.update(name=[{"given": ["a"], "_given": [None, {"id": "x"}]}]))
_into("shadow_of_nulls", _PEOPLE, lambda r: r.update(name=[{"given": ["a"], "_given": [None]}]))
_into("shadow_unknown_property", _PEOPLE, lambda r: r.update(name=[{"family": "a", "_family": {"colour": "x"}}]))
_into("null_in_array", _PEOPLE, lambda r: r.update(name=[{"given": ["a", None]}]))
_into("language_tag", _PEOPLE, lambda r: r.update(language="not a language"))
_into("media_type", _PEOPLE[:2], lambda r: r.update(photo=[{"contentType": "pdf", "url": "http://example.org/a"}]))
_into(
    "type_of_reference",
    ("Encounter", "Condition", "Procedure"),
    lambda r: r.setdefault("subject", {"display": "x"}).update(type="Practitioner"),
)
_into("contained_without_id", ("Patient",), lambda r: r.update(contained=[{"resourceType": "Organization", "name": "x"}]))
_into(
    "year_beside_month",
    _PEOPLE,
    lambda r: r.update(name=[{"family": "x", "period": {"start": "2020", "end": "2020-05"}}]),
    lambda f: harmless(f),
)
_into(
    "unknown_hl7_extension",
    _PEOPLE,
    lambda r: r.setdefault("extension", []).append({"url": "http://hl7.org/fhir/StructureDefinition/none", "valueCode": "x"}),
    lambda f: harmless(f),
)
_into(
    "modifier_as_extension",
    _PEOPLE,
    lambda r: r.setdefault("modifierExtension", []).append(
        {
            "url": UK + "Extension-UKCore-BirthSex",
            "valueCodeableConcept": {"coding": [{"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-BirthSex", "code": "F"}]},
        }
    ),
)
_into("many_digits", ("Observation",), lambda r: r.update(referenceRange=[{"low": {"value": 1.1234567890123456}}]), lambda f: harmless(f))
_into("exponent", ("Observation",), lambda r: r.update(referenceRange=[{"low": {"value": 1e-7}}]), lambda f: harmless(f))
_into(
    "money_code",
    ("Patient",),
    lambda r: r.setdefault("extension", []).append({"url": "http://example.org/m", "valueMoney": {"value": 1, "currency": "XXQ"}}),
)
_into("outer_space", _PEOPLE, lambda r: r.update(name=[{"family": " x "}]), lambda f: harmless(f))
_into(
    "leap_second",
    ("Composition", "Observation"),
    lambda r: r.update(**{"date" if r["resourceType"] == "Composition" else "issued": "2016-12-31T23:59:60Z"}),
    lambda f: harmless(f),
)

# codes
_replace("required_code", lambda s: s.definition.strength == "required" and is_text(s, "code"), lambda v: "no-such-code")


@kind
def code_not_in_system(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    known = ("http://terminology.hl7.org/CodeSystem/", "https://fhir.hl7.org.uk/CodeSystem/UKCore-")
    found = one(rng, root, lambda o: str(o.get("system", "")).startswith(known) and "code" in o)
    if found is None:
        return None
    found["code"] = "no-such-code"
    return "coding.code"


@kind
def relative_system(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: "system" in o and "code" in o and "value" not in o)
    if found is None:
        return None
    found["system"] = "sct"
    return "coding.system"


@kind
def unit_with_space(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: o.get("system") == "http://unitsofmeasure.org" and "value" in o)
    if found is None:
        return None
    found["code"] = "mg per day"
    return "quantity.code"


# profiles and extensions
@kind
def profile_minimum(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    """Elements that UK Core asks for and R4 does not."""
    wanted = {"AllergyIntolerance": ["code"], "MedicationRequest": ["substitution"], "Medication": ["code"]}
    found = [r for r in resources(root) if any(key in r for key in wanted.get(r["resourceType"], ()))]
    statements = [i for r in resources(root, "MedicationStatement") for i in r.get("identifier", []) if "value" in i]
    if statements and (not found or rng.random() < 0.5):
        del rng.choice(statements)[rng.choice(["value", "system"])]
        return "MedicationStatement.identifier"
    if not found:
        return None
    chosen = rng.choice(found)
    key = wanted[chosen["resourceType"]][0]
    del chosen[key]
    return key


def _nhs(root: Any) -> list[dict[str, Any]]:
    return [o for o in objects(root) if o.get("system") == "https://fhir.nhs.uk/Id/nhs-number" and "value" in o]


@kind
def slice_twice(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    for found in resources(root, "Patient", "Organization"):
        for identifier in found.get("identifier", []):
            if identifier.get("system", "").endswith(("nhs-number", "ods-organization-code")):
                found["identifier"].append(copy.deepcopy(identifier))
                return "identifier"
    return None


@kind
def slice_without_value(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = _nhs(root)
    if not found:
        return None
    del rng.choice(found)["value"]
    return "identifier:nhsNumber.value"


@kind
def extension_inner_binding(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(
        rng, root, lambda o: str(o.get("url", "")).endswith(("NHSNumberVerificationStatus", "BirthSex")) and "valueCodeableConcept" in o
    )
    if found is None:
        return None
    found["valueCodeableConcept"] = {"coding": [{"system": "http://snomed.info/sct", "code": "373942005"}]}
    return "extension.value"


def _extensions(root: Any) -> list[dict[str, Any]]:
    return [o for o in objects(root) if "url" in o and any(key.startswith("value") for key in o) and str(o["url"]).startswith("http")]


@kind
def extension_value_and_parts(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = _extensions(root)
    if not found:
        return None
    rng.choice(found)["extension"] = [{"url": "http://example.org/x", "valueString": "x"}]
    return "extension"


@kind
def extension_without_value(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = _extensions(root)
    if not found:
        return None
    chosen = rng.choice(found)
    for key in [key for key in chosen if key.startswith("value")]:
        del chosen[key]
    return "extension"


@kind
def extension_of_wrong_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = [o for o in _extensions(root) if str(o["url"]).startswith((UK, "http://hl7.org/fhir/StructureDefinition/"))]
    if not found:
        return None
    chosen = rng.choice(found)
    for key in [key for key in chosen if key.startswith("value")]:
        del chosen[key]
    chosen["valueDecimal"] = 1.5
    return "extension.value"


@kind
def extension_out_of_place(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = rng.choice(
        [r for r in resources(root) if r["resourceType"] not in ("Bundle", "Parameters", "Binary", "OperationOutcome")] or [root]
    )
    if found.get("resourceType") in ("Encounter", "Bundle"):
        return None
    found.setdefault("extension", []).append({
        "url": UK + "Extension-UKCore-AdmissionMethod",
        "valueCodeableConcept": {"coding": [{"system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-AdmissionMethodEngland", "code": "21"}]},
    })  # fmt: skip
    return "extension"


@kind
def extension_without_url(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = _extensions(root)
    if not found:
        return None
    del rng.choice(found)["url"]
    return "extension.url"


@kind
def extension_relative_url(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = rng.choice(resources(root))
    if found["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return None
    found.setdefault("extension", []).append({"url": "colour", "valueString": "blue"})
    return "extension.url"


# references, contained, Bundle
@kind
def urn_that_leads_nowhere(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: str(o.get("reference", "")).startswith("urn:uuid:"))
    if found is None:
        return None
    found["reference"] = "urn:uuid:00000000-0000-4000-8000-000000000000"
    return "reference"


@kind
def reference_to_wrong_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    for found in resources(root):
        for key in ("subject", "patient"):
            if (
                found.get(key, {}).get("reference")
                and root.get("type") == "document"
                and found["resourceType"] not in ("List", "DocumentReference")
            ):
                target = next(e for e in root["entry"] if e["resource"]["resourceType"] == "Organization")
                found[key] = {"reference": target["fullUrl"]}
                return key
    return None


@kind
def contained_that_is_not(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: "reference" in o and isinstance(o["reference"], str))
    if found is None:
        return None
    found["reference"] = "#nobody"
    return "reference"


def _domain(rng: random.Random, root: Any) -> dict[str, Any] | None:
    found = [r for r in resources(root) if r["resourceType"] not in ("Bundle", "Parameters", "Binary") and "contained" not in r]
    return rng.choice(found) if found else None


@kind
def contained_unused(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = _domain(rng, root)
    if found is None:
        return None
    found["contained"] = [{"resourceType": "Organization", "id": "alone", "name": "x"}]
    return "contained"


@kind
def contained_in_contained(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = next((r for r in resources(root, "Patient") if "managingOrganization" not in r and "contained" not in r), None)
    if found is None:
        return None
    inner = {"resourceType": "Organization", "id": "b", "name": "y"}
    found["contained"] = [{"resourceType": "Organization", "id": "a", "name": "x", "partOf": {"reference": "#b"}, "contained": [inner]}]
    found["managingOrganization"] = {"reference": "#a"}
    return "contained"


@kind
def contained_with_version(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = next((r for r in resources(root, "Patient") if "managingOrganization" not in r and "contained" not in r), None)
    if found is None:
        return None
    found["contained"] = [{"resourceType": "Organization", "id": "a", "name": "x", "meta": {"versionId": "1"}}]
    found["managingOrganization"] = {"reference": "#a"}
    return "contained"


def _document(name: str, change: Callable[[random.Random, Any], None]) -> None:
    def made(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
        if root.get("type") != "document":
            return None
        change(rng, root)
        return "Bundle"

    made.__name__ = name
    kind(made)


_document("full_url_twice", lambda rng, b: b["entry"][-1].update(fullUrl=b["entry"][1]["fullUrl"]))
_document(
    "full_url_relative",
    lambda rng, b: b["entry"].append({"fullUrl": "Basic/1", "resource": {"resourceType": "Basic", "id": "1", "code": {"text": "x"}}}),
)
_document("full_url_missing", lambda rng, b: rng.choice(b["entry"]).pop("fullUrl"))
_document("no_identifier", lambda rng, b: b.pop("identifier"))
_document("no_timestamp", lambda rng, b: b.pop("timestamp"))
_document("composition_not_first", lambda rng, b: b["entry"].reverse())
_document("total_in_document", lambda rng, b: b.update(total=3))
_document("request_in_document", lambda rng, b: b["entry"][1].update(request={"method": "GET", "url": "Patient"}))
_document("search_in_document", lambda rng, b: b["entry"][1].update(search={"mode": "match"}))
_document("entry_without_resource", lambda rng, b: b["entry"].append({"fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000009"}))
_document(
    "orphan",
    lambda rng, b: b["entry"].append({
        "fullUrl": "urn:uuid:00000000-0000-4000-8000-000000000008", "resource": {"resourceType": "Organization", "id": "orphan", "name": "x"},
    }),
)  # fmt: skip


def _section(name: str, change: Callable[[dict[str, Any]], object]) -> None:
    def made(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
        sections = [s for r in resources(root, "Composition") for s in r.get("section", []) if "entry" in s]
        if not sections:
            return None
        change(rng.choice(sections))
        return "Composition.section"

    made.__name__ = name
    kind(made)


_section("section_empty", lambda s: [s.pop(key, None) for key in ("text", "entry", "section")])
_section(
    "section_reason_beside_entries",
    lambda s: s.update(emptyReason={"coding": [{"system": "http://terminology.hl7.org/CodeSystem/list-empty-reason", "code": "nilknown"}]}),
)


# narrative
def _narrative(name: str, div: str) -> None:
    def made(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
        found = one(rng, root, lambda o: "div" in o and "status" in o)
        if found is None:
            return None
        found["div"] = div
        return "text.div"

    made.__name__ = name
    kind(made)


_narrative("div_with_script", DIV.format("<p>x</p><script>alert(1)</script>"))
_narrative("div_with_event", DIV.format('<p onclick="x()">x</p>'))
_narrative("div_with_unknown_attribute", DIV.format('<p stylecode="bold">x</p>'))
_narrative("div_with_form", DIV.format("<form><p>x</p></form>"))
_narrative("div_not_closed", '<div xmlns="http://www.w3.org/1999/xhtml"><p>x</div>')
_narrative("div_without_namespace", "<div><p>x</p></div>")
_narrative("div_blank", DIV.format(" <p>\n</p> "))
_narrative("div_with_entity", DIV.format("<p>a&nbsp;b</p>"))
_narrative("div_upper_case", DIV.format("<P>a</P>"))
_narrative("div_attribute_twice", DIV.format('<p class="a" class="b">a</p>'))
_narrative("div_javascript_link", DIV.format('<p><a href="javascript:x()">a</a></p>'))
_narrative("div_doctype", "<!DOCTYPE div>" + DIV.format("<p>a</p>"))
_narrative("div_comment", DIV.format("<p>a<!-- b --></p>"))
_narrative("div_cdata", DIV.format("<p><![CDATA[a]]></p>"))
_narrative("div_text_after", DIV.format("<p>a</p>") + "b")
_narrative("div_unquoted", DIV.format("<p class=a>a</p>"))
_narrative("div_bare_ampersand", DIV.format("<p>a & b</p>"))
_narrative("div_style_element", DIV.format("<style>p{}</style><p>a</p>"))
_narrative("div_u", DIV.format("<p><u>a</u></p>"))
_narrative("div_address", DIV.format("<address>a</address>"))
_narrative("div_bdo", DIV.format("<p><bdo>a</bdo><kbd>b</kbd></p>"))
_narrative("div_link_id", DIV.format('<p><a href="#x">a</a></p>'))
_narrative("div_in_table_text", DIV.format("<table>a<tr><td>b</td></tr></table>"))
_narrative("div_is_a_span", '<span xmlns="http://www.w3.org/1999/xhtml">x</span>')


# invariants
_into("rule_con_4", ("Condition",), lambda r: r.update(abatementDateTime="2020-01-01"))
_into("rule_ait_1", ("AllergyIntolerance",), lambda r: r.pop("clinicalStatus", None))
_into(
    "rule_obs_6",
    ("Observation",),
    lambda r: (
        r.update(dataAbsentReason={"text": "x"}, valueString="x")
        if not any(k.startswith("value") for k in r)
        else r.update(dataAbsentReason={"text": "x"})
    ),
)
_into("rule_org_1", ("Organization",), lambda r: [r.pop("name", None), r.pop("identifier", None)])
_into("rule_org_3", ("Organization",), lambda r: r.update(telecom=[{"system": "phone", "value": "1", "use": "home"}]))
_into("rule_pat_1", ("Patient",), lambda r: r.update(contact=[{"gender": "female"}]))
_into("rule_cpt_2", _PEOPLE, lambda r: r.update(telecom=[{"value": "1"}]))
_into("rule_per_1", _PEOPLE, lambda r: r.update(name=[{"family": "x", "period": {"start": "2020-02-01", "end": "2020-01-01"}}]))
_into("rule_lst_1", ("List",), lambda r: r.update(emptyReason={"text": "x"}, entry=r.get("entry", [{"item": {"display": "x"}}])))
_into("rule_mdd_1", ("MedicationDispense",), lambda r: r.update(whenPrepared="2020-01-02T00:00:00Z", whenHandedOver="2020-01-01T00:00:00Z"))
_into("rule_tim_2", ("MedicationStatement",), lambda r: r.update(dosage=[{"timing": {"repeat": {"period": 1}}}]))
_into(
    "rule_qty_3",
    ("MedicationDispense", "Observation"),
    lambda r: r.update(
        **(
            {"quantity": {"value": 1, "code": "mg"}}
            if r["resourceType"] == "MedicationDispense"
            else {"referenceRange": [{"low": {"value": 1, "code": "mg"}}]}
        )
    ),
)
_into("rule_sqty_1", ("MedicationDispense",), lambda r: r.update(quantity={"value": 1, "comparator": "<"}))
_into("rule_rat_1", ("MedicationStatement",), lambda r: r.update(dosage=[{"doseAndRate": [{"rateRatio": {"numerator": {"value": 1}}}]}]))
_into("rule_att_1", _PEOPLE[:2], lambda r: r.update(photo=[{"data": "YWJj"}]))
_into("rule_obs_3", ("Observation",), lambda r: r.update(referenceRange=[{"type": {"text": "x"}}]))


# what the standard allows
@harmless
def unknown_extension(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = rng.choice(resources(root))
    if found["resourceType"] in ("Bundle", "Parameters", "Binary"):
        return None
    found.setdefault("extension", []).append({"url": "http://example.org/colour", "valueString": "blue"})
    return "extension"


@harmless
def other_order_of_properties(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    for found in list(objects(root)):
        pairs = list(found.items())
        rng.shuffle(pairs)
        found.clear()
        found.update(pairs)
    return "all"


@harmless
def contained_and_used(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = next((r for r in resources(root, "Patient") if "managingOrganization" not in r and "contained" not in r), None)
    if found is None:
        return None
    found["contained"] = [{"resourceType": "Organization", "id": "a", "name": "x"}]
    found["managingOrganization"] = {"reference": "#a"}
    return "contained"


@harmless
def absent_for_a_reason(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(
        rng,
        root,
        definitions,
        lambda s: is_text(s, "dateTime", "string") and "resourceType" in s.holder and s.key != "id" and f"_{s.key}" not in s.holder,
    )
    if site is None:
        return None
    del site.holder[site.key]
    url = "http://hl7.org/fhir/StructureDefinition/data-absent-reason"
    site.holder[f"_{site.key}"] = {"extension": [{"url": url, "valueCode": "unknown"}]}
    return site.definition.path


@harmless
def words_without_codes(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: s.type == "CodeableConcept" and s.definition.strength in ("example", "preferred", "extensible") and s.key not in ("category", "code", "type"))  # fmt: skip
    if site is None:
        return None
    site.holder[site.key] = [{"text": "words"}] if isinstance(site.value, list) else {"text": "words"}
    return site.definition.path


@harmless
def year_alone(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(
        rng, root, definitions, lambda s: is_text(s, "date", "dateTime") and s.key not in ("start", "end", "whenPrepared", "whenHandedOver")
    )
    if site is None:
        return None
    site.holder[site.key] = "2020"
    return site.definition.path


@harmless
def reference_to_elsewhere(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = [r for r in resources(root, "Encounter", "PractitionerRole", "Procedure") if r["resourceType"] != "Composition"]
    if not found:
        return None
    rng.choice(found)["partOf" if found[0]["resourceType"] != "PractitionerRole" else "endpoint"] = None
    for r in found:
        for key in ("partOf", "endpoint"):
            if key in r and r[key] is None:
                del r[key]
        r["identifier"] = [{"system": "http://example.org/id", "value": "1"}]
    return "identifier"


@harmless
def rich_narrative(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: "div" in o and "status" in o)
    if found is None:
        return None
    found["div"] = DIV.format(
        '<h2 class="x">A &amp; B</h2><ul style="margin: 0"><li>x<br/></li></ul><table><tbody><tr><td colspan="2">y</td></tr></tbody></table>'
        '<p xml:lang="en">&#160;<a href="http://example.org">z</a> <img src="https://example.org/a.png" alt="b"/></p>'
    )
    return "text.div"
