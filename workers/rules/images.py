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
from msgspec import UNSET

from messages.changes import Change, Operation
from messages.values import Value, same
from store.model import Image, Overwrite, Sent
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
    says_when = (
        not ours and image.user_modified_at is None and version == image.version
    )  # after a read, whose time says nothing
    if not (says_existence or starts_anew or says_when or (newer and change.operation is not Operation.DELETE)):
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
    return folded if ours or change.operation is Operation.READ else _by_a_user(folded, change.at, version)


def _by_a_user(image: Image, at: datetime | None, version: int) -> Image:
    """Note when a user changed the record last, and when before that."""
    if _later(at, image.user_modified_at):
        before = image.user_modified_at
        return msgspec.structs.replace(
            image, user_modified_at=at, user_modified_version=version, user_modified_before=before
        )
    return msgspec.structs.replace(image, user_modified_before=at) if _later(at, image.user_modified_before) else image


def _later(one: datetime | None, other: datetime | None) -> bool:
    return one is not None and (other is None or one > other)


def not_a_user(image: Image, version: int) -> Image:
    """Return the image once an outcome says that what came as a user's change of this version was our own (R12)."""
    if image.user_modified_version != version:
        return image
    return msgspec.structs.replace(image, user_modified_at=image.user_modified_before, user_modified_version=None)


def fold_read(image: Image, change: Change, order: Order, asked_at: int | None) -> Image:
    """Return the image as the answer to our own ``read`` tells it, whatever was known when it was asked.

    Only what came since, and is newer than the answer, stays. Where the answer tells something new, a user changed it,
    and nobody knows when (R12).

    Args:
        asked_at: The highest version that was known when it was asked.
    """
    version, exists = order.version, change.operation is not Operation.DELETE
    since = max(version, -1 if asked_at is None else asked_at)
    told = dict(change.fields if exists else image.fields)
    moved = image.exists is not None and any(
        not same(told[name], image.fields[name]) for name in told.keys() & image.fields
    )
    newer = {name: own for name, own in image.versions.items() if own > since}
    read = msgspec.structs.replace(
        image,
        exists=exists,
        fields={**told, **{name: image.fields[name] for name in newer}},
        versions={**dict.fromkeys(told, version), **newer},
        version=max((version, *newer.values())),
        existence_version=version,
        life_version=version,
        user_modified_at=None if moved else image.user_modified_at,
        user_modified_version=None if moved else image.user_modified_version,
        modified_by=change.modified_by or image.modified_by,
        modified_at=change.at or image.modified_at,
        clipped=order.clipped,
        written={name: one for name, one in image.written.items() if one.version <= version},
    )
    if image.existence_version is None or image.existence_version <= since:
        return read
    return msgspec.structs.replace(
        read,
        exists=image.exists,
        version=image.version,
        existence_version=image.existence_version,
        life_version=max(version, -1 if image.life_version is None else image.life_version),
    )


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What an instruction made of its record.

    Attributes:
        fields: As they were sent.
        reported: As the app says that it has them now, where it does; told of the same version, this counts.
        create: The record came to be with it: what is older is cleared, what is newer stays (R9).
    """

    fields: dict[str, Value]
    reported: dict[str, Value] = {}
    create: bool = False


def fold_written(image: Image, written: Written, version: int) -> Image:
    """Return the target's image after an outcome: only the instruction's fields, at the outcome's version."""
    image = not_a_user(image, version)
    known, versions = dict(image.fields), dict(image.versions)
    life = image.life_version
    if written.create and (life is None or version > life):
        life = version
        for name in [name for name, own in versions.items() if own < version]:
            del known[name], versions[name]
    for name, value in written.fields.items():
        seen = versions.get(name, -1)
        if (seen < version or (seen == version and name in written.reported)) and (life is None or version >= life):
            known[name], versions[name] = written.reported.get(name, value), version
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


def note_written(image: Image, before: Image, sent: Sent, version: int) -> Image:
    """Return the image with a note of what ``sent`` wrote over, so that what is told of it later is not lost (R11)."""
    noted = {
        name: Overwrite(instruction=sent.id, version=version, value=value, replaced=before.fields.get(name, UNSET))
        for name, value in sent.fields.items()
        if name not in image.written or image.written[name].version < version
    }
    return msgspec.structs.replace(image, written={**image.written, **noted})


def fold_assumed(image: Image, fields: dict[str, Value]) -> Image:
    """Return the image of a record whose app applied ``fields`` but names no version: as of what we last heard."""
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
