"""What the workers need of a broker, whichever it is: the same promises on RabbitMQ and on the embedded one.

At least once: what was received and not acknowledged comes again, also after ``kill -9``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from enum import StrEnum
from typing import Any, Protocol

import msgspec

from messages.topology import Topology


class BrokerUnavailableError(Exception):
    """The broker is away or does not answer; back off and try again."""


class Properties(msgspec.Struct, frozen=True, kw_only=True):
    """The AMQP basic properties that Recouple writes and reads.

    Attributes:
        timestamp_s: Whole seconds since the epoch, as AMQP 0-9-1 has it.
        user_id: Only ever what the broker has validated.
    """

    message_id: str | None = None
    type: str | None = None
    app_id: str | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    content_type: str | None = None
    content_encoding: str | None = None
    timestamp_s: int | None = None
    user_id: str | None = None
    headers: Mapping[str, Any] = {}


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One message that was received and is not acknowledged yet.

    Attributes:
        queue: Where it waited.
        exchange: Where it was published.
        tag: Names the delivery to the consumer that received it; means nothing to anyone else.
        attempts: How often the broker says it was delivered before, 0 where it does not count.
    """

    queue: str
    body: bytes
    properties: Properties
    tag: Any
    exchange: str = ""
    routing_key: str = ""
    redelivered: bool = False
    attempts: int = 0


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One message to be published; always persistent."""

    exchange: str
    routing_key: str
    body: bytes
    properties: Properties


class PublishOutcome(StrEnum):
    """What became of one publication."""

    CONFIRMED = "confirmed"
    """The broker has it, on disk, in at least one queue."""
    RETURNED = "returned"
    """No queue takes this routing key; nothing was kept."""
    REFUSED = "refused"
    """The broker said no (nack), for example because the queue is full."""
    UNKNOWN = "unknown"
    """The connection went away or time ran out before the broker said anything; publish it again."""


class Consumer(Protocol):
    """Receives from one or more queues and acknowledges. Not thread-safe: one thread owns it."""

    def receive(self, max_messages: int, wait: timedelta) -> list[Delivery]:
        """Return up to ``max_messages``: as soon as there is one and no more are at hand, or none after ``wait``.

        No queue starves another: what waits in several queues is taken from each in turn.

        Raises:
            BrokerUnavailableError: the broker is away; call again, it reconnects by itself.
        """

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """Say that these deliveries are done for good; those of an earlier connection are passed over, they come again.

        Raises:
            BrokerUnavailableError: the acknowledgement may be lost; the messages come again.
        """

    def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give deliveries back, to come again at once."""

    def heartbeat(self) -> None:
        """Keep the connection alive during a long batch; a loss noticed here is reported by the next call."""

    def close(self) -> None:
        """Give back what is not acknowledged and leave, within a few seconds whatever the broker does."""


class Publisher(Protocol):
    """Publishes with confirms. Not thread-safe: one thread owns it."""

    def publish(self, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
        """Publish all and say what became of each, in order; never waits longer than ``timeout``.

        Raises:
            BrokerUnavailableError: nothing could be published at all; call again, it reconnects by itself.
        """

    def close(self) -> None:
        """Leave."""


class Broker(Protocol):
    """One broker, by its URL."""

    def declare(self, topology: Topology) -> None:
        """Create what is missing.

        Raises:
            BrokerUnavailableError: the broker is away.
            TopologyMismatchError: something exists with other arguments.
        """

    def missing(self, topology: Topology) -> list[str]:
        """Return a sentence for every exchange, queue or binding that is missing; creates nothing."""

    def depth(self, queue: str) -> int:
        """Return how many messages wait in ``queue`` (ready, not those delivered and unacknowledged)."""

    def peek(self, queue: str, max_messages: int) -> list[Delivery]:
        """Return the first messages of ``queue`` and leave them (on AMQP: taken and put back, marked redelivered)."""

    def take(self, queue: str, max_messages: int) -> list[Delivery]:
        """Remove and return the first messages of ``queue``."""

    def consumer(self, queues: Sequence[str], prefetch: int) -> Consumer:
        """Return a consumer of ``queues``; connects on first use."""

    def publisher(self) -> Publisher:
        """Return a publisher; connects on first use."""

    def reply_consumer(self) -> tuple[str, Consumer]:
        """Return the name of a fresh private reply queue and its consumer; the queue goes when the consumer closes."""


class TopologyMismatchError(Exception):
    """A queue or exchange exists with other arguments than ours; ``recouple setup`` cannot change it in place."""
