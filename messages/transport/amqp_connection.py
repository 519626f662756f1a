"""One bounded attempt to connect to RabbitMQ through kombu, and every fault of it in words.

py-amqp waits without end for an answer in several places. Two things bound it here: the socket has a timeout, and a
``limit`` around each exchange of several frames shuts the socket down when its time is up, which wakes whoever waits.
"""

from __future__ import annotations

import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import amqp
import msgspec
from kombu.connection import Connection

from messages.transport.amqp_raw import RawTransport, tolerant_frame_handler
from messages.transport.amqp_reading import ReadAhead
from messages.transport.ports import BrokerUnavailableError
from messages.transport.tls import away, tls_context, tls_fault
from messages.transport.urls import AmqpUrl

_FAREWELL_S = 0.2


class AmqpTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """How long RabbitMQ may take. A broker that is slower counts as away.

    Attributes:
        connect: For the TCP connection, and for each answer of the handshake. Less than half a heartbeat: the broker's
            heartbeats, which begin within the handshake, would prolong the wait.
        answer: For anything else: a declaration, the opening of a channel, a write that does not get through.
        heartbeat: Between heartbeats of a consumer's connection; two missed ones end it. RabbitMQ's documentation
            calls 5 to 20 seconds optimal. Whole seconds, as in AMQP 0-9-1.
        close: For the farewell.
    """

    connect: timedelta = timedelta(seconds=4)
    answer: timedelta = timedelta(seconds=15)
    heartbeat: timedelta = timedelta(seconds=10)
    close: timedelta = timedelta(seconds=2)


DEFAULT_TIMEOUTS = AmqpTimeouts()


CONNECTION_FAULTS = (amqp.AMQPError, OSError)
"""What py-amqp raises when a connection or channel is no longer of use (its timeouts are ``OSError``)."""


class AmqpLink:
    """An open connection: py-amqp's, as kombu's transport makes it.

    kombu's own ``Connection`` only lends the parameters: it would reconnect at the mere look at its properties.
    """

    def __init__(self, url: AmqpUrl, timeouts: AmqpTimeouts) -> None:
        """Connect, in one attempt of bounded time.

        Raises:
            BrokerUnavailableError: nobody answers, or we are not let in.
        """
        self.url = url
        self._timeouts = timeouts
        client = Connection(
            hostname=f"[{url.host}]" if ":" in url.host else url.host,
            port=url.port,
            userid=url.user,
            password=url.password,
            virtual_host=url.virtual_host,
            ssl=_tls_options(url) if url.tls else False,
            connect_timeout=timeouts.connect.total_seconds(),
            heartbeat=int(timeouts.heartbeat.total_seconds()),
            transport=RawTransport,
            transport_options={"frame_handler": tolerant_frame_handler},
        )
        with unavailable(url):
            self._amqp = client.transport.establish_connection()
            self._amqp.sock.settimeout(timeouts.answer.total_seconds())
        self._read_ahead = ReadAhead(self._amqp.transport)

    def channel(self) -> Any:
        """Open a channel."""
        return self._amqp.channel()

    def at_hand(self) -> bool:
        """Say whether the broker has sent something that was not taken in yet."""
        sock = self._amqp.sock
        if self._read_ahead.has_some or (isinstance(sock, ssl.SSLSocket) and sock.pending()):
            return True
        return bool(select.select([sock], [], [], 0)[0])

    def drain(self, timeout_s: float) -> None:
        """Take in one frame's worth of events, or raise ``TimeoutError``."""
        self._amqp.drain_events(timeout=timeout_s)

    @contextmanager
    def hurried(self, timeout_s: float) -> Iterator[None]:
        """Let what is drained inside with that timeout not set it anew, and take it back, for each frame."""
        sock = self._amqp.sock
        usual_s = sock.gettimeout()
        sock.settimeout(timeout_s)
        try:
            yield
        finally:
            sock.settimeout(usual_s)

    def tick(self) -> None:
        """Send a heartbeat when it is time to; raise when the broker's own do not come any more."""
        self._amqp.heartbeat_tick()

    @contextmanager
    def limit(self) -> Iterator[None]:
        """Let what runs inside take no longer than an answer may: then the socket is shut down, and it fails."""
        sock, over = self._amqp.sock, threading.Event()

        def end() -> None:
            over.set()
            _shut_down(sock)

        timer = threading.Timer(self._timeouts.answer.total_seconds(), end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except CONNECTION_FAULTS as error:
            if over.is_set():
                raise TimeoutError from error
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """Say goodbye and leave, answered or not; whatever was not acknowledged goes back to its queue."""
        deadline_s = time.monotonic() + self._timeouts.close.total_seconds()
        with suppress(*CONNECTION_FAULTS):  # It may be gone already, or not answer.
            self._amqp.sock.settimeout(self._timeouts.close.total_seconds())
            self._amqp.send_method(amqp.spec.Connection.Close, "BsBB", (200, "goodbye", 0, 0))
            while self._amqp.connected and time.monotonic() < deadline_s:
                self._amqp.drain_events(timeout=max(0.001, deadline_s - time.monotonic()))
        self.discard()

    def discard(self) -> None:
        """Leave without a word: the broker may be past hearing it."""
        if self._amqp.connected:
            self._amqp.sock.settimeout(_FAREWELL_S)
        self._amqp.collect()


def _tls_options(url: AmqpUrl) -> dict[str, str | None]:
    # py-amqp's context verifies the certificate and, with a server_hostname, that it is this server's. It tells files
    # that it cannot use in its own words, and late: ours looks at them first.
    tls_context(url)
    return {
        "server_hostname": url.host,
        "ca_certs": url.cacertfile,
        "certfile": url.certfile,
        "keyfile": url.keyfile,
    }


def _shut_down(sock: socket.socket) -> None:
    with suppress(OSError):  # It may be closed already.
        # Not an SSLSocket's own way: that drops its TLS, without which py-amqp fails to close it, with a ValueError.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


@contextmanager
def unavailable(url: AmqpUrl) -> Iterator[None]:
    """Turn the faults of a connection into ``BrokerUnavailableError`` in words."""
    try:
        yield
    except amqp.AccessRefused as error:
        raise BrokerUnavailableError(
            f"{url.shown} refuses us: {_reply(error)}; check user, password and permissions"
        ) from error
    except amqp.NotAllowed as error:
        raise BrokerUnavailableError(
            f"{url.shown} does not let us in: {_reply(error)}; check the virtual host"
        ) from error
    except amqp.NotFound as error:
        raise BrokerUnavailableError(f"{url.shown} lacks something: {_reply(error)}; run `recouple setup`") from error
    except amqp.ConsumerCancelled as error:
        raise BrokerUnavailableError(f"{url.shown} ended a consumer: its queue was deleted or moved") from error
    except TimeoutError as error:
        raise BrokerUnavailableError(f"{url.shown} does not answer in time") from error
    except CONNECTION_FAULTS as error:
        words = tls_fault(error) or away(url, error, closed=isinstance(error, ConnectionResetError))
        raise BrokerUnavailableError(f"{url.shown} {words}") from error


def _reply(error: amqp.AMQPError) -> str:
    return str(error.reply_text or error.message or type(error).__name__)
