"""Who is at work in a process: many side by side, or one alone, so that it is known who was at it when it dies."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

LOOK_UP = timedelta(seconds=1)
"""How often who waits to be alone sees to something else."""


class Room:
    """The loops of a process work in it side by side; one that wants to be alone goes before those who are outside.

    A thread that is in must not enter again.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside, self._waiting, self._alone = 0, 0, False

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Work beside others."""
        with self._changed:
            self._changed.wait_for(lambda: not self._alone and not self._waiting)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self, meanwhile: Callable[[], None]) -> Iterator[None]:
        """Work while nobody else does; until the others have left, call ``meanwhile`` every second."""
        self._enter_alone(meanwhile)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def _enter_alone(self, meanwhile: Callable[[], None]) -> None:
        with self._changed:
            self._waiting += 1
        try:
            while not self._try_to_enter():
                meanwhile()
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    def _try_to_enter(self) -> bool:
        with self._changed:
            free = self._changed.wait_for(lambda: not self._inside and not self._alone, timeout=LOOK_UP.total_seconds())
            self._alone = self._alone or free
            return free
