"""A lock that is given in the order in which it was asked for."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta


class TurnTimeoutError(Exception):
    """The turn did not come in time."""


class Turns:
    """Who asks first comes first, among the threads of one process.

    SQLite has one writer and no line before it: who finds it taken sleeps and looks again, up to a tenth of a second
    later, so that one thread that writes without pause keeps all others out for seconds.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._taken = False
        self._line: deque[threading.Event] = deque()

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return len(self._line)

    @contextmanager
    def turn(self, within: timedelta) -> Iterator[None]:
        """Wait for our turn, and hold it.

        Raises:
            TurnTimeoutError: it did not come in time.
        """
        self._wait(within)
        try:
            yield
        finally:
            self._pass_on()

    def _wait(self, within: timedelta) -> None:
        ours = threading.Event()
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            self._line.append(ours)
        if ours.wait(within.total_seconds()):
            return
        with self._guard:
            if not ours.is_set():
                self._line.remove(ours)
                raise TurnTimeoutError
        # it came at the very end

    def _pass_on(self) -> None:
        with self._guard:
            if self._line:
                self._line.popleft().set()
            else:
                self._taken = False
