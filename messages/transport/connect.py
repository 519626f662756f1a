"""From a URL to a broker."""

from __future__ import annotations

from messages.transport.amqp_connection import DEFAULT_TIMEOUTS, AmqpTimeouts
from messages.transport.embedded import EmbeddedBroker
from messages.transport.embedded_kombu import DEFAULT_LEASE
from messages.transport.ports import Broker
from messages.transport.rabbitmq import RabbitBroker
from messages.transport.urls import EmbeddedUrl, parse_broker_url


def connect(url: str, timeouts: AmqpTimeouts = DEFAULT_TIMEOUTS) -> Broker:
    """Return the broker behind ``url``; nothing is opened before its first use.

    Args:
        url: ``amqp://user:password@host:5672/vhost``, the same with ``amqps``, ``embedded:///relative/broker.db`` or
            ``embedded:////absolute/broker.db``.
        timeouts: How long to wait for RabbitMQ; the embedded broker has none to wait for.

    Raises:
        BrokerUrlError: the URL cannot be used.
    """
    found = parse_broker_url(url)
    if isinstance(found, EmbeddedUrl):
        return EmbeddedBroker(found.path, found.lease or DEFAULT_LEASE)
    return RabbitBroker(found, timeouts)
