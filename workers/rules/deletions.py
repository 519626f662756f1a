"""Row 7: one side is gone (S), the other is alive (O).

========= ========================================== =====================================================
policy    only if                                    then
========= ========================================== =====================================================
manual                                               ``deletion_conflict``
restore   the mapping flows towards S, whose app     create on S: O's values over S's last image
          confirms what it does
delete    the mapping flows towards O, and no        delete on O
          mapped field of O, of any direction,
          differs from base (R10)
uncouple                                             the coupling is removed, both records marked apart
========= ========================================== =====================================================

Where the condition does not hold, where an error is open, or where S's last image held changes that are not on O yet,
it is as ``manual``: a concurrent edit is never lost. Our own delete never gets here: its answer closes the coupling.
"""

from __future__ import annotations

from msgspec import UNSET

from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.values import Value, same
from store.model import Form, Image, Sent, Side
from workers.mapping import Confirms, DeletionRule, Mapping
from workers.rules.differences import FieldState
from workers.rules.forms import agree
from workers.rules.sending import Writes, forms, instruct, own_names, write_to
from workers.rules.situation import Finding, Note, Situation, Trouble
from workers.rules.updates import MASK


def decide_deletion(situation: Situation, gone: Side, *, policies: bool) -> Finding:
    """Find what follows from the record on ``gone`` being gone while the other is alive.

    Args:
        policies: Let the mapping's ``on_deletion`` act; off while an error is open.
    """
    mapping, coupling = situation.mapping, situation.coupling
    manual = not policies or not coupling.based or unsent(situation, gone)
    policy = DeletionRule.MANUAL if manual else mapping.on_deletion
    if policy is DeletionRule.UNCOUPLE:
        apart = tuple(image.record for image in situation.images)
        return Finding(word="uncoupled", rule="on_deletion=uncouple", close=True, apart=apart)
    if policy is DeletionRule.RESTORE and mapping.direction.flows_from(gone.other) and tells_keys(mapping, gone):
        return restore(situation, gone, Reason.RESTORE)
    if policy is DeletionRule.DELETE and mapping.direction.flows_from(gone) and untouched(situation, gone.other):
        return delete(situation, gone.other)
    return Finding(word="conflict", trouble=Trouble(kind=ErrorKind.DELETION_CONFLICT))


def tells_keys(mapping: Mapping, side: Side) -> bool:
    """Say whether the app on ``side`` ever says which key it gave to what it was to create."""
    return mapping.app(side).confirms is not Confirms.NONE


def unsent(situation: Situation, gone: Side) -> bool:
    """Say whether the gone record's last image held changes that the other side does not have."""
    for field in situation.mapping.fields:
        left, right = situation.left.fields.get(field.left, UNSET), situation.right.fields.get(field.right, UNSET)
        value = left if gone is Side.LEFT else right
        form = situation.coupling.base.get(field.name)
        if form is None or value is UNSET or not field.direction.flows_from(gone):
            continue
        moved = not form.agreed or not same(value, form.on(gone))
        if moved and not agree(field, left, right, situation.references):
            return True
    return False


def untouched(situation: Situation, side: Side) -> bool:
    """Say whether no mapped field of ``side``, of any direction, differs from the base (R10)."""
    image = situation.image(side)
    for field in situation.mapping.fields:
        form = situation.coupling.base.get(field.name, Form())
        value = image.fields.get(field.on(side), UNSET)
        if value is UNSET and form.on(side) is UNSET:
            continue
        if not form.agreed or not same(value, form.on(side)):
            return False
    return True


def restore(situation: Situation, gone: Side, reason: Reason) -> Finding:
    """Create the gone record again: the living side's values over its last image, unmapped fields included."""
    writes = _values_for(situation, gone)
    if writes.trouble is not None:
        return Finding(word="error", trouble=writes.trouble, waits=writes.trouble.waits)
    fields = {**situation.image(gone).fields, **own_names(situation.mapping, gone, writes.by_field)}
    sent = _create(situation, gone, reason, fields, writes)
    return Finding(word="resolved", rule="on_deletion=restore", send=(sent,))


def delete(situation: Situation, side: Side) -> Finding:
    """Delete the living record too; what it held is kept with the instruction, and told in the log (R11)."""
    held = situation.image(side).fields
    sent = instruct(situation, side, Action.DELETE, Reason.DELETE, fields={}, removed=held)
    sensitive = situation.mapping.sensitive(side)
    shown = {name: MASK if name in sensitive else value for name, value in held.items()}
    note = Note(word="resolved", record=sent.record, rule="deleted", detail="it held", values=shown)
    return Finding(word="resolved", rule="on_deletion=delete", send=(sent,), notes=(note,))


def _create(situation: Situation, side: Side, reason: Reason, fields: dict[str, Value], writes: Writes) -> Sent:
    base = forms(situation.coupling.base, writes.by_field)
    return instruct(situation, side, Action.CREATE, reason, fields=fields, writes=writes.by_field, base=base)


def _values_for(situation: Situation, target: Side) -> Writes:
    """Everything that flows towards ``target``, in its own form."""
    left, right = situation.images
    states = [
        FieldState(
            field=field,
            left=_of(left, field.left),
            right=_of(right, field.right),
            form=situation.coupling.base.get(field.name, Form()),
            agreeing=False,
            changed=frozenset(),
        )
        for field in situation.mapping.fields
        if field.direction.flows_from(target.other)
    ]
    return write_to(situation, target, states, frozenset())


def _of(image: Image, name: str) -> object:
    return image.fields.get(name, UNSET)


def decide_creation(situation: Situation, missing: Side) -> Finding:
    """A record that has no counterpart yet: create one from all of its values that flow there."""
    writes = _values_for(situation, missing)
    if writes.trouble is not None:
        return Finding(word="error", trouble=writes.trouble, waits=writes.trouble.waits)
    fields = own_names(situation.mapping, missing, writes.by_field)
    sent = _create(situation, missing, Reason.CREATE, fields, writes)
    return Finding(word="sent", send=(sent,), waits=writes.waits)
