"""What a message must keep to so that it can travel: the same on both brokers, so that one behaves like the other."""

from __future__ import annotations

import struct
from decimal import DecimalException

from pika import BasicProperties
from pika.exceptions import AMQPError

from messages.transport.ports import Properties, Publication

MAX_BODY_BYTES = 16 * 1024 * 1024
"""RabbitMQ closes the channel on more (``max_message_size``, 16 MiB from 4.0 on)."""

MAX_PROPERTIES_BYTES = 120_000
"""All properties travel in one frame, 131,072 bytes at RabbitMQ's default; the rest is room for the frame itself."""

ENOUGH_BYTES = 512 * 1024
"""A consumer takes no further messages into memory once those it has are as large; the broker keeps the rest."""

_MAX_NAME_BYTES = 255
_PERSISTENT = 2


def amqp_properties(properties: Properties) -> BasicProperties:
    """Return ``properties`` in pika's form, persistent."""
    return BasicProperties(
        content_type=properties.content_type,
        content_encoding=properties.content_encoding,
        headers=dict(properties.headers) or None,
        delivery_mode=_PERSISTENT,
        correlation_id=properties.correlation_id,
        reply_to=properties.reply_to,
        message_id=properties.message_id,
        timestamp=properties.timestamp_s,
        type=properties.type,
        user_id=properties.user_id,
        app_id=properties.app_id,
    )


def travels(publication: Publication) -> bool:
    """Say whether ``publication`` can be put on the wire; one that cannot would take its whole batch with it."""
    if len(publication.body) > MAX_BODY_BYTES:
        return False
    try:
        names = (publication.exchange.encode(), publication.routing_key.encode())
        properties = amqp_properties(publication.properties).encode()
    except (
        AMQPError,
        struct.error,
        DecimalException,
        AssertionError,
        AttributeError,
        TypeError,
        ValueError,
        RecursionError,
    ):
        # pika's ways to say: too long, no UTF-8, a number too large, or a type that AMQP has no letter for.
        return False
    if max(map(len, names)) > _MAX_NAME_BYTES:
        return False
    return sum(map(len, properties)) <= MAX_PROPERTIES_BYTES
