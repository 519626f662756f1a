"""From kombu's message to our delivery: all of it, in a form that can be published again."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from messages.transport.ports import Delivery, Properties

_COUNT = "x-delivery-count"
_DEPTH = 8
_TEXTS = ("message_id", "type", "app_id", "correlation_id", "reply_to", "content_type", "content_encoding", "user_id")


def received(message: Any, tag: Any, queue: str) -> Delivery:
    """Return kombu's ``message`` of ``queue`` as a delivery."""
    count = message.headers.get(_COUNT, 0)
    redelivered = bool(message.delivery_info["redelivered"])
    return Delivery(
        queue=queue,
        body=bytes(message.body),
        properties=_properties(message.properties),
        tag=tag,
        exchange=message.delivery_info["exchange"],
        routing_key=_text(message.delivery_info["routing_key"]),
        redelivered=redelivered,
        attempts=count if redelivered and isinstance(count, int) else 0,
    )


def _properties(properties: Mapping[str, Any]) -> Properties:
    return Properties(
        **{name: _text(properties[name]) for name in _TEXTS if name in properties},
        timestamp_s=properties.get("timestamp"),
        headers=_headers(properties.get("application_headers") or {}),
    )


def _headers(table: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the publisher's headers, without the broker's own count."""
    return {name: value for name, value in _plain(table, _DEPTH).items() if name != _COUNT}


def _plain(value: Any, depth: int) -> Any:
    """Return ``value`` such that it can be published again: pika knows fewer types than may arrive."""
    if isinstance(value, Mapping) and depth:
        return {_text(name): _plain(one, depth - 1) for name, one in value.items()}
    if isinstance(value, list) and depth:
        return [_plain(one, depth - 1) for one in value]
    if isinstance(value, float | Decimal):
        return str(value)
    return None if isinstance(value, Mapping | list) else value


def _text(value: str | bytes) -> str:
    """Return ``value`` as text that is UTF-8: py-amqp lets lone surrogates through, and bytes that are no text."""
    encoded = value if isinstance(value, bytes) else value.encode("utf-8", "replace")
    return encoded.decode("utf-8", "replace")
