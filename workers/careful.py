"""Due work that may have killed a worker: begun behind a mark, left alone for a while after a death, then done alone.

No broker counts here. What was due before this process began may be why the one before it is no more, so it is
marked, a batch at once, in a transaction of its own, and out of everybody's sight for a moment; the transaction that
does it deletes it. What has a mark from before is done alone, and out of sight for longer each time; nothing is lost.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from store import due as due_store
from store import jobs as job_store
from store.connect import Store
from store.due import Due, DueKind
from store.failures import StoreNotReadyError, StoreUnavailableError
from workers import metrics
from workers.bulk.chunks import fail_chunk, run_chunk
from workers.bulk.jobs import go_on
from workers.context import Context
from workers.log_lines import Line
from workers.logs import get_logger
from workers.room import Room
from workers.timers import do_due_work

log = get_logger("workers.careful")

FIRST_REST = timedelta(seconds=2)
"""For so long nobody takes up what was begun and not finished; five times as long each further time."""

LONGEST_REST = timedelta(days=1)

MAX_STARTS = 3
"""A single item of a job that was begun so often is passed over, so that the rest of the job goes on."""


class Careful:
    """Takes due work and does it; what is fresh in one transaction, what is not with care."""

    def __init__(self, store: Store, context: Context, room: Room, since: datetime) -> None:
        """``since`` is when this process began: what was due before is begun with care."""
        self._store, self._context, self._room, self._since = store, context, room, since

    def do(self, kind: DueKind, limit: int, now: datetime, taken: list[Due]) -> list[Line]:
        """Do up to ``limit`` pieces of work, and put into ``taken`` what they are; return the lines to be logged."""
        with self._room.shared(), self._store.transaction() as conn:
            # Of jobs it is one: its chunk can be halved when it fails.
            taken += due_store.claim(conn, now, 1 if kind is DueKind.JOB else limit, (kind,))
            begun = self._to_be_begun(taken)
            if not begun:
                due_store.delete(conn, [one.id for one in taken])
                return do_due_work(conn, self._context, taken, now) if taken else []
            taken[:] = begun
            due_store.begin(conn, [one.id for one in begun], now + _rest(begun[0].starts))
        try:
            return self._do_begun(taken, now)
        except Exception:
            self._give_up(taken)
            raise

    def _to_be_begun(self, taken: list[Due]) -> list[Due]:
        """Return what is to be marked first: the first that has a mark, alone; or all, if one is old, or a job's."""
        tried = [one for one in taken if one.starts]
        if tried:
            return tried[:1]
        careful = any(one.due_at <= self._since or one.kind is DueKind.JOB for one in taken)
        return [*taken] if careful else []

    def _do_begun(self, begun: list[Due], now: datetime) -> list[Line]:
        first = begun[0]
        if first.starts:
            log.warning("work.suspected", kind=first.kind, coupling=first.coupling, job=first.job, starts=first.starts)
        room = self._room.alone(lambda: None) if first.starts else self._room.shared()
        with room, self._store.transaction() as conn:
            left = due_store.take_again(conn, [one.id for one in begun])
            due_store.delete(conn, [one.id for one in left])
            if not left:
                return []
            if first.starts and first.kind is DueKind.JOB:
                return _chunk_again(conn, self._context, first, now)
            return do_due_work(conn, self._context, left, now)

    def _give_up(self, begun: list[Due]) -> None:
        """We live: take the marks back; where the store is away still, the work waits until they are over."""
        with suppress(StoreUnavailableError, StoreNotReadyError), self._store.transaction() as conn:
            due_store.give_up(conn, [one.id for one in begun])


def _rest(starts: int) -> timedelta:
    factor: int = 5 ** min(starts, 10)
    return min(LONGEST_REST, factor * FIRST_REST)


def _chunk_again(conn: Connection, context: Context, one: Due, now: datetime) -> list[Line]:
    """A single item next, for halving would cost a death each time; and then the same once more, or past it."""
    number = one.job or 0
    job = job_store.lock(conn, number)
    if job is not None and job.chunk > 1:
        return go_on(conn, replace(job, chunk=1), job.cursor, now)
    if one.starts < MAX_STARTS:
        return run_chunk(conn, context, number, now)
    log.error("work.failed", kind=one.kind, job=number)
    metrics.FAULTS.labels("work.failed").inc()
    return fail_chunk(conn, number, now)
