"""Merges the Drafts of one Stay, the Supplements of one Transfer and the confirmed site into Content.

The ownership table of docs/data-model.md, "From Draft to Document", row by row. Order of arrival changes nothing but `accepted_at`
(architecture decision 11). What disagrees is returned as data (`Content.conflicts`), never settled by guessing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import msgspec

from exchange.fhir import codes
from exchange.fhir.content import ROLES, Content, Contradiction, Medicine, OrganisationFacts, Statement
from exchange.fhir.draft import Draft, Entry, Letter, LetterStatus, Resource, SourceKind
from exchange.fhir.shape import concept_text, instant_key, part, parts, same_concept, text, texts
from exchange.fhir.stated import Allergies, ChangeLine, Contact, Stated
from exchange.fhir.words import medicine_name, none_known
from exchange.transfer.medicine_records import discharge_list, with_records

FEEDS = (SourceKind.FACTS, SourceKind.CANCEL_DISCHARGE)
MEDICINE_ROLES = [role for role, kind in ROLES.items() if kind == "MedicationStatement"]
# Draft.counts' name of a kind, its role, and the gate rule that a wrong count opens.
COUNTED = (
    ("allergies", "allergy", "10"),
    ("medicines", "medicine", "11"),
    ("diagnoses", "diagnosis", ""),
    ("procedures", "procedure", ""),
    ("sections", "section", ""),
)


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
    signed = [draft for draft in letters if _is_signed(draft)]
    records = [source.draft for source in ordered if source.draft.kind is SourceKind.RECORDS]
    lists = [source.draft for source in ordered if source.draft.kind is SourceKind.LIST or _is_signed(source.draft)]
    tables = [draft for draft in lists if draft.kind is SourceKind.LIST]
    told = [*letters, *tables, *records, *feeds]  # letters and records speak first, so that any feed's word comes later and wins
    members, said = merge(supplements)
    stated = msgspec.convert(members, Stated)
    roles = ("ward", *codes.PARTICIPANTS, "gp", "gp-practice")
    others = [*letters, *records]
    people = [entry for role in roles for entry in _newest_entries(feeds, role) or _newest_entries(others, role)]
    directory = (ward_contacts or {}).get(next((ward_code(entry) for entry in people if entry.role == "ward"), ""))
    encounter, left_at = _stay(told, feeds)
    ward_allergies = tuple(_stated_allergies(stated.allergies or Allergies(), said.get("allergies")))
    allergies = (*(_allergies(feeds) or _newest_entries(signed, "allergy")), *ward_allergies)
    own_list = _newest_entries(lists, *MEDICINE_ROLES)
    listed = own_list or discharge_list([entry for draft in records for entry in draft.entries])
    source_of_list = [draft for draft in tables if listed and any(entry is listed[0] for entry in draft.entries)]
    travelling = letters_of(sources)
    speaking = [draft for draft in reversed(signed) if set(draft.letters) & set(travelling)]  # a note goes with its letter
    saying = {id(draft) for draft in (*records, *speaking)}
    recorded = [entry for source in ordered if id(source.draft) in saying for entry in source.draft.entries]
    medicines, medicine_conflicts = _medicines(listed, stated, said)
    medicines, record_conflicts = with_records(medicines, recorded, said)
    reports = [source.draft for source in ordered if source.draft.kind is SourceKind.RECORDS or _is_signed(source.draft)]
    return Content(
        transfer_id=transfer_id,
        version=version,
        accepted_at=max((source.accepted_at for source in ordered), key=instant_key),
        written_at=_written_at(ordered, supplements),
        sender=sender,
        site=site,
        patient=_patient(told),
        encounter=encounter,
        visit_id=_newest(draft.visit_id for draft in told),
        expected_leaving=_newest(draft.expected_leaving for draft in told),
        left_at=left_at,
        people=tuple(_named_ward(entry, ward_contacts or {}) for entry in people),
        allergies=allergies,
        allergies_by={entry.position: said["allergies"] for entry in ward_allergies},
        diagnoses=_newest_entries(signed, "diagnosis") or _newest_entries(feeds, "diagnosis"),
        procedures=_newest_entries(signed, "procedure") or _newest_entries(feeds, "procedure"),
        medicines=medicines,
        has_list=bool(listed),
        is_list_of_orders=bool(listed and not own_list),
        results=_results(reports),
        notes=tuple(entry for draft in (*speaking, *source_of_list, *records) for entry in draft.entries if ROLES.get(entry.role) == ""),
        letters=travelling,
        contact=stated.contact or directory,
        stated=stated,
        said=said,
        conflicts=(
            *_identity_conflicts(ordered),
            *_miscounts(ordered),
            *_allergy_conflicts(allergies),
            *medicine_conflicts,
            *record_conflicts,
        ),
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
    standing = (letters for number, letters in reversed(newest.items()) if number not in replaced)
    return tuple(letter for letters in standing for letter in letters if letter.status is LetterStatus.FINAL)


def merge(supplements: Iterable[StatedSupplement]) -> tuple[dict[str, object], dict[str, Statement]]:
    """For each top-level member the newest statement (by said_at, then id), and who made it."""
    members: dict[str, object] = {}
    said: dict[str, Statement] = {}
    for supplement in sorted(supplements, key=lambda s: (instant_key(s.said_at), s.id)):
        told = {name: value for name, value in supplement.content.items() if name != "said_at"}
        members |= told
        said |= dict.fromkeys(told, Statement(supplement.person, supplement.role, supplement.said_at, supplement.id))
    return members, {name: said[name] for name in Stated.__struct_fields__ if name in said}


def _written_at(sources: Sequence[Source], supplements: Iterable[StatedSupplement]) -> str:
    """The newest moment at which a source or a person spoke, as it was written; ties by text."""
    moments = [source_time(source.draft) for source in sources] + [supplement.said_at for supplement in supplements]
    return max(filter(None, moments), key=lambda moment: (instant_key(moment), moment), default=sources[-1].accepted_at)


def _identity_conflicts(sources: Sequence[Source]) -> list[Contradiction]:
    """NHS number and date of birth belong to the Stay: all sources that have one must agree, else a Hold and nothing leaves."""
    patients = [source.draft.patient for source in sources]
    numbers = {number for patient in patients for number in _nhs_numbers(patient)}
    born = {text(patient, "birthDate") for patient in patients} - {""}
    differ = [words for words, found in (("NHS numbers", numbers), ("dates of birth", born)) if len(found) > 1]
    return [Contradiction("identity", "", f"The sources of this stay have different {words}.") for words in differ]


def _miscounts(sources: Sequence[Source]) -> Iterator[Contradiction]:
    """The count at the merge (practice.md 3): what a source has of a kind must all have become entries, or the structured version waits.
    Of lists the newest counts, for it replaces the others; every record counts."""
    for kind, role, rule in COUNTED:
        told = [source.draft for source in reversed(sources) if source.draft.counts.get(kind)]
        records = [draft for draft in told if draft.kind is SourceKind.RECORDS]
        lists = [draft for draft in told if draft.kind is not SourceKind.RECORDS]
        # What a letter says was given or dispensed is no row of its list.
        rows = [entry for draft in lists[:1] for entry in draft.entries if entry.role not in ("medicine-supply", "medicine-dose")]
        counted = [*((draft.counts[kind], rows) for draft in lists[:1]), *((draft.counts[kind], draft.entries) for draft in records)]
        pairs = ((there, sum(entry.role.split("-")[0] == role for entry in entries)) for there, entries in counted)
        if wrong := next((pair for pair in pairs if pair[0] != pair[1]), None):
            yield Contradiction("count", rule, f"The source has {wrong[0]} {kind}, {wrong[1]} could be read.")


def _nhs_numbers(patient: Resource) -> list[str]:
    return [text(n, "value") for n in parts(patient, "identifier") if text(n, "system") == codes.NHS_NUMBER and text(n, "value")]


def _newest(values: Iterable[str | None]) -> str:
    """The newest that says something; None takes back what was said before."""
    return next((value for value in reversed([*values]) if value != ""), "") or ""


def _newest_entries(drafts: Sequence[Draft], *roles: str) -> tuple[Entry, ...]:
    """The entries of these roles, as a whole list from the newest draft that has any, or empties it."""
    for draft in reversed(drafts):
        found = tuple(entry for entry in draft.entries if entry.role in roles)
        if found or set(roles) & set(draft.cleared):
            return found
    return ()


def _allergies(feeds: Sequence[Draft]) -> tuple[Entry, ...]:
    """The newest whole list, with the single changes (A60) that came after it: what is added anew takes the place of its like."""
    found: tuple[Entry, ...] = ()
    for draft in feeds:
        whole = tuple(entry for entry in draft.entries if entry.role == "allergy")
        found = whole if whole or "allergy" in draft.cleared else found
        for change in (entry for entry in draft.entries if entry.role in ("allergy-added", "allergy-removed")):
            found = tuple(entry for entry in found if not _same_allergy(entry.resource, change.resource))
            found += (replace(change, role="allergy"),) if change.role == "allergy-added" else ()
    return found


def _same_allergy(one: Resource, other: Resource) -> bool:
    """By the sender's number where both have one, else by a shared code or the exact text."""
    numbers = [{text(number, "value") for number in parts(allergy, "identifier")} for allergy in (one, other)]
    if all(numbers):
        return bool(numbers[0] & numbers[1])
    return same_concept(one.get("code"), other.get("code"))


def _is_signed(draft: Draft) -> bool:
    return any(letter.status is LetterStatus.FINAL for letter in draft.letters)


def _results(drafts: Sequence[Draft]) -> tuple[Entry, ...]:
    """Every result once, the newest of each (order number, what was measured, part); one that was taken back is gone."""
    found: dict[object, Entry] = {}
    for number, draft in enumerate(drafts):
        for entry in (entry for entry in draft.entries if entry.role == "result"):
            order = next((text(based, "identifier", "value") for based in parts(entry.resource, "basedOn")), "")
            part_of = next((text(own, "value") for own in parts(entry.resource, "identifier")), "")
            key = (order, concept_text(entry.resource.get("code")), part_of) if order else (number, entry.position)
            found.pop(key, None)
            if text(entry.resource, "status") not in ("entered-in-error", "cancelled"):
                found[key] = entry
    return tuple(found.values())


def _merged(resources: Iterable[Resource]) -> Resource:
    """Element by element, the later one wins; an absent element says nothing, None or an empty one clears (HL7 `""`). The same inside
    a stay's period and hospitalization, whose members come from different messages."""
    found: Resource = {}
    for resource in resources:
        inner: Resource = {
            name: _over(part(found, name), part(resource, name)) for name in ("period", "hospitalization") if name in resource
        }
        found = _over(found, {**resource, **inner})
    for name in ("period", "hospitalization"):
        found[name] = {member: value for member, value in part(found, name).items() if value is not None}
    return {name: value for name, value in sorted(found.items()) if value not in (None, "", [], {})}


def _over(old: Mapping[str, object], new: Mapping[str, object]) -> Resource:
    """The new members over the old ones; what stood beside an old value (`_end` beside `end`) goes with it."""
    return {**{name: value for name, value in old.items() if name.removeprefix("_") not in new}, **new}


def _even(period: Mapping[str, object]) -> Mapping[str, object]:
    """FHIR cannot order a time and a day alone (per-1): on one day both ends are that day, the time in words beside it."""
    start, end = text(period, "start"), text(period, "end")
    if len(start) == len(end) or min(len(start), len(end)) != 10 or start[:10] != end[:10]:
        return period
    name, moment = ("start", start) if len(start) > 10 else ("end", end)
    return {**period, name: moment[:10], f"_{name}": {"extension": [{"url": codes.RENDERED, "valueString": moment}]}}


def _patient(told: Sequence[Draft]) -> Resource:
    patient = _merged(draft.patient for draft in told)
    if not _nhs_numbers(patient):
        known = [n for d in reversed(told) for n in parts(d.patient, "identifier") if text(n, "system") == codes.NHS_NUMBER]
        patient["identifier"] = [*known[:1], *parts(patient, "identifier")]
    if any(draft.is_sensitive_address for draft in told):  # said once, it holds for what every other message said (FHIR-PDS-04)
        patient = {name: value for name, value in patient.items() if name not in ("address", "telecom")}
        patient["contact"] = [{name: value for name, value in c.items() if name != "address"} for c in parts(patient, "contact")]
    return patient


def _stay(told: Sequence[Draft], feeds: Sequence[Draft]) -> tuple[Resource, str]:
    """The merged Encounter and when the person left ("": not known). A cancelled discharge takes back what A03 said. Who left has a
    finished stay; where no message states how the stay stands, its class does."""
    encounter = _merged(draft.encounter for draft in told)
    left_at = _newest(None if draft.kind is SourceKind.CANCEL_DISCHARGE else draft.left_at for draft in feeds)
    status = text(encounter, "status")
    if not left_at and any(draft.kind is SourceKind.CANCEL_DISCHARGE for draft in feeds):
        encounter["period"] = {name: value for name, value in part(encounter, "period").items() if name != "end"}
        status = "in-progress" if status == "finished" else status
    if left_at and status not in ("cancelled", "entered-in-error"):
        status = "finished"
    by_class = {"": "", "PRENC": "planned"}.get(text(encounter, "class", "code"), "in-progress")
    return {**encounter, "status": status or by_class, "period": _even(part(encounter, "period"))} if encounter else encounter, left_at


def ward_code(entry: Entry) -> str:
    """A ward's local code, by which the sender's profile knows it; "" when it has none."""
    return next((text(number, "value") for number in parts(entry.resource, "identifier")), "")


def _named_ward(entry: Entry, known: Mapping[str, Contact]) -> Entry:
    """A ward by the name that the sender's profile gives its code; the code stays as its identifier. Other people as they are."""
    contact = known.get(ward_code(entry)) if entry.role == "ward" else None
    return replace(entry, resource={**entry.resource, "name": contact.who}) if contact and contact.who else entry


def _stated_allergies(stated: Allergies, statement: Statement | None) -> Iterator[Entry]:
    """`none_known` for drug, food and latex is 716186003; for fewer, one entry for each that was asked (practice.md 3)."""
    base: Resource = {
        "clinicalStatus": codes.concept(codes.HL7 + "allergyintolerance-clinical", "active"),
        "verificationStatus": codes.concept(codes.HL7 + "allergyintolerance-verification", "unconfirmed"),
        "recordedDate": statement.said_at if statement else "",
    }
    asked = ("any",) if set(stated.asked) >= {"drug", "food", "latex"} else stated.asked
    for kind in asked if stated.none_known else ():
        code, words = codes.NO_KNOWN[kind]
        coding = [{"system": codes.SCT, "code": code, "display": words}] if code else []
        yield Entry("allergy", f"supplement.allergies.none_known.{kind}", {**base, "code": {"coding": coding, "text": words}})
    for number, allergy in enumerate(stated.list):
        category = {"drug": ["medication"], "food": ["food"], "latex": ["environment"]}.get(allergy.kind, [])
        reaction = [{"manifestation": [{"text": allergy.reaction}]}] if allergy.reaction else []
        body = {**base, "category": category, "code": {"text": allergy.agent}, "reaction": reaction}
        yield Entry("allergy", f"supplement.allergies.list[{number}]", body)


def _allergy_conflicts(allergies: Sequence[Entry]) -> list[Contradiction]:
    denied = {none_known(entry.resource) for entry in allergies} - {""}
    named = [entry.resource for entry in allergies if not none_known(entry.resource)]
    if not any(_denies(kind, allergy) for kind in denied for allergy in named):
        return []
    return [Contradiction("allergies", "10", "One source says that no allergy is known, another names one.")]


def _denies(kind: str, allergy: Resource) -> bool:
    """Whether "none known" of a kind contradicts a named allergy; one without a category can be of any kind."""
    category = texts(allergy, "category")
    if kind == "latex":
        return "latex" in concept_text(allergy.get("code")).lower()
    return kind == "any" or not category or {"drug": "medication", "food": "food"}[kind] in category


def _medicines(listed: Iterable[Entry], stated: Stated, said: Mapping[str, Statement]) -> tuple[tuple[Medicine, ...], list[Contradiction]]:
    """One named source for the list (the newest signed structured letter), never merged with another; then what the ward stated:
    it fills the row of the same exact text, or stands as a row of its own; what differs is shown twice."""
    rows = [Medicine(entry.position, entry.resource, change=_change_of(entry)) for entry in listed]
    conflicts = []
    for number, line in enumerate(stated.changes.lines if stated.changes else ()):
        new = Medicine(f"supplement.changes[{number}]", _told(line), change=line.status, stated=said["changes"])
        at = _find(rows, line.medicine)
        if at is None:
            rows.append(new)
        elif _agrees(rows[at], line):
            told = {name: value for name, value in new.resource.items() if value and not rows[at].resource.get(name)}
            rows[at] = replace(rows[at], resource={**rows[at].resource, **told}, change=line.status, stated=said["changes"])
        else:
            rows.append(new)
            conflicts.append(Contradiction("medicines", "12", "The letter's list and the ward's changes differ for a medicine."))
    _add_critical(rows, stated, said)
    _add_missing(rows, stated, said)
    return tuple(rows), conflicts


def _change_of(entry: Entry) -> str:
    """What the source said of a change: by role, else by a status that means "do not give"; else "" (not said)."""
    said = entry.role.removeprefix("medicine").removeprefix("-")
    return said or codes.STATUS_MEANS.get(text(entry.resource, "status"), "")


def _told(line: ChangeLine) -> Resource:
    notes = [f"Was: {line.was}" if line.was else "", f"Restart: {line.restart}" if line.restart else ""]
    return {
        "medicationCodeableConcept": {"text": line.medicine},
        "statusReason": [{"text": line.reason}] if line.reason else [],
        "dosage": [{"text": line.now}] if line.now else [],
        "note": [{"text": note} for note in notes if note],
    }


def _agrees(row: Medicine, line: ChangeLine) -> bool:
    dose = next((text(dose, "text") for dose in parts(row.resource, "dosage")), "")
    return row.change in ("", line.status) and (not line.now or dose in ("", line.now))


def _find(rows: Sequence[Medicine], name: str) -> int | None:
    return next((at for at, row in enumerate(rows) if medicine_name(row) == name), None)


def _find_or_add(rows: list[Medicine], name: str, new: Medicine) -> int:
    at = _find(rows, name)
    if at is None:
        rows.append(replace(new, resource={"medicationCodeableConcept": {"text": name}, **new.resource}))
    return len(rows) - 1 if at is None else at


def _add_critical(rows: list[Medicine], stated: Stated, said: Mapping[str, Statement]) -> None:
    """Last dose, next dose, supply and class, on the row of the same text; several classes may name one medicine."""
    unchanged = "unchanged" if stated.changes and stated.changes.nothing_changed else ""
    for number, line in enumerate(stated.critical or ()):
        if not line.present:
            continue
        at = _find_or_add(rows, line.medicine, Medicine(f"supplement.critical[{number}]", {"status": "active"}, change=unchanged))
        row = rows[at]
        supply = {True: "in-bag", False: "not-supplied", None: ""}[line.in_bag]
        rows[at] = replace(
            row,
            last_dose=line.last_dose or row.last_dose,
            next_due=line.next_due or row.next_due,
            supply=supply or row.supply,
            plan=line.plan or row.plan,
            resource={**row.resource, "note": [*parts(row.resource, "note"), {"text": line.note}]} if line.note else row.resource,
            classes=tuple(kind for kind in codes.CRITICAL if kind in (*row.classes, line.kind)),
            stated=row.stated or said["critical"],
        )


def _add_missing(rows: list[Medicine], stated: Stated, said: Mapping[str, Statement]) -> None:
    for number, item in enumerate(stated.bag.missing if stated.bag else ()):
        at = _find_or_add(rows, item.medicine, Medicine(f"supplement.bag.missing[{number}]", {}, stated=said["bag"]))
        rows[at] = replace(rows[at], supply="not-supplied", plan=item.plan or rows[at].plan)
