"""A loop that goes on whatever the world does: steps, back-off while broker or store are away, a clean stop."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from messages.transport.ports import BrokerUnavailableError
from store.failures import StoreUnavailableError
from workers import metrics
from workers.logs import get_logger
from workers.progress import Progress

log = get_logger("workers.loops")

FIRST_WAIT = timedelta(milliseconds=100)
LONGEST_WAIT = timedelta(seconds=10)
"""The ceiling of the back-off: how long after the world is back a worker may still be waiting."""

STILL_AWAY = timedelta(minutes=1)
"""How often it is said that the world is still away."""


class Stop(Protocol):
    """What tells a loop to end; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Say whether to end."""

    def wait(self, timeout: float | None = None) -> bool:
        """Rest for ``timeout`` seconds, or less if the end comes."""


def run_loop(name: str, step: Callable[[], bool], stop: Stop, progress: Progress, chance: Callable[[], float]) -> None:
    """Call ``step`` until ``stop`` is set; while the broker or the store are away, back off with jitter.

    Args:
        step: Does one piece of work; says whether there was any.
        chance: Draws from 0 to 1, to spread the reconnects of many workers.
    """
    outages = _Outages(name, progress.clock_s)
    with progress.running(name):
        while not stop.is_set():
            try:
                busy = step()
            except (BrokerUnavailableError, StoreUnavailableError) as away:
                progress.miss(name, _what(away))
                outages.note(away)
                stop.wait(_pause(outages.attempts, chance()).total_seconds())
                continue
            outages.end()
            progress.note(name, busy=busy)
            if busy:
                metrics.STEPS.labels(name).inc()


class _Outages:
    """What is away for one loop, since when, and what was said of it."""

    def __init__(self, loop: str, clock_s: Callable[[], float]) -> None:
        self.attempts = 0
        self._loop, self._clock_s = loop, clock_s
        self._since_s: dict[str, float] = {}
        self._said_s: dict[str, float] = {}

    def note(self, away: Exception) -> None:
        """Say that something is lost, and from time to time that it still is; not at each attempt."""
        what, now_s = _what(away), self._clock_s()
        self.attempts += 1
        if what not in self._since_s:
            log.warning(f"{what}.lost", loop=self._loop, why=str(away), exc_info=away)
            metrics.LOST.labels(what, self._loop).inc()
            metrics.AWAY.labels(what, self._loop).set(1)
            self._since_s[what] = self._said_s[what] = now_s
        elif now_s - self._said_s[what] >= STILL_AWAY.total_seconds():
            self._said_s[what] = now_s
            log.warning(f"{what}.away", loop=self._loop, why=str(away), **self._told(what, now_s))

    def end(self) -> None:
        """A step was done: all is back."""
        for what in self._since_s:
            log.info(f"{what}.back", loop=self._loop, **self._told(what, self._clock_s()))
            metrics.RECONNECTED.labels(what, self._loop).inc()
            metrics.AWAY.labels(what, self._loop).set(0)
        if self.attempts:
            self.attempts, self._since_s, self._said_s = 0, {}, {}

    def _told(self, what: str, now_s: float) -> dict[str, float]:
        return {"attempts": self.attempts, "away_ms": round((now_s - self._since_s[what]) * 1000, 1)}


def _what(away: Exception) -> str:
    return "broker" if isinstance(away, BrokerUnavailableError) else "store"


def _pause(attempt: int, chance: float) -> timedelta:
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(attempt - 1, 10))) * (0.5 + chance / 2)
