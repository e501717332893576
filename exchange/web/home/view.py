"""What the transfer page shows, worked out from plain data: the Bundle, the gate's result and what the service knows beside them.

Every text shown comes from one of the three; nothing is calculated but ages, counts and how far away a day is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from exchange.fhir import codes
from exchange.web.home import alerts, times
from exchange.web.home.answer_box import answer_view
from exchange.web.home.changes import MEDICINE, changes
from exchange.web.home.facts import Mark, Read, TransferFacts, dialled
from exchange.web.home.inbox import Badge, answer_words, badge_words
from exchange.web.home.letters import letters_view, newest_letter, signed
from exchange.web.home.medicines import medicines_view
from exchange.web.home.page import Call, Gap, Notice, Part, TransferView
from exchange.web.home.reading import Papers, Resource, Run, Section, each, find, text
from exchange.web.home.reading import codes as codes_of
from exchange.web.home.values import Value, value

LETTER_PROFILES = ("letter only", "letter and checked")  # the feed sends letters: no list that we can read


# Blocks of the page and the sections of the document in them, with our heading ("" for the first). The rest stands in the record.
_PARTS: tuple[tuple[str, str, Mapping[str, str]], ...] = (
    ("care", "Care needs today", {"individual-requirements": "", "legal-information": "Legal information"}),
    (
        "story",
        "What happened in hospital",
        {
            "clinical-summary": "",
            "diagnoses": "Illnesses found",
            "procedures": "Operations and procedures",
            "admission-details": "The stay",
        },
    ),
    ("next", "What happens next", {"plan-and-requested-actions": "", "discharge-details": "Leaving hospital"}),
)
_RECORD = {
    "patient-demographics": "The person",
    "general-practitioner-practice": "GP",
    "person-completing-record": "Who wrote this",
    "distribution-list": "Sent to",
    "documents-including-correspondence-audio-and-images": "Letters",
}
_ROW_OF = {"individual-requirements": "28", "legal-information": "36"}
_OWN_WORDS = ("safety-alerts", "allergies-and-adverse-reaction", "medications-and-medical-devices")
_ELSEWHERE = frozenset((*_OWN_WORDS, "contact-for-further-information", *(code for _, _, found in _PARTS for code in found)))
_CONTACT_LABELS = {"ward": "Ward", "out-of-hours": "Next to try", "medicines": "Medicines"}


def transfer_view(
    bundle: Resource | None, gate: Resource, facts: TransferFacts, now: datetime, before: TransferView | None = None
) -> TransferView:
    """One version as its page shows it. `bundle` None: only letters came. `gate`: the GateResult of this version as plain JSON.
    `before`: the version that was read before this one; what changed since is worked out from the two.
    """
    papers = Papers(bundle)
    who, ward = facts.resident, _ward(papers) or facts.resident.ward
    gaps = () if facts.withdrawn_at else read_gaps(gate, "gaps", ward, now)
    mark = Mark.WITHDRAWN if facts.withdrawn_at else _mark(gate, bundle)
    badge = Badge(mark, badge_words(mark, len(gaps)))
    name = person_name(papers.patient) or who.name
    calls = tuple(_calls(papers, facts))
    letters = tuple(letters_view(papers, facts.letters, now))
    not_sent = _not_sent(gate)
    parts = tuple(_parts(papers, not_sent))
    newest = newest_letter(papers)
    medicines = medicines_view(
        papers, has_list=text(gate, "profile") not in LETTER_PROFILES, letter=f"{signed(newest, now)}." if newest else "", now=now
    )
    tried = facts.tried
    view = TransferView(
        title=("Error: " if tried and tried.errors else "") + f"{name}: {badge.words}",
        name=name,
        first_name=_first_name(papers.patient) or name,
        born=value(times.birth(text(papers.patient, "birthDate") or who.birth_date, now)),
        nhs_number=value(spaced(_nhs_number(papers.patient) or who.nhs_number)),
        badge=badge,
        version=facts.version,
        published=times.at(facts.published_at, now),
        coming=_coming(papers, facts, now),
        origin=value(", ".join(filter(None, (ward, _hospital(papers) or who.hospital)))),
        papers=_papers_words(facts, now),
        notices=tuple(_notices(facts, name, now)),
        gaps_title=f"{len(gaps)} thing{' is' if len(gaps) == 1 else 's are'} missing",
        gaps=gaps,
        warnings=read_gaps(gate, "warnings", ward, now),
        override=facts.override or text(gate, "override"),
        call=calls[0] if calls else None,
        others=calls[1:],
        contact_source=_contact_source(papers),
        jumps=_jumps(parts),
        alerts=alerts.alerts(papers, not_sent, now),
        medicines=medicines,
        parts=parts,
        letters=letters,
        own_words=tuple(found for found in papers.sections if found.code in _OWN_WORDS),
        record=tuple(
            replace(found, title=_RECORD.get(found.code, found.title)) for found in papers.sections if found.code not in _ELSEWHERE
        ),
        history=tuple(_history(papers, facts, now)),
        answer=answer_view(facts, [(gap.rule, gap.title) for gap in gaps], _coming_at(papers, facts), now),
        made=times.at(now, now),
        transfer_id=facts.transfer_id,
        has_document=bundle is not None,
        stale="NOT VALID: taken back" if facts.withdrawn_at else "OUT OF DATE" if facts.version < facts.newest_version else "",
    )
    return _with_changes(view, before, facts, now) if before is not None else view


def _with_changes(view: TransferView, before: TransferView, facts: TransferFacts, now: datetime) -> TransferView:
    """The view with what changed since `before`. Until somebody says that it is read, this stands first and in the title."""
    found, read = changes(before, view), _read_before(facts)
    lead = f"{read.who or 'Somebody here'} read version {read.version} on {times.at(read.at, now)}. " if read else ""
    marks = {
        change.title.rpartition(": ")[0]: ", ".join(filter(None, (line.label.lower() for line in change.lines)))
        for change in found if change.area == MEDICINE
    }  # fmt: skip
    return replace(
        view,
        title=view.title if not read else f"Changed: {view.title}",
        changes=found,
        read_before=f"{lead}Version {facts.version} came on {times.at(facts.published_at, now)}." if read else "",
        before_version=before.version,
        changed_cards=marks,
        notices=tuple(notice for notice in view.notices if not notice.is_calm),
    )


def person_name(patient: Resource) -> str:
    """The whole name as written, or built from its parts; never shortened."""
    names = each(patient, "name")
    name = next((found for found in names if text(found, "use") == "official"), names[0] if names else {})
    return text(name, "text") or " ".join(
        filter(None, (*_all(name, "prefix"), *_all(name, "given"), text(name, "family"), *_all(name, "suffix")))
    )


def _all(name: Resource, member: str) -> Iterator[str]:
    found = find(name, member)
    return (str(item) for item in found if isinstance(item, str)) if isinstance(found, list) else iter(())


def _first_name(patient: Resource) -> str:
    return text(patient, "name", 0, "given", 0)


def _nhs_number(patient: Resource) -> str:
    return next((text(found, "value") for found in each(patient, "identifier") if text(found, "system") == codes.NHS_NUMBER), "")


def spaced(number: str) -> str:
    return f"{number[:3]} {number[3:6]} {number[6:]}" if len(number) == 10 and number.isdigit() else number


def _ward(papers: Papers) -> str:
    return text(papers.follow(papers.encounter, "location", 0, "location"), "name")


def _hospital(papers: Papers) -> str:
    return text(papers.follow(papers.composition, "custodian"), "name")


def _coming_at(papers: Papers, facts: TransferFacts) -> str:
    extensions = each(papers.encounter, "extension")
    found = (text(one, "valueDateTime") for one in extensions if text(one, "url") == codes.EXPECTED_LEAVING)
    return next(filter(None, found), "") or facts.resident.expected_leaving


def _coming(papers: Papers, facts: TransferFacts, now: datetime) -> Value:
    if facts.withdrawn_at:
        return Value("value", "Not coming")
    if facts.left_at:
        return Value("value", f"Left the ward {times.said(facts.left_at, now)}")
    planned = _coming_at(papers, facts)
    found = times.moment(planned)
    if isinstance(found, datetime):
        words = f"{times.near_day(found.date(), now)}, {times.clock(found)}"
    else:
        words = f"{times.near_day(found, now)}, {times.UNKNOWN_TIME}" if found else planned
    return value(words, source="expected time of leaving" if words else "")


_WITHDRAWN = {
    "discharge_cancelled": "The discharge is off: the person is staying in hospital.",
    "admission_cancelled": "The hospital cancelled the stay.",
    "redirected": "The person goes to another home.",
    "not_ours": "Your home said that this is not your resident.",
    "refused": "The hospital looked and says that nobody is coming.",
}


def withdrawn_words(reason: str) -> str:
    """Why papers were taken back, in a sentence; "" for a reason that has none."""
    return _WITHDRAWN.get(reason, "")


def _papers_words(facts: TransferFacts, now: datetime) -> str:
    if facts.withdrawn_at:
        return f"Version {facts.version}, {times.at(facts.published_at, now)}: taken back."
    if facts.version < facts.newest_version:
        return f"Version {facts.version}, {times.at(facts.published_at, now)}: out of date, version {facts.newest_version} has come."
    older = {1: "", 2: " Prints of version 1 are not valid."}.get(facts.version, " Prints of older versions are not valid.")
    return f"Version {facts.version}, {times.at(facts.published_at, now)}: the newest.{older}"


def _notices(facts: TransferFacts, name: str, now: datetime) -> Iterator[Notice]:
    if facts.withdrawn_at:
        why = f" {facts.withdrawn_why.rstrip('.')}." if facts.withdrawn_why else ""
        who = facts.resident.hospital or "The hospital"
        taken = (
            f"{who} took this back on {times.at(facts.withdrawn_at, now)}.{why} Throw away any print. If the person comes, call the ward."
        )
        yield Notice(f"{name} is not coming", taken, "back")
    elif facts.version < facts.newest_version:
        came = f" on {times.at(facts.replaced_at, now)}" if facts.replaced_at else ""
        words = f"Version {facts.newest_version} took its place{came}. Throw away any print of version {facts.version}."
        yield Notice("These papers are out of date", words, "warn", url=facts.newest_url, link=f"Read version {facts.newest_version}")
    elif before := _read_before(facts):
        words = (
            f"{before.who} read version {before.version} on {times.at(before.at, now)}. Version {facts.version} came on "
            f"{times.at(facts.published_at, now)}. Read it all again. Throw away any print of version {before.version}."
        )
        yield Notice("The papers changed after you read them", words, "swap", is_calm=True)


def _read_before(facts: TransferFacts) -> Read | None:
    """The last reading of an older version, until somebody has answered this one. Opening alone does not take the notice away."""
    if any(given.version == facts.version for given in facts.answers):
        return None
    reads = (*facts.opened, *(Read(given.who, given.at, given.version) for given in facts.answers))
    return max((read for read in reads if read.version < facts.version), key=lambda read: read.at, default=None)


def condition_words(gate: Resource, rules: Sequence[str]) -> tuple[str, ...]:
    """The words of the gaps that an answer hangs on, for rules as the form posts them; unknown rules are left out."""
    known = {text(gap, "rule"): text(gap, "what") or text(gap, "title") for gap in each(gate, "gaps")}
    return tuple(known[rule] for rule in rules if rule in known)


def _mark(gate: Resource, bundle: Resource | None) -> Mark:
    """The gate's badge; gaps always win, and nothing turns a badge green that the gate did not call complete."""
    badge = text(gate, "badge")
    if each(gate, "gaps") or badge not in ("papers complete", "letter only"):
        return Mark.LETTER_ONLY if bundle is None and not badge else Mark.MISSING
    return Mark.COMPLETE if badge == "papers complete" and bundle is not None else Mark.LETTER_ONLY


_OWNERS = {
    "ward": "the ward",
    "pharmacy": "the hospital’s pharmacy",
    "doctor": "the hospital’s doctor",
    "discharge contact": "the discharge desk",
}


def read_gaps(gate: Resource, name: str, ward: str, now: datetime) -> tuple[Gap, ...]:
    """The gate's gaps (or, by name, its warnings) in the gate's order."""
    return tuple(
        Gap(
            rule=text(gap, "rule"),
            title=text(gap, "what") or text(gap, "title"),
            detail=text(gap, "detail"),
            why=text(gap, "why"),
            is_known=text(gap, "state") != "not established",
            owner=value(ward if ward and text(gap, "owner") == "ward" else _OWNERS.get(text(gap, "owner"), text(gap, "owner"))),
            by="at once" if find(gap, "at_once") is True else f"by {times.said(text(gap, 'due'), now)}" if text(gap, "due") else "",
            closes=text(gap, "closes"),
        )
        for gap in each(gate, name)
    )


def _not_sent(gate: Resource) -> frozenset[str]:
    """Row numbers of the rules that this hospital's feed is never asked: what it does not send."""
    found = find(gate, "not_asked")
    return frozenset(str(rule).partition("-")[0] for rule in found) if isinstance(found, list | tuple) else frozenset()


def _calls(papers: Papers, facts: TransferFacts) -> Iterator[Call]:
    found = {}
    for role in papers.of("PractitionerRole"):
        if kind := dict(codes_of(find(role, "code", 0))).get(codes.CONTACT_KIND, ""):
            phone = text(role, "telecom", 0, "value")
            who = text(role, "code", 0, "text")
            found[kind] = Call(_CONTACT_LABELS.get(kind, "Also"), who, phone, dialled(phone), value(text(role, "availabilityExceptions")))
    if "ward" not in found and facts.ward_phone:
        ward = facts.resident.ward or "The ward"
        found["ward"] = Call("Ward", ward, facts.ward_phone, dialled(facts.ward_phone), Value("none", ""))
    for kind in dict.fromkeys((*_CONTACT_LABELS, *found)):
        if kind in found and found[kind].phone:
            yield found[kind]
    frame = facts.frame
    if frame.desk_phone:
        yield Call("If nobody answers", frame.desk_who or "Discharge desk", frame.desk_phone, frame.desk_tel, Value("none", ""))


def _contact_source(papers: Papers) -> str:
    section = papers.section("contact-for-further-information")
    rows = (row for run in section.blocks if run.kind == "fact" for row in run.rows) if section else ()
    return next((row[1] for row in rows if row[0] == "From"), "")


def _parts(papers: Papers, not_sent: frozenset[str]) -> Iterator[Part]:
    if bag := _bag(papers):
        yield Part("bag", "The medicine bag", (Section("bag", "", bag, ()),))
    for anchor, title, wanted in _PARTS:
        sections = tuple(_titled(found, ours, not_sent) for code, ours in wanted.items() if (found := papers.section(code)))
        if sections:
            yield Part(anchor, title, sections)


def _titled(found: Section, title: str, not_sent: frozenset[str]) -> Section:
    """A section under our heading; one that is blank because its hospital never sends it says so."""
    if found.blocks == (Run("p", ((codes.NOT_RECORDED,),)),) and _ROW_OF.get(found.code) in not_sent:
        found = replace(found, blocks=(Run("p", ((codes.NOT_SENT,),)),))
    return replace(found, title=title)


def _bag(papers: Papers) -> tuple[Run, ...]:
    """What the medicines section says beside the list: bag, seal, chart of last doses."""
    section = papers.section("medications-and-medical-devices")
    heads = {change.words for change in codes.CHANGES.values()} | {"The medicine bag"}
    runs = section.blocks if section else ()
    after = next((place for place, run in enumerate(runs) if run.kind == "fact"), len(runs))
    return tuple(run for run in runs[after:] if run.kind != "table" and not (run.kind == "head" and run.rows[0][0] in heads))


def _jumps(parts: Sequence[Part]) -> tuple[tuple[str, str], ...]:
    names = {"care": "Care needs", "story": "What happened", "bag": "The medicine bag", "next": "What happens next"}
    between = ((part.anchor, names[part.anchor]) for part in parts)
    return (
        ("alerts", "Alerts"),
        ("medicines", "Medicines"),
        *between,
        ("letter", "The letter"),
        ("history", "History"),
        ("answer", "Your answer"),
    )


def _history(papers: Papers, facts: TransferFacts, now: datetime) -> Iterator[tuple[str, str]]:
    events = [(facts.published_at, f"Version {facts.version} was sent.")]
    if facts.delivered_at:
        events.append((facts.delivered_at, f"Version {facts.version} came to your mailbox."))
    if facts.replaced_at:
        events.append((facts.replaced_at, f"Version {facts.newest_version} took the place of version {facts.version}."))
    if facts.withdrawn_at:
        events.append((facts.withdrawn_at, "The hospital took the papers back."))
    events += [(read.at, f"{read.who} opened version {read.version}.") for read in facts.opened]
    events += [(given.at, f"Answer {answer_words(given, now, version=given.version)}") for given in facts.answers]
    for one in papers.of("DocumentReference"):
        at = times.moment(text(one, "date"))
        if isinstance(at, datetime) and (who := text(one, "authenticator", "display")):
            events.append((at, f"Letter signed by {who}."))
    for at, words in sorted(events, key=lambda event: event[0], reverse=True):
        yield times.short_at(at, now), words
