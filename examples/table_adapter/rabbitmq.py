"""RabbitMQ, through pika."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

import pika
from pika.exceptions import AMQPError, UnroutableError

from .broker import BrokerAwayError, Received
from .config import Config
from .wire import CONTENT_TYPE, Message

PREFETCH = 50
"""So many instructions are brought ahead; they come again if we die."""

_T = TypeVar("_T")


class RabbitMQ:
    """A connection with one channel; publishes with confirms, one message after the other."""

    def __init__(self, config: Config) -> None:
        self._exchange = f"{config.namespace}.changes"
        self._queue = f"{config.namespace}.instructions.{config.app}"
        self._waiting: list[Received] = []
        # "//" is how most people write the default vhost; pika takes it for one without a name
        url = config.broker.removesuffix("//") + "/%2F" if config.broker.endswith("//") else config.broker
        self._connection = _do(lambda: pika.BlockingConnection(pika.URLParameters(url)))
        try:
            self._channel = _do(self._open_channel)
        except BrokerAwayError:
            self.close()
            raise

    def _open_channel(self) -> Any:
        channel = self._connection.channel()
        channel.confirm_delivery()
        channel.basic_qos(prefetch_count=PREFETCH)
        channel.basic_consume(self._queue, self._take)
        return channel

    def _take(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self._waiting.append(Received(body, method.delivery_tag))

    def receive(self, wait_s: float) -> Sequence[Received]:
        """Return what has come; pika answers the broker's heartbeats meanwhile."""
        _do(lambda: self._connection.process_data_events(time_limit=0 if self._waiting else wait_s))
        received, self._waiting = self._waiting, []
        return received

    def acknowledge(self, received: Received) -> None:
        """Acknowledge."""
        _do(lambda: self._channel.basic_ack(received.tag))

    def reject(self, received: Received) -> None:
        """Send it to the dead queue, where operators look."""
        _do(lambda: self._channel.basic_nack(received.tag, requeue=False))

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish persistent, and wait for the confirm of each."""
        for message in messages:
            properties = pika.BasicProperties(
                content_type=CONTENT_TYPE,
                delivery_mode=2,
                message_id=message.id,
                type=message.type,
                app_id=message.source,
            )
            _do(partial(self._publish, message.routing_key, message.body, properties))

    def _publish(self, routing_key: str, body: bytes, properties: pika.BasicProperties) -> None:
        self._channel.basic_publish(self._exchange, routing_key, body, properties, mandatory=True)

    def close(self) -> None:
        """Leave; what is not acknowledged comes again."""
        if self._connection.is_open:
            _do(self._connection.close)


def _do(action: Callable[[], _T]) -> _T:
    try:
        return action()
    except UnroutableError as error:
        raise BrokerAwayError(
            "no queue takes what this app says: is it in the mapping file? run `recouple setup`"
        ) from error
    except (AMQPError, OSError) as error:
        # the reply of the broker names queues and vhosts, no values
        raise BrokerAwayError(f"{type(error).__name__} {error}") from error
