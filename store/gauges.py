"""What waits in the store, in numbers, for the metrics. Every worker reads it every few seconds: by indexes alone.

What may be long is counted up to ``MOST`` and no further, so that a look costs the same however bad things are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from messages.errors import ErrorKind
from store.due import DueKind
from store.sets import Statement, words

MOST = 20_000
"""What waits is counted so far; more than that is no other news."""

_OUTBOX = Statement(
    """
    SELECT
        (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE exchange = '' LIMIT :most) AS first) AS answers,
        (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE exchange <> '' AND turn_at IS NULL LIMIT :most) AS first)
            AS at_once,
        (SELECT count(*) FROM (SELECT 1 FROM outbox WHERE exchange <> '' AND turn_at IS NOT NULL LIMIT :most) AS first)
            AS in_turn,
        (SELECT put_at FROM outbox WHERE exchange <> '' AND turn_at IS NULL ORDER BY id LIMIT 1) AS oldest
    """,
    returns=("oldest",),
)
_DUE = Statement(
    """
    SELECT kind,
        (SELECT count(*) FROM (SELECT 1 FROM due d WHERE d.kind = kinds.kind AND d.due_at <= :now LIMIT :most) AS first)
            AS waiting,
        (SELECT due_at FROM due d WHERE d.kind = kinds.kind AND d.due_at <= :now ORDER BY due_at LIMIT 1) AS oldest
    FROM {kinds}
    """,
    times=("now",),
    returns=("oldest",),
    kinds="kind text",
)
_ERRORS = Statement(
    """
    SELECT kind, status, count(*) AS many
    FROM (SELECT kind, status FROM errors WHERE status IN ('open', 'resolving') LIMIT :most) AS first
    GROUP BY kind, status
    """
)
_IN_FLIGHT = Statement(
    """
    SELECT app, state, count(*) AS many
    FROM (SELECT app, state FROM instructions WHERE state NOT IN ('applied', 'failed') LIMIT :most) AS first
    GROUP BY app, state
    """
)


class Waits(msgspec.Struct, frozen=True):
    """How much of something waits, and since when the first of it does."""

    waiting: int
    oldest_at: datetime | None


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """How much of what there is.

    Attributes:
        outbox: What is committed and still to be published, by the line it stands in.
        oldest_at: Since when the first stands there of what may go at once.
        due: Per kind, the work of the timers that is overdue.
        errors: Per kind and status, the errors that are not over.
        instructions: Per app and state, those that are neither applied nor failed.
    """

    outbox: dict[str, int]
    oldest_at: datetime | None
    due: dict[DueKind, Waits]
    errors: dict[tuple[ErrorKind, str], int]
    instructions: dict[tuple[str, str], int]


def read(connection: Connection, now: datetime) -> Gauges:
    """Return how much of what there is."""
    most: dict[str, Any] = {"most": MOST}
    outbox = _OUTBOX.run(connection, most).one()
    due = _DUE.run(connection, {"now": now, **most}, kinds=words(DueKind))
    errors = _ERRORS.run(connection, most)
    return Gauges(
        outbox={"answers": outbox.answers, "at_once": outbox.at_once, "in_turn": outbox.in_turn},
        oldest_at=outbox.oldest,
        due={DueKind(row.kind): Waits(row.waiting, row.oldest) for row in due},
        errors={(ErrorKind(row.kind), row.status): row.many for row in errors},
        instructions={(row.app, row.state): row.many for row in _IN_FLIGHT.run(connection, most)},
    )
