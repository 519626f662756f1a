"""What every test may ask for: a store of each kind, a broker of each kind, and names that nobody else uses."""

from __future__ import annotations

import os
import secrets
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from messages.topology import topology
from tests.services import Service, Services, empty, fresh_database, go_without, remove

SERVICES = pytest.StashKey[Services]()

NEEDS = {"store": {"postgres_url", "store_url", "backend"}, "broker": {"amqp_url", "broker_url", "backend"}}
"""The fixtures that need a service of each kind."""

TEST_APPS = ("a", "b", "bc", "c", "crm", "erp", "sales", "third", "x", "y")
"""The apps whose queues are removed after a test that declared them; a test with others names them: ``@mark.apps``."""


def pytest_configure(config: pytest.Config) -> None:
    """Remember where services come from; nothing is looked for yet."""
    config.stash[SERVICES] = Services(os.environ)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # a shell's `&`; what tests start would not end by Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    config.stash[SERVICES].close()


def pytest_report_collectionfinish(config: pytest.Config, items: Sequence[pytest.Item]) -> list[str]:
    """Find the services that the collected tests need, outside any test's timeout, and say which they are."""
    if config.option.collectonly:
        return []
    fixtures = {name for item in items for name in getattr(item, "fixturenames", ())}
    services = config.stash[SERVICES]
    return [f"{kind}: {services.choice(kind)}" for kind, needing in NEEDS.items() if needing & fixtures]


@pytest.fixture(scope="session")
def services(request: pytest.FixtureRequest) -> Services:
    """The services of this session."""
    return request.config.stash[SERVICES]


@pytest.fixture(scope="session")
def postgres_url(services: Services) -> Iterator[str]:
    """A PostgreSQL database of this session; what a test leaves in it, the next one finds."""
    with fresh_database(_required(services, "store").url, hasty=True) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind, without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    url: str = request.getfixturevalue("postgres_url")
    empty(url)
    return url


@pytest.fixture(scope="session")
def amqp_url(services: Services) -> str:
    """A RabbitMQ; share it by ``namespace``."""
    return _required(services, "broker").url


@pytest.fixture(params=["embedded", "rabbitmq"])
def broker_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A broker of each kind."""
    if request.param == "embedded":
        return f"embedded:///{tmp_path / 'broker.db'}"
    url: str = request.getfixturevalue("amqp_url")
    return url


@pytest.fixture
def namespace(request: pytest.FixtureRequest, services: Services) -> Iterator[str]:
    """A first word of all names that is this test's own; what was declared under it on RabbitMQ is removed."""
    name = f"test-{secrets.token_hex(6)}"
    yield name
    choice = services.chosen.get("broker")
    if choice is not None and choice.service is not None:
        marker = request.node.get_closest_marker("apps")
        remove(choice.service.url, topology(name, [*TEST_APPS, *(marker.args if marker else ())]))


def _required(services: Services, kind: str) -> Service:
    choice = services.choice(kind)
    if choice.service is None:
        go_without(f"no {kind}: {'; '.join(choice.reasons)}")
    return choice.service
