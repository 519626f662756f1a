"""The start of a worker: store and broker are there and set up before the first loop runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from messages.topology import Topology
from messages.transport.ports import Broker
from store.connect import Store

LOOK_S = 0.05
"""How often a worker looks whether it is to stop."""


class NotSetUpError(Exception):
    """Queues or exchanges are missing; says which, and that ``recouple setup`` makes them."""


class ReadyOr:
    """Ends the waiting at the start: when the world is there, or when the worker is to stop."""

    def __init__(self, stop: threading.Event, asked: Sequence[int]) -> None:
        self._stop, self._asked, self._ready = stop, asked, False

    def set(self) -> None:
        """The world is there."""
        self._ready = True

    def is_over(self) -> bool:
        """Say whether the worker is to stop."""
        return self._stop.is_set() or bool(self._asked)

    def is_set(self) -> bool:
        """Say whether to wait no longer."""
        return self._ready or self.is_over()

    def wait(self, timeout: float | None = None) -> bool:
        """Rest for ``timeout`` seconds, or less if there is a reason."""
        until = time.monotonic() + (timeout or 0.0)
        while not self.is_set() and time.monotonic() < until:
            time.sleep(LOOK_S)
        return self.is_set()


def first_look(declared: Topology, store: Store, broker: Broker, ready: ReadyOr) -> Callable[[], bool]:
    """Return the step that sees whether store and broker are there and set up, and sets ``ready`` when they are.

    It raises ``NotSetUpError`` or ``StoreNotReadyError`` where `recouple setup` has to run first.
    """

    def look() -> bool:
        store.check_ready()
        missing = broker.missing(declared)
        if missing:
            raise NotSetUpError("; ".join([*missing, "run `recouple setup`"]))
        ready.set()
        return True

    return look
