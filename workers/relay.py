"""The job of the relay: what is committed is published, confirmed, and only then forgotten.

At least once: a crash between the confirm and the end of the row publishes the message again, with the same id.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from sqlalchemy import Connection

from messages.transport.ports import BrokerUnavailableError, Publisher, PublishOutcome
from store import due as due_store
from store import outbox as outbox_store
from store.connect import may_be_forgotten
from store.due import Due, DueKind
from store.failures import StoreUnavailableError
from store.outbox import Waiting
from workers.log_lines import Line
from workers.workplace import Workplace

PUBLISH_TIMEOUT = timedelta(seconds=15)
"""How long the confirms of one window may take."""

FORGET_WITHIN = timedelta(milliseconds=50)
"""For so long what is published may stay in the outbox while there is more to be published."""


class Relay:
    """Publishes window by window; what follows is claimed in the transaction that forgets what was published."""

    def __init__(self, publisher: Publisher, place: Workplace, limit: int) -> None:
        self._store, self._publisher, self._limit, self._clock = place.store, publisher, limit, place.clock
        self._lease, self._handover = place.context.outbox_lease, place.handover
        self._at_hand: list[Waiting] = []
        self._done: list[Waiting] = []
        self._done_since: datetime | None = None

    @property
    def has_more(self) -> bool:
        """Whether messages are claimed already, or published and not forgotten."""
        return bool(self._at_hand or self._handover or self._done)

    def step(self) -> tuple[int, list[Line]]:
        """Publish a window of waiting messages; return how many there were and the lines to be logged.

        Raises:
            BrokerUnavailableError: nothing was published; the messages wait in the outbox.
            StoreUnavailableError: what was published may be published again.
        """
        waiting = self._next()
        if not waiting:
            self._forget()
            waiting = self._next()
        if not waiting:
            return 0, []
        outcomes = self._publish(waiting)
        done, unknown, kept = _sort(waiting, outcomes)
        self._done += done
        if len(done) < len(waiting) or not self._may_go_on():
            self._forget(unknown, kept)
        counted = {"messages": len(done), "kept": len(waiting) - len(done)}
        published = Line(event="relay.published", level="debug", fields=counted)
        return len(done), [*_not_confirmed(waiting, outcomes), published]

    def _may_go_on(self) -> bool:
        """Say whether what is handed over may be published before what is published already is forgotten."""
        if self._done_since is None:
            self._done_since = self._clock()
        in_time = self._clock() - self._done_since < FORGET_WITHIN
        return bool(self._handover) and not self._at_hand and in_time and len(self._done) < self._limit

    def _forget(self, unknown: Sequence[Waiting] = (), kept: Sequence[Waiting] = ()) -> None:
        """Forget what is done, give back what is not, and claim what follows.

        Where this is lost with the database, what is done is published again, with the same id, and nothing else.
        """
        now, times_shut = self._clock(), self._handover.times_shut
        with self._store.transaction() as conn:
            may_be_forgotten(conn)
            self._write_done(conn, now)
            outbox_store.release(conn, [one.id for one in unknown])
            outbox_store.put_off(conn, [one.id for one in kept], now + self._lease)
            further = outbox_store.claim(conn, self._limit, now, self._lease)
        self._done, self._done_since, self._at_hand = [], None, further
        if not further:
            self._handover.open_again(times_shut)

    def _write_done(self, conn: Connection, now: datetime) -> None:
        outbox_store.done(conn, [one.id for one in self._done])
        confirmed = [one.instruction for one in self._done if one.instruction]
        due_store.put(conn, [Due(kind=DueKind.PUBLISHED, instruction=name, due_at=now) for name in confirmed])

    def close(self) -> None:
        """Give back what is claimed; where the store is away, the lease ends it."""
        waiting, self._at_hand = [*self._at_hand, *self._handover.leave()], []
        if waiting or self._done:
            with suppress(StoreUnavailableError):
                self._give_back(waiting)

    def _next(self) -> list[Waiting]:
        """Return what is claimed and what was handed over: answers first, then in the order in which they were left."""
        claimed, self._at_hand = self._at_hand, []
        handed = self._handover.take(self._limit, self._clock())
        if not (claimed and handed):
            return claimed or handed
        return sorted([*claimed, *handed], key=lambda one: (one.publication.exchange != "", one.id))

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
        waiting = [*waiting, *self._handover.shut()]
        with self._store.transaction() as conn:
            self._write_done(conn, self._clock())
            outbox_store.release(conn, [one.id for one in waiting])
        self._done, self._done_since = [], None


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
