"""Where the load tests run, and the table of what they came to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.harness import Backend
from tests.load.figures import Row, table
from tests.services import fresh_database

ROWS = pytest.StashKey[list[Row]]()


def pytest_configure(config: pytest.Config) -> None:
    """Begin a table."""
    config.stash[ROWS] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print it."""
    rows = config.stash.get(ROWS, [])
    if rows:
        terminalreporter.section("load")
        for line in table(rows):
            terminalreporter.write_line(line)


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> list[Row]:
    """The rows of the table, to be added to."""
    return request.config.stash.setdefault(ROWS, [])


@pytest.fixture
def servers(postgres_url: str, amqp_url: str) -> Iterator[Backend]:
    """A database of this test's own on PostgreSQL, and RabbitMQ."""
    with fresh_database(postgres_url) as store_url:
        yield Backend(store_url, amqp_url)


@pytest.fixture(params=["embedded", "servers"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Each pair of store and broker that DESIGN.md section 8 names."""
    if request.param == "servers":
        found: Backend = request.getfixturevalue("servers")
        return found
    return Backend(f"sqlite:///{tmp_path / 'store.db'}", f"embedded:///{tmp_path / 'broker.db'}")
