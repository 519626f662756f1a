"""Messages that may have killed a worker: handled apart, behind marks, until one is known to be the killer.

When a process dies the broker charges every message that it held, so that a count of deliveries makes suspects and
condemns nobody. What condemns is a death between the mark and the commit, several times over: the first time of all
that were handled together, then of one message alone.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import NamedTuple

from sqlalchemy import Connection

from messages.dead import DeadReason
from messages.transport.ports import Delivery
from store import suspects as suspect_store
from store.failures import StoreNotReadyError, StoreUnavailableError
from store.suspects import Suspect
from workers import metrics
from workers.logs import get_logger
from workers.pipeline import Handling, bury_one, process

log = get_logger("workers.suspects")

SUSPECT_AFTER = 1
"""A message that was delivered so often before, and never acknowledged, is handled apart."""

MAX_DEATHS = 4
"""After so many processes that died over it, all but the first over it alone, a message goes to the dead queue."""


class _Suspected(NamedTuple):
    suspect: Suspect
    delivery: Delivery


class Suspects:
    """The suspects that one loop has at hand."""

    def __init__(self, handling: Handling, owner: str) -> None:
        """``owner`` names this process on its marks."""
        self._handling, self._owner = handling._replace(besides=_forget), owner
        self._together: list[_Suspected] = []
        self._alone: deque[_Suspected] = deque()

    def __len__(self) -> int:
        return len(self._together) + len(self._alone)

    @property
    def size_bytes(self) -> int:
        """How long their bodies are."""
        return sum(len(one.delivery.body) for one in (*self._together, *self._alone))

    def take_in(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Keep what is a suspect; return the rest."""
        self._together += [_Suspected(_named(one), one) for one in deliveries if one.attempts >= SUSPECT_AFTER]
        return [one for one in deliveries if one.attempts < SUSPECT_AFTER]

    def clear(self) -> None:
        """Forget them: they come again."""
        self._together.clear()
        self._alone.clear()

    def handle_next(self) -> list[Delivery]:
        """Handle those over which nobody died, together, or else one alone; return what may be acknowledged.

        Nothing else may be at work in the process meanwhile.

        Raises:
            StoreUnavailableError: nothing, or everything, was committed; trying it again counts for nothing.
        """
        if self._together:
            self._sort_out()
        if self._together:
            self._begin(self._together)
            first = self._together[0].delivery
            log.info("message.suspected", queue=first.queue, messages=len(self._together), deaths=0)
            self._process(self._together)
            done, self._together = self._together, []
        else:
            self._handle_one(self._alone[0])
            done = [self._alone.popleft()]
        return [one.delivery for one in done]

    def _sort_out(self) -> None:
        """Part those over which somebody died from the others."""
        with self._handling.store.transaction() as conn:
            doubtful = suspect_store.doubtful(conn, [one.suspect for one in self._together], self._owner)
        self._alone.extend(one for one in self._together if one.suspect in doubtful)
        self._together = [one for one in self._together if one.suspect not in doubtful]

    def _handle_one(self, one: _Suspected) -> None:
        deaths = self._begin([one])
        queue, message_id = one.delivery.queue, one.delivery.properties.message_id
        if deaths >= MAX_DEATHS:
            log.error("message.condemned", queue=queue, message_id=message_id, deaths=deaths)
            metrics.FAULTS.labels("message.condemned").inc()
            bury_one(self._handling, one.delivery, DeadReason.KILLED_WORKER, _DETAIL.format(deaths=deaths))
            return
        log.warning("message.suspected", queue=queue, message_id=message_id, messages=1, deaths=deaths)
        self._process([one])

    def _begin(self, chosen: Collection[_Suspected]) -> int:
        """Mark what is about to be handled, and commit that; return how many died over what most died over."""
        handling = self._handling
        with handling.store.transaction() as conn:
            deaths = suspect_store.mark(conn, [one.suspect for one in chosen], self._owner, handling.clock())
        return max(deaths.values())

    def _process(self, chosen: Sequence[_Suspected]) -> None:
        try:
            process(self._handling, [one.delivery for one in chosen])
        except (StoreUnavailableError, StoreNotReadyError):
            self._take_back(chosen)
            raise

    def _take_back(self, chosen: Sequence[_Suspected]) -> None:
        """We live, and others may get them next; where the store is away still, a count too many stays."""
        with suppress(StoreUnavailableError, StoreNotReadyError), self._handling.store.transaction() as conn:
            suspect_store.take_back(conn, [one.suspect for one in chosen], self._owner)


_DETAIL = (
    "{deaths} worker processes died, one after the other, while they handled this message, all but the first handling "
    "nothing else; it was not handled. This is a fault in Recouple, or too little memory; please report it"
)


def _forget(conn: Connection, deliveries: Sequence[Delivery]) -> None:
    suspect_store.forget(conn, [_named(one) for one in deliveries])


def _named(delivery: Delivery) -> Suspect:
    """What this message has each time it comes; nothing of it is read."""
    digest = hashlib.blake2b(delivery.body, digest_size=16)
    digest.update(b"\0" + (delivery.properties.message_id or "").encode("utf-8", "surrogatepass"))
    return Suspect(delivery.queue, digest.hexdigest())
