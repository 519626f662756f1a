"""From a transaction straight to the relay of its process, without reading the outbox.

What is handed over stands in the outbox like all else, claimed by this process: where it dies, another relay publishes
it when the lease is over. To read it back would cost a transaction and two thirds of what the relay does.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from messages.transport.ports import Publication
from store import outbox as outbox_store
from store.connect import Store
from store.outbox import ENOUGH_BYTES, Waiting


class Handed(NamedTuple):
    """One message on its way, and when its lease ends."""

    waiting: Waiting
    until: datetime


class Handover:
    """Between the loop that handles changes and the relay of the same process; each is in a thread of its own.

    The messages of one process keep their order: once something did not fit, or the broker was away, all goes through
    the outbox until the relay has found nothing left there.
    """

    def __init__(self, limit: int) -> None:
        """``limit``: so many messages are on their way at most."""
        self._limit, self._lock = limit, threading.Lock()
        self._handed: deque[Handed] = deque()
        self._handed_bytes = 0
        self._is_open, self._is_over, self._passing, self._shut = True, False, 0, 0

    def __len__(self) -> int:
        return len(self._handed)

    @property
    def times_shut(self) -> int:
        """How often it was shut; to be given to ``open_again``."""
        return self._shut

    @contextmanager
    def of_transaction(self, store: Store, lease_end: Callable[[], datetime]) -> Iterator[Outgoing]:
        """Give what takes the messages of one transaction; the relay has them once that is committed.

        Args:
            store: Where they are given back if the relay has left meanwhile, or has lost its broker.
            lease_end: Says when the lease of what is handed over now ends.

        Raises:
            StoreUnavailableError: something could not be given back; it waits for the end of its lease.
        """
        outgoing, is_committed = Outgoing(self, lease_end), False
        try:
            yield outgoing
            is_committed = True
        finally:
            left = self._end(outgoing, is_committed=is_committed)
        if left:
            with store.transaction() as conn:
                outbox_store.release(conn, [one.waiting.id for one in left])

    def admits(self, messages: int, size_bytes: int) -> bool:
        """Say whether there is room for these; if not, it is shut: they, and what follows, go through the outbox."""
        with self._lock:
            fits = len(self._handed) + messages <= self._limit and self._handed_bytes + size_bytes <= ENOUGH_BYTES
            if self._is_open and fits:
                return True
            self._close()
            self._passing += 1
            return False

    def _end(self, outgoing: Outgoing, *, is_committed: bool) -> Sequence[Handed]:
        """The transaction is over; return what is committed and nobody will take any more."""
        with self._lock:
            self._passing -= outgoing.passed_by
            if not (is_committed and self._is_open):
                return outgoing.handed if is_committed else ()
            self._handed += outgoing.handed
            self._handed_bytes += sum(len(one.waiting.publication.body) for one in outgoing.handed)
            return ()

    def take(self, limit: int, now: datetime) -> list[Waiting]:
        """Return the next messages; what is no longer claimed is left to whoever claims it."""
        taken: list[Waiting] = []
        with self._lock:
            while self._handed and len(taken) < limit:
                one = self._handed.popleft()
                self._handed_bytes -= len(one.waiting.publication.body)
                if one.until > now:
                    taken.append(one.waiting)
        return taken

    def shut(self) -> list[Waiting]:
        """Take in no more until it is opened again; return what is on its way."""
        with self._lock:
            self._close()
            left, self._handed, self._handed_bytes = [one.waiting for one in self._handed], deque(), 0
            return left

    def open_again(self, times_shut: int) -> None:
        """The outbox was empty after it had been shut so often; if nothing passed by since, it is open again."""
        with self._lock:
            is_empty = self._shut == times_shut and not self._passing
            self._is_open = not self._is_over and (self._is_open or is_empty)

    def leave(self) -> list[Waiting]:
        """Take in no more for good; return what is on its way."""
        self._is_over = True
        return self.shut()

    def _close(self) -> None:
        self._is_open = False
        self._shut += 1


class Outgoing:
    """What one transaction has to say; handed over if there is room for it, else left in the outbox.

    Attributes:
        passed_by: How often something was left there.
    """

    def __init__(self, handover: Handover, lease_end: Callable[[], datetime]) -> None:
        """``lease_end``: of what is handed over now."""
        self.handed, self.passed_by = list[Handed](), 0
        self._handover, self._lease_end = handover, lease_end

    def put(
        self,
        connection: Connection,
        publications: Sequence[tuple[Publication, str | None]],
        turns: Mapping[str, datetime],
    ) -> None:
        """Add these to the outbox; what has to wait for its turn is not handed over."""
        at_once = [one for one in publications if one[0].properties.message_id not in turns]
        left = [one for one in publications if one[0].properties.message_id in turns]
        if at_once and not self._handover.admits(len(at_once), sum(len(one.body) for one, _ in at_once)):
            self.passed_by += 1
            at_once, left = [], list(publications)
        outbox_store.put(connection, left, turns)
        until = self._lease_end()
        self.handed += [Handed(one, until) for one in outbox_store.hand_over(connection, at_once, until)]
