"""Publishing on RabbitMQ through pika: what is confirmed is confirmed by its own delivery tag, or not at all.

pika's loop runs only while ``publish`` waits. There is nothing to keep alive between two calls: AMQP heartbeats are
off, TCP's keep-alive stands in for them, and each call looks first whether the connection has gone meanwhile.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from pika.exceptions import AMQPError, ChannelClosedByBroker

from messages.transport.amqp_connection import AmqpTimeouts
from messages.transport.limits import amqp_properties, travels
from messages.transport.pika_parameters import explain, pika_parameters
from messages.transport.pika_writing import JoiningConnection
from messages.transport.ports import BrokerUnavailableError, Publication, PublishOutcome
from messages.transport.urls import AmqpUrl

WINDOW = 256
"""How many publications may be unconfirmed at a time: enough to keep the broker busy, few enough to repeat."""

_GOODBYE_S = 0.5
_BLOCKED_S = 0.5  # what the broker took before it was blocked, it confirms by then
_ROUNDS = 3  # pika passes the end of a connection on from callback to callback, one round each
_NOT_FOUND, _ACCESS_REFUSED = 404, 403


class AmqpPublisher:
    """The ``Publisher`` on RabbitMQ. Any doubt about a connection ends it; the next call makes one new attempt.

    A broker that is short of memory or disk blocks who publishes: it reads nothing more from that connection, not even
    that it is closed. So this one is kept: with a new one for every attempt, thousands would lie there after an hour.
    """

    def __init__(self, url: AmqpUrl, timeouts: AmqpTimeouts) -> None:
        self._url = url
        self._timeouts = timeouts
        self._link: _Link | None = None

    def publish(self, publications: Sequence[Publication], timeout: timedelta) -> list[PublishOutcome]:
        """Publish all, ``mandatory`` and persistent, and wait for what the broker says of each."""
        deadline_s = time.monotonic() + timeout.total_seconds()
        outcomes = [PublishOutcome.UNKNOWN] * len(publications)
        going = []
        for position, publication in enumerate(publications):
            if self._may_go(publication):
                going.append((position, publication))
            else:
                outcomes[position] = PublishOutcome.REFUSED
        if going:
            link = self._connected(deadline_s)
            if link.blocked is not None:
                raise BrokerUnavailableError(f"{self._url.shown} takes no messages for now: {link.blocked}")
            link.publish(going, outcomes, deadline_s)
            if link.doubtful:
                self._abort()
        return outcomes

    def close(self) -> None:
        """Leave."""
        if self._link is not None:
            link, self._link = self._link, None
            link.close()

    def _abort(self) -> None:
        if self._link is not None:
            link, self._link = self._link, None
            link.abort()

    def _may_go(self, publication: Publication) -> bool:
        # RabbitMQ closes the channel on a user_id that is not ours, and all that is in flight with it.
        return travels(publication) and publication.properties.user_id in (None, self._url.user)

    def _connected(self, deadline_s: float) -> _Link:
        if self._link is not None and not self._link.is_usable():
            self._abort()
        if self._link is None:
            link = _Link(self._url, self._timeouts)
            self._link = link
            try:
                link.open(min(deadline_s, time.monotonic() + self._timeouts.connect.total_seconds()))
            except BrokerUnavailableError:
                self._abort()
                raise
        return self._link


class _Link:
    """One connection with one channel in confirm mode.

    Attributes:
        blocked: Why the broker takes no messages, while it takes none.
    """

    def __init__(self, url: AmqpUrl, timeouts: AmqpTimeouts) -> None:
        self._url = url
        self._fault: BaseException | None = None
        self._ready = False
        self._gone = False
        self.blocked: str | None = None
        self._channel: Any = None
        self._last_tag = 0
        self._pending: dict[int, tuple[int | None, Publication]] = {}
        self._returned: set[int] = set()
        self._outcomes: list[PublishOutcome] = []
        self._connection = JoiningConnection(
            pika_parameters(url, timeouts),
            on_open_callback=self._on_open,
            on_open_error_callback=self._on_gone,
            on_close_callback=self._on_gone,
        )
        self._connection.add_on_connection_blocked_callback(self._on_blocked)
        self._connection.add_on_connection_unblocked_callback(self._on_unblocked)
        self._loop = self._connection.ioloop
        self._loop.activate_poller()

    @property
    def doubtful(self) -> bool:
        """Whether something went wrong, or a confirm is out that does not come."""
        return self._fault is not None or (bool(self._pending) and self.blocked is None)

    def open(self, deadline_s: float) -> None:
        """Wait for the channel.

        Raises:
            BrokerUnavailableError: it did not open in time.
        """
        self._run_until(lambda: self._ready, deadline_s)
        if not self._ready or self._fault is not None:
            raise explain(self._url, self._fault) from self._fault

    def is_usable(self) -> bool:
        """Take in what the broker has said since, and say whether the connection still stands."""
        for _ in range(_ROUNDS):
            self._loop.add_callback(lambda: None)  # so that poll() returns at once
            self._poll()
        return self._fault is None

    def publish(
        self, going: Sequence[tuple[int, Publication]], outcomes: list[PublishOutcome], deadline_s: float
    ) -> None:
        """Publish within the window and fill in ``outcomes`` at the given positions; what stays open stays UNKNOWN."""
        self._outcomes = outcomes
        left = deque(going)
        while left:
            self._run_until(lambda: len(self._pending) < WINDOW or self.blocked is not None, deadline_s)
            if self._fault is not None or len(self._pending) >= WINDOW or self.blocked is not None:
                break
            with self._connection.together():
                while left and len(self._pending) < WINDOW and self._fault is None:
                    self._last_tag += 1
                    self._pending[self._last_tag] = left.popleft()
                    self._send(self._pending[self._last_tag][1])
        self._run_until(lambda: not self._pending or self.blocked is not None, deadline_s)
        if self.blocked is not None:
            self._run_until(lambda: not self._pending, min(deadline_s, time.monotonic() + _BLOCKED_S))
            self._pending = {tag: (None, publication) for tag, (_, publication) in self._pending.items()}
        if isinstance(self._fault, ChannelClosedByBroker):
            self._blame(self._fault)

    def _send(self, one: Publication) -> None:
        properties = amqp_properties(one.properties)
        try:
            self._channel.basic_publish(one.exchange, one.routing_key, one.body, properties, mandatory=True)
        except AMQPError as error:
            self._on_fault(self._channel, error)

    def close(self) -> None:
        """Say goodbye, wait briefly for the answer, and leave."""
        if self._connection.is_open:
            self._connection.close()
            self._poll_until(lambda: self._gone, time.monotonic() + _GOODBYE_S)
        self.abort()

    def abort(self) -> None:
        """Leave at once: the broker may be past answering."""
        if not self._gone:
            # pika has no public way to drop a connection.
            self._connection._terminate_stream(TimeoutError("the broker does not answer"))  # noqa: SLF001
            self._poll_until(lambda: self._gone, time.monotonic() + _GOODBYE_S)
        self._loop.deactivate_poller()
        self._loop.close()

    def _run_until(self, done: Callable[[], bool], deadline_s: float) -> None:
        """Run pika's loop until ``done``, a fault or the deadline."""
        self._poll_until(lambda: done() or self._fault is not None, deadline_s)

    def _poll_until(self, done: Callable[[], bool], deadline_s: float) -> None:
        alarm = self._loop.call_later(max(0.0, deadline_s - time.monotonic()), lambda: None)
        while not done() and time.monotonic() < deadline_s and self._poll():
            pass
        self._loop.remove_timeout(alarm)

    def _poll(self) -> bool:
        """Run pika's loop once; say whether that went well.

        pika lets some faults out of its loop: ``ValueError``, for one, when a connection is reset as it opens.
        """
        try:
            self._loop.poll()
            self._loop.process_timeouts()
        except (AMQPError, OSError, ValueError) as error:
            self._on_fault(None, error)
            return False
        return True

    def _on_open(self, connection: Any) -> None:
        connection.channel(on_open_callback=self._on_channel_open)

    def _on_channel_open(self, channel: Any) -> None:
        self._channel = channel
        channel.add_on_close_callback(self._on_fault)
        channel.add_on_return_callback(self._on_return)
        channel.confirm_delivery(ack_nack_callback=self._on_confirm, callback=self._on_ready)

    def _on_ready(self, _: Any) -> None:
        self._ready = True

    def _on_fault(self, _: Any, error: BaseException) -> None:
        # The first is the cause, what follows are its consequences.
        self._fault = self._fault or error

    def _on_gone(self, connection: Any, error: BaseException) -> None:
        self._gone = True
        self._on_fault(connection, error)

    def _on_blocked(self, _: Any, frame: Any) -> None:
        self.blocked = str(frame.method.reason)

    def _on_unblocked(self, _connection: Any, _frame: Any) -> None:
        self.blocked = None

    def _on_return(self, channel: Any, method: Any, properties: Any, body: bytes) -> None:
        """Note which publication was returned: the oldest like it. It is confirmed all the same, right after."""
        returned = (method.exchange, method.routing_key, properties.message_id, body)
        for tag, (_, one) in self._pending.items():
            sent = (one.exchange, one.routing_key, one.properties.message_id, one.body)
            if sent == returned and tag not in self._returned:
                self._returned.add(tag)
                return
        self._on_fault(channel, LookupError("a message was returned that is none of ours"))

    def _on_confirm(self, frame: Any) -> None:
        if self._fault is not None:
            return
        method = frame.method
        outcome = PublishOutcome.CONFIRMED if method.NAME == "Basic.Ack" else PublishOutcome.REFUSED
        last = method.delivery_tag
        # Zero with multiple means all.
        tags = [tag for tag in self._pending if tag <= last or not last] if method.multiple else [last]
        for tag in tags:
            if tag in self._pending:
                position, _ = self._pending.pop(tag)
                if position is not None:  # else it was given up while the broker was blocked
                    self._outcomes[position] = PublishOutcome.RETURNED if tag in self._returned else outcome
                self._returned.discard(tag)

    def _blame(self, fault: ChannelClosedByBroker) -> None:
        """Settle those publications that made the broker close the channel, lest they do it again with each batch."""
        verdict = {_NOT_FOUND: PublishOutcome.RETURNED, _ACCESS_REFUSED: PublishOutcome.REFUSED}.get(fault.reply_code)
        if verdict is not None:
            for position, publication in self._pending.values():
                if position is not None and f"exchange '{publication.exchange}'" in fault.reply_text:
                    self._outcomes[position] = verdict
