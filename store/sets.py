"""One SQL text for both databases, in which a whole set of rows is one parameter.

The number of statements of a batch must not depend on the number of its messages, and their text must be constant, so
that it is compiled once and PostgreSQL keeps it prepared. A set travels as a JSON document and is unfolded by the
database: ``json_to_recordset`` on PostgreSQL, ``json_each`` on SQLite.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, CursorResult, TextClause, bindparam, text

from messages.records import RecordRef
from messages.topology import MAX_KEY_BYTES
from store.columns import UtcDateTime, microseconds

RECORD = "app text, table_name text, key text"
"""The columns that name a record, for ``Statement``; ``names`` makes the rows."""

_POSTGRESQL_TYPES = {"text": "text", "int": "bigint", "bool": "boolean", "time": "bigint", "bytes": "text"}
_POSTGRESQL_VALUES = {"time": "to_timestamp({} / 1e6)", "bytes": "decode({}, 'base64')"}
_SQLITE_VALUES = {"bytes": "unbase64({})"}  # registered by store.sqlite
_SQLITE_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"
_WORDS = {
    "now": {"postgresql": "now()", "sqlite": _SQLITE_NOW},
    "among": {"postgresql": "= ANY (ARRAY(", "sqlite": "IN ("},
    "end": {"postgresql": "))", "sqlite": ")"},
}
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_PLACEHOLDER = re.compile(r"\{([a-z_ ]+)\}")


class UnstorableTextError(ValueError):
    """A name holds U+0000, which no text column takes. Field values may hold it: they are stored as JSON."""


class _RowSet:
    """A FROM clause made of rows: ``columns`` reads ``"app text, seen_at time, …"``."""

    def __init__(self, name: str, columns: str) -> None:
        pairs = [column.split() for column in columns.split(",")]
        self._name = name
        self._types = {column: kind for column, kind in pairs}  # noqa: C416 - of lists, which `dict` does not take by type
        self._times = tuple(position for position, (_, kind) in enumerate(pairs) if kind == "time")
        # a struct is made, and written, in a fraction of the time that a dict takes
        self._row = msgspec.defstruct(f"{name}_row", list(self._types), gc=False)

    def sql(self, dialect: str) -> str:
        """The clause, under its own name."""
        if dialect == "postgresql":
            typed = ", ".join(f"{column} {_POSTGRESQL_TYPES[kind]}" for column, kind in self._types.items())
            source = f"json_to_recordset(CAST(:{self._name} AS json)) AS unfolded({typed})"
            values = {column: _POSTGRESQL_VALUES.get(kind, "{}").format(column) for column, kind in self._types.items()}
        else:
            source = f"json_each(:{self._name})"
            values = {
                column: _SQLITE_VALUES.get(kind, "{}").format(f"json_extract(value, '$.{column}')")
                for column, kind in self._types.items()
            }
        chosen = ", ".join(f"{value} AS {column}" for column, value in values.items())
        return f"(SELECT {chosen} FROM {source}) AS {self._name}"

    def document(self, rows: Iterable[tuple[object, ...]]) -> str:
        """The rows, in the order of the columns, as the one parameter."""
        if self._times:
            rows = [self._with_microseconds(row) for row in rows]
        encoded = msgspec.json.encode([self._row(*row) for row in rows])
        if b"\\u0000" in encoded and _NUL.search(encoded):
            raise UnstorableTextError(f"one of {', '.join(self._types)} holds a NUL character: send it without")
        return encoded.decode()

    def _with_microseconds(self, row: tuple[object, ...]) -> tuple[object, ...]:
        values = list(row)
        for position in self._times:
            moment = values[position]
            if isinstance(moment, datetime):
                values[position] = microseconds(moment)
        return tuple(values)


class Statement:
    """A statement for both databases, built once per module and run with sets of rows.

    In the text, ``{given}`` stands for the row set of that name, ``{now}`` for the database's clock and
    ``{for update …}`` for the locking clause, which SQLite neither has nor needs: it has one writer.
    ``{among}SELECT …{end}`` is ``IN (SELECT …)`` as a list of values, looked up one by one in an index: statistics of
    PostgreSQL from a moment when a queue was empty have a join read the whole table, at any length, for each row.
    """

    def __init__(self, sql: str, *, times: tuple[str, ...] = (), returns: tuple[str, ...] = (), **sets: str) -> None:
        """``times`` are parameters and ``returns`` result columns that hold moments; ``sets`` are columns."""
        self._sets = {name: _RowSet(name, columns) for name, columns in sets.items()}
        self._texts = {dialect: self._text(sql, dialect, times) for dialect in ("postgresql", "sqlite")}
        self._returns = {name: UtcDateTime() for name in returns}
        self._typed = {dialect: clause.columns(**self._returns) for dialect, clause in self._texts.items()}

    def run(
        self,
        connection: Connection,
        parameters: Mapping[str, object] | None = None,
        /,
        **sets: Iterable[tuple[object, ...]],
    ) -> CursorResult[Any]:
        """Execute with single ``parameters`` and with ``sets`` of rows, each row a tuple in the order of its columns.

        Raises:
            UnstorableTextError: a text holds a NUL character; nothing was executed.
        """
        values = dict(parameters or {})
        for name, rows in sets.items():
            values[name] = self._sets[name].document(rows)
        dialect = connection.dialect.name
        if self._returns:
            return connection.execute(self._typed[dialect], values)
        return connection.execute(self._texts[dialect], values)

    def send(
        self,
        connection: Connection,
        parameters: Mapping[str, object] | None = None,
        /,
        **sets: Iterable[tuple[object, ...]],
    ) -> None:
        """Execute as ``run`` does what returns nothing, without waiting for the answer where the database allows it.

        What is wrong with it may be raised by the next statement of the transaction, or by its commit.

        Raises:
            UnstorableTextError: a text holds a NUL character; nothing was executed.
        """
        if connection.dialect.name != "postgresql":
            self.run(connection, parameters, **sets)
            return
        driver: Any = connection.connection.driver_connection
        with driver.sending():
            self.run(connection, parameters, **sets)

    def _text(self, sql: str, dialect: str, times: tuple[str, ...]) -> TextClause:
        def fill(match: re.Match[str]) -> str:
            word = match[1]
            if word in self._sets:
                return self._sets[word].sql(dialect)
            if word in _WORDS:
                return _WORDS[word][dialect]
            return word.upper() if dialect == "postgresql" else ""

        return text(_PLACEHOLDER.sub(fill, sql)).bindparams(*(bindparam(name, type_=UtcDateTime()) for name in times))


def names(refs: Iterable[RecordRef]) -> list[tuple[object, ...]]:
    """Return the rows of a set of ``RECORD`` columns."""
    return [(ref.app, ref.table, ref.key) for ref in refs]


def numbers(values: Iterable[int]) -> list[tuple[object, ...]]:
    """Return the rows of a set of one ``int`` column."""
    return [(value,) for value in values]


def words(values: Iterable[str]) -> list[tuple[object, ...]]:
    """Return the rows of a set of one ``text`` column."""
    return [(value,) for value in values]


def indexable(value: str) -> str:
    """Return ``value``, or a digest of one that no record key can be: so that any field value can be looked up.

    An index entry of PostgreSQL holds some 2,700 bytes, and no text column takes a NUL.
    """
    encoded = value.encode("utf-8", "surrogatepass")
    if len(encoded) <= MAX_KEY_BYTES and "\0" not in value:
        return value
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"
