"""A migrated store of each kind for every test, and one on PostgreSQL for tests of many at once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection

from store.connect import Store, open_store
from store.migrate import migrate
from tests.servers.certificates import loopback_tls
from tests.servers.postgresql import PostgresqlServer, start_postgresql
from tests.servers.server import ServerStartError
from tests.services import empty, go_without


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


@pytest.fixture(scope="module")
def own_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """A PostgreSQL of this module's own, to be frozen, cut off and killed; it speaks TLS unless told not to."""
    tls = loopback_tls(tmp_path_factory.mktemp("tls"))
    try:
        server = start_postgresql(tls=tls)
    except ServerStartError as error:
        go_without(str(error))
    yield server
    server.stop()
