"""The two connections that belong together in a proxy: a client's, and the one to the server for it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import NamedTuple


class Side(NamedTuple):
    """One of the two connections of a link."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    def reset(self) -> None:
        """Have the kernel forget the connection and tell the other end so."""
        connection = self.writer.get_extra_info("socket")
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def end(self) -> None:
        """Close it when what was written has gone out."""
        self.writer.close()
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()


class Link:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, client: Side, server: Side) -> None:
        self.client, self.server = client, server
        self.passing: list[asyncio.Task[None]] = []

    def reset(self) -> None:
        """Reset both; nothing passes any more."""
        for task in self.passing:
            task.cancel()
        self.client.reset()
        self.server.reset()
