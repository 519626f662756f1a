"""One batch, one visible pipeline: in one transaction read, decide, write; after its commit acknowledge and log.

A poisonous message costs that message only: a batch that fails for a reason of its own is halved until the message
stands alone, and that one goes to the dead queue.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, Protocol

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.dead import DeadReason
from messages.topology import commands_queue
from messages.transport.ports import Delivery
from store.connect import Store
from store.failures import StoreNotReadyError, StoreUnavailableError, TooMuchAtOnceError
from workers import metrics
from workers.changes import bury
from workers.commands import refuse_failed, refuse_unread
from workers.context import Context
from workers.handover import Handover
from workers.intake import reject
from workers.log_lines import Line
from workers.logs import get_logger, lines_together

log = get_logger("workers.pipeline")

Clock = Callable[[], datetime]


class Handler(Protocol):
    """What handles a batch inside a transaction, and returns the lines to be logged after the commit."""

    def __call__(
        self, conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime, /
    ) -> list[Line]:
        """Handle ``deliveries`` as of ``now``."""


class Handling(NamedTuple):
    """How batches are handled.

    Attributes:
        besides: Done in each transaction that handles or buries, at its end, with what it handled.
        between: Called before each part of a batch that is halved; the connection to the broker is kept alive there.
        handover: Takes what is committed to the relay of this process, where there is one.
    """

    store: Store
    context: Context
    handler: Handler
    clock: Clock
    besides: Callable[[Connection, Sequence[Delivery]], None] = lambda _conn, _deliveries: None
    between: Callable[[], None] = lambda: None
    handover: Handover | None = None


def process(handling: Handling, deliveries: Sequence[Delivery]) -> None:
    """Handle a batch whole; when this returns it is committed and may be acknowledged.

    Raises:
        StoreUnavailableError: nothing, a part, or everything was committed; to repeat the batch does no harm.
    """
    try:
        _commit(handling, deliveries)
    except (StoreUnavailableError, StoreNotReadyError) as away:
        if not isinstance(away, TooMuchAtOnceError) or len(deliveries) == 1:
            raise  # nobody is to blame
        _process_halves(handling, deliveries)
    except Exception as fault:  # whatever it is, it must cost one message and not the batch
        if len(deliveries) > 1:
            _process_halves(handling, deliveries)
            return
        log.error("batch.failed", queue=deliveries[0].queue, messages=1, exc_info=fault)
        metrics.FAULTS.labels("batch.failed").inc()
        detail = f"handling it failed with {type(fault).__name__}; this is a fault in Recouple, please report it"
        bury_one(handling, deliveries[0], DeadReason.FAILED_HERE, detail)


def _process_halves(handling: Handling, deliveries: Sequence[Delivery]) -> None:
    middle = len(deliveries) // 2
    for part in (deliveries[:middle], deliveries[middle:]):
        handling.between()
        process(handling, part)


def bury_one(handling: Handling, delivery: Delivery, reason: DeadReason, detail: str) -> None:
    """Send a message to the dead queue as it is; of a command, answer that it was not carried out."""
    refuse = refuse_unread if reason is DeadReason.KILLED_WORKER else refuse_failed

    def bury_it(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
        letters = [reject(one, reason, detail, "", now) for one in deliveries]
        orders = [one for one in deliveries if one.queue == commands_queue(context.namespace)]
        refused = [line for one in orders for line in refuse(conn, context, one, now)]
        return bury(conn, context, letters) + refused

    _commit(handling._replace(handler=bury_it), [delivery])


def _commit(handling: Handling, deliveries: Sequence[Delivery]) -> None:
    started = time.perf_counter()
    with _handing_over(handling) as context, handling.store.transaction() as conn:
        lines = handling.handler(conn, context, deliveries, handling.clock())
        handling.besides(conn, deliveries)
    write_lines(lines)
    duration_s = time.perf_counter() - started
    log.info("batch.committed", messages=len(deliveries), duration_ms=round(duration_s * 1000, 1))
    job = "commands" if deliveries[0].queue == commands_queue(handling.context.namespace) else "changes"
    metrics.count_batch(job, deliveries, lines, duration_s)


@contextmanager
def _handing_over(handling: Handling) -> Iterator[Context]:
    """Give what the handler is given; what it puts out goes to the relay of this process, where there is one."""
    context, handover = handling.context, handling.handover
    if handover is None:
        yield context
        return
    with handover.of_transaction(handling.store, lambda: handling.clock() + context.outbox_lease) as outgoing:
        yield replace(context, put=outgoing.put)


def write_lines(lines: Sequence[Line]) -> None:
    """Log and count what a committed transaction did."""
    metrics.count_lines(lines)
    with lines_together():
        for line in lines:
            getattr(log, line.level)(line.event, **line.fields)
