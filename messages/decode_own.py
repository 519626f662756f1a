"""What Recouple itself says, read: for adapters, the command line and tests.

It comes from us, so that one sentence for a fault is enough; what strangers send is read with more care.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, TypeVar

import msgspec
from msgspec import Meta

from messages.commands import Answer, Done, Refused
from messages.dead import DeadReason
from messages.envelope import COMMAND_DONE, COMMAND_REFUSED, ERROR_PREFIX, INSTRUCTION, carried_trace, in_utc
from messages.errors import ErrorEvent, ErrorMessage, ErrorReport
from messages.faults import MalformedMessageError
from messages.instructions import Action, Instruction, Reason
from messages.values import Value, decode_json

_Shape = TypeVar("_Shape")

_ATTRIBUTES: Final = frozenset({"specversion", "id", "type", "source", "subject", "time", "traceparent", "data"})


class _Event(msgspec.Struct, kw_only=True):
    id: str
    type: str
    time: Annotated[datetime, Meta(tz=True)]
    data: dict[str, Any]
    traceparent: Any = None


class _InstructionData(msgspec.Struct, kw_only=True):
    action: Action
    table: str
    key: str | None
    fields: dict[str, Value]
    if_version: int | None
    coupling: int
    reason: Reason
    attempt: int


def decode_instruction(body: bytes, app: str) -> Instruction:
    """Return the instruction that came through the queue of ``app``.

    Raises:
        MalformedMessageError: it is none.
    """
    event = _event(_document(body))
    if event.type != INSTRUCTION:
        raise _unknown(event.type, INSTRUCTION)
    data = _read(event.data, _InstructionData, "data")
    trace = carried_trace(event.traceparent)
    return Instruction(app=app, id=event.id, traceparent=trace, **msgspec.structs.asdict(data))


def decode_error(body: bytes) -> ErrorMessage:
    """Return the error message in ``body``.

    Raises:
        MalformedMessageError: it is none.
    """
    document = _document(body)
    event = _event(document)
    kinds = {f"{ERROR_PREFIX}{kind}": kind for kind in ErrorEvent}
    if event.type not in kinds:
        raise _unknown(event.type, ", ".join(kinds))
    return ErrorMessage(
        id=event.id,
        event=kinds[event.type],
        report=_read(event.data, ErrorReport, "data"),
        at=event.time,
        traceparent=carried_trace(event.traceparent),
        extensions={name: value for name, value in document.items() if name not in _ATTRIBUTES},
    )


def decode_answer(body: bytes) -> Answer:
    """Return the answer to a command; the ``correlation_id`` of its delivery says to which.

    Raises:
        MalformedMessageError: it is none.
    """
    event = _event(_document(body))
    if event.type == COMMAND_DONE:
        return _read(event.data, Done, "data")
    if event.type == COMMAND_REFUSED:
        return _read(event.data, Refused, "data")
    raise _unknown(event.type, f"{COMMAND_DONE}, {COMMAND_REFUSED}")


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = decode_json(body)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise MalformedMessageError(DeadReason.NOT_JSON, "no JSON document that can be read") from error
    return _read(document, dict[str, Any], "")


def _event(document: dict[str, Any]) -> _Event:
    event = _read(document, _Event, "")
    try:
        in_utc(event.time)
    except OverflowError as error:
        words = "time: expected a time in the years 1 to 9999 in UTC"
        raise MalformedMessageError(DeadReason.MALFORMED, words, "time") from error
    return event


def _read(value: Any, shape: type[_Shape], field: str) -> _Shape:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        # what msgspec says names types and paths, and values of enumerations only
        raise MalformedMessageError(DeadReason.MALFORMED, str(error), field) from error


def _unknown(type_: str, known: str) -> MalformedMessageError:
    return MalformedMessageError(DeadReason.UNKNOWN_TYPE, f"type: expected one of {known}, found {type_}", "type")
