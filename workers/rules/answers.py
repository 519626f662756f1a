"""First: what answers us (R1). Outcomes, and changes that confirm, echo or alter what we wrote.

An answer is found by its instruction, before any thought of staleness. A change *names* an instruction, or *echoes*
it (holds all its values, where the app confirms by echo), or bears the version that the outcome reported; each ties it
to us. Whatever nothing ties to us is a user's change.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum

import msgspec
from msgspec import UNSET

from messages.changes import Change, Operation
from messages.instructions import Action, Reason
from messages.records import RecordRef
from messages.values import Known, Value, add, is_number, same
from store.model import (
    Alteration,
    Confirmed,
    Coupling,
    CouplingStatus,
    Form,
    Image,
    InstructionState,
    OpenError,
    Sent,
    Side,
    Write,
)
from workers.mapping import Confirms, Mapping, UpdateRule

ALTERED_WITHIN = timedelta(seconds=30)
"""An app that alters a value does it at once; later than this after our write it is a user's edit (R13)."""

WAITING = (InstructionState.SENT, InstructionState.BACKING_OFF, InstructionState.UNANSWERED)
"""The states in which an instruction holds its slot."""


class Tie(Enum):
    """How a change is tied to what we asked for."""

    CONFIRMS = "confirms"
    """It is the answer to an instruction in flight."""
    FOLLOWS = "follows"
    """It comes from an instruction that was answered already; its values are that side's form of ours."""
    ECHOES = "echoes"
    """It looks like an instruction in flight whose outcome is still to come; it is not a user's change."""
    NONE = "none"
    """A user's change."""


def waiting(coupling: Coupling, side: Side | None = None) -> tuple[Sent, ...]:
    """The instructions in flight, of one side or of both."""
    return tuple(sent for sent in coupling.flight if sent.state in WAITING and side in (None, sent.side))


def tie(coupling: Coupling, mapping: Mapping, side: Side, change: Change, version: int) -> tuple[Tie, Sent | None]:
    """Say how ``change``, of the record on ``side``, is tied to what that side was instructed."""
    for sent in waiting(coupling, side):
        if change.instruction == sent.id:
            return Tie.CONFIRMS, sent
    for sent in waiting(coupling, side):
        if change.operation is not Operation.READ and echoes(sent, change, version):
            return (Tie.CONFIRMS if mapping.app(side).confirms is Confirms.ECHO else Tie.ECHOES), sent
    last = coupling.last.get(side)
    if last is not None and (change.instruction == last.instruction or version == last.version):
        return Tie.FOLLOWS, None
    return Tie.NONE, None


def echoes(sent: Sent, change: Change, version: int) -> bool:
    """Say whether ``change`` is what ``sent`` would look like once applied, and not older than it."""
    if sent.if_version is not None and version <= sent.if_version:
        return False
    if sent.action is Action.DELETE:
        return change.operation is Operation.DELETE
    if sent.action is Action.READ or change.operation is Operation.DELETE:
        return False
    return all(same(change.fields.get(name, UNSET), value) for name, value in sent.fields.items())


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What an app reports of an instruction it applied, by outcome or by a change.

    Attributes:
        record: The target, with the key that the app assigned.
        reported: What the app made of the values, by its own field names, where it says so.
    """

    sent: Sent
    record: RecordRef
    version: int | None
    reported: dict[str, Value] = {}
    at: datetime


class Confirmation(msgspec.Struct, frozen=True, kw_only=True):
    """The coupling after an answer, and what is worth a line in the log.

    Attributes:
        normalized: Mapping fields of which the app made something else.
        apart: A record that was replaced by its restored twin and is to be left alone.
    """

    coupling: Coupling
    normalized: tuple[str, ...] = ()
    apart: RecordRef | None = None


def confirm(coupling: Coupling, mapping: Mapping | None, answer: Answer, image: Image) -> Confirmation:
    """Take an instruction as applied: the slot is free, and the base moves as R4 and R5 say.

    Args:
        mapping: ``None`` where it has left the mapping file since; then the values count as taken as they were sent.
        image: The target's, the answer already folded in.
    """
    sent = answer.sent
    own_names = {} if mapping is None else {field.name: field.on(sent.side) for field in mapping.fields}
    adding = set() if mapping is None else {one.name for one in mapping.fields if one.on_conflict is UpdateRule.ADD}
    base, normalized = dict(coupling.base), []
    for name, write in sent.writes.items():
        own = _own_form(answer, image, own_names[name]) if name in own_names else UNSET
        own = write.value if own is UNSET else own
        if not same(own, write.value):
            normalized.append(name)
        form = _confirmed_form(base.get(name, Form()), sent.side, write, own)
        base[name] = _typed_sum(form, sent.side, own) if name in adding and _is_typed(write) else form
    values = {own_names[name]: write.value for name, write in sent.writes.items() if name in own_names}
    last = Confirmed(instruction=sent.id, version=answer.version, at=answer.at, values=values)
    settled = sent.reason is Reason.SYNCHRONIZE and sent.side is not coupling.keep
    confirmed = msgspec.structs.replace(
        coupling,
        base=base,
        flight=tuple(other for other in coupling.flight if other.id != sent.id),
        last=coupling.last if sent.action is Action.READ else {**coupling.last, sent.side: last},
        mismatches=coupling.mismatches if sent.action is Action.READ else 0,
        keep=None if settled else coupling.keep,
        error=_one_less_awaited(coupling.error, sent),
    )
    apart = None
    if sent.action is Action.DELETE:
        confirmed = msgspec.structs.replace(confirmed, status=CouplingStatus.CLOSED)
    if sent.action is Action.CREATE:
        apart = coupling.record(sent.side)
        apart = None if apart == answer.record else apart
        confirmed = msgspec.structs.replace(
            _with_record(confirmed, sent.side, answer.record), status=CouplingStatus.ACTIVE, based=True
        )
    return Confirmation(coupling=confirmed, normalized=tuple(normalized), apart=apart)


def _one_less_awaited(error: OpenError | None, sent: Sent) -> OpenError | None:
    if error is None or sent.id not in error.awaits:
        return error
    return msgspec.structs.replace(error, awaits=tuple(one for one in error.awaits if one != sent.id))


def _with_record(coupling: Coupling, side: Side, record: RecordRef) -> Coupling:
    if side is Side.LEFT:
        return msgspec.structs.replace(coupling, left=record)
    return msgspec.structs.replace(coupling, right=record)


def _own_form(answer: Answer, image: Image, name: str) -> Known:
    """What the target made of its field: as it reports, or as an event of the very same version had told before."""
    if name in answer.reported:
        return answer.reported[name]
    if answer.version is not None and image.versions.get(name) == answer.version:
        return image.fields[name]
    return UNSET


def _confirmed_form(form: Form, side: Side, write: Write, own: Known) -> Form:
    """The base of one field once its write is confirmed."""
    if write.delta is not None and is_number(form.left) and is_number(form.right):
        moved = Form(left=add(form.left, write.delta), right=add(form.right, write.delta))
        return moved if same(own, write.value) else moved.with_side(side, own)
    if write.held is UNSET:
        return form
    return Form().with_side(side, own).with_side(side.other, write.held)


def _is_typed(write: Write) -> bool:
    return write.delta is None and write.held is UNSET


def _typed_sum(form: Form, side: Side, own: Known) -> Form:
    """The base of an ``add`` field of which an operator typed the sum: no delta counts from what was before it.

    Until the other side holds it, too, there is no base, and what is changed meanwhile goes to a person.
    """
    typed = form.with_side(side, own)
    return msgspec.structs.replace(typed, agreed=same(typed.left, typed.right))


def follow(
    coupling: Coupling, mapping: Mapping, side: Side, fields: dict[str, Value]
) -> tuple[Coupling, tuple[str, ...]]:
    """Take what is told later of an answered instruction: where it differs, it is that side's form (truncation).

    Args:
        fields: What the side made of the values, by its own names.

    Returns:
        The coupling, and the mapping fields of which the app made something else.
    """
    last = coupling.last[side]
    base, normalized = dict(coupling.base), []
    for field in mapping.fields:
        name = field.on(side)
        if name not in last.values or name not in fields or field.name not in base:
            continue
        own, form = fields[name], base[field.name]
        if same(form.on(side), last.values[name]) and not same(own, last.values[name]):
            base[field.name] = form.with_side(side, own)
            normalized.append(field.name)
    return msgspec.structs.replace(coupling, base=base), tuple(normalized)


def note_alterations(
    coupling: Coupling, mapping: Mapping, side: Side, images: tuple[Image, Image], now: datetime
) -> Coupling:
    """Remember what a side made of our values in a change that nothing ties to us, in case it is a fight (R13).

    A change that is no such alteration is a user's wish: what the *other* side once made of the field is forgotten.

    Args:
        images: The record's, before and after the change.
    """
    last = coupling.last.get(side)
    values = {} if last is None or now - last.at > ALTERED_WITHIN else last.values
    before, after = images
    altered, theirs = dict(coupling.altered.get(side, {})), dict(coupling.altered.get(side.other, {}))
    is_left = side is Side.LEFT
    for field in mapping.fields:
        name = field.left if is_left else field.right
        was, became = before.fields.get(name, UNSET), after.fields.get(name, UNSET)
        if (type(was) is str and was == became) or became is UNSET or same(was, became):
            continue
        if name in values and same(was, values[name]):
            altered[field.name] = Alteration(sent=was, became=became)
        else:
            theirs.pop(field.name, None)
    sides = {side: altered, side.other: theirs}
    return msgspec.structs.replace(coupling, altered={one: noted for one, noted in sides.items() if noted})
