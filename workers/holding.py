"""What a pause holds up: it is due when the pause ends, and not looked at before."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection

from store import due as due_store
from store import pauses as pause_store
from store.due import Due, DueKind
from workers.mapping import MappingFile

AT_ONCE = 1000
"""So much is let go in one transaction: a pause over a million changed records may end, and nobody waits for it."""


def hold_up(conn: Connection, file: MappingFile, items: Collection[Due]) -> None:
    """Put off this work until the pause of its mapping ends; what nothing pauses any more is due as it is.

    A pause may end between the decision that it holds something up and this moment. So the pauses are kept as they are
    from here to the commit: whoever ends one finds all that was put off because of it. Call it last in a transaction.
    """
    if not items:
        return
    pauses = pause_store.hold(conn)
    held = [one for one in items if (at := file.mappings.get(one.mapping or "")) and pauses.of(at) is not None]
    due_store.hold(conn, held)
    due_store.put(conn, [one for one in items if one not in held])


def let_go(conn: Connection, file: MappingFile, mapping: str, now: datetime) -> None:
    """Have a part of what was held up under ``mapping`` done, and then the next; nothing, if it is paused anew."""
    found = file.mappings.get(mapping)
    if found is not None and pause_store.read(conn).of(found) is not None:
        return  # who ends that pause lets go what is left
    if due_store.let_go(conn, mapping, now, AT_ONCE) == AT_ONCE:
        due_store.put(conn, [Due(kind=DueKind.LET_GO, mapping=mapping, due_at=now)])
