"""Numbers for couplings and errors, known before their rows are written; never given twice, gaps mean nothing."""

from __future__ import annotations

from sqlalchemy import Connection, text

_POSTGRESQL = text(
    "SELECT nextval(pg_get_serial_sequence(:table_name, :column_name)) FROM generate_series(1, CAST(:count AS integer))"
)
_SQLITE = text("UPDATE sqlite_sequence SET seq = seq + :count WHERE name = :table_name RETURNING seq")
"""The counter of the table's own ``AUTOINCREMENT``; the first migration made its row."""


def fresh(connection: Connection, table_name: str, column_name: str, count: int) -> list[int]:
    """Return ``count`` new numbers for ``column_name``, growing."""
    if count == 0:
        return []
    if connection.dialect.name == "sqlite":
        last = connection.execute(_SQLITE, {"table_name": table_name, "count": count}).scalar_one()
        return list(range(last - count + 1, last + 1))
    names = {"table_name": table_name, "column_name": column_name, "count": count}
    return sorted(connection.execute(_POSTGRESQL, names).scalars())
