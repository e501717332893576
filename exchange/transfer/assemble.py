"""Merges the Drafts of one Stay, the Supplements of one Transfer and the confirmed site into Content.

The ownership table of docs/data-model.md, "From Draft to Document", row by row. Order of arrival changes nothing but `accepted_at`
(architecture decision 11). What disagrees is returned as data (`Content.conflicts`), never settled by guessing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from exchange.fhir import codes
from exchange.fhir.content import Content, Contradiction, Medicine, OrganisationFacts, Statement
from exchange.fhir.draft import Draft, Entry, Letter, LetterStatus, Resource, SourceKind
from exchange.fhir.shape import concept_text, instant_key, part, parts, text, texts
from exchange.fhir.stated import Allergies, Changes, Contact, Stated
from exchange.fhir.words import none_known

FEEDS = (SourceKind.FACTS, SourceKind.CANCEL_DISCHARGE)
# Draft.counts' name of a kind, its role, and the gate rule that a wrong count opens.
COUNTED = (("allergies", "allergy", "10"), ("medicines", "medicine", "11"), ("diagnoses", "diagnosis", ""), ("procedures", "procedure", ""))


@dataclass(frozen=True, slots=True)
class Source:
    """A Draft with when we took custody of its bytes (a FHIR instant) and their digest (`sha256:<hex>`)."""

    draft: Draft
    accepted_at: str
    digest: str


@dataclass(frozen=True, slots=True)
class StatedSupplement:
    """A checked Supplement: who stated it, in which role, when (FHIR dateTime), its content as received, and its arrival id."""

    person: str
    role: str
    said_at: str
    content: Mapping[str, object]
    id: str

    def statement(self) -> Statement:
        return Statement(self.person, self.role, self.said_at, self.id)


def assemble(
    *,
    transfer_id: str,
    version: int,
    sender: OrganisationFacts,
    site: OrganisationFacts,
    sources: Sequence[Source],
    supplements: Sequence[StatedSupplement] = (),
    ward_contacts: Mapping[str, Contact] | None = None,
) -> Content:
    """The Content of one version. `sources` may not be empty; `ward_contacts` maps a ward's local code to its directory contact."""
    ordered = in_order(sources)
    feeds = [source.draft for source in ordered if source.draft.kind in FEEDS]
    letters = [source.draft for source in ordered if source.draft.kind is SourceKind.LETTER]
    told = [*letters, *feeds]  # a letter speaks first, so that any feed's word comes later and wins
    stated, said = merge(supplements)
    people = _named_wards(_people(feeds, letters), ward_contacts or {})
    encounter, left_at = _stay(told, feeds)
    allergies, allergies_by, allergy_conflicts = _allergies(feeds, letters, stated.allergies, said.get("allergies"))
    medicines, has_list, medicine_conflicts = _medicines(letters, stated, said)
    ward = next((_ward_code(entry) for entry in people if entry.role == "ward"), "")
    return Content(
        transfer_id=transfer_id,
        version=version,
        accepted_at=max((source.accepted_at for source in ordered), key=instant_key),
        written_at=_written_at(ordered, supplements),
        sender=sender,
        site=site,
        patient=_patient(told),
        encounter=encounter,
        visit_id=_newest(told, "visit_id"),
        expected_leaving=_newest(told, "expected_leaving"),
        left_at=left_at,
        people=people,
        allergies=allergies,
        allergies_by=allergies_by,
        diagnoses=_whole_list(feeds, letters, "diagnosis"),
        procedures=_whole_list(feeds, letters, "procedure"),
        medicines=medicines,
        has_list=has_list,
        notes=_of_roles(_newest_with([draft for draft in letters if _signed(draft)], "note"), "note"),
        letters=letters_of(sources),
        contact=stated.contact or (ward_contacts or {}).get(ward),
        stated=stated,
        said=said,
        conflicts=(*identity_conflicts(ordered), *_miscounts(ordered), *allergy_conflicts, *medicine_conflicts),
    )


def in_order(sources: Iterable[Source]) -> list[Source]:
    """By (source time, sender, message id, digest); a repeat of the same bytes counts once."""
    once: dict[tuple[str, str], Source] = {}
    for source in sorted(sources, key=lambda source: source.accepted_at):
        once.setdefault((source.digest, source.draft.source_id), source)
    return sorted(once.values(), key=lambda s: (instant_key(source_time(s.draft)), s.draft.claimed_sender, s.draft.source_id, s.digest))


def source_time(draft: Draft) -> str:
    """When the sender said it (MSH-7), else when it happened."""
    return draft.sent_at or draft.occurred_at


def letters_of(sources: Iterable[Source]) -> tuple[Letter, ...]:
    """The letters that travel, newest first: per document number the newest signed one. Drafts never travel, nor a number that was
    cancelled after it was signed or that another signed or cancelled letter replaces. Letters without a number are told apart by their
    bytes. One message may hold one letter in several parts (text and PDF): they stay together, in its order."""
    newest: dict[str, list[Letter]] = {}
    replaced: set[str] = set()
    for source in in_order(sources):
        told: dict[str, list[Letter]] = {}
        for letter in (letter for letter in source.draft.letters if letter.status is not LetterStatus.DRAFT):
            told.setdefault(letter.document_id or f"{source.digest}#{letter.position}", []).append(letter)
            if letter.replaces and letter.replaces != letter.document_id:
                replaced.add(letter.replaces)
        for number, letters in told.items():
            newest.pop(number, None)
            newest[number] = letters
    return tuple(
        letter
        for number, letters in reversed(newest.items())
        for letter in letters
        if letter.status is LetterStatus.FINAL and number not in replaced
    )


def merge(supplements: Iterable[StatedSupplement]) -> tuple[Stated, dict[str, Statement]]:
    """For each top-level member the newest statement (by said_at, then id), and who made it."""
    members: dict[str, object] = {}
    said: dict[str, Statement] = {}
    for supplement in sorted(supplements, key=lambda s: (instant_key(s.said_at), s.id)):
        for name, value in supplement.content.items():
            if name != "said_at":
                members[name] = value
                said[name] = supplement.statement()
    return msgspec.convert(members, Stated), {name: said[name] for name in Stated.__struct_fields__ if name in said}


def identity_conflicts(sources: Sequence[Source]) -> list[Contradiction]:
    """NHS number and date of birth belong to the Stay: all sources that have one must agree, else a Hold and nothing leaves."""
    numbers = {number for source in sources for number in _nhs_numbers(source.draft.patient)}
    born = {day for source in sources if (day := text(source.draft.patient, "birthDate"))}
    found = []
    if len(numbers) > 1:
        found.append(Contradiction("identity", "", "The sources of this stay have different NHS numbers."))
    if len(born) > 1:
        found.append(Contradiction("identity", "", "The sources of this stay have different dates of birth."))
    return found


def _miscounts(sources: Sequence[Source]) -> list[Contradiction]:
    """The count at the merge (practice.md 3): what a source has of a kind must all have become entries, or the structured version waits."""
    found = []
    for kind, role, rule in COUNTED:
        draft = next((source.draft for source in reversed(sources) if source.draft.counts.get(kind)), None)
        read = sum(1 for entry in draft.entries if entry.role.split("-")[0] == role) if draft else 0
        if draft and read != draft.counts[kind]:
            found.append(Contradiction("count", rule, f"The source has {draft.counts[kind]} {kind}, {read} could be read."))
    return found


def _nhs_numbers(patient: object) -> list[str]:
    return [text(n, "value") for n in parts(patient, "identifier") if text(n, "system") == codes.NHS_NUMBER and text(n, "value")]


def _newest(drafts: Sequence[Draft], name: str) -> str:
    return next((value for draft in reversed(drafts) if (value := str(getattr(draft, name)))), "")


def _merged(resources: Iterable[Resource]) -> Resource:
    """Element by element, the later one wins; an absent element says nothing, None or an empty one clears (HL7 `""`)."""
    found: Resource = {}
    for resource in resources:
        found |= resource
    return {name: value for name, value in sorted(found.items()) if value not in (None, "", [], {})}


def _patient(told: Sequence[Draft]) -> Resource:
    patient = _merged(draft.patient for draft in told)
    if not _nhs_numbers(patient):
        known = next((n for d in reversed(told) for n in parts(d.patient, "identifier") if text(n, "system") == codes.NHS_NUMBER), None)
        patient["identifier"] = [*([known] if known else []), *parts(patient, "identifier")]
    if any(draft.is_sensitive_address for draft in told):  # said once, it holds for what every other message said (FHIR-PDS-04)
        patient = {name: value for name, value in patient.items() if name not in ("address", "telecom")}
        patient["contact"] = [{name: value for name, value in c.items() if name != "address"} for c in parts(patient, "contact")]
    return patient


def _stay(told: Sequence[Draft], feeds: Sequence[Draft]) -> tuple[Resource, str]:
    """The merged Encounter and when the person left ("": not known). A cancelled discharge takes back what A03 said."""
    encounter, left_at = _merged(draft.encounter for draft in told), ""
    for draft in feeds:
        left_at = "" if draft.kind is SourceKind.CANCEL_DISCHARGE else draft.left_at or left_at
    cancelled = any(draft.kind is SourceKind.CANCEL_DISCHARGE for draft in feeds) and not left_at
    if cancelled:
        period = {name: value for name, value in part(encounter, "period").items() if name != "end"}
        status = "in-progress" if text(encounter, "status") == "finished" else text(encounter, "status")
        encounter |= {"period": period, "status": status}
    return encounter, left_at


def _of_roles(draft: Draft | None, *roles: str) -> tuple[Entry, ...]:
    return tuple(entry for entry in draft.entries if entry.role in roles) if draft else ()


def _newest_with(drafts: Sequence[Draft], *roles: str) -> Draft | None:
    return next((draft for draft in reversed(drafts) if any(entry.role in roles for entry in draft.entries)), None)


def _people(feeds: Sequence[Draft], letters: Sequence[Draft]) -> tuple[Entry, ...]:
    """Ward, consultants, GP: each from the newest feed that has it, else the newest letter."""
    roles = ("ward", *codes.PARTICIPANTS, "gp", "gp-practice")
    return tuple(entry for role in roles for entry in _of_roles(_newest_with(feeds, role) or _newest_with(letters, role), role))


def _ward_code(entry: Entry) -> str:
    return next((text(number, "value") for number in parts(entry.resource, "identifier")), "")


def _named_wards(people: Sequence[Entry], known: Mapping[str, Contact]) -> tuple[Entry, ...]:
    """A ward by the name that the sender's profile gives its code; the code stays as its identifier."""

    def named(entry: Entry) -> Entry:
        contact = known.get(_ward_code(entry)) if entry.role == "ward" else None
        return replace(entry, resource={**entry.resource, "name": contact.who}) if contact and contact.who else entry

    return tuple(map(named, people))


def _signed(draft: Draft) -> bool:
    return any(letter.status is LetterStatus.FINAL for letter in draft.letters)


def _whole_list(feeds: Sequence[Draft], letters: Sequence[Draft], role: str) -> tuple[Entry, ...]:
    """A structured signed letter wins as a whole list, else the newest feed."""
    structured = _newest_with([draft for draft in letters if _signed(draft)], role)
    return _of_roles(structured or _newest_with(feeds, role), role)


def _allergies(
    feeds: Sequence[Draft], letters: Sequence[Draft], stated: Allergies | None, statement: Statement | None
) -> tuple[tuple[Entry, ...], dict[str, Statement], list[Contradiction]]:
    """The newest feed with any (else the newest signed letter), then what the ward stated; both shown."""
    feed = _of_roles(_newest_with(feeds, "allergy") or _newest_with([d for d in letters if _signed(d)], "allergy"), "allergy")
    ward = tuple(_stated_allergies(stated, statement)) if stated and statement else ()
    every = (*feed, *ward)
    by = {entry.position: statement for entry in ward} if statement else {}
    denied = {none_known(entry.resource) for entry in every} - {""}
    named = [entry.resource for entry in every if not none_known(entry.resource)]
    if not any(_denies(kind, allergy) for kind in denied for allergy in named):
        return every, by, []
    return every, by, [Contradiction("allergies", "10", "One source says that no allergy is known, another names one.")]


def _denies(kind: str, allergy: Resource) -> bool:
    """Whether "none known" of a kind contradicts a named allergy; one without a category can be of any kind."""
    category = texts(allergy, "category")
    if kind == "latex":
        return "latex" in concept_text(part(allergy, "code")).lower()
    return kind == "any" or not category or {"drug": "medication", "food": "food"}[kind] in category


def _stated_allergies(stated: Allergies, statement: Statement) -> Iterable[Entry]:
    """`none_known` for drug, food and latex is 716186003; for fewer, one entry for each that was asked (practice.md 3)."""
    base: Resource = {
        "clinicalStatus": _coded("allergyintolerance-clinical", "active"),
        "verificationStatus": _coded("allergyintolerance-verification", "unconfirmed"),
        "recordedDate": statement.said_at,
    }
    if stated.none_known:
        for kind in ("any",) if set(stated.asked) >= {"drug", "food", "latex"} else stated.asked:
            code, words = codes.NO_KNOWN[kind]
            coding = [{"system": codes.SCT, "code": code, "display": words}] if code else []
            yield Entry("allergy", f"supplement.allergies.none_known.{kind}", {**base, "code": {"coding": coding, "text": words}})
    for number, allergy in enumerate(stated.list):
        category = {"drug": ["medication"], "food": ["food"], "latex": ["environment"]}.get(allergy.kind, [])
        reaction = [{"manifestation": [{"text": allergy.reaction}]}] if allergy.reaction else []
        body = {**base, "category": category, "code": {"text": allergy.agent}, "reaction": reaction}
        yield Entry("allergy", f"supplement.allergies.list[{number}]", body)


def _coded(system: str, code: str) -> Resource:
    return {"coding": [{"system": f"http://terminology.hl7.org/CodeSystem/{system}", "code": code}]}


def _medicines(
    letters: Sequence[Draft], stated: Stated, said: Mapping[str, Statement]
) -> tuple[tuple[Medicine, ...], bool, list[Contradiction]]:
    """One named source for the list (the newest signed structured letter), never merged with another; then what the ward stated:
    it fills the row of the same exact text, or stands as a row of its own; what differs is shown twice."""
    roles = tuple(f"medicine-{change}" if change else "medicine" for change in codes.CHANGES)
    source = _newest_with([draft for draft in letters if _signed(draft)], *roles)
    rows = [Medicine(entry.position, entry.resource, change=_change_of(entry)) for entry in _of_roles(source, *roles)]
    conflicts = _add_changes(rows, stated.changes, said)
    _add_critical(rows, stated, said)
    _add_bag(rows, stated, said)
    return tuple(rows), source is not None, conflicts


def _change_of(entry: Entry) -> str:
    """What the source said of a change: by role, else by a status that means "do not give"; else "" (not said)."""
    said = entry.role.removeprefix("medicine").removeprefix("-")
    return said or {"stopped": "stopped", "on-hold": "held"}.get(text(entry.resource, "status"), "")


def _find(rows: Sequence[Medicine], name: str) -> int | None:
    return next((at for at, row in enumerate(rows) if concept_text(part(row.resource, "medicationCodeableConcept")) == name), None)


def _named(name: str) -> Resource:
    return {"medicationCodeableConcept": {"text": name}}


def _add_changes(rows: list[Medicine], changes: Changes | None, said: Mapping[str, Statement]) -> list[Contradiction]:
    conflicts = []
    for number, line in enumerate(changes.lines if changes else ()):
        notes = [f"Was: {line.was}" if line.was else "", f"Restart: {line.restart}" if line.restart else ""]
        told: Resource = {
            "statusReason": [{"text": line.reason}] if line.reason else [],
            "dosage": [{"text": line.now}] if line.now else [],
            "note": [{"text": note} for note in notes if note],
        }
        at = _find(rows, line.medicine)
        row = rows[at] if at is not None else None
        agrees = row is not None and row.change in ("", line.status) and (not line.now or _first_dose(row) in ("", line.now))
        if row is not None and at is not None and agrees:
            filled = {**row.resource, **{name: value for name, value in told.items() if value and not row.resource.get(name)}}
            rows[at] = replace(row, resource=filled, change=line.status, stated=said["changes"])
            continue
        if row is not None:
            conflicts.append(Contradiction("medicines", "12", "The letter's list and the ward's changes differ for a medicine."))
        rows.append(Medicine(f"supplement.changes[{number}]", _named(line.medicine) | told, change=line.status, stated=said["changes"]))
    return conflicts


def _first_dose(row: Medicine) -> str:
    return next((text(dose, "text") for dose in parts(row.resource, "dosage")), "")


def _add_critical(rows: list[Medicine], stated: Stated, said: Mapping[str, Statement]) -> None:
    """Last dose, next dose, supply and class, on the row of the same text; several classes may name one medicine."""
    unchanged = "unchanged" if stated.changes and stated.changes.nothing_changed else ""
    for number, line in enumerate(stated.critical or ()):
        if not line.present:
            continue
        at = _find(rows, line.medicine)
        if at is None:
            position, resource = f"supplement.critical[{number}]", _named(line.medicine) | {"status": "active"}
            rows.append(Medicine(position, resource, change=unchanged, stated=said["critical"]))
            at = len(rows) - 1
        row = rows[at]
        supply = {True: "in-bag", False: "not-supplied", None: ""}[line.in_bag]
        rows[at] = replace(
            row,
            last_dose=line.last_dose or row.last_dose,
            next_due=line.next_due or row.next_due,
            supply=supply or row.supply,
            plan=line.plan or row.plan,
            classes=tuple(kind for kind in codes.CRITICAL if kind in (*row.classes, line.kind)),
            stated=row.stated or said["critical"],
        )


def _add_bag(rows: list[Medicine], stated: Stated, said: Mapping[str, Statement]) -> None:
    for number, item in enumerate(stated.bag.missing if stated.bag else ()):
        at = _find(rows, item.medicine)
        if at is None:
            rows.append(Medicine(f"supplement.bag.missing[{number}]", _named(item.medicine), stated=said["bag"]))
            at = len(rows) - 1
        rows[at] = replace(rows[at], supply="not-supplied", plan=item.plan or rows[at].plan)


def _written_at(sources: Sequence[Source], supplements: Iterable[StatedSupplement]) -> str:
    """The newest moment at which a source or a person spoke, as it was written; ties by text."""
    moments = [source_time(source.draft) for source in sources] + [supplement.said_at for supplement in supplements]
    return max(filter(None, moments), key=lambda moment: (instant_key(moment), moment), default=sources[-1].accepted_at)
