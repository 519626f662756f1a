"""A change event on the desk: tied to what we asked for, folded into the image; which couplings it touches."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from messages.changes import Change, Operation
from messages.instructions import Action
from messages.records import RecordRef
from messages.values import Known, Value, same
from store.model import Coupling, CouplingStatus, Image, Sent, Side
from workers.mapping import Mapping
from workers.rules.answers import WAITING, Answer, Tie, follow, note_alterations, tie, waiting
from workers.rules.desk import Desk, Touch, normalized, overtaken_line, take_answer
from workers.rules.images import Order, Written, fold_change, fold_read, fold_written, note_written

Tied: TypeAlias = tuple[Coupling, Mapping, Side, Tie, Sent | None]
"""A coupling of the record, the record's side, and how the change is tied to what that side was instructed."""


def lay_change(desk: Desk, change: Change, order: Order) -> list[Touch]:
    """Fold a change event: tie it to what we asked for, move the image, say which couplings are touched."""
    record, before = change.record, desk.image(change.record)
    ties = _ties(desk, change, order.version)
    after = _fold(before, change, order, ties)
    if after is not None:
        desk.images[record] = after
    touches = []
    for coupling, mapping, side, how, sent in ties:
        if how is Tie.CONFIRMS and sent is not None:
            answer = Answer(sent=sent, record=record, version=order.version, reported=change.fields, at=desk.now)
            touches += take_answer(desk, coupling, answer, change.id)
        elif how is Tie.FOLLOWS:
            followed, altered = follow(coupling, mapping, side, change.fields)
            desk.put(followed)
            touches += normalized(desk, followed, record, altered)
        elif how is Tie.NONE:
            noted = coupling
            if after is not None:
                noted = note_alterations(coupling, mapping, side, (before, after), desk.now)
                desk.put(noted)
            touches += _overtaken(desk, noted, mapping, side, change)
    desk.apart += _nobodys(desk, change)
    if all(how is Tie.NONE for *_, how, _sent in ties):
        touches += _overwritten_before(desk, before, change, order.version)
    if after is None and all(how is Tie.NONE for *_, how, _sent in ties):
        return [*touches, Touch(record=record, word="stale", event=change.id)]
    return touches + _touched(desk, change, before)


def _ties(desk: Desk, change: Change, version: int) -> list[Tied]:
    found = {}
    for coupling, mapping, side in [*desk.of(change.record), *_creating(desk, change)]:
        how, sent = tie(coupling, mapping, side, change, version)
        if sent is not None and sent.action is Action.CREATE and change.instruction != sent.id:
            life = desk.image(change.record).life_version
            if life is not None and version <= life:  # the echo of a create is younger than the record's grave
                how, sent = Tie.NONE, None
        if coupling.record(side) == change.record or how is Tie.CONFIRMS:
            found[coupling.id] = (coupling, mapping, side, how, sent)
    return list(found.values())


def _creating(desk: Desk, change: Change) -> list[tuple[Coupling, Mapping, Side]]:
    """The couplings whose create in flight this change names, or echoes where the app confirms by echo (R15)."""
    record, found = change.record, []
    named = () if change.instruction is None else (change.instruction,)
    for instruction in sorted({*named, *desk.echoed.get(record, ())} & desk.instructed.keys()):
        coupling = desk.couplings[desk.instructed[instruction].coupling]
        mapping = desk.file.mappings.get(coupling.mapping)
        for sent in waiting(coupling):
            place = (sent.record.app, sent.record.table)
            taken = desk.coupled(coupling.mapping, record)
            free = taken is None or taken.id == coupling.id  # a restore may keep its key
            if mapping is not None and sent.action is Action.CREATE and place == (record.app, record.table) and free:
                found.append((coupling, mapping, sent.side))
    return found


def _nobodys(desk: Desk, change: Change) -> list[tuple[str, RecordRef]]:
    """What a create brings to life after its coupling was removed is left alone, as its late outcome would say."""
    instructed = desk.instructed.get(change.instruction or "")
    if instructed is None or instructed.sent.action is not Action.CREATE or instructed.sent.state not in WAITING:
        return []
    coupling, place = desk.couplings[instructed.coupling], (instructed.sent.record.app, instructed.sent.record.table)
    ours = coupling.status is CouplingStatus.CLOSED and place == (change.record.app, change.record.table)
    return [(coupling.mapping, change.record)] if ours else []


def _fold(before: Image, change: Change, order: Order, ties: list[Tied]) -> Image | None:
    """The image after the change; with what it confirms, also the written fields that it does not speak of."""
    confirmed = [sent for *_, how, sent in ties if how is Tie.CONFIRMS and sent is not None]
    asked = [sent.if_version for sent in confirmed if sent.action is Action.READ]
    if asked:
        return fold_read(before, change, order, asked[0])
    after = fold_change(before, change, order, ours=_is_ours(before, change, order, ties))
    for sent in confirmed:
        if sent.action in (Action.CREATE, Action.UPDATE) and change.operation is not Operation.DELETE:
            silent = {name: value for name, value in sent.fields.items() if name not in change.fields}
            create = sent.action is Action.CREATE
            after = fold_written(after or before, Written(fields=silent, create=create), order.version)
            after = note_written(after, before, sent, order.version)
    return after


def _is_ours(before: Image, change: Change, order: Order, ties: list[Tied]) -> bool:
    """Say whether the change is our own doing (R12): it says so, or it holds nothing new but what we wrote."""
    for *_, how, sent in ties:
        if how is Tie.FOLLOWS or (sent is not None and sent.id == change.instruction):
            return True
        if sent is not None and not any(
            before.versions.get(name, order.version) < order.version and not same(value, before.fields[name])
            for name, value in change.fields.items()
            if name not in sent.fields
        ):
            return True
    return False


def _touched(desk: Desk, change: Change, before: Image) -> list[Touch]:
    """Which couplings are to be decided because of this change, or that there is none."""
    record, exists = change.record, desk.image(change.record).exists
    places = desk.file.sides_of(record.app, record.table)
    mapped = desk.file.spoken_of(record.app, record.table)
    coupled = {coupling.mapping: coupling for coupling, _, _ in desk.of(record)}
    speaks = change.operation is not Operation.UPDATE or not change.fields or mapped & change.fields.keys()
    if not places or (not speaks and before.exists is exists):
        shown = [coupling.id for coupling in coupled.values() if coupling.error is not None]
        desk.decide.update(dict.fromkeys(shown))  # an operator sees unmapped fields too
        return [Touch(record=record, word="ignored", event=change.id, detail="no mapped field is concerned")]
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
        written = {
            field.on(side): (sent.writes[field.name].value, sent.writes[field.name].replaced)
            for field in mapping.fields
            if field.name in sent.writes
        }
        unseen = _unseen(change, written)
        if not unseen:
            continue
        kept = {name: [*sent.overtaken.get(name, []), value] for name, value in unseen.items()}
        newer = msgspec.structs.replace(sent, overtaken={**sent.overtaken, **kept})
        coupling = desk.couplings[coupling.id]
        flight = tuple(newer if other.id == sent.id else other for other in coupling.flight)
        desk.put(msgspec.structs.replace(coupling, flight=flight))
        touches.append(overtaken_line(desk, change.record, unseen, sent.id))
    return touches


def _overwritten_before(desk: Desk, image: Image, change: Change, version: int) -> list[Touch]:
    """R11: likewise of a value that is told too late, when what we wrote over it was answered already."""
    newer = {name: one for name, one in image.written.items() if one.version > version}
    unseen = _unseen(change, {name: (one.value, one.replaced) for name, one in newer.items()})
    by = {newer[name].instruction for name in unseen}
    return [
        overtaken_line(
            desk, change.record, {name: value for name, value in unseen.items() if newer[name].instruction == one}, one
        )
        for one in sorted(by)
    ]


def _unseen(change: Change, written: dict[str, tuple[Value, Known]]) -> dict[str, Value]:
    """What a change says of written fields that is neither what was written nor what was known to be replaced."""
    return {
        name: change.fields[name]
        for name, known in written.items()
        if name in change.fields and not any(same(change.fields[name], value) for value in known)
    }
