"""The catalogue of events: every event that the program emits is in it, fits its schema, and names nobody."""

import ast
import json
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest

from exchange.cli.demo_story import admission, people
from exchange.model import AnswerKind, Caller
from exchange.records import OutboxEvent
from exchange.transfer.schema import SchemaRefused, check_schema
from tests.app_kit import HOME, Kit, kit

ROOT = Path(__file__).parents[2]
CATALOGUE = {file.name.removesuffix(".schema.json") for file in (files("fhir_profiles") / "wardpost" / "events").iterdir()}


def test_every_type_that_the_source_emits_is_in_the_catalogue_and_on_the_page() -> None:
    emitted = set()
    for file in (ROOT / "exchange").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "emit":
                emitted.add(ast.literal_eval(node.args[1]))
    assert emitted == CATALOGUE
    page = (ROOT / "docs" / "events.md").read_text()
    assert {name for name in CATALOGUE if f"`wardpost.{name}.v1`" in page} == CATALOGUE


def test_every_event_of_a_whole_story_fits_its_schema(tmp_path: Path) -> None:
    with kit(tmp_path) as service:
        play_all(service)
        events = service.exchange.store.read(lambda uow: uow.find(OutboxEvent))
        for event in events:
            check_schema(f"events/{event.type}", json.loads(event.body))
        assert {event.type for event in events} == CATALOGUE
        assert {event.key for event in events} == {HOME}


def play_all(service: Kit) -> None:
    exchange = service.exchange
    service.story(0)
    delivery = exchange.poll(service.caller())[0][-1]
    exchange.collect_part(Caller(HOME, client="software"), delivery.parts[0].id)
    exchange.open_version(service.caller(), delivery.transfer.id)
    exchange.answer(service.caller(), delivery.delivery.id, AnswerKind.SEEN, "", {})
    service.send(admission(people(service.clock())[0], service.clock.at + timedelta(hours=2), "A13"))
    service.drain()


@pytest.mark.parametrize("body", [{}, {"delivery": "x", "transfer": "y"}, {"delivery": "d" * 36, "transfer": "t" * 36, "name": "Edith"}])
def test_a_body_that_does_not_fit_is_refused(body: object) -> None:
    with pytest.raises(SchemaRefused):
        check_schema("events/delivery.opened", body)
