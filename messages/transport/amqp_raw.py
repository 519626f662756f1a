"""kombu's AMQP transport, made to hand over every message as it came, whatever it holds.

Out of the box py-amqp decodes a body by its ``content_encoding``, kombu decompresses it by its header ``compression``,
and properties or a routing key that they cannot read end the connection. Each can be set by whoever may publish, and
the message comes again after each reconnection: one such message would stop every consumer of its queue.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from amqp import FrameSyntaxError, spec
from amqp.method_framing import frame_handler
from kombu.message import Message
from kombu.transport import pyamqp

_CONTENT_HEADER = 2
_FIXED_BYTES = 12
_NO_PROPERTIES = b"\0\0"
_UNREADABLE = (ValueError, LookupError, OSError, struct.error, RecursionError, ArithmeticError, FrameSyntaxError)


class _RawMessage(Message):
    """A message with its body as it came."""

    def __init__(self, msg: Any, channel: Any = None, **_: Any) -> None:
        super().__init__(  # type: ignore[no-untyped-call]
            body=msg.body or b"",
            channel=channel,
            delivery_tag=msg.delivery_info["delivery_tag"],
            content_type=msg.properties.get("content_type"),
            content_encoding=msg.properties.get("content_encoding"),
            delivery_info=msg.delivery_info,
            properties=msg.properties,
        )
        self.headers = msg.properties.get("application_headers") or {}


class _RawChannel(pyamqp.Channel):
    Message: Any = _RawMessage

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.auto_decode = False

    def _do_revive(self) -> None:
        """Stay closed after a fault: py-amqp would open the channel again, and wait for that without end."""
        self.is_open = False


class _RawConnection(pyamqp.Connection):
    Channel = _RawChannel


class RawTransport(pyamqp.Transport):
    """Use it with ``tolerant_frame_handler``."""

    Connection = _RawConnection


def tolerant_frame_handler(connection: Any, callback: Callable[..., None]) -> Callable[[Any], bool]:
    """Return py-amqp's frame handler, but what it cannot read is left out: properties whole, a routing key by bytes."""

    def on_method(channel: int, method: tuple[int, int], arguments: bytes, content: Any) -> None:
        try:
            callback(channel, method, arguments, content)
        except UnicodeDecodeError:
            callback(channel, method, _readable(method, arguments), content)

    on_frame = frame_handler(connection, on_method)

    def on_any_frame(frame: tuple[int, int, bytes]) -> bool:
        kind, channel, payload = frame
        try:
            return bool(on_frame(frame))
        except _UNREADABLE:
            if kind != _CONTENT_HEADER:
                raise
            return bool(on_frame((kind, channel, payload[:_FIXED_BYTES] + _NO_PROPERTIES)))

    return on_any_frame


def _readable(method: tuple[int, int], arguments: bytes) -> bytes:
    """Return the arguments of a delivery with a question mark for every byte of the routing key that is not ASCII."""
    start = 4
    if method == spec.Basic.Deliver:
        start += 1 + arguments[start]  # the consumer's tag, a short string
    start += 8 + 1  # the delivery's tag and the mark of redelivery
    start += 1 + arguments[start]  # the exchange, a short string
    end = start + 1 + arguments[start]
    routing_key = bytes(byte if byte < 0x80 else ord("?") for byte in arguments[start + 1 : end])
    return arguments[: start + 1] + routing_key + arguments[end:]
