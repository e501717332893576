"""The ward's form in Debian's Chromium against the running service: a phone, without JavaScript, each tap counted."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Page, sync_playwright

from exchange.directory.entries import add_sender
from exchange.web.app import make_app
from tests.app_kit import HOSPITAL
from tests.browser.test_browser import CHROMIUM
from tests.e2e.api_kit import Api, api
from tests.e2e.test_gate_people import Case, Ward
from tests.service_kit import free_port, wait_until

pytestmark = pytest.mark.services
SENDS_LISTS = {
    "gate_profile": "structured",
    "wards": {"W06": {"name": "Ward 6, nurse in charge", "phone": "01632 960106", "hours": "day and night"}},
}
# A returner on two medicines that nobody changed; the day and the hour are in the hospital's system.
USUAL = Case(
    "usual", "LST", "5 missing", edit=(("||||||20261128", "||||||202611281100"),),
    medicines=(("Paracetamol 500mg tablets", "unchanged", "Pain"), ("Senna 7.5mg tablets", "unchanged", "Constipation")),
)  # fmt: skip


@contextmanager
def served(found: Api) -> Iterator[str]:
    """The service of `found` on a port of this machine; its address."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(make_app(found.kit.exchange, found.kit.settings), port=port, log_level="error"))
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until(lambda: server.started, "the service")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


@contextmanager
def phone(address: str, link: str) -> Iterator[Page]:
    """A phone on which a person has opened their link."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=CHROMIUM)
        context = browser.new_context(viewport={"width": 375, "height": 812}, has_touch=True, is_mobile=True, java_script_enabled=False)
        page = context.new_page()
        page.goto(address + link)
        page.get_by_role("button").tap()
        yield page
        browser.close()


def set_up(found: Api, case: Case) -> tuple[Ward, str]:
    found.kit.exchange.store.write(lambda uow: add_sender(uow, "LST", HOSPITAL, "http", 0, json.dumps(SENDS_LISTS)))
    ward = Ward(found)
    ward.play(1, case)
    return ward, ward.transfers[case.name]


def test_what_the_list_leaves_open_is_asked_by_name(tmp_path: Path) -> None:
    """A silent row of the list and a blood thinner: their names stand there, the ward answers and types no name of a medicine."""
    medicines = (("Macrogol sachets", "", ""), ("Apixaban 2.5mg tablets", "unchanged", "Irregular heartbeat"))
    case = replace(USUAL, medicines=medicines)
    with api(tmp_path) as found:
        ward, transfer = set_up(found, case)
        with served(found) as address, phone(address, found.link(found.kit.worker)) as page:
            page.wait_for_url("**/board")
            page.goto(f"{address}/board/{transfer}/ward")
            page.get_by_role("group", name="What became of it?").first.get_by_label("Unchanged").tap()
            page.get_by_label("Their name").fill("Priya Pharmacist-Test")
            page.get_by_label("A pharmacist").tap()
            page.get_by_role("group", name="Blood thinner: Apixaban 2.5mg tablets").get_by_label("Yes").tap()
            tick = page.locator(".tick", has_text="Blood thinner: Apixaban")
            tick.get_by_label("Last dose: day").fill("2026-11-27")
            tick.get_by_label("Last dose: time").fill("08:00")
            tick.get_by_label("Next dose").fill("20:00")
            tick.get_by_label("Yes, in the bag now").tap()
            tick.get_by_label("What it is for").fill("Irregular heartbeat")
            for words in ("No to every kind", "Every medicine is in the bag, and a copy", "I checked today: skin intact"):
                page.get_by_label(words).tap()
            page.get_by_role("group", name="Is there a resuscitation form?").get_by_label("No", exact=True).tap()
            page.get_by_role("button", name="Send to").tap()
            page.wait_for_url("**/ward/kept")
            assert "Nothing is missing." in page.inner_text("body")
        found.kit.drain()
        assert ward.status(case)["badge"] == "papers complete"
        assert found.kit.findings() == []


def test_five_taps_in_the_usual_case(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        kit, taps = found.kit, 0
        ward, transfer = set_up(found, USUAL)
        with served(found) as address, phone(address, found.link(kit.worker)) as page:
            page.wait_for_url("**/board")
            page.goto(f"{address}/board/{transfer}/ward")
            if folder := os.environ.get("WARDPOST_SHOTS"):
                page.screenshot(path=Path(folder) / "ward-usual-375.png", full_page=True)
            for words in ("No to every kind", "Every medicine is in the bag, and a copy", "I checked today: skin intact"):
                page.get_by_label(words).tap()
                taps += 1
            page.get_by_role("group", name="Is there a resuscitation form?").get_by_label("No", exact=True).tap()
            page.get_by_role("button", name="Send to").tap()
            taps += 2
            page.wait_for_url("**/ward/kept")
            assert "Nothing is missing." in page.inner_text("body")
        kit.drain()
        status = ward.status(USUAL)
        assert (taps, status["badge"], status["gaps"]) == (5, "papers complete", [])
        assert status["rules"]["12-medicines-changes"] == "met"  # of the hospital's list: nobody was asked
        assert kit.findings() == []
