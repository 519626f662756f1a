"""Doors through which a worker can die: store and broker as they are, and a fuse at every step of their use."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Engine

from messages.topology import Topology
from messages.transport import amqp_publisher
from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.amqp_publisher import AmqpPublisher
from messages.transport.connect import connect
from messages.transport.ports import Broker, Consumer, Delivery, Publication, Publisher, PublishOutcome
from store.connect import Store, open_store
from tests.faults.steps import Fuse
from workers.bootstrap import Doors
from workers.consume import Relaying

IMPATIENT = AmqpTimeouts(
    connect=timedelta(seconds=0.9),
    answer=timedelta(seconds=4),
    heartbeat=timedelta(seconds=2),
    close=timedelta(seconds=1),
)
"""A broker that is silent for four seconds is away, and a worker that is silent for as long is away for the broker."""


class FusedStore(Store):
    """The store; every transaction of a loop passes its steps."""

    def __init__(self, engine: Engine, fuse: Fuse) -> None:
        super().__init__(engine)
        self._fuse = fuse

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As the store gives it."""
        relays = threading.current_thread().name == Relaying.name
        forgets, self._fuse.published = relays and self._fuse.published, self._fuse.published and not relays
        with super().transaction() as connection:
            self._fuse.reach("begun")
            yield connection
            self._fuse.reach("forgetting" if forgets else "written")
        self._fuse.reach("relayed" if forgets else "committed")


class FusedConsumer:
    """A consumer that passes the steps of receiving and acknowledging."""

    def __init__(self, real: Consumer, fuse: Fuse) -> None:
        self._real, self._fuse = real, fuse

    def receive(self, max_messages: int, wait: timedelta) -> list[Delivery]:
        """As the consumer does."""
        deliveries = self._real.receive(max_messages, wait)
        if deliveries:
            self._fuse.reach("received")
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """As the consumer does."""
        self._real.acknowledge(deliveries)
        self._fuse.reach("acknowledged")

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """As the consumer does."""
        self._real.release(deliveries)

    def heartbeat(self) -> None:
        """As the consumer does."""
        self._real.heartbeat()

    def close(self) -> None:
        """As the consumer does."""
        self._real.close()


class FusedPublisher:
    """A publisher that passes the steps of the relay."""

    def __init__(self, real: Publisher, fuse: Fuse) -> None:
        self._real, self._fuse = real, fuse

    def publish(self, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
        """As the publisher does."""
        self._fuse.reach("claimed")
        outcomes = self._real.publish(publications, timeout)
        if not isinstance(self._real, AmqpPublisher):
            self._fuse.reach("published")  # its confirm is the commit itself
        self._fuse.published = True
        self._fuse.reach("confirmed")
        return outcomes

    def close(self) -> None:
        """As the publisher does."""
        self._real.close()


class FusedBroker:
    """A broker whose consumers and publishers are fused."""

    def __init__(self, real: Broker, fuse: Fuse) -> None:
        self._real, self._fuse = real, fuse

    def declare(self, topology: Topology) -> None:
        """As the broker does."""
        self._real.declare(topology)

    def missing(self, topology: Topology) -> list[str]:
        """As the broker does."""
        return self._real.missing(topology)

    def depth(self, queue: str) -> int:
        """As the broker does."""
        return self._real.depth(queue)

    def peek(self, queue: str, max_messages: int) -> list[Delivery]:
        """As the broker does."""
        return self._real.peek(queue, max_messages)

    def take(self, queue: str, max_messages: int) -> list[Delivery]:
        """As the broker does."""
        return self._real.take(queue, max_messages)

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:
        """A consumer of the broker, fused."""
        return FusedConsumer(self._real.consumer(queues, prefetch), self._fuse)

    def publisher(self) -> Publisher:
        """A publisher of the broker, fused."""
        return FusedPublisher(self._real.publisher(), self._fuse)

    def reply_consumer(self) -> tuple[str, Consumer]:
        """As the broker does."""
        return self._real.reply_consumer()


def fused_doors(fuse: Fuse) -> Doors:
    """Return the doors of a worker that ends as ``fuse`` says."""
    _watch_confirms(fuse)
    return Doors(
        connect=lambda url: FusedBroker(connect(url, IMPATIENT), fuse),
        open_store=lambda url: FusedStore(open_store(url)._engine, fuse),  # noqa: SLF001 - the same, with steps
    )


def _watch_confirms(fuse: Fuse) -> None:
    """Reach ``relay.published`` when the broker's first word about a message is here, and before it is taken in."""
    link: Any = amqp_publisher._Link  # noqa: SLF001 - no door leads in between
    take_in = link._on_confirm  # noqa: SLF001

    def on_confirm(self: Any, frame: Any) -> None:
        fuse.reach("published")
        take_in(self, frame)

    link._on_confirm = on_confirm  # noqa: SLF001
