"""The job of the relay: what is committed is published, confirmed, and only then forgotten.

At least once: a crash between the confirm and the end of the row publishes the message again, with the same id.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from messages.transport.ports import Publisher, PublishOutcome
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
        BrokerUnavailableError: nothing was published; the messages wait for the end of their lease.
        StoreUnavailableError: what was published may be published again.
    """
    with store.transaction() as conn:
        waiting = outbox_store.claim(conn, limit, clock(), context.outbox_lease)
    if not waiting:
        return 0, []
    outcomes = publisher.publish([one.publication for one in waiting], PUBLISH_TIMEOUT)
    done, kept, lines = _sort(waiting, outcomes)
    now = clock()
    with store.transaction() as conn:
        outbox_store.done(conn, [one.id for one in done])
        outbox_store.release(conn, [one.id for one in kept])
        confirmed = [
            Due(kind=DueKind.PUBLISHED, instruction=one.instruction, due_at=now) for one in done if one.instruction
        ]
        due_store.put(conn, confirmed)
    lines.append(Line(event="relay.published", level="debug", fields={"messages": len(done), "kept": len(kept)}))
    return len(done), lines


def _sort(waiting: list[Waiting], outcomes: list[PublishOutcome]) -> tuple[list[Waiting], list[Waiting], list[Line]]:
    """Tell what is done from what has to wait; an answer that nobody takes is dropped, and said so."""
    done, kept, lines = [], [], []
    for one, outcome in zip(waiting, outcomes, strict=True):
        is_answer = one.publication.exchange == ""
        if outcome is PublishOutcome.CONFIRMED or (is_answer and outcome is PublishOutcome.RETURNED):
            done.append(one)
        else:
            kept.append(one)
        if outcome is not PublishOutcome.CONFIRMED:
            lines.append(_not_confirmed(one, outcome))
    return done, kept, lines


def _not_confirmed(one: Waiting, outcome: PublishOutcome) -> Line:
    fields = {
        "exchange": one.publication.exchange,
        "routing_key": one.publication.routing_key,
        "message_id": one.publication.properties.message_id,
        "outcome": outcome,
    }
    return Line(event="relay.returned", level="warning", fields=fields)
