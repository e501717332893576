# ruff: noqa: E501 - tables of twins read better as lines
"""One valid and one broken twin for each kind of rule: the broken one has the rule's issue at the right place, the valid one has none."""

from typing import Any

import pytest

from exchange.check import Checker, Issue, UnknownProfile, as_outcome
from exchange.fhir.r4.ucum import is_ucum
from tests.check_kit import HL7, SCT, UK, broken, document, urn

CHECKER = Checker.load()
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'
BIRTH_SEX = {
    "url": UK + "Extension-UKCore-BirthSex",
    "valueCodeableConcept": {"coding": [{"system": HL7 + "v3-AdministrativeGender", "code": "F"}]},
}


def patient(**elements: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "text": {"status": "generated", "div": DIV.format("x")}, **elements}


def observation(**elements: Any) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "text": {"status": "generated", "div": DIV.format("x")},
        "status": "final",
        "code": {"text": "x"},
        **elements,
    }


VITAL_SIGNS = {"coding": [{"system": HL7 + "observation-category", "code": "vital-signs"}]}
LOINC = {"system": "http://loinc.org", "code": "8867-4"}
SNOMED = {"system": SCT, "code": "364075005"}


def vital(**elements: Any) -> dict[str, Any]:
    made = observation(
        meta={"profile": [UK + "UKCore-Observation-VitalSigns"]}, subject={"display": "x"}, effectiveDateTime="2020-01-01",
        code={"coding": [LOINC, SNOMED]}, valueInteger=1, performer=[{"display": "x"}], category=[VITAL_SIGNS],
    )  # fmt: skip
    return made | elements


def narrative(inner: str) -> dict[str, Any]:
    return patient(text={"status": "generated", "div": DIV.format(inner)})


def bundle(type_: str, *entries: Any, **elements: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": type_, "entry": list(entries), **elements}


def of(issues: list[Issue], *severities: str) -> list[tuple[str, str]]:
    return [(issue.rule, issue.expression) for issue in issues if issue.severity in severities]


# rule, expression, broken, valid
TWINS: list[tuple[str, str, Any, Any]] = [
    ("min", "Observation", {key: value for key, value in observation().items() if key != "code"}, observation()),
    ("null", "Observation.code", observation(code=None), observation()),
    ("min", "Patient.link[0]", patient(link=[{"type": "refer"}]), patient(link=[{"type": "refer", "other": {"display": "x"}}])),
    ("max", "Observation.category", *(vital(category=[VITAL_SIGNS] * count) for count in (2, 1))),
    ("type", "Patient.name", patient(name={"family": "x"}), patient(name=[{"family": "x"}])),
    ("type", "Patient.name[0]", patient(name=["x"]), patient(name=[{"text": "x"}])),
    ("type", "Patient.active", patient(active="true"), patient(active=True)),
    ("type", "Patient.gender", patient(gender=["male"]), patient(gender="male")),
    ("type", "Patient.multipleBirth.ofType(integer)", patient(multipleBirthInteger=True), patient(multipleBirthInteger=2)),
    ("type", "Observation.value.ofType(Quantity).value", observation(valueQuantity={"value": "1"}), observation(valueQuantity={"value": 1})),
    ("format", "Patient.birthDate", patient(birthDate="2023-02-29"), patient(birthDate="2024-02-29")),
    ("format", "Patient.birthDate", patient(birthDate="2023-2-1"), patient(birthDate="2023-02")),
    ("format", "Patient.id", patient(id="a_b"), patient(id="a-b")),
    ("format", "Patient.name[0].family", patient(name=[{"family": "a\ud800"}]), patient(name=[{"family": "a b"}])),
    ("binding-required", "Patient.extension[0].value.ofType(Money).currency", *(
        patient(extension=[{"url": "http://x", "valueMoney": {"value": 1, "currency": code}}]) for code in ("XXQ", "GBP")
    )),
    ("format", "Observation.issued", observation(issued="2020-01-01"), observation(issued="2020-01-01T10:00:00.123+01:00")),
    ("format", "Observation.value.ofType(time)", observation(valueTime="10:00"), observation(valueTime="10:00:00")),
    ("format", "Patient.telecom[0].rank", patient(telecom=[{"rank": 0}]), patient(telecom=[{"rank": 1}])),
    ("format", "Patient.multipleBirth.ofType(integer)", patient(multipleBirthInteger=1.5), patient(multipleBirthInteger=-1)),
    ("format", "Patient.photo[0].data", patient(photo=[{"contentType": "a/b", "data": "AAAAA"}]), patient(photo=[{"contentType": "a/b", "data": "AA=="}])),
    ("format", "Patient.implicitRules", patient(implicitRules="urn:uuid:" + "A" * 36), patient(implicitRules=urn("x"))),
    ("empty", "Patient.name", patient(name=[]), patient()),
    ("empty", "Patient.gender", patient(gender=""), patient()),
    ("empty", "Patient.name[0].given", patient(name=[{"given": []}]), patient(name=[{"given": ["a"]}])),
    ("ele-1", "Patient.maritalStatus", patient(maritalStatus={}), patient(maritalStatus={"text": "x"})),
    ("ele-1", "Patient.maritalStatus", patient(maritalStatus={"id": "x"}), patient()),
    ("null", "Patient.gender", patient(gender=None), patient()),
    ("null", "Patient.name[0].given[1]", patient(name=[{"given": ["a", None]}]), patient(name=[{"given": ["a", None], "_given": [None, {"id": "x"}]}])),
    ("choice", "Patient.deceased.ofType(dateTime)", patient(deceasedBoolean=True, deceasedDateTime="2020"), patient(deceasedBoolean=True)),
    ("unknown-element", "Patient.colour", patient(colour="x"), patient()),
    ("unknown-element", "Patient.deceasedString", patient(deceasedString="x"), patient(deceasedDateTime="2020")),
    ("resource-type", "Patient.contained[0]", patient(contained=[{"resourceType": "Nobody"}]), patient()),
    ("binding-required", "Patient.gender", patient(gender="x"), patient(gender="other")),
    ("code-unknown", "Patient.maritalStatus.coding[0]", *(
        patient(maritalStatus={"coding": [{"system": HL7 + "v3-MaritalStatus", "code": code}]}) for code in ("ZZ", "M")
    )),
    ("code-missing", "Patient.maritalStatus.coding[0]", *(
        patient(maritalStatus={"coding": [{"system": HL7 + "v3-MaritalStatus", "display": "x"} | code]}) for code in ({}, {"code": "M"})
    )),
    ("code-missing", "Patient.maritalStatus.coding[0]", *(
        patient(maritalStatus={"coding": [{"system": system, "display": "x"}]}) for system in (HL7 + "v3-MaritalStatus", "http://snomed.info/sct")
    )),
    ("system-relative", "Patient.meta.tag[0].system", *(patient(meta={"tag": [{"system": f"{start}//x", "code": "y"}]}) for start in ("", "http:"))),
    ("reference-form", "Patient.managingOrganization.reference", *(
        patient(managingOrganization={"reference": f"urn:uuid:0b1e5a3c{gap}-5a5f-4c0e-9f1a-0d6c2a3b4c5d"}) for gap in ("\t", "")
    )),
    ("format", "Patient.meta.profile[0]", patient(meta={"profile": ["x"]}), patient(meta={"profile": ["urn:x"]})),
    ("binding-required", "Patient.language", patient(language="no language"), patient(language="cy-GB")),
    ("ucum", "Observation.value.ofType(Quantity).code", *(
        observation(valueQuantity={"value": 1, "system": "http://unitsofmeasure.org", "code": code}) for code in ("mg per day", "mg/d{dose}")
    )),
    ("reference-target", "Patient.managingOrganization", *(patient(managingOrganization={"reference": f"{type_}/1"}) for type_ in ("Patient", "Organization"))),
    ("reference-type", "Patient.managingOrganization.type", *(
        patient(managingOrganization={"reference": "#o", "type": type_}, contained=[{"resourceType": "Organization", "id": "o", "name": "x"}])
        for type_ in ("Patient", "Organization")
    )),
    ("ref-1", "Patient.managingOrganization.reference", patient(managingOrganization={"reference": "#o"}), patient(managingOrganization={"reference": "urn:x:y"})),
    ("contained-id", "Patient.contained[0]", *(
        patient(managingOrganization={"reference": "#o"}, contained=[{"resourceType": "Organization", "id": "o", "name": "x"}] * count) for count in (2, 1)
    )),
    ("identifier-uri", "Patient.identifier[0].value", *(patient(identifier=[{"system": "urn:ietf:rfc:3986", "value": v}]) for v in ("x", "urn:x:y"))),
    ("attachment-size", "Patient.photo[0].size", *(patient(photo=[{"contentType": "a/b", "data": "AAA=", "size": size}]) for size in (3, 2))),
    ("reference-profile", "Specimen.container[0].extension[0].value.ofType(Reference)", *(
        {
            "resourceType": "Specimen", "text": {"status": "generated", "div": DIV.format("x")},
            "contained": [{"resourceType": "Location", "id": "l", "identifier": [{"system": "https://fhir.nhs.uk/Id/ods-site-code", "value": "x"}] * count}],
            "container": [{"extension": [{"url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-Specimen.container.location", "valueReference": {"reference": "#l"}}]}],
        } for count in (2, 1)
    )),
    # extensions
    ("extension-context", "Observation.extension[0]", observation(extension=[BIRTH_SEX]), patient(extension=[BIRTH_SEX])),
    ("extension-modifier", "Patient.modifierExtension[0]", patient(modifierExtension=[BIRTH_SEX]), patient(extension=[BIRTH_SEX])),
    ("extension-url", "Patient.extension[0]", patient(extension=[{"url": "x", "valueCode": "y"}]), patient(extension=[{"url": "http://x", "valueCode": "y"}])),
    ("unknown-element", "Patient.extension[0].valueString", patient(extension=[{"url": BIRTH_SEX["url"], "valueString": "x"}]), patient(extension=[BIRTH_SEX])),
    ("binding-required", "Patient.extension[0].value.ofType(CodeableConcept)", *(
        patient(extension=[{"url": BIRTH_SEX["url"], "valueCodeableConcept": {"coding": [{"system": system, "code": "F"}]}}])
        for system in (SCT, HL7 + "v3-AdministrativeGender")
    )),
    # profiles
    ("slice-max:nhsNumber", "Patient.identifier", *(
        patient(meta={"profile": [UK + "UKCore-Patient"]}, identifier=[{"system": "https://fhir.nhs.uk/Id/nhs-number", "value": "9990000018"}] * count)
        for count in (2, 1)
    )),
    ("min", "Patient.identifier[0]", *(
        patient(meta={"profile": profile}, identifier=[{"system": "https://fhir.nhs.uk/Id/nhs-number"}]) for profile in ([UK + "UKCore-Patient"], ["http://x"])
    )),
    ("fixed", "Observation.status", vital(status="amended"), vital()),
    ("slice-min:snomedCT", "Observation.code.coding", vital(code={"coding": [LOINC]}), vital()),
    ("ukcore-obs-vs-001", "Observation", vital(code={"coding": [SNOMED, {**LOINC, "system": "http://x"}]}), vital()),
    ("profile-type", "Patient.meta.profile[0]", patient(meta={"profile": [UK + "UKCore-Encounter"]}), patient(meta={"profile": [UK + "UKCore-Patient"]})),
    # narrative
    ("txt-1", "Patient.text.div", narrative("<p onclick='x'>x</p>"), narrative("<p class='x'>x</p>")),
    ("txt-1", "Patient.text.div", narrative("<script>x</script>"), narrative("<code>x</code>")),
    ("txt-1", "Patient.text.div", narrative("<p><table><tr><td>x</td></tr></table></p>"), narrative("<table><tr><td><p>x</p></td></tr></table>")),
    ("txt-2", "Patient.text.div", narrative(" \n<p/>"), narrative("<img src='http://x/y' alt='z'/>")),
    ("not-xhtml", "Patient.text.div", narrative("<p>x"), narrative("<p>x</p>")),
    ("not-xhtml", "Patient.text.div", narrative("a&nbsp;b"), narrative("a&#160;b")),
    ("narrative-link", "Patient.text.div", narrative("<a href='#b'>x</a>"), narrative("<a href='#b'>x</a><p id='b'>y</p>")),
    # Bundles and documents
    ("fullurl-missing", "Bundle.entry[0]", bundle("collection", {"resource": patient()}), bundle("transaction", {"resource": patient(), "request": {"method": "POST", "url": "x"}})),
    ("fullurl-absolute", "Bundle.entry[0].fullUrl", *(bundle("collection", {"fullUrl": u, "resource": patient(id="p")}) for u in ("Patient/p", "http://x/Patient/p"))),
    ("fullurl-id", "Bundle.entry[0].fullUrl", *(bundle("collection", {"fullUrl": f"http://x/Patient/{i}", "resource": patient(id="p")}) for i in "qp")),
    ("document-reference", "Bundle.entry[0].resource.custodian.reference", broken(**{"entry.0.resource.custodian": {"reference": "http://x/Organization/1"}}), document()),
    ("document-orphan", "Bundle.entry[33]", broken(**{"entry.0.resource.section.2.entry": None, "entry.33.resource.subject": {"display": "x"}}), document()),
    ("reference-target", "Bundle.entry[34].resource.patient", broken(**{"entry.34.resource.patient.reference": urn("trust")}), document()),
    ("bdl-9", "Bundle", broken(identifier=None), document()),
    ("bdl-10", "Bundle", broken(timestamp=None), document()),
    ("cmp-1", "Bundle.entry[0].resource.section[10]", broken(**{"entry.0.resource.section.10.text": None}), document()),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "expression", "wrong", "right"), TWINS, ids=[f"{n}-{twin[0]}" for n, twin in enumerate(TWINS)])
def test_twins(rule: str, expression: str, wrong: Any, right: Any) -> None:
    assert (rule, expression) in of(CHECKER.check(wrong), "error", "fatal")
    assert of(CHECKER.check(right), "error", "fatal") == []


def test_the_usual_document_is_clean_and_says_what_it_did_not_check() -> None:
    issues = CHECKER.check(document())
    assert of(issues, "error", "fatal", "warning") == []
    assert {issue.rule for issue in issues} == {"system-not-checked"}


@pytest.mark.parametrize(
    ("rule", "severity", "resource"),
    [
        ("binding-extensible", "warning", {**patient(meta={"profile": [UK + "UKCore-Patient"]}), "maritalStatus": {"coding": [{"system": "http://x", "code": "y"}]}}),
        ("profile-unknown", "warning", patient(meta={"profile": ["http://x/y"]})),
        ("profile-version", "warning", patient(meta={"profile": [UK + "UKCore-Patient|0.1"]})),
        ("extension-unknown", "information", patient(extension=[{"url": "http://x/y", "valueCode": "z"}])),
        ("extension-unknown", "warning", patient(modifierExtension=[{"url": "http://x/y", "valueCode": "z"}])),
        ("dom-6", "warning", {"resourceType": "Patient"}),
        ("control-character", "warning", patient(name=[{"family": "a\x00"}])),
        ("reference-lost", "warning", broken(**{"entry.34.resource.patient.reference": urn("nobody")})),
        ("reference-lost", "warning", broken(**{"entry.34.resource.patient.reference": "Patient/1"})),
        ("reference-form", "warning", patient(managingOrganization={"reference": "x"})),
        ("system-relative", "warning", {"resourceType": "Encounter", "status": "finished", "class": {"system": "x", "code": "y"}}),
        ("system-not-checked", "information", observation(code={"coding": [{"system": SCT, "code": "1"}]})),
        ("binding-not-checked", "information", {"resourceType": "DocumentReference", "meta": {"profile": [UK + "UKCore-DocumentReference"]}, "type": {"coding": [{"system": SCT, "code": "1"}]}}),
        ("invariant-not-checked", "information", {"resourceType": "Measure", "status": "draft"}),
    ],
)  # fmt: skip
def test_what_is_no_error_is_said(rule: str, severity: str, resource: dict[str, Any]) -> None:
    found = {(issue.rule, issue.severity) for issue in CHECKER.check(resource)}
    assert (rule, severity) in found


def test_a_document_whose_entry_only_points_into_it_is_warned_of() -> None:
    issues = CHECKER.check(broken(**{"entry.0.resource.section.2.entry": None}))
    assert of(issues, "warning") == [("document-backwards", "Bundle.entry[33]")]
    assert of(issues, "error", "fatal") == []


def test_all_issues_at_once_and_none_twice() -> None:
    issues = CHECKER.check(
        broken(**{"entry.1.resource.gender": "x", "entry.1.resource.birthDate": "y", "timestamp": None, "entry.2.resource.colour": 1})
    )
    rules = of(issues, "error")
    assert {rule for rule, _ in rules} == {"binding-required", "format", "bdl-10", "unknown-element"}
    assert len(set(rules)) == len(rules)


def test_no_value_of_the_document_is_in_a_text() -> None:
    secret = "Zebedee-4711"
    wrong = broken(**{
        "entry.1.resource.gender": secret, "entry.1.resource.birthDate": secret, "entry.1.resource.id": f"{secret}_", "entry.2.resource.name": {secret: secret},
        "entry.1.resource.generalPractitioner.0.reference": f"urn:uuid:{secret}", "entry.1.resource.text.div": f"<div>{secret}", secret + "!": 1,
        "entry.4.resource.identifier.0.system": secret, "entry.5.resource.extension": [{"url": f"http://{secret}", "valueCode": " "}],
        "entry.9.resource.code.coding.0.system": f"http://{secret}", "entry.1.resource.meta.profile": [f"http://{secret}"],
    })  # fmt: skip
    issues = CHECKER.check(wrong)
    assert len(of(issues, "error")) >= 8
    assert all(secret not in f"{issue.text}{issue.expression}" for issue in issues)


def test_a_type_that_r4_does_not_have_is_not_repeated() -> None:
    (issue,) = CHECKER.check({"resourceType": "Ada Example, 9990000018"})
    assert (issue.expression, issue.rule) == ("", "resource-type")
    assert "Ada" not in issue.text


def test_profiles_asked_for() -> None:
    assert of(CHECKER.check(patient(), profiles=[UK + "UKCore-Patient"]), "error") == []
    vitals = CHECKER.check(observation(), profiles=[UK + "UKCore-Observation-VitalSigns"])
    assert {("min", "Observation"), ("ukcore-obs-vs-001", "Observation")} <= set(of(vitals, "error"))
    with pytest.raises(UnknownProfile) as raised:
        CHECKER.check(patient(), profiles=["http://x/y"])
    assert raised.value.code == "unknown_profile"
    assert "http://x/y" in raised.value.diagnostics()


def test_an_outcome_is_itself_clean() -> None:
    for issues in ([], CHECKER.check(broken(timestamp=None))):
        outcome = as_outcome(issues)
        assert of(CHECKER.check(outcome), "error", "fatal") == []


def test_units_are_those_of_ucum() -> None:
    common = CHECKER.plan.terms.value_set("http://hl7.org/fhir/ValueSet/ucum-common")
    assert common is not None
    assert len(common.codes) > 1_000
    assert [code for code in common.codes if not is_ucum(code)] == []
    right = "mg mm[Hg] 10*9/L mmol/mol{creatinine} {tablet} {tablet}/d mg/(24.h) /min kg.m/s2 m-2 % 1 [iU]/L Cel g/(kg.(8.h)) ((m))"
    wrong = "milligram D MCG x10^9/L tablets mcg. 2(m) m(s) (mg mg) mg//L .m m^2 { {a {{a}} \0 mg{a}{b} unit"
    assert [code for code in right.split() if not is_ucum(code)] == []
    assert [code for code in [*wrong.split(), "", "mg ", "m" * 201, "(" * 200] if is_ucum(code)] == []


def test_words_that_a_page_does_not_show_are_no_words() -> None:
    for div, blank in (("<p><![CDATA[a]]></p>", True), ("<p><![CDATA[a]]> b</p>", False), ("<!-- <![CDATA[ -->b<!-- ]]> -->", False)):
        text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{div}</div>'}
        assert ("txt-2" in {issue.rule for issue in CHECKER.check(patient(text=text))}) is blank, div


@pytest.mark.parametrize(
    "link", ["javascript:a()", " javascript:a()", "java&#10;script:a()", "&#106;avascript:a()", "JavaScript&#9;:a()", "data:text/html,a"]
)
def test_links_that_run_are_refused_however_they_are_written(link: str) -> None:
    text = {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p><a href="{link}">a</a></p></div>'}
    assert "txt-1" in {issue.rule for issue in CHECKER.check(patient(text=text))}


def test_a_bundle_inside_another_is_a_world_of_its_own() -> None:
    """Its references lead among its own entries, and the rules over a Bundle hold for it where it stands."""
    people = [{"fullUrl": urn(name), "resource": patient()} for name in ("inner", "outer")]
    seen = {"fullUrl": urn("seen"), "resource": observation(subject={"reference": urn("inner")})}
    inner = bundle("collection", people[0], seen)
    held = bundle("collection", {"fullUrl": urn("bundle"), "resource": inner})
    assert of(CHECKER.check(held), "error", "warning") == of(CHECKER.check(inner), "error", "warning")
    inner["entry"] = [seen]
    held["entry"].append(people[0])
    place = "Bundle.entry[0].resource.entry[0].resource.subject.reference"
    assert ("reference-lost", place) in of(CHECKER.check(held), "warning")
    del inner["entry"][0]["fullUrl"]
    assert ("fullurl-missing", "Bundle.entry[0].resource.entry[0]") in of(CHECKER.check(held), "error")
