"""The images of records, and which records are apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec
from sqlalchemy import Connection

from messages.records import RecordRef
from store.documents import Document
from store.failures import TooMuchAtOnceError
from store.model import Image, Side
from store.sets import RECORD, Statement, names

_IMAGE = Document(Image)
_SAME = "{0}.app = {1}.app AND {0}.table_name = {1}.table_name AND {0}.key = {1}.key"

_INSERT_MISSING = Statement(
    """
    INSERT INTO records (app, table_name, key, alive)
    SELECT app, table_name, key, false FROM {given} WHERE true ORDER BY app, table_name, key
    ON CONFLICT DO NOTHING
    """,
    given=RECORD,
)
_READ = f"SELECT r.image FROM {{given}} JOIN records r ON {_SAME.format('r', 'given')}"
_SELECT = Statement(f"{_READ} WHERE r.image IS NOT NULL", given=RECORD)
_LOCK = Statement(
    f"""
    WITH found AS ({_READ} ORDER BY r.app, r.table_name, r.key {{for update of r}}),
        whole AS (SELECT coalesce(sum(length(image)), 0) AS length FROM found)
    SELECT CASE WHEN (SELECT length FROM whole) <= :enough THEN image END AS image, (SELECT length FROM whole) AS length
    FROM found
    """,
    given=RECORD,
)
_SAVE = Statement(
    """
    INSERT INTO records (app, table_name, key, alive, image)
    SELECT app, table_name, key, alive, image FROM {given} WHERE true ORDER BY app, table_name, key
    ON CONFLICT (key, table_name, app) DO UPDATE SET alive = excluded.alive, image = excluded.image
    """,
    given=f"{RECORD}, alive bool, image text",
)

_MARKS = f"mapping text, {RECORD}"
_MARK_APART = Statement(
    """
    INSERT INTO apart (mapping, app, table_name, key)
    SELECT mapping, app, table_name, key FROM {given} WHERE true ORDER BY mapping, app, table_name, key
    ON CONFLICT DO NOTHING
    """,
    given=_MARKS,
)
_CLEAR_APART = Statement(
    "DELETE FROM apart WHERE (key, table_name, app, mapping) IN (SELECT key, table_name, app, mapping FROM {given})",
    given=_MARKS,
)
_APART = Statement(
    f"SELECT a.mapping, a.app, a.table_name, a.key FROM {{given}} JOIN apart a ON {_SAME.format('a', 'given')}",
    given=RECORD,
)

_SCANNED = """
    SELECT key FROM records WHERE key > :key AND app = :app AND table_name = :table_name AND alive
    ORDER BY key LIMIT :scanned
"""


def _coupled(side: Side, record: str) -> str:
    return f"""EXISTS (
        SELECT 1 FROM couplings c WHERE c.{side}_key = {record}.key AND c.{side}_table = :table_name
        AND c.{side}_app = :app AND c.mapping = :mapping AND NOT c.closed
    )"""


_UNCOUPLED = {
    side: Statement(
        f"SELECT key FROM ({_SCANNED}) AS page WHERE NOT {_coupled(side, 'page')} ORDER BY key LIMIT :uncoupled"
    )
    for side in Side
}
_SCANNED_TO = Statement(f"SELECT max(key) AS last, count(*) AS scanned FROM ({_SCANNED}) AS page")
_COUNT_UNCOUPLED = {
    side: Statement(
        "SELECT count(*) FROM records r WHERE r.app = :app AND r.table_name = :table_name AND r.alive "
        f"AND NOT {_coupled(side, 'r')}"
    )
    for side in Side
}

ENOUGH_LENGTH = 4 * 1024 * 1024
"""So many characters of images are read into memory at once; as values they take some ten times as much."""

ANY_LENGTH = 2**62

SCANNED_PER_UNCOUPLED = 20
"""How many records are looked through, at most, for each uncoupled one that a page may hold."""


class Uncoupled(msgspec.Struct, frozen=True):
    """A page of uncoupled records.

    Attributes:
        records: By growing key; none where all that were looked through are coupled.
        last: The key to go on after; ``None`` at the end of the table.
    """

    records: tuple[RecordRef, ...]
    last: str | None


def lock(connection: Connection, refs: Collection[RecordRef], enough: int = ANY_LENGTH) -> dict[RecordRef, Image]:
    """Lock the records until the transaction ends, known or not, and return their images as they are now.

    Call it once in a transaction: a second call would take locks out of order.

    Args:
        enough: How long they may be together, in characters.

    Raises:
        TooMuchAtOnceError: they are longer; none was read into memory.
    """
    if not refs:
        return {}
    wanted = dict.fromkeys(refs)
    _INSERT_MISSING.send(connection, given=names(wanted))
    rows = _LOCK.run(connection, {"enough": enough}, given=names(wanted)).all()
    if rows and rows[0].length > enough:
        raise TooMuchAtOnceError(f"the images of {len(rows)} records have {rows[0].length} characters")
    return _images(wanted, (row.image for row in rows))


def read(connection: Connection, refs: Collection[RecordRef]) -> dict[RecordRef, Image]:
    """Return the images of the records, empty ones of those that nothing is known of; locks nothing."""
    if not refs:
        return {}
    wanted = set(refs)
    return _images(wanted, (row.image for row in _SELECT.run(connection, given=names(wanted))))


def save(connection: Connection, images: Collection[Image]) -> None:
    """Keep these images, which are of different records."""
    rows = [(*_name(image.record), image.exists is True, _IMAGE.write(image)) for image in images]
    if rows:
        _SAVE.send(connection, given=rows)


def mark_apart(connection: Connection, pairs: Collection[tuple[str, RecordRef]]) -> None:
    """Mark each record as apart under its mapping: not matched or created again until coupled by command."""
    if pairs:
        _MARK_APART.run(connection, given=[(mapping, *_name(ref)) for mapping, ref in set(pairs)])


def clear_apart(connection: Connection, pairs: Collection[tuple[str, RecordRef]]) -> None:
    """Take the marks away."""
    if pairs:
        _CLEAR_APART.run(connection, given=[(mapping, *_name(ref)) for mapping, ref in pairs])


def apart(connection: Connection, refs: Collection[RecordRef]) -> set[tuple[str, RecordRef]]:
    """Return under which mappings these records are apart."""
    if not refs:
        return set()
    rows = _APART.run(connection, given=names(set(refs)))
    return {(row.mapping, RecordRef(row.app, row.table_name, row.key)) for row in rows}


def uncoupled(connection: Connection, mapping: str, side: Side, after: RecordRef, limit: int) -> Uncoupled:
    """Return up to ``limit`` records that exist and have no coupling on this side of ``mapping``; locks nothing.

    Args:
        after: App and table of those that are wanted, and the key to begin after; an empty one is before all others.
    """
    place = {"app": after.app, "table_name": after.table, "key": after.key, "scanned": limit * SCANNED_PER_UNCOUPLED}
    found = _UNCOUPLED[side].run(connection, {**place, "mapping": mapping, "uncoupled": limit})
    records = tuple(RecordRef(after.app, after.table, key) for key in found.scalars())
    if len(records) == limit:
        return Uncoupled(records, records[-1].key)
    end = _SCANNED_TO.run(connection, place).one()
    return Uncoupled(records, end.last if end.scanned == place["scanned"] else None)


def count_uncoupled(connection: Connection, mapping: str, side: Side, table: tuple[str, str]) -> int:
    """Return how many records of (app, table) exist and have no coupling on this side of ``mapping``."""
    given = {"mapping": mapping, "app": table[0], "table_name": table[1]}
    counted: int = _COUNT_UNCOUPLED[side].run(connection, given).scalar_one()
    return counted


def _name(ref: RecordRef) -> tuple[str, str, str]:
    return ref.app, ref.table, ref.key


def _images(refs: Collection[RecordRef], texts: Iterable[str | None]) -> dict[RecordRef, Image]:
    images = {ref: Image(record=ref) for ref in refs}
    for text in texts:
        if text is not None:
            image = _IMAGE.read(text)
            images[image.record] = image
    return images
