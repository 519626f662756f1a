"""When an app with a limit of instructions per second may be sent the next one."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection

from store.sets import Statement, words

_INSERT_MISSING = Statement(
    """
    INSERT INTO paces (app, free_at) SELECT app, :now FROM {given} WHERE true ORDER BY app
    ON CONFLICT (app) DO NOTHING
    """,
    times=("now",),
    given="app text",
)
_LOCK = Statement(
    "SELECT p.app, p.free_at FROM {given} JOIN paces p ON p.app = given.app ORDER BY p.app {for update of p}",
    returns=("free_at",),
    given="app text",
)
_READ = Statement(
    "SELECT p.app, p.free_at FROM {given} JOIN paces p ON p.app = given.app", returns=("free_at",), given="app text"
)
_SAVE = Statement(
    "UPDATE paces SET free_at = given.free_at FROM {given} WHERE paces.app = given.app",
    given="app text, free_at time",
)


def lock(connection: Connection, apps: Collection[str], now: datetime) -> dict[str, datetime]:
    """Lock these apps until the transaction ends, and return when each is free; a new one is free now."""
    if not apps:
        return {}
    given = words(sorted(set(apps)))
    _INSERT_MISSING.run(connection, {"now": now}, given=given)
    return {row.app: row.free_at for row in _LOCK.run(connection, given=given)}


def free_at(connection: Connection, apps: Collection[str]) -> dict[str, datetime]:
    """Return when each of these apps is free; one that was never sent anything is absent. Locks nothing."""
    return {row.app: row.free_at for row in _READ.run(connection, given=words(apps))} if apps else {}


def save(connection: Connection, free: Mapping[str, datetime]) -> None:
    """Keep when these apps, locked before, are free."""
    if free:
        _SAVE.run(connection, given=free.items())
