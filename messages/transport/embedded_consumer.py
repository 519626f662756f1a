"""Consuming from the embedded broker: kombu's consumer, on the embedded transport."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from kombu.connection import Connection
from kombu.entity import Queue
from kombu.messaging import Consumer

from messages.transport.embedded_kombu import EmbeddedChannel, EmbeddedTransport
from messages.transport.embedded_store import Waiting
from messages.transport.ports import BrokerUnavailableError, Delivery

_SHORTEST_WAIT_S = 0.001
_REPLIES = 10


class EmbeddedConsumer:
    """The ``Consumer`` of the embedded broker."""

    def __init__(self, path: Path, queues: Sequence[str], prefetch: int, lease: timedelta) -> None:
        self._path = path
        self._queues = tuple(queues)
        self._prefetch = prefetch
        self._lease = lease
        self._received: list[Delivery] = []
        self._channel: EmbeddedChannel | None = None

    def receive(self, max_messages: int, wait: timedelta) -> list[Delivery]:
        """Return what is ready, up to ``max_messages``; looks every 10 ms for ``wait``."""
        channel = self._opened()
        channel.batch_size = max_messages
        transport = channel.connection
        try:
            transport.drain_events(transport, timeout=max(wait.total_seconds(), _SHORTEST_WAIT_S))
        except TimeoutError:
            return []
        except BrokerUnavailableError:
            self.close()
            raise
        delivered, self._received = self._received, []
        return delivered

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Remove messages for good, in one transaction; also those whose lease has ended meanwhile."""
        if deliveries:
            self._opened().acknowledge([one.tag for one in deliveries])

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give deliveries back at once, in one transaction."""
        if deliveries:
            self._opened().give_back([one.tag for one in deliveries])

    def heartbeat(self) -> None:
        """Extend the leases, when it is time to; where that fails, what they hold may come to others too."""
        if self._channel is not None:
            with suppress(BrokerUnavailableError):
                self._channel.renew()

    def close(self) -> None:
        """Give back what is not acknowledged and leave the file; where it cannot be written, the leases just end."""
        if self._channel is not None:
            channel, self._channel = self._channel, None
            with suppress(BrokerUnavailableError):
                self._leave(channel)

    def _opened(self) -> EmbeddedChannel:
        if self._channel is None:
            options = {"lease": self._lease, "durable": False}
            client = Connection(transport=EmbeddedTransport, virtual_host=str(self._path), transport_options=options)
            self._channel = client.channel()
            self._consume(self._channel)
        return self._channel

    def _consume(self, channel: EmbeddedChannel) -> None:
        Consumer(
            channel,
            [Queue(name, no_declare=True) for name in self._queues],
            auto_declare=False,
            prefetch_count=self._prefetch * len(self._queues),
            on_message=lambda message: self._received.append(received(message.waiting)),
        ).consume()

    def _leave(self, channel: EmbeddedChannel) -> None:
        channel.connection.close_connection(channel.connection)


class EmbeddedReplyConsumer(EmbeddedConsumer):
    """Consumes a private queue that goes when it closes."""

    def __init__(self, path: Path, lease: timedelta) -> None:
        super().__init__(path, (), _REPLIES, lease)
        self._opened()
        [self.queue] = self._queues

    def _consume(self, channel: EmbeddedChannel) -> None:
        if not self._queues:
            self._queues = (f"amq.gen-{channel.store.new_id()}",)
            channel.store.add_private_queue(self._queues[0], channel.owner, self._lease)
        super()._consume(channel)

    def _leave(self, channel: EmbeddedChannel) -> None:
        try:
            channel.queue_delete(self.queue)
        finally:
            super()._leave(channel)


def received(waiting: Waiting) -> Delivery:
    """Return a message of the file as a delivery; its number there is its tag."""
    return Delivery(
        queue=waiting.queue,
        body=waiting.body,
        properties=waiting.properties,
        tag=waiting.id,
        exchange=waiting.exchange,
        routing_key=waiting.routing_key,
        redelivered=waiting.deliveries > 0,
        attempts=waiting.deliveries,
    )
