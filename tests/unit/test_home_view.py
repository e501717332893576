"""The views of the home's pages: right words, right order, five answers with five looks, nothing lost, nothing worked out."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from adapters.fhir.clinical import change_of
from exchange.fhir import codes
from exchange.fhir.shape import parts
from exchange.web.home import TransferView, inbox_view, times, transfer_view
from exchange.web.home.answers import ASK, CANNOT, Tried, mistakes
from exchange.web.home.facts import Mark, Read, dialled
from exchange.web.home.inbox import Past
from exchange.web.home.medicines import Card
from exchange.web.home.reading import Papers, narrative
from exchange.web.home.values import value
from exchange.web.home.view import condition_words
from tests import page_kit as kit


def view(result: dict[str, object] | None = None, **changes: object) -> TransferView:
    return transfer_view(kit.bundle(**changes), result or kit.gate(), kit.facts(), kit.NOW)


def card(shown: TransferView, name: str) -> Card:
    return next(card for group in shown.medicines.groups for card in group.cards if card.name.startswith(name))


def fact(shown: Card, label: str) -> tuple[str, str]:
    found = next(fact.value for fact in (*shown.facts, *shown.strip) if fact.label == label)
    return found.kind, found.text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("2026-11-28T06:30:00+00:00", "Saturday 28 November, 06:30"),
        ("2026-07-01T06:30:00Z", "Wednesday 1 July, 07:30"),
        ("2026-11-28", "Saturday 28 November, time not known"),
        ("2027-01-02T08:00:00Z", "Saturday 2 January 2027, 08:00"),
        ("2026-11-28T00:00:00Z", "Saturday 28 November, 00:00 (start of the day)"),
        ("2026-10-25T00:30:00Z", "Sunday 25 October, 01:30 (before the clocks went back)"),
        ("2026-10-25T01:30:00Z", "Sunday 25 October, 01:30 (after the clocks went back)"),
        ("2026-11", "2026-11"),
        ("2026-02-30", "2026-02-30"),
        ("0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00+14:00"),
        ("after breakfast", "after breakfast"),
        ("", ""),
    ],
)
def test_times_say_no_more_than_the_source(text: str, words: str) -> None:
    assert times.said(text, kit.NOW) == words


def test_a_birth_date_is_a_day_and_its_age_counts_whole_years() -> None:
    day_before = datetime(2026, 3, 13, 23, 59, tzinfo=UTC)
    assert times.birth("1942-03-14", day_before) == "14 March 1942 (83 years)"
    assert times.birth("1942-03-14", day_before + timedelta(minutes=1)) == "14 March 1942 (84 years)"
    assert times.birth("1942", kit.NOW) == "1942"
    assert times.age("1942", kit.NOW) == ""
    assert times.near_day(date(2026, 11, 27), kit.NOW) == "Yesterday, Friday 27 November"


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("Penicillin", "value"),
        ("", "blank"),
        (codes.NOT_RECORDED, "blank"),
        (codes.NOT_KNOWN_YET, "unknown"),
        (codes.NOT_SENT, "never"),
        (codes.NO_REASON, "no-reason"),
    ],
)
def test_each_answer_has_its_own_kind(words: str, kind: str) -> None:
    assert value(words).kind == kind


def test_the_page_says_who_and_when() -> None:
    shown = view()
    assert (shown.name, shown.first_name) == ("Edith Testperson", "Edith")
    assert shown.born.text == "14 March 1942 (84 years)"
    assert shown.nhs_number.text == "999 314 2077"
    assert shown.title == "Edith Testperson: 3 missing"
    assert shown.coming.text == "Today, Saturday 28 November, 06:30"
    assert shown.origin.text == "Ward 6, Examplebridge General Hospital"
    assert shown.papers == "Version 1, Saturday 28 November, 00:48: the newest."


def test_a_day_without_a_time_stays_one() -> None:
    assert view(expected_leaving="2026-11-29").coming.text == "Tomorrow, Sunday 29 November, time not known"
    nothing = transfer_view(None, kit.gate(), kit.facts(resident=replace(kit.RESIDENT, expected_leaving="")), kit.NOW)
    assert nothing.coming.kind == "blank"


def test_gaps_come_from_the_gate_with_owner_and_what_closes_them() -> None:
    first, second, third = view().gaps
    assert first.title == "Medicines that must be on time: in the bag, next dose known"
    assert (first.owner.text, first.by) == ("Ward 6", "at once")
    assert second.by == "by Saturday 28 November, 05:30"
    assert (third.owner.text, third.is_known) == ("the hospital’s doctor", False)
    assert [gap.title for gap in view().warnings] == ["Why a medicine was changed"]


@pytest.mark.parametrize(
    ("badge", "count", "mark"),
    [
        ("papers complete", 0, Mark.COMPLETE),
        ("papers complete", 1, Mark.MISSING),
        ("2 missing", 2, Mark.MISSING),
        ("letter only", 0, Mark.LETTER_ONLY),
        ("letter only", 1, Mark.MISSING),
        ("", 0, Mark.MISSING),
        ("anything else", 0, Mark.MISSING),
    ],
)
def test_only_the_gate_makes_a_badge_green(badge: str, count: int, mark: Mark) -> None:
    assert view(kit.gate(badge, count)).badge.kind is mark


def test_medicines_are_grouped_most_dangerous_first_and_none_is_lost() -> None:
    shown = view(medicines=kit.many_medicines()).medicines
    assert [group.key for group in shown.groups] == ["stopped", "held", "new", "changed", "not-said", "unchanged"]
    names = [card.name for group in shown.groups for card in group.cards]
    assert len(names) == len(set(names)) == 25
    assert kit.LONG_MEDICINE in names
    assert shown.lead == "25 named here: 17 to give, 8 not to give."


def test_a_dose_that_goes_down_is_to_give_with_its_steps_and_comes_back_as_such() -> None:
    """ITK has no type for it: "amendment" for whoever knows no more, our own code beside it for the page and for a next hospital."""
    steps = "30 mg for 5 days, then 20 mg for 5 days, then stop"
    rows = (kit.medicine("1", "Prednisolone 5mg tablets", steps, "tapering", why="Chest.", notes=("Was: nothing",)),)
    (group,) = view(medicines=rows).medicines.groups
    facts = {fact.label: fact.value.text for fact in group.cards[0].facts}
    assert (group.key, group.flag, facts["Steps"], facts["Before hospital"]) == ("tapering", "Tapering", steps, "nothing")
    assert view(medicines=rows).medicines.lead == "1 named here: 1 to give, 0 not to give."
    (flag,) = [row["flag"] for e in parts(kit.bundle(medicines=rows), "entry") for row in parts(e, "resource", "entry") if "flag" in row]
    assert [coding["code"] for coding in parts(flag, "coding")] == ["2", "tapering"]
    assert change_of(flag) == "tapering"
    assert change_of({"coding": parts(flag, "coding")[:1]}) == "changed"


def test_two_medicines_of_one_name_stay_two() -> None:
    twice = (kit.medicine("1", "Samplemycin 5mg tablets", "1 in the morning"), kit.medicine("2", "Samplemycin 5mg tablets", "2 at night"))
    cards = view(medicines=twice).medicines.groups[0].cards
    assert [fact(card, "Give") for card in cards] == [("value", "1 in the morning"), ("value", "2 at night")]


def test_a_card_holds_last_dose_next_dose_and_supply() -> None:
    shown = card(view(), "Co-careldopa")
    assert fact(shown, "Last given") == ("value", "Fri 27 Nov, 19:05")
    assert fact(shown, "Next, hospital says") == ("value", "Sat 28 Nov, 07:00")
    assert fact(shown, "Supply") == ("value", "NOT in the bag. No plan yet.")
    assert shown.strip[2].is_danger
    assert shown.pills == ("Must be on time",)


def test_blanks_in_a_card_are_not_recorded_and_a_reason_that_is_missing_is_said() -> None:
    shown = view()
    assert fact(card(shown, "Macrogol"), "Next, hospital says") == ("blank", codes.NOT_RECORDED)
    assert fact(card(shown, "Atorvastatin"), "Last given") == ("blank", codes.NOT_RECORDED)
    assert fact(card(shown, "Amlodipine"), "Why") == ("no-reason", codes.NO_REASON)
    assert fact(card(shown, "Bisoprolol"), "Before hospital") == ("value", "5 mg, once a day in the morning")
    assert fact(card(shown, "Ramipril"), "Who restarts it")[1].startswith("Testfield Surgery")
    assert fact(card(shown, "Buprenorphine"), "Last given") == ("value", "Tue 24 Nov, time not known")
    assert fact(card(shown, "Buprenorphine"), "Next, hospital says") == ("value", "Tuesday 1 December, 10:00")


def test_doses_keep_their_digits() -> None:
    shown = view(medicines=(kit.medicine("1", "Warfarin 1mg tablets", "2.50 mg\n  at 18:00", "changed", notes=("Was: 3.00 mg",)),))
    assert fact(card(shown, "Warfarin"), "Now") == ("value", "2.50 mg\n  at 18:00")
    assert fact(card(shown, "Warfarin"), "Before hospital") == ("value", "3.00 mg")


def test_unchanged_medicines_that_cannot_wait_come_first() -> None:
    unchanged = view().medicines.groups[-1]
    assert unchanged.is_calm
    assert [card.name.split()[0] for card in unchanged.cards] == ["Co-careldopa", "Buprenorphine", "Atorvastatin", "Levothyroxine"]


def test_allergies_answer_medicines_food_and_latex_each() -> None:
    lines = view().alerts[0].lines
    assert [(line.label, line.value.kind, line.value.text) for line in lines] == [
        ("Medicine", "value", "Penicillin: rash"),
        ("Food", "none", "None known"),
        ("Latex", "blank", codes.NOT_RECORDED),
    ]
    assert lines[1].value.source == "asked Monday 23 November"


def test_no_allergy_entry_is_never_none() -> None:
    (line,) = view(allergies=()).alerts[0].lines
    assert line.value.kind == "blank"
    (line,) = view(kit.gate("letter only", 0), allergies=()).alerts[0].lines
    assert line.value.kind == "never"


def test_alerts_come_with_who_said_so() -> None:
    shown = {alert.title: alert for alert in view().alerts}
    assert list(shown)[:2] == ["Allergy", "Must be on time"]
    assert shown["Must be on time"].is_heavy
    assert shown["Blood thinner"].lines[0].value.text == "Apixaban 2.5mg tablets"
    assert shown["Blood thinner"].lines[0].value.source == "Tomasz Mockley, ward nurse, Fri 27 Nov, 22:40"
    infection = shown["Infection that can spread"].lines[0].value
    assert (infection.kind, infection.text) == ("none", "None known")
    assert "Tomasz Mockley" in infection.source
    rest = shown["Other medicines to watch"].lines
    assert [(line.label, line.value.kind) for line in rest] == [("Insulin", "none"), ("Opioid", "blank")]


def test_the_number_to_call_is_the_wards_then_the_next_then_the_desk() -> None:
    shown = view()
    assert shown.call is not None
    assert (shown.call.phone, shown.call.tel) == ("01632 960146", "01632960146")
    assert [call.label for call in shown.others] == ["Next to try", "Medicines", "If nobody answers"]
    alone = view(contact=None)
    assert alone.call is not None
    assert alone.call.who.startswith("discharge desk")


@pytest.mark.parametrize(
    ("phone", "tel"),
    [("01632 960100", "01632960100"), ("+44 (0)1632", "+4401632"), ("01632 1 ext 5", "016321"), ("javascript:alert(1)", "1"), ("٣٤", "")],
)
def test_a_tel_link_holds_digits_only(phone: str, tel: str) -> None:
    assert dialled(phone) == tel


def test_without_a_bundle_the_page_still_says_who_and_gives_the_letter() -> None:
    shown = transfer_view(None, kit.gate("letter only", 0), kit.facts(), kit.NOW)
    assert shown.badge.words == "Letter only: check by eye"
    assert shown.name == "Edith Testperson"
    assert "not a list we can read" in shown.medicines.lead
    assert shown.letters[0].text == kit.LETTER_TEXT
    assert shown.letters[1].what == "PDF, 96 KB"
    assert all(line.value.kind == "never" for alert in shown.alerts for line in alert.lines)


def test_withdrawn_replaced_and_changed_each_say_so() -> None:
    withdrawn = transfer_view(kit.bundle(), kit.gate(), kit.facts(withdrawn_at=kit.NOW, withdrawn_why="staying"), kit.NOW)
    assert withdrawn.badge.kind is Mark.WITHDRAWN
    assert withdrawn.notices[0].title == "Edith Testperson is not coming"
    assert withdrawn.coming.text == "Not coming"
    assert withdrawn.papers.endswith("taken back.")
    assert withdrawn.gaps == ()
    assert withdrawn.answer.closed
    replaced = transfer_view(kit.bundle(), kit.gate(), kit.facts(newest_version=2), kit.NOW)
    assert replaced.notices[0].url == "/home/transfers/6f3c2b1e"
    assert "out of date" in replaced.papers
    assert replaced.answer.closed
    read = (Read("Priya Testworth", kit.NOW - timedelta(hours=1), 1),)
    changed = transfer_view(kit.bundle(), kit.gate(), kit.facts(version=2, newest_version=2, opened=read, answers=(kit.given(),)), kit.NOW)
    assert changed.notices[0].title == "The papers changed after you read them"
    assert changed.answer.now.startswith("to version 1: can take")
    assert changed.answer.link == "Answer again for version 2"
    again = kit.given(kit.AnswerKind.SEEN, "", version=2)
    done = transfer_view(kit.bundle(), kit.gate(), kit.facts(version=2, newest_version=2, opened=read, answers=(again,)), kit.NOW)
    assert not done.notices
    assert not view().notices


def test_conditions_go_back_into_words() -> None:
    assert condition_words(kit.gate(), ("27-skin", "made-up")) == ("The skin check",)


def test_a_letter_is_known_by_its_kind_and_size() -> None:
    twins = (kit.TEXT_LETTER, replace(kit.TEXT_LETTER, document_id="DOC-3", content=kit.LETTER_TEXT.swapcase().encode(), signed_by="Dr B"))
    unsure = transfer_view(kit.bundle(letters=twins), kit.gate(), kit.facts(letters=kit.facts().letters[:1]), kit.NOW)
    assert [letter.signed for letter in unsure.letters] == [""]
    shown = transfer_view(kit.bundle(), kit.gate(), kit.facts(), kit.NOW)
    assert [letter.signed for letter in shown.letters] == ["Signed by Dr Anil Exampleton, Friday 27 November, 23:31"] * 2


def test_silence_is_no_answer_and_reading_is_no_yes() -> None:
    assert view().answer.now == "None yet."
    read = transfer_view(kit.bundle(), kit.gate(), kit.facts(answers=(kit.given(kit.AnswerKind.SEEN, ""),)), kit.NOW)
    assert read.answer.now.startswith("read, no yes or no yet")
    assert read.answer.given == ""
    assert read.answer.is_read.startswith("Read by Priya Testworth")


def test_history_is_newest_first() -> None:
    words = [words for _, words in view().history]
    assert words == [
        "Priya Testworth opened version 1.",
        "Version 1 came to your mailbox.",
        "Version 1 was sent.",
        "Letter signed by Dr Anil Exampleton.",
        "Letter signed by Dr Anil Exampleton.",
    ]


def test_conditions_are_made_from_the_gaps_and_kept_when_the_form_comes_back() -> None:
    tried = Tried("can_take", {"when": "other"}, ("27-skin",), {"day": "Choose the day"})
    shown = transfer_view(kit.bundle(), kit.gate(), kit.facts(tried=tried), kit.NOW)
    assert [choice["checked"] for choice in shown.answer.conditions] == [False, True, False]
    assert shown.answer.error_list == ({"text": "Choose the day", "href": "#day"},)
    assert shown.title.startswith("Error: ")


@pytest.mark.parametrize(
    ("kind", "fields", "wrong"),
    [
        ("seen", {}, set()),
        ("can_take", {}, {"when"}),
        ("can_take", {"when": "planned"}, set()),
        ("can_take", {"when": "other", "day": " ", "time": ""}, {"day", "time"}),
        ("can_take", {"when": "other", "day": "2026-11-28", "time": "08:00"}, set()),
        ("can_take", {"when": "other", "day": "soon", "time": "8ish"}, {"day", "time"}),
        ("cannot", {"reason": "D05"}, set()),
        ("cannot", {"reason": "D42"}, {"reason"}),
        ("cannot", {"reason": "D99"}, {"note"}),
        ("ask", {"topic": "Q02", "question": "Where?"}, set()),
        ("ask", {"topic": "", "question": "x" * 3000}, {"topic", "question"}),
        ("agreed", {}, {"kind"}),
    ],
)
def test_mistakes_are_named_by_field(kind: str, fields: dict[str, str], wrong: set[str]) -> None:
    assert set(mistakes(kind, fields, planned_known=True)) == wrong


def test_a_planned_time_cannot_be_chosen_when_there_is_none() -> None:
    assert set(mistakes("can_take", {"when": "planned"}, planned_known=False)) == {"when"}
    assert list(CANNOT)[:2] == ["D05", "D06"]
    assert len(CANNOT) == 17
    assert len(ASK) == 23


def test_the_list_stands_in_groups_with_what_hurts_first() -> None:
    shown = inbox_view(kit.rows(), kit.FRAME, kit.NOW)
    assert [(group.title, [row.name.split()[0] for row in group.rows]) for group in shown.groups] == [
        ("Not read yet", ["Edith", "Stanley"]),
        ("Changed since you read it", ["Mavis"]),
        ("Not coming", ["Joan"]),
        ("Late", ["Harold"]),
        ("Read", ["Winifred"]),
    ]
    assert shown.title == "Who is coming (4 to read)"
    assert shown.lead == "4 to read. 3 are due at the weekend. 1 is late."
    late = shown.groups[3].rows[0]
    assert late.late == "Late: 6 hours"
    assert "Call the ward: 01632 960144." in late.notes[0]
    assert shown.groups[0].rows[1].when_more == ", time not known"
    assert shown.groups[1].rows[0].answer.startswith("to version 2: can take")


def test_an_unknown_time_comes_first_on_its_day_and_an_unknown_day_before_all() -> None:
    def row(name: str, leaving: str) -> kit.InboxRow:
        return replace(kit.rows()[1], resident=replace(kit.RESIDENT, name=name, expected_leaving=leaving))

    found = inbox_view((row("B", "2026-11-29T01:00:00Z"), row("A", "2026-11-29"), row("C", "")), kit.FRAME, kit.NOW)
    assert [row.name for row in found.groups[0].rows] == ["C", "A", "B"]
    assert found.groups[0].rows[0].when == "Day not known"


def test_a_person_who_left_the_ward_is_not_late() -> None:
    gone = replace(kit.rows()[5], left_at="2026-11-27T21:00:00Z")
    (group,) = inbox_view((gone,), kit.FRAME, kit.NOW).groups
    assert group.title == "Read"
    assert group.rows[0].when == "Left the ward Friday 27 November, 21:00"


def test_people_who_are_read_about_come_page_by_page_the_coming_ones_first() -> None:
    def gone(days: int) -> kit.InboxRow:
        day = (kit.NOW - timedelta(days=days)).date().isoformat()
        return replace(kit.rows()[5], resident=replace(kit.RESIDENT, name=f"P{days}", expected_leaving=day), left_at=f"{day}T09:00:00Z")

    near, long_ago = [gone(days) for days in range(-2, 10)], [gone(days) for days in range(20, 80)]
    pages = [inbox_view(near, kit.FRAME, kit.NOW, Past(long_ago[n * 30 : n * 30 + 30], n, has_more=n == 0)) for n in range(2)]
    names = [[row.name for group in page.groups for row in group.rows] for page in pages]
    assert names[0][:5] == ["P0", "P-1", "P-2", "P1", "P2"]
    assert names[0][12:] == [f"P{days}" for days in range(20, 50)]
    assert names[1] == [f"P{days}" for days in range(50, 80)]
    assert {row.name for page in pages for group in page.groups for row in group.rows if row.pills} == {"P0", "P-1"}  # this weekend
    assert [(page.newer, page.older) for page in pages] == [("", "/home?earlier=1"), ("/home?earlier=0", "")]


def test_papers_that_nobody_has_read_are_counted_even_where_they_are_too_many_to_show() -> None:
    shown = inbox_view((), kit.FRAME, kit.NOW, Past(unread_left=7))
    assert shown.title == "Who is coming (7 to read)"
    assert shown.lead == "7 to read. Only the newest are shown, 7 wait behind them."


def test_an_empty_list_has_no_groups() -> None:
    shown = inbox_view((), kit.FRAME, kit.NOW)
    assert shown.groups == ()
    assert shown.title == "Who is coming"


def test_a_narrative_becomes_plain_text_and_loses_no_word() -> None:
    runs = narrative(
        '<div xmlns="x"><h4>H</h4><p>a<br/>b &amp; &lt;c&gt;</p><dl><dt>L</dt><dd>V</dd><dt>M</dt><dd></dd></dl><ul><li>1</li></ul>'
        "<table><thead><tr><th>A</th></tr></thead><tbody><tr><td>x</td></tr><tr><td></td></tr></tbody></table>tail<script>s</script></div>"
    )
    assert [(run.kind, run.rows) for run in runs] == [
        ("head", (("H",),)),
        ("p", (("a\nb & <c>",),)),
        ("fact", (("L", "V"), ("M", ""))),
        ("li", (("1",),)),
        ("table", (("x",),)),
        ("p", (("tail",), ("s",))),
    ]


@pytest.mark.parametrize("broken", [None, {}, {"entry": "x"}, {"entry": [1, {"resource": 5}, {"fullUrl": "u", "resource": {}}]}])
def test_a_bundle_of_another_shape_raises_nothing(broken: dict[str, object] | None) -> None:
    assert Papers(broken).sections == ()
    assert transfer_view(broken, {}, kit.facts(), kit.NOW).name == "Edith Testperson"
