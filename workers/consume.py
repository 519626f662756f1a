"""The loops of a worker, one step at a time: receive, process, acknowledge; relay; do what is due."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from sqlalchemy import Connection

from messages.transport.ports import Consumer, Delivery, Publisher
from store import due as due_store
from store import outbox as outbox_store
from store.connect import Store
from store.due import Due, DueKind
from store.failures import StoreNotReadyError, StoreUnavailableError
from workers.bulk.chunks import fail_chunk
from workers.commands import handle_command
from workers.context import Context
from workers.log_lines import Line
from workers.logs import get_logger
from workers.pipeline import Clock, Handler, process, write_lines
from workers.relay import relay_once
from workers.timers import do_due_work, put_off, take_due

log = get_logger("workers.consume")

RECEIVE_WAIT = timedelta(milliseconds=200)
"""How long an idle consumer waits before it looks whether it is to stop."""

DRAIN_WAIT = timedelta(milliseconds=30)
"""The same where the worker stops as soon as there is nothing left."""

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
    """What the loops of one process share."""

    def __init__(self, store: Store, context: Context, clock: Clock) -> None:
        self.store, self.context, self.clock = store, context, clock
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
        self.name, self._job, self._consumer, self._place, self._wait = job.name, job, consumer, place, wait
        self._unhandled: Sequence[Delivery] = ()

    @property
    def at_work(self) -> bool:
        """Whether a batch is at hand that is not acknowledged yet."""
        return bool(self._unhandled)

    def step(self) -> bool:
        """Handle one batch; one that the store did not take is kept at hand and tried again first."""
        deliveries = self._unhandled or self._consumer.receive(self._job.batch, self._wait)
        if not deliveries:
            return False
        self._unhandled = deliveries
        self._consumer.heartbeat()
        process(self._place.store, self._place.context, self._job.handler, deliveries, self._place.clock)
        self._place.call()
        handled, self._unhandled = self._unhandled, ()
        self._consumer.acknowledge(handled)
        return True

    def close(self) -> None:
        """Give back what is not acknowledged."""
        self._consumer.close()


class Relaying:
    """Publishes the outbox."""

    name = "relay"

    def __init__(self, publisher: Publisher, place: Workplace, window: int) -> None:
        self._publisher, self._place, self._window, self._idle = publisher, place, window, False

    def step(self) -> bool:
        """Publish one window; after one that was empty, rest and look before taking locks."""
        place = self._place
        if self._idle:
            place.rest(self.name)  # also where something waits: it may wait for its lease to end
            if not self._waiting():
                return False
        published, lines = relay_once(place.store, self._publisher, place.context, self._window, place.clock)
        write_lines(lines)
        self._idle = published == 0
        return published > 0

    def _waiting(self) -> bool:
        with self._place.store.reading() as conn:
            return outbox_store.count(conn) > 0

    def close(self) -> None:
        """Leave."""
        self._publisher.close()


class Timing:
    """Does what is due."""

    name = "timers"

    def __init__(self, place: Workplace, limit: int) -> None:
        self._place, self._limit, self._at_once, self._jobs_first = place, limit, limit, False

    def step(self) -> bool:
        """Do one batch of due work, if there is any; what fails costs that one piece of work only."""
        place, taken = self._place, list[Due]()
        with place.store.reading() as conn:
            due = due_store.count(conn, place.clock())
        if not due:
            place.rest(self.name)
            return False
        now = place.clock()
        try:
            with place.store.transaction() as conn:
                taken = take_due(conn, self._at_once, now, jobs_first=self._jobs_first)
                lines = do_due_work(conn, place.context, taken, now) if taken else []
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
        self._at_once = min(self._limit, 2 * self._at_once)
        self._jobs_first = taken[0].kind is not DueKind.JOB
        write_lines(lines)
        place.call()
        return True

    def _fail(self, taken: list[Due], fault: Exception) -> None:
        """Take fewer at once until the one at fault stands alone; that one is put off."""
        if taken[0].kind is DueKind.JOB:
            self._fail_chunk(taken[0], fault)
            return
        self._at_once = max(1, len(taken) // 2)
        if len(taken) > 1:
            return
        (one,) = taken
        with self._place.store.transaction() as conn:
            put_off(conn, one, self._place.clock())
        record = None if one.record is None else str(one.record)
        log.error("work.failed", kind=one.kind, coupling=one.coupling, record=record, exc_info=fault)

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

    def close(self) -> None:
        """Nothing to leave."""


def handle_commands(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
    """Handle commands one by one; the consumer hands them over singly, so that each has its own transaction."""
    return [line for delivery in deliveries for line in handle_command(conn, context, delivery, now)]
