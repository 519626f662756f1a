"""RabbitMQ as a ``Broker``: topology and a look at the queues, each over a short connection of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import amqp
from kombu.entity import Exchange, Queue

from messages.topology import QueueSpec, Topology
from messages.transport.amqp_connection import AmqpLink, AmqpTimeouts, unavailable
from messages.transport.amqp_consumer import AmqpConsumer, AmqpReplyConsumer
from messages.transport.amqp_delivery import received
from messages.transport.amqp_publisher import AmqpPublisher
from messages.transport.ports import Consumer, Delivery, Publisher, TopologyMismatchError
from messages.transport.urls import AmqpUrl


class RabbitBroker:
    """The ``Broker`` over RabbitMQ 3.10 to 4.3."""

    def __init__(self, url: AmqpUrl, timeouts: AmqpTimeouts) -> None:
        self._url = url
        self._timeouts = timeouts

    def declare(self, topology: Topology) -> None:
        """Create the exchanges, queues and bindings that are missing."""
        with self._linked() as link:
            for exchange in topology.exchanges:
                with link.limit(), _or_mismatch(f"the exchange {exchange.name}"):
                    Exchange(exchange.name, type="topic", durable=True)(link.channel()).declare()
            for queue in topology.queues:
                with link.limit(), _or_mismatch(f"the queue {queue.name}"):
                    declared = _entity(queue)(link.channel())
                    declared.queue_declare()
                    declared.queue_bind()

    def missing(self, topology: Topology) -> list[str]:
        """Return a sentence for every exchange and queue that is missing.

        AMQP has no question for a binding: a queue that was unbound by hand is not noticed here.
        """
        with self._linked() as link:
            exchanges = [one.name for one in topology.exchanges if not _exists(link, "exchange", one.name)]
            queues = [one.name for one in topology.queues if not _exists(link, "queue", one.name)]
        return [f"the exchange {name} is missing" for name in exchanges] + [
            f"the queue {name} is missing" for name in queues
        ]

    def depth(self, queue: str) -> int:
        """Return how many messages of ``queue`` are ready."""
        with self._linked() as link, link.limit():
            return int(link.channel().queue_declare(queue, passive=True).message_count)

    def peek(self, queue: str, max_messages: int) -> list[Delivery]:
        """Return the first messages of ``queue``; they go back, marked redelivered, when the connection closes."""
        with self._linked() as link:
            return [delivery for _, delivery in _first(link, queue, max_messages)]

    def take(self, queue: str, max_messages: int) -> list[Delivery]:
        """Remove and return the first messages of ``queue``."""
        with self._linked() as link:
            taken = list(_first(link, queue, max_messages))
            for channel, delivery in taken[-1:]:
                with link.limit():
                    channel.basic_ack(delivery.tag, multiple=True)
                    # An answer to anything shows that the broker has read the acknowledgement before it.
                    channel.queue_declare(queue, passive=True)
            return [delivery for _, delivery in taken]

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:
        """Return a consumer that RabbitMQ sends at most ``prefetch`` unacknowledged messages of each queue."""
        return AmqpConsumer(self._url, queues, prefetch, self._timeouts)

    def publisher(self) -> Publisher:
        """Return a publisher."""
        return AmqpPublisher(self._url, self._timeouts)

    def reply_consumer(self) -> tuple[str, Consumer]:
        """Return a private queue, named by RabbitMQ, and its consumer; both go with their connection."""
        consumer = AmqpReplyConsumer(self._url, self._timeouts)
        return consumer.queue, consumer

    @contextmanager
    def _linked(self) -> Iterator[AmqpLink]:
        link = AmqpLink(self._url, self._timeouts)
        try:
            with unavailable(self._url):
                yield link
        except BaseException:
            link.discard()
            raise
        link.close()


def _entity(queue: QueueSpec) -> Queue:
    exchange = Exchange(queue.exchange, type="topic", durable=True)
    arguments = dict(queue.arguments)
    return Queue(queue.name, exchange, routing_key=queue.pattern, durable=True, queue_arguments=arguments)


@contextmanager
def _or_mismatch(what: str) -> Iterator[None]:
    try:
        yield
    except amqp.PreconditionFailed as error:
        raise TopologyMismatchError(f"{what} exists with other properties than ours: {error.reply_text}") from error


def _exists(link: AmqpLink, kind: str, name: str) -> bool:
    with link.limit():
        # On a channel of its own: RabbitMQ closes it when the answer is no.
        channel = link.channel()
        try:
            if kind == "exchange":
                channel.exchange_declare(name, "topic", passive=True)
            else:
                channel.queue_declare(name, passive=True)
        except amqp.NotFound:
            return False
        channel.close()
        return True


def _first(link: AmqpLink, queue: str, max_messages: int) -> Iterator[tuple[Any, Delivery]]:
    with link.limit():
        channel = link.channel()
    for _ in range(max_messages):
        with link.limit():
            message = channel.basic_get(queue)
        if message is None:
            return
        yield channel, received(channel.message_to_python(message), tag=message.delivery_tag, queue=queue)
