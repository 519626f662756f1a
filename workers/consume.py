"""The loops of a worker, one step at a time: receive, process, acknowledge; relay; do what is due."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from messages.transport.limits import ENOUGH_BYTES
from messages.transport.ports import BrokerUnavailableError, Consumer, Delivery, Publisher
from store import due as due_store
from store import outbox as outbox_store
from store.connect import Store
from store.due import Due, DueKind
from store.failures import StoreNotReadyError, StoreUnavailableError, TooMuchAtOnceError
from workers import metrics
from workers.bulk.chunks import fail_chunk, halve_chunk
from workers.careful import Careful
from workers.commands import handle_command
from workers.context import Context
from workers.log_lines import Line
from workers.logs import get_logger
from workers.pipeline import Clock, Handler, Handling, process, write_lines
from workers.relay import Relay
from workers.room import Room
from workers.suspects import Suspects
from workers.timers import PUT_OFF, TURNS, put_off

log = get_logger("workers.consume")

RECEIVE_WAIT = timedelta(milliseconds=200)
"""How long an idle consumer waits before it looks whether it is to stop."""

DRAIN_WAIT = timedelta(milliseconds=30)
"""The same where the worker stops as soon as there is nothing left."""

SUSPECTS_FOR = timedelta(milliseconds=500)
"""For about so long suspects are handled, until other messages, or the end, have their turn."""

IDLE_WAIT = timedelta(milliseconds=20)
"""How long a relay or timer with nothing to do rests, unless another loop of its process calls it."""


class Loop(Protocol):
    """One job of a worker."""

    name: str

    def step(self) -> bool:
        """Do one piece of work; say whether there was any."""

    def close(self) -> None:
        """Leave."""


class Workplace:
    """What the loops of one process share.

    Attributes:
        room: Where they work side by side; a message that may have killed a process is handled alone.
        owner: Names this process on what it marks.
    """

    def __init__(self, store: Store, context: Context, clock: Clock) -> None:
        self.store, self.context, self.clock = store, context, clock
        self.room, self.owner = Room(), context.tokens()
        self._called = {name: threading.Event() for name in (Relaying.name, Timing.name)}

    def call(self) -> None:
        """A transaction may have left something to be sent or done: let nobody rest."""
        for event in self._called.values():
            event.set()

    def rest(self, name: str) -> None:
        """Wait a moment, or less if another loop calls."""
        event = self._called[name]
        event.wait(IDLE_WAIT.total_seconds())
        event.clear()


class Job(NamedTuple):
    """What a consuming loop does with its deliveries, and how many at a time."""

    name: str
    handler: Handler
    batch: int


class Consuming:
    """Receives batches from queues and handles each in one transaction; acknowledges after the commit."""

    def __init__(self, job: Job, consumer: Consumer, place: Workplace, wait: timedelta) -> None:
        self.name, self._consumer, self._place, self._wait = job.name, consumer, place, wait
        self._most = job.batch
        self._handling = Handling(
            place.store, place.context, job.handler, place.clock, between=self._consumer.heartbeat
        )
        self._batch: list[Delivery] = []
        self._suspects = Suspects(self._handling, place.owner)

    @property
    def at_work(self) -> bool:
        """Whether messages are at hand that are not acknowledged yet."""
        return bool(self._batch or self._suspects)

    def step(self) -> bool:
        """Handle one batch, then for a while, and apart from all else, what may have killed a process before.

        A batch that the store did not take is kept at hand and tried again first.
        """
        if not self._batch:
            self._receive()
        if not self.at_work:
            return False
        self._consumer.heartbeat()
        if self._batch:
            with self._place.room.shared():
                process(self._handling, self._batch)
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
            self._suspects.clear()  # they come again
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
            self._suspects.clear()
            self._consumer.close()  # whatever it holds comes again, to us or to others
            raise

    def close(self) -> None:
        """Give back what is not acknowledged."""
        self._consumer.close()


class Relaying:
    """Publishes the outbox."""

    name = "relay"

    def __init__(self, publisher: Publisher, place: Workplace, window: int) -> None:
        self._publisher, self._place, self._idle = publisher, place, False
        self._relay = Relay(place.store, publisher, place.context, window, place.clock)

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
        with self._place.store.reading() as conn:
            return outbox_store.has_ready(conn, self._place.clock())

    def close(self) -> None:
        """Leave."""
        self._relay.close()
        self._publisher.close()


class Timing:
    """Does what is due."""

    name = "timers"

    def __init__(self, place: Workplace, limit: int) -> None:
        self._place, self._limit, self._last = place, limit, TURNS[-1]
        self._careful = Careful(place.store, place.context, place.room, place.clock())
        self._at_once: dict[DueKind, int] = {}

    def step(self) -> bool:
        """Do one batch of due work, if there is any; what fails costs that one piece of work only."""
        place, taken = self._place, list[Due]()
        with place.store.reading() as conn:
            due = due_store.kinds_due(conn, place.clock())
        if not due:
            place.rest(self.name)
            return False
        now, kind = place.clock(), self._next(due)
        try:
            lines = self._careful.do(kind, self._at_once.get(kind, self._limit), now, taken)
        except TooMuchAtOnceError as slow:
            if not taken:
                raise
            self._take_less(taken, slow)
            return True
        except (StoreUnavailableError, StoreNotReadyError):
            raise
        except Exception as fault:
            if not taken:
                raise
            self._fail(taken, fault)
            return True
        if not taken:
            place.rest(self.name)  # another worker has it at hand
            return False
        self._at_once[kind] = min(self._limit, 2 * self._at_once.get(kind, self._limit))
        write_lines(lines)
        place.call()
        return True

    def _next(self, due: Collection[DueKind]) -> DueKind:
        """Return whose turn it is of what is due: none holds up another for longer than a batch."""
        after = TURNS.index(self._last) + 1
        self._last = next(kind for kind in (*TURNS[after:], *TURNS[:after]) if kind in due)
        return self._last

    def _take_less(self, taken: list[Due], slow: TooMuchAtOnceError) -> None:
        """Less at once may go through; what is too much by itself is put off: the database may only be slow today."""
        one, now, lines = taken[0], self._place.clock(), list[Line]()
        self._at_once[one.kind] = max(1, len(taken) // 2)
        if one.kind is DueKind.JOB or len(taken) == 1:
            with self._place.store.transaction() as conn:
                if one.kind is not DueKind.JOB:
                    put_off(conn, one, now)
                elif due_store.delete(conn, [one.id]):  # else another worker has gone on meanwhile
                    lines = halve_chunk(conn, one.job or 0, now, now + PUT_OFF)
        write_lines(lines)
        log.warning("work.slow", kind=one.kind, job=one.job, coupling=one.coupling, rows=len(taken), why=str(slow))

    def _fail(self, taken: list[Due], fault: Exception) -> None:
        """Take fewer at once until the one at fault stands alone; that one is put off."""
        if taken[0].kind is DueKind.JOB:
            self._fail_chunk(taken[0], fault)
            return
        self._at_once[taken[0].kind] = max(1, len(taken) // 2)
        if len(taken) > 1:
            return
        (one,) = taken
        with self._place.store.transaction() as conn:
            put_off(conn, one, self._place.clock())
        record = None if one.record is None else str(one.record)
        log.error("work.failed", kind=one.kind, coupling=one.coupling, record=record, exc_info=fault)
        metrics.FAULTS.labels("work.failed").inc()

    def _fail_chunk(self, one: Due, fault: Exception) -> None:
        """Have the job go on with less at once, or past what fails; put it off where even that fails."""
        lines: list[Line] = []
        try:
            with self._place.store.transaction() as conn:
                if due_store.delete(conn, [one.id]):  # else another worker has gone on meanwhile
                    lines = fail_chunk(conn, one.job or 0, self._place.clock())
        except (StoreUnavailableError, StoreNotReadyError):
            raise
        except Exception as further:
            with self._place.store.transaction() as conn:
                put_off(conn, one, self._place.clock())
            log.error("work.failed", kind=one.kind, job=one.job, exc_info=further)
        write_lines(lines)
        log.error("work.failed", kind=one.kind, job=one.job, exc_info=fault)
        metrics.FAULTS.labels("work.failed").inc()

    def close(self) -> None:
        """Nothing to leave."""


def handle_commands(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
    """Handle commands one by one; the consumer hands them over singly, so that each has its own transaction."""
    return [line for delivery in deliveries for line in handle_command(conn, context, delivery, now)]
