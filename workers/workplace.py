"""What the loops of one process share, and what a loop is."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Protocol

from store.connect import Store
from workers.context import Context
from workers.handover import Handover
from workers.pipeline import Clock
from workers.room import Room

RELAY = "relay"
TIMERS = "timers"
"""The loops that rest until another calls them."""

IDLE_WAIT = timedelta(milliseconds=20)
"""How long a relay or timer with nothing to do rests, unless another loop of its process calls it."""

HANDED_OVER = 1000
"""So many messages are on their way to the relay of a process at most; what is beyond waits in the outbox."""


class Loop(Protocol):
    """One job of a worker."""

    name: str

    def step(self) -> bool:
        """Do one piece of work; say whether there was any."""

    def close(self) -> None:
        """Leave."""


class Workplace:
    """What the loops of one process share.

    Attributes:
        room: Where they work side by side; a message that may have killed a process is handled alone.
        owner: Names this process on what it marks.
        handover: From the loop that handles changes to the relay.
    """

    def __init__(self, store: Store, context: Context, clock: Clock) -> None:
        self.store, self.context, self.clock = store, context, clock
        self.room, self.owner, self.handover = Room(), context.tokens(), Handover(HANDED_OVER)
        self._called = {name: threading.Event() for name in (RELAY, TIMERS)}

    def call(self) -> None:
        """A transaction may have left something to be sent or done: let nobody rest."""
        for event in self._called.values():
            event.set()

    def rest(self, name: str) -> None:
        """Wait a moment, or less if another loop calls."""
        event = self._called[name]
        event.wait(IDLE_WAIT.total_seconds())
        event.clear()
