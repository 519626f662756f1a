"""A client of plain pika that publishes and looks at what arrives; and the same over the embedded broker."""

from __future__ import annotations

import secrets
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import msgspec
import pika

from messages.transport.connect import connect
from messages.transport.ports import Delivery, Properties, Publication, PublishOutcome
from tests.acceptance.wire import Message, Received

WAIT = timedelta(seconds=15)
LOOK_S = 0.005
REPLIES = "replies"

_MARKER = "test.marker"


class Client(Protocol):
    """Publishes, and gathers what arrives in the queues that it watches.

    Attributes:
        arrived: By queue without its namespace, and ``REPLIES``, in the order of arrival.
        reply_to: Where answers to commands are wanted.
    """

    arrived: dict[str, list[Received]]
    reply_to: str

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish these, and see that the broker has them."""

    def look(self) -> None:
        """Gather what has arrived; wait a few milliseconds if there is nothing."""

    def flush(self) -> None:
        """Gather all that is in the watched queues by now."""

    def close(self) -> None:
        """Leave."""


class PikaClient:
    """A client of RabbitMQ."""

    def __init__(self, url: str, namespace: str, queues: Sequence[str]) -> None:
        self.arrived: dict[str, list[Received]] = defaultdict(list)
        self._namespace, self._queues, self._markers = namespace, queues, set[str]()
        self._returned: list[str] = []
        self._connection = pika.BlockingConnection(_parameters(url))
        self._out, inbound = self._connection.channel(), self._connection.channel()
        self._out.add_on_return_callback(self._note_return)
        for queue in queues:
            inbound.basic_consume(f"{namespace}.{queue}", partial(self._gather, queue), auto_ack=True)
        self.reply_to = inbound.queue_declare("", exclusive=True).method.queue
        inbound.basic_consume(self.reply_to, partial(self._gather, REPLIES), auto_ack=True)

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish these; an answer of the broker on the same channel shows that it has read them all."""
        for one in messages:
            properties = pika.BasicProperties(**one.properties)
            exchange = f"{self._namespace}.{one.exchange}"
            self._out.basic_publish(exchange, one.routing_key, one.body, properties, mandatory=True)
        self._out.queue_declare(self.reply_to, passive=True)
        assert not self._returned, f"no queue takes {self._returned}"

    def look(self) -> None:
        """Gather what has arrived."""
        self._connection.process_data_events(time_limit=LOOK_S)

    def flush(self) -> None:
        """Send a marker through every watched queue: when it is here, all before it is."""
        awaited = set()
        for queue in self._queues:
            marker = secrets.token_hex(8)
            awaited.add(marker)
            properties = pika.BasicProperties(type=_MARKER)
            self._out.basic_publish("", f"{self._namespace}.{queue}", marker.encode(), properties)
        wait_for(lambda: awaited <= self._markers, self.look, "markers in every queue")

    def close(self) -> None:
        """Leave."""
        self._connection.close()

    def _note_return(self, _channel: Any, method: Any, _properties: Any, _body: bytes) -> None:
        self._returned.append(method.routing_key)

    def _gather(self, queue: str, _channel: Any, method: Any, properties: pika.BasicProperties, body: bytes) -> None:
        if properties.type == _MARKER:
            self._markers.add(body.decode())
            return
        known = {name: value for name, value in vars(properties).items() if value is not None}
        self.arrived[queue].append(Received(method.routing_key, body, known))


def _parameters(url: str) -> pika.ConnectionParameters:
    """Read ``amqp://user:password@host:port/vhost``; in pika's own reading ``//`` would be a vhost without a name."""
    parts = urlsplit(url)
    credentials = pika.PlainCredentials(unquote(parts.username or "guest"), unquote(parts.password or "guest"))
    vhost = unquote(parts.path[1:]) or "/"
    return pika.ConnectionParameters(parts.hostname, parts.port or 5672, vhost, credentials, heartbeat=0)


class EmbeddedClient:
    """A client of the embedded broker, through what it promises to everybody."""

    def __init__(self, url: str, namespace: str, queues: Sequence[str]) -> None:
        self.arrived: dict[str, list[Received]] = defaultdict(list)
        self._namespace, self._queues = namespace, queues
        self._broker = connect(url)
        self._publisher = self._broker.publisher()
        self.reply_to, self._replies = self._broker.reply_consumer()

    def publish(self, messages: Sequence[Message]) -> None:
        """Publish these, confirmed."""
        publications = [
            Publication(
                exchange=f"{self._namespace}.{one.exchange}",
                routing_key=one.routing_key,
                body=one.body,
                properties=Properties(**{n: v for n, v in one.properties.items() if n != "delivery_mode"}),
            )
            for one in messages
        ]
        assert set(self._publisher.publish(publications, WAIT)) == {PublishOutcome.CONFIRMED}

    def look(self) -> None:
        """Gather what has arrived."""
        for queue in self._queues:
            self._gather(queue, self._broker.take(f"{self._namespace}.{queue}", 1000))
        replies = self._replies.receive(100, timedelta(seconds=LOOK_S))
        self._gather(REPLIES, replies)
        self._replies.acknowledge(replies)

    def flush(self) -> None:
        """What was published can be taken at once."""
        self.look()

    def close(self) -> None:
        """Leave."""
        self._replies.close()
        self._publisher.close()

    def _gather(self, queue: str, deliveries: Sequence[Delivery]) -> None:
        for one in deliveries:
            properties = msgspec.structs.asdict(one.properties)
            self.arrived[queue].append(Received(one.routing_key, one.body, properties))


def client_of(broker_url: str, namespace: str, queues: Sequence[str]) -> Client:
    """Return a client of the broker at ``broker_url`` that watches ``queues``."""
    kind = PikaClient if broker_url.startswith("amqp") else EmbeddedClient
    return kind(broker_url, namespace, queues)


def wait_for(condition: Callable[[], bool], look: Callable[[], None], what: str, wait: timedelta = WAIT) -> None:
    """Look until ``condition`` holds; each look waits a little by itself.

    Raises:
        AssertionError: it did not come true in time.
    """
    deadline = time.monotonic() + wait.total_seconds()
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        look()
