"""What the adapter needs of a broker, and which one it gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from .config import Config
from .wire import Message


class BrokerAwayError(Exception):
    """The broker is away, or not set up for this app; connect anew after a while."""


class Received(NamedTuple):
    """One message that is not acknowledged yet."""

    body: bytes
    tag: Any


class Broker(Protocol):
    """One connection. All methods raise ``BrokerAwayError``."""

    def receive(self, wait_s: float) -> Sequence[Received]:
        """Return some instructions, or none after ``wait_s``."""

    def acknowledge(self, received: Received) -> None:
        """Say that it is done, for good. What is not acknowledged comes again."""

    def reject(self, received: Received) -> None:
        """Say that it cannot be read."""

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish all; return once the broker has them on disk."""

    def close(self) -> None:
        """Leave."""


def connect(config: Config) -> Broker:
    """Connect to the broker of the configuration.

    Raises:
        BrokerAwayError: it does not answer, or `recouple setup` has not run.
    """
    if config.broker.startswith("amqp"):
        from .rabbitmq import RabbitMQ  # noqa: PLC0415 - an app needs one of the two

        return RabbitMQ(config)
    from .embedded import Embedded  # noqa: PLC0415 - as above

    return Embedded(config)
