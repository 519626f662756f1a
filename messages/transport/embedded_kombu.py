"""The embedded broker as a kombu transport, under the alias ``embedded``: what kombu consumes there is leased.

A virtual transport of kombu keeps its bindings per process and takes what it delivers out of the queue; both lose
messages when a process is killed. This one leaves queues, bindings and messages in the file (``embedded_store``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from queue import Empty
from typing import Any

from amqp.protocol import queue_declare_ok_t
from kombu.exceptions import ChannelError
from kombu.message import Message
from kombu.transport import TRANSPORT_ALIASES, virtual

from messages.topology import ExchangeSpec, Topology
from messages.transport.embedded_publisher import publish_on
from messages.transport.embedded_store import EmbeddedStore, Waiting
from messages.transport.ports import Properties, Publication, PublishOutcome

ALIAS = "embedded"
DEFAULT_LEASE = timedelta(seconds=30)
_POLL_S = 0.01
_PUBLISH_WITHIN = timedelta(seconds=10)
_TEXTS = ("message_id", "type", "app_id", "correlation_id", "reply_to")


class EmbeddedMessage(Message):
    """A message as it was published: kombu would decompress its body by a header that anybody may set."""

    def __init__(self, payload: Waiting, channel: Any = None, **_: Any) -> None:
        properties = payload.properties
        super().__init__(  # type: ignore[no-untyped-call]
            body=payload.body,
            channel=channel,
            delivery_tag=payload.id,
            content_type=properties.content_type,
            content_encoding=properties.content_encoding,
            delivery_info={"exchange": payload.exchange, "routing_key": payload.routing_key},
            properties={name: getattr(properties, name) for name in _TEXTS},
        )
        self.headers = dict(properties.headers)
        self.waiting = payload


class LeaseQoS(virtual.QoS):
    """Counts what is delivered and not acknowledged; gives it back in one transaction."""

    def restore_unacked(self) -> list[Any]:
        """Give back everything that is not acknowledged, to be delivered again at once."""
        self._flush()  # type: ignore[no-untyped-call]
        held = list(self._delivered)
        self._delivered.clear()
        if held:
            self.channel.store.release(held, self.channel.owner)
        return []

    def reject(self, delivery_tag: int, requeue: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Give one message back, or drop it."""
        if requeue:
            self.channel.give_back([delivery_tag])
        else:
            self.channel.acknowledge([delivery_tag])


class EmbeddedChannel(virtual.Channel):
    """A channel to the file. ``owner`` names it on its leases."""

    Message: Any = EmbeddedMessage
    QoS = LeaseQoS

    def __init__(self, connection: Any, **kwargs: Any) -> None:
        super().__init__(connection, **kwargs)  # type: ignore[no-untyped-call]
        options = connection.client.transport_options
        self.store = EmbeddedStore(Path(connection.client.virtual_host), durable=options.get("durable", True))
        self.owner = self.store.new_id()
        self.batch_size = 1
        self._turn = 0
        self._lease: timedelta = options.get("lease", DEFAULT_LEASE)
        self._renewed_s = time.monotonic()

    def close(self) -> None:
        """Give back what is not acknowledged and leave the file."""
        if not self.closed:
            try:
                super().close()  # type: ignore[no-untyped-call]
            finally:
                self.store.close()

    def _get_many(self, queues: Sequence[str], **_: Any) -> None:
        self.renew()
        room = self.qos.can_consume_max_estimate() or self.batch_size
        self._turn = (self._turn + 1) % len(queues)
        in_turn = [*queues[self._turn :], *queues[: self._turn]]
        leased = self.store.lease(in_turn, min(room, self.batch_size), self.owner, self._lease)
        if not leased:
            raise Empty
        for waiting in leased:
            self.connection.on_message_ready(self, waiting, waiting.queue)

    def renew(self) -> None:
        """Extend the leases of this channel, when a third of their time has gone."""
        now_s = time.monotonic()
        if now_s - self._renewed_s >= self._lease.total_seconds() / 3:
            self.store.renew(self.owner, self._lease)
            self._renewed_s = now_s

    def acknowledge(self, delivery_tags: Sequence[int]) -> None:
        """Remove messages for good, all in one transaction."""
        self.store.settle(delivery_tags)
        for tag in delivery_tags:
            self.qos.ack(tag)

    def give_back(self, delivery_tags: Sequence[int]) -> None:
        """Make messages ready again, all in one transaction."""
        self.store.release(delivery_tags, self.owner)
        for tag in delivery_tags:
            self.qos.ack(tag)

    def basic_ack(self, delivery_tag: int, multiple: bool = False) -> None:  # noqa: FBT001, FBT002 - kombu's signature
        """Remove one message for good."""
        if multiple:
            raise NotImplementedError("acknowledge() takes many")
        self.acknowledge([delivery_tag])

    def basic_publish(self, message: Mapping[str, Any], exchange: str, routing_key: str, **_: Any) -> None:
        """Publish what a kombu producer prepared; what no queue takes is dropped, as AMQP does by default.

        Raises:
            ChannelError: it cannot travel, or a queue is full.
        """
        given = {name: message["properties"].get(name) for name in _TEXTS}
        properties = Properties(
            **given,
            content_type=message["content-type"],
            content_encoding=message["content-encoding"],
            headers=message["headers"],
        )
        body = message["body"].encode() if isinstance(message["body"], str) else bytes(message["body"])
        publication = Publication(exchange=exchange, routing_key=routing_key, body=body, properties=properties)
        if publish_on(self.store, [publication], _PUBLISH_WITHIN) == [PublishOutcome.REFUSED]:
            raise ChannelError(f"the message for {routing_key} cannot travel, or its queue is full")

    def exchange_declare(self, exchange: Any = None, type: Any = "topic", *_: Any, **options: Any) -> None:  # noqa: A002
        """Declare a topic exchange; there is no other kind here."""
        if type != "topic":
            raise ChannelError(f"the embedded broker has topic exchanges only, {exchange} wants to be {type}")
        wanted = Topology(exchanges=(ExchangeSpec(name=exchange),), queues=())
        if not options.get("passive"):
            self.store.declare(wanted)
        elif self.store.missing(wanted):
            raise ChannelError(f"the exchange {exchange} does not exist")

    def queue_declare(self, queue: Any = None, *_: Any, **options: Any) -> Any:
        """Declare a queue, or, passively, ask after it."""
        if not options.get("passive"):
            self.store.declare_queue(queue, options.get("arguments") or {})
        elif not self.store.has_queue(queue):
            raise ChannelError(f"the queue {queue} does not exist")
        return queue_declare_ok_t(queue, self.store.depth(queue), 0)

    def queue_bind(self, queue: Any, exchange: Any = None, routing_key: Any = "", *_: Any, **__: Any) -> None:
        """Bind a queue under a topic pattern."""
        self.store.bind(exchange, routing_key, queue)

    def queue_delete(self, queue: Any, *_: Any, **__: Any) -> None:
        """Remove a queue with its messages."""
        with self.store.transaction():
            self.store.drop_queue(queue)


class EmbeddedTransport(virtual.Transport):
    """The transport behind ``embedded://`` URLs; the path is the virtual host."""

    Channel = EmbeddedChannel
    polling_interval = _POLL_S
    driver_type = driver_name = ALIAS


TRANSPORT_ALIASES[ALIAS] = f"{__name__}:EmbeddedTransport"
