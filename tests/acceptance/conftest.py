"""Where the acceptance tests run: on the embedded store and broker, and on PostgreSQL and RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Backend
from tests.services import fresh_database


@pytest.fixture(scope="module")
def servers(postgres_url: str, amqp_url: str) -> Iterator[Backend]:
    """A database of this module's own on PostgreSQL, and RabbitMQ."""
    with fresh_database(postgres_url) as store_url:
        yield Backend(store_url, amqp_url)


@pytest.fixture(scope="module", params=["embedded", "servers"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Each pair of store and broker that DESIGN.md section 8 names."""
    if request.param == "servers":
        found: Backend = request.getfixturevalue("servers")
        return found
    folder: Path = tmp_path_factory.mktemp("embedded")
    return Backend(f"sqlite:///{folder / 'store.db'}", f"embedded:///{folder / 'broker.db'}")
