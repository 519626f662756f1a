"""The CloudEvents 1.0 envelope as it stands on the wire, and the ``data`` of what apps and operators send.

These structs are read and nothing else: the codec turns them into the types of ``messages.changes`` and its neighbours.
Every member that is checked carries, as its description, the words in which a fault is told.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from messages.changes import Operation
from messages.outcomes import FailureCode
from messages.topology import MAX_ID_BYTES, MAX_KEY_BYTES

CONTENT_TYPE = "application/cloudevents+json"
"""AMQP ``content_type`` of every message."""

SOURCE = "recouple"
"""The ``source`` of what Recouple itself says."""

RECORD_CHANGED = "recouple.record.changed"
INSTRUCTION = "recouple.instruction"
INSTRUCTION_APPLIED = "recouple.instruction.applied"
INSTRUCTION_FAILED = "recouple.instruction.failed"
ERROR_PREFIX = "recouple.error."
COMMAND_PREFIX = "recouple.command."
COMMAND_DONE = "recouple.command.done"
COMMAND_REFUSED = "recouple.command.refused"

MAX_VERSION = 2**63 - 1
"""The largest version, and the largest integer that both stores keep."""

MAX_ATTEMPT = 2**31 - 1
"""The largest attempt."""

MAX_RETRY_AFTER_S = 7 * 86_400
"""The longest time, in seconds, that an app may ask us to wait."""


_CANONICAL = msgspec.json.Encoder(decimal_format="number", order="deterministic")
_MANY = 100


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a message may be at most before it is even read.

    Attributes:
        max_body_bytes: 1 MiB unless set otherwise.
        max_depth: How deep objects and lists may be nested, the outermost object included.
    """

    max_body_bytes: int = 1_048_576
    max_depth: int = 32


def _told(max_bytes: int) -> Meta:
    """Text of limited length, in words; the types count characters, the bytes are for the codec to count."""
    return Meta(description=f"text of 1 to {max_bytes} bytes", extra={"max_bytes": max_bytes})


Identifier = Annotated[Annotated[str, Meta(min_length=1, max_length=MAX_ID_BYTES)], _told(MAX_ID_BYTES)]
MaybeIdentifier = Annotated[Identifier | UnsetType | None, _told(MAX_ID_BYTES)]
Key = Annotated[Annotated[str, Meta(min_length=1, max_length=MAX_KEY_BYTES)], _told(MAX_KEY_BYTES)]
MaybeKey = Annotated[Key | UnsetType | None, _told(MAX_KEY_BYTES)]
Time = Annotated[
    Annotated[datetime, Meta(tz=True)] | UnsetType | None,
    Meta(description="a time with its offset as in RFC 3339, such as 2026-11-20T08:00:00Z"),
]
MaybeText = Annotated[str | UnsetType | None, Meta(description="text")]
Version = Annotated[
    Annotated[int, Meta(ge=0, le=MAX_VERSION)] | UnsetType | None,
    Meta(description=f"an integer from 0 to {MAX_VERSION}"),
]
Attempt = Annotated[
    Annotated[int, Meta(ge=1, le=MAX_ATTEMPT)] | UnsetType | None,
    Meta(description=f"an integer from 1 to {MAX_ATTEMPT}"),
]
RetryAfter = Annotated[
    Annotated[float, Meta(ge=0, le=MAX_RETRY_AFTER_S)] | UnsetType | None,
    # how long a wait is matters, not its every digit: it is kept as the decoder reads it
    Meta(description=f"a number of seconds from 0 to {MAX_RETRY_AFTER_S}", extra={"exact": False}),
]
Fields = Annotated[dict[str, Any] | UnsetType | None, Meta(description="an object")]


class Attributes(msgspec.Struct, kw_only=True, gc=False):
    """The attributes that every message has; ``traceparent`` is looked at later, a broken one only loses the trace."""

    specversion: Annotated[Literal["1.0"], Meta(description='"1.0"')]
    id: Identifier
    source: Identifier
    time: Time = UNSET
    traceparent: Any = UNSET
    tracestate: Any = UNSET
    datacontenttype: Any = UNSET
    dataschema: Any = UNSET


class ChangeData(msgspec.Struct, kw_only=True, gc=False):
    """``data`` of a change."""

    operation: Annotated[Operation, Meta(description="one of create, update, delete, read")]
    version: Version = UNSET
    fields: Fields = UNSET
    modified_by: MaybeText = UNSET
    instruction: MaybeIdentifier = UNSET


class AppliedData(msgspec.Struct, kw_only=True, gc=False):
    """``data`` of an outcome: done."""

    instruction: Identifier
    attempt: Attempt = UNSET
    key: MaybeKey = UNSET
    version: Version = UNSET
    fields: Fields = UNSET


class FailedData(msgspec.Struct, kw_only=True, gc=False):
    """``data`` of an outcome: not done."""

    instruction: Identifier
    attempt: Attempt = UNSET
    code: Annotated[FailureCode, Meta(description="one of " + ", ".join(FailureCode))]
    detail: MaybeText = UNSET
    retry_after: RetryAfter = UNSET


class ChangeEvent(Attributes, kw_only=True, gc=False, tag_field="type", tag=RECORD_CHANGED):
    """A change on the wire."""

    subject: Annotated[str, Meta(description="<table>/<key>")]
    data: ChangeData


class AppliedEvent(Attributes, kw_only=True, gc=False, tag_field="type", tag=INSTRUCTION_APPLIED):
    """An outcome on the wire: done."""

    subject: Any = UNSET
    data: AppliedData


class FailedEvent(Attributes, kw_only=True, gc=False, tag_field="type", tag=INSTRUCTION_FAILED):
    """An outcome on the wire: not done."""

    subject: Any = UNSET
    data: FailedData


def in_utc(at: datetime) -> datetime:
    """Return the aware time ``at`` in UTC.

    Raises:
        OverflowError: in UTC it lies before the year 1 or after the year 9999.
    """
    return at if at.tzinfo is UTC else at.astimezone(UTC)


def is_from(source: str, app: str) -> bool:
    """Say whether ``source`` is ``app`` or a part of it, ``<app>/…``."""
    return source == app or source.startswith(f"{app}/")


def content_digest(kind: str, subject: str, data: msgspec.Struct) -> str:
    """Return what tells a message that came again from one that only bears the same id.

    Neither the order of members nor white space counts, nor do ``time``, ``source`` and ``traceparent``: an app may
    stamp anew what it sends again. A number that is spelled otherwise (``1.0`` for ``1``) is other content.
    """
    many = {name: _in_order(value) for name, value in _members(data) if _is_large(value)}
    if many:
        data = msgspec.structs.replace(data, **many)
    return hashlib.blake2b(_CANONICAL.encode((kind, subject, data)), digest_size=16).hexdigest()


def _members(data: msgspec.Struct) -> Iterator[tuple[str, Any]]:
    return ((name, getattr(data, name)) for name in data.__struct_fields__)


def _is_large(value: Any) -> bool:
    """Say whether there may be so many members in ``value`` that it matters how they are sorted."""
    if isinstance(value, dict):
        return len(value) > _MANY or any(isinstance(one, (dict, list)) for one in value.values())
    return isinstance(value, list)


def _in_order(value: Any) -> Any:
    """Sort all members: msgspec takes seconds over fifty thousand in an unlucky order, and none over sorted ones."""
    if isinstance(value, dict):
        return {name: _in_order(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [_in_order(one) if one and isinstance(one, (dict, list)) else one for one in value]
    return value


_TRACEPARENT = re.compile(r"[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


def carried_trace(traceparent: Any) -> str | None:
    """Return the W3C ``traceparent``, or ``None`` where it is none; a broken one loses the trace, not the message."""
    if not isinstance(traceparent, str) or not _TRACEPARENT.fullmatch(traceparent):
        return None
    return traceparent


def longer(text: str, max_bytes: int) -> bool:
    """Say whether ``text`` takes more than ``max_bytes`` in UTF-8."""
    # most text is so short that its characters settle it
    return len(text) * 4 > max_bytes and len(text.encode()) > max_bytes
