"""The document rules, with the checker beside them as before every publish: each broken once on purpose, nothing of the person in any
text."""

import copy
import time
from collections.abc import Callable

import pytest

from exchange.check.document_rules import check_document, parse_xhtml
from exchange.fhir import codes
from exchange.fhir.document import build_document
from exchange.wiring import broken_rules
from tests.draft_kit import arthur, doris, edith

Bundle = dict[str, object]
COMPLETE = build_document(edith().content())


def of(bundle: Bundle, kind: str) -> dict:
    return next(e["resource"] for e in bundle["entry"] if e["resource"]["resourceType"] == kind)


def section(bundle: Bundle, code: str) -> dict:
    return next(s for s in of(bundle, "Composition")["section"] if s["code"]["coding"][0]["code"] == code)


def put(path: str, value: object) -> Callable[[Bundle], None]:
    """A change at `Kind.member.member`; DROP takes the member out."""

    def change(bundle: Bundle) -> None:
        kind, *names = path.split(".")
        at = bundle if kind == "Bundle" else of(bundle, kind)
        for name in names[:-1]:
            at = at[int(name)] if name.isdigit() else at[name]
        last = int(names[-1]) if names[-1].isdigit() else names[-1]
        if value is DROP:
            del at[last]
        else:
            at[last] = value

    return change


DROP = object()
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


def narrative(inside: str) -> Callable[[Bundle], None]:
    return put("Patient.text.div", DIV.format(inside))


def orphan(bundle: Bundle) -> None:
    of(bundle, "Composition")["section"][1]["entry"].pop()


def twice(bundle: Bundle) -> None:
    bundle["entry"].append(copy.deepcopy(bundle["entry"][-1]))


def lost_medicine(bundle: Bundle) -> None:
    next(e["resource"] for e in bundle["entry"] if e["resource"].get("title") == codes.ACTIVE_LIST.title)["entry"].pop()


def unnamed_medicine(bundle: Bundle) -> None:
    found = section(bundle, "medications-and-medical-devices")["text"]
    found["div"] = found["div"].replace("Apixaban 2.5 mg", "Apixaban 25 mg")


def unnamed_allergy(bundle: Bundle) -> None:
    section(bundle, "allergies-and-adverse-reaction")["text"]["div"] = DIV.format("<p>Not recorded</p>")


def unnamed_diagnosis(bundle: Bundle) -> None:
    section(bundle, "diagnoses")["text"]["div"] = DIV.format("<p>Fall</p>")


def lost_letter(bundle: Bundle) -> None:
    section(bundle, "documents-including-correspondence-audio-and-images")["entry"] = []


def medicine_in_both_lists(bundle: Bundle) -> None:
    lists = [e["resource"] for e in bundle["entry"] if e["resource"].get("title") in (codes.ACTIVE_LIST.title, codes.STOPPED_LIST.title)]
    lists[1]["entry"].append(lists[0]["entry"][0])


BREAKS = [
    ("not a document", put("Bundle.type", "collection"), {"fixed"}),
    ("no identifier", put("Bundle.identifier", DROP), {"bdl-9"}),
    ("identifier without system", put("Bundle.identifier.system", DROP), {"bdl-9"}),
    ("identifier with an empty system", put("Bundle.identifier.system", ""), {"empty", "system-relative"}),
    ("no timestamp", put("Bundle.timestamp", DROP), {"bdl-10"}),
    ("a bare day as timestamp", put("Bundle.timestamp", "2026-11-27"), {"format"}),
    ("Composition is not first", lambda b: b["entry"].append(b["entry"].pop(0)), {"bdl-11", "doc-count", "doc-named"}),
    ("no author", put("Composition.author", []), {"empty"}),
    ("no custodian", put("Composition.custodian", DROP), {"min"}),
    ("the same entry twice", twice, {"bdl-7", "document-orphan"}),
    (
        "fullUrl is not the id",
        put("Bundle.entry.3.fullUrl", "urn:uuid:00000000-0000-4000-8000-000000000000"),
        {"document-backwards", "reference-lost", "wp-doc-1", "wp-doc-2"},
    ),
    ("entry without resource", put("Bundle.entry.3.resource", DROP), {"bdl-5", "min", "reference-lost"}),
    ("entry with an empty resource", put("Bundle.entry.3.resource", {}), {"resource-type", "wp-doc-2"}),
    ("reference to nothing", put("Encounter.serviceProvider", {"reference": "Organization/1"}), {"reference-lost", "wp-doc-1"}),
    ("orphan", orphan, {"document-backwards"}),
    ("no narrative", put("Patient.text", DROP), {"dom-6", "min"}),
    ("no section text", put("Composition.section.4.text", DROP), {"min"}),
    ("no section title", put("Composition.section.4.title", DROP), {"min"}),
    ("narrative is no XML", narrative("<p>unclosed"), {"doc-narrative", "not-xhtml"}),
    ("script", narrative("<script>x</script>"), {"doc-narrative", "txt-1"}),
    ("event attribute", narrative('<p onclick="x()">x</p>'), {"doc-narrative", "txt-1"}),
    ("link", narrative('<a href="https://example.org">x</a>'), {"doc-narrative"}),
    ("comment", narrative("<p>x</p><!-- y -->"), {"doc-narrative"}),
    (
        "entity",
        put("Patient.text.div", '<!DOCTYPE d [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + DIV.format("&e;")),
        {"doc-narrative", "not-xhtml"},
    ),
    ("unknown entity", narrative("<p>&nbsp;</p>"), {"doc-narrative", "not-xhtml"}),
    ("processing instruction", narrative("<?php x ?><p>x</p>"), {"doc-narrative"}),
    ("no namespace", put("Patient.text.div", "<div><p>x</p></div>"), {"doc-narrative", "not-xhtml"}),
    ("foreign namespace", narrative('<svg xmlns="http://www.w3.org/2000/svg">x</svg>'), {"doc-narrative", "txt-1"}),
    ("no words", narrative("<p> </p>"), {"txt-2"}),
    ("a medicine is in no list", lost_medicine, {"doc-count", "document-backwards"}),
    ("a medicine is in two lists", medicine_in_both_lists, {"doc-count"}),
    ("a medicine is not in the text", unnamed_medicine, {"doc-named"}),
    ("an allergy is not in the text", unnamed_allergy, {"doc-named"}),
    ("a diagnosis is not in the text", unnamed_diagnosis, {"doc-named"}),
    ("a letter is no entry", lost_letter, {"doc-count", "document-backwards", "empty"}),
    ("a letter is not in the text", put("DocumentReference.content.0.attachment.title", "Other letter"), {"doc-named"}),
    ("an empty list without reason", lambda b: of(b, "List").pop("entry"), {"doc-count", "document-backwards", "wp-lst-1"}),
    ("a full list with a reason", put("List.emptyReason", codes.UNAVAILABLE), {"lst-1"}),
    ("wrong check digit", put("Patient.identifier.0.value", "9990000027"), {"wp-pat-1"}),
    ("two people", lambda b: of(b, "Flag").update(resourceType="Patient"), {"profile-type", "slice-max:patient", "unknown-element"}),
    ("a day that does not exist", put("Patient.birthDate", "1942-02-30"), {"format"}),
    ("minutes without seconds", put("Encounter.period.start", "2026-11-20T09:12+00:00"), {"format"}),
    ("time without zone", put("MedicationAdministration.effectiveDateTime", "2026-11-27T08:00:00"), {"format"}),
]


@pytest.mark.parametrize(("break_it", "rules"), [pytest.param(change, rules, id=name) for name, change, rules in BREAKS])
def test_a_broken_document_is_named(break_it, rules):
    bundle = copy.deepcopy(COMPLETE)
    break_it(bundle)
    assert set(broken_rules(bundle, {})) == rules
    for issue in check_document(bundle):
        assert issue.severity == "error"
        assert issue.expression.startswith("Bundle")
        assert not any(word in issue.text for word in ("Testperson", "999", "Apixaban", "Penicillin", "1942"))


@pytest.mark.parametrize("story", [edith(), arthur(), doris()], ids=lambda s: s.name)
def test_a_good_document_has_no_issue(story):
    content = story.content()
    assert broken_rules(build_document(content), content.counts()) == []


def test_what_the_content_has_and_the_document_lost_is_an_issue():
    content = edith().content()
    assert check_document(COMPLETE, content.counts()) == []
    for kind in content.counts():
        more = {**content.counts(), kind: content.counts()[kind] + 1}
        assert [(issue.rule, issue.expression) for issue in check_document(COMPLETE, more)] == [
            ("doc-content", f"Bundle.entry.resource.ofType({kind})")
        ]


def test_all_issues_are_reported_at_once():
    bundle = copy.deepcopy(COMPLETE)
    for change in (put("Bundle.identifier", DROP), put("Bundle.timestamp", DROP)):
        change(bundle)
    narrative("<script>x</script>")(bundle)
    assert set(broken_rules(bundle, {})) >= {"bdl-9", "bdl-10", "txt-1"}


@pytest.mark.parametrize("bundle", [{}, {"entry": []}, {"entry": "x"}, {"entry": [{"resource": None}]}, {"entry": [{}, {}]}])
def test_rubbish_is_an_issue_and_never_a_crash(bundle):
    assert broken_rules(bundle, {})


def test_an_entity_bomb_is_refused_at_once():
    bomb = "<!DOCTYPE d [" + "".join(f'<!ENTITY a{n + 1} "&a{n};&a{n};">' for n in range(40)) + "]>" + DIV.format("&a40;")
    began = time.process_time()
    assert parse_xhtml(bomb) is None
    assert time.process_time() - began < 0.1
