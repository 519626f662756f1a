"""The embedded broker: a SQLite file that several processes of one machine share, with nothing else installed.

Whoever may write the file may do everything: there are no users, hence no ``user_id``. Queues neither dead-letter nor
limit deliveries; the order of a queue is not promised.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from messages.topology import Topology
from messages.transport.embedded_consumer import EmbeddedConsumer, EmbeddedReplyConsumer, received
from messages.transport.embedded_kombu import DEFAULT_LEASE
from messages.transport.embedded_publisher import EmbeddedPublisher
from messages.transport.embedded_schema import create_file
from messages.transport.embedded_store import EmbeddedStore
from messages.transport.ports import Consumer, Delivery, Publisher


class EmbeddedBroker:
    """The ``Broker`` over one file."""

    def __init__(self, path: Path, lease: timedelta = DEFAULT_LEASE) -> None:
        self._path = path
        self._lease = lease

    def declare(self, topology: Topology) -> None:
        """Create the file and what is missing in it."""
        create_file(self._path)
        with _opened(self._path) as store:
            store.declare(topology)

    def missing(self, topology: Topology) -> list[str]:
        """Return a sentence for everything that is missing; creates nothing, not even the file."""
        if not self._path.exists():
            return [f"the embedded broker's file {self._path} does not exist"]
        with _opened(self._path) as store:
            return store.missing(topology)

    def depth(self, queue: str) -> int:
        """Return how many messages of ``queue`` are ready."""
        with _opened(self._path) as store:
            return store.depth(queue)

    def peek(self, queue: str, max_messages: int) -> list[Delivery]:
        """Return the first ready messages of ``queue``; they do not notice."""
        with _opened(self._path) as store:
            return [received(one) for one in store.peek(queue, max_messages)]

    def take(self, queue: str, max_messages: int) -> list[Delivery]:
        """Remove and return the first ready messages of ``queue``."""
        with _opened(self._path) as store:
            return [received(one) for one in store.take(queue, max_messages)]

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:
        """Return a consumer of ``queues`` that holds at most ``prefetch`` messages for each of them."""
        return EmbeddedConsumer(self._path, queues, prefetch=prefetch, lease=self._lease)

    def publisher(self) -> Publisher:
        """Return a publisher."""
        return EmbeddedPublisher(self._path)

    def reply_consumer(self) -> tuple[str, Consumer]:
        """Return a private queue and its consumer; where the consumer dies, the queue goes after a lease."""
        consumer = EmbeddedReplyConsumer(self._path, self._lease)
        return consumer.queue, consumer


@contextmanager
def _opened(path: Path) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(path)
    try:
        yield store
    finally:
        store.close()
