"""The embedded broker, a file; for one machine and for trying things out. It comes with Recouple."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from messages.transport.connect import connect
from messages.transport.ports import BrokerUnavailableError, Properties, Publication, PublishOutcome

from .broker import BrokerAwayError, Received
from .config import Config
from .wire import CONTENT_TYPE, Message

PREFETCH = 50
PUBLISH_WITHIN = timedelta(seconds=10)


class Embedded:
    """A consumer and a publisher of the broker in a file."""

    def __init__(self, config: Config) -> None:
        broker = connect(config.broker)
        self._exchange = f"{config.namespace}.changes"
        self._consumer = broker.consumer([f"{config.namespace}.instructions.{config.app}"], PREFETCH)
        self._publisher = broker.publisher()

    def receive(self, wait_s: float) -> Sequence[Received]:
        """Return what has come."""
        try:
            deliveries = self._consumer.receive(PREFETCH, timedelta(seconds=wait_s))
        except BrokerUnavailableError as error:
            raise BrokerAwayError(str(error)) from error
        return [Received(delivery.body, delivery) for delivery in deliveries]

    def acknowledge(self, received: Received) -> None:
        """Acknowledge."""
        try:
            self._consumer.acknowledge([received.tag])
        except BrokerUnavailableError as error:
            raise BrokerAwayError(str(error)) from error

    def reject(self, received: Received) -> None:
        """Drop it: this broker has no dead-lettering."""
        self.acknowledge(received)

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish all at once."""
        publications = [
            Publication(
                exchange=self._exchange,
                routing_key=message.routing_key,
                body=message.body,
                properties=Properties(
                    content_type=CONTENT_TYPE, message_id=message.id, type=message.type, app_id=message.source
                ),
            )
            for message in messages
        ]
        try:
            outcomes = self._publisher.publish(publications, PUBLISH_WITHIN)
        except BrokerUnavailableError as error:
            raise BrokerAwayError(str(error)) from error
        if set(outcomes) - {PublishOutcome.CONFIRMED}:
            raise BrokerAwayError("not all was taken: is this app in the mapping file? run `recouple setup`")

    def close(self) -> None:
        """Leave."""
        self._consumer.close()
        self._publisher.close()
