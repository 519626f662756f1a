"""Whether the loops of a process get on: what each did last and when; drain, readiness and the watchdog look at it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Standing(NamedTuple):
    """How one loop stands.

    Attributes:
        thread: The number of its thread.
        sign_s: When it last gave a sign of life, by a clock that only ever goes on.
        has_worked: Whether it has finished a step since it began.
        away: What did not answer at its last attempt: ``broker``, ``store``, or nothing.
    """

    loop: str
    thread: int
    sign_s: float
    has_worked: bool = False
    away: str | None = None


class Progress:
    """What the loops of a process tell of themselves.

    A sign of life is a step that ended, an attempt that failed because the world is away, and any statement that the
    database answered: none of them takes long, however long a step is, however long the world is away.

    Attributes:
        works: Counts every step that found something to do.
        clock_s: The clock of all that is timed here; it only ever goes on.
    """

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        self.works = 0
        self.clock_s = clock_s
        self._idle: dict[str, int] = {}
        self._standing: dict[str, Standing] = {}
        self._signs: dict[int, float] = {}
        self._lock = threading.Lock()

    @contextmanager
    def running(self, loop: str) -> Iterator[None]:
        """Inside, ``loop`` runs in this thread, and is expected to get on."""
        thread = threading.get_ident()
        self._signs[thread] = self.clock_s()
        with self._lock:
            self._standing[loop] = Standing(loop, thread, 0.0)
        try:
            yield
        finally:
            with self._lock:
                del self._standing[loop]

    def sign(self) -> None:
        """Note that the loop of this thread lives; cheap enough for every statement."""
        self._signs[threading.get_ident()] = self.clock_s()

    def note(self, loop: str, *, busy: bool) -> None:
        """Note that a step of ``loop`` has ended, and whether there was anything to do."""
        self.sign()
        with self._lock:
            self.works += busy
            self._idle[loop] = 0 if busy else self._idle.get(loop, 0) + 1
            self._change(loop, has_worked=True, away=None)

    def miss(self, loop: str, away: str) -> None:
        """Note that a step of ``loop`` could not be done, and what is away."""
        self.sign()
        with self._lock:
            self._change(loop, away=away)

    def _change(self, loop: str, **changes: bool | str | None) -> None:
        if loop in self._standing:
            self._standing[loop] = self._standing[loop]._replace(**changes)  # type: ignore[arg-type]

    def settled(self, loops: Collection[str], steps: int) -> bool:
        """Say whether each of these loops has found nothing to do ``steps`` times in a row."""
        with self._lock:
            return all(self._idle.get(loop, 0) >= steps for loop in loops)

    def standings(self) -> list[Standing]:
        """Return how each loop that runs stands."""
        with self._lock:
            return [one._replace(sign_s=self._signs[one.thread]) for one in self._standing.values()]

    def age_s(self, standing: Standing) -> float:
        """Return how long ago its last sign of life was."""
        return max(0.0, self.clock_s() - standing.sign_s)
