"""Which tables have announced all of their records."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, select

from store.sets import Statement
from store.tables import loaded as table

_MARK = Statement(
    """
    INSERT INTO loaded (app, table_name, loaded_at) VALUES (:app, :table_name, :now) ON CONFLICT DO NOTHING
    """,
    times=("now",),
)
_LOCK = Statement(
    """
    INSERT INTO loaded (app, table_name, loaded_at) VALUES ('recouple', '', :now)
    ON CONFLICT (app, table_name) DO UPDATE SET loaded_at = excluded.loaded_at
    """,
    times=("now",),
)
"""No app is called so; two tables that are announced at once are noted one after the other, so that one sees both."""


def mark(connection: Connection, app: str, table_name: str, now: datetime) -> None:
    """Note that the table has announced all of its records; until the transaction ends, nobody else notes one."""
    _LOCK.run(connection, {"now": now})
    _MARK.run(connection, {"app": app, "table_name": table_name, "now": now})


def all(connection: Connection) -> set[tuple[str, str]]:  # noqa: A001 - read as `loaded.all`
    """Return the (app, table) that have."""
    rows = connection.execute(select(table.c.app, table.c.table_name).where(table.c.app != "recouple"))
    return {(row.app, row.table_name) for row in rows}
