"""Medicines as cards: one medicine in one place, grouped by what happened to it. Words and times are copied, never worked out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from exchange.fhir import codes
from exchange.web.home import times
from exchange.web.home.reading import Papers, Resource, concept, each, find, text
from exchange.web.home.reading import codes as codes_of
from exchange.web.home.values import NO_REASON, NOT_RECORDED, Fact, Value, value

BLISTER = "If it is in a blister pack, ask your pharmacy to take it out."
KEEP = "Keep it, but do not give it until you are told that it starts again."


@dataclass(frozen=True, slots=True)
class Card:
    name: str = field(repr=False)
    pills: tuple[str, ...]
    facts: tuple[Fact, ...] = field(repr=False)
    strip: tuple[Fact, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Group:
    """Medicines with the same change. `short` follows the count in the jump links; a calm group has no flags."""

    key: str
    title: str
    short: str
    flag: str
    flag_more: str
    icon: str
    cards: tuple[Card, ...]
    is_calm: bool = False


@dataclass(frozen=True, slots=True)
class MedicinesView:
    lead: str
    more: str
    said: tuple[str, ...]
    groups: tuple[Group, ...]


# change → (key, title, short, flag, words after the flag, icon); in the order of the page.
_GROUPS = {
    "stopped": ("stopped", "Do not give: stopped", "stopped", "Stopped", "do not give", "ban"),
    "held": ("held", "Do not give for now: held", "held", "Held", "do not give for now", "pause"),
    "new": ("new", "New", "new", "New", "", "plus"),
    "changed": ("changed", "Changed", "changed", "Changed", "", "swap"),
    "tapering": ("tapering", "The dose goes down in steps", "going down", "Tapering", "the dose goes down in steps", "swap"),
    "": ("not-said", "The hospital did not say if this changed", "not said", "Not said", "", "ask"),
    "unchanged": ("unchanged", "Unchanged", "unchanged", "", "", ""),
}
_BY_ITK = {change.itk: key for key, change in codes.CHANGES.items() if change.itk and key != "tapering"}
_URGENT = (codes.CRITICAL["time-critical"], codes.CRITICAL["controlled"], codes.CRITICAL["insulin"])


@dataclass(frozen=True, slots=True)
class Line:
    """One MedicationStatement and what the List said of it."""

    change: str
    statement: Resource = field(repr=False)

    @property
    def name(self) -> str:
        return concept(self.statement, "medicationCodeableConcept") or codes.NOT_RECORDED


def lines(papers: Papers) -> tuple[Line, ...]:
    """Every medicine of the document exactly once, in the Bundle's order; one that no List names counts too."""
    change_of: dict[str, str] = {}
    for found in papers.of("List"):
        for entry in each(found, "entry"):
            flag = dict(codes_of(entry, "flag"))
            change = flag.get(codes.TAPERING["system"], "") or _BY_ITK.get(flag.get(codes.CHANGE_SYSTEM, ""), "")
            change_of[text(papers.follow(entry, "item"), "id")] = change
    return tuple(
        Line(change_of.get(text(found, "id"), "") or codes.STATUS_MEANS.get(text(found, "status"), ""), found)
        for found in papers.of("MedicationStatement")
    )


def medicines_view(papers: Papers, *, has_list: bool, letter: str, now: datetime) -> MedicinesView:
    """The medicines block. `has_list`: the feed sends lists, so what is named is all; `letter`: who signed the newest letter, when."""
    found = lines(papers)
    flags = [(concept(flag, "code").removeprefix(f"{label}: ").casefold(), label) for flag, label in class_flags(papers)]
    groups = []
    for change, (key, title, short, flag, more, icon) in _GROUPS.items():
        cards = [_card(line, papers, flags, now) for line in found if line.change == change]
        if change == "unchanged":
            cards.sort(key=lambda card: not any(pill in _URGENT for pill in card.pills))
        if cards:
            groups.append(Group(key, title, short, flag, more, icon, tuple(cards), is_calm=not flag))
    notes = tuple(words for listed in papers.of("List") for note in each(listed, "note") if (words := text(note, "text")))
    if not found:
        lead = "No medicine is named here." if has_list else "This hospital sent a letter, not a list we can read."
        return MedicinesView(lead, "Read the medicines in the letter. We do not copy them out, so that no line is lost.", notes, ())
    not_to_give = sum(line.change in codes.NOT_TO_GIVE for line in found)
    lead = f"{len(found)} named here: {len(found) - not_to_give} to give, {not_to_give} not to give."
    # Rows that no person of the ward stated are a list of the hospital's own, whatever the feed usually sends.
    if not has_list and all("informationSource" in line.statement for line in found):
        lead = f"No list we can read: check against the letter. {lead}"
    return MedicinesView(lead, letter, notes, tuple(groups))


def class_flags(papers: Papers) -> Iterator[tuple[Resource, str]]:
    """(Flag, our words for its class) of every critical-class Flag."""
    for flag in papers.of("Flag"):
        code = dict(codes_of(flag, "code")).get(codes.CRITICAL_CLASS)
        if code is not None:
            yield flag, codes.CRITICAL.get(code, text(flag, "code", "coding", 0, "display") or code)


def _card(line: Line, papers: Papers, flags: Sequence[tuple[str, str]], now: datetime) -> Card:
    statement = line.statement
    dosage = each(statement, "dosage")
    give = value("\n".join(filter(None, (text(one, "text") or text(one, "patientInstruction") for one in dosage))))
    why = _joined(concept(reason) for reason in (*each(statement, "statusReason"), *each(statement, "reasonCode")))
    notes = _notes(statement)
    was = notes.pop("was", "")
    given, due, supply = _last_given(statement, papers, now), _next_due(dosage, now), _supply(statement, papers)
    match line.change:
        case "stopped" | "held":
            facts = [Fact("Why", value(why, blank=NO_REASON))]
            if line.change == "held":
                facts.append(Fact("Who restarts it", value(notes.pop("restart", "")), is_strong=True))
            facts.append(Fact("Was", value(was or (give.text if give.kind == "value" else ""))))
            if was and give.kind == "value":
                facts.append(Fact("The hospital wrote", give))
            facts.append(Fact("Last given", given))
            if due.kind == "value":
                facts.append(Fact("Next, hospital says", due))
            if supply is not None:
                facts.append(supply)
            facts.append(Fact("What to do", Value("value", BLISTER if line.change == "stopped" else KEEP)))
            strip: tuple[Fact, ...] = ()
        case _:
            is_changed = line.change in ("changed", "tapering")
            before = [Fact("Before hospital", value(was))] if was or is_changed else []
            now_is = "Steps" if line.change == "tapering" else "Now" if before else "Give"
            facts = [*before, Fact(now_is, give, is_strong=True)]
            if why or is_changed or line.change == "new":
                facts.append(Fact("Why" if is_changed else "For", value(why, blank=NO_REASON)))
            strip = (Fact("Last given", given), Fact("Next, hospital says", due), supply or Fact("Supply", NOT_RECORDED))
    facts += [Fact(label, value(words)) for label, words in _times_of_use(statement, now)]
    facts += [Fact(_LABELS.get(key, "Note"), value(words)) for key, words in notes.items()]
    source = text(papers.follow(statement, "informationSource"), "practitioner", "display")
    if source:
        said_at = times.said(text(statement, "dateAsserted"), now, short=True)
        facts.append(Fact("Said by", value(", ".join(filter(None, (source, said_at))))))
    pills = dict.fromkeys(label for words, label in flags if line.name.casefold() == words)
    if any(find(one, "asNeededBoolean") is True or find(one, "asNeededCodeableConcept") for one in dosage):
        pills["Only when needed"] = None
    return Card(line.name, tuple(pills), tuple(facts), strip)


_LABELS = {"restart": "Who restarts it"}


def _notes(statement: Resource) -> dict[str, str]:
    """Notes of a statement: the first `Was: …` and `Restart: …` by their key, others as `note 1`, `note 2` in order."""
    found: dict[str, str] = {}
    for number, words in enumerate((text(note, "text") for note in each(statement, "note")), 1):
        head, colon, rest = words.partition(":")
        key = head.strip().casefold() if colon else ""
        if words:
            is_ours = key in ("was", "restart") and key not in found
            found[key if is_ours else f"note {number}"] = rest.removeprefix(" ") if is_ours else words
    return found


def _times_of_use(statement: Resource, now: datetime) -> Iterator[tuple[str, str]]:
    period = find(statement, "effectivePeriod")
    for label, name in (("From", "start"), ("Until", "end")):
        if words := text(period, name):
            yield label, times.said(words, now)


def _derived(statement: Resource, papers: Papers, kind: str) -> tuple[Resource, ...]:
    targets = (papers.follow(one) for one in each(statement, "derivedFrom"))
    return tuple(found for found in targets if text(found, "resourceType") == kind)


def _last_given(statement: Resource, papers: Papers, now: datetime) -> Value:
    given = (_given(one, now) for one in _derived(statement, papers, "MedicationAdministration"))
    return value(_joined(given))


def _given(one: Resource, now: datetime) -> str:
    at = times.said(text(one, "effectiveDateTime") or text(one, "effectivePeriod", "start"), now, short=True)
    detail = ", ".join(filter(None, (text(one, "dosage", "text"), *(text(note, "text") for note in each(one, "note")))))
    return f"{at} ({detail})" if at and detail else at or detail


def _next_due(dosage: Sequence[Resource], now: datetime) -> Value:
    instructions = [one for dose in dosage for one in each(dose, "additionalInstruction")]
    due = (concept(one) for one in instructions if (codes.DOSAGE_NOTE, "next-due") in codes_of(one))
    return value(_joined(times.said(words, now, short=True) for words in due))


def _supply(statement: Resource, papers: Papers) -> Fact | None:
    found = _derived(statement, papers, "MedicationDispense")
    if not found:
        return None
    words, is_missing = [], False
    for one in found:
        code = dict(codes_of(one, "type")).get(codes.SUPPLY_SYSTEM, "")
        said = codes.SUPPLY.get(code) or concept(one, "type")
        amount = " ".join(filter(None, (text(one, "quantity", "value"), text(one, "quantity", "unit"))))
        days = text(one, "daysSupply", "value")
        plan = _joined(text(note, "text") for note in each(one, "note"))
        is_missing = is_missing or code == "not-supplied"
        if code == "not-supplied":
            said = f"{said}. {plan or 'No plan yet.'}"
        else:
            said = ": ".join(filter(None, (said, amount))) + (f" ({days} days)" if days else "") + (f". {plan}" if plan else "")
        words.append(said)
    return Fact("Supply", value("; ".join(words)), is_danger=is_missing)


def _joined(words: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(filter(None, words)))
