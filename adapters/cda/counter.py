"""How many medicines, allergies, diagnoses, procedures and sections the bytes hold: a second opinion that shares no code with the reader.

It goes over the tags of the bytes with a stack, knows sections by their first code or title, and counts outermost statements. When the
reader loses an entry the two differ, and the structured version waits (architecture, counts in = counts out).
"""

import re
from collections import Counter

_TAGS = re.compile(
    rb"<(?:!--.*?-->|!\[CDATA\[.*?\]\]>|(?P<close>/?)(?:[\w.-]+:)?"
    rb"(?P<name>section|text|code|title|templateId|substanceAdministration|observation|procedure|organizer|act)"
    rb"(?=[\s/>])(?P<rest>(?:[^\"'<>]|\"[^\"]*\"|'[^']*')*+)>(?P<text>[^<]*))",
    re.DOTALL,
)
_ATTRIBUTE = re.compile(rb"""(?:^|\s)(code|root|extension|moodCode)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SECTIONS = {
    **dict.fromkeys((b"48765-2", b"886921000000105"), "allergies"),
    **dict.fromkeys((b"10183-2", b"75311-1", b"10160-0", b"933361000000108"), "medicines"),
    **dict.fromkeys((b"11535-2", b"78375-3", b"11450-4", b"887161000000102", b"887151000000100"), "diagnoses"),
    **dict.fromkeys((b"47519-4", b"887171000000109"), "procedures"),
}
_TITLES = (
    (b"allerg", "allergies"),
    (b"medication", "medicines"),
    (b"diagnos", "diagnoses"),
    (b"problems", "diagnoses"),
    (b"procedure", "procedures"),
)
_OTHER = re.compile(rb"\d+-\d|\d{6,}")
_TAG = re.compile(rb"<(?:!\[CDATA\[(.*?)\]\]|!--.*?--|(renderMultiMedia)?[^>]*)>", re.DOTALL)
_BLANK = re.compile(rb"&#(?:160|[xX][aA]0);|\xc2\xa0|[\s|]+")
_STATEMENTS = frozenset((b"substanceAdministration", b"observation", b"procedure", b"organizer", b"act"))
_C_CDA = b"2.16.840.1.113883.10.20.22.4."


def count(content: bytes) -> dict[str, int]:
    """The five counts of a document's bytes; a section counts when its own text has words."""
    found: Counter[tuple[str, bytes]] = Counter()
    sections: list[dict[str, bytes]] = []
    open_statements: list[tuple[bytes, set[bytes], bytes]] = []
    content = content.replace(b"\x00", b"")
    texts, begun = 0, -1
    for tag in _TAGS.finditer(content):
        name, is_close, is_empty = tag["name"], tag["close"], (tag["rest"] or b"").endswith(b"/")
        if name is None or (is_close and name not in _STATEMENTS and name not in (b"section", b"text")):
            continue
        values = {key: first or second for key, first, second in _ATTRIBUTE.findall(tag["rest"] or b"")}
        if name == b"section":
            if is_close:
                if sections:
                    sections.pop()
            elif not is_empty:
                sections.append({})
        elif not sections:
            continue
        elif name == b"text" and not open_statements:
            if is_close and begun >= 0:
                words = _TAG.sub(lambda found: (found[1] or b"") + (found[2] or b""), content[begun : tag.start()])
                texts += bool(_BLANK.sub(b"", words))
            begun = -1 if is_close or is_empty else tag.end() - len(tag["text"] or b"")
        elif name == b"code" and not open_statements:
            sections[-1].setdefault("code", values.get(b"code", b""))
        elif name == b"title" and not open_statements:
            sections[-1].setdefault("title", (tag["text"] or b"").lower())
        elif name == b"templateId" and open_statements:
            open_statements[-1][1].update((values.get(b"root", b""), values.get(b"extension", b"")))
        elif name in _STATEMENTS:
            if not is_close:
                open_statements.append((name, set(), values.get(b"moodCode", b"EVN")))
            if (is_close or is_empty) and open_statements:
                own, templates, mood = open_statements.pop()
                outer = {statement for statement, _, _ in open_statements}
                kind = _kind(own, templates, mood, sections[-1])
                if kind and not outer - {b"act", b"organizer"}:
                    found[kind, sections[-1].get("code", b"")] += 1
    kinds = {
        kind: sum(number for (each, _), number in found.items() if each == kind)
        for kind in ("allergies", "medicines", "diagnoses", "procedures")
    }
    current = found["medicines", b"10160-0"]
    medicines = kinds["medicines"] - current if kinds["medicines"] > current else kinds["medicines"]
    return kinds | {"medicines": medicines, "sections": texts}


def _kind(name: bytes, templates: set[bytes], mood: bytes, section: dict[str, bytes]) -> str:
    code, title = section.get("code", b""), section.get("title", b"")
    place = _SECTIONS.get(code, "")
    if not place and not _OTHER.fullmatch(code):
        place = next((kind for word, kind in _TITLES if word in title), "")
    if name == b"observation" and any(each.endswith(b"#Diagnosis") for each in templates):
        return "diagnoses"
    if name == b"procedure" and mood == b"EVN" and any(each.endswith((b"#Treatment", b"#Investigation")) for each in templates):
        return "procedures"
    problem = _C_CDA + b"4" in templates or not any(each.startswith(_C_CDA) or b"#" in each for each in templates)
    done = mood == b"EVN" and any(_C_CDA + number in templates for number in (b"12", b"13", b"14"))
    return (
        place
        if {
            "allergies": name == b"observation",
            "medicines": name == b"substanceAdministration"
            and not any(each.endswith(b"#MedicationAdministrationDose") for each in templates),
            "diagnoses": name == b"observation" and problem,
            "procedures": (name == b"procedure" and mood == b"EVN") or (name in (b"act", b"observation") and done),
        }.get(place, False)
        else ""
    )
