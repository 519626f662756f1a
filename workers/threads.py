"""The loops of a worker in threads of their own; one that fails stops the whole worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from workers.logs import get_logger
from workers.loops import run_loop
from workers.progress import Progress
from workers.workplace import Loop

log = get_logger("workers.threads")


class Threads:
    """The threads of one worker.

    Attributes:
        failed: Set when a loop has ended because of a fault of ours.
    """

    def __init__(self, stop: threading.Event, progress: Progress, chance: Callable[[], float]) -> None:
        """``stop`` ends all loops; it is set when one of them ends."""
        self.failed = threading.Event()
        self._stop, self._progress, self._chance = stop, progress, chance
        self._threads: list[threading.Thread] = []

    def start(self, loops: Sequence[Loop]) -> None:
        """Run each loop in a thread of its own."""
        self._threads = [
            threading.Thread(target=self._run, args=(loop,), name=loop.name, daemon=True) for loop in loops
        ]
        for thread in self._threads:
            thread.start()

    def join(self, within: timedelta) -> list[str]:
        """Wait for the loops to end; return the names of those that have not."""
        deadline_s = time.monotonic() + within.total_seconds()
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        return [thread.name for thread in self._threads if thread.is_alive()]

    def _run(self, loop: Loop) -> None:
        try:
            run_loop(loop.name, loop.step, self._stop, self._progress, self._chance)
        except Exception as fault:  # a thread has nobody above it: say so and stop the whole worker
            log.error("worker.failed", loop=loop.name, exc_info=fault)
            self.failed.set()
        finally:
            self._stop.set()
            loop.close()
