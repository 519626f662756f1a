"""A migrated store of each kind for every test, and one on PostgreSQL for tests of many at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from store.connect import Store, open_store
from store.migrate import migrate
from tests.services import empty


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """A migrated store, on SQLite and on PostgreSQL."""
    migrate(store_url)
    opened = open_store(store_url)
    yield opened
    opened.close()


@pytest.fixture
def connection(store: Store) -> Iterator[Connection]:
    """A transaction in a migrated store of each kind."""
    with store.transaction() as connection:
        yield connection


@pytest.fixture
def shared_store(postgres_url: str) -> Iterator[Store]:
    """A migrated store on PostgreSQL, for several transactions at once."""
    empty(postgres_url)
    migrate(postgres_url)
    opened = open_store(postgres_url, pool_size=10)
    yield opened
    opened.close()
