"""The ward's form in Debian's Chromium against the running service: a phone, without JavaScript, each tap counted."""

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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


def test_five_taps_in_the_usual_case(tmp_path: Path) -> None:
    with api(tmp_path) as found:
        kit = found.kit
        kit.exchange.store.write(lambda uow: add_sender(uow, "LST", HOSPITAL, "http", 0, json.dumps(SENDS_LISTS)))
        ward = Ward(found)
        ward.play(1, USUAL)
        transfer, taps = ward.transfers["usual"], 0
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
