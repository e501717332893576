"""The hospital's board: order, groups, owners, what is urgent; every page whole and inert."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from lxml import html

from exchange.model import AnswerKind
from exchange.transfer.status import is_weekend
from exchange.transfer.workdays import weekend
from exchange.web.board.transfer import transfer_page
from exchange.web.board.view import board_view, friday_rows, rows_of
from exchange.web.home import Renderer
from exchange.web.home.times import exact
from tests import board_kit as kit

PAGES = kit.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole_and_asks_for_no_script(name: str) -> None:
    tree = html.fromstring(PAGES[name].decode())
    assert len(tree.xpath("//h1")) == 1
    levels = [int(heading.tag[1]) for heading in tree.xpath("//h1|//h2|//h3|//h4")]
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    ids = [str(found) for found in tree.xpath("//@id")]
    assert len(ids) == len(set(ids))
    assert not tree.xpath("//script|//style|//@style")
    assert {form.get("action") for form in tree.forms} <= {
        "/sign-out",
        "/board/holds",
        "/board/edith-testperson/home",
        *(f"/board/{row}/ward" for row in ("edith-testperson", "harold-sampleton")),
    }


def test_the_weekend_comes_first_then_by_time_an_unknown_time_first_on_its_day() -> None:
    rows = rows_of(kit.many(), kit.NOW)
    assert [(row.group, row.name.split()[0]) for row in rows] == [
        ("This weekend", "Albert"), ("This weekend", "Harold"), ("This weekend", "Edith"), ("This weekend", "Winifred"),
        ("This weekend", "Stanley"), ("This weekend", "Reginald"), ("Day not known", "Nora"), ("Was due, not closed", "Percy"),
        ("After the weekend", "Mavis"), ("After the weekend", "Doreen"), ("Taken back", "Joan"),
    ]  # fmt: skip


def test_who_must_act_is_said_in_words() -> None:
    rows = {row.name.split()[0]: row for row in rows_of(kit.many(), kit.NOW)}
    assert {name for name, row in rows.items() if row.acts} == {"Albert", "Edith", "Winifred", "Reginald", "Doreen", "Joan", "Percy"}
    assert rows["Albert"].home_words == "Not opened. Leaves in less than 3 hours."
    assert rows["Winifred"].home_words == "Asked at 13:05: What was stopped or changed is not clear. No reply for 1 h 5 min."
    assert rows["Mavis"].home_words.startswith("Can take (to version 2), from 10:00")
    assert rows["Mavis"].home_words.endswith("Version 3 not opened.")
    assert [(fix.owner, fix.by, fix.is_past) for fix in rows["Edith"].fixes] == [
        ("Ward 6", "12:00 has passed", True),
        ("Pharmacy", "by 17:00", False),
    ]


def test_owners_are_counted_for_the_weekend_alone() -> None:
    view = board_view(kit.many(), kit.NOW)
    assert [(owner.name, owner.count, owner.is_past) for owner in view.owners] == [
        ("Ward 6", 2, True), ("The ward", 1, True), ("Doctor", 1, False), ("Pharmacy", 2, False), ("Ward 2", 1, False),
    ]  # fmt: skip
    only = board_view(kit.many(), kit.NOW, owner="Pharmacy")
    assert [row.name for _, _, rows in only.tables for row in rows] == ["Albert Demowell", "Edith Testperson"]


def test_pages_hold_everybody_once() -> None:
    found, seen = kit.crowd(60), []
    for number in (1, 2, 3):
        view = board_view(found, kit.NOW, page=number)
        seen += [row.id for _, _, rows in view.tables for row in rows]
        assert bool(view.more_url) == (number < 3)
    assert seen == [row.id for row in rows_of(found, kit.NOW)]
    assert [row.id for _, _, rows in board_view(found, kit.NOW, page=99).tables for row in rows] == seen[50:]


@pytest.mark.parametrize(
    ("now", "start"),
    [("2026-11-25T10:00", "2026-11-27"), ("2026-11-29T10:00", "2026-11-27"), ("2026-11-30T07:59", "2026-11-27"),
     ("2026-11-30T08:00", "2026-12-04"), ("2026-10-26T07:30", "2026-10-23")],
)  # fmt: skip
def test_a_weekend_runs_from_friday_noon_to_monday_morning(now: str, start: str) -> None:
    begin, end = weekend(datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert (begin.date().isoformat(), begin.hour, end.hour, end.weekday()) == (start, 12, 8, 0)
    assert is_weekend(begin, begin)
    assert not is_weekend(end, begin)


def test_an_hour_that_comes_twice_is_told_apart() -> None:
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert [exact(first + timedelta(hours=n), first) for n in (0, 1)] == ["Sun 25 Oct, 01:30 BST", "Sun 25 Oct, 01:30 GMT"]


def test_hostile_words_come_out_as_words() -> None:
    hostile = "<script>alert(1)</script>\u202e"
    found = kit.standing(hostile, "2026-11-28", kit.gap("ward", "Skin", detail=hostile), answer=AnswerKind.ASK, note={"note": hostile})
    found = replace(found, home=replace(kit.MEADOW, name=hostile))
    for template, view in (("board.html", board_view([found], kit.NOW)), ("board_transfer.html", transfer_page(found, {}, kit.NOW))):
        page = Renderer().render(template, frame=kit.FRAME, view=view).decode()
        assert "<script" not in page
        assert "\u202e" not in page


def test_the_friday_list_has_who_leaves_soon_and_every_picked_home() -> None:
    far = [kit.standing("Far Picked", "2026-12-09"), kit.standing("Far Unpicked", "2026-12-09", home=None, versions=0),
           kit.standing("Soon Unpicked", "2026-12-01", home=None, versions=0),
           kit.standing("Left Already", "2026-11-27", left="2026-11-27T09:00:00+00:00"),
           kit.standing("Taken Back", "2026-11-28", withdrawn="discharge_cancelled")]  # fmt: skip
    assert [row.name for row in friday_rows(far, kit.NOW)] == ["Soon Unpicked", "Far Picked"]


def test_the_board_knows_the_weekend_of_easter() -> None:
    thursday = datetime(2026, 4, 2, 14, tzinfo=UTC)
    found = [kit.standing("Ann Easter-Test", "2026-04-06"), kit.standing("Bo Tuesday-Test", "2026-04-07")]
    view = board_view(found, thursday)
    assert [(title, note, [row.name for row in rows]) for title, note, rows in view.tables] == [
        ("This weekend", "Thursday 12:00 to Tuesday 08:00", ["Ann Easter-Test"]),
        ("After the weekend", "", ["Bo Tuesday-Test"]),
    ]
