"""What has had its time is deleted: about once an hour, a thousand rows in a transaction, and never the audit.

Every deletion names what is older than a moment, so that it does no harm when several workers do it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

import msgspec
from sqlalchemy import Connection

from store import errors as error_store
from store import handled as handled_store
from store import instructions as instruction_store
from store import jobs as job_store
from store import log as log_store
from store import suspects as suspect_store
from store.connect import Store
from store.errors import Resolved
from store.failures import StoreNotReadyError, StoreUnavailableError, TooMuchAtOnceError
from workers import metrics
from workers.logs import get_logger

log = get_logger("workers.retention")

FIRST_ROUND = timedelta(minutes=1)
"""At most so long after its start a worker begins the first round."""

ROUND = timedelta(hours=1)
"""From the end of a round to the next, give or take a tenth."""

AT_ONCE = 1000
"""At most so many rows go in one transaction."""


class Keep(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept.

    Attributes:
        errors: Resolved errors.
        log: The synchronization log, answered instructions and finished jobs.
        handled: Ids of messages that were handled, and marks of those that were begun and never came again.
    """

    errors: timedelta
    log: timedelta
    handled: timedelta


class _Sweep(NamedTuple):
    """One kind of thing that is deleted; ``purge`` takes the moment and how many may go, and returns how many went."""

    name: str
    kept: Callable[[Keep], timedelta]
    purge: Callable[[Connection, datetime, int], int]


def _purge_errors(conn: Connection, before: datetime, limit: int) -> int:
    return len(error_store.purge(conn, Resolved(before=before), limit))


_SWEEPS = (
    _Sweep("errors", lambda keep: keep.errors, _purge_errors),
    _Sweep("log_lines", lambda keep: keep.log, log_store.purge),
    _Sweep("instructions", lambda keep: keep.log, instruction_store.purge),
    _Sweep("jobs", lambda keep: keep.log, job_store.purge),
    _Sweep("handled", lambda keep: keep.handled, handled_store.purge),
    _Sweep("suspects", lambda keep: keep.handled, suspect_store.purge),
)


class Retaining:
    """The loop that deletes: one transaction a step, so that it stops as soon as it is asked to."""

    name = "retention"

    def __init__(
        self,
        store: Store,
        keep: Keep,
        clock: Callable[[], datetime],
        wait: timedelta,
        chance: Callable[[], float],
    ) -> None:
        """``wait``: how long a step with nothing to do rests; ``chance`` draws from 0 to 1, to spread the workers."""
        self._store, self._keep, self._clock, self._wait, self._chance = store, keep, clock, wait, chance
        self._resting = threading.Event()
        self._begun, self._next = clock(), clock() + FIRST_ROUND * chance()
        self._left: list[_Sweep] = []
        self._at_once = AT_ONCE
        self._went: dict[str, int] = {}

    def step(self) -> bool:
        """Delete up to a thousand rows, if it is time; say whether there is more to do."""
        now = self._clock()
        if not self._left:
            if now < self._next:
                self._resting.wait(self._wait.total_seconds())
                return False
            self._begun, self._left, self._went = now, [*_SWEEPS], {}
        sweep, limit = self._left[0], self._at_once
        went = self._purge(sweep, limit)
        if went is None and limit > 1:
            return True
        self._went[sweep.name] = self._went.get(sweep.name, 0) + (went or 0)
        if went is None or went < limit:
            self._left = self._left[1:]
        if not self._left:
            self._finish()
        return True

    def _purge(self, sweep: _Sweep, limit: int) -> int | None:
        """Delete up to ``limit`` rows and return how many went; ``None`` where it was too much, and less comes next."""
        try:
            with self._store.transaction() as conn:
                went = sweep.purge(conn, self._begun - sweep.kept(self._keep), limit)
        except TooMuchAtOnceError as slow:
            log.warning("work.slow", kind=f"retention of {sweep.name}", rows=limit, why=str(slow))
            self._at_once = max(1, limit // 2)
            return None
        except (StoreUnavailableError, StoreNotReadyError):
            raise
        except Exception as fault:
            log.error("work.failed", kind=f"retention of {sweep.name}", exc_info=fault)
            metrics.FAULTS.labels("work.failed").inc()
            return 0
        self._at_once = min(AT_ONCE, 2 * limit)
        return went

    def _finish(self) -> None:
        now = self._clock()
        duration_ms = round((now - self._begun) / timedelta(milliseconds=1), 1)
        log.info("retention.purged", **self._went, duration_ms=duration_ms)
        self._next = now + ROUND * (0.9 + self._chance() / 5)

    def close(self) -> None:
        """Nothing to leave."""
