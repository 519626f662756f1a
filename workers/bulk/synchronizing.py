"""``synchronize`` of a whole mapping: every coupling, chunk by chunk in the order of their numbers."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.commands import Command, Synchronize
from store import couplings as coupling_store
from store.jobs import Counters, Job
from workers.bulk.counting import count
from workers.bulk.jobs import Step, begin, finished_line, record_done
from workers.bulk.resolving_many import resolve_many
from workers.carried import Carried
from workers.context import Context
from workers.refusal import no_such
from workers.resolving import resolve_coupling, resolve_one
from workers.targets import find


def synchronize(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Synchronize one coupling at once, or begin the job that synchronizes those of a mapping.

    Raises:
        RefusedError: what it names is not there, or cannot be synchronized.
    """
    order = command.order
    assert isinstance(order, Synchronize)  # noqa: S101 - the table of handlers says so
    if order.mapping is None:
        return _one(conn, context, command, order, now)
    if order.mapping not in context.file.mappings:
        raise no_such("mapping", order.mapping, context.file.mappings)
    total = coupling_store.count_open(conn, order.mapping)
    begin(conn, command, now, mapping=order.mapping, total=total)
    return Carried(result=None)


def _one(conn: Connection, context: Context, command: Command, order: Synchronize, now: datetime) -> Carried:
    """A manual synchronization of one coupling: a job that is over at once."""
    named = find(conn, order.error, order.coupling, order.revision)
    if named.coupling is None:
        return resolve_one(conn, context, command, now)
    carried, decided = resolve_coupling(conn, context, command, named.coupling, now)
    job = record_done(conn, command, now, count([decided]), mapping=decided.situation.mapping.name)
    result = {**(carried.result or {}), "job": job.number}
    return replace(carried, result=result, lines=[*carried.lines, finished_line(job)])


def synchronize_chunk(conn: Connection, context: Context, job: Job, order: Synchronize, now: datetime) -> Step:
    """Synchronize the next couplings; what does not apply to one is counted as skipped."""
    assert order.mapping is not None  # noqa: S101 - else it would be no job
    numbers = coupling_store.numbers_of(conn, order.mapping, job.chunk, int(job.cursor or 0))
    if not numbers:
        return Step(counters=Counters(), done=0, cursor=None)
    orders = {number: replace(order, mapping=None, coupling=number) for number in numbers}
    resolved = resolve_many(conn, context, job, orders, now)
    return Step(counters=resolved.counters, done=len(numbers), cursor=str(numbers[-1]), lines=resolved.lines)


def skip_coupling(conn: Connection, job: Job, order: Synchronize) -> str | None:
    """Pass over the next coupling."""
    numbers = coupling_store.numbers_of(conn, order.mapping or "", 1, int(job.cursor or 0))
    return str(numbers[-1]) if numbers else None
