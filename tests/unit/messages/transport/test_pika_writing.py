"""Writing to RabbitMQ: what is published together is one piece, in order; everything else goes out by itself."""

from __future__ import annotations

from typing import Any

import pytest

from messages.transport.pika_writing import JoiningConnection


class Transport:
    """Takes what is written.

    Attributes:
        written: In which pieces.
    """

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Take it."""
        self.written.append(data)


@pytest.fixture
def connection() -> Any:
    """A connection whose transport only takes note."""
    made: Any = JoiningConnection.__new__(JoiningConnection)
    made.bytes_sent = made.frames_sent = 0
    made._transport = Transport()  # noqa: SLF001 - pika has no other place for it
    return made


def write(connection: Any, *frames: bytes) -> None:
    """Write as pika does."""
    connection._output_marshaled_frames(frames)  # noqa: SLF001


def written(connection: Any) -> list[bytes]:
    """The pieces."""
    pieces: list[bytes] = connection._transport.written  # noqa: SLF001
    return pieces


def test_what_is_published_together_is_written_at_once(connection: Any) -> None:
    """Each message would cost three system calls, and the broker three packets."""
    write(connection, b"a")
    with connection.together():
        write(connection, b"b", b"c")
        write(connection, b"d")
        assert written(connection) == [b"a"]
    write(connection, b"e")
    assert written(connection) == [b"a", b"bcd", b"e"]


def test_nothing_together_is_nothing_written(connection: Any) -> None:
    """Pika's transport takes no empty piece."""
    with connection.together():
        pass
    assert written(connection) == []


def test_what_was_published_before_a_fault_is_written(connection: Any) -> None:
    """The broker would wait for the rest of a frame, and we for a confirm of what it never got."""
    with pytest.raises(ZeroDivisionError):
        publish_and_fail(connection)
    write(connection, b"b")
    assert written(connection) == [b"a", b"b"]


def publish_and_fail(connection: Any) -> None:
    """Publish something, and then raise."""
    with connection.together():
        write(connection, b"a")
        raise ZeroDivisionError
