"""``retry_all``: every open error that fits, chunk by chunk in the order of their numbers."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from messages.commands import Command, Retry, RetryAll
from messages.errors import ErrorKind, ErrorReport, ErrorStatus
from messages.records import RecordRef
from store import due as due_store
from store import errors as error_store
from store.due import Due, DueKind
from store.errors import ErrorFilters
from store.jobs import Counters, Job
from workers.bulk.jobs import Step, begin
from workers.bulk.resolving_many import resolve_many
from workers.carried import Carried
from workers.context import Context
from workers.refusal import no_such


def retry_all(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Begin the job.

    Raises:
        RefusedError: the mapping is not in the file.
    """
    order = command.order
    assert isinstance(order, RetryAll)  # noqa: S101 - the table of handlers says so
    if order.mapping is not None and order.mapping not in context.file.mappings:
        raise no_such("mapping", order.mapping, context.file.mappings)
    total = error_store.count(conn, _filters(order))
    begin(conn, command, now, mapping=order.mapping, total=total)
    return Carried(result=None)


def retry_chunk(conn: Connection, context: Context, job: Job, order: RetryAll, now: datetime) -> Step:
    """Retry the next errors; those that were opened after the job began are left alone."""
    page = error_store.page(conn, _filters(order), job.chunk, int(job.cursor or 0))
    found = [one for one in page if one.opened_at <= job.started_at]
    if not found:
        return Step(counters=Counters(), done=0, cursor=None)
    orders = {one.coupling: Retry(error=one.error) for one in found if one.coupling is not None}
    resolved = resolve_many(conn, context, job, orders, now)
    ambiguous = [one for one in found if one.kind is ErrorKind.MATCH_AMBIGUOUS]
    due_store.put(conn, [_match_again(one, now) for one in ambiguous])
    others = len(found) - len(orders) - len(ambiguous)
    counters = resolved.counters.plus(Counters(skipped=others, unchanged=len(ambiguous)))
    return Step(counters=counters, done=len(found), cursor=str(page[-1].error), lines=resolved.lines)


def skip_error(conn: Connection, job: Job, order: RetryAll) -> str | None:
    """Pass over the next error, without reading what it says: that may be what cannot be read."""
    number = error_store.next_number(conn, _filters(order), int(job.cursor or 0))
    return None if number is None else str(number)


def _filters(order: RetryAll) -> ErrorFilters:
    return ErrorFilters(
        mapping=order.mapping,
        kind=order.kind,
        code=order.code,
        fingerprint=order.fingerprint,
        status=frozenset({ErrorStatus.OPEN}),
    )


def _match_again(told: ErrorReport, now: datetime) -> Due:
    """A record that matches several is matched once more, in a transaction of its own."""
    side = told.left or told.right
    record = None if side is None or side.key is None else RecordRef(side.app, side.table, side.key)
    return Due(kind=DueKind.ARRIVAL, record=record, mapping=told.mapping, due_at=now)
