"""Work for the timers. A row is a hint: whoever takes it looks at its coupling, under the lock, and acts on that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, func, select

from messages.records import RecordRef
from store.sets import RECORD, Statement, numbers, words
from store.tables import due as table

_COLUMNS = "kind, coupling_id, app, table_name, key, mapping, instruction, job, due_at"

_PUT = Statement(
    f"INSERT INTO due ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}}",
    given=f"kind text, coupling_id int, {RECORD}, mapping text, instruction text, job int, due_at time",
)
_CLAIM = Statement(
    f"""
    SELECT id, {_COLUMNS} FROM due WHERE due_at <= :now AND kind IN (SELECT kind FROM {{kinds}})
    ORDER BY due_at, id LIMIT :limit {{for update skip locked}}
    """,
    times=("now",),
    returns=("due_at",),
    kinds="kind text",
)
_DELETE = Statement("DELETE FROM due WHERE id IN (SELECT id FROM {given})", given="id int")
# A row that a timer holds is passed over: it waits for the coupling that we hold, and then finds nothing to do.
_CANCEL = Statement(
    """
    DELETE FROM due WHERE id IN (
        SELECT id FROM due WHERE instruction IN (SELECT instruction FROM {given})
        AND kind IN ('retry', 'answer') {for update skip locked}
    )
    """,
    given="instruction text",
)


_LET_GO = Statement(
    """
    UPDATE due SET kind = CASE WHEN coupling_id IS NULL THEN 'arrival' ELSE 'wake' END, due_at = :now
    WHERE kind = 'held' AND mapping IN (SELECT mapping FROM {given})
    """,
    times=("now",),
    given="mapping text",
)

NEVER = datetime(9999, 1, 1, tzinfo=UTC)
"""When what a pause holds is due, as long as it is paused."""


class DueKind(StrEnum):
    """What is to be done."""

    RETRY = "retry"
    """Send an instruction again."""
    ANSWER = "answer"
    """See that an instruction was answered."""
    WAKE = "wake"
    """Decide a coupling anew."""
    ARRIVAL = "arrival"
    """Match an uncoupled record, or create its counterpart."""
    GATE = "gate"
    """Let go what waited for the tables of a mapping to be loaded."""
    PUBLISHED = "published"
    """Confirm an instruction: the broker has it, and its app confirms nothing."""
    HELD = "held"
    """Wait for a pause to end: the coupling is decided, or the uncoupled record matched, then and not before."""
    JOB = "job"
    """Do the next chunk of a job."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work and when it is due; ``id`` is 0 until the store has given one."""

    id: int = 0
    kind: DueKind
    coupling: int | None = None
    record: RecordRef | None = None
    mapping: str | None = None
    instruction: str | None = None
    job: int | None = None
    due_at: datetime


def put(connection: Connection, items: Sequence[Due]) -> None:
    """Add this work."""
    if items:
        _PUT.run(connection, given=map(_row, items))


def hold(connection: Connection, items: Collection[Due]) -> None:
    """Put off this work, of couplings or of uncoupled records, until what pauses its mapping ends."""
    put(connection, [msgspec.structs.replace(one, id=0, kind=DueKind.HELD, due_at=NEVER) for one in items])


def let_go(connection: Connection, mappings: Collection[str], now: datetime) -> int:
    """What a pause held under these mappings is due now; return how much that is."""
    if not mappings:
        return 0
    return _LET_GO.run(connection, {"now": now}, given=words(mappings)).rowcount


def claim(connection: Connection, now: datetime, limit: int, kinds: Collection[DueKind] | None = None) -> list[Due]:
    """Lock and return up to ``limit`` pieces of work due now, those due first first; delete them in this transaction.

    What another transaction holds is passed over. Claim before any other lock is taken.
    """
    wanted = words(kinds if kinds is not None else DueKind)
    return [
        Due(
            id=row.id,
            kind=DueKind(row.kind),
            coupling=row.coupling_id,
            record=None if row.app is None else RecordRef(row.app, row.table_name, row.key),
            mapping=row.mapping,
            instruction=row.instruction,
            job=row.job,
            due_at=row.due_at,
        )
        for row in _CLAIM.run(connection, {"now": now, "limit": limit}, kinds=wanted)
    ]


def delete(connection: Connection, ids: Collection[int]) -> int:
    """Delete work that is done; return how many rows there still were."""
    return _DELETE.run(connection, given=numbers(ids)).rowcount if ids else 0


def cancel(connection: Connection, instructions: Collection[str]) -> None:
    """Delete what was to be done if these instructions were not answered, except what a timer has at hand."""
    if instructions:
        _CANCEL.run(connection, given=words(instructions))


def count(connection: Connection, now: datetime) -> int:
    """Return how much work is due now."""
    return connection.execute(select(func.count()).select_from(table).where(table.c.due_at <= now)).scalar_one()


def _row(item: Due) -> tuple[object, ...]:
    record = (item.record.app, item.record.table, item.record.key) if item.record else (None, None, None)
    return (item.kind, item.coupling, *record, item.mapping, item.instruction, item.job, item.due_at)
