"""What a test breaks in a worker on purpose, to see that the checks of this suite find it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Engine, event

from messages.transport.ports import Broker, Consumer, Delivery, Publication, Publisher
from store import handled, outbox
from store.handled import Claim
from store.outbox import Waiting
from workers.bootstrap import Doors

WAIT = timedelta(seconds=5)

LOCKS = re.compile(r"FOR UPDATE OF [RC]\b")
"""How records and couplings are locked; the rows of a queue are still taken by one worker only."""


class Sabotage(StrEnum):
    """Which guarantee is broken, and how."""

    ACKNOWLEDGE_FIRST = "acknowledge_first"
    """A batch is acknowledged as soon as it is received (guarantee 2)."""
    PUBLISH_UNCOMMITTED = "publish_uncommitted"
    """What a transaction has to say is published before its commit, which may never come (guarantee 2)."""
    FORGET_UNCONFIRMED = "forget_unconfirmed"
    """The relay deletes its rows before it publishes them (guarantee 2)."""
    NO_DEDUPLICATION = "no_deduplication"
    """Every event counts as new (guarantee 1)."""
    NO_LOCKS = "no_locks"
    """Records and couplings are read without being locked (guarantee 3)."""


def commit(what: Sabotage, doors: Doors) -> Doors:
    """Break it; return the doors through which the worker is to go."""
    if what is Sabotage.ACKNOWLEDGE_FIRST:
        return doors._replace(connect=lambda url: _Hasty(doors.connect(url)))
    if what is Sabotage.PUBLISH_UNCOMMITTED:
        return doors._replace(connect=lambda url: _with_indiscretion(doors.connect(url)))
    {
        Sabotage.FORGET_UNCONFIRMED: _forget_unconfirmed,
        Sabotage.NO_DEDUPLICATION: _forget_what_was_handled,
        Sabotage.NO_LOCKS: _lock_nothing,
    }[what]()
    return doors


class _HastyConsumer:
    """Acknowledges what it has not even handed over."""

    def __init__(self, real: Consumer) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def receive(self, max_messages: int, wait: timedelta) -> list[Delivery]:
        deliveries = self._real.receive(max_messages, wait)
        self._real.acknowledge(deliveries)
        return deliveries

    def acknowledge(self, deliveries: Sequence[Delivery]) -> None:
        """It is done already."""


class _Hasty:
    """A broker whose consumers are hasty."""

    def __init__(self, real: Broker) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def consumer(self, queues: Sequence[str], prefetch: int) -> Any:
        return _HastyConsumer(self._real.consumer(queues, prefetch))


def _with_indiscretion(broker: Broker) -> Broker:
    put = outbox.put
    publishers: list[Publisher] = []

    def put_and_tell(
        connection: Connection,
        publications: Sequence[tuple[Publication, str | None]],
        turns: Mapping[str, datetime] = {},
    ) -> None:
        if not publishers:
            publishers.append(broker.publisher())
        publishers[0].publish([one for one, _ in publications], WAIT)
        put(connection, publications, turns)

    outbox.put = put_and_tell
    return broker


def _forget_unconfirmed() -> None:
    claim = outbox.claim

    def claim_and_forget(connection: Connection, *arguments: Any) -> list[Waiting]:
        waiting = claim(connection, *arguments)
        outbox.done(connection, [one.id for one in waiting])
        return waiting

    outbox.claim = claim_and_forget  # type: ignore[assignment]


def _forget_what_was_handled() -> None:
    claim = handled.claim

    def claim_all(connection: Connection, events: Sequence[tuple[str, str, str]], now: datetime) -> list[Claim]:
        claim(connection, events, now)
        return [Claim.NEW] * len(events)

    handled.claim = claim_all


def _lock_nothing() -> None:
    @event.listens_for(Engine, "before_cursor_execute", retval=True)
    def _without_lock(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> tuple[str, Any]:
        return LOCKS.sub("", statement), parameters
