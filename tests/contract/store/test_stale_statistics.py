"""PostgreSQL looked at the queues when they were empty, and now they are full: it reads what is asked for all the same.

Queues are empty most of the time, and that is when their statistics are taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Connection, text

from store import due, outbox, waits
from store.connect import Store
from store.due import Due, DueKind
from store.model import Side, Wait
from tests.contract.store.samples import NOW, SECOND, publication

MANY = 3000
FEW = 50
READ_AT_MOST = 20 * FEW
"""What is asked for is looked at several times; what lies beside it never."""

KEYS = range(1, FEW + 1)


def fill(connection: Connection) -> None:
    """Queues that were empty a moment ago."""
    outbox.put(connection, [(publication(b"x"), None)] * MANY)
    due.put(connection, [Due(kind=DueKind.ANSWER, coupling=1, instruction=f"i{n}", due_at=NOW) for n in range(MANY)])
    waits.replace(connection, {n: (Wait("m", Side.LEFT, "k"),) for n in range(1, MANY + 1)})


DONE_WITH: dict[str, tuple[str, Callable[[Connection], object]]] = {
    "outbox.claim": ("outbox", lambda c: outbox.claim(c, FEW, NOW, 60 * SECOND)),
    "outbox.done": ("outbox", lambda c: outbox.done(c, KEYS)),
    "outbox.release": ("outbox", lambda c: outbox.release(c, KEYS)),
    "outbox.put_off": ("outbox", lambda c: outbox.put_off(c, KEYS, NOW)),
    "due.begin": ("due", lambda c: due.begin(c, KEYS, NOW)),
    "due.take_again": ("due", lambda c: due.take_again(c, KEYS)),
    "due.give_up": ("due", lambda c: due.give_up(c, KEYS)),
    "due.delete": ("due", lambda c: due.delete(c, KEYS)),
    "due.cancel": ("due", lambda c: due.cancel(c, [f"i{n}" for n in KEYS])),
    "waits.replace": ("waits", lambda c: waits.replace(c, dict.fromkeys(KEYS, ()))),
}


@pytest.fixture
def full(shared_store: Store) -> Iterator[Connection]:
    """A transaction in a store whose queues have just been filled."""
    with shared_store.transaction() as connection:
        fill(connection)
        for table in ("outbox", "due", "waits"):
            connection.execute(text(f"DELETE FROM {table}"))
    with shared_store.transaction() as connection:
        connection.execute(text("ANALYZE"))
    with shared_store.transaction() as connection:
        for table, column in (("outbox", "id"), ("due", "id")):
            connection.execute(text(f"ALTER TABLE {table} ALTER COLUMN {column} RESTART"))
        fill(connection)
    with shared_store.transaction() as connection:
        yield connection


@pytest.mark.parametrize("name", DONE_WITH)
def test_only_what_is_asked_for_is_read(full: Connection, name: str) -> None:
    """A backlog of a million would take as many reads for each window, and never become shorter."""
    table, do = DONE_WITH[name]
    before = rows_read(full, table)
    do(full)
    assert 0 < rows_read(full, table) - before <= READ_AT_MOST


def rows_read(connection: Connection, table: str) -> int:
    """How many rows of a table this connection has read, by an index or without one."""
    query = """
        SELECT sum(pg_stat_get_xact_tuples_returned(relation)) FROM (
            SELECT CAST(to_regclass(:name) AS oid) AS relation
            UNION SELECT indexrelid FROM pg_index WHERE indrelid = to_regclass(:name)
        ) AS relations
    """
    return int(connection.execute(text(query), {"name": table}).scalar_one())
