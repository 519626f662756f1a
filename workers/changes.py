"""The job of the change queues: change events and outcomes, a batch in one transaction.

Read, decide, write: dedupe, lock, fold every event, decide each coupling once, write it all back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace
from sqlalchemy import Connection

from messages.changes import Change, Operation
from messages.codec import encode_dead
from messages.dead import DeadReason
from messages.instructions import Action
from messages.outcomes import Applied, Failed
from messages.records import RecordRef
from messages.transport.ports import Delivery
from store import arrivals as arrival_store
from store import couplings as coupling_store
from store import due as due_store
from store import handled as handled_store
from store import instructions as instruction_store
from store import log as log_store
from store import matches as match_store
from store import outbox as outbox_store
from store import records as record_store
from store.arrivals import Arrival
from store.due import Due, DueKind
from store.handled import Claim
from store.instructions import InstructionRow
from store.model import LogLine
from store.records import ANY_LENGTH, ENOUGH_LENGTH
from workers.arrivals import reconsider
from workers.context import Context
from workers.deciding import decide_touched
from workers.intake import Event, Rejected, read_events, reject
from workers.log_lines import Line
from workers.mapping import Confirms
from workers.rules.desk import Desk, Instructed, SenderFaultError, Touch
from workers.rules.filters import ignored, inside
from workers.rules.lay_changes import lay_change
from workers.rules.lay_outcomes import lay_applied, lay_failed, target_of
from workers.rules.matching import echo_marks, match_values
from workers.writing import write_desk


def handle_changes(conn: Connection, context: Context, deliveries: Sequence[Delivery], now: datetime) -> list[Line]:
    """Handle one batch inside the caller's transaction; return the lines to be logged after the commit."""
    events, rejected = read_events(context, deliveries, now)
    fresh, repeated, reused = claim(conn, events, now)
    enough = ENOUGH_LENGTH if len(deliveries) > 1 else ANY_LENGTH
    desk = fill_desk(conn, context, fresh, now, enough)
    touches, at_fault = lay(desk, context, fresh)
    handled_store.forget(conn, [(event.app, event.message.id) for event in at_fault])
    arrived, outside = note_arrivals(conn, context, desk)
    decided = decide_touched(conn, desk)
    touches = [_queued(touch) if (touch.rule, touch.record) in arrived else touch for touch in touches]
    touches = [_ignored(context, touch) if (touch.rule, touch.record) in outside else touch for touch in touches]
    told = write_desk(conn, context, desk, decided, touches)
    log_store.append(conn, [_duplicate(event, now) for event in repeated])
    told += [_repeated(event) for event in repeated]
    return told + bury(conn, context, [*rejected, *reused, *at_fault.values()])


def claim(conn: Connection, events: Sequence[Event], now: datetime) -> tuple[list[Event], list[Event], list[Rejected]]:
    """Rule 1: sort the events into new ones, duplicates, and ids that came before with other content."""
    keys = [(event.app, event.message.id, event.message.digest) for event in events]
    fresh: list[Event] = []
    repeated: list[Event] = []
    reused: list[Rejected] = []
    for event, verdict in zip(events, handled_store.claim(conn, keys, now), strict=True):
        if verdict is Claim.NEW:
            fresh.append(event)
        elif verdict is Claim.DUPLICATE:
            repeated.append(event)
        else:
            detail = "id: this id came before with other content; an id is used once"
            reused.append(reject(event.delivery, DeadReason.ID_REUSED, detail, "id", now))
    return fresh, repeated, reused


def fill_desk(conn: Connection, context: Context, events: Sequence[Event], now: datetime, enough: int) -> Desk:
    """Lock what the events are about, records first and couplings after, and lay it on a desk.

    Raises:
        TooMuchAtOnceError: the images of the records have more than ``enough`` characters together.
    """
    named = instruction_store.find(conn, {name for event in events if (name := event.message.instruction)})
    creates = [row.id for row in named.values() if row.sent.action is Action.CREATE]
    match_store.lock_values(conn, match_store.values_of(conn, creates))  # whoever waits for the answer sees it
    echoed = _echoed(conn, context, events)
    rows = {**named, **instruction_store.find(conn, {name for names in echoed.values() for name in names} - set(named))}
    images = record_store.lock(conn, _records(context, events, rows), enough)
    couplings = coupling_store.lock(conn, images.keys(), {row.coupling_id for row in rows.values()})
    desk = Desk(context.file, now, images, couplings.values())
    desk.instructed = {name: Instructed(coupling=row.coupling_id, sent=row.sent) for name, row in rows.items()}
    desk.echoed = echoed
    return desk


def _records(context: Context, events: Sequence[Event], rows: dict[str, InstructionRow]) -> set[RecordRef]:
    records = set()
    for event in events:
        message = event.message
        if isinstance(message, Change):
            if context.file.sides_of(message.record.app, message.record.table):
                records.add(message.record)
            continue
        row = rows.get(message.instruction)
        if row is not None and row.sent.record.key:
            records.add(row.sent.record)
        elif row is not None and isinstance(message, Applied) and message.key:
            records.add(target_of(row.sent, message.key))
    return records


def _echoed(conn: Connection, context: Context, events: Sequence[Event]) -> dict[RecordRef, tuple[str, ...]]:
    """For apps that confirm by echo: creates in flight that a created record might be the echo of (R15)."""
    marks: dict[tuple[str, str], list[RecordRef]] = {}
    for event in events:
        change = event.message
        echoes = context.file.apps[event.app].confirms is Confirms.ECHO
        if not (echoes and isinstance(change, Change) and change.operation is not Operation.DELETE):
            continue
        for mapping, side in context.file.sides_of(change.record.app, change.record.table):
            for mark in echo_marks(mapping, side, change.fields):
                marks.setdefault((mapping.name, mark), []).append(change.record)
    found: dict[RecordRef, tuple[str, ...]] = {}
    for key, creates in match_store.creating(conn, marks.keys()).items():
        for record in marks[key]:
            found[record] = (*found.get(record, ()), *(name for name, _ in creates))
    return found


def lay(desk: Desk, context: Context, events: Sequence[Event]) -> tuple[list[Touch], dict[Event, Rejected]]:
    """Lay every event on the desk; those whose sender is at fault are told apart and change nothing."""
    touches: list[Touch] = []
    at_fault: dict[Event, Rejected] = {}
    # Refusals last: a version_mismatch asks for the record only if no event of the batch tells of it (R2).
    for event in sorted(events, key=lambda event: isinstance(event.message, Failed)):
        try:
            laid = _lay_one(desk, context, event)
        except SenderFaultError as fault:
            at_fault[event] = reject(event.delivery, fault.reason, fault.detail, fault.field, desk.now)
            continue
        touches += laid
        if event.message.traceparent is not None:
            desk.record_traces.update((touch.record, event.message.traceparent) for touch in laid)
            desk.traces.update((touch.coupling, event.message.traceparent) for touch in laid if touch.coupling)
    return touches, at_fault


def _lay_one(desk: Desk, context: Context, event: Event) -> list[Touch]:
    message = event.message
    if isinstance(message, Change):
        if not context.file.sides_of(message.record.app, message.record.table):
            detail = "no mapping speaks of this table"
            return [Touch(record=message.record, word="ignored", event=message.id, detail=detail)]
        assert event.order is not None  # noqa: S101 - intake lets no change in without one
        return lay_change(desk, message, event.order)
    instructed = desk.instructed.get(message.instruction)
    if instructed is None:
        detail = "data.instruction: no such instruction was ever given"
        raise SenderFaultError(DeadReason.UNKNOWN_INSTRUCTION, detail, "data.instruction")
    if instructed.sent.record.app != event.app:
        detail = "data.instruction: it was given to another app, and only that app can answer it"
        raise SenderFaultError(DeadReason.NOT_INSTRUCTED, detail, "data.instruction")
    if isinstance(message, Failed):
        return lay_failed(desk, message, instructed, context.patience)
    return lay_applied(desk, message, instructed, event.order)


def note_arrivals(
    conn: Connection, context: Context, desk: Desk
) -> tuple[set[tuple[str, RecordRef]], set[tuple[str, RecordRef]]]:
    """Rules 3 and 4: uncoupled records of mappings that are not ``only_coupled`` wait to be matched or created.

    One that waited and is gone, or has left the mapping's ``where``, is looked at again, too: what was told about it
    has to end. Returns who waits, and who is outside.
    """
    mappings = context.file.mappings
    alone = {key: side for key, side in desk.uncoupled.items() if not mappings[key[0]].only_coupled}
    alive = {key: side for key, side in alone.items() if desk.image(key[1]).exists}
    wanted = {key: side for key, side in alive.items() if inside(mappings[key[0]], side, desk.image(key[1]))}
    lost, outside = alone.keys() - wanted.keys(), alive.keys() - wanted.keys()
    ended = arrival_store.read(conn, lost)
    due_store.put(conn, [_arrival_due(one, desk.now) for one in ended])
    reconsider(conn, lost, desk.now)
    if not alive:
        return set(), set()
    for key in record_store.apart(conn, {record for _, record in wanted}) | set(desk.apart):
        wanted.pop(key, None)
    arrivals = []
    for (name, record), side in wanted.items():
        trace = desk.record_traces.get(record)
        arrivals.append(Arrival(mapping=name, record=record, side=side, since=desk.now, gated=True, traceparent=trace))
    seen = [(name, alone[name, record], record) for name, record in (*wanted, *outside)]
    entries = [(name, side, one, match_values(mappings[name], side, desk.image(one), {})) for name, side, one in seen]
    match_store.save(conn, entries)
    arrival_store.arrive(conn, arrivals)
    due_store.put(conn, [_arrival_due(one, desk.now) for one in arrivals])
    return set(wanted), outside


def _arrival_due(arrival: Arrival, now: datetime) -> Due:
    return Due(kind=DueKind.ARRIVAL, record=arrival.record, mapping=arrival.mapping, due_at=now)


def _queued(touch: Touch) -> Touch:
    """An uncoupled record that is going to be matched says so."""
    if touch.word != "uncoupled":
        return touch
    return replace(touch, word="queued", detail="waits to be matched or created")


def _ignored(context: Context, touch: Touch) -> Touch:
    """An uncoupled record that is outside the mapping's ``where`` says so."""
    if touch.word != "uncoupled":
        return touch
    return replace(ignored(touch.record, context.file.mappings[touch.rule or ""]), event=touch.event)


def _duplicate(event: Event, now: datetime) -> LogLine:
    message = event.message
    record = str(message.record) if isinstance(message, Change) else event.app
    return LogLine(at=now, record=record, outcome="duplicate", event=message.id)


def _repeated(event: Event) -> Line:
    fields = {"outcome": "duplicate", "message_id": event.message.id}
    return Line(event="change.decided", level="debug", fields=fields)


def bury(conn: Connection, context: Context, rejected: Sequence[Rejected]) -> list[Line]:
    """Send what cannot be taken to the dead queue, with its reason."""
    letters = [(encode_dead(one.delivery, one.letter, context.namespace), None) for one in rejected]
    outbox_store.put(conn, letters)
    return [
        Line(
            event="change.dead",
            level="warning",
            fields={"queue": one.letter.queue, "reason": one.letter.reason, "field": one.letter.field},
        )
        for one in rejected
    ]
