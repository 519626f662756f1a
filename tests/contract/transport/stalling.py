"""A network that falls silent after so many bytes: what had come through has come through, nothing more does."""

from __future__ import annotations

import contextlib

from tests.faults.servers.links import Side
from tests.faults.servers.proxy import CHUNK_BYTES, Direction, Proxy


class StallingProxy(Proxy):
    """Lets so many bytes through in one direction, and then holds both, until it is thawed."""

    def __init__(self, target_port: int, direction: Direction, count: int) -> None:
        self._stalling, self._left = direction, count
        super().__init__(target_port)

    @property
    def stalled(self) -> bool:
        """Say whether it has come to that."""
        return not self._flowing.is_set()

    async def _pass_on(self, source: Side, target: Side, direction: Direction) -> None:
        with contextlib.suppress(OSError):
            while data := await source.reader.read(CHUNK_BYTES):
                await self._flowing.wait()
                now = len(data)
                if direction is self._stalling:
                    now = min(now, self._left)
                    self._left -= now
                target.writer.write(data[:now])
                await target.writer.drain()
                if now < len(data):
                    self._flowing.clear()
                    await self._flowing.wait()
                    self._left = 1 << 60
                    target.writer.write(data[now:])
        await self._flowing.wait()
