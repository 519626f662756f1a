"""Which couplings wait for which records to be coupled."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import Connection

from store.model import Wait
from store.sets import Statement, indexable, numbers

_WAIT = "mapping text, side text, key text"

_DELETE = Statement("DELETE FROM waits WHERE coupling_id {among}SELECT id FROM {given}{end}", given="id int")
_INSERT = Statement(
    """
    INSERT INTO waits (mapping, side, key, coupling_id)
    SELECT mapping, side, key, coupling_id FROM {given} WHERE true ON CONFLICT DO NOTHING
    """,
    given=f"{_WAIT}, coupling_id int",
)
_WAITING = Statement(
    """
    SELECT w.coupling_id FROM {given}
    JOIN waits w ON w.key = given.key AND w.mapping = given.mapping AND w.side = given.side
    """,
    given=_WAIT,
)


def replace(connection: Connection, waits_by_coupling: Mapping[int, tuple[Wait, ...]]) -> None:
    """Let each of these couplings, locked before, wait for exactly these records."""
    if not waits_by_coupling:
        return
    _DELETE.run(connection, given=numbers(waits_by_coupling))
    rows = [(*_row(wait), id_) for id_, waits in waits_by_coupling.items() for wait in waits]
    if rows:
        _INSERT.run(connection, given=rows)


def waiting_on(connection: Connection, waits: Collection[Wait]) -> set[int]:
    """Return the numbers of the couplings that wait for one of these."""
    if not waits:
        return set()
    return set(_WAITING.run(connection, given=map(_row, waits)).scalars())


def _row(wait: Wait) -> tuple[str, str, str]:
    return wait.mapping, wait.side, indexable(wait.key)
