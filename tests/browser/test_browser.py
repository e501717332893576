"""Every page and state in Debian's Chromium: no sideways scroll, no axe violation, visible focus, every value on page and print.

Runs with `-m services`. Set WARDPOST_SHOTS to a folder to keep a picture of each page, to look at.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, Route, sync_playwright

from exchange.web.home.render import STYLESHEET
from exchange.web.session import HEADERS
from tests import board_kit, page_kit
from tests.unit.test_home_pages import MACHINE, PREFIX, leaves

pytestmark = pytest.mark.services
PAGES = {**page_kit.pages(), **board_kit.pages()}
SITE = "http://pages.test/"
CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
            "--disable-component-update", "--disable-sync"]  # fmt: skip
# 320 pixels wide and low is also what 400 % zoom makes of 1280.
SIZES = {320: 256, 375: 812, 1280: 900}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
KEYBOARD = ("inbox-many", "transfer", "transfer-version-2", "transfer-error", "board-many", "board-winifred-mockridge")
# Where a focused element is, whether the window shows it whole or it fills the window, and whether it looks another than unfocused.
FOCUS = """() => {
  const one = document.activeElement, box = one.getBoundingClientRect(), look = getComputedStyle(one), bar = document.querySelector('.bar')
  const rim = getComputedStyle(one, '::after').outlineStyle !== 'none'
  const low = bar && !bar.contains(one) && getComputedStyle(bar).display !== 'none' ? bar.getBoundingClientRect().top : innerHeight
  return {tag: one.tagName, text: one.textContent.trim().slice(0, 40), seen: box.bottom > 0 && box.top < low,
          marked: look.boxShadow !== 'none' || look.outlineStyle !== 'none' || rim}
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        yield found
        found.close()


def serve(route: Route) -> None:
    """The pages as the service would send them, under its own security policy."""
    name = route.request.url.removeprefix(SITE).partition("?")[0]
    if name == "wardpost.css":
        route.fulfill(body=STYLESHEET.read_bytes(), content_type="text/css")
    elif name in PAGES:
        route.fulfill(body=PAGES[name], content_type="text/html; charset=utf-8", headers=HEADERS)
    else:
        route.fulfill(status=404, body="")


def page_of(browser: Browser, width: int, scheme: str = "light", *, script: bool = False) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": SIZES[width]},
        color_scheme=scheme,  # type: ignore[arg-type]  # light or dark
        java_script_enabled=script,
    )
    page = context.new_page()
    page.route("**/*", serve)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", SIZES)
def test_no_page_scrolls_sideways(browser: Browser, width: int, scheme: str) -> None:
    page, wide = page_of(browser, width, scheme), []
    for name in PAGES:
        page.goto(SITE + name)
        if page.evaluate("document.documentElement.scrollWidth") > width:
            wide.append(name)
        if folder := os.environ.get("WARDPOST_SHOTS"):
            page.screenshot(path=Path(folder) / f"{name}-{width}-{scheme}.png", full_page=True)
    page.context.close()
    assert wide == []


@pytest.mark.parametrize(("width", "scheme"), [(375, "light"), (1280, "light"), (1280, "dark")])
def test_axe_finds_nothing(browser: Browser, width: int, scheme: str) -> None:
    page, found = page_of(browser, width, scheme, script=True), {}
    for name in PAGES:
        page.goto(SITE + name)
        page.evaluate("document.querySelectorAll('details').forEach(fold => { fold.removeAttribute('name'); fold.open = true })")
        report = Axe().run(page, options={"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]})
        if report.violations_count:
            found[name] = [(each["id"], each["nodes"][0]["html"][:120]) for each in report.response["violations"]]
    page.context.close()
    assert found == {}


@pytest.mark.parametrize("name", KEYBOARD)
@pytest.mark.parametrize("width", SIZES)
def test_the_keyboard_reaches_everything_and_is_seen(browser: Browser, name: str, width: int) -> None:
    page = page_of(browser, width)
    page.goto(SITE + name)
    wanted = page.evaluate(
        "[...document.querySelectorAll('a[href],button,summary,select,textarea,input:not([type=hidden]),[tabindex=\"0\"]')]"
        ".filter(one => one.checkVisibility({contentVisibilityAuto: true})).length"
    )
    reached, hidden = 0, []
    page.evaluate("document.activeElement.blur()")
    for _ in range(wanted * 3):
        page.keyboard.press("Tab")
        seen = page.evaluate(FOCUS)
        if seen["tag"] == "BODY":
            break
        reached += 1
        if not (seen["seen"] and seen["marked"]):
            hidden.append(seen)
    page.context.close()
    assert hidden == []
    # Radios are one stop, a time field is several.
    assert reached >= wanted - 2


@pytest.mark.parametrize("media", ["screen", "print"])
@pytest.mark.parametrize("name", ["transfer", "transfer-25", "transfer-version-2"])
def test_every_value_of_the_document_is_on_the_page_and_on_its_print(browser: Browser, name: str, media: str) -> None:
    more = {"transfer-25": {"medicines": page_kit.many_medicines()},
            "transfer-version-2": {"medicines": page_kit.CHANGED_MEDICINES, "version": 2,
                                   "expected_leaving": "2026-11-28T07:30:00+00:00"}}  # fmt: skip
    page = page_of(browser, 1280)
    page.goto(SITE + name)
    page.emulate_media(media=media)  # type: ignore[arg-type]  # screen or print
    shown = " ".join(page.inner_text("body").split()).casefold()
    page.context.close()
    values = {
        PREFIX.sub("", " ".join(value.split())) for path, value in leaves(page_kit.bundle(**more.get(name, {}))) if not MACHINE.search(path)
    }
    assert {value for value in values if value.casefold() not in shown} == set()
    assert "Valid only while this is the newest version".casefold() in shown or media == "screen"


def test_old_prints_say_that_they_are_not_valid(browser: Browser) -> None:
    page = page_of(browser, 1280)
    for name, words in (("transfer-replaced", "OUT OF DATE"), ("transfer-withdrawn", "NOT VALID: taken back")):
        page.goto(SITE + name)
        page.emulate_media(media="print")
        assert words in page.inner_text("body")
    page.goto(SITE + "transfer-version-2-read")
    assert "Prints of version 1 are not valid." in page.inner_text("body")
    page.context.close()
