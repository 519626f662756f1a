"""Rule 2: what an event or an outcome makes of a record's image.

Every field bears the version that set it (R14), so that events may come in any order and with any of the fields:

- an event sets the fields whose own version is lower, and likewise says whether the record exists;
- nothing older than the record's last create or delete is taken;
- a create clears what was; a delete leaves the last values in place, for a restore;
- a ``read`` that names its instruction replaces everything, whatever the versions were;
- an outcome sets only the fields of its instruction, at its version.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from messages.changes import Change, Operation
from messages.values import Value
from store.model import Image
from workers.mapping import App, Ordering

LATEST_CLOCK = timedelta(minutes=5)
"""A time further ahead than this is clipped to the event's arrival (DESIGN.md section 3)."""


class Order(msgspec.Struct, frozen=True):
    """Where an event stands in the history of its record; microseconds where the app orders by time."""

    version: int
    clipped: bool = False


def order_of(app: App, version: int | None, at: datetime | None, now: datetime) -> Order | None:
    """Return the event's place in its record's history, or ``None`` where it lacks what its app orders by."""
    if app.order is Ordering.VERSION:
        return None if version is None else Order(version)
    if at is None:
        return None
    clipped = at > now + LATEST_CLOCK
    return Order(microseconds(now if clipped else at), clipped)


def microseconds(at: datetime) -> int:
    """Return an aware time as microseconds since the epoch, exactly."""
    delta = at - datetime(1970, 1, 1, tzinfo=at.tzinfo)
    offset = at.utcoffset() or timedelta()
    return (delta - offset) // timedelta(microseconds=1)


def fold_change(image: Image, change: Change, order: Order, *, ours: bool) -> Image | None:
    """Return the image after ``change``, or ``None`` where nothing in it is newer.

    Args:
        ours: The change echoes our own instruction; it does not count as a user's (R12), and at the version of the
            outcome it says better than the outcome what the app made of the values.
    """
    version = order.version
    life = image.life_version
    if life is not None and version < life:
        return None
    fields, versions = dict(image.fields), dict(image.versions)
    starts_anew = change.operation in (Operation.CREATE, Operation.DELETE) and (life is None or version > life)
    if change.operation is Operation.CREATE:
        for name in [name for name, own in versions.items() if own < version]:
            del fields[name], versions[name]
    newer = {
        name: value
        for name, value in change.fields.items()
        if versions.get(name, -1) < version or (ours and versions[name] == version)
    }
    if change.operation is not Operation.DELETE:
        fields.update(newer)
        versions.update(dict.fromkeys(newer, version))
    says_existence = image.existence_version is None or version > image.existence_version
    if not (says_existence or starts_anew or (newer and change.operation is not Operation.DELETE)):
        return None
    folded = msgspec.structs.replace(
        image,
        fields=fields,
        versions=versions,
        version=max(version, -1 if image.version is None else image.version),
        life_version=version if starts_anew else life,
        clipped=image.clipped or order.clipped,
    )
    if says_existence:
        folded = msgspec.structs.replace(
            folded,
            exists=change.operation is not Operation.DELETE,
            existence_version=version,
            modified_by=change.modified_by,
            modified_at=change.at,
        )
    if not ours and change.operation is not Operation.READ:
        folded = msgspec.structs.replace(folded, user_modified_at=_later(image.user_modified_at, change.at))
    return folded


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((at for at in (one, other) if at is not None), default=None)


def fold_read(image: Image, change: Change, order: Order) -> Image:
    """Return the image as the answer to our own ``read`` tells it, whatever was known before."""
    version = order.version
    return msgspec.structs.replace(
        image,
        exists=True,
        fields=dict(change.fields),
        versions=dict.fromkeys(change.fields, version),
        version=version,
        existence_version=version,
        life_version=version,
        modified_by=change.modified_by or image.modified_by,
        modified_at=change.at or image.modified_at,
        clipped=order.clipped,
    )


def fold_written(image: Image, fields: dict[str, Value], version: int, *, create: bool) -> Image:
    """Return the target's image after an outcome: only the instruction's fields, at the outcome's version.

    Args:
        create: The record came to be with it: what is older is cleared, what is newer stays (R9).
    """
    known, versions = dict(image.fields), dict(image.versions)
    life = image.life_version
    if create and (life is None or version > life):
        life = version
        for name in [name for name, own in versions.items() if own < version]:
            del known[name], versions[name]
    for name, value in fields.items():
        if versions.get(name, -1) < version and (life is None or version >= life):
            known[name], versions[name] = value, version
    exists, existence_version = image.exists, image.existence_version
    if existence_version is None or version > existence_version:
        exists, existence_version = True, version
    return msgspec.structs.replace(
        image,
        exists=exists,
        fields=known,
        versions=versions,
        version=max(version, -1 if image.version is None else image.version),
        existence_version=existence_version,
        life_version=life,
    )


def fold_assumed(image: Image, fields: dict[str, Value]) -> Image:
    """Return the image of a record whose app applied ``fields`` but names no version: they stand as of what we last heard."""
    at = -1 if image.version is None else image.version
    return msgspec.structs.replace(
        image,
        exists=True,
        fields={**image.fields, **fields},
        versions={**image.versions, **dict.fromkeys(fields, at)},
    )


def fold_gone(image: Image, version: int | None) -> Image:
    """Return the image of a record that is known to be gone, as of ``version`` or else of what we last heard."""
    at = image.version if version is None else version
    if at is None:
        return msgspec.structs.replace(image, exists=False)
    if image.existence_version is not None and image.existence_version > at:
        return image
    life = max(at, -1 if image.life_version is None else image.life_version)
    newest = max(at, -1 if image.version is None else image.version)
    return msgspec.structs.replace(image, exists=False, existence_version=at, life_version=life, version=newest)
