"""The job of the command queue: what operators order. Each in a transaction of its own, with exactly one answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from messages.codec import (
    CommandHead,
    InvalidCommandError,
    MalformedMessageError,
    decode_command,
    encode_answer,
    encode_dead,
)
from messages.commands import Answer, Command, Couple, Done, Loaded, RefusalCode, Refused
from messages.dead import DeadLetter
from messages.orders import order_data
from messages.transport.ports import Delivery
from messages.values import encode_json
from store import commands as command_store
from store import log as log_store
from store import outbox as outbox_store
from store.commands import Ordered
from store.handled import Claim
from store.model import LogLine
from workers.context import Context
from workers.coupling import couple
from workers.loading import table_loaded
from workers.log_lines import Line
from workers.refusal import RefusedError

HANDLERS: dict[type, Callable[[Connection, Context, Any, datetime], tuple[dict[str, Any], list[Line]]]] = {
    Couple: couple,
    Loaded: table_loaded,
}
"""What carries out each order. Raises ``RefusedError`` before it has changed anything."""


def handle_command(conn: Connection, context: Context, delivery: Delivery, now: datetime) -> list[Line]:
    """Handle one command inside the caller's transaction; return the lines to be logged after the commit."""
    try:
        command = decode_command(delivery.body, delivery.properties, context.namespace, context.limits)
    except MalformedMessageError as fault:
        return _bury(conn, context, delivery, fault, now)
    except InvalidCommandError as fault:
        refused = Refused(command=fault.command.name, code=RefusalCode.INVALID, detail="; ".join(fault.faults))
        return _tell(conn, fault.command, refused, now)
    claimed = command_store.claim(conn, [_ordered(command, now)])[0]
    if claimed.state is Claim.REUSED:
        detail = f"the command id {command.id} came before with other content; use a new one"
        refused = Refused(command=command.name, code=RefusalCode.ID_REUSED, detail=detail)
        return _tell(conn, command, refused, now)
    if claimed.state is Claim.DUPLICATE and claimed.answer is not None:
        return _tell(conn, command, msgspec.json.decode(claimed.answer, type=_Kept).answer(), now)
    answer, told = _carry_out(conn, context, command, now)
    command_store.answer(conn, [(command.id, _kept(answer), now)])
    return told + _tell(conn, command, answer, now)


def refuse_failed(conn: Connection, context: Context, delivery: Delivery, now: datetime) -> list[Line]:
    """Answer a command that could not be handled because of a fault in Recouple itself, if it can be read at all."""
    try:
        command = decode_command(delivery.body, delivery.properties, context.namespace, context.limits)
    except (MalformedMessageError, InvalidCommandError):
        return []
    detail = "handling it failed in Recouple itself, nothing was done; `recouple dead` has the command and why"
    return _tell(conn, command, Refused(command=command.name, code=RefusalCode.FAILED, detail=detail), now)


def _carry_out(conn: Connection, context: Context, command: Command, now: datetime) -> tuple[Answer, list[Line]]:
    try:
        result, told = HANDLERS[type(command.order)](conn, context, command.order, now)
    except RefusedError as refusal:
        return Refused(command=command.name, code=refusal.code, detail=str(refusal)), []
    line = LogLine(
        at=now, record=_subject(command), outcome="done", command=command.id, rule=command.name, detail=command.source
    )
    log_store.append(conn, [line])
    return Done(command=command.name, result=result), told


def _subject(command: Command) -> str:
    order = command.order
    return str(order.left) if isinstance(order, Couple) else f"{order.app}/{order.table}/"


class _Kept(msgspec.Struct, frozen=True):
    """An answer as the audit keeps it."""

    done: Done | None = None
    refused: Refused | None = None

    def answer(self) -> Answer:
        if self.done is not None:
            return self.done
        assert self.refused is not None  # noqa: S101 - one of the two is always kept
        return self.refused


def _kept(answer: Answer) -> str:
    kept = _Kept(done=answer) if isinstance(answer, Done) else _Kept(refused=answer)
    return encode_json(kept).decode()


def _ordered(command: Command, now: datetime) -> Ordered:
    return Ordered(
        id=command.id,
        digest=command.digest,
        source=command.source,
        name=command.name,
        body=encode_json(order_data(command.order, None)).decode(),
        reason=command.reason,
        user_id=command.user_id,
        at=now,
    )


def _tell(conn: Connection, command: Command | CommandHead, answer: Answer, now: datetime) -> list[Line]:
    """Put the one answer into the outbox, if anybody wants it."""
    if command.reply_to is not None:
        outbox_store.put(conn, [(encode_answer(answer, command, now), None)])
    refused = isinstance(answer, Refused)
    fields = {"command": command.name, "message_id": command.id, "by": command.source, "user_id": command.user_id}
    if isinstance(answer, Refused):
        fields["code"] = answer.code
    return [Line(event="command.refused" if refused else "command.done", fields=fields)]


def _bury(
    conn: Connection, context: Context, delivery: Delivery, fault: MalformedMessageError, now: datetime
) -> list[Line]:
    letter = DeadLetter(reason=fault.reason, detail=fault.detail, field=fault.field, queue=delivery.queue, at=now)
    outbox_store.put(conn, [(encode_dead(delivery, letter, context.namespace), None)])
    fields = {"queue": delivery.queue, "reason": fault.reason, "field": fault.field}
    return [Line(event="change.dead", level="warning", fields=fields)]
