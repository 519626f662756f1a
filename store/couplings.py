"""The couplings: what ties two records under one mapping."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from enum import StrEnum

import msgspec
from sqlalchemy import Connection, and_, func, or_, select

from messages.errors import ErrorStatus
from messages.records import RecordRef
from store import tables
from store.documents import Document
from store.failures import AlreadyCoupledError
from store.model import Coupling, CouplingStatus, Side, Wait
from store.numbers import fresh
from store.sets import RECORD, Statement, indexable, names
from store.sets import numbers as numbers_set

__all__ = [
    "AlreadyCoupledError",
    "Standing",
    "by_record",
    "count_open",
    "counterparts",
    "get",
    "insert",
    "lock",
    "numbers_of",
    "page",
    "references",
    "save",
    "standing",
]

_STATE = Document(Coupling)


def _on(side: str, given: str = "given") -> str:
    return (
        f"c.{side}_key = {given}.key AND c.{side}_table = {given}.table_name AND c.{side}_app = {given}.app "
        "AND NOT c.closed"
    )


_LOCK = Statement(
    f"""
    SELECT c.id, c.state FROM couplings c WHERE c.id IN (
        SELECT c.id FROM {{refs}} JOIN couplings c ON {_on("left", "refs")}
        UNION SELECT c.id FROM {{refs}} JOIN couplings c ON {_on("right", "refs")}
        UNION SELECT id FROM {{ids}}
    ) ORDER BY c.id {{for update of c}}
    """,
    refs=RECORD,
    ids="id int",
)
_BY_RECORD = Statement(
    f"""
    SELECT c.id, c.state FROM {{given}} JOIN couplings c ON {_on("left")}
    UNION ALL SELECT c.id, c.state FROM {{given}} JOIN couplings c ON {_on("right")}
    """,
    given=RECORD,
)
_GET = Statement("SELECT c.id, c.state FROM {given} JOIN couplings c ON c.id = given.id", given="id int")
_COUNTERPARTS = Statement(
    f"""
    SELECT c.right_app AS app, c.right_table AS table_name, c.right_key AS key
    FROM {{given}} JOIN couplings c ON {_on("left")} WHERE c.right_key IS NOT NULL
    UNION SELECT c.left_app AS app, c.left_table AS table_name, c.left_key AS key
    FROM {{given}} JOIN couplings c ON {_on("right")} WHERE c.left_key IS NOT NULL
    """,
    given=RECORD,
)
_COLUMNS = (
    "mapping, left_app, left_table, left_key, right_app, right_table, right_key, closed, standing, error_number, state"
)
_ROW = (
    "id int, mapping text, left_app text, left_table text, left_key text, right_app text, right_table text, "
    "right_key text, closed bool, standing text, error_number int, state text"
)
_INSERT = Statement(
    f"""
    INSERT INTO couplings (id, {_COLUMNS}) SELECT id, {_COLUMNS} FROM {{given}} WHERE true ORDER BY id
    ON CONFLICT DO NOTHING RETURNING id
    """,
    given=_ROW,
)
_SAVE = Statement(
    f"""
    UPDATE couplings SET {", ".join(f"{name} = given.{name}" for name in _COLUMNS.split(", "))}
    FROM {{given}} WHERE couplings.id = given.id
    """,
    given=_ROW,
)
_DELETE = Statement("DELETE FROM couplings WHERE id IN (SELECT id FROM {given})", given="id int")
_REFERENCES = Statement(
    """
    SELECT given.mapping, given.side, given.key, c.right_key AS counterpart FROM {given} JOIN couplings c
        ON given.side = 'left' AND c.left_key = given.key AND c.mapping = given.mapping
        WHERE NOT c.closed AND c.standing <> 'creating'
    UNION ALL
    SELECT given.mapping, given.side, given.key, c.left_key AS counterpart FROM {given} JOIN couplings c
        ON given.side = 'right' AND c.right_key = given.key AND c.mapping = given.mapping
        WHERE NOT c.closed AND c.standing <> 'creating'
    """,
    given="mapping text, side text, key text",
)


class Standing(StrEnum):
    """Where a coupling stands, in the words of the command line."""

    SYNCHRONIZED = "synchronized"
    """Nothing is to be done."""
    IN_FLIGHT = "in_flight"
    """An app was instructed and has not answered."""
    SKIPPED = "skipped"
    """An error is open; nothing is synchronized."""
    CREATING = "creating"
    """One record waits for its counterpart to be created."""
    CLOSED = "closed"
    """Over."""


def standing(coupling: Coupling) -> Standing:
    """Say where ``coupling`` stands."""
    if coupling.status is CouplingStatus.CLOSED:
        return Standing.CLOSED
    if coupling.status is CouplingStatus.CREATING:
        return Standing.CREATING
    if coupling.error is not None and coupling.error.status is ErrorStatus.OPEN:
        return Standing.SKIPPED
    return Standing.IN_FLIGHT if coupling.flight else Standing.SYNCHRONIZED


def lock(connection: Connection, refs: Collection[RecordRef], ids: Collection[int] = ()) -> dict[int, Coupling]:
    """Lock every coupling of ``refs`` that is not closed, and those in ``ids``, and return them as they are now.

    Lock the records first (``store.records.lock``): then nobody else can couple them meanwhile.
    """
    if not refs and not ids:
        return {}
    found = {row.id: _STATE.read(row.state) for row in _LOCK.run(connection, refs=names(refs), ids=numbers_set(ids))}
    # While we waited for its lock, a coupling may have been closed or tied to another record.
    wanted, named = set(refs), set(ids)
    return {id_: coupling for id_, coupling in found.items() if id_ in named or _touches(coupling, wanted)}


def get(connection: Connection, ids: Collection[int]) -> dict[int, Coupling]:
    """Return the couplings of these numbers, closed ones too; locks nothing. Unknown numbers are absent."""
    if not ids:
        return {}
    return {row.id: _STATE.read(row.state) for row in _GET.run(connection, given=numbers_set(set(ids)))}


def counterparts(connection: Connection, refs: Collection[RecordRef]) -> set[RecordRef]:
    """Return the records that these are coupled with, to be locked together with them; locks nothing."""
    if not refs:
        return set()
    rows = _COUNTERPARTS.run(connection, given=names(set(refs)))
    return {RecordRef(row.app, row.table_name, row.key) for row in rows}


def by_record(
    connection: Connection, refs: Collection[RecordRef], mapping: str | None = None
) -> dict[RecordRef, list[Coupling]]:
    """Return for each record its couplings that are not closed, under ``mapping`` or under any; locks nothing."""
    found: dict[RecordRef, list[Coupling]] = {ref: [] for ref in refs}
    if not found:
        return found
    states = {row.id: row.state for row in _BY_RECORD.run(connection, given=names(found))}
    for _, state in sorted(states.items()):
        coupling = _STATE.read(state)
        if mapping is None or coupling.mapping == mapping:
            for ref in (coupling.left, coupling.right):
                if ref is not None and ref in found:
                    found[ref].append(coupling)
    return found


def insert(connection: Connection, couplings: Sequence[Coupling]) -> list[Coupling]:
    """Keep new couplings and return them, in order, with their numbers.

    Raises:
        AlreadyCoupledError: a record is in a coupling of its mapping that is not closed; nothing was inserted.
    """
    if not couplings:
        return []
    ids = fresh(connection, "couplings", "id", len(couplings))
    numbered = [msgspec.structs.replace(each, id=id_) for each, id_ in zip(couplings, ids, strict=True)]
    inserted = set(_INSERT.run(connection, given=map(_row, numbered)).scalars())
    refused = next((each for each in numbered if each.id not in inserted), None)
    if refused is None:
        return numbered
    _DELETE.run(connection, given=numbers_set(inserted))
    raise AlreadyCoupledError(refused.mapping, _taken(connection, refused))


def save(connection: Connection, couplings: Collection[Coupling]) -> None:
    """Keep these couplings, locked before, as they are now.

    Where a record of one of them is in another coupling, the transaction ends with an ``AlreadyCoupledError``.
    """
    if not couplings:
        return
    _SAVE.send(connection, given=map(_row, couplings))


def page(  # noqa: PLR0913 - filters, by name
    connection: Connection,
    *,
    mapping: str | None = None,
    record: RecordRef | None = None,
    status: Standing | None = None,
    limit: int,
    after_id: int = 0,
) -> list[Coupling]:
    """Return up to ``limit`` couplings by growing number, beginning after ``after_id``; closed ones are among them."""
    table = tables.couplings
    query = select(table.c.state).where(table.c.id > after_id).order_by(table.c.id).limit(limit)
    if mapping is not None:
        query = query.where(table.c.mapping == mapping)
    if status is not None:
        query = query.where(table.c.standing == status)
    if record is not None:
        name = {"app": record.app, "table": record.table, "key": record.key}
        sides = (and_(*(table.c[f"{side}_{part}"] == word for part, word in name.items())) for side in Side)
        query = query.where(or_(*sides))
    return [_STATE.read(state) for state in connection.execute(query).scalars()]


def count_open(connection: Connection, mapping: str) -> int:
    """Return how many couplings of ``mapping`` are not closed."""
    table = tables.couplings
    query = select(func.count()).select_from(table).where(table.c.mapping == mapping, ~table.c.closed)
    return connection.execute(query).scalar_one()


def numbers_of(connection: Connection, mapping: str, limit: int, after_id: int = 0) -> list[int]:
    """Return up to ``limit`` numbers of couplings of ``mapping`` that are not closed, beginning after ``after_id``."""
    table = tables.couplings
    query = select(table.c.id).where(table.c.id > after_id, table.c.mapping == mapping, ~table.c.closed)
    return list(connection.execute(query.order_by(table.c.id).limit(limit)).scalars())


def references(connection: Connection, waits: Collection[Wait]) -> dict[Wait, str]:
    """Return the key on the other side of each awaited record that is coupled; the others are absent."""
    if not waits:
        return {}
    rows = _REFERENCES.run(connection, given=[(wait.mapping, wait.side, indexable(wait.key)) for wait in set(waits)])
    return {Wait(row.mapping, Side(row.side), row.key): row.counterpart for row in rows if row.counterpart is not None}


def _touches(coupling: Coupling, refs: set[RecordRef]) -> bool:
    return coupling.status is not CouplingStatus.CLOSED and (coupling.left in refs or coupling.right in refs)


def _row(coupling: Coupling) -> tuple[object, ...]:
    left, right = (_names(record) for record in (coupling.left, coupling.right))
    error_number = coupling.error.number if coupling.error else None
    shown = standing(coupling)
    status = (shown is Standing.CLOSED, shown, error_number)
    return (coupling.id, coupling.mapping, *left, *right, *status, _STATE.write(coupling))


def _names(record: RecordRef | None) -> tuple[str | None, str | None, str | None]:
    return (record.app, record.table, record.key) if record else (None, None, None)


def _taken(connection: Connection, refused: Coupling) -> RecordRef | None:
    """Return which record of ``refused`` is in another coupling; ``None`` where two of one call share a record."""
    records = [record for record in (refused.left, refused.right) if record is not None]
    found = by_record(connection, records, refused.mapping)
    return next((record for record in records if found[record]), None)
