"""Writing to RabbitMQ in large pieces: pika makes three system calls, and three packets, for each message."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pika


class JoiningConnection(pika.SelectConnection):  # type: ignore[misc]  # pika's is untyped
    """pika's connection; what is published together is written at once."""

    _held: list[bytes] | None = None

    @contextmanager
    def together(self) -> Iterator[None]:
        """Write what is published inside when all of it is there; pika's loop must not run inside."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            if held:
                super()._adapter_emit_data(b"".join(held))

    def _adapter_emit_data(self, data: bytes) -> None:
        if self._held is None:
            super()._adapter_emit_data(data)
        else:
            self._held.append(data)
