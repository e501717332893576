"""Alembic's door: one history for SQLite and PostgreSQL, on a connection that the store hands in."""

from alembic import context

from exchange.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True, compare_server_default=True
)
with context.begin_transaction():
    context.run_migrations()
