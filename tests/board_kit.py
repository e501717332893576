"""Every state of the hospital's pages, made from synthetic rows."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from exchange.errors import Conflict, Refused
from exchange.fhir.content import Medicine
from exchange.fhir.stated import Contact
from exchange.gate.evaluate import Gap, GateResult
from exchange.intake.holds import WORDS
from exchange.model import AnswerKind, DeliveryState, HoldKind, TransferState
from exchange.records import Answer, Delivery, Hold, Organisation, Sealed, Stay, Transfer, Version
from exchange.transfer.assemble import StatedSupplement
from exchange.transfer.candidates import Candidate
from exchange.transfer.publish import Look
from exchange.transfer.status import Standing
from exchange.web.board.holds import holds_page
from exchange.web.board.pick import pick_page
from exchange.web.board.transfer import transfer_page
from exchange.web.board.view import board_view, friday_view, row_of
from exchange.web.board.ward import ward_page
from exchange.web.home import Renderer
from exchange.web.home.facts import Frame

NOW = datetime(2026, 11, 27, 14, 10, tzinfo=UTC)  # a Friday
FRAME = Frame("Examplebridge General Hospital", "Leah Mockworth", "discharge desk", True, "csrf-token", "/board")
NAMES = {"p1": "Priya Testworth", "p2": "Rob Trialman"}
LONG_NAME = "Wilhelmina-Konstantina Featherstonehaugh-Cholmondeley-Majoribanks"
MEADOW = Organisation("VZZ01", "Sample Meadow", "home", "1 Rehearsal Row", "Testmouth", "NM4 7QA", "01632 960111", has_mailbox=True)


def gap(owner: str, title: str, due: str = "2026-11-27T15:30:00+00:00", detail: str = "") -> dict[str, object]:
    words = {"rule": f"00-{title}", "row": "00", "what": title, "why": "It hurts without it.", "closes": "The ward says it."}
    return {**words, "title": title, "owner": owner, "due": due, "detail": detail, "state": "missing", "at_once": due < NOW.isoformat()}


def standing(
    name: str,
    leaving: str,
    *gaps: dict[str, object],
    born: str = "1938-03-03",
    ward: str = "Ward 6",
    home: Organisation | None = MEADOW,
    opened: int | None = None,
    answer: AnswerKind | None = None,
    reason: str = "",
    note: Mapping[str, object] | None = None,
    to: int = 1,
    versions: int = 1,
    badge: str = "",
    withdrawn: str = "",
    hold: HoldKind | None = None,
    collected: bool = False,
    left: str = "",
) -> Standing:
    """One transfer. `opened`: minutes ago, of the newest version; `answer` an hour ago, to version `to`."""
    id = name.lower().replace(" ", "-")
    given, _, family = name.rpartition(" ")
    person = {"given": given, "family": family, "birth_date": born, "nhs_number": "9993142077", "ward": ward, "left_at": left}
    gate = {"gaps": list(gaps), "warnings": [gap("ward", "The time of leaving")] if gaps else []}
    words = badge or (f"{len(gaps)} missing" if gaps else "papers complete")
    sent = NOW - timedelta(hours=5)
    state = TransferState.WITHDRAWN if withdrawn else TransferState.PUBLISHED if versions else TransferState.POSSIBLE
    picked = sent - timedelta(hours=2) if home else None
    transfer = Transfer(
        id, f"stay-{id}", "RZZ01", home.id if home else None, state, sent - timedelta(days=1), picked, "p2",
        leaving, versions, NOW - timedelta(hours=1) if withdrawn else None, withdrawn,
    )  # fmt: skip
    made, put = [], []
    for n in range(1, versions + 1):
        at, is_new = sent + timedelta(hours=n), n == versions
        made.append(Version(f"{id}-{n}", id, "RZZ01", "VZZ01", n, at, "", "", words, "", "", Sealed.of(json.dumps(gate)), Sealed.of(""),
                            Sealed.of(json.dumps(person)), None))  # fmt: skip
        seen = NOW - timedelta(minutes=opened) if opened is not None and is_new else None
        now_is = DeliveryState.WITHDRAWN if withdrawn else DeliveryState.CURRENT if is_new else DeliveryState.REPLACED
        put.append(Delivery(f"{id}-d{n}", id, f"{id}-{n}", n, "RZZ01", "VZZ01", f"{id}-e{n}", n, n, at, at, now_is,
                            at if collected else None, seen, "p1" if seen else None))  # fmt: skip
    said = ()
    if answer is not None:
        body = Sealed.of(json.dumps(dict(note or {})))
        said = (Answer(f"{id}-a", f"{id}-d{to}", id, to, "RZZ01", "VZZ01", answer, reason, "p1", None, NOW - timedelta(minutes=65), body),)
    holds = (Hold(f"{hold}:{id}", hold, "RZZ01", "ward", "x", sent, NOW - timedelta(hours=2)),) if hold else ()
    identity = Sealed.of(json.dumps({k: v for k, v in person.items() if k not in ("ward", "left_at")}))
    stay = Stay(f"stay-{id}", "RZZ01", sent, visit_id=None, nhs_number=None, identity=identity)
    return Standing(transfer, stay, home, tuple(made), tuple(put), said, holds)


def many() -> list[Standing]:
    """The people of the design's board, one in every state."""
    lodge = replace(MEADOW, id="VZZ02", name="Placeholder Lodge", phone="01632 960112")
    noon = "2026-11-27T12:00:00+00:00"
    return [
        standing("Albert Demowell", "2026-11-27T16:30:00+00:00", gap("pharmacy", "Supply", detail="Insulin pens not in the bag"),
                 gap("ward", "Last insulin dose"), ward="Ward 2", home=lodge),
        standing("Harold Sampleton", "2026-11-27T18:00:00+00:00", ward="Ward 4", opened=40, answer=AnswerKind.CAN_TAKE,
                 note={"at": "x", "at_words": "the planned time"}),
        standing("Edith Testperson", "2026-11-28", gap("ward", "Skin", noon), gap("ward", "Resuscitation form", noon),
                 gap("pharmacy", "Supply", "2026-11-27T17:00:00+00:00", "Not in the bag, no plan: Co-careldopa 25mg/100mg tablets")),
        standing("Winifred Mockridge", "2026-11-28T10:00:00+00:00", gap("doctor", "Is the old aspirin stopped?"),
                 opened=70, answer=AnswerKind.ASK, reason="Q03", note={"note": "Is the old aspirin stopped, now that apixaban is new?"}),
        standing("Stanley Fakeman", "2026-11-29", ward="Ward 9", badge="letter only", opened=90),
        standing("Reginald Mockham", "2026-11-29T14:00:00+00:00", ward="", home=None, versions=0, hold=HoldKind.UNADDRESSED),
        standing("Mavis Exampley", "2026-11-30T10:00:00+00:00", ward="Ward 4", versions=3, answer=AnswerKind.CAN_TAKE, to=2,
                 note={"at": "x", "at_words": "10:00 on Monday 30 November", "conditions": ["The skin check"]}),
        standing("Doreen Demowell", "2026-12-01", gap("ward", "Skin", "2026-11-30T12:00:00+00:00"), ward="Ward 2", opened=30,
                 answer=AnswerKind.CANNOT, reason="D02", note={"note": "She needs two people at night."}),
        standing("Joan Trialby", "2026-11-28T11:00:00+00:00", ward="Ward 2", withdrawn="discharge_cancelled"),
        standing("Percy Latecomer", "2026-11-25T11:00:00+00:00", ward="Ward 1", opened=30),
        standing("Nora Nodate", "", ward="Ward 3", collected=True),
    ]  # fmt: skip


def ward(found: Standing, stated: Mapping[str, object], *rules: tuple[str, str], met: Sequence[str] = (), who: str = "",
         profile: str = "letter and checked", **more: object) -> object:  # fmt: skip
    """The ward's form of a transfer of which something is stated, and for which the gate still wants `rules` (id, owner)."""
    gaps = tuple(Gap(rule, rule[:2], rule[3:], "missing", owner, "2026-11-27T15:30:00+00:00", False, rule[3:].capitalize(), "It hurts.",
                     "The ward says it.", "") for rule, owner in rules)  # fmt: skip
    gate = GateResult(f"{len(gaps)} missing" if gaps else "papers complete", profile, gaps, (), (), "", "1", NOW.isoformat(), who,
                      {**dict.fromkeys(met, "met"), **{rule: "missing" for rule, _ in rules}})  # fmt: skip
    said = [StatedSupplement("Tomasz Mockley", "ward", "2026-11-27T11:05:00+00:00", dict(stated), "s1")] if stated else []
    look = Look(said, Contact("Ward 6", "01632 960106", "day and night"), gate, LIST)
    return ward_page(row_of(found, NOW), look, NOW, **more)  # type: ignore[arg-type]


LIST = [Medicine(f"M{n}", {"medicationCodeableConcept": {"text": name}}, change=change) for n, (name, change) in enumerate(
    [("Macrogol compound oral powder sachets", ""), ("Apixaban 2.5mg tablets", "new"), ("Senna 7.5mg tablets", "unchanged")])]  # fmt: skip
# What the gate still wants where the hospital's list came and the ward has said nothing.
ASKED = [(rule, "ward") for rule in ("16-last-dose", "18-time-critical", "19-supply", "26-infection", "27-skin", "28-daily-needs",
                                     "35-lines", "36-resuscitation")]  # fmt: skip
LISTED = ("03-leaving-time", "07-contact", "10-allergies", "11-medicines-list", "12-medicines-changes")
FULL = {
    "full_list_in_letter": True,
    "changes": {"decided_by": {"name": "Priya Pharmacist-Test", "role": "pharmacist"},
                "lines": [{"medicine": "Amlodipine 5mg tablets", "status": "stopped", "was": "One", "reason": "Low blood pressure"}]},
    "critical": [{"class": "anticoagulant", "present": True, "medicine": "Apixaban 2.5mg tablets", "next_due": "20:00", "in_bag": True,
                  "last_dose": "2026-11-27T08:00:00+00:00"}],
    "last_doses": {"chart_copy_in_bag": True}, "bag": {"items": 8, "shortest_supply_days": 3, "nothing_missing": True},
    "nursing": {"lines": "All out", "same_as_before": True, "says": "Nora Nurse-Test"},
}  # fmt: skip


def crowd(count: int) -> list[Standing]:
    return [
        standing(f"Sample Person{n:03}", f"2026-11-28T{n % 24:02}:00:00+00:00", *([gap("ward", "Skin")] * (n % 3))) for n in range(count)
    ]


FOUND = (
    Candidate(
        replace(MEADOW, provider_name="Sample Care Ltd", cqc="1-1000000001", verified_at=NOW), ("Picked for this person before",), True
    ),
    Candidate(
        replace(MEADOW, id="VZZ09", name="Sample Meadow House", closed_on="2026-08-01"), ("Looks like Sample Meadow: a like name",), False
    ),
)
HOLDS: list[dict[str, object]] = [
    {
        "id": f"{kind}:1",
        "words": WORDS[kind],
        "code": "pid_missing",
        "owner": owner,
        "deadline": deadline,
        "transfer": transfer,
        "acts": acts,
    }
    for kind, owner, deadline, transfer, acts in (
        (HoldKind.UNADDRESSED, "ward", "2026-11-27T12:00:00+00:00", "edith-testperson", ["address", "release", "refuse"]),
        (HoldKind.SEVERAL_STAYS, "discharge contact", "2026-11-27T16:00:00+00:00", None, ["link", "replay", "release", "refuse"]),
        (HoldKind.UNREADABLE, "integration team", "2026-11-30T16:00:00+00:00", None, ["replay", "release", "refuse"]),
    )
]


def pages() -> Mapping[str, bytes]:
    """Name → HTML of every page and state."""
    render = Renderer(static_url=".").render

    def board(*found: Standing, **more: object) -> bytes:
        return render("board.html", frame=FRAME, view=board_view(found, NOW, **more))  # type: ignore[arg-type]  # members by name

    def one(found: Standing) -> bytes:
        return render("board_transfer.html", frame=FRAME, view=transfer_page(found, NAMES, NOW))

    def pick_of(found: Standing, more: tuple[Candidate, ...], waits: str = "", typed: Mapping[str, str] | None = None) -> bytes:
        wrong = Refused("postcode_differs", "The postcode that you typed is not this home's.", next_step="Look again.") if typed else None
        return render("pick.html", frame=FRAME, view=pick_page(row_of(found, NOW), more, more, waits, True, typed or {}, wrong, NOW))

    known = {found.transfer.id: found for found in many()}
    long = standing(LONG_NAME, "2026-11-28", gap("ward", "Skin", detail="x" * 90), home=replace(MEADOW, name=LONG_NAME))
    return {
        "board-empty": board(),
        "board-one": board(known["harold-sampleton"]),
        "board-many": board(*known.values()),
        "board-friday": render("friday.html", frame=FRAME, view=friday_view(many(), NOW)),
        "board-friday-empty": render("friday.html", frame=FRAME, view=friday_view([], NOW)),
        "pick": pick_of(known["edith-testperson"], FOUND),
        "pick-nothing": pick_of(known["edith-testperson"], ()),
        "pick-error": pick_of(known["edith-testperson"], FOUND, MEADOW.id, {"site": MEADOW.id, "postcode": "NM9 9XX"}),
        "holds": render("holds.html", frame=FRAME, view=holds_page(HOLDS, True, None, NOW)),
        "holds-empty": render("holds.html", frame=FRAME, view=holds_page([], True, None, NOW)),
        "holds-error": render(
            "holds.html",
            frame=FRAME,
            view=holds_page(HOLDS, True, Conflict("hold_closed", "This hold is closed already.", next_step="Look at the list again."), NOW),
        ),
        "holds-auditor": render("holds.html", frame=FRAME, view=holds_page(HOLDS, False, None, NOW)),
        "board-act": board(*known.values(), shown="act"),
        "board-owner": board(*known.values(), owner="Pharmacy"),
        "board-none-fits": board(known["harold-sampleton"], shown="act"),
        "board-long": board(long),
        "board-paged": board(*crowd(60), page=2),
        **{f"board-{id}": one(found) for id, found in known.items()},
        "board-transfer-long": one(long),
        "ward-empty": render("ward.html", frame=FRAME, view=ward(known["edith-testperson"], {}, ("27-skin", "ward"))),
        "ward-gaps": render(
            "ward.html",
            frame=FRAME,
            view=ward(known["edith-testperson"], FULL, ("16-last dose", "ward"), ("27-skin", "ward"), ("36-resuscitation", "doctor")),
        ),
        "ward-usual": render("ward.html", frame=FRAME, view=ward(known["edith-testperson"], {}, *ASKED, met=LISTED)),
        "ward-new-resident": render(
            "ward.html",
            frame=FRAME,
            view=ward(known["edith-testperson"], {"person": {"kind": "new resident"}}, *ASKED, met=LISTED, who="new resident"),
        ),
        "ward-letter-only": render("ward.html", frame=FRAME, view=ward(known["edith-testperson"], {}, profile="letter only")),
        "ward-done": render("ward.html", frame=FRAME, view=ward(known["harold-sampleton"], FULL)),
        "ward-wrong": render(
            "ward.html",
            frame=FRAME,
            view=ward(
                known["edith-testperson"],
                FULL,
                typed={"bag.items": "four", "contact.phone": LONG_NAME},
                errors={"bag.items": "This must be a whole number", "contact.phone": "This must be a telephone number"},
            ),
        ),
        "ward-kept": render("ward_kept.html", frame=FRAME, view=ward(known["edith-testperson"], FULL, ("27-skin", "ward"))),
    }
