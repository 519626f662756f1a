"""py-amqp with two habits changed: it reads what is there in large pieces, and writes a whole batch at once.

Out of the box it asks the kernel for each piece of each frame, and writes each message by itself.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

import amqp

_PIECE_BYTES = 1 << 18


class _Pieces:
    """Stands for ``socket.recv``: serves from a large piece that was read before."""

    def __init__(self, receive: Callable[[int], bytes]) -> None:
        self._receive, self._piece, self._at = receive, b"", 0

    def __call__(self, size: int) -> bytes:
        if self._at == len(self._piece):
            self._piece, self._at = self._receive(_PIECE_BYTES), 0
        taken = self._piece[self._at : self._at + size]
        self._at += len(taken)
        return taken

    @property
    def has_some(self) -> bool:
        return self._at < len(self._piece)


class QuickLink:
    """One connection with one channel.

    Attributes:
        channel: py-amqp's.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = amqp.Connection(
            host=f"{parts.hostname}:{parts.port or 5672}",
            userid=unquote(parts.username or "guest"),
            password=unquote(parts.password or "guest"),
            virtual_host=unquote(parts.path[1:]) or "/",
        )
        self._connection.connect()
        self.channel: Any = self._connection.channel()
        self.channel.auto_decode = False
        # Else each publication looks first whether the broker has said something.
        self._connection.client_properties["capabilities"]["connection.blocked"] = False
        self._transport: Any = self._connection.transport
        self._pieces = _Pieces(self._transport.sock.recv)
        self._transport._quick_recv = self._pieces  # noqa: SLF001
        self._send = self._transport._write  # noqa: SLF001

    def has_some(self, wait_s: float = 0.0) -> bool:
        """Say whether there is something to be read, within that time."""
        return self._pieces.has_some or bool(select.select([self._transport.sock], [], [], wait_s)[0])

    def drain(self) -> None:
        """Take in one message, confirm or answer; waits for it."""
        self._connection.drain_events()

    def publish(self, bodies: Sequence[tuple[bytes, dict[str, Any]]], exchange: str, routing_key: str) -> None:
        """Write all these with their properties in one go; their confirms come later."""
        buffer = bytearray()
        self._transport._write = buffer.extend  # noqa: SLF001
        try:
            for body, properties in bodies:
                message = amqp.Message(body, **properties)
                self.channel.basic_publish(message, exchange, routing_key, mandatory=True)
        finally:
            self._transport._write = self._send  # noqa: SLF001
        self._send(buffer)

    def close(self) -> None:
        """Leave."""
        self._connection.close()
