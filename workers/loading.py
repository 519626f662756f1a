"""The ``loaded`` command: every record of a table has been announced, so that missing counterparts may be created."""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.commands import Command, Loaded, RefusalCode
from store import arrivals as arrival_store
from store import loaded as loaded_store
from workers.bulk.jobs import begin
from workers.carried import Carried
from workers.context import Context
from workers.gates import both_loaded
from workers.refusal import RefusedError


def table_loaded(conn: Connection, context: Context, command: Command, now: datetime) -> Carried:
    """Note it; what waited under mappings of which both tables are loaded now is matched or created, as a job of each.

    Raises:
        RefusedError: no mapping speaks of the table.
    """
    order = command.order
    assert isinstance(order, Loaded)  # noqa: S101 - the table of handlers says so
    places = context.file.sides_of(order.app, order.table)
    if not places:
        detail = f"no mapping speaks of {order.app}/{order.table}; see [[mappings]] in the mapping file"
        raise RefusedError(RefusalCode.NOT_FOUND, detail)
    loaded_store.mark(conn, order.app, order.table, now)
    tables = loaded_store.all(conn)
    names = dict.fromkeys(mapping.name for mapping, _ in places)
    opened = [name for name in names if both_loaded(context.file.mappings[name], tables)]
    closed = [name for name in names if name not in opened]
    # In transactions after this one: whoever reads that the tables are not loaded has its record waiting by then.
    jobs = [_begin(conn, command, name, now) for name in opened]
    name = f"{order.app}/{order.table}"
    effect = f"opened {', '.join(opened)}" if opened else "the other table is still to be loaded"
    return Carried(
        result={"table": name, "opened": opened, "waiting_for_the_other_table": closed, "jobs": jobs},
        records=(f"{name}/",),
        effect=effect,
    )


def _begin(conn: Connection, command: Command, mapping: str, now: datetime) -> int:
    """Begin the job of one mapping; the command answers itself, so that the job answers nobody."""
    own = replace(command, id=f"{command.id}/{mapping}", reply_to=None)
    return begin(conn, own, now, mapping=mapping, total=arrival_store.count_gated(conn, mapping)).number
