"""The alerts: allergies, then what must not be late, then what must not be forgotten. An alert that nobody answered is a box too."""

from collections.abc import Iterator
from datetime import datetime

from exchange.fhir import codes
from exchange.web.home import times
from exchange.web.home.medicines import class_flags
from exchange.web.home.reading import Papers, Resource, concept, each, text
from exchange.web.home.reading import codes as codes_of
from exchange.web.home.values import NOT_RECORDED, NOT_SENT, Alert, Fact, Value, value

_CLASS_ORDER = ("time-critical", "insulin", "anticoagulant", "controlled", "opioid", "weekly-or-patch")
_KINDS = {"medication": "Medicine", "food": "Food", "environment": "Other"}


def alerts(papers: Papers, not_sent: frozenset[str], now: datetime) -> tuple[Alert, ...]:
    """Every alert box, in the order of the page. `not_sent`: rows of the rules that this hospital is never asked (10, 18, 26, 36)."""

    def blank(row: str) -> Value:
        return NOT_SENT if row in not_sent else NOT_RECORDED

    def line(flag: Resource, label: str = "") -> Fact:
        words = concept(flag, "code").removeprefix(f"{label}: ")
        return Fact("", value(words, source=_source(papers, flag, now)), is_strong=True)

    flagged: dict[str, list[Fact]] = {}
    for flag, label in class_flags(papers):
        flagged.setdefault(label, []).append(line(flag, label))
    order = [codes.CRITICAL[key] for key in _CLASS_ORDER]
    answered = _narrated(papers)
    boxes = [Alert("Allergy", tuple(_allergies(papers, now)) or (Fact("", blank("10")),), is_heavy=True)]
    for label in sorted(flagged, key=lambda found: order.index(found) if found in order else len(order)):
        boxes.append(Alert(label, tuple(flagged[label]), is_heavy=label == codes.CRITICAL["time-critical"]))
    others = [flag for flag in papers.of("Flag") if codes.CRITICAL_CLASS not in dict(codes_of(flag, "code"))]
    for key, title, row in (("resuscitation", "Resuscitation", "36"), ("infection", "Infection that can spread", "26")):
        mine = [flag for flag in others if (codes.ALERT, key) in codes_of(flag, "code")]
        others = [flag for flag in others if flag not in mine]
        told = () if mine else (Fact("", _told(answered.get(codes.ALERTS[key], ""), blank(row))),)
        boxes.append(Alert(title, (*map(line, mine), *told)))
    boxes += [Alert(text(flag, "code", "coding", 0, "display") or "Alert", (line(flag),)) for flag in others]
    if "18" in not_sent and not flagged:
        return (*boxes, Alert("Medicines to watch", (Fact("", NOT_SENT),)))
    rest = tuple(_unflagged(answered, flagged))
    return (*boxes, Alert("Other medicines to watch", rest)) if rest else tuple(boxes)


def _allergies(papers: Papers, now: datetime) -> Iterator[Fact]:
    """Each allergy; then drug, food and latex, each with its own answer."""
    settled: set[str] = set()
    for found in papers.of("AllergyIntolerance"):
        coded = {code for _, code in codes_of(found, "code")}
        asked = text(found, "recordedDate")
        who = text(papers.follow(found, "asserter"), "practitioner", "display")
        when = times.said(asked, now).removesuffix(f", {times.UNKNOWN_TIME}")
        none = next((key for key, (code, words) in codes.NO_KNOWN.items() if code in coded or concept(found, "code") == words), "")
        if none:
            settled |= {"drug", "food", "latex"} if none == "any" else {none}
            source = ", ".join(filter(None, (who, f"asked {when}" if when else "when it was asked is not recorded")))
            label = {"any": "", "drug": "Medicines", "food": "Food", "latex": "Latex"}[none]
            yield Fact(label, Value("none", "None known", source))
            continue
        category = next(iter(_categories(found)), "")
        settled.add({"medication": "drug", "food": "food"}.get(category, "latex" if "latex" in concept(found, "code").casefold() else ""))
        yield Fact(_KINDS.get(category, ""), value(_allergy(found), source=", ".join(filter(None, (who, when)))), is_strong=True)
    if settled:
        for key, label in (("drug", "Medicines"), ("food", "Food"), ("latex", "Latex")):
            if key not in settled:
                yield Fact(label, NOT_RECORDED)


def _categories(found: Resource) -> Iterator[str]:
    listed = found.get("category")
    return (str(item) for item in listed) if isinstance(listed, list) else iter(())


def _allergy(found: Resource) -> str:
    reactions = [
        concept(manifestation) or text(reaction, "description")
        for reaction in each(found, "reaction")
        for manifestation in each(reaction, "manifestation") or ({},)
    ]
    severity = [text(reaction, "severity") for reaction in each(found, "reaction") if text(reaction, "severity")]
    more = ["can be dangerous"] if text(found, "criticality") == "high" else []
    notes = [text(note, "text") for note in each(found, "note")]
    after = "; ".join(dict.fromkeys(filter(None, (*reactions, *severity, *more, *notes))))
    return ": ".join(filter(None, (concept(found, "code"), after)))


def _source(papers: Papers, flag: Resource, now: datetime) -> str:
    author = papers.follow(flag, "author")
    who = ", ".join(filter(None, (text(author, "practitioner", "display"), text(author, "code", 0, "text"))))
    when = times.said(text(flag, "period", "start"), now, short=True)
    return ", ".join(filter(None, (who, when)))


def _narrated(papers: Papers) -> dict[str, str]:
    """The label-and-value lines of the safety alerts: what was asked and answered without raising a Flag."""
    section = papers.section("safety-alerts")
    runs = section.blocks if section else ()
    return {row[0]: row[1] for run in runs if run.kind == "fact" for row in run.rows}


def _told(words: str, blank: Value) -> Value:
    head, _, rest = words.partition(". ")
    if head == "None known":
        return Value("none", head, rest.removeprefix("Said by ") or "who looked is not recorded")
    return blank if words == codes.NOT_RECORDED else value(words, blank=blank)


def _unflagged(answered: dict[str, str], flagged: dict[str, list[Fact]]) -> Iterator[Fact]:
    """Classes that nobody has ticked: one line for "no", one for "not recorded"."""
    rest = {label: answered[label] for label in codes.CRITICAL.values() if label in answered and label not in flagged}
    none = ", ".join(label for label, words in rest.items() if words == "no")
    if none:
        yield Fact(none, Value("none", "none"))
    for_asking = ", ".join(label for label, words in rest.items() if words != "no")
    if for_asking:
        yield Fact(for_asking, NOT_RECORDED)
