"""Allergies, diagnoses, procedures and medicines → entries; sections and all other resources → notes. Nothing clinical goes unsaid."""

from collections.abc import Iterator, Mapping

from adapters.fhir.carry import Carrier, notes
from adapters.fhir.narrative import has_words, plain
from adapters.fhir.source import Claim, Found, Node, Source, table
from adapters.fhir.stu3 import extension_name
from exchange.fhir.codes import CHANGE_SYSTEM, CHANGES, SECTIONS, STATUS_MEANS, STOPPED_LIST, TAPERING
from exchange.fhir.draft import Entry, Outcome
from exchange.fhir.shape import codes_of, concept_text, part, parts, text

ROLE = {"AllergyIntolerance": "allergy", "Condition": "diagnosis", "Procedure": "procedure", "Observation": "result"}
MEDICINES = ("MedicationStatement", "MedicationRequest")
# What was dispensed and given: its role, and what of it travels as data. All of it is told in words too, for a record joins only the
# medicine that it names, and of doses only the last.
_RECORDS = {
    "MedicationDispense": ("medicine-supply", ("identifier", "quantity", "whenHandedOver")),
    "MedicationAdministration": ("medicine-dose", ("identifier", "effectiveDateTime")),
}
# What only names people, places and papers: told where something refers to them.
QUIET = ("Bundle", "MessageHeader", "Composition", "Patient", "Practitioner", "PractitionerRole", "Organization", "Location", "Medication",
         "Binary", "DocumentReference", "Device", "Provenance", "OperationOutcome")  # fmt: skip
_SUMMARY, _DRUGS = "clinical-summary", "medications-and-medical-devices"
_HEADINGS = {section.code: section.title for section in SECTIONS}
_KINDS = {"allergies-and-adverse-reaction": "allergies", _DRUGS: "medicines", "diagnoses": "diagnoses", "procedures": "procedures"}


class Reader:
    """The clinical part of one document. `lost` counts by kind what a list or a medicine refers to and the document does not hold."""

    def __init__(self, carrier: Carrier) -> None:
        self.carrier = carrier
        self.source: Source = carrier.source
        self.lost: dict[str, int] = {}
        self.flags: dict[int, list[str]] = {}

    def entries(self, composition: Found) -> Iterator[Entry]:
        """Every entry of the document in its order: what is data first, then the words of the sections."""
        self._lists()
        based = {id(target) for one in self.source.of("MedicationStatement") for target in self._based_on(one)}
        for found in self.source.found:
            if role := ROLE.get(found.type):
                yield Entry(role, found.position, self._clinical(found))
            elif found.type in MEDICINES and id(found) not in based:
                yield self._medicine(found)
        for number, section in enumerate(parts(composition.node, "section")):
            yield from self._section(section, f"{composition.position}.section[{number}]", composition, _SUMMARY)
        for found in self.source.found:
            yield from self._told(found, _DRUGS if found.type.startswith("Medication") else _SUMMARY)
        for found in self.source.of(*_RECORDS):
            yield from self._record(found)

    def _based_on(self, statement: Found) -> Iterator[Found]:
        for name in ("basedOn", "derivedFrom"):
            for reference in parts(statement.node, name):
                target = self.source.target(reference, statement)
                if target and target.type == "MedicationRequest":
                    yield target

    def _lists(self) -> None:
        """What Lists say of their items (the flag; stopped by the list of discontinued medicines), and items that are not here."""
        for holder in self.source.of("List", "Composition"):
            kind = _KINDS.get(heading(holder.node.get("code")), "")
            is_stopped = STOPPED_LIST.code in _codes(holder.node.get("code"))
            for row in parts(holder.node, "entry"):
                target = self.source.target(row.get("item"), holder)
                change = change_of(row.get("flag"))
                if target:
                    self.flags.setdefault(id(target), []).extend((change, "stopped" if is_stopped else ""))
                elif kind and part(row, "item"):
                    self._lose(kind)
                if target and change:
                    self.source.settle(row.get("flag"), Claim(Outcome.MAPPED, "List.entry.flag"))
            for section in _sections(holder.node):
                kind = _KINDS.get(heading(section.get("code")), "")
                for reference in parts(section, "entry"):
                    if kind and self.source.target(reference, holder) is None:
                        self._lose(kind)

    def _lose(self, kind: str) -> None:
        self.lost[kind] = self.lost.get(kind, 0) + 1

    def _clinical(self, found: Found) -> Node:
        made = self.carrier.resource(found)
        if found.type == "AllergyIntolerance":
            reactions = parts(made, "reaction")
            made["reaction"] = [{"manifestation": [{"text": text(one, "description") or "Not recorded"}], **one} for one in reactions]
            if not made["reaction"]:
                del made["reaction"]
        return made

    def _medicine(self, found: Found) -> Entry:
        """MedicationStatement, and MedicationRequest as one: dosageInstruction → dosage, authoredOn → dateAsserted, the rest as a note."""
        node, kind = found.node, "MedicationStatement"
        said = [*self.flags.get(id(found), []), *self._summary(found)]
        status = text(node, "status")
        if found.type == "MedicationRequest":
            status = self._from_request(found, status)
            said += ["stopped"] if node.get("doNotPerform") in (True, "true") else []
        made = self.carrier.resource(found, kind, without=("medicationReference", "reasonReference"))
        self._drug(found, made)
        reasons = [words for one in parts(node, "reasonReference") if (words := self._reason(one, found))]
        if reasons:
            made["reasonCode"] = [*parts(made, "reasonCode"), *({"text": words} for words in reasons)]
        if found.type == "MedicationRequest":
            self._note(made, self.carrier.tell(node, f"{kind}.note.text", found, without=(*made, "status")))
        self._amendments(found, made)
        change = next((change for change in ("stopped", "held") if change in (*said, STATUS_MEANS.get(status, ""))), "")
        change = change or next(filter(None, said), "")
        return Entry(f"medicine-{change}" if change else "medicine", found.position, made)

    def _record(self, found: Found) -> Iterator[Entry]:
        """A dispense or an administration that took place (STU3 says notDone, notGiven) of a medicine that has a name."""
        node, (role, kept) = found.node, _RECORDS[found.type]
        target = self.source.target(part(node, "medicationReference"), found)
        drug = part(node, "medicationCodeableConcept") or (part(target.node, "code") if target and target.type == "Medication" else {})
        is_undone = any(node.get(name) in (True, "true") for name in ("notGiven", "notDone"))
        if is_undone or not concept_text(drug) or text(node, "status") not in ("in-progress", "completed"):
            return
        more = ["status", "medicationCodeableConcept", *(["whenPrepared"] if "whenHandedOver" not in node else [])]
        more += ["dosage"] if part(node, "dosage").keys() & {"dose", "rateRatio", "rateQuantity"} else []  # mad-1
        made = self.carrier.resource(found, without=tuple(node.keys() - {*kept, *more}))
        if target and target.type == "Medication":
            made["medicationCodeableConcept"] = self.carrier.resource(target).get("code", {})
        yield Entry(role, found.position, made)

    def _from_request(self, found: Found, status: str) -> str:
        for old, new in (("dosageInstruction", "dosage"), ("authoredOn", "dateAsserted")):
            if old in found.node and new not in found.node:
                self.source.move(found.node, old, found.node, new)
        if isinstance(reason := found.node.get("statusReason"), dict):
            found.node["statusReason"] = [reason]
        found.node["status"] = table("request_status").get(status, status)
        return str(found.node["status"])

    def _drug(self, found: Found, made: Node) -> None:
        """Medication.code → medicationCodeableConcept; form, strength and the rest of a Medication are a note."""
        if "medicationReference" not in found.node:
            return
        reference = part(found.node, "medicationReference")
        target = self.source.target(reference, found)
        if target is None or target.type != "Medication" or not part(target.node, "code"):
            made["medicationCodeableConcept"] = {"text": text(self.carrier.reference(reference, "MedicationStatement", found), "display")}
            if not part(made, "medicationCodeableConcept").get("text"):
                made["medicationCodeableConcept"] = {"text": "Name not in the document"}
                self._lose("medicines")
            return
        drug = self.carrier.resource(target)
        self.source.claim(reference, "reference", Claim(Outcome.MAPPED, "MedicationStatement.medicationCodeableConcept"))
        made["medicationCodeableConcept"] = drug.get("code", {})
        self._note(made, self.carrier.tell(target.node, "MedicationStatement.note.text", target, without=("code", "status", "extension")))

    def _reason(self, reference: Mapping[str, object], found: Found) -> str:
        return text(self.carrier.reference(reference, "MedicationStatement.reasonCode.text", found), "display")

    def _note(self, made: Node, words: str) -> None:
        notes(made, words)

    def _summary(self, found: Found) -> Iterator[str]:
        """MedicationChangeSummary (retired in UK Core, still sent): its status, as code or Coding."""
        for one in _parts_of_summary(found.node):
            if text(one, "url") == "status":
                code = text(one, "valueCode") or text(one, "valueCoding", "code") or next(iter(_codes(one.get("valueCodeableConcept"))), "")
                self.source.settle(one, Claim(Outcome.MAPPED, "List.entry.flag"))
                yield table("change").get(code.lower(), "")

    def _amendments(self, found: Found, made: Node) -> None:
        """The rest of the summary: why it changed → statusReason, when and how → note."""
        for one in _parts_of_summary(found.node):
            name = text(one, "url")
            if name == "indicationForChange":
                self.source.settle(one, Claim(Outcome.MAPPED, "MedicationStatement.statusReason.text"))
                made["statusReason"] = [*parts(made, "statusReason"), {"text": concept_text(one.get("valueCodeableConcept"))}]
            elif name in ("dateChanged", "detailsOfAmendment"):
                self.source.settle(one, Claim(Outcome.NARRATIVE, "MedicationStatement.note.text"))
                words = text(one, "valueDateTime") or text(one, "valueString")
                self._note(made, f"Changed on {words}" if name == "dateChanged" else words)

    def _section(self, section: Mapping[str, object], position: str, composition: Found, above: str) -> Iterator[Entry]:
        """One section and those inside it: its narrative as a note, and a note for each resource that is carried in words alone."""
        code = heading(section.get("code")) or above
        title = text(section, "title") or concept_text(section.get("code"))
        words = [plain(text(section, "text", "div")), concept_text(section.get("emptyReason"))]
        path = "Composition.section.text"
        for node, name in ((section, "title"), (part(section, "text"), "div")):
            self.source.claim(node, name, Claim(Outcome.NARRATIVE, path))
        self.source.settle(section.get("code"), Claim(Outcome.MAPPED, "Composition.section.code"))
        self.source.settle(section.get("emptyReason"), Claim(Outcome.NARRATIVE, path))
        yield from note(code, title, "\n".join(filter(None, words)), position, "section" if has_words(words[0]) else "note")
        for reference in parts(section, "entry"):
            if target := self.source.target(reference, composition):
                yield from self._told(target, code)
        for number, inner in enumerate(parts(section, "section")):
            yield from self._section(inner, f"{position}.section[{number}]", composition, code)

    def _told(self, found: Found, code: str) -> Iterator[Entry]:
        """A resource that has no place as data, in words; of a List its notes and why it is empty, and its items in their order."""
        if found.told or found.type in QUIET or found.type in ROLE:
            return
        found.told = True
        if found.type == "List":
            kept: Node = {name: found.node[name] for name in ("note", "emptyReason") if name in found.node}
            words = self.carrier.tell(kept, "Composition.section.text", found)
        else:
            words = self.carrier.tell(found.node, "Composition.section.text", found)
        title = text(found.node, "title") if found.type == "List" else found.type
        yield from note(code, title, words, found.position)
        for row in parts(found.node, "entry"):
            if target := self.source.target(row.get("item"), found):
                yield from self._told(target, code)


def note(code: str, title: str, words: str, position: str, role: str = "note") -> Iterator[Entry]:
    """Words in one of our sections; the title is left out where it is the section's own."""
    if words:
        shown = "" if title.strip().lower() == _HEADINGS[code].lower() else title
        yield Entry(role, position, {"resourceType": "", "section": code, "title": shown, "text": words})


def heading(code: object) -> str:
    """The section of our document for a section's or a List's code; "" when no code is one that we know."""
    known = (table("section").get(one, one if one in _HEADINGS else "") for one in _codes(code))
    return next(filter(None, known), "")


def change_of(flag: object) -> str:
    """List.entry.flag → a change: by our code for tapering, by ITK code, else by our own words or a code of the change summary."""
    said = [*codes_of(flag, TAPERING["system"]), *codes_of(flag, CHANGE_SYSTEM), *_codes(flag), concept_text(flag)]
    by_words = {change.words: name for name, change in CHANGES.items() if name}
    known = (table("change").get(one.lower()) or by_words.get(one) or (one.lower() if one.lower() in CHANGES else "") for one in said)
    return next(filter(None, known), "")


def _codes(concept: object) -> list[str]:
    return [text(coding, "code") for coding in parts(concept, "coding")]


def _sections(node: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for section in parts(node, "section"):
        yield section
        yield from _sections(section)


def _parts_of_summary(node: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    for extension in parts(node, "extension"):
        if extension_name(extension) == "MedicationChangeSummary":
            yield from parts(extension, "extension")
