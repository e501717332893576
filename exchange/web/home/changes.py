"""What changed between two versions, line by line, medicines first. Both are read from their documents; nothing is guessed.

Two views of the same reader are laid out as lines (place, label, words) and compared. So a change of anything that the page shows is a line
here; a medicine is known by its exact name: one that came under another name is "not in version 2" and "new in version 2".
"""

from collections import Counter
from collections.abc import Mapping, Sequence

from exchange.web.home.page import Change, Line, TransferView
from exchange.web.home.reading import Section
from exchange.web.home.values import Fact, Value, value

MEDICINE = "medicine"
GONE = "Ask the ward before you give or stop it."
# A place is (area, heading, number among its likes); its lines are label → words.
Place = tuple[str, str, int]
Lines = Mapping[Place, Mapping[str, str]]


def changes(old: TransferView, new: TransferView) -> tuple[Change, ...]:
    """Every difference, the most dangerous first: medicines (gone, not to give, others), alerts, letters, what is missing, the rest."""
    if old.has_document != new.has_document:
        said = ("came as letters alone", "came as a document and letters")
        title = f"Version {new.version} {said[new.has_document]}, version {old.version} {said[old.has_document]}"
        return (Change("letter", title, (), "We cannot compare the two: read all of it."),)
    before, after = _lines(old), _lines(new)
    made = (_change(place, before.get(place, {}), after.get(place, {}), new.version) for place in dict.fromkeys((*after, *before)))
    found = [change for change in made if change is not None]
    areas = {change.area for change in found}
    # The hospital's own words tell again what stands above: their difference is news only where nothing else of their kind changed.
    kept = [change for change in found if change.area not in _TOLD_AGAIN or _TOLD_AGAIN[change.area] not in areas]
    return tuple(sorted(kept, key=lambda change: (_AREAS.index(change.area), not change.advice)))


_TOLD_AGAIN = {
    "medications-and-medical-devices": MEDICINE,
    "allergies-and-adverse-reaction": "alert",
    "safety-alerts": "alert",
    "documents-including-correspondence-audio-and-images": "letter",
}
_AREAS = (MEDICINE, "alert", "letter", "gap", "coming", "call", "section", *_TOLD_AGAIN)


def _change(place: Place, was: Mapping[str, str], now: Mapping[str, str], version: int) -> Change | None:
    if was == now:
        return None
    area, heading, _ = place
    lines = tuple(
        _line(label, was, now) for label in dict.fromkeys((*now, *was)) if was.get(label) != now.get(label) and label != "Contents"
    )
    if not (was and now):  # a place that came or went is one line, not one for each label
        lines = (_line("", _whole(was), _whole(now)),)
    if not now:
        title, advice = f"{heading}: not in version {version}", GONE if area == MEDICINE else ""
    elif not was:
        title, advice = f"{heading}: new in version {version}", ""
    else:
        words = ", ".join(line.label.lower() for line in lines if line.label)
        title, advice = f"{heading}: {words} changed" if words else heading, ""
    if area == MEDICINE and now.get("Status", "").startswith("Do not give"):
        advice = now["Status"] + "."
    if area == "letter" and "Words" not in now and "Words" not in was:
        advice = "We cannot compare a letter that is no plain text: read all of it."
    return Change(area, title, lines, advice)


def _whole(lines: Mapping[str, str]) -> Mapping[str, str]:
    return {"": "; ".join(": ".join(filter(None, item)) for item in lines.items() if item[0] != "Contents")} if lines else {}


def _line(label: str, was: Mapping[str, str], now: Mapping[str, str]) -> Line:
    before, after = only_what_differs(was.get(label), now.get(label))
    return Line(label, _shown(before, bool(was)), _shown(after, bool(now)))


def _shown(words: str | None, is_there: bool) -> Value:
    """What a version says of a label; one that has the place and not these words says nothing there."""
    return Value("none", "nothing said" if is_there else "not named") if words is None else value(words)


def _lines(view: TransferView) -> Lines:
    found: dict[Place, dict[str, str]] = {}
    seen: Counter[tuple[str, str]] = Counter()

    def put(area: str, heading: str, lines: Mapping[str, str]) -> None:
        found[area, heading, seen[area, heading]] = dict(lines)
        seen[area, heading] += 1

    for group in view.medicines.groups:
        for card in group.cards:
            pills = {"Marks": ", ".join(card.pills)} if card.pills else {}
            put(MEDICINE, card.name, {"Status": group.title, **_labelled((*card.facts, *card.strip)), **pills})
    put(MEDICINE, "The list as a whole", {"": "\n".join((view.medicines.lead, *view.medicines.said))})
    for alert in view.alerts:
        put("alert", alert.title, _labelled(alert.lines))
    for letter in view.letters:
        # Without a digest two letters cannot be told apart: then they never count as the same.
        lines = {"Signed": letter.signed, "File": letter.what, "Contents": letter.digest or f"of version {view.version}"}
        put("letter", letter.title or "The letter", lines if letter.text is None else {"Signed": letter.signed, "Words": letter.text})
    for gap in view.gaps:
        put("gap", f"Missing: {gap.title}", {"": gap.detail or gap.title})
    for gap in view.warnings:
        put("gap", f"Not given: {gap.title}", {"": gap.detail or gap.title})
    put("gap", "Sent before it was complete", {"": view.override} if view.override else {})
    who = {"Name": view.name, "Born": view.born.text, "NHS number": view.nhs_number.text}
    put("coming", "Who and when", {**who, "Coming": view.coming.text, "From": view.origin.text})
    for call in filter(None, (view.call, *view.others)):
        put("call", call.label, {"": ", ".join(filter(None, (call.who, call.phone, call.hours.text)))})
    put("call", "Who gave the numbers", {"": view.contact_source})
    for section in (*(section for part in view.parts for section in part.sections), *view.record, *view.own_words):
        area = section.code if section.code in _TOLD_AGAIN else "section"
        put(area, section.title or section.code.replace("-", " ").capitalize(), _told(section))
    return found


def _labelled(facts: Sequence[Fact]) -> Mapping[str, str]:
    lines: dict[str, list[str]] = {}
    for fact in facts:
        source = f" ({fact.value.source})" if fact.value.source else ""
        lines.setdefault(fact.label, []).append(fact.value.text + source)
    return {label: "\n".join(words) for label, words in lines.items()}


def _told(section: Section) -> Mapping[str, str]:
    """Facts by their label, the other words of a section as one text."""
    lines: dict[str, list[str]] = {}
    for run in section.blocks:
        for row in (*([run.head] if run.head else []), *run.rows):
            label, words = row if run.kind == "fact" else ("", " | ".join(row))
            lines.setdefault(label, []).append(words)
    return {label: "\n".join(words) for label, words in lines.items()}


def only_what_differs(was: str | None, now: str | None) -> tuple[str | None, str | None]:
    """Of two long texts the lines that the other one does not have, in their order; both whole when only the order changed."""
    if was is None or now is None or "\n" not in was + now:
        return was, now
    before, after = was.split("\n"), now.split("\n")
    gone, come = Counter(before), Counter(after)
    left = "\n".join(line for line in before if gone[line] > come[line])
    right = "\n".join(line for line in after if come[line] > gone[line])
    return (left or None, right or None) if left.strip() or right.strip() else (was, now)
