"""What a pause holds up: it is due when the pause ends, and not looked at before."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection

from store import due as due_store
from store import pauses as pause_store
from store.due import Due
from workers.mapping import MappingFile


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
