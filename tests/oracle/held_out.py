# ruff: noqa: E501 - tables of values read better as lines
"""Kinds of damage written after the checker, blind to its rules: most pull a document about at random, so that the engine alone says what is wrong with the result.

They were first run over the finished checker; docs/check.md reports that first run apart from the kinds of `damage`. `SECOND` and
`THIRD` came when the checker had been mended after the ones before, and were first run after that.
"""

import copy
import random
from typing import Any

from tests.oracle.damage import Kind, objects, one, pick, resources
from tests.oracle.definitions import Definitions, Site

KINDS: dict[str, Kind] = {}
SECOND: dict[str, Kind] = {}
THIRD: dict[str, Kind] = {}
UK = "https://fhir.hl7.org.uk/StructureDefinition/"
_PLAIN: dict[str, Any] = {
    "string": "words", "markdown": "words", "boolean": True, "integer": 3, "positiveInt": 3, "unsignedInt": 3, "decimal": 2.5, "date": "2020-02-29",
    "dateTime": "2020-02-29T10:00:00Z", "instant": "2020-02-29T10:00:00Z", "time": "10:00:00", "uri": "http://example.org/x", "url": "http://example.org/x",
    "Period": {"start": "2020-01-01"}, "Quantity": {"value": 1}, "CodeableConcept": {"text": "words"}, "Reference": {"display": "words"},
    "Annotation": {"text": "words"}, "Identifier": {"value": "x"}, "HumanName": {"family": "x"}, "Range": {"low": {"value": 1}},
}  # fmt: skip


def kind(function: Kind) -> Kind:
    KINDS[function.__name__] = function
    return function


def _any(site: Site) -> bool:
    return site.key not in ("resourceType", "resource", "entry", "div")


@kind
def delete_anything(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, _any)
    if site is None:
        return None
    del site.holder[site.key]
    return site.definition.path


@kind
def repeat_an_item(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: isinstance(s.value, list) and s.key != "entry")
    if site is None:
        return None
    site.value.append(copy.deepcopy(rng.choice(site.value)))
    return site.definition.path


@kind
def swap_two_values(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: sum(isinstance(v, str) for v in o.values()) > 1)
    if found is None:
        return None
    a, b = rng.sample([key for key, value in found.items() if isinstance(value, str)], 2)
    found[a], found[b] = found[b], found[a]
    return f"{a}, {b}"


@kind
def move_a_property_up(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: any(isinstance(v, dict) and v for v in o.values()) and "fullUrl" not in o)
    if found is None:
        return None
    key = rng.choice([key for key, value in found.items() if isinstance(value, dict) and value])
    inner = rng.choice(list(found[key]))
    found[inner] = found[key].pop(inner)
    return f"{key}.{inner}"


@kind
def one_object_for_another(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    sites = [s for s in definitions.sites(root) if _any(s) and isinstance(s.value, dict)]
    if len(sites) < 2:
        return None
    here, there = rng.sample(sites, 2)
    here.holder[here.key] = copy.deepcopy(there.value)
    return here.definition.path


@kind
def letter_into_a_text(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: _any(s) and isinstance(s.value, str) and s.value != "")
    if site is None:
        return None
    at = rng.randrange(len(site.value) + 1)
    site.holder[site.key] = site.value[:at] + rng.choice(list("aZ09 -_.:/#|é\t\u00a0<&")) + site.value[at:]
    return site.definition.path


@kind
def letter_out_of_a_text(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: _any(s) and isinstance(s.value, str) and len(s.value) > 1)
    if site is None:
        return None
    at = rng.randrange(len(site.value))
    site.holder[site.key] = site.value[:at] + site.value[at + 1 :]
    return site.definition.path


@kind
def number_turned_negative(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: isinstance(s.value, int | float) and not isinstance(s.value, bool))
    if site is None:
        return None
    site.holder[site.key] = -site.value - 1
    return site.definition.path


@kind
def codes_exchanged(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = [o for o in objects(root) if "system" in o and "code" in o]
    if len(found) < 2:
        return None
    a, b = rng.sample(found, 2)
    a["code"], b["code"] = b["code"], a["code"]
    return "coding.code"


def _absent(rng: random.Random, root: Any, definitions: Definitions) -> tuple[dict[str, Any], Any] | None:
    """A resource, and the definition of a direct child that it does not have."""
    found = rng.choice(resources(root))
    names = [definitions.by_path[path] for path in definitions.by_path[found["resourceType"]].children]
    free = [
        d for d in names if d.path.rpartition(".")[2].removesuffix("[x]") not in " ".join(found) and d.types and not d.path.endswith(".id")
    ]
    return (found, rng.choice(free)) if free else None


@kind
def optional_element_of_its_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    chosen = _absent(rng, root, definitions)
    if chosen is None:
        return None
    found, definition = chosen
    type_ = rng.choice(definition.types)
    if type_ not in _PLAIN or definition.strength == "required":
        return None
    name = definition.path.rpartition(".")[2]
    key = name[:-3] + type_[0].upper() + type_[1:] if name.endswith("[x]") else name
    found[key] = [_PLAIN[type_]] if definition.max == "*" else _PLAIN[type_]
    return definition.path


@kind
def optional_element_of_another_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    chosen = _absent(rng, root, definitions)
    if chosen is None:
        return None
    found, definition = chosen
    name = definition.path.rpartition(".")[2]
    if name.endswith("[x]"):
        return None
    value = _PLAIN[rng.choice(list(_PLAIN))]
    found[name] = [value] if definition.max == "*" else value
    return definition.path


@kind
def another_resource_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = rng.choice(resources(root))
    found["resourceType"] = rng.choice(sorted(definitions.resources - {found["resourceType"]}))
    return "resourceType"


@kind
def entry_taken_out(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    if len(root.get("entry", ())) < 3 or root["resourceType"] != "Bundle":
        return None
    del root["entry"][rng.randrange(1, len(root["entry"]))]
    return "Bundle.entry"


@kind
def entry_twice_under_another_name(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    if root["resourceType"] != "Bundle" or not root.get("entry"):
        return None
    again = copy.deepcopy(rng.choice(root["entry"]))
    again["fullUrl"] = "urn:uuid:00000000-0000-4000-8000-00000000000a"
    root["entry"].append(again)
    return "Bundle.entry"


@kind
def entries_in_another_order(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    if root["resourceType"] != "Bundle" or not root.get("entry"):
        return None
    first, *rest = root["entry"]
    rng.shuffle(rest)
    root["entry"] = [first, *rest]
    return "Bundle.entry"


@kind
def choice_of_another_allowed_type(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: s.definition.path.endswith("[x]") and len(s.definition.types) > 1)
    if site is None:
        return None
    types = [t for t in site.definition.types if t in _PLAIN and t != site.type]
    if not types:
        return None
    type_ = rng.choice(types)
    del site.holder[site.key]
    site.holder[site.definition.path.rpartition(".")[2][:-3] + type_[0].upper() + type_[1:]] = copy.deepcopy(_PLAIN[type_])
    return site.definition.path


@kind
def letters_of_other_scripts(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(rng, root, definitions, lambda s: s.type in ("string", "markdown") and isinstance(s.value, str))
    if site is None:
        return None
    site.holder[site.key] = rng.choice(["Ŵyn Łukasz", "محمد", "😀", "a\u00adb", "ﬁ", "\u200b", "a\nb", "中文"])
    return site.definition.path


@kind
def another_profile_claimed(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    wanted = {
        "Observation": ["UKCore-Observation-VitalSigns", "UKCore-Observation-Lab", "UKCore-Observation-VitalSigns-HeartRate", "UKCore-Observation-Group-Lab"],
        "Patient": ["UKCore-Patient"], "Medication": ["UKCore-Medication"], "MedicationRequest": ["UKCore-MedicationRequest"], "List": ["UKCore-List"],
        "DiagnosticReport": ["UKCore-DiagnosticReport-Lab"], "Device": ["UKCore-Device-BloodPressure"],
    }  # fmt: skip
    found = [r for r in resources(root) if r["resourceType"] in wanted]
    if not found:
        return None
    chosen = rng.choice(found)
    chosen["meta"] = {"profile": [UK + rng.choice(wanted[chosen["resourceType"]])]}
    return "meta.profile"


@kind
def element_around_narrative(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: "div" in o and "status" in o)
    if found is None:
        return None
    tag = rng.choice(
        [
            "p",
            "span",
            "b",
            "section",
            "article",
            "header",
            "u",
            "s",
            "mark",
            "nav",
            "h3",
            "blockquote",
            "ul",
            "li",
            "pre",
            "td",
            "video",
            "iframe",
            "input",
            "button",
            "label",
            "small",
            "sub",
            "main",
            "dl",
            "dd",
            "form",
        ]
    )
    start = found["div"].index(">") + 1
    end = found["div"].rindex("<")
    found["div"] = f"{found['div'][:start]}<{tag}>{found['div'][start:end]}</{tag}>{found['div'][end:]}"
    return "text.div"


@kind
def date_cut_short(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    site = pick(
        rng, root, definitions, lambda s: s.type in ("date", "dateTime", "instant") and isinstance(s.value, str) and len(s.value) > 4
    )
    if site is None:
        return None
    site.holder[site.key] = site.value[: rng.randrange(1, len(site.value))]
    return site.definition.path


@kind
def extension_on_anything(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = one(rng, root, lambda o: "extension" not in o and "div" not in o and o.get("resourceType") != "Bundle" and "url" not in o)
    if found is None:
        return None
    found["extension"] = [{"url": "http://example.org/colour", rng.choice(["valueString", "valueCode"]): "blue"}]
    return "extension"


@kind
def extension_of_another_place(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
    found = [o for o in objects(root) if isinstance(o.get("extension"), list) and o["extension"]]
    if not found:
        return None
    moved = copy.deepcopy(rng.choice(rng.choice(found)["extension"]))
    target = one(rng, root, lambda o: "div" not in o and o.get("resourceType") != "Bundle" and "url" not in o)
    if target is None:
        return None
    target.setdefault("extension", []).append(moved)
    return "extension"


def _change(name: str, wanted: Any, change: Any, kinds: dict[str, Kind] = SECOND) -> None:
    """A second or third kind: changes a random object that suits."""

    def made(rng: random.Random, root: Any, definitions: Definitions) -> str | None:
        found = one(rng, root, wanted)
        if found is None:
            return None
        change(rng, found)
        return name

    kinds[name] = made


def _swap(first: str, second: str) -> Any:
    def change(rng: random.Random, found: dict[str, Any]) -> None:
        found[first], found[second] = found[second], found[first]

    return change


def _contain(rng: random.Random, found: dict[str, Any]) -> None:
    inner = {
        "resourceType": rng.choice(["Organization", "Patient", "Practitioner", "Medication"]),
        "id": "inside",
        "text": found.get("text"),
    }
    found["contained"] = [{key: value for key, value in inner.items() if value}]
    found["extension"] = [*found.get("extension", []), {"url": "http://example.org/inside", "valueReference": {"reference": "#inside"}}]


def _is_domain(o: dict[str, Any]) -> bool:
    return "resourceType" in o and "contained" not in o and o["resourceType"] not in ("Bundle", "Binary", "Parameters")


_change("period_turned_round", lambda o: isinstance(o.get("start"), str) and isinstance(o.get("end"), str), _swap("start", "end"))
_change("system_and_display_exchanged", lambda o: "system" in o and "display" in o and "code" in o, _swap("system", "display"))
_change("resource_put_inside", _is_domain, _contain)
_change(
    "reference_with_version",
    lambda o: isinstance(o.get("reference"), str),
    lambda rng, o: o.update(reference=o["reference"] + "/_history/1"),
)
_change("reference_with_fragment", lambda o: isinstance(o.get("reference"), str), lambda rng, o: o.update(reference=o["reference"] + "#a"))
_change(
    "reference_by_identifier",
    lambda o: isinstance(o.get("reference"), str),
    lambda rng, o: o.update(reference=None) or o.pop("reference") or o.update(identifier={"value": "1"}),
)
_change("code_in_capitals", lambda o: isinstance(o.get("code"), str), lambda rng, o: o.update(code=o["code"].upper()))
_change(
    "part_of_an_extension_lost",
    lambda o: "url" in o and isinstance(o.get("extension"), list),
    lambda rng, o: o["extension"].pop(rng.randrange(len(o["extension"]))),
)
_change(
    "extension_within_itself",
    lambda o: "url" in o and any(key.startswith("value") for key in o),
    lambda rng, o: o.update(extension=[copy.deepcopy(o)]),
)
_change(
    "number_beyond_all_bounds",
    lambda o: isinstance(o.get("value"), int | float),
    lambda rng, o: o.update(value=rng.choice([1e300, -0.0, 1e-300, 10**30])),
)
_change("implicit_rules", _is_domain, lambda rng, o: o.update(implicitRules="http://example.org/rules"))
_change(
    "profile_of_another_type", _is_domain, lambda rng, o: o.update(meta={"profile": [UK + rng.choice(["UKCore-Patient", "UKCore-Slot"])]})
)
_change(
    "statuses_of_others",
    lambda o: isinstance(o.get("status"), str) and "resourceType" in o,
    lambda rng, o: o.update(status=rng.choice(["active", "final", "completed", "draft"])),
)
_change(
    "list_turned_round",
    lambda o: any(isinstance(v, list) and len(v) > 1 for v in o.values()),
    lambda rng, o: next(v for v in o.values() if isinstance(v, list) and len(v) > 1).reverse(),
)


def _put(name: str, key: str, wanted: Any, values: list[Any]) -> None:
    """A third kind: one of these values for a property."""
    _change(name, wanted, lambda rng, o: o.update({key: copy.deepcopy(rng.choice(values))}), THIRD)


def _is_time(o: dict[str, Any]) -> bool:
    return isinstance(o.get("start"), str) and "T" in o["start"]


def _zone(rng: random.Random, o: dict[str, Any]) -> None:
    o["start"] = o["start"][:19] + rng.choice(
        ["Z", "z", "+00:00", "-00:00", "+14:00", "+14:30", "+15:00", "+0100", "", " Z", ".5Z", ".123456789Z"]
    )


def _wrap(rng: random.Random, o: dict[str, Any]) -> None:
    key = rng.choice([key for key, value in o.items() if isinstance(value, list)])
    o[key] = rng.choice([[o[key]], [o[key], *o[key]], {"0": o[key]}, o[key] * 2])


_UNITS = (
    "tabs mg/ml gram mcg L/min mm % kg/m2 IU [iU] cm2 breaths/min {beats}/min mg/dose Mg mg. 10^6 /d kg/ m*s oz lb [lb_av] MG/L mol/l ° µg"
)
_PIECES = [
    '<p style="color:red">a</p>', '<p><img src="data:image/png;base64,AAAA" alt="x"/></p>', '<table border="1" width="100%"><tr><td>a</td></tr></table>',
    '<p><a name="x"/><a href="#x">a</a></p>', '<p>a<br clear="all"/></p>', '<ol start="3"><li>a</li></ol>', '<ul><li value="3">a</li></ul>',
    '<table><tr><td bgcolor="red">a</td></tr></table>', "<p><font>a</font></p>", "<center>a</center>", '<p align="center">a</p>', "<p>a</p><!---->",
    '<p><a href="mailto:a@example.org">a</a></p>', '<p><a href="tel:1" target="_blank">a</a></p>', '<p lang="cy">a</p>', "<p>&#x41;&#65;</p>", "<p>&lt;b&gt;</p>",
    "<table><caption>a</caption><thead><tr><th>a</th></tr></thead></table>", "<dl><dt>a</dt><dd>b</dd></dl>", "<p>a<p>b</p></p>", "<pre> a\n b</pre>", "<hr/>", "<p/>",
    '<p class="">a</p>', '<p id="">a</p>', '<p title="a&quot;b">a</p>', "<h7>a</h7>", "<p>a</p >", "<p>\u00a0</p>", "<?a b?><p>a</p>", '<p xml:lang="en">a</p>',
]  # fmt: skip
_put("unit_of_another_kind", "code", lambda o: o.get("system") == "http://unitsofmeasure.org", _UNITS.split())
_put("language_of_a_resource", "language", _is_domain, ["en", "en-GB", "EN", "eng", "cy", "x-a", "en-US-x-a", "zh-Hans"])
_put("id_of_another_form", "id", _is_domain, ["a_b", "a" * 65, "ä", "1.2", "-", "A" * 64, " a", "", "a/b", "."])
_put("words_of_a_code", "display", lambda o: "display" in o, ["<b>x</b>", "&amp;", "a\nb", " a", "a ", " ", "\u200b", "x" * 5000, "a\tb"])
_put("status_of_a_narrative", "status", lambda o: "div" in o, ["empty", "additional", "extensions", "generated", "final", "Generated"])
_put("use_of_a_name", "use", lambda o: "family" in o, ["official", "usual", "old", "maiden", "married", "OFFICIAL", "temp", "nickname"])
_put("rank_of_a_telecom", "rank", lambda o: "use" in o and "value" in o and "system" in o, [0, 1, -1, 1.0, 1.5, "1", 2**31, 2**31 - 1])
_put("piece_of_narrative", "div", lambda o: "div" in o, [f'<div xmlns="http://www.w3.org/1999/xhtml">{piece}</div>' for piece in _PIECES])
_put("meta_of_a_resource", "meta", _is_domain, [
    {"lastUpdated": "2020-01-01"}, {"lastUpdated": "2020-01-01T00:00:00Z"}, {"versionId": "1"}, {"versionId": "a b"}, {"source": "x"}, {"tag": [{"code": "x"}]},
    {"source": "#x"}, {"tag": [{"system": "x", "code": "y"}]}, {"security": [{"display": "x"}]}, {"profile": ["x"]}, {"profile": []}, {},
])  # fmt: skip
_change("zone_of_a_time", _is_time, _zone, THIRD)
_change("system_spelled_otherwise", lambda o: isinstance(o.get("system"), str) and ":" in o["system"], lambda rng, o: o.update(
    system=rng.choice([o["system"] + "/", o["system"].upper(), o["system"].replace("http:", "https:"), o["system"] + "|1", o["system"] + " ", o["system"][5:]]),
), THIRD)  # fmt: skip
_change("array_wrapped", lambda o: any(isinstance(v, list) for k, v in o.items() if k != "entry"), _wrap, THIRD)
_change("code_gone_from_a_coding", lambda o: "system" in o and "code" in o and "display" in o, lambda rng, o: o.pop("code"), THIRD)
_change("system_gone_from_a_coding", lambda o: "system" in o and "code" in o, lambda rng, o: o.pop("system"), THIRD)
