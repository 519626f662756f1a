"""One batch, one visible pipeline: in one transaction read, decide, write; after its commit acknowledge and log.

A poisonous message costs that message only: a batch that fails for a reason of its own is halved until the message
stands alone, and that one goes to the dead queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol

from sqlalchemy import Connection

from messages.dead import DeadReason
from messages.topology import commands_queue
from messages.transport.ports import Delivery
from store.connect import Store
from store.failures import StoreNotReadyError, StoreUnavailableError
from workers.changes import bury
from workers.commands import refuse_failed
from workers.context import Context
from workers.intake import reject
from workers.log_lines import Line
from workers.logs import get_logger

log = get_logger("workers.pipeline")

Clock = Callable[[], datetime]


class Handler(Protocol):
    """What handles a batch inside a transaction, and returns the lines to be logged after the commit."""

    def __call__(
        self, conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime, /
    ) -> list[Line]:
        """Handle ``deliveries`` as of ``now``."""


def process(store: Store, context: Context, handler: Handler, deliveries: Sequence[Delivery], clock: Clock) -> None:
    """Handle a batch whole; when this returns it is committed and may be acknowledged.

    Raises:
        StoreUnavailableError: nothing, or everything, was committed; give the batch back, it is harmless to repeat.
    """
    try:
        _commit(store, context, handler, deliveries, clock)
    except (StoreUnavailableError, StoreNotReadyError):
        raise
    except Exception as fault:  # whatever it is, it must cost one message and not the batch
        if len(deliveries) > 1:
            middle = len(deliveries) // 2
            process(store, context, handler, deliveries[:middle], clock)
            process(store, context, handler, deliveries[middle:], clock)
            return
        log.error("batch.failed", queue=deliveries[0].queue, messages=1, exc_info=fault)
        _commit(store, context, _bury_failed(fault), deliveries, clock)


def _commit(store: Store, context: Context, handler: Handler, deliveries: Sequence[Delivery], clock: Clock) -> None:
    started = time.perf_counter()
    with store.transaction() as conn:
        lines = handler(conn, context, deliveries, clock())
    write_lines(lines)
    duration_ms = round((time.perf_counter() - started) * 1000, 1)
    log.info("batch.committed", messages=len(deliveries), duration_ms=duration_ms)


def write_lines(lines: Sequence[Line]) -> None:
    """Log what a committed transaction did."""
    for line in lines:
        getattr(log, line.level)(line.event, **line.fields)


def _bury_failed(fault: Exception) -> Handler:
    def handle(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
        detail = f"handling it failed with {type(fault).__name__}; this is a fault in Recouple, please report it"
        letters = [reject(one, DeadReason.FAILED_HERE, detail, "", now) for one in deliveries]
        orders = [one for one in deliveries if one.queue == commands_queue(context.namespace)]
        refused = [line for one in orders for line in refuse_failed(conn, context, one, now)]
        return bury(conn, context, letters) + refused

    return handle
