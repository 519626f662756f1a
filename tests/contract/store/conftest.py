"""A migrated store of each kind for every test, and one on PostgreSQL for tests of many at once."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import trustme
from sqlalchemy import Connection

from store.connect import Store, open_store
from store.migrate import migrate
from tests.servers.postgresql import PostgresqlServer, start_postgresql
from tests.servers.server import ServerStartError, Tls
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


@pytest.fixture(scope="module")
def own_postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresqlServer]:
    """A PostgreSQL of this module's own, to be frozen, cut off and killed; it speaks TLS unless told not to."""
    folder, authority = tmp_path_factory.mktemp("tls"), trustme.CA()
    tls = Tls(folder / "certificate.pem", folder / "key.pem", folder / "authority.pem")
    certificate = authority.issue_cert("127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(tls.certificate)
    certificate.private_key_pem.write_to_path(tls.key)
    authority.cert_pem.write_to_path(tls.authority)
    try:
        server = start_postgresql(tls=tls)
    except ServerStartError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))
    yield server
    server.stop()
