"""Counts what a contender asks of PostgreSQL, on the wire, the same way for all: no server setting, no driver's help.

A small relay between the two reads the frames of the protocol that go to the server.
"""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from sqlalchemy import make_url

_CHUNK_BYTES = 1 << 16
_QUERY, _EXECUTE, _SYNC = b"Q", b"E", b"S"


class Tap:
    """Listens on a port of its own.

    Attributes:
        url: As the contender is to reach the store.
    """

    def __init__(self, store_url: str) -> None:
        parsed = make_url(store_url)
        self._server = (parsed.host or "127.0.0.1", parsed.port or 5432)
        self._listener = socket.create_server(("127.0.0.1", 0))
        plain = {"sslmode": "disable", "gssencmode": "disable"}
        mine = parsed.set(host="127.0.0.1", port=self._listener.getsockname()[1]).update_query_dict(plain)
        self.url = mine.render_as_string(hide_password=False)
        self._counts: Counter[bytes] = Counter()
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def statements(self) -> int:
        """How many were executed until now, BEGIN and COMMIT among them."""
        return self._counts[_QUERY] + self._counts[_EXECUTE]

    def round_trips(self) -> int:
        """How often an answer was waited for."""
        return self._counts[_QUERY] + self._counts[_SYNC]

    def close(self) -> None:
        """Let nobody through any more."""
        for one in self._sockets:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._server)
                for one in (client, server):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._sockets += [client, server]
                threading.Thread(target=self._ask, args=(client, server), daemon=True).start()
                threading.Thread(target=_carry, args=(server, client), daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        frames = _Frames(self._counts)
        with suppress(OSError):
            while piece := client.recv(_CHUNK_BYTES):
                server.sendall(piece)
                frames.take(piece)
        with suppress(OSError):
            server.shutdown(socket.SHUT_WR)


class _Frames:
    """Finds the type of each frame in a stream that comes in pieces; the first frame of a connection has none."""

    def __init__(self, counts: Counter[bytes]) -> None:
        self._counts, self._head, self._skip, self._typed = counts, b"", 0, False

    def take(self, piece: bytes) -> None:
        at = 0
        while at < len(piece):
            if self._skip:
                step = min(self._skip, len(piece) - at)
                self._skip -= step
                at += step
                continue
            wanted = 5 if self._typed else 4
            step = min(wanted - len(self._head), len(piece) - at)
            self._head += piece[at : at + step]
            at += step
            if len(self._head) == wanted:
                self._begin()

    def _begin(self) -> None:
        if self._typed:
            self._counts[self._head[:1]] += 1
        self._skip = int.from_bytes(self._head[-4:], "big") - 4
        self._head, self._typed = b"", True


def _carry(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(_CHUNK_BYTES):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def tapped(store_url: str) -> Iterator[Tap]:
    """Open a tap before a store."""
    tap = Tap(store_url)
    try:
        yield tap
    finally:
        tap.close()
