"""Runs the migrations on the connection, and in the transaction, of ``store.migrate``."""

from __future__ import annotations

from alembic import context

from store.worker_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite alters a table only by copying it
)
with context.begin_transaction():
    context.run_migrations()
