"""The short form of a change, one JSON object a line, as ``recouple publish`` takes it beside full CloudEvents."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Any, Final

from msgspec import UNSET, Meta

from messages.app_message_faults import fields_faults
from messages.changes import Change, Operation
from messages.dead import DeadReason
from messages.envelope import ChangeData, Key, Limits, MaybeIdentifier, Time, in_utc
from messages.envelope_faults import time_faults
from messages.faults import Fault, refuse_if_any
from messages.order_shapes import AppName
from messages.records import RecordRef
from messages.shapes import converted, kept_faults, shape_faults
from messages.topology import UnroutableTableError, table_word
from messages.values import encode_json

_MAX_FIELDS_DEPTH: Final = Limits().max_depth - 2
"""In the event they stand in ``data``, a level deeper than in the line."""


class ShortChange(ChangeData, kw_only=True):
    """The members of one line."""

    app: AppName
    table: Annotated[str, Meta(description="the name of a table")]
    key: Key
    id: MaybeIdentifier = UNSET
    time: Time = UNSET


def expand_short(line: dict[str, Any]) -> Change:
    """Return the change that one line says in short.

    A line without ``id`` gets one that is made from the record, the operation and the version (the time, where there
    is no version), so that the same line published again is the same event.

    Raises:
        MalformedMessageError: with every fault of the line.
    """
    refuse_if_any(_line_faults(line))
    short = converted(ShortChange, line)
    return Change(
        record=RecordRef(short.app, short.table, short.key),
        id=short.id or _made_id(short),
        operation=short.operation,
        version=None if short.version is UNSET else short.version,
        at=in_utc(short.time) if short.time else None,
        fields=(short.fields or {}) if short.operation is not Operation.DELETE else {},
        modified_by=short.modified_by or None,
        instruction=short.instruction or None,
    )


def _line_faults(line: dict[str, Any]) -> Iterator[Fault]:
    yield from kept_faults(ShortChange, line)
    yield from shape_faults(ShortChange, line)
    yield from fields_faults(line, "fields")
    if _depth(line.get("fields")) > _MAX_FIELDS_DEPTH:
        words = f"nested deeper than {_MAX_FIELDS_DEPTH} levels, which is deeper than an event may be"
        yield Fault(DeadReason.TOO_DEEP, "fields", words)
    yield from time_faults(line)
    yield from _table_faults(line.get("table"))


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_depth, inner), default=0)


def _table_faults(table: Any) -> Iterator[Fault]:
    if not isinstance(table, str):
        return  # told by its shape
    if "/" in table:
        yield Fault(DeadReason.MALFORMED, "table", "the name of a table must not hold a /")
    try:
        table_word(table)
    except UnroutableTableError as error:
        yield Fault(DeadReason.MALFORMED, "table", str(error))


def _made_id(short: ShortChange) -> str:
    order: object = short.version
    if not isinstance(order, int):
        order = in_utc(short.time) if short.time else None
    content = encode_json([short.app, short.table, short.key, short.operation, order])
    return hashlib.blake2b(content, digest_size=16).hexdigest()
