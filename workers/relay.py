"""The job of the relay: what is committed is published, confirmed, and only then forgotten.

At least once: a crash between the confirm and the end of the row publishes the message again, with the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from messages.transport.ports import BrokerUnavailableError, Publisher, PublishOutcome
from store import due as due_store
from store import outbox as outbox_store
from store.connect import Store
from store.due import Due, DueKind
from store.outbox import Waiting
from workers.context import Context
from workers.log_lines import Line

PUBLISH_TIMEOUT = timedelta(seconds=15)
"""How long the confirms of one window may take."""


def relay_once(
    store: Store, publisher: Publisher, context: Context, limit: int, clock: Callable[[], datetime]
) -> tuple[int, list[Line]]:
    """Publish up to ``limit`` waiting messages; return how many there were and the lines to be logged.

    Raises:
        BrokerUnavailableError: nothing was published; the messages wait in the outbox.
        StoreUnavailableError: what was published may be published again.
    """
    with store.transaction() as conn:
        waiting = outbox_store.claim(conn, limit, clock(), context.outbox_lease)
    if not waiting:
        return 0, []
    try:
        outcomes = publisher.publish([one.publication for one in waiting], PUBLISH_TIMEOUT)
    except BrokerUnavailableError:
        _give_back(store, waiting)
        raise
    done, unknown, lines = _sort(waiting, outcomes)
    if len(unknown) == len(waiting):
        _give_back(store, waiting)
        raise BrokerUnavailableError(f"the broker said nothing of {len(waiting)} messages; is it blocked by an alarm?")
    now = clock()
    with store.transaction() as conn:
        outbox_store.done(conn, [one.id for one in done])
        outbox_store.release(conn, [one.id for one in unknown])
        confirmed = [
            Due(kind=DueKind.PUBLISHED, instruction=one.instruction, due_at=now) for one in done if one.instruction
        ]
        due_store.put(conn, confirmed)
    lines.append(
        Line(event="relay.published", level="debug", fields={"messages": len(done), "kept": len(waiting) - len(done)})
    )
    return len(done), lines


def _give_back(store: Store, waiting: list[Waiting]) -> None:
    with store.transaction() as conn:
        outbox_store.release(conn, [one.id for one in waiting])


def _sort(waiting: list[Waiting], outcomes: list[PublishOutcome]) -> tuple[list[Waiting], list[Waiting], list[Line]]:
    """Tell what is done, and what is to be tried again at once; the rest waits for the end of its lease.

    An answer that nobody takes any more is done too, and said so. What no queue takes, or a full queue refuses, would
    only be returned again at once.
    """
    done, unknown, lines = [], [], []
    for one, outcome in zip(waiting, outcomes, strict=True):
        unwanted_answer = one.publication.exchange == "" and outcome is PublishOutcome.RETURNED
        if outcome is PublishOutcome.CONFIRMED or unwanted_answer:
            done.append(one)
        elif outcome is PublishOutcome.UNKNOWN:
            unknown.append(one)
        if outcome is not PublishOutcome.CONFIRMED:
            lines.append(_not_confirmed(one, outcome))
    return done, unknown, lines


def _not_confirmed(one: Waiting, outcome: PublishOutcome) -> Line:
    fields = {
        "exchange": one.publication.exchange,
        "routing_key": one.publication.routing_key,
        "message_id": one.publication.properties.message_id,
        "outcome": outcome,
    }
    return Line(event="relay.returned", level="warning", fields=fields)
