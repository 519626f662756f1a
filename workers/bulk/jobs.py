"""The life of a job: begun by its command, a chunk in each transaction of the timers, and at its end the answer.

How far a job is stands in the store, written in the transaction of the chunk. So a job survives every restart, two
workers never do one chunk twice, and what a killed worker had not committed is simply done by the next.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from msgspec.structs import asdict, replace
from sqlalchemy import Connection

from messages.codec import CommandHead, encode_answer
from messages.commands import Command, Done
from messages.orders import order_data
from messages.values import Value, encode_json
from store import commands as command_store
from store import due as due_store
from store import jobs as job_store
from store import outbox as outbox_store
from store.due import Due, DueKind
from store.jobs import Counters, Job, JobLine, JobStatus
from workers.kept_answers import kept
from workers.log_lines import Line

CHUNK = 200
"""How much a chunk looks at unless one failed: its locks are held for a fraction of a second."""


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """What one chunk of a job came to.

    Attributes:
        counters: Of this chunk alone.
        done: How much it looked at.
        cursor: What it looked at last; ``None`` where nothing is left.
        lines: To be logged after the commit.
        notes: Lines on single records, for ``recouple jobs``.
        extra: What the answer is to say besides the counters; replaces what was said under the same names.
    """

    counters: Counters = Counters()
    done: int = 0
    cursor: str | None
    lines: list[Line] = []
    notes: tuple[JobLine, ...] = ()
    extra: dict[str, Value] = {}


def begin(
    conn: Connection, command: Command, now: datetime, *, mapping: str | None = None, total: int | None = None
) -> Job:
    """Begin the job that ``command`` orders; its first chunk is due now, and the answer comes at the end."""
    job = job_store.insert(conn, replace(_new(command, now), mapping=mapping, total=total))
    due_store.put(conn, [Due(kind=DueKind.JOB, job=job.number, due_at=now)])
    return job


def record_done(
    conn: Connection, command: Command, now: datetime, counters: Counters, *, mapping: str | None = None
) -> Job:
    """Keep the job of a single coupling, which is over at once; the command answers itself.

    ``finished_line`` tells the structured log of it.
    """
    over = replace(_new(command, now), status=JobStatus.DONE, finished_at=now, mapping=mapping, total=1, done=1)
    return job_store.insert(conn, replace(over, counters=counters, reply_to=()))


def answer_of(job: Job) -> Done:
    """Return the answer to the command of a job that is over."""
    counted: dict[str, Value] = {"job": job.number, **asdict(job.counters), "total": job.total, "done": job.done}
    return Done(command=job.name, result=counted | job.extra)


def finished_line(job: Job) -> Line:
    """What the structured log says of a job that is over."""
    lasted = (job.finished_at or job.started_at) - job.started_at
    return job_line("job.finished", job, duration_ms=round(lasted / timedelta(milliseconds=1), 1))


def _new(command: Command, now: datetime) -> Job:
    return Job(
        command=command.id,
        name=command.name,
        by=command.source,
        user_id=command.user_id,
        reason=command.reason,
        body=encode_json(order_data(command.order, None)).decode(),
        reply_to=() if command.reply_to is None else (command.reply_to,),
        traceparent=command.traceparent,
        started_at=now,
        chunk=CHUNK,
    )


def go_on(conn: Connection, job: Job, cursor: str | None, now: datetime) -> list[Line]:
    """Keep how far the job is; the next chunk is due, or, without a ``cursor``, it is over and its command answered."""
    if cursor is not None:
        job_store.save(conn, replace(job, cursor=cursor))
        due_store.put(conn, [Due(kind=DueKind.JOB, job=job.number, due_at=now)])
        return [job_line("job.progressed", job, level="debug")]
    total = job.done if job.total is None else min(job.total, job.done)  # what was gone meanwhile is not waited for
    over = replace(job, status=JobStatus.DONE, finished_at=now, total=total)
    job_store.save(conn, over)
    answer = answer_of(over)
    answered = command_store.answer(conn, [(over.command, kept(answer), now)])
    outbox_store.put(conn, [(encode_answer(answer, _head(over, reply_to), now), None) for reply_to in over.reply_to])
    return [finished_line(over), *([_answered(over)] if answered else [])]


def _head(job: Job, reply_to: str) -> CommandHead:
    return CommandHead(
        id=job.command,
        source=job.by,
        name=job.name,
        reply_to=reply_to,
        user_id=job.user_id,
        traceparent=job.traceparent,
    )


def _answered(job: Job) -> Line:
    fields = {"command": job.name, "message_id": job.command, "by": job.by, "user_id": job.user_id, "job": job.number}
    return Line(event="command.done", fields=fields)


def job_line(event: str, job: Job, *, level: str = "info", duration_ms: float | None = None) -> Line:
    """What the structured log says of a job: how far it is."""
    fields = {
        "job": job.number,
        "command": job.name,
        "message_id": job.command,
        "mapping": job.mapping,
        **asdict(job.counters),
        "total": job.total,
        "done": job.done,
        "duration_ms": duration_ms,
        "trace_id": None if job.traceparent is None else job.traceparent.split("-")[1],
    }
    return Line(event=event, level=level, fields=fields)
