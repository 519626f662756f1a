"""What is said between an app and Recouple: CloudEvents 1.0 in JSON, written and read by hand.

Recouple publishes instructions; the app publishes changes of its records, and outcomes of instructions. That is all.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec
from sqlalchemy import Row

CONTENT_TYPE = "application/cloudevents+json"


class MalformedInstructionError(Exception):
    """What came through the queue of instructions is none."""


class Order(msgspec.Struct, frozen=True):
    """The ``data`` of an instruction.

    Attributes:
        key: ``None`` where the app is to assign one.
        if_version: The version on which the decision was made; ``None`` where none is to be checked.
    """

    action: str
    table: str
    key: str | None = None
    fields: dict[str, Any] = {}
    if_version: int | None = None
    attempt: int = 1


class Instruction(msgspec.Struct, frozen=True):
    """One instruction. Members that are not read here are ignored, so that new ones break nothing."""

    id: str
    data: Order
    traceparent: str | None = None


class Message(NamedTuple):
    """One event on its way to ``<namespace>.changes``."""

    routing_key: str
    id: str
    type: str
    source: str
    body: bytes


_decoder = msgspec.json.Decoder(Instruction, float_hook=Decimal)  # 0.10 stays 0.10


def read_instruction(body: bytes) -> Instruction:
    """Return the instruction in ``body``.

    Raises:
        MalformedInstructionError: it is none.
    """
    try:
        return _decoder.decode(body)
    except ValueError as error:
        raise MalformedInstructionError(str(error)) from error


def message_of(app: str, row: Row[Any]) -> Message:
    """Return a row of the outbox as it is published; the same row is the same event, however often it is published."""
    if row.outcome is not None:
        return _outcome(app, row)
    known = {"modified_by": row.modified_by, "instruction": row.instruction}
    data: dict[str, Any] = {"operation": row.operation, "version": row.version}
    data |= {name: text for name, text in known.items() if text is not None}
    if row.fields is not None:
        data["fields"] = msgspec.Raw(row.fields.encode())  # as the database wrote it, digit for digit
    subject = {"subject": f"{row.record_table}/{row.record_key}"}
    routing_key = f"{app}.{_word(row.record_table)}.{row.operation}"
    return _message(app, row, ("recouple.record.changed", routing_key), subject | {"data": data})


def _outcome(app: str, row: Row[Any]) -> Message:
    did_it = "code" not in msgspec.json.decode(row.outcome)
    type_ = f"recouple.instruction.{'applied' if did_it else 'failed'}"
    return _message(app, row, (type_, f"{app}.outcome"), {"data": msgspec.Raw(row.outcome.encode())})


def _message(app: str, row: Row[Any], address: tuple[str, str], more: dict[str, Any]) -> Message:
    type_, routing_key = address
    event = {"specversion": "1.0", "id": f"{app}-{row.id}", "type": type_, "source": app, "time": row.said_at}
    event |= more | ({"traceparent": row.traceparent} if row.traceparent else {})
    return Message(routing_key, event["id"], type_, app, msgspec.json.encode(event))


def _word(table: str) -> str:
    """Return the table as one word of a routing key: everything but letters, digits, ``_`` and ``-`` is encoded."""
    return quote(table, safe="").replace(".", "%2E").replace("~", "%7E")
