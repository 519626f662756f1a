"""What years of work leave in a store, which the database makes by itself: rows that have had their time."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import bindparam, text

from store.columns import UtcDateTime
from store.connect import Store
from tests.load.seeding import series

LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
OLD = "id LIKE 'old-%'"

_ROWS = {
    "handled (app, id, digest, handled_at)": "'bc', 'old-' || s.k, 'd', :at",
    "log (at, record, outcome, line)": ":at, 'bc/customer/old-' || s.k, 'sent', :line",
    "instructions (id, coupling_id, app, table_name, key, action, reason, attempt, state, made_at, sent)": (
        "'old-' || s.k, 0, 'sales', 'account', s.k, 'update', 'sync', 1, 'applied', :at, :line"
    ),
    "commands (id, digest, source, name, body, ordered_at)": "'old-' || s.k, 'd', 'ops/jane', 'retry', :line, :at",
}
_COUNTS = {
    "handled": f"SELECT count(*) FROM handled WHERE {OLD}",
    "log": "SELECT count(*) FROM log WHERE record LIKE 'bc/customer/old-%'",
    "instructions": f"SELECT count(*) FROM instructions WHERE {OLD}",
    "commands": f"SELECT count(*) FROM commands WHERE {OLD}",
}


def grow_old(store: Store, rows: int) -> None:
    """Leave so many rows of each kind that has its time, and of the audit, which has none."""
    given = {"count": rows, "at": LONG_AGO, "line": "x" * 300}
    with store.transaction() as conn:
        for table, values in _ROWS.items():
            statement = text(f"INSERT INTO {table} SELECT {values} FROM {series(store.dialect)}")
            statement = statement.bindparams(bindparam("at", type_=UtcDateTime()))
            conn.execute(statement, {name: given[name] for name in statement.compile().params})


def old_rows(store: Store) -> dict[str, int]:
    """Return how many of them are left."""
    with store.reading() as conn:
        return {name: int(conn.execute(text(count)).scalar_one()) for name, count in _COUNTS.items()}
