"""The demo's three people and their home, all made up: what their hospital sends and what their ward states."""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

HOSPITAL, HOME = "RZZ01", "VZZ01"
_LONDON = ZoneInfo("Europe/London")


@dataclass(frozen=True)
class Person:
    """One demo person: identifiers, the letter's lines (or None for a PDF), the ward's Supplement (or None), the badge to come."""

    number: str
    family: str
    given: str
    title: str
    born: str
    sex: str
    visit: str
    badge: str
    letter: tuple[str, ...] | None
    supplement: dict[str, object] | None


def tomorrow(now: datetime) -> str:
    return (now.astimezone(_LONDON) + timedelta(days=1)).strftime("%Y%m%d")


def _stamp(moment: datetime) -> str:
    return moment.astimezone(_LONDON).strftime("%Y%m%d%H%M%S%z")


def _said(now: datetime, hours: float) -> str:
    return (now.astimezone(_LONDON) - timedelta(hours=hours)).replace(second=0).isoformat(timespec="seconds")


def people(now: datetime) -> list[Person]:
    """The three, with times that fit the day on which the demo is played."""
    none_of = [{"class": kind, "present": False} for kind in ("insulin", "opioid", "controlled", "weekly-or-patch")]
    day = (now.astimezone(_LONDON) + timedelta(days=1)).date().isoformat()
    contact = {
        "who": "Ward 6, nurse in charge",
        "phone": "01632 960106",
        "hours": "day and night",
        "medicines_phone": "01632 960107",
        "medicines_hours": "09:00 to 17:00, Monday to Saturday",
        "next_phone": "01632 960108",
        "next_who": "Site manager",
    }
    both = {
        "full_list_in_letter": True,
        "last_doses": {"chart_copy_in_bag": True},
        "contact": contact,
        "infection": {"status": "none known"},
        "person": {"kind": "returner", "end_of_life": False},
        "leaving": {"day": day, "window": "10:00 to 12:00", "transport": "Patient transport", "escort": "Daughter"},
        "plan": {"follow_up": "None planned"},
    }
    full: dict[str, object] = {
        "changes": {
            "decided_by": {"name": "Priya Pharmacist-Test", "role": "pharmacist"},
            "lines": [
                {"medicine": "Amlodipine 5mg tablets", "status": "stopped", "was": "One each morning", "reason": "Low blood pressure"},
                {"medicine": "Apixaban 2.5mg tablets", "status": "new", "now": "One, twice a day", "reason": "Irregular heartbeat"},
                {
                    "medicine": "Bisoprolol 1.25mg tablets",
                    "status": "changed",
                    "was": "2.5 mg each morning",
                    "now": "1.25 mg each morning",
                    "reason": "Slow pulse",
                },
            ],
        },
        "critical": [
            *none_of,
            {"class": "time-critical", "present": False},
            {
                "class": "anticoagulant",
                "present": True,
                "medicine": "Apixaban 2.5mg tablets",
                "last_dose": _said(now, 2),
                "next_due": "this evening, 20:00",
                "in_bag": True,
            },
        ],
        "bag": {"items": 5, "shortest_supply_days": 7, "nothing_missing": True},
        "resuscitation": {"form": "yes", "kind": "DNACPR", "original_in_bag": True, "valid_outside_hospital": True},
        "nursing": {"same_as_before": True, "says": "Nora Nurse-Test", "skin": "Intact, checked today", "lines": "All out"},
        **both,
    }
    partial: dict[str, object] = {
        "changes": {"nothing_changed": True, "decided_by": {"name": "Erin Doctor-Test", "role": "prescriber"}},
        "critical": [
            *none_of,
            {"class": "anticoagulant", "present": False},
            {
                "class": "time-critical",
                "present": True,
                "medicine": "Co-careldopa 25mg/100mg tablets",
                "last_dose": _said(now, 1),
                "next_due": "today, 18:00",
                "in_bag": False,
            },
        ],
        "bag": {"items": 3, "shortest_supply_days": 7, "missing": [{"medicine": "Co-careldopa 25mg/100mg tablets"}]},
        "resuscitation": {"form": "unknown"},
        "nursing": {"same_as_before": True, "says": "Nora Nurse-Test", "lines": "All out"},
        **both,
    }
    letter = (
        "DISCHARGE SUMMARY",
        "",
        "Came in after a fall at home. Treated for a chest infection; steady on her feet again.",
        "",
        "MEDICINES ON DISCHARGE",
        "1. Apixaban 2.5mg tablets: one, twice a day - NEW (irregular heartbeat)",
        "2. Bisoprolol 1.25mg tablets: one each morning - CHANGED (was 2.5 mg; slow pulse)",
        "3. Paracetamol 500mg tablets: two, up to four times a day when needed - UNCHANGED",
        "STOPPED: Amlodipine 5mg tablets (low blood pressure)",
        "",
        "Signed: Dr Erin Doctor-Test",
    )
    parkinsons = (
        "DISCHARGE SUMMARY",
        "",
        "Came in with a chest infection. Parkinson's as before.",
        "",
        "MEDICINES ON DISCHARGE",
        "1. Co-careldopa 25mg/100mg tablets: one at 08:00, 13:00 and 18:00 - UNCHANGED",
        "2. Paracetamol 500mg tablets: two, up to four times a day when needed - UNCHANGED",
        "",
        "Signed: Dr Erin Doctor-Test",
    )
    return [
        Person("9990000018", "Testperson", "Edith", "Mrs", "19420314", "2", "V1001", "papers complete", letter, full),
        Person("9990000034", "Trialman", "Arthur", "Mr", "19380702", "1", "V1002", "missing", parkinsons, partial),
        Person("9990000042", "Sampleton", "Doris", "Miss", "19351230", "2", "V1003", "letter only", None, None),
    ]


def admission(person: Person, now: datetime, event: str = "A01") -> bytes:
    """An ADT message with the expected day; A03 carries the moment of leaving."""
    left = _stamp(now)[:14] if event == "A03" else ""
    pv1 = [""] * 46
    pv1[1:5] = ["1", "I", f"W06^B2^03^{HOSPITAL}", "21"]
    pv1[7], pv1[10], pv1[14], pv1[18], pv1[19] = "C9990001^Consultant-Test^Hana", "300", "19", "INP", person.visit
    pv1[44], pv1[45] = _stamp(now - timedelta(days=4))[:14], left
    allergy = ["AL1|1|DA|^Penicillin|MO|rash"] if person.visit == "V1001" else ["AL1|1|DA|409137002^No known drug allergies^SCT"]
    lines = [
        _msh("PAS", now, f"ADT^{event}^ADT_A01", f"{event}-{person.visit}", "2.4"),
        f"EVN|{event}|{_stamp(now)}|||||{left}",
        _pid(person),
        "|".join(["PV1", *pv1[1:]]),
        f"PV2|||^Fall at home||||||{tomorrow(now)}",
        *allergy,
    ]
    return "\r".join(lines).encode() + b"\r"


def letter(person: Person, now: datetime) -> bytes:
    """An MDM^T02 with the signed discharge letter: text lines, or a PDF."""
    content = "TX" if person.letter else "AP"
    lines = [
        _msh("EPR", now, "MDM^T02^MDM_T02", f"T02-{person.visit}", "2.5.1"),
        f"EVN|T02|{_stamp(now)}",
        _pid(person),
        f"PV1|1|I|W06^B2^03^{HOSPITAL}|{'|' * 14}|{person.visit}",
        f"TXA|1|DS^Discharge summary|{content}|{_stamp(now)}|C9990002^Doctor-Test^Erin|{_stamp(now)}||||||DOC-{person.visit}|||||LA||AV",
    ]
    if person.letter:
        lines += [f"OBX|{n}|TX|DS^Discharge summary||{_escaped(text)}||||||F" for n, text in enumerate(person.letter, 1)]
    else:
        lines.append(f"OBX|1|ED|DS^Discharge summary||^AP^PDF^Base64^{base64.b64encode(_pdf(person)).decode()}||||||F")
    return "\r".join(lines).encode() + b"\r"


def _msh(application: str, now: datetime, kind: str, control_id: str, version: str) -> str:
    fields = ["MSH", r"^~\&", application, HOSPITAL, "WARDPOST", HOSPITAL, _stamp(now), "", kind, control_id, "P", version]
    return "|".join([*fields, "", "", "", "", "GBR", "UNICODE UTF-8"])


def _pid(person: Person) -> str:
    ids = f"{person.number}^^^NHS^NH~T{person.visit}^^^{HOSPITAL}^PI"
    name = f"{person.family}^{person.given}^^^{person.title}^^L"
    return f"PID|1||{ids}||{name}||{person.born}|{person.sex}|||1 Rehearsal Row^^Testmouth^^NM4 7QA^GBR^H{'|' * 21}01"


def _escaped(text: str) -> str:
    for plain, escape in (("\\", "\\E\\"), ("|", "\\F\\"), ("^", "\\S\\"), ("&", "\\T\\"), ("~", "\\R\\")):
        text = text.replace(plain, escape)
    return text


def _pdf(person: Person) -> bytes:
    """A one-page PDF that any viewer opens."""
    text = f"BT /F1 14 Tf 60 760 Td (Discharge summary: {person.given} {person.family}) Tj 0 -24 Td (Signed: Dr Erin Doctor-Test) Tj ET"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>",
        f"<< /Length {len(text)} >>\nstream\n{text}\nendstream".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    start = len(out)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"xref\n0 6\n0000000000 65535 f \n" + table + b"trailer << /Size 6 /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % start
    return bytes(out)
