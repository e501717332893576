"""Entries of sections → allergies, diagnoses, procedures and medicines; what has no resource here is said in the section's words.

What an entry is, is decided by its section and its element, by its template where the section does not say (rows 5.2, 5.3). An outermost
statement is one entry; what stands inside it belongs to it.
"""

from collections.abc import Iterator

from adapters.cda.medicines import medicine
from adapters.cda.results import result
from adapters.cda.sections import Narrative, Section
from adapters.cda.source import MAX_NEAR, NOTHING, TEXT, Claim, Node
from adapters.cda.types import amount, concept, status_concept, table, take_moment
from adapters.common import put, put_moment
from exchange.fhir.codes import NO_KNOWN, SCT
from exchange.fhir.draft import Entry, Outcome, Resource
from exchange.fhir.shape import concept_text, parts, spoken

_KINDS = {
    "allergies-and-adverse-reaction": "allergy",
    "medications-and-medical-devices": "medicine",
    "diagnoses": "diagnosis",
    "procedures": "procedure",
    "investigation-results": "result",
}
# Before admission, given in hospital, at admission, past, in the family: words, never the lists of this document (row 5.3).
_WORDS_ONLY = frozenset(("42346-7", "29549-3", "46241-6", "42347-5", "11348-0", "10157-6", "46264-8"))
_DISCHARGE_LISTS = frozenset(("10183-2", "75311-1", "933361000000108"))
_CURRENT_LIST = "10160-0"
_STATEMENTS = frozenset(("observation", "substanceAdministration", "procedure", "act", "encounter", "supply", "organizer"))
_CCDA = "2.16.840.1.113883.10.20.22.4."
_PROBLEM = f"{_CCDA}4"
_PROCEDURE_TEMPLATES = (f"{_CCDA}12", f"{_CCDA}13", f"{_CCDA}14")
_NHS_DIAGNOSIS = "#Diagnosis"
_NHS_PROCEDURES = ("#Treatment", "#Investigation")
_NHS_ADMISSION = "#AdmissionProcedure"
_NO_KNOWN_BY_KIND = {"medication": "drug", "food": "food"}


def read_entries(narrative: Narrative, zone: str, written: str) -> tuple[list[Entry], list[Node]]:
    """Clinical entries in the order of the document, and the nodes of coded NHS admissions."""
    has_discharge_list = any(
        section.code in _DISCHARGE_LISTS and any(kind == "medicine" for _, kind in statements(section)) for section in narrative.sections
    )
    entries: list[Entry] = []
    admissions: list[Node] = []
    for section in narrative.sections:
        if not section.words:
            section.node.near = narrative.words[:MAX_NEAR]
        for node, kind in statements(section):
            if kind == "medicine" and section.code == _CURRENT_LIST and has_discharge_list:
                kind = ""
            resource: Resource = {}
            role = kind
            if kind == "medicine":
                change, resource = medicine(node, narrative.resolve, zone, written)
                role = f"medicine-{change}" if change else "medicine"
            elif kind == "admission":
                admissions.append(node)
            elif kind == "result":
                for each, panel in _observations(node):
                    if found := result(each, panel, narrative.resolve, zone):
                        put(found, "note", [*parts(found, "note"), *comments(each, narrative, "Observation")])
                        entries.append(Entry(role, each.position, found))
                    else:
                        _say(each, section, narrative)
                continue
            elif kind:
                resource = {"allergy": _allergy, "diagnosis": _diagnosis, "procedure": _procedure}[kind](node, narrative, zone)
            if resource:
                entries.append(Entry(role, node.position, resource))
            elif kind != "admission":
                _say(node, section, narrative)
    return entries, admissions


def statements(section: Section) -> Iterator[tuple[Node, str]]:
    """The outermost clinical statements of a section with what each is: allergy, medicine, diagnosis, procedure, admission, or ""."""
    kind = "" if section.code in _WORDS_ONLY else _KINDS.get(section.heading, "")
    for entry in section.node.all("entry"):
        for node in entry.children:
            if node.name in _STATEMENTS:
                yield from _outermost(node, kind)


def _outermost(node: Node, kind: str) -> Iterator[tuple[Node, str]]:
    found = _kind_of(node, kind)
    inner = [child for name in ("entryRelationship", "component") for part in node.all(name) for child in part.children]
    inner = [child for child in inner if child.name in _STATEMENTS]
    if found or not inner or node.name not in ("act", "organizer"):
        yield node, found
        return
    for child in inner:
        yield from _outermost(child, kind)


def _observations(node: Node) -> Iterator[tuple[Node, Node]]:
    """The observations of a result organizer, each with it; one that stands alone, with nothing around it."""
    if node.name != "organizer":
        yield node, NOTHING
    for child in (child for component in node.all("component") for child in component.children if child.name in _STATEMENTS):
        yield from _observations(child) if child.name == "organizer" else [(child, node)]


def _kind_of(node: Node, kind: str) -> str:
    templates = [each.value("root") for each in node.all("templateId")]
    names = [each.value("extension") for each in node.all("templateId")]
    if any(name.endswith(_NHS_ADMISSION) for name in names):
        return "admission"
    if node.name == "observation":
        if any(name.endswith(_NHS_DIAGNOSIS) for name in names):
            return "diagnosis"
        if kind == "diagnosis":
            foreign = any(root.startswith(_CCDA) for root in templates) and _PROBLEM not in templates
            return "" if foreign or any("#" in name for name in names) else kind
        if kind in ("allergy", "result"):
            return kind
    if node.name == "organizer" and kind == "result":
        return kind
    if node.name == "substanceAdministration" and kind == "medicine":
        return "" if any(name.endswith("#MedicationAdministrationDose") for name in names) else kind
    is_done = node.value("moodCode") in ("", "EVN")
    if node.name == "procedure" and is_done and (kind == "procedure" or any(name.endswith(_NHS_PROCEDURES) for name in names)):
        return "procedure"
    if node.name in ("act", "observation") and is_done and kind == "procedure" and any(root in _PROCEDURE_TEMPLATES for root in templates):
        return "procedure"
    return ""


def _related(node: Node, *types: str) -> Iterator[Node]:
    """Statements inside this one, by the type of the relationship; all of them without a type."""
    for relation in node.all("entryRelationship"):
        if not types or relation.value("typeCode") in types:
            yield from (child for child in relation.children if child.name in _STATEMENTS)


def _observed(node: Node, code: str) -> Node:
    """The value of the inner observation with this code."""
    return next((each.first("value") for each in _related(node) if each.first("code").value("code") == code), Node("", {}, "", "", ""))


def comments(node: Node, narrative: Narrative, path: str) -> list[Resource]:
    """Comment activities (LOINC 48767-8) → note."""
    found: list[Resource] = []
    for each in _related(node):
        if each.first("code").value("code") == "48767-8":
            text = each.first("text")
            if said := narrative.resolve(text) or text.take(f"{path}.note.text", TEXT):
                found.append({"text": said})
    return found


def _allergy(node: Node, narrative: Narrative, zone: str) -> Resource:
    """Row allergy observation → AllergyIntolerance; a negated one without agent says that nothing of its kind is known."""
    path = "AllergyIntolerance"
    kind = node.first("value").value("code")
    category = table("allergy_category").get(kind, "")
    playing = node.first("participant", "participantRole", "playingEntity")
    code = concept(playing.first("code"), f"{path}.code", narrative.resolve)
    if not code and (name := playing.first("name").take(f"{path}.code.text", TEXT)):
        code = {"text": name}
    is_negated = node.value("negationInd") == "true"
    made: Resource = {"resourceType": path}
    status = table("clinical_status").get(_observed(node, "33999-4").value("code"), "active")
    ended = take_moment(node.first("effectiveTime", "high"), f"{path}.note.text", zone)
    verification = status_concept("allergyintolerance-verification", "unconfirmed")
    if is_negated:
        node.claim(f"{path}.verificationStatus", "negationInd")
        if code:
            status = "inactive"
            verification = status_concept("allergyintolerance-verification", "refuted", "Ruled out: the person does not have it")
        else:
            number, words = NO_KNOWN[_NO_KNOWN_BY_KIND.get(category, "any")]
            code = {"coding": [{"system": SCT, "code": number, "display": words}], "text": words}
    value, own, text = node.first("value"), node.first("code"), node.first("text")
    if not code and (value.value("code") not in table("allergy_category") or value.first("originalText")):
        code = concept(value, f"{path}.code", narrative.resolve)
    if not code and _says(own):
        code = concept(own, f"{path}.code", narrative.resolve)
    if not code:
        said = narrative.resolve(text) or text.take(f"{path}.code.text", TEXT)
        code = {"text": said or "Allergy: the source names no agent"}
    made["clinicalStatus"] = status_concept("allergyintolerance-clinical", "resolved" if ended and status == "active" else status)
    made["verificationStatus"] = verification
    put(made, "type", table("allergy_type").get(kind, ""))
    put(made, "category", [category] if category else [])
    if kind in table("allergy_category") or kind in table("allergy_type"):
        node.first("value").claim(f"{path}.category", "code", "codeSystem")
    put(made, "criticality", table("criticality").get(_observed(node, "82606-5").take(f"{path}.criticality", "code"), ""))
    made["code"] = code
    put_moment(made, "onsetDateTime", take_moment(node.first("effectiveTime", "low"), f"{path}.onsetDateTime", zone))
    notes = comments(node, narrative, path)
    put(made, "reaction", [found for each in _related(node, "MFST") if (found := _reaction(each, narrative, notes))])
    _weigh(_observed(node, "SEV"), made, {}, notes)
    put(made, "note", [*notes, *([{"text": f"Ended {spoken(ended.text)}"}] if ended else [])])
    return made


def _says(code: Node) -> bool:
    """An observation's own code names something (NHS CDA), other than that something is asserted (C-CDA)."""
    return bool(code.value("displayName") or code.first("originalText")) and code.value("code") not in ("ASSERTION", "ALG", "OINT", "DINT")


def _reaction(node: Node, narrative: Narrative, notes: list[Resource]) -> Resource:
    path = "AllergyIntolerance.reaction"
    manifested = concept(node.first("value"), f"{path}.manifestation", narrative.resolve)
    if not manifested:
        said = narrative.resolve(node.first("text")) or node.first("text").take(f"{path}.manifestation.text", TEXT)
        manifested = {"text": said} if said else {}
    made: Resource = {"manifestation": [manifested]} if manifested else {}
    _weigh(_observed(node, "SEV"), {}, made, notes)
    return made


def _weigh(value: Node, allergy: Resource, reaction: Resource, notes: list[Resource]) -> None:
    """A severity on its reaction when FHIR knows it; any other is said in a note, and a fatal one makes the allergy critical."""
    code = value.value("code")
    if code in table("severity") and reaction:
        reaction["severity"] = table("severity")[code]
        value.claim("AllergyIntolerance.reaction.severity", "code", "codeSystem", "displayName")
    elif said := value.take("AllergyIntolerance.note.text", "displayName") or value.take("AllergyIntolerance.note.text", "code"):
        notes.append({"text": f"Severity as sent: {said}"})
    if allergy and code == "399166001":
        allergy["criticality"] = "high"


def _diagnosis(node: Node, narrative: Narrative, zone: str) -> Resource:
    """Row problem observation → Condition: its value, in NHS CDA its code. Negated is refuted; with an end it is over (con-4)."""
    path = "Condition"
    is_nhs = any(each.value("extension").endswith(_NHS_DIAGNOSIS) for each in node.all("templateId"))
    code = concept(node.first("code" if is_nhs else "value"), f"{path}.code", narrative.resolve)
    if not code:
        said = narrative.resolve(node.first("text")) or node.first("text").take(f"{path}.code.text", TEXT)
        said = said or node.first("value").take(f"{path}.code.text", TEXT)
        code = {"text": said or "Problem: the source does not name it"}
    made: Resource = {"resourceType": path}
    time = node.first("effectiveTime")
    ended = take_moment(time.first("high"), f"{path}.abatementDateTime", zone)
    status = table("clinical_status").get(_observed(node, "33999-4").take(f"{path}.clinicalStatus", "code"), "active")
    if ended or time.first("high").attrs.get("nullFlavor") == "UNK":
        status = "resolved" if status == "active" else status
    if node.value("negationInd") == "true":
        node.claim(f"{path}.verificationStatus", "negationInd")
        made["verificationStatus"] = status_concept("condition-ver-status", "refuted", "Ruled out: the person does not have it")
    else:
        made["clinicalStatus"] = status_concept("condition-clinical", status)
    made |= {"category": [status_concept("condition-category", "encounter-diagnosis")], "code": code}
    began = take_moment(time.first("low"), f"{path}.onsetDateTime", zone) or take_moment(time, f"{path}.onsetDateTime", zone)
    put_moment(made, "onsetDateTime", began)
    if "clinicalStatus" in made and status != "active":
        put_moment(made, "abatementDateTime", ended)
    put(made, "note", comments(node, narrative, path))
    return made


def _procedure(node: Node, narrative: Narrative, zone: str) -> Resource:
    """Row procedure → Procedure: status by statusCode and negation, a time or a period, body site; the method is a note."""
    path = "Procedure"
    code = concept(node.first("code"), f"{path}.code", narrative.resolve)
    if not code:
        said = narrative.resolve(node.first("text")) or node.first("text").take(f"{path}.code.text", TEXT)
        code = {"text": said or "Procedure: the source does not name it"}
    states = {"active": "in-progress", "aborted": "stopped", "cancelled": "not-done"}
    made: Resource = {"resourceType": path, "status": states.get(node.first("statusCode").take(f"{path}.status", "code"), "completed")}
    if node.value("negationInd") == "true":
        node.claim(f"{path}.status", "negationInd")
        made["status"] = "not-done"
    made["code"] = code
    time = node.first("effectiveTime")
    at = take_moment(time, f"{path}.performedDateTime", zone)
    low, high = (take_moment(time.first(end), f"{path}.performedPeriod", zone) for end in ("low", "high"))
    if at or (low and not high):
        put_moment(made, "performedDateTime", at or low)
    elif high:
        period: Resource = {}
        put_moment(period, "start", low)
        put_moment(period, "end", high)
        made["performedPeriod"] = period
    put(made, "bodySite", [site for each in node.all("targetSiteCode") if (site := concept(each, f"{path}.bodySite"))])
    method = concept_text(concept(node.first("methodCode"), f"{path}.note.text"))
    states_in_words = {"not-done": "Not done", "stopped": "Broken off", "in-progress": "Not finished"}
    words_of = [states_in_words.get(str(made["status"]), ""), f"Method: {method}" if method else ""]
    put(made, "note", [*({"text": words} for words in words_of if words), *comments(node, narrative, path)])
    return made


def _say(node: Node, section: Section, narrative: Narrative) -> None:
    """A coded statement without a resource here, in words, unless the section's own text says all of them."""
    inner = [node, *(each for each in node.descendants() if each.name in _STATEMENTS)]
    near = (section.words or narrative.words)[:MAX_NEAR]
    for each in inner:
        said = [part for part in _parts(each, narrative) if part]
        if not said or all(part in near for part in said):
            continue
        when = each.first("effectiveTime").value()
        section.lines.append(": ".join(said) + (f" ({when})" if when else ""))
        material = each.first("consumable", "manufacturedProduct", "manufacturedMaterial")
        told = ("code", "value", "interpretationCode", "doseQuantity")
        for part in (*map(each.first, told), material.first("code"), material.first("name")):
            for key in ("displayName", "value", "unit", TEXT):
                if part.value(key):
                    part.claims[key] = Claim(Outcome.NARRATIVE, "Composition.section.text")
        if when:
            each.first("effectiveTime").claims["value"] = Claim(Outcome.NARRATIVE, "Composition.section.text")


def _parts(node: Node, narrative: Narrative) -> Iterator[str]:
    """What a statement says: that it is negated, its name, product, value and interpretation."""
    yield "Not" if node.value("negationInd") == "true" else ""
    code, value = node.first("code"), node.first("value")
    yield narrative.resolve(code.first("originalText")) or code.value("displayName")
    material = node.first("consumable", "manufacturedProduct", "manufacturedMaterial")
    yield material.first("code").value("displayName") or material.first("name").value(TEXT)
    yield (
        narrative.resolve(value.first("originalText"))
        or value.value("displayName")
        or (amount(value) if value.value("xsi:type") != "TS" else "")
    )
    yield node.first("interpretationCode").value("displayName")
    yield amount(node.first("doseQuantity"))
    yield "" if node.first("text", "reference") else node.first("text").value(TEXT)
