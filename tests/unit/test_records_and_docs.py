"""docs/data-model.md says of every column what the code says."""

from exchange.records import TABLES
from exchange.store.tables import columns_of
from tests.make_docs import PAGE, filled


def test_the_page_shows_the_tables_and_states_of_the_code() -> None:
    page = PAGE.read_text()
    assert filled(page) == page, "run: python -m tests.make_docs"


def test_every_sealed_column_has_an_owner_that_a_field_names() -> None:
    for record in TABLES:
        columns = columns_of(record)
        if any(column.kind == "sealed" for column in columns.values()):
            kind, name = record.META.owner
            assert kind in {"submission", "stay", "transfer", "audit", "organisation", "person", "system"}
            assert columns[name].kind == "plain"
