"""The loops of a worker, one step at a time: receive, process, acknowledge; relay; do what is due."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection

from messages.transport.ports import Consumer, Delivery, Publisher
from store.connect import Store
from workers.changes import handle_changes
from workers.commands import handle_command
from workers.context import Context
from workers.log_lines import Line
from workers.pipeline import Clock, Handler, process, write_lines
from workers.relay import relay_once
from workers.timers import do_due_work

RECEIVE_WAIT = timedelta(milliseconds=500)
"""How long an idle consumer waits before it looks whether it is to stop."""

IDLE_WAIT = timedelta(milliseconds=20)
"""How long a relay or timer with nothing to do rests, unless another loop of its process calls it."""


class Loop(Protocol):
    """One job of a worker."""

    name: str

    def step(self) -> bool:
        """Do one piece of work; say whether there was any."""

    def close(self) -> None:
        """Leave."""


class Consuming:
    """Receives batches from queues and handles each in one transaction; acknowledges after the commit."""

    def __init__(self, name: str, consumer: Consumer, handler: Handler, desk: Workplace, batch: int) -> None:
        self.name, self._consumer, self._handler, self._place, self._batch = name, consumer, handler, desk, batch
        self._unhandled: Sequence[Delivery] = ()

    def step(self) -> bool:
        """Handle one batch; one that the store did not take is kept at hand and tried again first."""
        deliveries = self._unhandled or self._consumer.receive(self._batch, RECEIVE_WAIT)
        if not deliveries:
            return False
        self._unhandled = deliveries
        self._consumer.heartbeat()
        process(self._place.store, self._place.context, self._handler, deliveries, self._place.clock)
        self._unhandled = ()
        self._place.wake.set()
        self._consumer.acknowledge(deliveries)
        return True

    def close(self) -> None:
        """Give back what is not acknowledged."""
        self._consumer.close()


class Workplace:
    """What the loops of one process share.

    Attributes:
        wake: Set when a transaction may have left something to be sent or done.
    """

    def __init__(self, store: Store, context: Context, clock: Clock) -> None:
        self.store, self.context, self.clock = store, context, clock
        self.wake = threading.Event()
        self.wake_timers = threading.Event()

    def rest(self, event: threading.Event) -> None:
        """Wait a moment, or less if another loop calls."""
        event.wait(IDLE_WAIT.total_seconds())
        event.clear()


class Relaying:
    """Publishes the outbox."""

    name = "relay"

    def __init__(self, publisher: Publisher, place: Workplace, window: int) -> None:
        self._publisher, self._place, self._window = publisher, place, window

    def step(self) -> bool:
        """Publish one window."""
        place = self._place
        published, lines = relay_once(place.store, self._publisher, place.context, self._window, place.clock)
        write_lines(lines)
        if not published:
            place.rest(place.wake)
        return published > 0

    def close(self) -> None:
        """Leave."""
        self._publisher.close()


class Timing:
    """Does what is due."""

    name = "timers"

    def __init__(self, place: Workplace, limit: int) -> None:
        self._place, self._limit = place, limit

    def step(self) -> bool:
        """Do one batch of due work."""
        place = self._place
        with place.store.transaction() as conn:
            lines = do_due_work(conn, place.context, self._limit, place.clock())
        if lines is None:
            place.rest(place.wake_timers)
            return False
        write_lines(lines)
        place.wake.set()
        return True

    def close(self) -> None:
        """Nothing to leave."""


def handle_commands(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
    """Handle commands one by one; the consumer hands them over singly, so that each has its own transaction."""
    return [line for delivery in deliveries for line in handle_command(conn, context, delivery, now)]


HANDLERS: dict[str, Callable[[Connection, Context, Sequence[Delivery], datetime], list[Line]]] = {
    "changes": handle_changes,
    "commands": handle_commands,
}
"""What handles the deliveries of each consuming role."""
