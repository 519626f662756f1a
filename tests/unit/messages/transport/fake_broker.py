"""A broker on a loopback port that speaks just enough AMQP 0-9-1 to misbehave in ways that a real one rarely does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from pika import BasicProperties, frame, spec

Answer = Callable[["Session", Any, int], None]


class Session:
    """One connection of a client. ``publications`` counts the messages that it published."""

    def __init__(self, broker: FakeBroker, sock: socket.socket) -> None:
        self.broker = broker
        self.sock = sock
        self.publications = 0
        self.bodies: list[bytes] = []
        self.received: list[Any] = []

    def send(self, method: Any, channel: int = 1) -> None:
        """Send a method to the client, unless it has left."""
        with suppress(OSError):
            self.sock.sendall(frame.Method(channel, method).marshal())

    def send_message(self, method: Any, body: bytes, properties: BasicProperties, channel: int = 1) -> None:
        """Send a method that carries a message."""
        self.send(method, channel)
        with suppress(OSError):
            self.sock.sendall(frame.Header(channel, len(body), properties).marshal())
            self.sock.sendall(frame.Body(channel, body).marshal())

    def beat(self) -> None:
        """Send a heartbeat."""
        with suppress(OSError):
            self.sock.sendall(frame.Heartbeat().marshal())

    def cut(self) -> None:
        """End the connection without a word."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def run(self) -> None:
        """Serve the client until it leaves."""
        buffer = b""
        with suppress(OSError), self.sock:
            while data := self.sock.recv(65536):
                buffer += data
                while buffer:
                    used, one = frame.decode_frame(buffer)
                    if one is None:
                        break
                    buffer = buffer[used:]
                    if not self.broker.frozen.is_set():
                        self._serve(one)

    def _serve(self, one: Any) -> None:
        if isinstance(one, frame.ProtocolHeader):
            known = {"capabilities": {"publisher_confirms": True, "basic.nack": True, "consumer_cancel_notify": True}}
            self.send(spec.Connection.Start(server_properties=known, mechanisms="PLAIN"), channel=0)
        elif isinstance(one, frame.Body):
            self.bodies.append(one.fragment)
            self.publications += 1
            self.broker.on_publication(self, self.publications)
        elif isinstance(one, frame.Method):
            self.received.append(one.method)
            answer = self.broker.answers.get(type(one.method))
            if answer is not None:
                answer(self, one.method, one.channel_number)


class FakeBroker:
    """Answers what a client asks as RabbitMQ would, until told otherwise.

    ``answers`` and ``on_publication`` are there to be changed; while ``frozen`` is set it reads and says nothing.
    """

    def __init__(self) -> None:
        self.frozen = threading.Event()
        self.sessions: list[Session] = []
        self.on_publication: Callable[[Session, int], None] = lambda session, tag: session.send(spec.Basic.Ack(tag))
        self.answers: dict[type, Answer] = {
            spec.Connection.StartOk: _say(lambda _: spec.Connection.Tune(2047, 131072, 60)),
            spec.Connection.Open: _say(lambda _: spec.Connection.OpenOk()),
            spec.Connection.Close: _say(lambda _: spec.Connection.CloseOk()),
            spec.Channel.Open: _say(lambda _: spec.Channel.OpenOk()),
            spec.Channel.Close: _say(lambda _: spec.Channel.CloseOk()),
            spec.Confirm.Select: _say(lambda _: spec.Confirm.SelectOk()),
            spec.Basic.Qos: _say(lambda _: spec.Basic.QosOk()),
            spec.Basic.Consume: _say(lambda asked: spec.Basic.ConsumeOk(asked.consumer_tag)),
            spec.Queue.Declare: _say(lambda asked: spec.Queue.DeclareOk(asked.queue, 0, 0)),
        }
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    @property
    def url(self) -> str:
        """Where a client finds it."""
        return f"amqp://guest:guest@127.0.0.1:{self._listener.getsockname()[1]}//"

    @property
    def session(self) -> Session:
        """The latest connection."""
        return self.sessions[-1]

    def close(self) -> None:
        """End all connections and wait until nothing of it runs."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for session in self.sessions:
            session.cut()
        for thread in self._threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                session = Session(self, sock)
                self.sessions.append(session)
                self._threads.append(threading.Thread(target=session.run))
                self._threads[-1].start()


def _say(method: Callable[[Any], Any]) -> Answer:
    return lambda session, asked, channel: session.send(method(asked), channel)
