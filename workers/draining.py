"""``--drain``: when a worker that stops by itself has nothing left to do."""

from __future__ import annotations

from collections.abc import Sequence

from messages.transport.ports import Broker, BrokerUnavailableError
from store import due as due_store
from store import outbox as outbox_store
from store.failures import StoreUnavailableError
from workers.consume import Consuming
from workers.progress import Progress
from workers.workplace import Loop, Workplace

STEPS = 2
"""A drained loop has found nothing to do this often in a row, and nothing happened in between."""


class Draining:
    """Looks whether a worker's queues, its outbox and its work due now are empty."""

    def __init__(
        self, queues: Sequence[str], place: Workplace, broker: Broker, loops: Sequence[Loop], progress: Progress
    ) -> None:
        self._queues, self._place, self._broker = queues, place, broker
        self._loops, self._progress = loops, progress

    def is_done(self) -> bool:
        """Say whether queues, outbox and work due now are empty and every loop has seen so."""
        progress, loops = self._progress, self._loops
        names = [loop.name for loop in loops]
        before = progress.works
        if _at_work(loops) or not progress.settled(names, STEPS):
            return False
        try:
            left = self._left()
        except (BrokerUnavailableError, StoreUnavailableError):
            return False
        if left or _at_work(loops):  # before and after: a batch at hand is in no queue, and not in the outbox yet
            return False
        return progress.works == before and progress.settled(names, STEPS)

    def _left(self) -> bool:
        place = self._place
        with place.store.reading() as conn:
            # In this order: what due work leaves behind is in the outbox by the time its row is gone.
            if due_store.kinds_due(conn, place.clock()) or not outbox_store.is_empty(conn):
                return True
        return any(self._broker.depth(queue) for queue in self._queues)


def _at_work(loops: Sequence[Loop]) -> bool:
    return any(isinstance(loop, Consuming) and loop.at_work for loop in loops)
