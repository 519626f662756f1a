"""Where the acceptance tests run: on the embedded store and broker, and on PostgreSQL and RabbitMQ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Backend
from tests.acceptance.secured_stage import Secured, open_secured
from tests.servers.server import ServerStartError
from tests.services import fresh_database, go_without


@pytest.fixture(scope="module")
def servers(postgres_url: str, amqp_url: str) -> Iterator[Backend]:
    """A database of this module's own on PostgreSQL, and RabbitMQ."""
    with fresh_database(postgres_url, hasty=True) as store_url:
        yield Backend(store_url, amqp_url)


@pytest.fixture(scope="module", params=["embedded", "servers"])
def backend(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Backend:
    """Each pair of store and broker that DESIGN.md section 8 names."""
    if request.param == "servers":
        found: Backend = request.getfixturevalue("servers")
        return found
    folder: Path = tmp_path_factory.mktemp("embedded")
    return Backend(f"sqlite:///{folder / 'store.db'}", f"embedded:///{folder / 'broker.db'}")


@pytest.fixture(scope="session")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """Servers of their own, set up as `docs/security.md` says."""
    try:
        with open_secured(tmp_path_factory.mktemp("secured")) as found:
            yield found
    except ServerStartError as error:
        go_without(str(error))
