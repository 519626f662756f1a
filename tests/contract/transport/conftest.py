"""A broker of each kind with a small topology of this test's own, and a RabbitMQ that may be hurt."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import pytest

from messages.topology import ExchangeSpec, QueueSpec, Topology
from messages.transport.connect import connect
from messages.transport.ports import Broker, Consumer, Delivery, Properties, Publication, PublishOutcome
from tests.servers.certificates import loopback_tls
from tests.servers.rabbitmq import RabbitmqServer, start_rabbitmq
from tests.servers.server import ServerStartError
from tests.services import go_without, remove

LEASE_S = 1
WAIT = timedelta(seconds=10)
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}


class Place(NamedTuple):
    """A broker and what was declared on it: two queues, bound under ``one.#`` and ``two.#``, and two small ones."""

    url: str
    broker: Broker
    topology: Topology
    exchange: str
    one: str
    two: str
    forgetful: str
    strict: str

    def publication(self, body: bytes, key: str = "one.x", properties: Properties | None = None) -> Publication:
        """Return a message for one of the queues."""
        found = properties or Properties()
        return Publication(exchange=self.exchange, routing_key=key, body=body, properties=found)

    def publish(self, *bodies: bytes, key: str = "one.x") -> None:
        """Publish one message a body, and see that it is confirmed."""
        publisher = self.broker.publisher()
        outcomes = publisher.publish([self.publication(body, key) for body in bodies], WAIT)
        publisher.close()
        assert set(outcomes) == {PublishOutcome.CONFIRMED}


@pytest.fixture
def place(broker_url: str) -> Iterator[Place]:
    """A broker with everything declared; on the embedded one a lease lasts a second."""
    url = f"{broker_url}?lease_s={LEASE_S}" if broker_url.startswith("embedded") else broker_url
    word = f"test-{secrets.token_hex(6)}"
    exchange = f"{word}.x"

    def queue(name: str, **arguments: Any) -> QueueSpec:
        given = QUORUM | {key.replace("_", "-"): value for key, value in arguments.items()}
        return QueueSpec(name=f"{word}.{name}", exchange=exchange, pattern=f"{name}.#", arguments=given)

    forgetful = queue("forgetful", x_max_length=3, x_overflow="drop-head")
    strict = queue("strict", x_max_length=3, x_overflow="reject-publish")
    queues = (queue("one"), queue("two"), forgetful, strict)
    topology = Topology(exchanges=(ExchangeSpec(name=exchange),), queues=queues)
    broker = connect(url)
    broker.declare(topology)
    yield Place(url, broker, topology, exchange, *(one.name for one in queues))
    if url.startswith("amqp"):
        remove(url, topology)


def receive(consumer: Consumer, count: int) -> list[Delivery]:
    """Return exactly ``count`` deliveries, within a few seconds."""
    got: list[Delivery] = []
    for _ in range(100):
        got += consumer.receive(count - len(got), timedelta(seconds=0.1))
        if len(got) == count:
            return got
    raise AssertionError(f"{len(got)} of {count} messages came")


def bodies(deliveries: Sequence[Delivery]) -> list[bytes]:
    """Return what was delivered, in order."""
    return sorted(one.body for one in deliveries)


TOPOLOGY = Topology(
    exchanges=(ExchangeSpec(name="x"),),
    queues=(QueueSpec(name="q", exchange="x", pattern="#", arguments={"x-queue-type": "quorum"}),),
)
MESSAGE = Publication(exchange="x", routing_key="a", body=b"{}", properties=Properties())


class Hurtable(NamedTuple):
    """A RabbitMQ of these tests' own, where ``TOPOLOGY`` stands and takes ``MESSAGE``; and who vouches for it."""

    server: RabbitmqServer
    authority: str

    def url(self, *, tls: bool) -> str:
        """Where it is."""
        return f"{self.server.tls_url}?cacertfile={self.authority}" if tls else self.server.url

    def port(self, *, tls: bool) -> int:
        """Where it listens."""
        return self.server.tls_port if tls else self.server.port


@pytest.fixture(scope="session")
def own_rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hurtable]:
    """A RabbitMQ to be frozen, starved and cut off; who hurts it heals it."""
    tls = loopback_tls(tmp_path_factory.mktemp("tls"))
    try:
        server = start_rabbitmq(tls=tls)
    except ServerStartError as error:
        go_without(str(error))
    connect(server.url).declare(TOPOLOGY)
    yield Hurtable(server, str(tls.authority))
    server.stop()
