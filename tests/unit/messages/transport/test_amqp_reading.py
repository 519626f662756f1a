"""Reading ahead on a connection to RabbitMQ: every byte once, in order, and nothing that is not there."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from messages.transport.amqp_reading import ReadAhead


class Transport:
    """As much of py-amqp's as reading needs.

    Attributes:
        asked: How often the kernel was asked.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.asked = 0
        self._sock = sock
        self._quick_recv = self._receive

    def _receive(self, size: int) -> bytes:
        self.asked += 1
        return self._sock.recv(size)

    def read(self, size: int) -> bytes:
        """Read as py-amqp does."""
        return self._quick_recv(size)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The broker's end and ours."""
    theirs, ours = socket.socketpair()
    with theirs, ours:
        ours.settimeout(0.05)
        yield theirs, ours


def test_all_that_is_there_is_read_at_once_and_given_in_order(pair: tuple[socket.socket, socket.socket]) -> None:
    """The kernel would be asked for each piece of each frame, or bytes be lost between two frames."""
    theirs, ours = pair
    transport = Transport(ours)
    ahead = ReadAhead(transport)
    theirs.sendall(bytes(range(100)))

    read = [transport.read(7), transport.read(90), transport.read(1)]
    assert ahead.has_some
    read.append(transport.read(50))

    assert b"".join(read) == bytes(range(100))
    assert transport.asked == 1
    assert not ahead.has_some


def test_nothing_is_there_until_it_comes(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection on which the broker is silent for a moment would be taken for one that has ended, or hang."""
    theirs, ours = pair
    transport = Transport(ours)
    ahead = ReadAhead(transport)
    with pytest.raises(TimeoutError):
        transport.read(7)
    assert not ahead.has_some
    theirs.sendall(b"later")
    assert transport.read(7) == b"later"


def test_the_end_is_told(pair: tuple[socket.socket, socket.socket]) -> None:
    """A connection that the broker has closed would be read from for ever."""
    theirs, ours = pair
    transport = Transport(ours)
    ReadAhead(transport)
    theirs.sendall(b"bye")
    theirs.close()
    assert [transport.read(7), transport.read(7), transport.read(7)] == [b"bye", b"", b""]
