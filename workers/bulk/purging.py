"""The ``purge`` command: delete resolved errors that are old enough; a job."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from messages.commands import Command, Purge
from store import errors as error_store
from store.errors import Resolved
from store.jobs import Counters, Job
from workers.bulk.jobs import Step, begin
from workers.carried import Carried
from workers.context import Context


def purge(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:  # noqa: ARG001 - a handler
    """Begin to delete."""
    assert isinstance(command.order, Purge)  # noqa: S101 - registered for this order only
    begin(conn, command, now, total=error_store.count_resolved(conn, _meant(command.order, now)))
    return Carried(result=None)


def purge_chunk(conn: Connection, context: Context, job: Job, order: Purge, now: datetime) -> Step:  # noqa: ARG001 - a step
    """Delete the next ones; at the end, count what stays because a coupling is skipped for it."""
    meant = _meant(order, job.started_at)
    deleted = error_store.purge(conn, meant, job.chunk, int(job.cursor or 0))
    counters = Counters(deleted=len(deleted))
    if len(deleted) < job.chunk:
        kept = error_store.count_explaining(conn, meant)
        return Step(counters=counters, done=len(deleted), cursor=None, extra={"kept": kept})
    return Step(counters=counters, done=len(deleted), cursor=str(deleted[-1]))


def skip_error(conn: Connection, job: Job, order: Purge) -> str | None:
    """Pass over the next one."""
    found = error_store.resolved_numbers(conn, _meant(order, job.started_at), 1, int(job.cursor or 0))
    return str(found[0]) if found else None


def _meant(order: Purge, ordered_at: datetime) -> Resolved:
    before = ordered_at - timedelta(days=order.older_than_days) if order.older_than_days else None
    return Resolved(before=before, family=order.family)
