"""The job of the command queue: what operators order. Each in a transaction of its own, with exactly one answer."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from sqlalchemy import Connection

from messages.codec import (
    CommandHead,
    InvalidCommandError,
    MalformedMessageError,
    decode_command,
    encode_answer,
    encode_dead,
    head_of,
)
from messages.commands import (
    Answer,
    Command,
    Couple,
    CoupleMatching,
    DeleteRecord,
    Dismiss,
    Done,
    Loaded,
    Pause,
    Purge,
    RefusalCode,
    Refused,
    RemoveCoupling,
    RestoreRecord,
    Resume,
    Retry,
    RetryAll,
    Synchronize,
)
from messages.dead import DeadLetter
from messages.orders import order_data
from messages.transport.ports import Delivery
from messages.values import decode_json, encode_json
from store import commands as command_store
from store import jobs as job_store
from store import log as log_store
from store import outbox as outbox_store
from store.commands import ClaimedCommand, Ordered
from store.handled import Claim
from store.jobs import JobStatus
from store.model import LogLine
from workers.bulk.jobs import answer_of
from workers.bulk.matching import couple_matching
from workers.bulk.purging import purge
from workers.bulk.retrying import retry_all
from workers.bulk.synchronizing import synchronize
from workers.carried import Carried
from workers.context import Context
from workers.coupling import couple
from workers.kept_answers import answer_kept, kept
from workers.loading import table_loaded
from workers.log_lines import Line
from workers.pausing import pause, resume
from workers.refusal import RefusedError
from workers.resolving import resolve_one

HANDLERS: dict[type, Callable[[Connection, Context, Command, datetime], Carried]] = {
    Couple: couple,
    CoupleMatching: couple_matching,
    Loaded: table_loaded,
    RemoveCoupling: resolve_one,
    Retry: resolve_one,
    RetryAll: retry_all,
    Synchronize: synchronize,
    RestoreRecord: resolve_one,
    DeleteRecord: resolve_one,
    Dismiss: resolve_one,
    Purge: purge,
    Pause: pause,
    Resume: resume,
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
    if claimed.state is Claim.DUPLICATE:
        return _again(conn, command, claimed, now)
    answer, told = _carry_out(conn, context, command, now)
    if answer is None:  # a job gives it at its end
        return told
    command_store.answer(conn, [(command.id, kept(answer), now)])
    return told + _tell(conn, command, answer, now)


def _again(conn: Connection, command: Command, claimed: ClaimedCommand, now: datetime) -> list[Line]:
    """The same command once more: the same answer once more, now or when its job ends."""
    if claimed.answer is not None:
        return _tell(conn, command, answer_kept(claimed.answer), claimed.answered_at or now)
    job = None if command.reply_to is None else job_store.add_reply(conn, command.id, command.reply_to)
    if job is not None and job.status is JobStatus.DONE:  # it ended while we waited for its lock
        return _tell(conn, command, answer_of(job), now)
    return []


def refuse_failed(conn: Connection, context: Context, delivery: Delivery, now: datetime) -> list[Line]:
    """Answer a command that could not be handled because of a fault in Recouple itself."""
    head: Command | CommandHead | None = head_of(delivery.properties, context.namespace)
    with suppress(Exception):  # to read it may be what fails; its properties are enough to say no
        head = decode_command(delivery.body, delivery.properties, context.namespace, context.limits)
    return _refuse(conn, head, now)


def refuse_unread(conn: Connection, context: Context, delivery: Delivery, now: datetime) -> list[Line]:
    """Answer a command that must not be read again, because processes died over it."""
    return _refuse(conn, head_of(delivery.properties, context.namespace), now)


def _refuse(conn: Connection, head: Command | CommandHead | None, now: datetime) -> list[Line]:
    if head is None:
        return []
    detail = "handling it failed in Recouple itself, nothing was done; `recouple dead` has the command and why"
    return _tell(conn, head, Refused(command=head.name, code=RefusalCode.FAILED, detail=detail), now)


def _carry_out(conn: Connection, context: Context, command: Command, now: datetime) -> tuple[Answer | None, list[Line]]:
    try:
        with conn.begin_nested():  # a refusal leaves nothing behind, not even the row of a record that it locked
            carried = HANDLERS[type(command.order)](conn, context, command, now)
    except RefusedError as refusal:
        error = None if refusal.error is None else decode_json(encode_json(refusal.error))
        return Refused(command=command.name, code=refusal.code, detail=str(refusal), error=error), []
    log_store.append(conn, [_log_line(command, carried, record, now) for record in carried.records])
    answer = None if carried.result is None else Done(command=command.name, result=carried.result)
    return answer, carried.lines


def _log_line(command: Command, carried: Carried, record: str, now: datetime) -> LogLine:
    """Who ordered what, why, and what followed: the audit in the log of the record."""
    why = f" ({command.reason})" if command.reason else ""
    detail = f"by {command.source}{why}: {carried.effect or 'done'}"
    return LogLine(at=now, record=record, outcome="done", command=command.id, rule=command.name, detail=detail)


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
