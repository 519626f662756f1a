"""Since when each app can be heard, as whoever looked last has left it for all workers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from store.hearing import Hearing
from store.sets import Statement, words

_TIMES = ("since", "looked_at", "empty_at", "heard_at")
_COLUMNS = ", ".join(_TIMES)

_READ = Statement(f"SELECT app, {_COLUMNS} FROM listening", returns=_TIMES)
_LOCK = Statement(
    f"SELECT app, {_COLUMNS} FROM listening WHERE app IN (SELECT app FROM {{given}}) ORDER BY app {{for update}}",
    returns=_TIMES,
    given="app text",
)
_SAVE = Statement(
    f"""
    INSERT INTO listening (app, {_COLUMNS}) SELECT app, {_COLUMNS} FROM {{given}} WHERE true ORDER BY app
    ON CONFLICT (app) DO UPDATE SET since = excluded.since, looked_at = excluded.looked_at,
        empty_at = excluded.empty_at, heard_at = excluded.heard_at
    """,
    given=f"app text, {', '.join(f'{name} time' for name in _TIMES)}",
)
_AWAITS = Statement("SELECT EXISTS (SELECT 1 FROM instructions WHERE state NOT IN ('applied', 'failed')) AS found")
# The first of either line; who is behind with these is behind with all that follows.
_HELD_UP = Statement(
    """
    SELECT exchange, routing_key, put_at < :before AS is_late FROM (
        SELECT exchange, routing_key, put_at FROM outbox
        WHERE exchange <> '' AND turn_at IS NULL ORDER BY id LIMIT :most
    ) AS at_once
    UNION ALL SELECT exchange, routing_key, turn_at < :before AS is_late FROM (
        SELECT exchange, routing_key, turn_at FROM outbox
        WHERE exchange <> '' AND turn_at IS NOT NULL ORDER BY turn_at, id LIMIT :most
    ) AS in_turn
    """,
    times=("before",),
)
_MOST = 500


def read(connection: Connection) -> dict[str, Hearing]:
    """Return, per app, what is known; an app that was never looked at is absent."""
    return {row.app: _hearing(row) for row in _READ.run(connection)}


def lock(connection: Connection, apps: Collection[str]) -> dict[str, Hearing]:
    """Return the same of these apps, locked until the transaction ends."""
    return {row.app: _hearing(row) for row in _LOCK.run(connection, given=words(apps))}


def save(connection: Connection, hearings: Mapping[str, Hearing]) -> None:
    """Keep what is known of these apps."""
    if hearings:
        rows = [(app, one.since, one.looked_at, one.empty_at, one.heard_at) for app, one in hearings.items()]
        _SAVE.run(connection, given=rows)


def awaits_answers(connection: Connection) -> bool:
    """Say whether any instruction is neither applied nor failed."""
    return bool(_AWAITS.run(connection).scalar_one())


def held_up(connection: Connection, exchange: str, before: datetime) -> tuple[set[str], bool]:
    """Return the routing keys under which something waits in the outbox that could have gone before that moment.

    Looks at the first of the outbox only; returns, too, whether even the last of these could have gone by then, so that
    all which comes after them is held up.
    """
    rows = _HELD_UP.run(connection, {"before": before, "most": _MOST}).all()
    late = [row for row in rows if row.is_late]
    return {row.routing_key for row in late if row.exchange == exchange}, len(late) >= _MOST


def _hearing(row: Any) -> Hearing:
    return Hearing(since=row.since, looked_at=row.looked_at, empty_at=row.empty_at, heard_at=row.heard_at)
