"""What differs between two living records and their base, field by field: changed, agreed, contested.

``changed(S)`` = the mapped fields that flow from S, are known on S, and differ from S's form in the base. A field in
which the sides agree is not changed: the base takes it (but for an ``add`` field with a base, where two equal deltas
are two deltas, R5). A field on which the sides disagreed when they were coupled has no base: it waits for the first
change of the record and then counts as changed on both sides. A field of which a side had never told anything, and now
tells null or ``""``, is not changed: the default of a record that we had created overwrites nothing.
"""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from messages.values import Known, Value, is_number, same
from store.model import Form, Image, Side
from workers.mapping import Detect, Direction, MappedField, Mapping, UpdateRule
from workers.rules.forms import References, agree


class FieldState(msgspec.Struct, frozen=True, kw_only=True):
    """One mapped field between two records and their base.

    Attributes:
        changed: The sides that changed it and from which it flows.
    """

    field: MappedField
    left: Known
    right: Known
    form: Form
    agreeing: bool
    changed: frozenset[Side]

    def on(self, side: Side) -> Known:
        """The present value on ``side``."""
        return self.left if side is Side.LEFT else self.right

    @property
    def two_way(self) -> bool:
        """Whether the field flows both ways; only then can it be contested."""
        return self.field.direction is Direction.BOTH


def take_base(mapping: Mapping, left: Image, right: Image, references: References) -> dict[str, Form]:
    """Return the first base of two records that are tied: agreed where they agree or nobody knows, else waiting."""
    base = {}
    for field in mapping.fields:
        ours, theirs = left.fields.get(field.left, UNSET), right.fields.get(field.right, UNSET)
        unknown = ours is UNSET and theirs is UNSET
        base[field.name] = Form(left=ours, right=theirs, agreed=unknown or agree(field, ours, theirs, references))
    return base


def compare(
    mapping: Mapping, images: tuple[Image, Image], base: dict[str, Form], references: References, *, insist: bool
) -> tuple[FieldState, ...]:
    """Return the state of every mapped field.

    Args:
        insist: Count fields that have waited since the coupling as changed even though nothing has moved (``keep``).
    """
    left, right = images
    states = [_state(field, left, right, base, references) for field in mapping.fields]
    if insist or any(state.changed for state in states):
        states = [_wake(state) for state in states]
    return tuple(states)


def moved(
    mapping: Mapping, images: tuple[Image, Image], base: dict[str, Form], references: References
) -> tuple[dict[str, Form], tuple[FieldState, ...]]:
    """Return the base of every mapped field as it is now, and the state of each field that is not at rest.

    Most fields are at rest in most decisions: both sides hold the very text of the base, or null, as it stands. Of
    those ``compare`` would say that they agree and that nobody changed them, and no rule looks at them.
    """
    left, right = images
    now: dict[str, Form] = {}
    states = []
    for field in mapping.fields:
        ours, form = left.fields.get(field.left, UNSET), base.get(field.left)
        if (
            (type(ours) is str or ours is None)
            and form is not None
            and ours == form.left == form.right == right.fields.get(field.right, UNSET)
            and form.agreed
            and field.values is None
            and field.reference is None
        ):
            now[field.left] = form
        else:
            state = _state(field, left, right, base, references)
            now[field.left] = state.form
            states.append(state)
    if any(state.changed for state in states):
        states = [_wake(state) for state in states]
    return now, tuple(states)


def _state(field: MappedField, left: Image, right: Image, base: dict[str, Form], references: References) -> FieldState:
    ours, theirs = left.fields.get(field.left, UNSET), right.fields.get(field.right, UNSET)
    form = base.get(field.name)
    if form is None:  # mapped later: the present values are the base
        form = Form(left=ours, right=theirs)
    agreeing = agree(field, ours, theirs, references)
    changed = _CHANGED[
        field.direction is not Direction.TO_LEFT and ours is not UNSET and not _as_before(ours, form.left),
        field.direction is not Direction.TO_RIGHT and theirs is not UNSET and not _as_before(theirs, form.right),
    ]
    if agreeing and not (field.on_conflict is UpdateRule.ADD and len(changed) == len(Side) and can_add(form)):
        form, changed = Form(left=ours, right=theirs), frozenset()
    return FieldState(field=field, left=ours, right=theirs, form=form, agreeing=agreeing, changed=changed)


_CHANGED: dict[tuple[bool, bool], frozenset[Side]] = {
    (left, right): frozenset(side for side, moved in ((Side.LEFT, left), (Side.RIGHT, right)) if moved)
    for left in (False, True)
    for right in (False, True)
}
"""The sides that have changed, by whether the left one has, and the right one."""


def _as_before(value: Value, form: Known) -> bool:
    """Say whether a value is what it was; a first word that says nothing, null or ``""``, is no change."""
    return value is None or value == "" if form is UNSET else same(value, form)


def can_add(form: Form) -> bool:
    """Say whether deltas can be taken against ``form``."""
    return form.agreed and is_number(form.left) and is_number(form.right)


def _wake(state: FieldState) -> FieldState:
    """A field that had no base counts as changed on every side from which it flows, once both sides are known."""
    if state.form.agreed or state.agreeing or state.left is UNSET or state.right is UNSET:
        return state
    flows = frozenset(side for side in Side if state.field.direction.flows_from(side))
    return msgspec.structs.replace(state, changed=flows)


def contested(mapping: Mapping, states: tuple[FieldState, ...]) -> tuple[FieldState, ...]:
    """Return the fields that only one of the sides can have, in the mapping's order.

    With ``detect = "record"``: all two-way fields changed on either side, once both sides have changed one. With
    ``"field"``: those changed on both sides, and whole groups that both sides touched.
    """
    candidates = [state for state in states if state.two_way and state.changed]
    if mapping.detect is Detect.RECORD:
        both = frozenset[Side]().union(*(state.changed for state in candidates)) == frozenset(Side)
        return tuple(candidates) if both else ()
    touched: dict[str, set[Side]] = {}
    for state in candidates:
        touched.setdefault(unit(state), set()).update(state.changed)
    return tuple(state for state in candidates if len(touched[unit(state)]) == len(Side))


def unit(state: FieldState) -> str:
    """Name what moves together: the field's group, or the field alone."""
    return f"group {state.field.group}" if state.field.group else f"field {state.field.name}"
