"""The job of the timers: what is due. Back-offs that are over, answers that did not come, dependents to be woken.

A row of due work is a hint: whoever takes it looks at the coupling under its lock and acts on what it finds, so that
two workers never do it twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.instructions import Action
from messages.outcomes import Applied
from store import couplings as coupling_store
from store import due as due_store
from store import instructions as instruction_store
from store import pauses as pause_store
from store import records as record_store
from store.due import Due, DueKind
from store.model import CouplingStatus, InstructionState, Sent
from store.pauses import Pauses
from store.records import ANY_LENGTH, ENOUGH_LENGTH
from workers.arrivals import match_arrivals
from workers.bulk.chunks import run_chunk
from workers.context import Context
from workers.deciding import Decided, decide_touched, look_at
from workers.holding import let_go
from workers.log_lines import Line
from workers.rules.desk import Desk, Instructed, Touch
from workers.rules.lay_outcomes import lay_applied
from workers.rules.refusals import go_again, unanswered
from workers.rules.sending import answer_due
from workers.silence import wait_on
from workers.writing import write_desk

TURNS = (
    DueKind.LET_GO,
    DueKind.ARRIVAL,
    DueKind.RETRY,
    DueKind.ANSWER,
    DueKind.WAKE,
    DueKind.PUBLISHED,
    DueKind.JOB,
)
"""The kinds of work that are ever due, in the order in which they take turns."""


def do_due_work(conn: Connection, context: Context, items: Sequence[Due], now: datetime) -> list[Line]:
    """Do work of one kind, which is deleted in the same transaction; return the lines to be logged after the commit."""
    if items[0].kind is DueKind.JOB:
        return run_chunk(conn, context, items[0].job or 0, now)
    if items[0].kind is DueKind.LET_GO:
        for mapping in dict.fromkeys(item.mapping or "" for item in items):
            let_go(conn, context.file, mapping, now)
        return []
    if any(item.kind is DueKind.ARRIVAL for item in items):
        keys = {(item.mapping, item.record) for item in items if item.mapping and item.record}
        return match_arrivals(conn, context, keys, now)
    return _on_couplings(conn, context, items, now)


def put_off(conn: Connection, item: Due, later: datetime) -> None:
    """Leave a piece of work that failed for later; nothing but itself waits for it."""
    if due_store.delete(conn, [item.id]):  # else another worker has done it meanwhile
        due_store.put(conn, [_later(item, later)])


def _later(item: Due, due_at: datetime) -> Due:
    """Return ``item`` for another time; nobody died over it."""
    return replace(item, due_at=due_at, starts=0)


PUT_OFF = timedelta(minutes=5)
"""When work that failed for a reason of its own, a damaged row for one, is tried again."""

ASK_AGAIN = timedelta(seconds=30)
"""When an instruction to be sent again, of what is paused, is looked at the next time."""


def _on_couplings(conn: Connection, context: Context, items: Sequence[Due], now: datetime) -> list[Line]:
    rows = instruction_store.find(conn, {item.instruction for item in items if item.instruction})
    items = wait_on(conn, context.file, items, rows, now)
    if not items:
        return []
    published = [
        item.instruction
        for item in items
        if item.kind is DueKind.PUBLISHED and item.instruction in rows and _says_all(rows[item.instruction].sent)
    ]
    confirmed = {rows[name].sent.record for name in published if rows[name].sent.record.key}
    images = record_store.lock(conn, confirmed, ENOUGH_LENGTH if len(items) > 1 else ANY_LENGTH)
    numbers = {item.coupling for item in items if item.coupling} | {row.coupling_id for row in rows.values()}
    desk = Desk(context.file, now, images, coupling_store.lock(conn, images.keys(), numbers).values())
    due_store.put(conn, [_later(item, now + PUT_OFF) for item in items if _has_no_mapping(desk, item)])
    touches: list[Touch] = []
    for name in published:
        applied = Applied(app=rows[name].app, id=f"published-{name}", instruction=name)
        instructed = Instructed(coupling=rows[name].coupling_id, sent=rows[name].sent)
        touches += lay_applied(desk, applied, instructed, None)
    _send_again(conn, desk, items, now)
    silent = _unanswered(conn, desk, items, now)
    waking = [item.coupling for item in items if item.kind is DueKind.WAKE and item.coupling in desk.couplings]
    desk.decide.update(dict.fromkeys(waking))
    desk.woken.update(waking)
    return write_desk(conn, context, desk, [*silent, *decide_touched(conn, desk)], touches)


def _has_no_mapping(desk: Desk, item: Due) -> bool:
    """A mapping may be out of the file for a while; what is due under it waits until it is back."""
    coupling = desk.couplings.get(item.coupling or 0)
    if coupling is None or coupling.status is CouplingStatus.CLOSED:
        return False
    return item.kind in (DueKind.WAKE, DueKind.ANSWER) and coupling.mapping not in desk.file.mappings


def _send_again(conn: Connection, desk: Desk, items: Sequence[Due], now: datetime) -> None:
    """The same instruction, the same id, the next attempt; what is paused waits on."""
    retries = [item for item in items if item.kind is DueKind.RETRY]
    pauses = pause_store.read(conn) if retries else Pauses()
    paused = []
    for item in retries:
        coupling = desk.couplings.get(item.coupling or 0)
        if coupling is None or coupling.status is CouplingStatus.CLOSED:
            continue
        mapping = desk.file.mappings.get(coupling.mapping)
        for sent in coupling.flight:
            if sent.id != item.instruction or sent.state is not InstructionState.BACKING_OFF:
                continue
            if mapping is not None and pauses.of(mapping) is not None:
                paused.append(_later(item, now + ASK_AGAIN))
                continue
            due_at = None if mapping is None else answer_due(mapping, sent.side, now)
            coupling, again = go_again(coupling, sent, due_at)
            desk.put(coupling)
            desk.resend.append((coupling.id, again))
    due_store.put(conn, paused)


def _unanswered(conn: Connection, desk: Desk, items: Sequence[Due], now: datetime) -> list[Decided]:
    """Instructions that their apps have not answered in time: ``no_answer``, once for each coupling."""
    due = [item for item in items if item.kind is DueKind.ANSWER and item.coupling in desk.couplings]
    named = {item.instruction for item in due}
    couplings = [desk.couplings[number] for number in {item.coupling: None for item in due} if number is not None]
    pairs = [
        (coupling, desk.file.mappings[coupling.mapping])
        for coupling in couplings
        if coupling.mapping in desk.file.mappings and coupling.status is not CouplingStatus.CLOSED
    ]
    told = []
    for situation in look_at(conn, desk, pairs):
        overdue = [sent for sent in situation.coupling.flight if sent.id in named and _is_late(sent, now)]
        if overdue:
            decision = unanswered(situation, overdue)
            desk.put(decision.coupling)
            told.append(Decided(situation=situation, decision=decision))
    return told


def _is_late(sent: Sent, now: datetime) -> bool:
    return sent.state is InstructionState.SENT and sent.due_at is not None and sent.due_at <= now


def _says_all(sent: Sent) -> bool:
    """Of a create that was published nobody knows the key: it waits for a change that names or echoes it."""
    return sent.action is not Action.CREATE
