"""What apps send through their queue, read: changes and outcomes, checked whole.

The good path is one typed decode and a handful of cheap looks. Whatever those cannot vouch for is read a second time,
with care, and either taken after all or refused with every fault it has.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from messages.app_message_faults import app_message_faults, shape_of
from messages.changes import Change, Operation
from messages.dead import DeadReason
from messages.documents import exact_decimal, is_kept_whole, is_plain, read_document
from messages.envelope import (
    AppliedEvent,
    ChangeEvent,
    FailedEvent,
    Limits,
    carried_trace,
    content_digest,
    in_utc,
    is_from,
    longer,
)
from messages.envelope_faults import unkept_in
from messages.faults import MalformedMessageError, refuse_if_any
from messages.outcomes import Applied, Failed
from messages.records import RecordRef
from messages.topology import MAX_ID_BYTES, MAX_KEY_BYTES, table_word
from messages.transport.ports import Properties

AppMessage: TypeAlias = Change | Applied | Failed
"""What can come through the queue of an app."""

_Event: TypeAlias = ChangeEvent | AppliedEvent | FailedEvent

_DECODER = msgspec.json.Decoder(_Event, float_hook=exact_decimal)


def decode_app_message(body: bytes, properties: Properties, app: str, limits: Limits) -> AppMessage:
    """Return what ``app`` says in ``body``.

    Raises:
        MalformedMessageError: it cannot be taken, for all the reasons that the error lists.
    """
    try:
        if is_plain(body, properties, limits):
            event = _DECODER.decode(body)
            if is_kept_whole(body, _count_members(event)):
                return _understood(event, app)
    except (ValueError, OverflowError):  # all that msgspec and the looks raise; told in full below
        pass
    return _decode_with_care(body, properties, app, limits)


def _decode_with_care(body: bytes, properties: Properties, app: str, limits: Limits) -> AppMessage:
    document = read_document(body, properties, limits)
    try:
        message = _understood(_DECODER.decode(body), app)
    except (ValueError, OverflowError) as error:
        refuse_if_any(app_message_faults(document, app))
        # half of a surrogate pair in a member that we do not know is all that the typed decoder alone refuses
        raise MalformedMessageError(DeadReason.NOT_JSON, "the document holds text that is not Unicode") from error
    refuse_if_any(unkept_in(document, shape_of(document)))
    return message


def _understood(event: _Event, app: str) -> AppMessage:
    """Return the message in ``event``.

    Raises:
        ValueError: something is wrong with it that the types do not say; ``app_message_faults`` tells what.
        OverflowError: its time does not exist in UTC.
    """
    source = event.source
    if not is_from(source, app):
        raise ValueError("source")
    if longer(event.id, MAX_ID_BYTES) or longer(source, MAX_ID_BYTES):
        raise ValueError("id or source")
    instruction = event.data.instruction
    if instruction and longer(instruction, MAX_ID_BYTES):
        raise ValueError("data.instruction")
    if isinstance(event, ChangeEvent):
        return _change(event, app)
    return _applied(event, app) if isinstance(event, AppliedEvent) else _failed(event, app)


def _change(event: ChangeEvent, app: str) -> Change:
    data = event.data
    fields = data.fields
    table, _, key = event.subject.partition("/")
    table_word(table)
    if not key or longer(key, MAX_KEY_BYTES):
        raise ValueError("subject")
    if not isinstance(fields, dict) and data.operation is not Operation.DELETE:
        raise ValueError("data.fields")
    return Change(
        record=RecordRef(app, table, key),
        id=event.id,
        operation=data.operation,
        version=None if data.version is UNSET else data.version,
        at=in_utc(event.time) if event.time else None,
        fields=fields if isinstance(fields, dict) and data.operation is not Operation.DELETE else {},
        modified_by=data.modified_by or None,
        instruction=data.instruction or None,
        traceparent=carried_trace(event.traceparent),
        digest=content_digest("changed", event.subject, data),
    )


def _applied(event: AppliedEvent, app: str) -> Applied:
    data = event.data
    if data.key and longer(data.key, MAX_KEY_BYTES):
        raise ValueError("data.key")
    return Applied(
        app=app,
        id=event.id,
        instruction=data.instruction,
        attempt=data.attempt or None,
        key=data.key or None,
        version=None if data.version is UNSET else data.version,
        at=in_utc(event.time) if event.time else None,
        fields=None if data.fields is UNSET else data.fields,
        traceparent=carried_trace(event.traceparent),
        digest=content_digest("applied", "", data),
    )


def _failed(event: FailedEvent, app: str) -> Failed:
    data = event.data
    wait_s = data.retry_after
    return Failed(
        app=app,
        id=event.id,
        instruction=data.instruction,
        code=data.code,
        attempt=data.attempt or None,
        detail=data.detail or "",
        retry_after=timedelta(seconds=wait_s) if isinstance(wait_s, (int, float)) else None,
        at=in_utc(event.time) if event.time else None,
        traceparent=carried_trace(event.traceparent),
        digest=content_digest("failed", "", data),
    )


def _count_members(event: _Event) -> int:
    """Return how many members were decoded: those of the event, of its data and of its fields."""
    attributes, data = msgspec.structs.astuple(event), msgspec.structs.astuple(event.data)
    fields = getattr(event.data, "fields", None)
    unset = attributes.count(UNSET) + data.count(UNSET)
    # the tag ``type`` is a member too
    return 1 + len(attributes) + len(data) - unset + (len(fields) if fields else 0)
