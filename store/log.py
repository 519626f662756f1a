"""The synchronization log: one line for every event, command and outcome that touched a record."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, func, select

from store.documents import Document
from store.model import LogLine
from store.sets import Statement
from store.tables import log as table

_LINE = Document(LogLine)

_APPEND = Statement(
    "INSERT INTO log (at, record, outcome, line) SELECT at, record, outcome, line FROM {given}",
    given="at time, record text, outcome text, line text",
)
# Without an index on time, which every line would have to pay for: lines are as old as their number is low.
_PURGE = Statement(
    """
    DELETE FROM log WHERE at < :before AND id IN (
        SELECT id FROM log ORDER BY id LIMIT :limit {for update skip locked}
    )
    """,
    times=("before",),
)


def append(connection: Connection, lines: Sequence[LogLine]) -> None:
    """Add these lines, in order."""
    if lines:
        _APPEND.send(connection, given=[(line.at, line.record, line.outcome, _LINE.write(line)) for line in lines])


def of_record(connection: Connection, record: str, limit: int, before_id: int | None = None) -> list[LogLine]:
    """Return the last ``limit`` lines of ``app/table/key``, newest last, or the last before line ``before_id``."""
    query = select(table.c.line).where(table.c.record == record).order_by(table.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(table.c.id < before_id)
    return [_LINE.read(line) for line in reversed(connection.execute(query).scalars().all())]


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` of the oldest lines, as far as they are from before that moment; return how many went."""
    return _PURGE.run(connection, {"before": before, "limit": limit}).rowcount


def tally(connection: Connection) -> dict[str, int]:
    """Return how many lines there are of each outcome."""
    rows = connection.execute(
        select(table.c.outcome, func.count().label("lines")).group_by(table.c.outcome).order_by(table.c.outcome)
    )
    return {row.outcome: row.lines for row in rows}
