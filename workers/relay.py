"""The job of the relay: what is committed is published, confirmed, and only then forgotten.

At least once: a crash between the confirm and the end of the row publishes the message again, with the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection

from messages.transport.ports import BrokerUnavailableError, Publisher, PublishOutcome
from store import due as due_store
from store import outbox as outbox_store
from store.connect import Store
from store.due import Due, DueKind
from store.failures import StoreUnavailableError
from store.outbox import Waiting
from workers.context import Context
from workers.log_lines import Line

PUBLISH_TIMEOUT = timedelta(seconds=15)
"""How long the confirms of one window may take."""


class Relay:
    """Publishes window by window; what follows is claimed in the transaction that forgets what was published."""

    def __init__(
        self, store: Store, publisher: Publisher, context: Context, limit: int, clock: Callable[[], datetime]
    ) -> None:
        self._store, self._publisher, self._limit, self._clock = store, publisher, limit, clock
        self._lease = context.outbox_lease
        self._at_hand: list[Waiting] = []

    @property
    def has_more(self) -> bool:
        """Whether messages are claimed already."""
        return bool(self._at_hand)

    def step(self) -> tuple[int, list[Line]]:
        """Publish a window of waiting messages; return how many there were and the lines to be logged.

        Raises:
            BrokerUnavailableError: nothing was published; the messages wait in the outbox.
            StoreUnavailableError: what was published may be published again.
        """
        waiting, self._at_hand = self._at_hand, []
        if not waiting:
            with self._store.transaction() as conn:
                waiting = self._claim(conn)
        if not waiting:
            return 0, []
        outcomes = self._publish(waiting)
        done, unknown, kept = _sort(waiting, outcomes)
        now = self._clock()
        with self._store.transaction() as conn:
            outbox_store.done(conn, [one.id for one in done])
            outbox_store.release(conn, [one.id for one in unknown])
            outbox_store.put_off(conn, [one.id for one in kept], now + self._lease)
            confirmed = [one.instruction for one in done if one.instruction]
            due_store.put(conn, [Due(kind=DueKind.PUBLISHED, instruction=name, due_at=now) for name in confirmed])
            further = self._claim(conn)
        self._at_hand = further
        counted = {"messages": len(done), "kept": len(waiting) - len(done)}
        published = Line(event="relay.published", level="debug", fields=counted)
        return len(done), [*_not_confirmed(waiting, outcomes), published]

    def close(self) -> None:
        """Give back what is claimed; where the store is away, the lease ends it."""
        waiting, self._at_hand = self._at_hand, []
        if waiting:
            with suppress(StoreUnavailableError):
                self._give_back(waiting)

    def _claim(self, conn: Connection) -> list[Waiting]:
        return outbox_store.claim(conn, self._limit, self._clock(), self._lease)

    def _publish(self, waiting: list[Waiting]) -> list[PublishOutcome]:
        try:
            outcomes = self._publisher.publish([one.publication for one in waiting], PUBLISH_TIMEOUT)
        except BrokerUnavailableError:
            self._give_back(waiting)
            raise
        if set(outcomes) == {PublishOutcome.UNKNOWN}:
            self._give_back(waiting)
            raise BrokerUnavailableError(f"the broker said nothing of {len(waiting)} messages; is it short of memory?")
        return outcomes

    def _give_back(self, waiting: list[Waiting]) -> None:
        with self._store.transaction() as conn:
            outbox_store.release(conn, [one.id for one in waiting])


def _sort(waiting: list[Waiting], outcomes: list[PublishOutcome]) -> tuple[list[Waiting], list[Waiting], list[Waiting]]:
    """Tell what is done, what is to be tried again at once, and what later.

    An answer that nobody takes any more is done too, and said so. What no queue takes, or a full queue refuses, would
    only be returned again at once.
    """
    done, unknown, kept = [], [], []
    for one, outcome in zip(waiting, outcomes, strict=True):
        unwanted_answer = one.publication.exchange == "" and outcome is PublishOutcome.RETURNED
        if outcome is PublishOutcome.CONFIRMED or unwanted_answer:
            done.append(one)
        elif outcome is PublishOutcome.UNKNOWN:
            unknown.append(one)
        else:
            kept.append(one)
    return done, unknown, kept


def _not_confirmed(waiting: list[Waiting], outcomes: list[PublishOutcome]) -> list[Line]:
    """One line for all that fared alike: an app whose queue is full may have a hundred thousand waiting."""
    alike: dict[tuple[str, str, PublishOutcome], list[str | None]] = {}
    for one, outcome in zip(waiting, outcomes, strict=True):
        if outcome is not PublishOutcome.CONFIRMED:
            sent = one.publication
            alike.setdefault((sent.exchange, sent.routing_key, outcome), []).append(sent.properties.message_id)
    return [
        Line(
            event="relay.returned",
            level="warning",
            fields={
                "exchange": exchange,
                "routing_key": routing_key,
                "message_id": ids[0],
                "messages": len(ids),
                "outcome": outcome,
            },
        )
        for (exchange, routing_key, outcome), ids in alike.items()
    ]
