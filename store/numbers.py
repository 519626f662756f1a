"""Numbers for couplings and errors, known before their rows are written; never given twice, gaps mean nothing."""

from __future__ import annotations

from sqlalchemy import Connection, text

_POSTGRESQL = text(
    "SELECT nextval(pg_get_serial_sequence(:table_name, :column_name)) FROM generate_series(1, CAST(:count AS integer))"
)
_SQLITE = text("UPDATE sqlite_sequence SET seq = seq + :count WHERE name = :table_name RETURNING seq")
"""The counter of the table's own ``AUTOINCREMENT``; SQLite makes its row with the first row of the table."""
_SQLITE_FIRST = text("INSERT INTO sqlite_sequence (name, seq) VALUES (:table_name, :count)")


def fresh(connection: Connection, table_name: str, column_name: str, count: int) -> list[int]:
    """Return ``count`` new numbers for ``column_name``, growing."""
    if count == 0:
        return []
    if connection.dialect.name == "sqlite":
        given = {"table_name": table_name, "count": count}
        last = connection.execute(_SQLITE, given).scalar()
        if last is None:
            connection.execute(_SQLITE_FIRST, given)
            last = count
        return list(range(last - count + 1, last + 1))
    names = {"table_name": table_name, "column_name": column_name, "count": count}
    return sorted(connection.execute(_POSTGRESQL, names).scalars())
