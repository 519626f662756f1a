"""What a scrape is told beside the counters: how each loop gets on, and what waits in the store.

The store is asked when somebody scrapes, and not more often than every few seconds; never by the loops.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple, TypeAlias

from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from messages.errors import ErrorKind, ErrorStatus
from store import gauges as gauge_store
from store import pauses as pause_store
from store.connect import Store
from store.failures import StoreNotReadyError, StoreUnavailableError
from store.gauges import Gauges
from store.model import InstructionState
from store.pauses import Pause
from workers import metrics
from workers.progress import Progress

READ_EVERY = timedelta(seconds=10)
"""At most so often the store is asked, however often and by how many it is scraped."""


Values: TypeAlias = Iterable[tuple[tuple[str, ...], float]]
"""The values of one metric, each with its labels."""


class Scrape(Collector):
    """All that a scrape of this process is told."""

    def __init__(self, progress: Progress, store: Store, clock: Callable[[], datetime]) -> None:
        self._progress, self._clock = progress, clock
        self._look = _Look(store, clock)

    def collect(self) -> Iterator[Metric]:
        """Return what the process has counted, how its loops stand, and what waits."""
        yield from metrics.REGISTRY.collect()
        yield self._of_loops()
        yield from self._of_store()

    def _of_loops(self) -> Metric:
        sentence = "When a loop last gave a sign of life: a step, an attempt, a statement that was answered."
        family = GaugeMetricFamily("recouple_loop_last_progress_timestamp_seconds", sentence, labels=["loop"])
        now_s = self._clock().timestamp()
        for one in self._progress.standings():
            family.add_metric([one.loop], now_s - self._progress.age_s(one))
        return family

    def _of_store(self) -> Iterator[Metric]:
        found = self._look.latest()
        up = GaugeMetricFamily("recouple_store_up", "1 if the store answered when it was last asked what waits.")
        up.add_metric([], found is not None)
        yield up
        if found is not None:
            age_s = (self._clock() - found.at).total_seconds()
            yield from _waiting(found.gauges, found.at)
            yield from _standing(found)
            yield _family("recouple_store_read_age_seconds", "How old the numbers of the store are.", [((), age_s)])


class _Found(NamedTuple):
    """What the store said, and as of when."""

    at: datetime
    gauges: Gauges
    pauses: list[Pause]


class _Look:
    """What the store said last, and whether it is time to ask again; one asks, the others take what is there."""

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store, self._clock = store, clock
        self._asking = threading.Lock()
        self._asked_at: datetime | None = None
        self._found: _Found | None = None

    def latest(self) -> _Found | None:
        """Return what the store says; nothing where it did not answer."""
        if self._asking.acquire(blocking=False):
            try:
                now = self._clock()
                if self._asked_at is None or now - self._asked_at >= READ_EVERY:
                    self._asked_at = now
                    self._found = self._read(now)
            finally:
                self._asking.release()
        return self._found

    def _read(self, now: datetime) -> _Found | None:
        try:
            with self._store.reading() as conn:
                return _Found(now, gauge_store.read(conn, now), list(pause_store.read(conn)))
        except (StoreUnavailableError, StoreNotReadyError):
            return None


def _waiting(found: Gauges, now: datetime) -> Iterator[Metric]:
    pending = {(line,): many for line, many in found.outbox.items()}
    yield _family("recouple_outbox_pending", "Messages committed and to be published.", pending.items(), "line")
    oldest = [((), _age_s(found.oldest_at, now))]
    yield _family("recouple_outbox_oldest_age_seconds", "Age of the first that may go at once, 0 without one.", oldest)
    due = {(kind.value,): one for kind, one in found.due.items()}
    waiting = {labels: one.waiting for labels, one in due.items()}
    yield _family("recouple_due_overdue", "Work of the timers that is overdue.", waiting.items(), "kind")
    ages = {labels: _age_s(one.oldest_at, now) for labels, one in due.items()}
    yield _family("recouple_due_oldest_overdue_seconds", "For how long the first of it is.", ages.items(), "kind")


def _standing(found: _Found) -> Iterator[Metric]:
    gauges, unresolved = found.gauges, (ErrorStatus.OPEN, ErrorStatus.RESOLVING)
    errors = {(kind.value, status.value): 0.0 for kind in ErrorKind for status in unresolved}
    errors |= {(kind.value, status): many for (kind, status), many in gauges.errors.items()}
    yield _family("recouple_errors", "Errors that are not over.", errors.items(), "kind", "status")
    flying = {(app, InstructionState(state).value): many for (app, state), many in gauges.instructions.items()}
    sentence = "Instructions neither applied nor failed."
    yield _family("recouple_instructions_in_flight", sentence, flying.items(), "app", "state")
    paused = {(one.scope.value, one.name): 1.0 for one in found.pauses}
    yield _family("recouple_paused", "1 for each app and each mapping that is paused.", paused.items(), "scope", "name")


def _age_s(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())


def _family(name: str, sentence: str, values: Values, *labels: str) -> Metric:
    family = GaugeMetricFamily(name, sentence, labels=labels)
    for each, value in values:
        family.add_metric(each, value)
    return family
