"""The ``loaded`` command: every record of a table has been announced, so that missing counterparts may be created."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from messages.commands import Loaded, RefusalCode
from store import due as due_store
from store import loaded as loaded_store
from store.due import Due, DueKind
from workers.context import Context
from workers.log_lines import Line
from workers.mapping import Mapping
from workers.refusal import RefusedError


def table_loaded(conn: Connection, context: Context, order: Loaded, now: datetime) -> tuple[dict[str, Any], list[Line]]:
    """Note it; what waited under mappings of which both tables are loaded now is due to be matched or created.

    Raises:
        RefusedError: no mapping speaks of the table.
    """
    places = context.file.sides_of(order.app, order.table)
    if not places:
        detail = f"no mapping speaks of {order.app}/{order.table}; see [[mappings]] in the mapping file"
        raise RefusedError(RefusalCode.NOT_FOUND, detail)
    loaded_store.mark(conn, order.app, order.table, now)
    tables = loaded_store.all(conn)
    opened = [mapping.name for mapping, _ in places if both_loaded(mapping, tables)]
    # In a transaction after this one: whoever reads that the tables are not loaded has its record waiting by then.
    due_store.put(conn, [Due(kind=DueKind.GATE, mapping=name, due_at=now) for name in opened])
    closed = [mapping.name for mapping, _ in places if mapping.name not in opened]
    return {"table": f"{order.app}/{order.table}", "opened": opened, "waiting_for_the_other_table": closed}, []


def both_loaded(mapping: Mapping, tables: set[tuple[str, str]]) -> bool:
    """Say whether both tables of ``mapping`` have announced all of their records."""
    return {(mapping.left.app, mapping.left.name), (mapping.right.app, mapping.right.name)} <= tables
