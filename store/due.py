"""Work for the timers. A row is a hint: whoever takes it looks at its coupling, under the lock, and acts on that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select

from messages.records import RecordRef
from store.sets import RECORD, Statement, numbers, words
from store.tables import due as table

_COLUMNS = "kind, coupling_id, app, table_name, key, mapping, instruction, job, due_at, starts"

_PUT = Statement(
    f"INSERT INTO due ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}}",
    given=f"kind text, coupling_id int, {RECORD}, mapping text, instruction text, job int, due_at time, starts int",
)
_IN_SIGHT = "(taken_until IS NULL OR taken_until <= :now)"
# By kind, each by its own stretch of the index: a flood of one does not lie in the way of the others.
_CLAIM = Statement(
    f"""
    SELECT id, {_COLUMNS} FROM due WHERE kind = :kind AND due_at <= :now AND {_IN_SIGHT}
    ORDER BY due_at, id LIMIT :limit {{for update skip locked}}
    """,
    times=("now",),
    returns=("due_at",),
)
_KINDS_DUE = Statement(
    f"""
    SELECT kind FROM {{kinds}}
    WHERE EXISTS (SELECT 1 FROM due d WHERE d.kind = kinds.kind AND d.due_at <= :now AND {_IN_SIGHT})
    """,
    times=("now",),
    kinds="kind text",
)
_BEGIN = Statement(
    "UPDATE due SET starts = starts + 1, taken_until = :until WHERE id {among}SELECT id FROM {given}{end}",
    times=("until",),
    given="id int",
)
_TAKE_AGAIN = Statement(
    f"""
    SELECT id, {_COLUMNS} FROM due WHERE id {{among}}SELECT id FROM {{given}}{{end}}
    ORDER BY due_at, id {{for update skip locked}}
    """,
    returns=("due_at",),
    given="id int",
)
_GIVE_UP = Statement(
    "UPDATE due SET starts = starts - 1, taken_until = NULL WHERE id {among}SELECT id FROM {given}{end}", given="id int"
)
_DELETE = Statement("DELETE FROM due WHERE id {among}SELECT id FROM {given}{end}", given="id int")
# A row that a timer holds is passed over: it waits for the coupling that we hold, and then finds nothing to do.
# What is read is chosen by the instruction alone: || '' keeps the kind's index, where all that is due lies, out of it.
_CANCEL = Statement(
    """
    DELETE FROM due WHERE id {among}
        SELECT id FROM due WHERE instruction {among}SELECT instruction FROM {given}{end}
        AND kind || '' IN ('retry', 'answer') {for update skip locked}
    {end}
    """,
    given="instruction text",
)


_LET_GO = Statement(
    """
    UPDATE due SET kind = CASE WHEN coupling_id IS NULL THEN 'arrival' ELSE 'wake' END, due_at = :now
    WHERE id {among}
        SELECT id FROM due WHERE kind = 'held' AND mapping = :mapping ORDER BY id LIMIT :limit {for update skip locked}
    {end}
    """,
    times=("now",),
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
    PUBLISHED = "published"
    """Confirm an instruction: the broker has it, and its app confirms nothing."""
    HELD = "held"
    """Wait for a pause to end: the coupling is decided, or the uncoupled record matched, then and not before."""
    LET_GO = "let_go"
    """Let a part of what a pause held be done: it is over."""
    JOB = "job"
    """Do the next chunk of a job."""


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work and when it is due; ``id`` is 0 until the store has given one.

    Attributes:
        starts: How often it was begun behind a mark, and not finished; how many died over it, or near it.
    """

    id: int = 0
    kind: DueKind
    coupling: int | None = None
    record: RecordRef | None = None
    mapping: str | None = None
    instruction: str | None = None
    job: int | None = None
    due_at: datetime
    starts: int = 0


def put(connection: Connection, items: Sequence[Due]) -> None:
    """Add this work."""
    if items:
        _PUT.send(connection, given=map(_row, items))


def hold(connection: Connection, items: Collection[Due]) -> None:
    """Put off this work, of couplings or of uncoupled records, until what pauses its mapping ends."""
    put(connection, [msgspec.structs.replace(one, id=0, kind=DueKind.HELD, due_at=NEVER) for one in items])


def let_go(connection: Connection, mapping: str, now: datetime, limit: int) -> int:
    """Up to ``limit`` pieces of work that a pause held under ``mapping`` are due now; return how many that are."""
    return _LET_GO.run(connection, {"mapping": mapping, "now": now, "limit": limit}).rowcount


def claim(connection: Connection, now: datetime, limit: int, kinds: Collection[DueKind] = tuple(DueKind)) -> list[Due]:
    """Lock and return up to ``limit`` pieces of work due now, kind after kind, of each kind those due first first.

    What another transaction holds is passed over. Claim before any other lock is taken; delete what is done.
    """
    rows: list[Any] = []
    for kind in kinds:
        if len(rows) < limit:
            rows += _CLAIM.run(connection, {"kind": kind, "now": now, "limit": limit - len(rows)})
    return [_read(row) for row in rows]


def begin(connection: Connection, ids: Collection[int], until: datetime) -> None:
    """Mark work that was claimed as begun: once this is committed nobody claims it before that moment."""
    if ids:
        _BEGIN.run(connection, {"until": until}, given=numbers(ids))


def take_again(connection: Connection, ids: Collection[int]) -> list[Due]:
    """Lock and return what there still is of this work, begun or not; delete it in this transaction."""
    return [_read(row) for row in _TAKE_AGAIN.run(connection, given=numbers(ids))] if ids else []


def give_up(connection: Connection, ids: Collection[int]) -> None:
    """Take back the marks of work that was begun; anybody may claim it."""
    if ids:
        _GIVE_UP.run(connection, given=numbers(ids))


def kinds_due(connection: Connection, now: datetime) -> set[DueKind]:
    """Return of which kinds there is work due now that nobody has begun; locks nothing."""
    found = _KINDS_DUE.run(connection, {"now": now}, kinds=words(DueKind))
    return {DueKind(kind) for kind in found.scalars()}


def delete(connection: Connection, ids: Collection[int]) -> int:
    """Delete work that is done; return how many rows there still were."""
    return _DELETE.run(connection, given=numbers(ids)).rowcount if ids else 0


def cancel(connection: Connection, instructions: Collection[str]) -> None:
    """Delete what was to be done if these instructions were not answered, except what a timer has at hand."""
    if instructions:
        _CANCEL.send(connection, given=words(instructions))


def count(connection: Connection, now: datetime) -> int:
    """Return how much work is due now; walks through all of it."""
    return connection.execute(select(func.count()).select_from(table).where(table.c.due_at <= now)).scalar_one()


def _row(item: Due) -> tuple[object, ...]:
    record = (item.record.app, item.record.table, item.record.key) if item.record else (None, None, None)
    return (item.kind, item.coupling, *record, item.mapping, item.instruction, item.job, item.due_at, item.starts)


def _read(row: Any) -> Due:
    return Due(
        id=row.id,
        kind=DueKind(row.kind),
        coupling=row.coupling_id,
        record=None if row.app is None else RecordRef(row.app, row.table_name, row.key),
        mapping=row.mapping,
        instruction=row.instruction,
        job=row.job,
        due_at=row.due_at,
        starts=row.starts,
    )
