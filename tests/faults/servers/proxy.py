"""A network that fails, between a client and a server on this machine: a TCP proxy that cuts, holds and refuses."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from enum import StrEnum
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.faults.servers.links import Link, Side
from tests.servers.server import free_port

CHUNK_BYTES = 64 * 1024
"""Read at once; a connection holds a few times as much, in each direction, and then does not read on."""

CHANGED_WITHIN_S = 10

HOST = "127.0.0.1"


class Direction(StrEnum):
    """Whither bytes go."""

    TO_SERVER = "to server"
    """From the client that connected to the proxy."""
    TO_CLIENT = "to client"
    """From the server that the proxy connected to."""


class Proxy:
    """Listens on a port of its own and passes on what comes, from a thread of its own.

    What is changed has taken effect when the method returns.

    Attributes:
        port: Where it listens; it keeps it while it refuses.
        cuts: How often ``cut_after`` has cut a connection.
    """

    def __init__(self, target_port: int) -> None:
        self.port, self.cuts = free_port(), 0
        self._target_port = target_port
        self._links: dict[Link, asyncio.Task[None]] = {}
        self._charges: dict[Direction, int] = {}
        self._loop = asyncio.new_event_loop()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._listener: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"proxy to {target_port}", daemon=True)
        self._thread.start()
        try:
            self.accept()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def url(self, url: str) -> str:
        """Return the same URL, by way of the proxy."""
        parts = urlsplit(url)
        credentials, at, _ = parts.netloc.rpartition("@")
        return url.replace(parts.netloc, f"{credentials}{at}{HOST}:{self.port}", 1)

    @property
    def connections(self) -> int:
        """How many clients are connected through it."""
        return len(self._links)

    def cut(self) -> None:
        """Reset every connection, on both sides; what was not passed on is lost. New ones are taken."""
        self._wait(self._cut())

    def cut_after(self, count: int, direction: Direction) -> None:
        """Let so many bytes more through in this direction, then cut the connection that brings the next one; once.

        Who sends is reset; who receives sees an end after the last byte that came through.
        """
        self._run(lambda: self._charges.update({direction: count}))

    def freeze(self) -> None:
        """Take connections and bytes, and pass nothing on."""
        self._run(self._flowing.clear)

    def thaw(self) -> None:
        """Pass on what was held, and what comes."""
        self._run(self._flowing.set)

    def refuse(self) -> None:
        """Listen no more; connections that stand go on."""
        self._wait(self._refuse())

    def accept(self) -> None:
        """Listen again."""
        self._wait(self._accept())

    def close(self) -> None:
        """Reset every connection and end the thread; a second time does nothing."""
        if self._loop.is_closed():
            return
        try:
            self._wait(self._leave())
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(CHANGED_WITHIN_S)
            self._loop.close()

    # --- on the thread of the loop

    def _run(self, change: Callable[[], None]) -> None:
        async def changing() -> None:
            change()

        self._wait(changing())

    def _wait(self, coroutine: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(CHANGED_WITHIN_S)

    async def _accept(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._connected, HOST, self.port, limit=CHUNK_BYTES)

    async def _refuse(self) -> None:
        if self._listener is not None:
            self._listener.close()  # not waited for: from Python 3.12 on it waits for the connections that stand
            self._listener = None

    async def _cut(self) -> None:
        ending = list(self._links.values())
        for link in self._links:
            link.reset()
        await asyncio.gather(*ending, return_exceptions=True)

    async def _leave(self) -> None:
        await self._refuse()
        await self._cut()
        others = asyncio.all_tasks() - {asyncio.current_task()}  # they are connecting
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = Side(reader, writer)
        try:
            server = Side(*await asyncio.open_connection(HOST, self._target_port, limit=CHUNK_BYTES))
        except BaseException as error:
            client.reset()
            if isinstance(error, OSError):
                return
            raise
        await self._join(Link(client, server))

    async def _join(self, link: Link) -> None:
        """Pass on in both directions until one has come to its end; then there is nothing more to say."""
        this = asyncio.current_task()
        assert this is not None
        link.passing = [
            asyncio.ensure_future(self._pass_on(link.client, link.server, Direction.TO_SERVER)),
            asyncio.ensure_future(self._pass_on(link.server, link.client, Direction.TO_CLIENT)),
        ]
        self._links[link] = this
        try:
            await asyncio.wait(link.passing, return_when=asyncio.FIRST_COMPLETED)
            for task in link.passing:
                task.cancel()
            await asyncio.gather(link.client.end(), link.server.end())
        finally:
            link.reset()
            del self._links[link]

    async def _pass_on(self, source: Side, target: Side, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := await source.reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                passed = self._spend(data, direction)
                target.writer.write(passed)
                await target.writer.drain()
                if len(passed) < len(data):
                    source.reset()
                    return
        await self._flowing.wait()  # an end, too, is held

    def _spend(self, data: bytes, direction: Direction) -> bytes:
        """Return what of this may still pass."""
        left = self._charges.get(direction)
        if left is None:
            return data
        if len(data) <= left:
            self._charges[direction] = left - len(data)
            return data
        del self._charges[direction]
        self.cuts += 1
        return data[:left]
