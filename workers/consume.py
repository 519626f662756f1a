"""The loops of a worker that know the broker, one step at a time: receive, process, acknowledge; and relay."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Connection

from messages.transport.limits import ENOUGH_BYTES
from messages.transport.ports import BrokerUnavailableError, Consumer, Delivery, Publisher
from store import outbox as outbox_store
from store.connect import wait_for_locks
from store.failures import RowLockedError
from workers.commands import handle_command
from workers.context import Context
from workers.log_lines import Line
from workers.logs import get_logger
from workers.pipeline import Handler, Handling, process, write_lines
from workers.relay import Relay
from workers.suspects import Suspects
from workers.workplace import RELAY, Workplace

log = get_logger("workers.consume")

RECEIVE_WAIT = timedelta(milliseconds=200)
"""How long an idle consumer waits before it looks whether it is to stop."""

DRAIN_WAIT = timedelta(milliseconds=30)
"""The same where the worker stops as soon as there is nothing left."""

SUSPECTS_FOR = timedelta(milliseconds=500)
"""For about so long suspects are handled, until other messages, or the end, have their turn."""

COMMAND_LOCK_WAIT = timedelta(seconds=1)
"""So long a command waits for a row that another transaction holds, before others have their turn."""

LOCKED_REST = timedelta(seconds=2)
"""What waited for a row in vain is tried again after so long."""


class Job(NamedTuple):
    """What a consuming loop does with its deliveries, and how many at a time.

    Attributes:
        hands_over: What it has to say goes straight to the relay of its process, which there must be.
    """

    name: str
    handler: Handler
    batch: int
    hands_over: bool = False


class _Aside(NamedTuple):
    """One message over a row that another transaction holds, and when it is tried again."""

    delivery: Delivery
    again_s: float


class Consuming:
    """Receives batches from queues and handles each in one transaction; acknowledges after the commit."""

    def __init__(self, job: Job, consumer: Consumer, place: Workplace, wait: timedelta) -> None:
        self.name, self._consumer, self._place, self._wait = job.name, consumer, place, wait
        self._most = job.batch
        self._handling = Handling(
            place.store,
            place.context,
            job.handler,
            place.clock,
            between=self._consumer.heartbeat,
            handover=place.handover if job.hands_over else None,
        )
        self._batch: list[Delivery] = []
        self._aside: deque[_Aside] = deque()
        self._took_up = False
        self._suspects = Suspects(self._handling, place.owner)

    @property
    def at_work(self) -> bool:
        """Whether messages are at hand that are not acknowledged yet."""
        return bool(self._batch or self._suspects or self._aside)

    def step(self) -> bool:
        """Handle one batch, then for a while, and apart from all else, what may have killed a process before.

        A batch that the store did not take is kept at hand and tried again first; a single message over a row that
        somebody holds lets others go before it.
        """
        if not self._batch:
            self._took_up = not self._took_up and self._take_up()
            if not self._took_up:
                self._receive()
        if not (self._batch or self._suspects):
            return False
        self._consumer.heartbeat()
        if self._batch:
            try:
                with self._place.room.shared():
                    process(self._handling, self._batch)
            except RowLockedError as locked:
                if len(self._batch) > 1:
                    raise
                self._set_aside(locked)
                return True
            handled, self._batch = self._batch, []
            self._done(handled)
        self._handle_suspects()
        return True

    def _receive(self) -> None:
        room = self._most - len(self._suspects)
        if room <= 0 or self._suspects.size_bytes >= ENOUGH_BYTES:
            return
        try:
            received = self._consumer.receive(room, timedelta() if self._suspects else self._wait)
        except BrokerUnavailableError:
            self._forget()
            raise
        self._batch = self._suspects.take_in(received)

    def _handle_suspects(self) -> None:
        until_s = time.monotonic() + SUSPECTS_FOR.total_seconds()
        while self._suspects:
            self._consumer.heartbeat()
            with self._place.room.alone(self._consumer.heartbeat):
                handled = self._suspects.handle_next()
            self._done(handled)
            if time.monotonic() >= until_s:
                return

    def _done(self, handled: Sequence[Delivery]) -> None:
        self._place.call()
        try:
            self._consumer.acknowledge(handled)
        except BrokerUnavailableError:
            self._forget()
            self._consumer.close()  # whatever it holds comes again, to us or to others
            raise

    def _set_aside(self, locked: RowLockedError) -> None:
        [delivery], self._batch = self._batch, []
        self._aside.append(_Aside(delivery, time.monotonic() + LOCKED_REST.total_seconds()))
        message_id = delivery.properties.message_id
        log.warning("message.locked", queue=delivery.queue, message_id=message_id, why=str(locked))

    def _take_up(self) -> bool:
        """Take what was set aside, if it is time; say whether there was any. Others come between each two."""
        is_time = bool(self._aside) and self._aside[0].again_s <= time.monotonic()
        if is_time:
            self._batch = [self._aside.popleft().delivery]
        return is_time

    def _forget(self) -> None:
        """The connection is gone: what is at hand and not begun comes again."""
        self._suspects.clear()
        self._aside.clear()

    def close(self) -> None:
        """Give back what is not acknowledged."""
        self._consumer.close()


class Relaying:
    """Publishes the outbox."""

    name = RELAY

    def __init__(self, publisher: Publisher, place: Workplace, window: int) -> None:
        self._publisher, self._place, self._idle = publisher, place, False
        self._relay = Relay(publisher, place, window)

    def step(self) -> bool:
        """Publish one window; where nothing is left, rest and look before taking locks."""
        place = self._place
        if self._idle:
            place.rest(self.name)
            if not self._waiting():
                return False
        with place.room.shared():
            published, lines = self._relay.step()
        write_lines(lines)
        self._idle = not self._relay.has_more
        return published > 0

    def _waiting(self) -> bool:
        if self._relay.has_more:
            return True
        with self._place.store.reading() as conn:
            return outbox_store.has_ready(conn, self._place.clock())

    def close(self) -> None:
        """Leave."""
        self._relay.close()
        self._publisher.close()


def handle_commands(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
    """Handle commands one by one; the consumer hands them over singly, so that each has its own transaction."""
    wait_for_locks(conn, COMMAND_LOCK_WAIT)
    return [line for delivery in deliveries for line in handle_command(conn, context, delivery, now)]
