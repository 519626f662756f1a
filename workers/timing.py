"""The loop that does what is due, and does less at once where something fails or takes too long."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from store import due as due_store
from store.due import Due, DueKind
from store.failures import StoreNotReadyError, StoreUnavailableError, TooMuchAtOnceError
from workers import metrics
from workers.bulk.chunks import fail_chunk, halve_chunk
from workers.careful import Careful
from workers.log_lines import Line
from workers.logs import get_logger
from workers.pipeline import write_lines
from workers.slow_work import SlowWork
from workers.timers import PUT_OFF, TURNS, put_off
from workers.workplace import TIMERS, Workplace

log = get_logger("workers.timing")


class Timing:
    """Does what is due."""

    name = TIMERS

    def __init__(self, place: Workplace, limit: int) -> None:
        self._place, self._limit, self._last = place, limit, TURNS[-1]
        self._careful = Careful(place.store, place.context, place.room, place.clock())
        self._at_once: dict[DueKind, int] = {}
        self._slow_work = SlowWork()

    def step(self) -> bool:
        """Do one batch of due work, if there is any; what fails costs that one piece of work only."""
        place, taken = self._place, list[Due]()
        with place.store.reading() as conn:
            due = due_store.kinds_due(conn, place.clock())
        if not due:
            place.rest(self.name)
            return False
        now, kind = place.clock(), self._next(due)
        try:
            lines = self._careful.do(kind, self._at_once.get(kind, self._limit), now, taken)
        except TooMuchAtOnceError as slow:
            if not taken:
                raise
            self._take_less(taken, slow)
            return True
        except (StoreUnavailableError, StoreNotReadyError):
            raise
        except Exception as fault:
            if not taken:
                raise
            self._fail(taken, fault)
            return True
        if not taken:
            place.rest(self.name)  # another worker has it at hand
            return False
        self._at_once[kind] = min(self._limit, 2 * self._at_once.get(kind, self._limit))
        self._slow_work.forget(taken)
        write_lines(lines)
        place.call()
        return True

    def _next(self, due: Collection[DueKind]) -> DueKind:
        """Return whose turn it is of what is due: none holds up another for longer than a batch."""
        after = TURNS.index(self._last) + 1
        self._last = next(kind for kind in (*TURNS[after:], *TURNS[:after]) if kind in due)
        return self._last

    def _take_less(self, taken: list[Due], slow: TooMuchAtOnceError) -> None:
        """Less at once may go through; what is too much by itself is put off: the database may only be slow today."""
        one, now, lines = taken[0], self._place.clock(), list[Line]()
        self._at_once[one.kind] = max(1, len(taken) // 2)
        if one.kind is DueKind.JOB or len(taken) == 1:
            rest = partial(self._slow_work.rest, one)
            with self._place.store.transaction() as conn:
                if one.kind is not DueKind.JOB:
                    put_off(conn, one, now + rest())
                elif due_store.delete(conn, [one.id]):  # else another worker has gone on meanwhile
                    lines = halve_chunk(conn, one.job or 0, now, rest)
        write_lines(lines)
        log.warning("work.slow", kind=one.kind, job=one.job, coupling=one.coupling, rows=len(taken), why=str(slow))

    def _fail(self, taken: list[Due], fault: Exception) -> None:
        """Take fewer at once until the one at fault stands alone; that one is put off."""
        if taken[0].kind is DueKind.JOB:
            self._fail_chunk(taken[0], fault)
            return
        self._at_once[taken[0].kind] = max(1, len(taken) // 2)
        if len(taken) > 1:
            return
        (one,) = taken
        with self._place.store.transaction() as conn:
            put_off(conn, one, self._place.clock() + PUT_OFF)
        record = None if one.record is None else str(one.record)
        log.error("work.failed", kind=one.kind, coupling=one.coupling, record=record, exc_info=fault)
        metrics.FAULTS.labels("work.failed").inc()

    def _fail_chunk(self, one: Due, fault: Exception) -> None:
        """Have the job go on with less at once, or past what fails; put it off where even that fails."""
        lines: list[Line] = []
        try:
            with self._place.store.transaction() as conn:
                if due_store.delete(conn, [one.id]):  # else another worker has gone on meanwhile
                    lines = fail_chunk(conn, one.job or 0, self._place.clock())
        except (StoreUnavailableError, StoreNotReadyError):
            raise
        except Exception as further:
            with self._place.store.transaction() as conn:
                put_off(conn, one, self._place.clock() + PUT_OFF)
            log.error("work.failed", kind=one.kind, job=one.job, exc_info=further)
        write_lines(lines)
        log.error("work.failed", kind=one.kind, job=one.job, exc_info=fault)
        metrics.FAULTS.labels("work.failed").inc()

    def close(self) -> None:
        """Nothing to leave."""
