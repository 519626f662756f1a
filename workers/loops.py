"""A loop that goes on whatever the world does: steps, back-off while broker or store are away, a clean stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from messages.transport.ports import BrokerUnavailableError
from store.failures import StoreUnavailableError
from workers.logs import get_logger

log = get_logger("workers.loops")

FIRST_WAIT = timedelta(milliseconds=100)
LONGEST_WAIT = timedelta(seconds=10)
"""The ceiling of the back-off: how long after the world is back a worker may still be waiting."""


class Stop(Protocol):
    """What tells a loop to end; a ``threading.Event`` does."""

    def is_set(self) -> bool:
        """Say whether to end."""

    def wait(self, timeout: float | None = None) -> bool:
        """Rest for ``timeout`` seconds, or less if the end comes."""


class Idleness:
    """Whether the loops of a process have anything to do; ``--drain`` looks at it.

    Attributes:
        works: Counts every step that found something to do.
    """

    def __init__(self) -> None:
        self.works = 0
        self._idle: dict[str, int] = {}
        self._lock = threading.Lock()

    def note(self, loop: str, *, busy: bool) -> None:
        """Count a step of ``loop``."""
        with self._lock:
            self.works += busy
            self._idle[loop] = 0 if busy else self._idle.get(loop, 0) + 1

    def settled(self, loops: int, steps: int) -> bool:
        """Say whether each of ``loops`` loops has found nothing to do ``steps`` times in a row."""
        with self._lock:
            return len(self._idle) == loops and all(count >= steps for count in self._idle.values())


def run_loop(name: str, step: Callable[[], bool], stop: Stop, idleness: Idleness, chance: Callable[[], float]) -> None:
    """Call ``step`` until ``stop`` is set; while the broker or the store are away, back off with jitter.

    Args:
        step: Does one piece of work; says whether there was any.
        chance: Draws from 0 to 1, to spread the reconnects of many workers.
    """
    lost: dict[str, None] = {}
    attempt = 0
    while not stop.is_set():
        try:
            busy = step()
        except (BrokerUnavailableError, StoreUnavailableError) as away:
            what = "broker" if isinstance(away, BrokerUnavailableError) else "store"
            if what not in lost:
                log.warning(f"{what}.lost", loop=name, why=str(away), exc_info=away)
            lost[what] = None
            attempt += 1
            stop.wait(_pause(attempt, chance()).total_seconds())
            continue
        for what in lost:
            log.info(f"{what}.back", loop=name, attempts=attempt)
        lost, attempt = {}, 0
        idleness.note(name, busy=busy)


def _pause(attempt: int, chance: float) -> timedelta:
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(attempt - 1, 10))) * (0.5 + chance / 2)
