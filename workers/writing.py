"""Writing a desk back: images, couplings, errors, instructions, what is to be sent and what is due, set by set.

Everything here is in the transaction of the batch; the broker hears of it from the outbox.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection

from messages.codec import encode_error, encode_instruction
from messages.errors import ErrorEvent, ErrorMessage, ErrorReport
from messages.instructions import Action, Instruction
from messages.transport.ports import Publication
from store import arrivals as arrival_store
from store import couplings as coupling_store
from store import due as due_store
from store import errors as error_store
from store import instructions as instruction_store
from store import log as log_store
from store import matches as match_store
from store import pauses as pause_store
from store import records as record_store
from store import waits as wait_store
from store.due import Due, DueKind
from store.model import SIDES, Coupling, CouplingStatus, InstructionState, Sent, Wait
from store.pauses import RECOUPLE, Pause, Scope, is_pause
from workers.context import Context
from workers.deciding import Decided
from workers.holding import hold_up
from workers.log_lines import Line
from workers.mapping import Confirms
from workers.pacing import pace
from workers.rules.answers import waiting
from workers.rules.desk import Desk, Touch
from workers.rules.matching import match_values, written_mark
from workers.rules.reports import Ending, report
from workers.telling import limit_lines, limit_message, lines, log_lines


def write_desk(
    conn: Connection, context: Context, desk: Desk, decided: Sequence[Decided], touches: Sequence[Touch]
) -> list[Line]:
    """Write everything that changed on the desk, and return the lines to be logged after the commit."""
    now = desk.now
    decided = _numbered(conn, desk, decided)
    sent, again, turns = _take_turns(conn, desk, decided)
    _begin_pauses(conn, desk)
    messages = _error_messages(desk, decided)
    context.put(
        conn,
        [(encode_error(message, context.namespace), None) for message in messages]
        + [instruction_publication(context, number, one, now) for number, one in (*sent, *again)],
        turns,
    )
    record_store.save(conn, desk.changed_images())
    record_store.mark_apart(conn, desk.apart)
    changed = desk.changed_couplings()
    coupling_store.save(conn, changed)
    _write_waits(conn, desk, changed)
    error_store.save(conn, [message.report for message in messages])
    instruction_store.save(conn, [*sent, *desk.answered, *desk.resend, *_overtaken(desk, sent)])
    _write_due(conn, desk, sent)
    _write_creates(conn, desk, sent)
    log_store.append(conn, log_lines(decided, touches, now))
    _hold(conn, desk, decided)
    return lines(decided, sent, touches, desk.traces) + limit_lines(desk.limits_passed)


def _take_turns(
    conn: Connection, desk: Desk, decided: Sequence[Decided]
) -> tuple[list[tuple[int, Sent]], list[tuple[int, Sent]], dict[str, datetime]]:
    """Return what goes out for the first time, what goes out once more, and when, of apps that have a pace."""
    fresh = [(one.situation.coupling.id, sent) for one in decided for sent in one.decision.send] + desk.reads
    later = [one for one in desk.resend if one[1].state is InstructionState.BACKING_OFF]
    again = [one for one in desk.resend if one[1].state is not InstructionState.BACKING_OFF]
    going, turns = pace(conn, desk, [*fresh, *again])
    sent, again = going[: len(fresh)], going[len(fresh) :]
    desk.resend = [*later, *again]
    return sent, again, turns


def _numbered(conn: Connection, desk: Desk, decided: Sequence[Decided]) -> list[Decided]:
    """Give every error that was opened its number."""
    unnumbered = [one for one in decided if one.decision.error is not None and not one.decision.error.number]
    numbers = iter(error_store.numbers(conn, len(unnumbered)))
    result = []
    for one in decided:
        error = one.decision.error
        if error is not None and not error.number:
            error = msgspec.structs.replace(error, number=next(numbers))
            coupling = msgspec.structs.replace(desk.couplings[one.situation.coupling.id], error=error)
            desk.put(coupling)
            decision = msgspec.structs.replace(one.decision, error=error, coupling=coupling)
            result.append(msgspec.structs.replace(one, decision=decision))
        else:
            result.append(one)
    return result


def _begin_pauses(conn: Connection, desk: Desk) -> None:
    """Pause the mappings that have passed a limit; of one that is paused by now nothing new is told."""
    pauses = [
        Pause(scope=Scope.MAPPING, name=one.mapping, at=desk.now, by=RECOUPLE, error=one.error)
        for one in desk.limits_passed
    ]
    begun = pause_store.begin(conn, pauses)
    desk.limits_passed = [one for one in desk.limits_passed if (Scope.MAPPING, one.mapping) in begun]


def _error_messages(desk: Desk, decided: Iterable[Decided]) -> list[ErrorMessage]:
    return [limit_message(told, ErrorEvent.OPENED, desk.now) for told in desk.limits_passed] + [
        ErrorMessage(
            id=f"error-{told.error}-{told.revision}-{one.decision.event}",
            event=one.decision.event,
            report=told,
            at=desk.now,
            traceparent=desk.traces.get(one.situation.coupling.id),
        )
        for one in decided
        if one.decision.event is not None and (told := reported(one, desk.now)) is not None
    ]


def reported(one: Decided, now: datetime) -> ErrorReport | None:
    """The report of the error that a decision is about, as the situation is after it."""
    decision = one.decision
    if decision.error is None:
        return None
    situation = msgspec.structs.replace(one.situation, coupling=decision.coupling)
    ending = None
    if decision.event is ErrorEvent.RESOLVED:
        ending = Ending(at=now, resolution=decision.resolution or "converged", by=decision.error.resolved_by)
    return report(situation, decision.error, ending)


def instruction_publication(
    context: Context, coupling: int, sent: Sent, now: datetime
) -> tuple[Publication, str | None]:
    """The message for the app, and the instruction's id where publishing alone confirms it."""
    app = context.file.apps[sent.record.app]
    message = Instruction(
        app=app.name,
        id=sent.id,
        action=sent.action,
        table=sent.record.table,
        key=sent.record.key or None,
        fields=sent.fields,
        if_version=None if sent.action is Action.READ else sent.if_version,
        coupling=coupling,
        reason=sent.reason,
        attempt=sent.attempt,
        traceparent=sent.traceparent,
    )
    publication = encode_instruction(message, context.namespace, now)
    return publication, sent.id if app.confirms is Confirms.NONE else None


def _write_waits(conn: Connection, desk: Desk, changed: Sequence[Coupling]) -> None:
    """Keep what each coupling waits for, and wake those that waited for a coupling that has just come to be."""
    waits = {}
    for coupling in changed:
        before = desk.was(coupling.id)
        if coupling.waits != (() if before is None else before.waits):
            waits[coupling.id] = coupling.waits
    wait_store.replace(conn, waits)
    woken = wait_store.waiting_on(conn, {wait for coupling in changed for wait in _fulfilled(desk, coupling)})
    due_store.put(conn, [Due(kind=DueKind.WAKE, coupling=number, due_at=desk.now) for number in sorted(woken)])


def _fulfilled(desk: Desk, coupling: Coupling) -> list[Wait]:
    """The references that ``coupling`` answers now and did not answer before."""
    if coupling.status is not CouplingStatus.ACTIVE:
        return []
    before, tied = desk.was(coupling.id), (coupling.left, coupling.right)
    if before is not None and before.status is CouplingStatus.ACTIVE and (before.left, before.right) == tied:
        return []
    return [Wait(coupling.mapping, side, record.key) for side in SIDES if (record := coupling.record(side)) is not None]


def _overtaken(desk: Desk, sent: Sequence[tuple[int, Sent]]) -> list[tuple[int, Sent]]:
    """Instructions in flight that have seen values they did not know, for the audit."""
    fresh = {one.id for _, one in (*sent, *desk.answered, *desk.resend)}
    found = []
    for coupling in desk.changed_couplings():
        before = desk.was(coupling.id)
        known = {} if before is None else {one.id: one for one in before.flight}
        found += [(coupling.id, one) for one in coupling.flight if one.id not in fresh and one != known.get(one.id)]
    return found


def _hold(conn: Connection, desk: Desk, decided: Sequence[Decided]) -> None:
    """What a pause holds from now on is decided when the pause ends."""
    held = []
    for one in decided:
        coupling, before = one.decision.coupling, desk.was(one.situation.coupling.id)
        new = before is None or before.held_by != coupling.held_by or coupling.id in desk.woken
        if one.decision.word == "paused" and new and is_pause(coupling.held_by):
            held.append(Due(kind=DueKind.WAKE, coupling=coupling.id, mapping=coupling.mapping, due_at=desk.now))
    hold_up(conn, desk.file, held)


def _write_due(conn: Connection, desk: Desk, sent: Sequence[tuple[int, Sent]]) -> None:
    due_store.cancel(conn, [one.id for _, one in (*desk.answered, *desk.resend)])
    kinds = {InstructionState.BACKING_OFF: DueKind.RETRY}
    due_store.put(
        conn,
        [
            Due(
                kind=kinds.get(one.state, DueKind.ANSWER),
                coupling=number,
                instruction=one.id,
                due_at=one.due_at,
            )
            for number, one in (*sent, *desk.resend)
            if one.due_at is not None
        ],
    )


def _write_creates(conn: Connection, desk: Desk, sent: Sequence[tuple[int, Sent]]) -> None:
    """Keep the marks of creates in flight, and wake the records that waited for one that has been answered."""
    marks = []
    for number, one in sent:
        coupling = desk.couplings[number]
        if one.action is not Action.CREATE:
            continue
        mapping = desk.file.mappings[coupling.mapping]
        own = written_mark(mapping, one.side, one.fields)
        source = coupling.record(one.side.other)
        groups = () if source is None else match_values(mapping, one.side.other, desk.image(source), {})
        values = ([] if own is None else [own]) + [value for _, value in groups]
        marks += [(mapping.name, value, one.id, one.side) for value in values]
    match_store.mark_creating(conn, marks)
    answered = [one.id for _, one in desk.answered if one.action is Action.CREATE]
    applied = [one.id for _, one in desk.answered if one.state is InstructionState.APPLIED and one.id in answered]
    match_store.clear_creating(conn, applied)  # a refused one still tells what its coupling wants
    woken = arrival_store.waiting_for(conn, [*answered, *_given_up(desk)])
    due_store.put(
        conn,
        [Due(kind=DueKind.ARRIVAL, record=one.record, mapping=one.mapping, due_at=desk.now) for one in woken],
    )


def _given_up(desk: Desk) -> list[str]:
    """Creates in flight whose coupling was removed: their answer, if it comes, is nobody's any more."""
    removed = [one for one in desk.changed_couplings() if one.status is CouplingStatus.CLOSED]
    before = [was for one in removed if (was := desk.was(one.id)) is not None]
    return [sent.id for was in before for sent in waiting(was) if sent.action is Action.CREATE]
