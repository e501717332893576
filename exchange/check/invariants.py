"""The invariants of R4 and UK Core, by hand: key → what must hold of the object that carries it.

Each is the published FHIRPath expression in Python; `tests/unit/check` compares every one with a FHIRPath engine. A test sees objects
whose structure may be
damaged: it may then raise TypeError, ValueError, AttributeError or KeyError, which the walk takes as "reported elsewhere". Keys of the
tables that are
missing here are said to be not checked. `ele-1` (no empty element) and txt-1/txt-2 (narrative) are part of the walk.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from exchange.check.look import Object, choice, coded, has, in_order, inside, items
from exchange.fhir.shape import is_nhs_number

Test = Callable[[Object, Object], bool]  # the object and its resource

_TERM = "http://terminology.hl7.org/CodeSystem/"
_UCUM = "http://unitsofmeasure.org"
_R5 = "http://hl7.org/fhir/5.0/StructureDefinition/extension-"


def _not_twice(values: list[Any]) -> bool:
    return len(values) == len(set(values))


def _contained_used(resource: Object) -> bool:
    """dom-3: every contained resource is referred to, or refers to its container."""
    if "contained" not in resource:
        return True
    named: set[object] = set()
    for found in inside(resource):
        named.update(value for value in found.values() if isinstance(value, str) and value[:1] == "#")
        named.update(
            item for value in found.values() if isinstance(value, list) for item in value if isinstance(item, str) and item[:1] == "#"
        )
    return all(
        f"#{one.get('id')}" in named or any(found.get("reference") == "#" for found in inside(one)) for one in items(resource, "contained")
    )


def _enough(quantity: Object) -> tuple[bool, bool, Any]:
    """What the rules of Age, Count and Distance share: (code or no value, UCUM or no system, value)."""
    return has(quantity, "code") or not has(quantity, "value"), quantity.get("system", _UCUM) == _UCUM, quantity.get("value")


def _age(quantity: Object, _: Object) -> bool:
    coded_, ucum, value = _enough(quantity)
    return coded_ and ucum and (value is None or value > 0)


def _count(quantity: Object, _: Object) -> bool:
    coded_, ucum, value = _enough(quantity)
    return coded_ and ucum and quantity.get("code", "1") == "1" and (value is None or "." not in str(value))


def _range(found: Object, _: Object) -> bool:
    """rng-2: quantities of unlike units, or without a value, cannot be compared, which breaks the rule."""
    if not has(found, "low") or not has(found, "high"):
        return True
    low, high = found["low"], found["high"]
    like = low.get("code", low.get("unit")) == high.get("code", high.get("unit"))
    return like and "value" in low and "value" in high and low["value"] <= high["value"]


def _ratio(found: Object, _: Object) -> bool:
    both = has(found, "numerator") == has(found, "denominator")
    return both and (has(found, "numerator") or has(found, "extension"))


def _shared_code(observation: Object) -> bool:
    """obs-7: some component has a coding of the observation's own code."""
    own = {json.dumps(coding, sort_keys=True, default=str) for coding in items(observation.get("code", {}), "coding")}
    parts = (coding for part in items(observation, "component") for coding in items(part.get("code", {}), "coding"))
    return any(json.dumps(coding, sort_keys=True, default=str) in own for coding in parts)


def _entries_have(bundle: Object, name: str, *types: str) -> bool:
    """bdl-3, bdl-4: every entry has it in these types of Bundle, and none in others."""
    return all(has(entry, name) == (bundle.get("type") in types) for entry in items(bundle, "entry"))


def _full_urls(bundle: Object) -> list[str]:
    return [
        f"{entry['fullUrl']}{entry.get('resource', {}).get('meta', {}).get('versionId', '')}"
        for entry in items(bundle, "entry")
        if "fullUrl" in entry
    ]


def _first_is(bundle: Object, type_: str, wanted: str) -> bool:
    if bundle.get("type") != type_:
        return True
    entries = items(bundle, "entry")
    return bool(entries) and entries[0].get("resource", {}).get("resourceType") == wanted


def _link_ids(resource: Object) -> bool:
    return _not_twice([found["linkId"] for found in inside(resource) if "linkId" in found])


def _mixed(item: Object, types: str, *names: str) -> bool:
    """A Questionnaire item of one of these types has none of these elements."""
    return item.get("type") not in types.split() or not has(item, *names)


def _probability(found: Object, _: Object) -> bool:
    ends = [found[name] for name in ("low", "high") if name in found]
    return all(end.get("code") == "%" and end.get("system") == _UCUM for end in ends)


def _either(*names: str) -> Test:
    return lambda r, _: has(r, *names)


def _inside_only(bundle: Object, _: Object) -> bool:
    """wp-doc-1: every reference is the fullUrl of an entry."""
    entries = items(bundle, "entry")
    urls = {entry.get("fullUrl") for entry in entries}
    return all(found["reference"] in urls for entry in entries for found in inside(entry.get("resource")) if "reference" in found)


def _nhs_numbers(patient: Object, _: Object) -> bool:
    numbers = [one["value"] for one in items(patient, "identifier") if one.get("system") == "https://fhir.nhs.uk/Id/nhs-number"]
    return all(map(is_nhs_number, numbers))


def _answer(task: Object, *codes: str) -> bool:
    return any(coding.get("code") in codes for coding in items(task.get("businessStatus", {}), "coding"))


def _needs(one: str, other: str) -> Test:
    """`one` only together with `other`."""
    return lambda r, _: not has(r, one) or has(r, other)


def _not_both(one: str, other: str) -> Test:
    return lambda r, _: not (has(r, one) and has(r, other))


def _one_of(one: str, other: str) -> Test:
    return lambda r, _: has(r, one) != has(r, other)


def _with_patient(code: str) -> Test:
    return lambda r, _: has(r, "patient") or not coded(r, "scope", "something", code)


def _in_error(r: Object, system: str) -> bool:
    return coded(r, "verificationStatus", _TERM + system, "entered-in-error")


def _named(r: Object, _: Object) -> bool:
    return re.search("[A-Z]([A-Za-z0-9_]){0,254}", r.get("name", "")) is not None


_CODED_TYPES = "choice open-choice decimal integer date dateTime time string quantity"

# Rules of one shape: key and elements.
_SHAPED: dict[Callable[..., Test], str] = {
    _needs: (
        "att-1 data contentType; cpt-2 value system; qty-3 code system; tim-1 duration durationUnit; tim-2 period periodUnit; tim-6 "
        "periodMax period; tim-7 durationMax duration; tim-8 countMax count; trd-2 condition data; prr-1 orderDetail code; vsd-10 "
        "code system"
    ),
    _not_both: (
        "tim-10 timeOfDay when; cmp-2 emptyReason entry; cpl-3 detail reference; lst-1 emptyReason entry; sev-1 name query; qrs-1 "
        "answer item; que-4 answerOption answerValueSet; que-11 answerOption initial; vsd-3 concept filter"
    ),
    _one_of: "drq-1 path searchParam; drq-2 path searchParam; inv-1@TestReport.setup.action operation assert; rqg-1 resource action",
    _either: (
        "exp-1 expression reference; bdl-5 resource request response; cmp-1 text entry section; con-1 summary assessment; con-2 "
        "code detail; imm-1 documentType reference; imr-1 vaccineCode targetDisease; nor-1 oralDiet supplement enteralFormula; "
        "obs-3 low high text; app-1 type actor; apr-1 participantType actor; org-1 identifier name; pat-1 name telecom address "
        "organization; ppc-1 policy policyRule; vsd-1 valueSet system; vsd-6 code display; cpb-1 rest messaging document; cpb-2 "
        "description software implementation; ukcore-bodstr-001 location description image; wp-lst-1 entry emptyReason"
    ),
}
INVARIANTS: dict[str, Test] = {
    **{key: shape(*names) for shape, rules in _SHAPED.items() for key, *names in map(str.split, rules.split(";"))},
    # data types
    "age-1": _age,
    "cnt-3": _count,
    "dis-1": lambda r, _: all(_enough(r)[:2]),
    "drt-1": lambda r, _: not has(r, "code") or (r.get("system") == _UCUM and has(r, "value")),
    "ext-1": lambda r, _: ("extension" in r) != choice(r, "value"),
    "mqty-1": lambda r, _: (has(r, "code") or not has(r, "value")) and r.get("system", "urn:iso:std:iso:4217") == "urn:iso:std:iso:4217",
    "per-1": lambda r, _: in_order(r.get("start"), r.get("end")),
    "rat-1": _ratio,
    "rng-2": _range,
    "sqty-1": lambda r, _: not has(r, "comparator"),
    "tim-4": lambda r, _: r.get("duration", 0) >= 0,
    "tim-5": lambda r, _: r.get("period", 0) >= 0,
    "tim-9": lambda r, _: not has(r, "offset") or (bool(r.get("when")) and (r["when"][0] not in ("C", "CM", "CD", "CV"))),
    "trd-1": lambda r, _: not has(r, "data") or not choice(r, "timing"),
    "trd-3": lambda r, _: (
        {"named-event": has(r, "name"), "periodic": choice(r, "timing")}.get(r.get("type", ""), True)
        and (not r.get("type", "").startswith("data-") or has(r, "data"))
    ),
    # every resource with narrative
    "dom-2": lambda r, _: not any("contained" in found for found in items(r, "contained")),
    "dom-3": lambda r, _: _contained_used(r),
    "dom-4": lambda r, _: not any(has(found.get("meta", {}), "versionId", "lastUpdated") for found in items(r, "contained")),
    "dom-5": lambda r, _: not any("security" in found.get("meta", {}) for found in items(r, "contained")),
    "dom-6": lambda r, _: "div" in r.get("text", {}),
    # Bundle and Composition
    "bdl-1": lambda r, _: not has(r, "total") or r.get("type") in ("searchset", "history"),
    "bdl-2": lambda r, _: r.get("type") == "searchset" or not any("search" in found for found in items(r, "entry")),
    "bdl-3": lambda r, _: _entries_have(r, "request", "batch", "transaction", "history"),
    "bdl-4": lambda r, _: _entries_have(r, "response", "batch-response", "transaction-response", "history"),
    "bdl-7": lambda r, _: r.get("type") == "history" or _not_twice(_full_urls(r)),
    "bdl-8": lambda r, _: "/_history/" not in r.get("fullUrl", ""),
    "bdl-9": lambda r, _: (
        r.get("type") != "document" or (has(r, "identifier") and all(has(r["identifier"], n) for n in ("system", "value")))
    ),
    "bdl-10": lambda r, _: r.get("type") != "document" or "timestamp" in r,
    "bdl-11": lambda r, _: _first_is(r, "document", "Composition"),
    "bdl-12": lambda r, _: _first_is(r, "message", "MessageHeader"),
    # the record
    "ait-1": lambda r, _: has(r, "clinicalStatus") or _in_error(r, "allergyintolerance-verification"),
    "ait-2": lambda r, _: not (has(r, "clinicalStatus") and _in_error(r, "allergyintolerance-verification")),
    # As published it asks every condition with a category, not only problem-list-item, for its clinicalStatus (a warning).
    "con-3": lambda r, _: has(r, "clinicalStatus") or not has(r, "category") or _in_error(r, "condition-ver-status"),
    "con-4": lambda r, _: (
        not choice(r, "abatement") or coded(r, "clinicalStatus", _TERM + "condition-clinical", "resolved", "remission", "inactive")
    ),
    "con-5": lambda r, _: not (has(r, "clinicalStatus") and _in_error(r, "condition-ver-status")),
    "fhs-1": lambda r, _: not (choice(r, "age") and choice(r, "born")),
    "fhs-2": lambda r, _: choice(r, "age") or not has(r, "estimatedAge"),
    "gol-1": lambda r, _: not choice(r, "detail") or has(r, "measure"),
    "grp-1": lambda r, _: not has(r, "member") or r.get("actual") is True,
    "inv-1@Task": lambda r, _: in_order(r.get("authoredOn"), r.get("lastModified")),
    "inv-1@Parameters.parameter": lambda r, _: ("part" in r) + choice(r, "value") + ("resource" in r) == 1,
    "lnk-1": lambda r, _: len(items(r, "item")) > 1,
    "lst-2": lambda r, _: r.get("mode") == "changes" or not any(has(found, "deleted") for found in items(r, "entry")),
    "lst-3": lambda r, _: r.get("mode") == "working" or not any(has(found, "date") for found in items(r, "entry")),
    "mad-1": lambda r, _: has(r, "dose") or choice(r, "rate"),
    "mdd-1": lambda r, _: in_order(r.get("whenPrepared"), r.get("whenHandedOver")),
    "obs-6": lambda r, _: not has(r, "dataAbsentReason") or not choice(r, "value"),
    "obs-7": lambda r, _: not choice(r, "value") or not _shared_code(r),
    "ras-1": _probability,
    "ras-2": lambda r, _: r.get("probabilityDecimal", 0) <= 100,
    "vs-1": lambda r, _: not isinstance(r.get("value"), str) or len(r["value"]) >= 8,
    "vs-2": lambda r, _: has(r, "component", "hasMember", "dataAbsentReason") or choice(r, "value"),
    "vs-3": lambda r, _: has(r, "dataAbsentReason") or choice(r, "value"),
    # people, places, consent, time
    "app-2": lambda r, _: has(r, "start") == has(r, "end"),
    "app-3": lambda r, _: (has(r, "start") and has(r, "end")) or r.get("status") in ("proposed", "cancelled", "waitlist"),
    "app-4": lambda r, _: not has(r, "cancelationReason") or r.get("status") in ("no-show", "cancelled"),
    "org-2": lambda r, _: r.get("use") != "home",
    "org-3": lambda r, _: r.get("use") != "home",
    # The published rules ppc-2 to 5 name the system "something", a placeholder that no resource has.
    "ppc-2": _with_patient("patient-privacy"),
    "ppc-3": _with_patient("research"),
    "ppc-4": _with_patient("adr"),
    "ppc-5": _with_patient("treatment"),
    # forms and lists of codes
    "que-0": _named,
    "que-1": lambda r, _: (r.get("type") != "group" or "item" in r) and (r.get("type") != "display" or "item" not in r),
    "que-2": lambda r, _: _link_ids(r),
    "que-3": lambda r, _: _mixed(r, "display", "code"),
    "que-5": lambda r, _: r.get("type") in _CODED_TYPES.split() or not has(r, "answerValueSet", "answerOption"),
    "que-6": lambda r, _: _mixed(r, "display", "required", "repeats"),
    "que-7": lambda r, _: r.get("operator") != "exists" or "answerBoolean" in r,
    "que-8": lambda r, _: _mixed(r, "group display", "initial"),
    "que-9": lambda r, _: _mixed(r, "display", "readOnly"),
    "que-10": lambda r, _: (
        not has(r, "maxLength") or r.get("type") in ("boolean", "decimal", "integer", "string", "text", "url", "open-choice")
    ),
    "que-12": lambda r, _: len(items(r, "enableWhen")) <= 2 or has(r, "enableBehavior"),
    "que-13": lambda r, _: r.get("repeats") is True or len(items(r, "initial")) <= 1,
    **dict.fromkeys(("csd-0", "vsd-0", "cpb-0", "msd-0", "lib-0", "sdf-0", "opd-0"), _named),
    "vsd-2": lambda r, _: not has(r, "concept", "filter") or has(r, "system"),
    "vsd-9": lambda r, _: has(r, "code") or r.get("abstract") is True,
    "cpb-3": lambda r, _: r.get("kind") == "instance" or not any(has(found, "endpoint") for found in items(r, "messaging")),
    "cpb-9": lambda r, _: _not_twice([found["type"] for found in items(r, "resource") if "type" in found]),
    "cpb-12": lambda r, _: _not_twice([found["name"] for found in items(r, "searchParam") if "name" in found]),
    "cpb-14": lambda r, _: r.get("kind") != "instance" or has(r, "implementation"),
    "cpb-15": lambda r, _: r.get("kind") != "capability" or (not has(r, "implementation") and has(r, "software")),
    "cpb-16": lambda r, _: r.get("kind") != "requirements" or not has(r, "implementation", "software"),
    # UK Core
    "ukcore-diag-lab-001": lambda r, _: (
        has(r, "issued") or r.get("status") not in ("partial", "preliminary", "final", "amended", "corrected", "appended")
    ),
    "ukcore-diag-lab-002": lambda r, _: (
        not any(
            found.get("url") == _R5 + "DiagnosticReport.media.link" for media in items(r, "media") for found in items(media, "extension")
        )
        or not any("reference" in media.get("link", {}) for media in items(r, "media"))
    ),
    "ukcore-imm-001": lambda r, _: r.get("status") != "not-done" or has(r, "statusReason"),
    "ukcore-obs-grplab-001": lambda r, _: not choice(r, "value"),
    "ukcore-obs-lab-001": lambda r, _: has(r, "dataAbsentReason", "note") or choice(r, "value"),
    "ukcore-obs-vs-001": lambda r, _: any(coding.get("system") == "http://loinc.org" for coding in items(r.get("code", {}), "coding")),
    "ukcore-spec-001": lambda r, _: (
        "reference" not in r.get("collector", {})
        or not any(found.get("url") == _R5 + "Specimen.collection.collector" for found in items(r["collector"], "extension"))
    ),
    # Wardpost
    "wp-ans-1": lambda r, _: not _answer(r, "can-take") or has(r.get("restriction", {}).get("period", {}), "start"),
    "wp-ans-2": lambda r, _: not _answer(r, "cannot", "question") or has(r.get("statusReason", {}), "coding"),
    "wp-doc-1": _inside_only,
    "wp-doc-2": lambda r, _: r.get("fullUrl") == f"urn:uuid:{r['resource'].get('id', '')}",
    "wp-pat-1": _nhs_numbers,
}

# The property without which a rule holds of itself: most objects are spared it.
ONLY_WITH = {
    **dict.fromkeys(("dom-2", "dom-3", "dom-4", "dom-5"), "contained"),
    **{"att-1": "data", "cpt-2": "value", "per-1": "end", "qty-3": "code", "rng-2": "low", "sqty-1": "comparator"},
    **{"tim-1": "duration", "tim-2": "period", "tim-4": "duration", "tim-5": "period", "tim-6": "periodMax", "tim-7": "durationMax"},
    **{"tim-8": "countMax", "tim-9": "offset", "tim-10": "when", "bdl-1": "total", "cmp-2": "emptyReason", "obs-6": "dataAbsentReason"},
}
