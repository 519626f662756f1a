"""An outcome on the desk: found by its instruction, never by key or version."""

from __future__ import annotations

from msgspec.structs import replace

from messages.changes import Change, Operation
from messages.dead import DeadReason
from messages.instructions import Action
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from messages.values import add, is_number, same
from store.model import Coupling, CouplingStatus, Form, Image, InstructionState, Sent
from workers.mapping import Confirms
from workers.rules.answers import WAITING, Answer, follow, waiting
from workers.rules.desk import Desk, Instructed, SenderFaultError, Touch, normalized, overtaken_line, take_answer
from workers.rules.failures import Patience
from workers.rules.images import Order, Written, fold_assumed, fold_gone, fold_read, fold_written, note_written
from workers.rules.refusals import came_back, give_up, refuse


def target_of(sent: Sent, key: str | None) -> RecordRef:
    """The record that an outcome is about: the instruction's, or for a create the one whose key it brings.

    Raises:
        SenderFaultError: a create was answered without a key.
    """
    if sent.action is not Action.CREATE:
        return sent.record
    if not key:
        raise SenderFaultError(DeadReason.MALFORMED, "data.key: the key of the created record is missing", "data.key")
    return RecordRef(sent.record.app, sent.record.table, key)


def lay_applied(desk: Desk, applied: Applied, instructed: Instructed, order: Order | None) -> list[Touch]:
    """Fold an ``applied`` outcome: the image takes the instruction's fields, the base moves, the slot is free.

    Args:
        order: ``None`` where the outcome names no version, which only a delete, or an app that never confirms, may do.
    """
    coupling = desk.couplings[instructed.coupling]
    sent = next((sent for sent in waiting(coupling) if sent.id == applied.instruction), None)
    if instructed.sent.action is Action.READ and applied.fields is None:
        detail = "a read is answered by the record: the slot waits for it"
        return [Touch(record=instructed.sent.record, word="ignored", event=applied.id, detail=detail)]
    record = target_of(instructed.sent, applied.key)
    if order is None and instructed.sent.action is not Action.DELETE and not _assumed(desk, applied.app):
        detail = "data.version: the version of the record after the instruction is missing"
        raise SenderFaultError(DeadReason.MISSING_ORDER, detail, "data.version")
    if sent is None or coupling.status is CouplingStatus.CLOSED:
        return _answered_before(desk, coupling, instructed.sent, applied, order)
    taken = desk.coupled(coupling.mapping, record)
    if sent.action is Action.CREATE and taken is not None and taken.id != coupling.id:  # a restore may keep its key
        return _gave_a_taken_record(desk, applied, instructed, record, taken)
    if order is not None:
        desk.images[record] = _written(desk.image(record), sent, applied, order)
    elif sent.action is not Action.DELETE:
        desk.images[record] = fold_assumed(desk.image(record), sent.fields)
    elif not came_back(desk.image(record), sent):
        desk.images[record] = fold_gone(desk.image(record), None)
    version = None if order is None else order.version
    answer = Answer(sent=sent, record=record, version=version, reported=applied.fields or {}, at=desk.now)
    return [*take_answer(desk, coupling, answer, applied.id), *_also(desk, record, applied.id)]


def _gave_a_taken_record(
    desk: Desk, applied: Applied, instructed: Instructed, record: RecordRef, taken: Coupling
) -> list[Touch]:
    """An app that answers a create with a record that is coupled already has not created one: it is a refusal."""
    detail = f"it answered with {record.key}, which coupling {taken.id} has already"
    failed = Failed(
        app=applied.app, id=applied.id, instruction=applied.instruction, code=FailureCode.DUPLICATE, detail=detail
    )
    return lay_failed(desk, failed, instructed, Patience())


def _assumed(desk: Desk, app: str) -> bool:
    return desk.file.apps[app].confirms is Confirms.NONE


def _written(image: Image, sent: Sent, applied: Applied, order: Order) -> Image:
    reported = applied.fields or {}
    if sent.action is Action.DELETE:
        return fold_gone(image, order.version)
    if sent.action is Action.READ:
        change = Change(record=image.record, id=applied.id, operation=Operation.READ, at=applied.at, fields=reported)
        return fold_read(image, change, order, sent.if_version)
    written = Written(fields=sent.fields, reported=reported, create=sent.action is Action.CREATE)
    return note_written(fold_written(image, written, order.version), image, sent, order.version)


def _answered_before(desk: Desk, coupling: Coupling, sent: Sent, applied: Applied, order: Order | None) -> list[Touch]:
    """A repeated outcome, or a late one of a coupling that is over: only the image learns of it.

    What it reports may still be the first word on what the app made of the values. A record that a late create brought
    to life is left alone.
    """
    record = target_of(sent, applied.key)
    touches = [Touch(record=record, word="stale", event=applied.id, instruction=applied.instruction)]
    if order is not None and sent.action is not Action.READ:
        touches += _overtaken(desk, record, sent, order)
        desk.images[record] = _written(desk.image(record), sent, applied, order)
    if coupling.status is CouplingStatus.CLOSED:
        _close_book(desk, coupling, replace(sent, state=InstructionState.APPLIED))
        desk.apart += [(coupling.mapping, record)] if sent.action is Action.CREATE else []
        return [*touches, *_also(desk, record, applied.id)]
    last, mapping = coupling.last.get(sent.side), desk.file.mappings.get(coupling.mapping)
    if last is not None and last.instruction == sent.id and mapping is not None:
        followed, fields = follow(coupling, mapping, sent.side, applied.fields or {})
        desk.put(followed)
        touches += normalized(desk, followed, record, fields)
    return [*touches, *_also(desk, record, applied.id)]


def _close_book(desk: Desk, coupling: Coupling, answered: Sent) -> None:
    """The answer to an instruction that was in flight when its coupling was removed: it is in flight no more."""
    told = {one.id for _, one in desk.answered}
    was_waiting = desk.instructed[answered.id].sent.state in WAITING
    if coupling.status is CouplingStatus.CLOSED and was_waiting and answered.id not in told:
        desk.answered.append((coupling.id, answered))


def _overtaken(desk: Desk, record: RecordRef, sent: Sent, order: Order) -> list[Touch]:
    """R11 of a late write, after its coupling was removed: what it wrote over and had not seen is kept."""
    image, seen = desk.image(record), {name: [value] for name, value in sent.fields.items()}
    mapping = desk.file.mappings.get(desk.couplings[desk.instructed[sent.id].coupling].mapping)
    for field in () if mapping is None else mapping.fields:
        if field.name in sent.writes:
            seen[field.on(sent.side)].append(sent.writes[field.name].replaced)
    unseen = {
        name: image.fields[name]
        for name, known in seen.items()
        if image.versions.get(name, order.version) < order.version
        and not any(same(image.fields[name], value) for value in known)
    }
    return [overtaken_line(desk, record, unseen, sent.id)] if unseen else []


def _also(desk: Desk, record: RecordRef, event: str) -> list[Touch]:
    """Fan-out: the image has moved, so every coupling of the record is decided, and goes on to a third app."""
    numbers = [coupling.id for coupling, _, _ in desk.of(record) if coupling.id not in desk.decide]
    desk.decide.update(dict.fromkeys(numbers))
    return [Touch(record=record, coupling=number, event=event) for number in numbers]


def _take_back(desk: Desk, coupling: Coupling, sent: Sent, failed: Failed) -> None:
    """A refusal of what we took an echo for: that was a user's own change; our delta was not delivered (R5)."""
    last, echoes = coupling.last.get(sent.side), desk.file.apps[failed.app].confirms is Confirms.ECHO
    earlier = failed.attempt is not None and failed.attempt < sent.attempt
    if not echoes or earlier or last is None or last.instruction != sent.id:
        return
    base = dict(coupling.base)
    for name, write in sent.writes.items():
        form = base.get(name, Form())
        if write.delta is not None and is_number(form.left) and is_number(form.right):
            base[name] = Form(left=add(form.left, -write.delta), right=add(form.right, -write.delta))
    others = {side: one for side, one in coupling.last.items() if side is not sent.side}
    desk.put(replace(coupling, base=base, last=others))
    desk.decide[coupling.id] = None


def lay_failed(desk: Desk, failed: Failed, instructed: Instructed, patience: Patience) -> list[Touch]:
    """Fold a ``failed`` outcome, as ``refusals`` says."""
    coupling = desk.couplings[instructed.coupling]
    mapping = desk.file.mappings.get(coupling.mapping)
    sent = next((sent for sent in waiting(coupling) if sent.id == failed.instruction), None)
    record = instructed.sent.record
    if sent is None or coupling.status is CouplingStatus.CLOSED:
        _take_back(desk, coupling, instructed.sent, failed)
        refused = replace(instructed.sent, state=InstructionState.FAILED, code=failed.code, words=failed.detail)
        _close_book(desk, coupling, refused)
        return [Touch(record=record, word="stale", event=failed.id, instruction=failed.instruction)]
    if mapping is None:
        refusal = give_up(coupling, desk.image(record), sent, failed)
    else:
        refusal = refuse(desk.situation(coupling, mapping), sent, failed, patience)
    desk.put(refusal.coupling)
    line = Touch(
        record=record,
        word=refusal.word,
        coupling=coupling.id,
        event=failed.id,
        instruction=sent.id,
        detail=f"attempt {sent.attempt}: {failed.code}",
    )
    if refusal.word == "stale":
        return [line]
    if record.key:
        desk.images[record] = refusal.image
    desk.decide[coupling.id] = None
    if refusal.resend is not None:
        desk.resend.append((coupling.id, refusal.resend))
        return [line]
    answered = replace(sent, state=InstructionState.FAILED, code=failed.code, words=failed.detail)
    desk.answered.append((coupling.id, answered))
    if refusal.send is not None:
        desk.reads.append((coupling.id, refusal.send))
    return [line, *_also(desk, record, failed.id)]
