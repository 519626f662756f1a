"""Reading from RabbitMQ in large pieces: py-amqp asks the kernel nine times for each message."""

from __future__ import annotations

from typing import Any

_PIECE_BYTES = 1 << 16


class ReadAhead:
    """Stands for the ``recv`` of a connection's socket: gives from a piece that was read before, if there is any left.

    What it raises, and when it waits, is the socket's affair. At the end of the stream it gives nothing, as that does.
    """

    def __init__(self, transport: Any) -> None:
        """``transport`` is py-amqp's, connected; it reads through this from now on."""
        self._receive, self._piece, self._at = transport._quick_recv, b"", 0  # noqa: SLF001 - there is no other way in
        transport._quick_recv = self  # noqa: SLF001

    @property
    def has_some(self) -> bool:
        """Whether something was read that nobody has asked for yet."""
        return self._at < len(self._piece)

    def __call__(self, size: int) -> bytes:
        """Return up to ``size`` bytes."""
        if self._at == len(self._piece):
            self._piece, self._at = b"", 0  # also where the next line raises
            self._piece = self._receive(_PIECE_BYTES)
        taken = self._piece[self._at : self._at + size]
        self._at += len(taken)
        return taken
