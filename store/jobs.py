"""Jobs: bulk work and manual synchronizations, how far they are and what they count, and lines on single records."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, select

from messages.values import Value
from store.documents import Document
from store.numbers import fresh
from store.sets import Statement, numbers
from store.tables import job_lines as lines_table
from store.tables import jobs as table

_INSERT = Statement(
    "INSERT INTO jobs (number, command, status, state) SELECT number, command, status, state FROM {given}",
    given="number int, command text, status text, state text",
)
_LOCK = Statement("SELECT state FROM jobs WHERE number = :number {for update}")
_SAVE = Statement(
    "UPDATE jobs SET status = given.status, state = given.state FROM {given} WHERE jobs.number = given.number",
    given="number int, status text, state text",
)
_APPEND = Statement(
    "INSERT INTO job_lines (job, record, outcome, detail) SELECT job, record, outcome, detail FROM {given}",
    given="job int, record text, outcome text, detail text",
)
_PURGE_LINES = Statement(
    """
    DELETE FROM job_lines WHERE id IN (
        SELECT id FROM job_lines WHERE job IN (SELECT number FROM {given}) LIMIT :limit {for update skip locked}
    )
    """,
    given="number int",
)
_PURGE = Statement(
    """
    DELETE FROM jobs WHERE number IN (SELECT number FROM {given})
    AND NOT EXISTS (SELECT 1 FROM job_lines l WHERE l.job = jobs.number)
    """,
    given="number int",
)


class Counters(msgspec.Struct, frozen=True, kw_only=True):
    """What a job has done, counted when it was instructed: what an app then refuses is an error of its own.

    Attributes:
        failed: An error was opened for it, or handling it failed in Recouple itself and it was passed over.
    """

    inserted: int = 0
    modified: int = 0
    deleted: int = 0
    unchanged: int = 0
    skipped: int = 0
    failed: int = 0
    coupled: int = 0
    uncoupled: int = 0

    def plus(self, other: Counters) -> Counters:
        """Return the sums."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        return Counters(**sums)


class JobStatus(StrEnum):
    """Where a job stands."""

    RUNNING = "running"
    """Its next chunk is due."""
    DONE = "done"
    """Over, and its command answered."""


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One job.

    Attributes:
        number: 0 until the store has given one.
        command: Id of the command that ordered it; ``name`` is the command's name.
        by: Who ordered it, as the command says; ``user_id`` as the broker says.
        reason: Why, in the operator's words; never logged.
        body: The command's data, as JSON text.
        reply_to: Where the answer goes, once for every time that the command came.
        total: How much there is to look at; ``None`` where nobody knows before the end.
        done: How much was looked at.
        cursor: What was looked at last, in the words of the job's own kind; the next chunk begins after it.
        chunk: At most so much is looked at in one transaction.
        extra: What the answer says besides the counters.
    """

    number: int = 0
    command: str
    name: str
    by: str
    user_id: str | None = None
    reason: str | None = None
    mapping: str | None = None
    body: str
    reply_to: tuple[str, ...] = ()
    traceparent: str | None = None
    status: JobStatus = JobStatus.RUNNING
    started_at: datetime
    finished_at: datetime | None = None
    total: int | None = None
    done: int = 0
    cursor: str = ""
    chunk: int = 1
    counters: Counters = Counters()
    extra: dict[str, Value] = {}


class JobLine(msgspec.Struct, frozen=True):
    """What a job has to say of one record, ``app/table/key``; ``id`` is 0 until the store has given one."""

    record: str
    outcome: str
    detail: str
    id: int = 0


_STATE = Document(Job)


def insert(connection: Connection, job: Job) -> Job:
    """Keep a new job and return it with its number.

    Raises:
        sqlalchemy.exc.IntegrityError: the command has a job already.
    """
    (number,) = fresh(connection, "jobs", "number", 1)
    job = msgspec.structs.replace(job, number=number)
    _INSERT.run(connection, given=[(number, job.command, job.status, _STATE.write(job))])
    return job


def lock(connection: Connection, number: int) -> Job | None:
    """Lock and return the job of this number, to go on with it; after work due and before every other lock."""
    state = _LOCK.run(connection, {"number": number}).scalar_one_or_none()
    return None if state is None else _STATE.read(state)


def save(connection: Connection, job: Job) -> None:
    """Keep how far a job is."""
    _SAVE.run(connection, given=[(job.number, job.status, _STATE.write(job))])


def add_reply(connection: Connection, command: str, reply_to: str) -> Job | None:
    """The command of this id came again: let its job answer there as well; return the job, locked, if it has one.

    To a job that is over by now nothing is added: whoever asks is to be answered at once.
    """
    found = by_command(connection, command)
    job = None if found is None else lock(connection, found.number)
    if job is None or job.status is JobStatus.DONE:
        return job
    job = msgspec.structs.replace(job, reply_to=(*job.reply_to, reply_to))
    save(connection, job)
    return job


def get(connection: Connection, number: int) -> Job | None:
    """Return the job of this number."""
    state = connection.execute(select(table.c.state).where(table.c.number == number)).scalar_one_or_none()
    return None if state is None else _STATE.read(state)


def by_command(connection: Connection, command: str) -> Job | None:
    """Return the job that the command of this id ordered."""
    state = connection.execute(select(table.c.state).where(table.c.command == command)).scalar_one_or_none()
    return None if state is None else _STATE.read(state)


def page(connection: Connection, limit: int, after: int | None = None, *, status: JobStatus | None = None) -> list[Job]:
    """Return up to ``limit`` jobs, newest first, or those that come after number ``after`` in that order."""
    query = select(table.c.state).order_by(table.c.number.desc()).limit(limit)
    if after is not None:
        query = query.where(table.c.number < after)
    if status is not None:
        query = query.where(table.c.status == status)
    return [_STATE.read(state) for state in connection.execute(query).scalars()]


def append_lines(connection: Connection, number: int, lines: Sequence[JobLine]) -> None:
    """Add these lines to the job of this number, in order."""
    if lines:
        _APPEND.run(connection, given=[(number, *map(_storable, _words(one))) for one in lines])


def lines(connection: Connection, number: int, limit: int, after: int = 0) -> list[JobLine]:
    """Return up to ``limit`` lines of the job of this number, in order, beginning after the line with id ``after``."""
    query = (
        select(lines_table)
        .where(lines_table.c.job == number, lines_table.c.id > after)
        .order_by(lines_table.c.id)
        .limit(limit)
    )
    return [JobLine(row.record, row.outcome, row.detail, row.id) for row in connection.execute(query)]


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` lines, or jobs, of those that were finished before that moment; return how many went."""
    query = select(table.c.state).where(table.c.status == JobStatus.DONE).order_by(table.c.number).limit(limit)
    oldest = map(_STATE.read, connection.execute(query).scalars())
    over = numbers(job.number for job in oldest if job.finished_at is not None and job.finished_at < before)
    if not over:
        return 0
    went = _PURGE_LINES.run(connection, {"limit": limit}, given=over).rowcount
    return went or _PURGE.run(connection, given=over).rowcount


def _words(line: JobLine) -> tuple[str, str, str]:
    return (line.record, line.outcome, line.detail)


def _storable(text: str) -> str:
    return text.replace("\0", "\ufffd")  # no text column takes a NUL
