"""A change event on the desk: tied to what we asked for, folded into the image; which couplings it touches."""

from __future__ import annotations

import msgspec

from messages.changes import Change, Operation
from messages.instructions import Action
from messages.values import Value, same
from store.model import Coupling, Sent, Side
from workers.mapping import Mapping
from workers.rules.answers import Answer, Tie, follow, note_alterations, tie, waiting
from workers.rules.desk import Desk, Touch, normalized, take_answer
from workers.rules.images import Order, fold_change, fold_read
from workers.rules.updates import MASK


def lay_change(desk: Desk, change: Change, order: Order) -> list[Touch]:
    """Fold a change event: tie it to what we asked for, move the image, say which couplings are touched."""
    record = change.record
    tied = [
        (coupling, mapping, side, *tie(coupling, mapping, side, change, order.version))
        for coupling, mapping, side in [*desk.of(record), *_creating(desk, change, order.version)]
    ]
    before = desk.image(record)
    answers_read = any(sent is not None and sent.action is Action.READ for *_, how, sent in tied if how is Tie.CONFIRMS)
    ours = any(how is not Tie.NONE for *_, how, _sent in tied)
    after = fold_read(before, change, order) if answers_read else fold_change(before, change, order, ours=ours)
    if after is not None:
        desk.images[record] = after
    touches = []
    for coupling, mapping, side, how, sent in tied:
        if how is Tie.CONFIRMS and sent is not None:
            answer = Answer(sent=sent, record=record, version=order.version, reported=change.fields, at=desk.now)
            touches += take_answer(desk, mapping, coupling, answer, change.id)
        elif how is Tie.FOLLOWS:
            followed, altered = follow(coupling, mapping, side, change)
            desk.put(followed)
            touches += normalized(desk, followed, record, altered)
        elif how is Tie.NONE and after is not None:
            noted = note_alterations(coupling, mapping, side, (before, after), desk.now)
            desk.put(noted)
            touches += _overtaken(desk, noted, mapping, side, change)
    if after is None and not ours:
        return [*touches, Touch(record=record, word="stale", event=change.id)]
    return touches + _touched(desk, change)


def _creating(desk: Desk, change: Change, version: int) -> list[tuple[Coupling, Mapping, Side]]:
    """The couplings whose create in flight this change names, or echoes where the app confirms by echo (R15)."""
    record, found = change.record, []
    named = () if change.instruction is None else (change.instruction,)
    for instruction in {*named, *desk.echoed.get(record, ())} & desk.instructed.keys():
        coupling = desk.couplings[desk.instructed[instruction].coupling]
        mapping = desk.file.mappings.get(coupling.mapping)
        for sent in waiting(coupling):
            place = (sent.record.app, sent.record.table)
            if mapping is None or sent.action is not Action.CREATE or place != (record.app, record.table):
                continue
            if tie(coupling, mapping, sent.side, change, version)[0] is Tie.CONFIRMS:
                found.append((coupling, mapping, sent.side))
    return found


def _touched(desk: Desk, change: Change) -> list[Touch]:
    """Which couplings are to be decided because of this change, or that there is none."""
    record = change.record
    places = desk.file.sides_of(record.app, record.table)
    mapped = {field.on(side) for mapping, side in places for field in mapping.fields}
    if not places or (change.operation is Operation.UPDATE and change.fields and not mapped & change.fields.keys()):
        return [Touch(record=record, word="ignored", event=change.id, detail="no mapped field is concerned")]
    coupled = {coupling.mapping: coupling for coupling, _, _ in desk.of(record)}
    touches = []
    for mapping, side in places:
        coupling = coupled.get(mapping.name)
        if coupling is not None:
            desk.decide[coupling.id] = None
            touches.append(Touch(record=record, coupling=coupling.id, event=change.id, instruction=change.instruction))
        else:
            desk.uncoupled[mapping.name, record] = side
            touches.append(Touch(record=record, word="uncoupled", event=change.id, rule=mapping.name))
    return touches


def _overtaken(desk: Desk, coupling: Coupling, mapping: Mapping, side: Side, change: Change) -> list[Touch]:
    """R11: a value that a user reports for a field in flight, and that the instruction had not seen, is kept."""
    touches = []
    for sent in waiting(coupling, side):
        unseen = _unseen(mapping, sent, change)
        if not unseen:
            continue
        kept = {name: [*sent.overtaken.get(name, []), value] for name, value in unseen.items()}
        newer = msgspec.structs.replace(sent, overtaken={**sent.overtaken, **kept})
        flight = tuple(newer if other.id == sent.id else other for other in coupling.flight)
        desk.put(msgspec.structs.replace(coupling, flight=flight))
        sensitive = {field.on(side) for field in mapping.fields if field.sensitive}
        values = {name: MASK if name in sensitive else value for name, value in unseen.items()}
        line = Touch(record=change.record, word="overtaken", coupling=coupling.id, instruction=sent.id, values=values)
        touches.append(line)
    return touches


def _unseen(mapping: Mapping, sent: Sent, change: Change) -> dict[str, Value]:
    names = {field.on(sent.side): field.name for field in mapping.fields}
    return {
        name: change.fields[name]
        for name in sent.fields
        if name in change.fields
        and name in names
        and names[name] in sent.writes
        and not same(change.fields[name], sent.fields[name])
        and not same(change.fields[name], sent.writes[names[name]].replaced)
    }
