"""Every instruction ever given; the working copy of one in flight is in its coupling."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select, text

from store import tables
from store.documents import Document
from store.model import Sent, Side
from store.sets import Statement, words

_SENT = Document(Sent)
_COLUMNS = "id, coupling_id, app, table_name, key, action, reason, rule, attempt, state, code, made_at, sent"

_FIND = Statement("SELECT i.coupling_id, i.sent FROM {given} JOIN instructions i ON i.id = given.id", given="id text")
_SAVE = Statement(
    f"""
    INSERT INTO instructions ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}} WHERE true ORDER BY id
    ON CONFLICT (id) DO UPDATE SET coupling_id = excluded.coupling_id,
        app = excluded.app, table_name = excluded.table_name, key = excluded.key, action = excluded.action,
        reason = excluded.reason, rule = excluded.rule, attempt = excluded.attempt, state = excluded.state,
        code = excluded.code, made_at = excluded.made_at, sent = excluded.sent
    """,
    given="id text, coupling_id int, app text, table_name text, key text, action text, reason text, rule text, "
    "attempt int, state text, code text, made_at time, sent text",
)
# All those of a coupling with an error: the error may name any of them.
_PURGE = Statement(
    """
    DELETE FROM instructions WHERE id IN (
        SELECT i.id FROM instructions i WHERE i.made_at < :before AND i.state IN ('applied', 'failed')
        AND NOT EXISTS (
            SELECT 1 FROM couplings c WHERE c.id = i.coupling_id AND NOT c.closed AND c.error_number IS NOT NULL
        )
        ORDER BY i.made_at LIMIT :limit {for update of i skip locked}
    )
    """,
    times=("before",),
)


class InstructionRow(msgspec.Struct, frozen=True):
    """One instruction and the coupling that it was given for."""

    id: str
    coupling_id: int
    app: str
    side: Side
    sent: Sent


def find(connection: Connection, ids: Collection[str]) -> dict[str, InstructionRow]:
    """Return the instructions of these ids; unknown ones are absent."""
    if not ids:
        return {}
    found = (_read(row.coupling_id, row.sent) for row in _FIND.run(connection, given=words(set(ids))))
    return {row.id: row for row in found}


def save(connection: Connection, rows: Collection[tuple[int, Sent]]) -> None:
    """Keep these instructions, each with the number of its coupling; what was kept of the same id is replaced."""
    if rows:
        latest = {sent.id: (coupling_id, sent) for coupling_id, sent in rows}
        _SAVE.send(connection, given=[_row(*each) for each in latest.values()])


def in_flight(connection: Connection, limit: int, app: str | None = None) -> list[InstructionRow]:
    """Return up to ``limit`` instructions, oldest first, that are neither applied nor failed, to ``app`` or to any."""
    table = tables.instructions
    query = (
        select(table.c.coupling_id, table.c.sent)
        .where(text("state NOT IN ('applied', 'failed')"))  # as the index has it, or SQLite would not use it
        .order_by(table.c.made_at, table.c.id)
        .limit(limit)
    )
    if app is not None:
        query = query.where(table.c.app == app)
    return [_read(row.coupling_id, row.sent) for row in connection.execute(query)]


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Delete up to ``limit`` instructions that were made before that moment and are over; return how many went.

    Those of a coupling that is skipped for an error stay.
    """
    return _PURGE.run(connection, {"before": before, "limit": limit}).rowcount


def _read(coupling_id: int, document: str) -> InstructionRow:
    sent = _SENT.read(document)
    return InstructionRow(sent.id, coupling_id, sent.record.app, sent.side, sent)


def _row(coupling_id: int, sent: Sent) -> tuple[object, ...]:
    record = (sent.record.app, sent.record.table, sent.record.key)
    fate = (sent.attempt, sent.state, sent.code, sent.made_at, _SENT.write(sent))
    return (sent.id, coupling_id, *record, sent.action, sent.reason, sent.rule, *fate)
