"""A loop that hangs is told of, with where it hangs, and the process ends: a thread cannot be ended any other way.

A call into a library that never returns holds its thread for ever. Whoever supervises the worker starts a new one;
nothing is lost, as nothing is acknowledged before it is committed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import FrameType
from typing import Final, NamedTuple

from workers.logs import MAX_FRAMES, get_logger, place_of
from workers.progress import Progress, Standing

log = get_logger("workers.watchdog")

STUCK_EXIT_CODE: Final = 70
"""The exit code of a worker that its own watchdog has ended (EX_SOFTWARE of sysexits.h)."""

_LOOKS = 60
"""So often it looks within the time that a loop may take."""

_TELL_WITHIN = timedelta(seconds=5)
"""What hangs may be the output that the log is written to."""


class Stuck(NamedTuple):
    """A loop that has given no sign of life for too long."""

    standing: Standing
    for_s: float


class Watchdog:
    """Watches the loops of this process.

    It counts only time in which it was awake itself: a process that was stopped for an hour has not been stuck.
    """

    def __init__(self, progress: Progress, limit: timedelta) -> None:
        self._progress, self._limit_s = progress, limit.total_seconds()
        self.every_s = self._limit_s / _LOOKS
        self._looked_s: float | None = None
        self._watched: dict[str, tuple[float, float]] = {}

    def look(self) -> list[Stuck]:
        """Look once; return the loops that are stuck. One thread calls it, every ``every_s`` seconds or so."""
        now_s = self._progress.clock_s()
        passed_s = 0.0 if self._looked_s is None else min(now_s - self._looked_s, 2 * self.every_s)
        self._looked_s = now_s
        watched, found = {}, []
        for one in self._progress.standings():
            sign_s, for_s = self._watched.get(one.loop, (one.sign_s, 0.0))
            for_s = for_s + passed_s if sign_s == one.sign_s else 0.0
            watched[one.loop] = (one.sign_s, for_s)
            if for_s > self._limit_s:
                found.append(Stuck(one, for_s))
        self._watched = watched
        return found

    def stuck(self) -> list[str]:
        """Return the names of the loops that were stuck when it last looked."""
        return [loop for loop, (_, for_s) in self._watched.items() if for_s > self._limit_s]

    def watch(self, stop: threading.Event, leave: Callable[[int], None] = os._exit) -> None:
        """Look until ``stop`` is set; at the first loop that is stuck, tell of all of them and leave."""
        while not stop.wait(self.every_s):
            stuck = self.look()
            if stuck:
                teller = threading.Thread(target=_tell, args=(stuck,), daemon=True)
                teller.start()
                teller.join(_TELL_WITHIN.total_seconds())
                leave(STUCK_EXIT_CODE)
                return


def _tell(stuck: list[Stuck]) -> None:
    for one in stuck:
        stack = list(_frames(sys._current_frames().get(one.standing.thread)))  # noqa: SLF001 - there is no other way
        log.error(
            "worker.stuck",
            loop=one.standing.loop,
            stuck_ms=round(one.for_s * 1000, 1),
            stack=stack[:MAX_FRAMES][::-1],
        )


def _frames(frame: FrameType | None) -> Iterator[str]:
    """Where a thread stands, the innermost first."""
    while frame is not None:
        yield place_of(frame, frame.f_lineno)
        frame = frame.f_back
