"""Where the tests find PostgreSQL and RabbitMQ: named by the environment, running here, in a container, or as binaries.

The first that answers is taken. What was tried, and why it was not taken, is what a skipped test says.
"""

from __future__ import annotations

import gc
import os
import secrets
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import import_module
from typing import Any, NamedTuple, NoReturn, TypeAlias

import docker
import psycopg
import pytest
from amqp.exceptions import AMQPError
from docker.errors import DockerException
from kombu.connection import Connection
from kombu.exceptions import OperationalError as BrokerError
from psycopg.sql import SQL, Composed, Identifier
from sqlalchemy import make_url
from testcontainers.core.exceptions import ContainerStartException

from messages.topology import Topology
from tests.servers.postgresql import start_postgresql
from tests.servers.rabbitmq import start_rabbitmq
from tests.servers.server import Server, ServerStartError

LOCAL_STORE_URL = "postgresql+psycopg://postgres@127.0.0.1:5432/postgres"
LOCAL_BROKER_URL = "amqp://guest:guest@127.0.0.1:5672//"
CONNECT_TIMEOUT_S = 3


class Service(NamedTuple):
    """A service that answers, and how to stop it if it was started for the tests."""

    url: str
    version: str
    stop: Callable[[], None] = lambda: None


Probe: TypeAlias = Callable[[], Service | str]
"""Looks in one place: returns the service, or why there is none."""


class Choice(NamedTuple):
    """What was found where, or nothing and why."""

    how: str
    service: Service | None
    reasons: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.how}, version {self.service.version}" if self.service else f"none: {'; '.join(self.reasons)}"


class NamedServiceError(Exception):
    """The environment names a service that does not answer: a mistake, and no reason to take another."""


def choose(probes: Mapping[str, Probe]) -> Choice:
    """Return the first service that a probe finds; later probes are not asked."""
    reasons: list[str] = []
    for how, probe in probes.items():
        found = probe()
        if isinstance(found, Service):
            return Choice(how, found, tuple(reasons))
        reasons.append(f"{how}: {found}")
    return Choice("", None, tuple(reasons))


def store_probes(environ: Mapping[str, str]) -> dict[str, Probe]:
    """Return the places where PostgreSQL may be, in the order of DESIGN.md section 12."""
    return {
        "RECOUPLE_TEST_STORE_URL": _named(environ.get("RECOUPLE_TEST_STORE_URL"), postgresql_at),
        "local server": lambda: postgresql_at(LOCAL_STORE_URL),
        "container": _postgresql_container,
        "server binaries": lambda: _started(start_postgresql, postgresql_at),
    }


def broker_probes(environ: Mapping[str, str]) -> dict[str, Probe]:
    """Return the places where RabbitMQ may be, in the same order."""
    return {
        "RECOUPLE_TEST_BROKER_URL": _named(environ.get("RECOUPLE_TEST_BROKER_URL"), rabbitmq_at),
        "local server": lambda: rabbitmq_at(LOCAL_BROKER_URL),
        "container": _rabbitmq_container,
        "server binaries": lambda: _started(start_rabbitmq, rabbitmq_at),
    }


def postgresql_at(url: str) -> Service | str:
    """Return the PostgreSQL at ``url`` if it lets us create databases."""
    try:
        with psycopg.connect(_libpq(url), connect_timeout=CONNECT_TIMEOUT_S) as connection:
            may = connection.execute(
                "SELECT rolcreatedb OR rolsuper FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
            version = str(connection.info.parameter_status("server_version"))
    except psycopg.OperationalError as error:
        return f"does not answer ({type(error).__name__})"
    return Service(url, version) if may and may[0] else "does not let us create databases"


def rabbitmq_at(url: str) -> Service | str:
    """Return the RabbitMQ at ``url``."""
    try:
        with Connection(url, connect_timeout=CONNECT_TIMEOUT_S) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            properties: dict[str, Any] = connection.connection.server_properties
    except (AMQPError, BrokerError) as error:
        return f"does not answer ({type(error).__name__})"
    return Service(url, str(properties["version"]))


def go_without(reason: str) -> NoReturn:
    """Skip the test that needs what there is not; where ``CI=true`` it fails: there nothing may be left out."""
    (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def _named(url: str | None, at: Callable[[str], Service | str]) -> Probe:
    def probe() -> Service | str:
        if not url:
            return "is not set"
        found = at(url)
        if isinstance(found, str):
            raise NamedServiceError(f"the service that RECOUPLE_TEST_… names {found}")
        return found

    return probe


def _started(start: Callable[[], Server], at: Callable[[str], Service | str]) -> Service | str:
    try:
        server = start()
    except ServerStartError as error:
        return str(error)
    found = at(server.url)
    if isinstance(found, str):
        server.stop()
        return found
    return found._replace(stop=server.stop)


def _postgresql_container() -> Service | str:
    return _contained(
        lambda: imported("testcontainers.community.postgres").PostgresContainer("postgres:16", driver="psycopg"),
        lambda container: container.get_connection_url(),
        postgresql_at,
    )


def _rabbitmq_container() -> Service | str:
    def url(container: Any) -> str:
        host, port = container.get_container_host_ip(), container.get_exposed_port(container.port)
        return f"amqp://{container.username}:{container.password}@{host}:{port}//"

    def make() -> Any:
        return imported("testcontainers.community.rabbitmq").RabbitMqContainer("rabbitmq:4")

    return _contained(make, url, rabbitmq_at)


def imported(module: str) -> Any:
    """Import a module of testcontainers when it is needed; it warns of its own deprecations, which are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return import_module(module)


def _contained(
    make: Callable[[], Any], url_of: Callable[[Any], str], at: Callable[[str], Service | str]
) -> Service | str:
    if not docker_answers():
        return "no Docker engine answers"
    try:
        container = make().start()
    except (DockerException, ContainerStartException, TimeoutError) as error:
        return f"no Docker engine that can start one ({type(error).__name__})"
    found = at(url_of(container))
    if isinstance(found, str):
        container.stop()
        return found
    return found._replace(stop=container.stop)


def docker_answers() -> bool:
    """Say whether a Docker engine answers.

    A client that finds none leaves its socket open in a cycle that is collected at any time later, with a warning that
    would fail a test, or the whole run; it is collected here instead.
    """
    try:
        with closing(docker.from_env(timeout=CONNECT_TIMEOUT_S)) as engine:
            engine.ping()
    except DockerException:
        answers = False
    else:
        answers = True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
    return answers


class Services:
    """The services of one test session: looked for when first needed, stopped at its end."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._probes = {"store": store_probes(environ), "broker": broker_probes(environ)}
        self.chosen: dict[str, Choice] = {}

    def choice(self, kind: str) -> Choice:
        """Return the ``store`` (PostgreSQL) or the ``broker`` (RabbitMQ), or why there is none."""
        if kind not in self.chosen:
            self.chosen[kind] = choose(self._probes[kind])
        return self.chosen[kind]

    def close(self) -> None:
        """Stop what was started."""
        for choice in self.chosen.values():
            if choice.service is not None:
                choice.service.stop()
        self.chosen.clear()


@contextmanager
def fresh_database(server_url: str, *, hasty: bool = False) -> Iterator[str]:
    """Make a database on the PostgreSQL at ``server_url``, and drop it at the end whoever is still connected.

    Args:
        hasty: Let no commit wait for the disk; for tests in which the server does not die.
    """
    name = f"recouple_test_{os.getpid()}_{secrets.token_hex(4)}"
    _order(server_url, SQL("CREATE DATABASE {}").format(Identifier(name)))
    try:
        if hasty:
            _order(server_url, SQL("ALTER DATABASE {} SET synchronous_commit = off").format(Identifier(name)))
        yield make_url(server_url).set(database=name).render_as_string(hide_password=False)
    finally:
        _order(server_url, SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def empty(database_url: str) -> None:
    """Remove every table of the database at ``database_url``."""
    _order(database_url, SQL("DROP SCHEMA public CASCADE"), SQL("CREATE SCHEMA public"))


def remove(broker_url: str, topology: Topology) -> None:
    """Delete every queue and exchange of ``topology`` from the RabbitMQ at ``broker_url``, where they exist."""
    with Connection(broker_url) as connection, connection.channel() as channel:
        for queue in topology.queues:
            channel.queue_delete(queue.name)
        for exchange in topology.exchanges:
            channel.exchange_delete(exchange.name)


def _order(url: str, *statements: SQL | Composed) -> None:
    with psycopg.connect(_libpq(url), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)


def _libpq(url: str) -> str:
    return url.replace("postgresql+psycopg://", "postgresql://", 1)
