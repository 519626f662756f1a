"""What the fault suite stands on: a PostgreSQL and a RabbitMQ of its own, one of each for the whole run."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.grounds import own_servers
from tests.faults.scene import Ground
from tests.servers.server import ServerStartError
from tests.services import go_without


@pytest.fixture(scope="session")
def _ground() -> Iterator[Ground]:
    try:
        with own_servers() as found:
            yield found
    except ServerStartError as error:
        go_without(str(error))


@pytest.fixture
def ground(_ground: Ground) -> Iterator[Ground]:
    """The servers, whole; what a test does to them is undone after it."""
    yield _ground
    _ground.postgres.heal()
    _ground.rabbit.heal()
