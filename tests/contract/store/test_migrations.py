"""The migrations make the tables that the code speaks of."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect

from store.connect import Store, open_store
from store.installation import installation_id
from store.migrate import current_revision, head_revision, migrate
from store.worker_tables import metadata


def test_migrations_and_tables_agree(store: Store) -> None:
    """A column would be missing, or of another type, in every store that was set up."""
    with store.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrations_make_every_index(store: Store) -> None:
    """A lookup would walk through its table, or a record be coupled twice: Alembic does not compare conditions."""
    with store.reading() as connection:
        inspector = inspect(connection)
        made = {index["name"]: index for table in metadata.tables for index in inspector.get_indexes(table)}
    for index in (index for table in metadata.tables.values() for index in table.indexes):
        found = made[index.name]
        condition = found.get("dialect_options", {}).get(f"{store.dialect}_where")
        expected = index.dialect_options[store.dialect]["where"]
        assert bool(found["unique"]) == bool(index.unique)
        assert (condition is None) == (expected is None), index.name


def test_migrating_again_changes_nothing(store: Store, store_url: str) -> None:
    """`recouple setup` on a running system would fail, or give the store another name."""
    with store.reading() as connection:
        before = installation_id(connection)
    migrate(store_url)
    with store.reading() as connection:
        assert installation_id(connection) == before
        assert current_revision(connection) == head_revision()


def test_two_setups_at_once_migrate_once(store_url: str) -> None:
    """Two hosts that start together would both make the tables, and one would fail."""
    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(migrate, store_url) for _ in range(2)]:
            future.result(timeout=30)
    store = open_store(store_url)
    store.check_ready()
    store.close()
