"""docs/data-model.md says of every column what the code says."""

import pytest

from exchange.records import TABLES
from exchange.store.tables import columns_of
from tests.make_docs import PAGE, filled


def test_the_page_shows_the_tables_and_states_of_the_code() -> None:
    page = PAGE.read_text()
    assert filled(page) == page, "run: python -m tests.make_docs"


@pytest.mark.parametrize(
    ("said", "instead"),
    [
        ("`content` (key of the submission)", ""),  # a sealed column that the page does not name
        ("`media_type`, `size_bytes`, `accepted_at`", "`size_bytes`, `accepted_at`"),
        ("unique: event_id; version_id", "unique: version_id"),
        ("possible --> confirmed", "possible --> published"),
    ],
)
def test_a_page_that_says_something_else_is_noticed(said: str, instead: str) -> None:
    page = PAGE.read_text()
    assert said in page
    assert filled(page.replace(said, instead, 1)) == page


@pytest.mark.parametrize("marker", ["<!-- tables:begin -->", "<!-- tables:end -->", "<!-- states:begin -->", "<!-- states:end -->"])
def test_a_page_without_a_region_is_noticed(marker: str) -> None:
    with pytest.raises(ValueError, match="0 regions"):
        filled(PAGE.read_text().replace(marker, ""))


def test_every_sealed_column_has_an_owner_that_a_field_names() -> None:
    for record in TABLES:
        columns = columns_of(record)
        if any(column.kind == "sealed" for column in columns.values()):
            kind, name = record.META.owner
            assert kind in {"submission", "stay", "transfer", "audit", "organisation", "person", "system"}
            assert columns[name].kind == "plain"
