"""By what uncoupled records are matched, and the locks under which matching is serial.

Whoever matches locks the match values first; whoever takes the answer to a create locks the values of that create
(``values_of``). So the two never miss each other (R15).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from messages.records import RecordRef
from store.model import Side
from store.sets import RECORD, Statement, indexable, words

Entry: TypeAlias = tuple[str, Side, RecordRef, tuple[tuple[int, str], ...]]
"""Mapping, side, record, and the record's value for each group that it has one for."""
Key: TypeAlias = tuple[str, Side, int, str]
"""Mapping, side, group and value."""
MatchValue: TypeAlias = tuple[str, str]
"""Mapping and value."""

CANDIDATES_MAX = 21
"""One more than an error shows (``candidates`` holds at most 20)."""

_VALUE = "mapping text, value text"
_ENTRY = f"mapping text, side text, {RECORD}"

_INSERT_MISSING = Statement(
    """
    INSERT INTO match_locks (mapping, value) SELECT mapping, value FROM {given} WHERE true ORDER BY mapping, value
    ON CONFLICT DO NOTHING
    """,
    given=_VALUE,
)
_LOCK = Statement(
    """
    SELECT l.value FROM {given} JOIN match_locks l ON l.value = given.value AND l.mapping = given.mapping
    ORDER BY l.mapping, l.value {for update of l}
    """,
    given=_VALUE,
)
_DELETE_OTHERS = Statement(
    """
    DELETE FROM match_values WHERE (key, table_name, app, mapping) IN (
        SELECT key, table_name, app, mapping FROM {records}
    ) AND (key, table_name, app, mapping, match_group) NOT IN (
        SELECT key, table_name, app, mapping, match_group FROM {given}
    )
    """,
    records=_ENTRY,
    given=f"{_ENTRY}, match_group int, value text",
)
_SAVE = Statement(
    """
    INSERT INTO match_values (mapping, side, app, table_name, key, match_group, value)
    SELECT mapping, side, app, table_name, key, match_group, value FROM {given} WHERE true
    ON CONFLICT (key, table_name, app, mapping, match_group) DO UPDATE
    SET side = excluded.side, value = excluded.value
    WHERE match_values.side <> excluded.side OR match_values.value <> excluded.value
    """,
    given=f"{_ENTRY}, match_group int, value text",
)


def _uncoupled(side: str) -> str:
    return f"""NOT EXISTS (
        SELECT 1 FROM couplings c WHERE v.side = '{side}' AND c.{side}_key = v.key AND c.{side}_table = v.table_name
        AND c.{side}_app = v.app AND c.mapping = v.mapping AND NOT c.closed
    )"""


_CANDIDATES = Statement(
    f"""
    SELECT * FROM (
        SELECT v.mapping, v.side, v.match_group, v.value, v.app, v.table_name, v.key,
            row_number() OVER (same_value ORDER BY v.app, v.table_name, v.key) AS place,
            count(*) OVER same_value AS total
        FROM {{given}}
        JOIN match_values v ON v.value = given.value AND v.mapping = given.mapping AND v.side = given.side
            AND v.match_group = given.match_group
        JOIN records r ON r.key = v.key AND r.table_name = v.table_name AND r.app = v.app AND r.alive
        WHERE {_uncoupled("left")} AND {_uncoupled("right")} AND NOT EXISTS (
            SELECT 1 FROM apart a WHERE a.key = v.key AND a.table_name = v.table_name AND a.app = v.app
            AND a.mapping = v.mapping
        )
        WINDOW same_value AS (PARTITION BY v.mapping, v.side, v.match_group, v.value)
    ) AS ranked WHERE place <= {CANDIDATES_MAX} ORDER BY place
    """,
    given="mapping text, side text, match_group int, value text",
)


def _unmade(side: str) -> str:
    return f"""
        SELECT v.mapping, v.side, v.match_group, v.value, v.app, v.table_name, v.key
        FROM {{given}}
        JOIN match_values v ON v.value = given.value AND v.mapping = given.mapping AND v.side = given.side
            AND v.match_group = given.match_group
        JOIN couplings c ON v.side = '{side}' AND c.{side}_key = v.key AND c.{side}_table = v.table_name
            AND c.{side}_app = v.app AND c.mapping = v.mapping AND NOT c.closed AND c.standing = 'creating'
    """


_UNMADE = Statement(
    f"{_unmade('left')} UNION ALL {_unmade('right')} ORDER BY app, table_name, key",
    given="mapping text, side text, match_group int, value text",
)
_INDEXED = Statement("SELECT key FROM match_values WHERE key >= :key AND mapping = :mapping ORDER BY key LIMIT :limit")
_FORGET = Statement("DELETE FROM match_values WHERE key BETWEEN :key AND :last AND mapping = :mapping")
_MARK_CREATING = Statement(
    """
    INSERT INTO creating (mapping, value, instruction, side)
    SELECT mapping, value, instruction, side FROM {given} WHERE true
    ON CONFLICT DO NOTHING
    """,
    given=f"{_VALUE}, instruction text, side text",
)
_CREATING = Statement(
    """
    SELECT c.mapping, c.value, c.instruction, c.side FROM {given}
    JOIN creating c ON c.value = given.value AND c.mapping = given.mapping ORDER BY c.instruction
    """,
    given=_VALUE,
)
_VALUES_OF = Statement(
    "SELECT c.mapping, c.value FROM {given} JOIN creating c ON c.instruction = given.id", given="id text"
)
_CLEAR_CREATING = Statement(
    "DELETE FROM creating WHERE instruction {among}SELECT id FROM {given}{end}", given="id text"
)


class Candidates(msgspec.Struct, frozen=True):
    """The records that match: the first ``CANDIDATES_MAX`` of them by name, and how many there are."""

    records: tuple[RecordRef, ...] = ()
    total: int = 0


def lock_values(connection: Connection, values: Collection[MatchValue]) -> None:
    """Lock these values until the transaction ends: nobody else matches by them meanwhile. Once in a transaction."""
    if values:
        rows = dict.fromkeys((mapping, indexable(value)) for mapping, value in values)
        _INSERT_MISSING.send(connection, given=rows)
        _LOCK.run(connection, given=rows).all()


def save(connection: Connection, entries: Collection[Entry]) -> None:
    """Let each record be matched by exactly these values under its mapping."""
    if not entries:
        return
    latest = {(mapping, ref): (mapping, side, ref, values) for mapping, side, ref, values in entries}
    names = {key: (mapping, side, ref.app, ref.table, ref.key) for key, (mapping, side, ref, _) in latest.items()}
    given = [
        (*names[key], group, indexable(value)) for key, (_, _, _, values) in latest.items() for group, value in values
    ]
    _DELETE_OTHERS.run(connection, records=names.values(), given=given)
    if given:
        _SAVE.run(connection, given=given)


def candidates(connection: Connection, keys: Collection[Key]) -> dict[Key, Candidates]:
    """Return, for each key, the records that exist and could be coupled: uncoupled under the mapping and not apart."""
    found: dict[Key, Candidates] = {key: Candidates() for key in keys}
    if not found:
        return found
    short = {key: (*key[:3], indexable(key[3])) for key in found}
    records: dict[tuple[object, ...], list[RecordRef]] = defaultdict(list)
    totals: dict[tuple[object, ...], int] = {}
    for row in _CANDIDATES.run(connection, given=set(short.values())):
        key = (row.mapping, row.side, row.match_group, row.value)
        records[key].append(RecordRef(row.app, row.table_name, row.key))
        totals[key] = row.total
    return {
        key: Candidates(tuple(records[kept]), totals[kept]) if kept in totals else Candidates()
        for key, kept in short.items()
    }


def unmade(connection: Connection, keys: Collection[Key]) -> dict[Key, tuple[RecordRef, ...]]:
    """Return, for each key, the records whose counterpart is to be created and does not exist yet; none: absent."""
    if not keys:
        return {}
    short = {key: (*key[:3], indexable(key[3])) for key in keys}
    records: dict[tuple[object, ...], list[RecordRef]] = defaultdict(list)
    for row in _UNMADE.run(connection, given=set(short.values())):
        key = (row.mapping, row.side, row.match_group, row.value)
        records[key].append(RecordRef(row.app, row.table_name, row.key))
    return {key: tuple(records[kept]) for key, kept in short.items() if kept in records}


def forget(connection: Connection, mapping: str, key: str, limit: int) -> str | None:
    """Let no record of ``mapping`` be matched any more: some ``limit`` of their values, from this key on.

    Returns the key to go on from; ``None`` where nothing is left.
    """
    given = {"mapping": mapping, "key": key}
    keys = _INDEXED.run(connection, {**given, "limit": limit}).scalars().all()
    if not keys:
        return None
    _FORGET.run(connection, {**given, "last": keys[-1]})
    return keys[-1] if len(keys) == limit else None


def creating(connection: Connection, values: Collection[MatchValue]) -> dict[MatchValue, list[tuple[str, Side]]]:
    """Return, for each value, the creates in flight for it, with the side on which they create; none: absent."""
    if not values:
        return {}
    found: dict[tuple[str, str], list[tuple[str, Side]]] = defaultdict(list)
    short = {(mapping, value): (mapping, indexable(value)) for mapping, value in values}
    for row in _CREATING.run(connection, given=set(short.values())):
        found[row.mapping, row.value].append((row.instruction, Side(row.side)))
    return {value: found[kept] for value, kept in short.items() if kept in found}


def mark_creating(connection: Connection, marks: Collection[tuple[str, str, str, Side]]) -> None:
    """Note (mapping, value, instruction, side): this instruction creates a record with this value on this side."""
    if marks:
        rows = {(mapping, indexable(value), instruction, side) for mapping, value, instruction, side in marks}
        _MARK_CREATING.send(connection, given=rows)


def values_of(connection: Connection, instructions: Collection[str]) -> set[MatchValue]:
    """Return the values of these creates, to be locked by whoever takes their answers."""
    if not instructions:
        return set()
    return {(row.mapping, row.value) for row in _VALUES_OF.run(connection, given=words(instructions))}


def clear_creating(connection: Connection, instructions: Collection[str]) -> None:
    """Forget these creates: they are answered."""
    if instructions:
        _CLEAR_CREATING.send(connection, given=words(instructions))
