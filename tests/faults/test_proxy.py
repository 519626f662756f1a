"""The network that fails, as the fault suite uses it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from tests.faults.servers.proxy import Direction, Proxy

WITHIN_S = 10.0
SILENCE_S = 0.2
"""How long nothing must come, to be taken for nothing at all."""

HELD_AT_MOST_BYTES = 32 * 1024 * 1024
"""What a connection through a frozen proxy takes: mostly buffers of the kernel."""


class Network:
    """A server's port, and clients who come to it through a proxy."""

    def __init__(self, proxy: Proxy, listener: socket.socket, stack: contextlib.ExitStack) -> None:
        self.proxy, self._listener, self._stack = proxy, listener, stack

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """Return the two ends of a connection through the proxy: the client's, and the server's."""
        client = self._stack.enter_context(socket.create_connection(("127.0.0.1", self.proxy.port), WITHIN_S))
        server = self._stack.enter_context(self._listener.accept()[0])
        server.settimeout(WITHIN_S)
        await_that(lambda: self.proxy.connections > 0)
        return client, server

    def threads(self) -> int:
        """Count the proxy's; there may be other proxies."""
        name = f"proxy to {self._listener.getsockname()[1]}"
        return sum(thread.name == name for thread in threading.enumerate())

    def stop_listening(self) -> None:
        """The server is gone."""
        self._listener.close()


def await_that(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    deadline = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def received(end: socket.socket, count: int) -> bytes:
    """Read so many bytes, or until there are no more."""
    found = b""
    while len(found) < count and (data := end.recv(count - len(found))):
        found += data
    return found


def is_silent(end: socket.socket) -> bool:
    """Say whether nothing comes, not even an end."""
    end.settimeout(SILENCE_S)
    try:
        end.recv(1)
    except TimeoutError:
        return True
    finally:
        end.settimeout(WITHIN_S)
    return False


def is_reset(end: socket.socket) -> bool:
    """Say whether the connection breaks, which is not the same as its end."""
    try:
        end.recv(1)
    except ConnectionResetError:
        return True
    return False


@pytest.fixture
def network() -> Iterator[Network]:
    """A proxy, and who listens behind it."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        listener.settimeout(WITHIN_S)
        proxy = stack.enter_context(Proxy(listener.getsockname()[1]))
        yield Network(proxy, listener, stack)


def test_passes_on_what_both_say(network: Network) -> None:
    """Else what a test blames on a fault would be the proxy's own doing."""
    client, server = network.connect()
    said = bytes(range(256)) * 8192

    for speaker, listener in ((client, server), (server, client)):
        speaking = threading.Thread(target=speaker.sendall, args=[said])
        speaking.start()
        assert received(listener, len(said)) == said
        speaking.join()


def test_an_end_is_passed_on(network: Network) -> None:
    """Else a client that left in good order would stand in the server's books for ever."""
    client, server = network.connect()
    client.sendall(b"goodbye")

    client.close()

    assert received(server, 100) == b"goodbye"
    await_that(lambda: network.proxy.connections == 0)


def test_a_cut_resets_both_ends_and_new_ones_are_taken(network: Network) -> None:
    """Else a broken network would look like a client that leaves in good order."""
    client, server = network.connect()

    network.proxy.cut()

    assert network.proxy.connections == 0
    assert is_reset(client)
    assert is_reset(server)
    client, server = network.connect()
    client.sendall(b"again")
    assert received(server, 5) == b"again"


@pytest.mark.parametrize("direction", Direction)
def test_cuts_half_way_once(network: Network, direction: Direction) -> None:
    """Else no message would ever be torn in two: the case in which a confirmation is lost, or half a frame arrives."""
    client, server = network.connect()
    sender, receiver = (client, server) if direction is Direction.TO_SERVER else (server, client)

    network.proxy.cut_after(10, direction)
    receiver.sendall(b"this way all may pass")
    sender.sendall(b"0123456")
    assert received(receiver, 7) == b"0123456"
    assert network.proxy.cuts == 0
    sender.sendall(b"789abcdef")

    assert received(receiver, 100) == b"789"
    assert received(sender, 21) == b"this way all may pass"
    assert is_reset(sender)
    assert network.proxy.cuts == 1
    client, server = network.connect()
    client.sendall(b"0123456789abcdef")
    assert received(server, 16) == b"0123456789abcdef"


def test_what_is_frozen_is_held_and_comes_after_all(network: Network) -> None:
    """Else a network that stands still would lose something, or would not stand still."""
    client, server = network.connect()
    network.proxy.freeze()

    client.sendall(b"held")
    second, second_server = network.connect()
    second.sendall(b"held too")
    second.close()
    third, third_server = network.connect()
    third.close()

    assert is_silent(server)
    assert is_silent(second_server)
    assert is_silent(third_server)
    network.proxy.thaw()
    assert received(server, 4) == b"held"
    assert received(second_server, 100) == b"held too"
    assert received(third_server, 100) == b""


def test_a_frozen_connection_can_be_cut(network: Network) -> None:
    """Else a test that ends while the network stands still would never end."""
    client, server = network.connect()
    network.proxy.freeze()
    client.sendall(b"lost")
    assert is_silent(server)

    network.proxy.cut()

    assert is_reset(server)
    assert network.proxy.connections == 0


@pytest.mark.parametrize("frozen", [True, False], ids=["frozen", "the other end does not read"])
def test_holds_only_so_much(network: Network, frozen: bool) -> None:  # noqa: FBT001
    """Else a worker that publishes into a silent network would fill the memory of the tests instead of waiting."""
    client, _ = network.connect()
    if frozen:
        network.proxy.freeze()
    client.settimeout(SILENCE_S)
    chunk, sent = bytes(1024 * 1024), 0

    with contextlib.suppress(TimeoutError):
        while sent < HELD_AT_MOST_BYTES:
            sent += client.send(chunk)

    assert sent < HELD_AT_MOST_BYTES
    network.proxy.cut()
    assert network.proxy.connections == 0


def test_refuses_who_is_new_and_keeps_who_is_there(network: Network) -> None:
    """Else "unreachable" would be tested as "cut", or the port would be another one afterwards."""
    client, server = network.connect()

    network.proxy.refuse()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", network.proxy.port), WITHIN_S)
    client.sendall(b"still here")
    assert received(server, 10) == b"still here"
    network.proxy.accept()
    client, server = network.connect()
    client.sendall(b"back")
    assert received(server, 4) == b"back"


def test_a_server_that_is_gone_is_a_reset(network: Network) -> None:
    """Else a client would wait for the greeting of a server that does not run."""
    network.stop_listening()

    def ask() -> None:
        with socket.create_connection(("127.0.0.1", network.proxy.port), WITHIN_S) as client:
            client.recv(1)

    with pytest.raises(ConnectionResetError):  # when it connects already, or when it reads
        ask()


def test_leaves_nothing_behind(network: Network) -> None:
    """Else a suite of many faults would run out of threads, and a port would stay taken."""
    client, _ = network.connect()
    network.proxy.freeze()
    assert network.threads() == 1

    network.proxy.close()
    network.proxy.close()

    assert is_reset(client)
    assert network.threads() == 0
    with socket.create_server(("127.0.0.1", network.proxy.port)):
        pass


@pytest.mark.parametrize(
    ("url", "through"),
    [
        ("amqp://guest:guest@127.0.0.1:5672//", "amqp://guest:guest@127.0.0.1:{}//"),
        ("amqps://a:p%40ss@localhost:5671/vhost?x=1", "amqps://a:p%40ss@127.0.0.1:{}/vhost?x=1"),
        ("postgresql+psycopg://postgres@127.0.0.1:5432/name", "postgresql+psycopg://postgres@127.0.0.1:{}/name"),
        ("http://localhost/", "http://127.0.0.1:{}/"),
    ],
)
def test_says_where_to_go_instead(network: Network, url: str, through: str) -> None:
    """Else a worker would go to the server itself, and no fault would reach it."""
    assert network.proxy.url(url) == through.format(network.proxy.port)
