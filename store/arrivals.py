"""Uncoupled records that wait to be matched or created (rule 4 of section 5), one per mapping and record."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec
from sqlalchemy import Connection, Row, func, select, text

from messages.records import RecordRef
from store.documents import Document
from store.model import OpenError, Side
from store.sets import RECORD, Statement, words
from store.tables import arrivals as table

Key: TypeAlias = tuple[str, RecordRef]
"""Mapping and record."""
Place: TypeAlias = tuple[datetime, RecordRef]
"""Since when one waits, and which record it is: where a page of them ends."""

FIRST: Place = (datetime.fromtimestamp(0, UTC), RecordRef("", "", ""))
"""Before all others."""

_ERROR = Document(OpenError)
_COLUMNS = "mapping, app, table_name, key, side, since, waits_for, gated, error, traceparent"
_ARRIVAL = ", ".join(f"a.{name}" for name in _COLUMNS.split(", "))
_KEY = f"mapping text, {RECORD}"

_PUT = Statement(
    f"""
    INSERT INTO arrivals ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}} WHERE true ORDER BY mapping, app, table_name, key
    ON CONFLICT (key, table_name, app, mapping) DO UPDATE
    SET side = excluded.side, since = excluded.since, waits_for = excluded.waits_for, gated = excluded.gated,
        error = excluded.error, traceparent = excluded.traceparent
    """,
    given=f"{_KEY}, side text, since time, waits_for text, gated bool, error text, traceparent text",
)
_ARRIVE = Statement(
    f"""
    INSERT INTO arrivals ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}} WHERE true ORDER BY mapping, app, table_name, key
    ON CONFLICT (key, table_name, app, mapping) DO UPDATE SET gated = excluded.gated, traceparent = excluded.traceparent
    """,
    given=f"{_KEY}, side text, since time, waits_for text, gated bool, error text, traceparent text",
)
_LOCK = Statement(
    f"""
    SELECT {_ARRIVAL} FROM {{given}} JOIN arrivals a
    ON a.key = given.key AND a.table_name = given.table_name AND a.app = given.app AND a.mapping = given.mapping
    ORDER BY a.mapping, a.app, a.table_name, a.key {{for update of a}}
    """,
    returns=("since",),
    given=_KEY,
)
_READ = Statement(
    f"""
    SELECT {_ARRIVAL} FROM {{given}} JOIN arrivals a
    ON a.key = given.key AND a.table_name = given.table_name AND a.app = given.app AND a.mapping = given.mapping
    """,
    returns=("since",),
    given=_KEY,
)
_REMOVE = Statement(
    "DELETE FROM arrivals WHERE (key, table_name, app, mapping) IN (SELECT key, table_name, app, mapping FROM {given})",
    given=_KEY,
)
_WAITING = Statement(
    f"SELECT {_ARRIVAL} FROM {{given}} JOIN arrivals a ON a.waits_for = given.id ORDER BY a.since, a.key",
    returns=("since",),
    given="id text",
)


_GATED = Statement(
    f"""
    SELECT {_COLUMNS} FROM arrivals WHERE mapping = :mapping AND gated
    AND (since, app, table_name, key) > (:since, :app, :table_name, :key)
    ORDER BY since, app, table_name, key LIMIT :limit
    """,
    times=("since",),
    returns=("since",),
)
_AMBIGUOUS_ABOUT = Statement(
    """
    SELECT DISTINCT a.mapping, a.app, a.table_name, a.key FROM {given}
    JOIN match_values v ON v.key = given.key AND v.table_name = given.table_name AND v.app = given.app
        AND v.mapping = given.mapping
    JOIN match_values o ON o.value = v.value AND o.mapping = v.mapping AND o.side <> v.side
        AND o.match_group = v.match_group
    JOIN arrivals a ON a.key = o.key AND a.table_name = o.table_name AND a.app = o.app AND a.mapping = o.mapping
    WHERE a.error IS NOT NULL
    """,
    given=_KEY,
)


class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """One record that waits.

    Attributes:
        side: On which side of the mapping it is.
        waits_for: The create whose answer it waits for (R15).
        gated: The tables of the mapping are not all loaded yet.
        error: The open ``match_ambiguous`` error, where it matches several.
        traceparent: Of the event that announced it.
    """

    mapping: str
    record: RecordRef
    side: Side
    since: datetime
    waits_for: str | None = None
    gated: bool = False
    error: OpenError | None = None
    traceparent: str | None = None


def arrive(connection: Connection, arrivals: Collection[Arrival]) -> None:
    """Let these wait; one that waits already keeps since when, for what and with which error."""
    if arrivals:
        latest = {(arrival.mapping, arrival.record): arrival for arrival in arrivals}
        _ARRIVE.run(connection, given=[_row(arrival) for arrival in latest.values()])


def put(connection: Connection, arrivals: Collection[Arrival]) -> None:
    """Keep these; what was kept of the same mapping and record is replaced."""
    if arrivals:
        latest = {(arrival.mapping, arrival.record): arrival for arrival in arrivals}
        _PUT.run(connection, given=[_row(arrival) for arrival in latest.values()])


def lock(connection: Connection, keys: Collection[Key]) -> list[Arrival]:
    """Lock and return those of these that wait."""
    if not keys:
        return []
    return [_arrival(row) for row in _LOCK.run(connection, given=_names(dict.fromkeys(keys)))]


def read(connection: Connection, keys: Collection[Key]) -> list[Arrival]:
    """Return those of these that wait; locks nothing."""
    if not keys:
        return []
    return [_arrival(row) for row in _READ.run(connection, given=_names(set(keys)))]


def remove(connection: Connection, keys: Collection[Key]) -> None:
    """Delete those that wait no more."""
    if keys:
        _REMOVE.run(connection, given=_names(keys))


def waiting_for(connection: Connection, instructions: Collection[str]) -> list[Arrival]:
    """Return those that wait for the answer to one of these creates; locks nothing."""
    if not instructions:
        return []
    return [_arrival(row) for row in _WAITING.run(connection, given=words(set(instructions)))]


def gated(connection: Connection, mapping: str, limit: int, after: Place = FIRST) -> list[Arrival]:
    """Return up to ``limit`` of those that wait for the tables of ``mapping``, longest first; locks nothing."""
    since, record = after
    place = {"since": since, "app": record.app, "table_name": record.table, "key": record.key}
    return [_arrival(row) for row in _GATED.run(connection, {**place, "mapping": mapping, "limit": limit})]


def count_gated(connection: Connection, mapping: str) -> int:
    """Return how many wait for the tables of ``mapping``."""
    query = select(func.count()).select_from(table).where(table.c.mapping == mapping, text("gated"))
    return connection.execute(query).scalar_one()


def ambiguous_about(connection: Connection, keys: Collection[Key]) -> list[Key]:
    """Return those that wait because they match several records, these among them; locks nothing."""
    if not keys:
        return []
    rows = _AMBIGUOUS_ABOUT.run(connection, given=_names(set(keys)))
    return [(row.mapping, RecordRef(row.app, row.table_name, row.key)) for row in rows]


def count(connection: Connection) -> int:
    """Return how many wait."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _arrival(row: Row[Any]) -> Arrival:
    return Arrival(
        mapping=row.mapping,
        record=RecordRef(row.app, row.table_name, row.key),
        side=Side(row.side),
        since=row.since,
        waits_for=row.waits_for,
        gated=bool(row.gated),
        error=None if row.error is None else _ERROR.read(row.error),
        traceparent=row.traceparent,
    )


def _row(arrival: Arrival) -> tuple[object, ...]:
    name = (arrival.record.app, arrival.record.table, arrival.record.key)
    error = None if arrival.error is None else _ERROR.write(arrival.error)
    return (
        arrival.mapping,
        *name,
        arrival.side,
        arrival.since,
        arrival.waits_for,
        arrival.gated,
        error,
        arrival.traceparent,
    )


def _names(keys: Collection[Key]) -> list[tuple[object, ...]]:
    return [(mapping, ref.app, ref.table, ref.key) for mapping, ref in keys]
