"""Messages as they are published: the event, where it goes, and the AMQP properties that repeat what tools need."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from messages import envelope, topology
from messages.changes import Change
from messages.commands import Answer, Command, Done
from messages.envelope import in_utc
from messages.errors import ErrorMessage
from messages.instructions import Instruction
from messages.orders import order_data
from messages.outcomes import Applied, Failed
from messages.transport.ports import Properties, Publication
from messages.values import encode_json


class NoReplyWantedError(ValueError):
    """The command names no queue for an answer."""


class Answerable(Protocol):
    """What is needed of a command to answer it: a ``Command``, or the ``command`` of an ``InvalidCommandError``."""

    @property
    def id(self) -> str:
        """The command's id, which becomes the answer's."""

    @property
    def reply_to(self) -> str | None:
        """Where the answer goes."""

    @property
    def traceparent(self) -> str | None:
        """The trace that the answer belongs to."""


def encode_change(change: Change, ns: str, source: str | None = None) -> Publication:
    """Return ``change`` as its app publishes it; ``source`` is the app unless it names a part of it, ``<app>/…``.

    Raises:
        UnroutableTableError: the table does not fit into a routing key.
    """
    record = change.record
    data = {
        "operation": change.operation,
        "version": change.version,
        "fields": change.fields,
        "modified_by": change.modified_by,
        "instruction": change.instruction,
    }
    event = _attributes(change.id, envelope.RECORD_CHANGED, source or record.app, change.at) | _trace(change)
    event |= {"subject": f"{record.table}/{record.key}", "data": _given(data)}
    key = topology.change_key(record.app, record.table, change.operation)
    return _publication(topology.changes_exchange(ns), key, event)


def encode_outcome(outcome: Applied | Failed, ns: str) -> Publication:
    """Return ``outcome`` as its app publishes it."""
    data: dict[str, Any] = {"instruction": outcome.instruction, "attempt": outcome.attempt}
    if isinstance(outcome, Applied):
        type_ = envelope.INSTRUCTION_APPLIED
        data |= {"key": outcome.key, "version": outcome.version, "fields": outcome.fields}
    else:
        type_ = envelope.INSTRUCTION_FAILED
        wait = outcome.retry_after
        data |= {
            "code": outcome.code,
            "detail": outcome.detail,
            "retry_after": None if wait is None else wait.total_seconds(),
        }
    event = _attributes(outcome.id, type_, outcome.app, outcome.at) | _trace(outcome) | {"data": _given(data)}
    return _publication(topology.changes_exchange(ns), topology.outcome_key(outcome.app), event)


def encode_instruction(instruction: Instruction, ns: str, now: datetime) -> Publication:
    """Return ``instruction`` for the queue of its app.

    Raises:
        UnroutableTableError: the table does not fit into a routing key.
    """
    data = {
        "action": instruction.action,
        "table": instruction.table,
        "key": instruction.key,
        "fields": instruction.fields,
        "if_version": instruction.if_version,
        "coupling": instruction.coupling,
        "reason": instruction.reason,
        "attempt": instruction.attempt,
    }
    event = _attributes(instruction.id, envelope.INSTRUCTION, envelope.SOURCE, now) | _trace(instruction)
    event |= {"subject": f"{instruction.table}/{instruction.key or ''}", "data": data}
    key = topology.instruction_key(instruction.app, instruction.table, instruction.action)
    return _publication(topology.instructions_exchange(ns), key, event)


def encode_error(message: ErrorMessage, ns: str) -> Publication:
    """Return the error for the error feed; its ``extensions`` become attributes of the event."""
    report = message.report
    type_ = f"{envelope.ERROR_PREFIX}{message.event}"
    event = message.extensions | _attributes(message.id, type_, envelope.SOURCE, message.at) | _trace(message)
    event |= {"subject": str(report.error), "data": report}
    return _publication(topology.errors_exchange(ns), topology.error_key(report.kind, report.mapping), event)


def encode_command(command: Command, ns: str, now: datetime) -> Publication:
    """Return ``command`` as whoever orders publishes it."""
    event = _attributes(command.id, f"{envelope.COMMAND_PREFIX}{command.name}", command.source, now) | _trace(command)
    event |= {"data": order_data(command.order, command.reason)}
    return _publication(topology.commands_exchange(ns), command.name, event, reply_to=command.reply_to)


def encode_answer(answer: Answer, command: Answerable, now: datetime) -> Publication:
    """Return the one answer to ``command``; it bears the id of the command, so that a repeated answer is the same.

    Raises:
        NoReplyWantedError: the command has no ``reply_to``.
    """
    if command.reply_to is None:
        raise NoReplyWantedError(f"the command {command.id} wants no answer")
    type_ = envelope.COMMAND_DONE if isinstance(answer, Done) else envelope.COMMAND_REFUSED
    event = _attributes(command.id, type_, envelope.SOURCE, now) | _trace(command) | {"data": answer}
    return _publication("", command.reply_to, event, correlation_id=command.id)


class _Traced(Protocol):
    @property
    def traceparent(self) -> str | None: ...


def _trace(message: _Traced) -> dict[str, str]:
    return {"traceparent": message.traceparent} if message.traceparent else {}


def _given(data: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is not known; on this wire null is for values of fields."""
    return {name: value for name, value in data.items() if value is not None}


def _attributes(id_: str, type_: str, source: str, at: datetime | None) -> dict[str, Any]:
    attributes: dict[str, Any] = {"specversion": "1.0", "id": id_, "type": type_, "source": source}
    return attributes if at is None else attributes | {"time": in_utc(at)}


def _publication(
    exchange: str,
    routing_key: str,
    event: dict[str, Any],
    *,
    reply_to: str | None = None,
    correlation_id: str | None = None,
) -> Publication:
    at = event.get("time")
    properties = Properties(
        message_id=event["id"],
        type=event["type"],
        app_id=event["source"],
        correlation_id=correlation_id,
        reply_to=reply_to,
        content_type=envelope.CONTENT_TYPE,
        timestamp_s=max(0, int(at.timestamp())) if at else None,
    )
    return Publication(exchange=exchange, routing_key=routing_key, body=encode_json(event), properties=properties)
