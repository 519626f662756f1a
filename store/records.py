"""The images of records, and which records are apart."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from sqlalchemy import Connection

from messages.records import RecordRef
from store.documents import Document
from store.model import Image
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
_LOCK = Statement(f"{_READ} ORDER BY r.app, r.table_name, r.key {{for update of r}}", given=RECORD)
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


def lock(connection: Connection, refs: Collection[RecordRef]) -> dict[RecordRef, Image]:
    """Lock the records until the transaction ends, known or not, and return their images as they are now.

    Call it once in a transaction: a second call would take locks out of order.
    """
    if not refs:
        return {}
    wanted = dict.fromkeys(refs)
    _INSERT_MISSING.run(connection, given=names(wanted))
    return _images(wanted, (row.image for row in _LOCK.run(connection, given=names(wanted))))


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
        _SAVE.run(connection, given=rows)


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


def _name(ref: RecordRef) -> tuple[str, str, str]:
    return ref.app, ref.table, ref.key


def _images(refs: Collection[RecordRef], texts: Iterable[str | None]) -> dict[RecordRef, Image]:
    images = {ref: Image(record=ref) for ref in refs}
    for text in texts:
        if text is not None:
            image = _IMAGE.read(text)
            images[image.record] = image
    return images
