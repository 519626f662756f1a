"""One chunk of a job, and what becomes of one that fails. ``STEPS`` has a row for every order that is a job."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.commands import CoupleMatching, Loaded, Purge, RetryAll, Synchronize
from messages.orders import read_order
from store import due as due_store
from store import jobs as job_store
from store.due import Due, DueKind
from store.jobs import Counters, Job, JobLine, JobStatus
from workers.bulk import loading, matching, purging, retrying, synchronizing
from workers.bulk.jobs import CHUNK, Step, go_on, job_line
from workers.bulk.waiting import LOOK_AGAIN, must_wait
from workers.context import Context
from workers.log_lines import Line


class Work(NamedTuple):
    """What a kind of job does.

    Attributes:
        step: Does one chunk: looks at no more than ``job.chunk`` items after ``job.cursor``.
        skip: Returns the cursor past the first item after ``job.cursor``, untouched; ``None`` where nothing is left.
        sends: Whether apps may be sent what it decides: then it waits while they are sent enough.
    """

    step: Callable[[Connection, Context, Job, Any, datetime], Step]
    skip: Callable[[Connection, Job, Any], str | None]
    sends: bool = True


STEPS: dict[type, Work] = {
    CoupleMatching: Work(matching.match_chunk, matching.skip_record),
    Loaded: Work(loading.settle_chunk, loading.skip_arrival),
    Purge: Work(purging.purge_chunk, purging.skip_error, sends=False),
    RetryAll: Work(retrying.retry_chunk, retrying.skip_error),
    Synchronize: Work(synchronizing.synchronize_chunk, synchronizing.skip_coupling),
}
"""What each order that is a job does, chunk by chunk."""


def run_chunk(conn: Connection, context: Context, number: int, now: datetime) -> list[Line]:
    """Do one chunk in the caller's transaction; return the lines to be logged after the commit.

    The caller holds the row of due work that names the job, and deletes it in this transaction.
    """
    job = job_store.lock(conn, number)
    if job is None or job.status is JobStatus.DONE:
        return []
    order = read_order(job.name, job.body)
    work = STEPS[type(order)]
    if work.sends and must_wait(conn, context, job, now):
        due_store.put(conn, [Due(kind=DueKind.JOB, job=number, due_at=now + LOOK_AGAIN)])
        return []
    step = work.step(conn, context, job, order, now)
    job_store.append_lines(conn, number, step.notes)
    further = replace(
        job,
        counters=job.counters.plus(step.counters),
        done=job.done + step.done,
        extra={**job.extra, **step.extra},
        chunk=min(CHUNK, 2 * job.chunk),  # after a failure, step by step back to what is usual
    )
    started = [] if job.cursor else [job_line("job.started", job)]
    return [*started, *step.lines, *go_on(conn, further, step.cursor, now)]


def halve_chunk(conn: Connection, number: int, now: datetime, rest: Callable[[], timedelta]) -> list[Line]:
    """A chunk was too much for the database and was rolled back: half of it next, or, of a single item, that later.

    Nothing is passed over: the database may only be slow today. The caller deletes the row of due work, as ever.

    Args:
        rest: Says for how long a single item is left alone; not called where there is something to halve.
    """
    job = job_store.lock(conn, number)
    if job is None or job.status is JobStatus.DONE:
        return []
    if job.chunk > 1:
        return go_on(conn, replace(job, chunk=job.chunk // 2), job.cursor, now)
    due_store.put(conn, [Due(kind=DueKind.JOB, job=number, due_at=now + rest())])
    return []


def fail_chunk(conn: Connection, number: int, now: datetime) -> list[Line]:
    """A chunk failed in Recouple itself and was rolled back: half of it next, or, of a single item, pass that over.

    The caller holds the row of due work that named the job, and deletes it in this transaction.
    """
    job = job_store.lock(conn, number)
    if job is None or job.status is JobStatus.DONE:
        return []
    if job.chunk > 1:
        return go_on(conn, replace(job, chunk=job.chunk // 2), job.cursor, now)
    order = read_order(job.name, job.body)
    cursor = STEPS[type(order)].skip(conn, job, order)
    if cursor is not None:
        detail = f"passed over at {cursor}: handling it failed in Recouple itself; `work.failed` in the log says where"
        job_store.append_lines(conn, number, [JobLine("", "failed", detail)])
        job = replace(job, counters=job.counters.plus(Counters(failed=1)), done=job.done + 1)
    return go_on(conn, job, cursor, now)
