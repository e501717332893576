"""Every state of the home's pages, made from synthetic people: `python -m tests.page_kit DIR` writes each as an HTML file to look at."""

import shutil
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from exchange.fhir import codes
from exchange.fhir.content import Content, Medicine, OrganisationFacts, Statement
from exchange.fhir.document import build_document
from exchange.fhir.draft import Entry, Letter, LetterStatus
from exchange.fhir.stated import (
    Bag,
    ChangeLine,
    Changes,
    Contact,
    Controlled,
    Critical,
    Decider,
    Infection,
    LastDoses,
    NotInBag,
    Nursing,
    Resuscitation,
    Stated,
)
from exchange.model import AnswerKind
from exchange.web.home import Renderer, TransferView, inbox_view, transfer_view
from exchange.web.home.answers import Tried
from exchange.web.home.facts import Frame, Given, InboxRow, LetterFacts, Mark, Read, Resident, TransferFacts
from exchange.web.home.heads_up import heads_up
from exchange.web.home.render import STYLESHEET

NOW = datetime(2026, 11, 28, 2, 3, tzinfo=UTC)
FRAME = Frame(
    home="Sample Meadow Care Home",
    who="Priya Testworth",
    role="night senior",
    is_trial=True,
    csrf="csrf-token",
    start_url="/home",
    desk_phone="01632 960100",
    desk_who="discharge desk, day and night",
)
LETTER_TEXT = """EXAMPLEBRIDGE GENERAL HOSPITAL                     Ward 6

Dear colleague,

Edith fell at home on Sunday 22 November. She had a chest infection and a new
irregular heartbeat. Her kidneys were not working well, but are better now.

  MEDICINES ON LEAVING
    Apixaban     2.5 mg     twice a day     NEW
    Bisoprolol   2.5 mg     once a day      was 5 mg

No broken bones. GP to check pulse in 2 weeks.

Dr Anil Exampleton
"""
WARD = Statement("Tomasz Mockley", "ward nurse", "2026-11-27T22:40:00+00:00", "supplement-1")
TEXT_LETTER = Letter(
    position="OBX[1]",
    media_type="text/plain",
    content=LETTER_TEXT.encode(),
    title="Discharge letter",
    status=LetterStatus.FINAL,
    document_id="DOC-1",
    author="Dr Anil Exampleton",
    signed_by="Dr Anil Exampleton",
    signed_at="2026-11-27T23:31:00+00:00",
)
PDF_LETTER = replace(TEXT_LETTER, position="OBX[2]", media_type="application/pdf", content=b"%PDF-1.7" + b" " * 96000, document_id="DOC-2")


def medicine(
    position: str,
    name: str,
    give: str = "",
    change: str = "unchanged",
    *,
    why: str = "",
    notes: tuple[str, ...] = (),
    last: str = "2026-11-27T08:15:00+00:00",
    due: str = "2026-11-28T08:00:00+00:00",
    supply: str = "in-bag",
    plan: str = "",
    classes: tuple[str, ...] = (),
) -> Medicine:
    """One medicine as assemble would hand it on."""
    resource: dict[str, object] = {
        "medicationCodeableConcept": {"text": name},
        "dosage": [{"text": give}] if give else [],
        "statusReason": [{"text": why}] if why and change != "unchanged" else [],
        "reasonCode": [{"text": why}] if why and change == "unchanged" else [],
        "note": [{"text": note} for note in notes],
    }
    return Medicine(position, resource, change, last, due, supply, plan, classes, WARD if change in ("stopped", "held") else None)


MEDICINES = (
    medicine("1", "Aspirin 75mg dispersible tablets", "", "stopped", why="Apixaban was started in its place.",
             notes=("Was: 1 tablet, once a day in the morning",), last="2026-11-23T08:00:00+00:00", due="", supply=""),
    medicine("2", "Amlodipine 5mg tablets", "", "stopped", notes=("Was: 1 tablet, once a day",),
             last="2026-11-24T08:10:00+00:00", due="", supply=""),
    medicine("3", "Ramipril 5mg capsules", "", "held", why="Her kidneys were not working well when she came in.",
             notes=("Was: 1 capsule, once a day in the morning", "Restart: Testfield Surgery (GP), after the blood test on 3 December"),
             last="2026-11-23T08:00:00+00:00", due="", supply=""),
    medicine("4", "Apixaban 2.5mg tablets", "1 tablet, twice a day (morning and evening)", "new",
             why="Irregular heartbeat (atrial fibrillation).", last="2026-11-27T20:10:00+00:00", classes=("anticoagulant",)),
    medicine("5", "Bisoprolol 2.5mg tablets", "2.5 mg (1 tablet), once a day in the morning", "changed", why="Her pulse was slow.",
             notes=("Was: 5 mg, once a day in the morning",)),
    medicine("6", "Macrogol compound oral powder sachets NPF sugar free", "1 sachet in water, twice a day", "", due="",
             last="2026-11-27T18:00:00+00:00"),
    medicine("7", "Atorvastatin 20mg tablets", "1 tablet, once a day in the evening", why="High cholesterol.", last=""),
    medicine("8", "Co-careldopa 25mg/100mg tablets", "1 tablet, 4 times a day: 07:00, 11:00, 15:00 and 19:00", why="Parkinson’s disease.",
             last="2026-11-27T19:05:00+00:00", due="2026-11-28T07:00:00+00:00", supply="not-supplied", classes=("time-critical",)),
    medicine("9", "Buprenorphine 5micrograms/hour transdermal patches", "1 patch every 7 days. Take the old one off first.",
             why="Back pain.", last="2026-11-24", due="Tuesday 1 December, 10:00", classes=("controlled", "weekly-or-patch")),
    medicine("10", "Levothyroxine 25microgram tablets", "3 tablets (75 micrograms), once a day before breakfast", supply="home-stock"),
)  # fmt: skip

# Version 2: ramipril is stopped, bisoprolol's dose is lower under a new name, macrogol is said, co-careldopa is in the bag, a row is gone.
CHANGED_MEDICINES = (
    *MEDICINES[:2],
    medicine("3", "Ramipril 5mg capsules", "", "stopped", why="Her kidneys are still not working well.",
             notes=("Was: 1 capsule, once a day in the morning",), last="2026-11-23T08:00:00+00:00", due="", supply=""),
    MEDICINES[3],
    medicine("5", "Bisoprolol 1.25mg tablets", "1.25 mg (1 tablet), once a day in the morning", "changed", why="Her pulse was slow (48).",
             notes=("Was: 5 mg, once a day in the morning",)),
    medicine("6", "Macrogol compound oral powder sachets NPF sugar free", "1 sachet in water, twice a day",
             last="2026-11-27T18:00:00+00:00"),
    medicine("8", "Co-careldopa 25mg/100mg tablets", "1 tablet, 4 times a day: 07:00, 11:00, 15:00 and 19:00", why="Parkinson’s disease.",
             last="2026-11-27T19:05:00+00:00", due="2026-11-28T07:00:00+00:00", classes=("time-critical",)),
    *MEDICINES[8:],
)  # fmt: skip

STATED = Stated(
    said_at="2026-11-27T22:40:00+00:00",
    full_list_in_letter=True,
    changes=Changes(
        decided_by=Decider("Dr Anil Exampleton", "prescriber"), lines=(ChangeLine("Aspirin 75mg dispersible tablets", "stopped"),)
    ),
    critical=(
        Critical("time-critical", True, "Co-careldopa 25mg/100mg tablets"),
        Critical("anticoagulant", True, "Apixaban 2.5mg tablets"),
        Critical("controlled", True, "Buprenorphine 5micrograms/hour transdermal patches"),
        Critical("weekly-or-patch", True, "Buprenorphine 5micrograms/hour transdermal patches"),
        Critical("insulin", False),
    ),
    last_doses=LastDoses(True),
    bag=Bag(8, 3, Controlled("2 patches", "004417"), (NotInBag("Co-careldopa 25mg/100mg tablets"),)),
    infection=Infection("none known"),
    resuscitation=Resuscitation("yes", "DNACPR", None, True),
    nursing=Nursing(
        says="Tomasz Mockley", mobility="2 people, standing hoist", eating="Level 5 food (minced and moist), level 2 drinks", lines="None"
    ),
)
CONTACT = Contact(
    "Ward 6, nurse in charge", "01632 960146", "Answers now, day and night", "01632 960172", "Opens 09:00", "01632 960190", "Site manager"
)


def note(section: str, words: str, title: str = "") -> Entry:
    return Entry("note", f"{section}/{title}", {"section": section, "title": title, "text": words})


def content(**changes: object) -> Content:
    """Edith Testperson's version 1; `changes` replace members of the Content."""
    made = Content(
        transfer_id="6f3c2b1e-7a56-4d0e-9a55-0d5d5f6a9b10",
        version=1,
        accepted_at="2026-11-28T00:48:00.000Z",
        written_at="2026-11-27T23:31:00+00:00",
        sender=OrganisationFacts("RX999", "Examplebridge General Hospital", phone="01632 960100"),
        site=OrganisationFacts("VTEST1", "Sample Meadow Care Home", is_site=True, cqc_location="1-999999999"),
        patient={
            "resourceType": "Patient",
            "identifier": [{"system": codes.NHS_NUMBER, "value": "9993142077"}],
            "name": [{"use": "official", "family": "Testperson", "given": ["Edith"]}],
            "birthDate": "1942-03-14",
            "gender": "female",
            "address": [{"line": ["1 Sample Lane"], "city": "Exampleton", "postalCode": "ZZ99 3VZ"}],
        },
        encounter={"period": {"start": "2026-11-22T16:20:00+00:00"}, "reasonCode": [{"text": "Fall; chest infection"}]},
        visit_id="V-314207",
        expected_leaving="2026-11-28T06:30:00+00:00",
        people=(
            Entry("ward", "PV1-3", {"name": "Ward 6"}),
            Entry("consultant", "PV1-9", {"name": [{"text": "Dr Asha Fakename"}]}),
            Entry("gp-practice", "PD1-3", {"name": "Testfield Surgery"}),
        ),
        allergies=(
            Entry(
                "allergy",
                "AL1[1]",
                {"code": {"text": "Penicillin"}, "category": ["medication"], "recordedDate": "2026-11-23",
                 "reaction": [{"manifestation": [{"text": "rash"}]}]},
            ),
            Entry("allergy", "AL1[2]", {"code": {"coding": [{"system": codes.SCT, "code": "429625007"}]}, "recordedDate": "2026-11-23"}),
        ),
        diagnoses=tuple(Entry("diagnosis", words, {"code": {"text": words}}) for words in ("Pneumonia", "Atrial fibrillation")),
        medicines=MEDICINES,
        has_list=True,
        notes=(
            note("clinical-summary", "Edith fell on Sunday 22 November and came to hospital by ambulance.\n\nNo broken bones."),
            note("plan-and-requested-actions", "Thursday 3 December: blood test (kidneys). Who: district nurse. Booked: yes."),
        ),
        letters=(TEXT_LETTER, PDF_LETTER),
        contact=CONTACT,
        stated=STATED,
        said=dict.fromkeys(("changes", "critical", "bag", "infection", "resuscitation", "nursing", "contact", "last_doses"), WARD),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # a test helper: members by name


def bundle(**changes: object) -> dict[str, object]:
    return build_document(content(**changes))


def gate(badge: str = "3 missing", count: int = 3) -> dict[str, object]:
    """A GateResult as plain JSON; a letter-only feed is not asked what it cannot send."""
    gaps = (
        ("18-time-critical", "Medicines that must be on time: in the bag, next dose known", "ward",
         "A late dose can put the person back in hospital.",
         "They are in the bag, or a plan says how they come.", "Not in the bag, no plan: Co-careldopa 25mg/100mg tablets"),
        ("27-skin", "The skin check", "ward", "A pressure sore that nobody named looks like neglect.",
         "The ward says what the skin is like today.", ""),
        ("36-resuscitation", "Whether a resuscitation form exists and travels", "doctor", "Without the form an ambulance will resuscitate.",
         "The ward says yes or no; the original is in the bag.", "Original in the bag: not recorded"),
    )  # fmt: skip
    members = ("rule", "what", "owner", "why", "closes", "detail")
    found: list[dict[str, object]] = [
        {**dict(zip(members, gap, strict=True)), "due": "2026-11-28T05:30:00+00:00", "at_once": number == 0, "state": "missing"}
        for number, gap in enumerate(gaps[:count])
    ]
    if count > 2:
        found[2]["state"] = "not established"
    asked = ["10-allergies", "18-time-critical", "26-infection", "36-resuscitation"] if badge == "letter only" else []
    warning = {
        "rule": "12-change-reasons",
        "what": "Why a medicine was changed",
        "owner": "pharmacy",
        "detail": "No reason: Amlodipine 5mg tablets",
    }
    profile = "letter only" if badge == "letter only" else "structured"
    return {"badge": badge, "profile": profile, "gaps": found, "warnings": [warning] if count else [], "not_asked": asked}


RESIDENT = Resident("Edith Testperson", "1942-03-14", "9993142077", "Ward 6", "Examplebridge General Hospital", "2026-11-28T06:30:00+00:00")


def facts(**changes: object) -> TransferFacts:
    """What the service knows of Edith's version 1."""
    made = TransferFacts(
        frame=FRAME,
        transfer_id="6f3c2b1e-7a56-4d0e-9a55-0d5d5f6a9b10",
        version=1,
        newest_version=1,
        published_at=NOW - timedelta(minutes=75),
        resident=RESIDENT,
        answer_url="/home/transfers/6f3c2b1e/answer",
        newest_url="/home/transfers/6f3c2b1e",
        delivered_at=NOW - timedelta(minutes=74),
        opened=(Read("Priya Testworth", NOW, 1),),
        letters=tuple(
            LetterFacts(letter.title, letter.media_type, len(letter.content), f"/home/letters/{number}",
                        letter.content.decode() if letter.media_type == "text/plain" else None)
            for number, letter in enumerate((TEXT_LETTER, PDF_LETTER))
        ),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]  # a test helper: members by name


def given(kind: AnswerKind = AnswerKind.CAN_TAKE, words: str = "today, 08:00, if co-careldopa is in the bag", version: int = 1) -> Given:
    return Given(kind, words, "Priya Testworth", NOW - timedelta(minutes=1), version)


def rows() -> tuple[InboxRow, ...]:
    """One person in every group of the list."""
    sent = NOW - timedelta(hours=5)

    def row(name: str, born: str, ward: str, leaving: str, mark: Mark, **more: object) -> InboxRow:
        resident = Resident(name, born, "", ward, "Examplebridge General Hospital", leaving)
        made = InboxRow(f"/home/transfers/{name.split()[0].lower()}", resident, mark, 1, sent)
        return replace(made, **more)  # type: ignore[arg-type]  # a test helper: members by name

    return (
        row("Winifred Mockridge", "1936-02-01", "Ward 6", "2026-11-28T10:00:00+00:00", Mark.MISSING,
            missing=("Is the old aspirin stopped?",), read_version=1, answer=given(words="if the question is settled")),
        row("Edith Testperson", "1942-03-14", "Ward 6", "2026-11-28T06:30:00+00:00", Mark.MISSING,
            missing=("Co-careldopa supply", "Skin check", "Resuscitation form", "Macrogol")),
        row("Stanley Fakeman", "1947-05-05", "Ward 9", "2026-11-29", Mark.LETTER_ONLY),
        row("Mavis Exampley", "1935-08-08", "Ward 4", "2026-11-30T10:00:00+00:00", Mark.COMPLETE,
            version=3, read_version=2, answer=given(version=2)),
        row("Joan Trialby", "1944-01-01", "Ward 2", "2026-11-28T11:00:00+00:00", Mark.COMPLETE, read_version=1,
            withdrawn_at=NOW - timedelta(hours=7), withdrawn_why="She is staying in hospital."),
        row("Harold Sampleton", "1938-03-03", "Ward 4", "2026-11-27T20:00:00+00:00", Mark.COMPLETE, read_version=1, answer=given(words=""),
            ward_phone="01632 960144"),
    )  # fmt: skip


LONG_NAME = "Wilhelmina-Konstantina Featherstonehaugh-Cholmondeley-Majoribanks Testpersonovaskaya"
LONG_MEDICINE = "Oestrogensconjugatedandmedroxyprogesteroneacetatecombined 0.625mg/2.5mg modified-release tablets"


def many_medicines() -> tuple[Medicine, ...]:
    """25 medicines, one with a name that does not fit a phone."""
    changes = ("stopped", "held", "new", "changed", "", "unchanged")
    made = [
        medicine(str(n), f"Samplemycin {n} {n * 5}mg tablets", f"{n} tablets, once a day", changes[n % 6], why="A test.") for n in range(24)
    ]
    return (*made, medicine("24", LONG_MEDICINE, "1 tablet, once a day", "new"))


def pages() -> Mapping[str, bytes]:
    """Name → HTML of every page and state."""
    render = Renderer(static_url=".").render

    def transfer(
        document: dict[str, object] | None = None,
        result: dict[str, object] | None = None,
        before: TransferView | None = None,
        **more: object,
    ) -> bytes:
        view = transfer_view(document, result or gate(), facts(**more), NOW, before)
        return render("transfer.html", view=view, frame=FRAME)

    def changed(**more: object) -> bytes:
        new = bundle(version=2, medicines=CHANGED_MEDICINES, expected_leaving="2026-11-28T07:30:00+00:00")
        read = (Read("Priya Testworth", NOW - timedelta(hours=1), 1),)
        return transfer(
            new,
            gate(count=2),
            version=2,
            newest_version=2,
            opened=read,
            published_at=NOW - timedelta(minutes=5),
            before=transfer_view(bundle(), gate(), facts(newest_version=2), NOW),
            **more,
        )

    def inbox(*found: InboxRow) -> bytes:
        view = inbox_view(found, FRAME, NOW)
        return render("inbox.html", view=view, frame=FRAME)

    long_patient = {**content().patient, "name": [{"use": "official", "text": LONG_NAME}]}
    long_row = replace(rows()[1], resident=replace(RESIDENT, name=LONG_NAME))
    anonymous = replace(FRAME, who="", start_url="", home="")
    wrong = Tried("can_take", {"when": "other", "time": "0800"}, ("27-skin",), {"day": "Choose the day"})
    gone = {"title": "We cannot find this page", "words": "The papers may have been taken back.",
            "next_step": "Look at the list of who is coming.", "code": "not_found"}  # fmt: skip
    return {
        "link": render(
            "link.html", frame=anonymous, who="Priya Testworth", home="Sample Meadow Care Home", action="/link", until="03:00 today"
        ),
        "inbox-empty": inbox(),
        "inbox-one": inbox(rows()[1]),
        "inbox-many": inbox(*rows()),
        "inbox-long": inbox(long_row),
        "heads-up": render(
            "heads_up.html", frame=FRAME, view=heads_up(replace(rows()[1], ward_phone="01632 960 111"), NOW), base="/home/transfer"
        ),
        "transfer": transfer(bundle(), override="Rob Trialman, site manager, chose to send these papers before they were complete."),
        "transfer-complete": transfer(bundle(), gate("papers complete", 0), answers=(given(),)),
        "transfer-long": transfer(bundle(patient=long_patient)),
        "transfer-25": transfer(bundle(medicines=many_medicines())),
        "transfer-letter-only": transfer(None, gate("letter only", 0)),
        "transfer-bare": transfer(
            bundle(medicines=(), allergies=(), stated=Stated(), said={}, contact=None, notes=(), people=(), diagnoses=(),
                   letters=(TEXT_LETTER,),
                   encounter={}, expected_leaving="2026-11-29"),
            gate("letter only", 0),
        ),
        "transfer-version-2": changed(answers=(given(),)),
        "transfer-version-2-read": changed(answers=(given(), given(AnswerKind.SEEN, "", version=2))),
        "transfer-version-2-letter-only": transfer(
            None, gate("letter only", 0), version=2, newest_version=2, opened=(Read("Priya Testworth", NOW - timedelta(hours=1), 1),),
            answers=(given(),),
        ),
        "transfer-replaced": transfer(bundle(), newest_version=2, replaced_at=NOW, answers=(given(),)),
        "transfer-withdrawn": transfer(bundle(), withdrawn_at=NOW, withdrawn_why="She is staying in hospital."),
        "transfer-error": transfer(bundle(), tried=wrong),
        "answered": render(
            "answered.html", frame=FRAME, title="Your answer was sent", number=1, name="Edith Testperson", transfer="6f3c2b1e",
            said="can take: today at 08:00 (Priya Testworth, Sat 28 Nov, 02:11)", made="Saturday 28 November, 02:11",
        ),
        "error": render("error.html", frame=FRAME, **gone),
    }  # fmt: skip


def write(folder: Path) -> None:
    """Each page as a file, the stylesheet beside them."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(str(STYLESHEET), folder / "wardpost.css")
    for name, html in pages().items():
        (folder / f"{name}.html").write_bytes(html)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
