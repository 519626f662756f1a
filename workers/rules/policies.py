"""Who wins a contested field: first its own ``on_conflict``, then the mapping's ``on_update_conflict``.

======== ================================================ ===========================================
rule     settles                                          leaves to a person
======== ================================================ ===========================================
manual   nothing                                          always
left     the left side wins                               where the left value is not known
right    the right side wins                              where the right value is not known
newest   the side whose user changed it last wins (R12)   closer than ``clock_skew``; a time unknown
min      the smaller number wins                          what is no number
max      the larger number wins                           what is no number
add      both deltas against the base reach the other     without a base; what is no number, or sums up to none
                                                          that a message can hold
======== ================================================ ===========================================

A field's own rule counts only where both sides changed that field, or both touched its group; a group has one rule.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from enum import Enum

import msgspec
from msgspec import UNSET

from messages.documents import is_fit
from messages.values import add, is_number, subtract
from store.model import SIDES, Image, Side
from workers.mapping import Mapping, UpdateRule
from workers.rules.differences import FieldState, can_add, unit


class Both(Enum):
    """The verdict that gives both sides something that neither has."""

    ADD = "add"
    """Each side is instructed with the other's delta."""
    TYPED = "typed"
    """Each side is instructed with what an operator typed."""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Who wins one contested field, and by which rule; ``winner`` is ``None`` where a person has to say."""

    state: FieldState
    winner: Side | Both | None
    rule: str

    @property
    def idle(self) -> bool:
        """Whether the loser holds the winner's value already, so that nothing has to be written."""
        return isinstance(self.winner, Side) and self.state.agreeing


def settle(mapping: Mapping, contested: tuple[FieldState, ...], images: tuple[Image, Image]) -> tuple[Verdict, ...]:
    """Apply the policies of ``mapping`` to the contested fields, each group as one."""
    touched: dict[str, set[Side]] = {}
    for state in contested:
        touched.setdefault(unit(state), set()).update(state.changed)
    return tuple(_verdict(mapping, state, images, both=len(touched[unit(state)]) == len(Side)) for state in contested)


def _verdict(mapping: Mapping, state: FieldState, images: tuple[Image, Image], *, both: bool) -> Verdict:
    own = state.field.on_conflict
    if both and own is not None:
        rule, name = own, f"{state.field.name}.on_conflict={own}"
    else:
        rule, name = mapping.on_update_conflict, f"on_update_conflict={mapping.on_update_conflict}"
    winner = RULES[rule](state, images, mapping)
    if isinstance(winner, Side) and state.on(winner) is UNSET:
        winner = None
    return Verdict(state=state, winner=winner, rule=name)


def _newest(_state: FieldState, images: tuple[Image, Image], mapping: Mapping) -> Side | None:
    left, right = images[0].user_modified_at, images[1].user_modified_at
    if left is None or right is None or abs(left - right) <= mapping.clock_skew:
        return None
    return Side.LEFT if left > right else Side.RIGHT


def _extreme(sign: int) -> Callable[[FieldState, tuple[Image, Image], Mapping], Side | None]:
    def judge(state: FieldState, _images: tuple[Image, Image], _mapping: Mapping) -> Side | None:
        if not (is_number(state.left) and is_number(state.right)):
            return None
        return Side.LEFT if sign * Decimal(state.left) >= sign * Decimal(state.right) else Side.RIGHT

    return judge


def _add(state: FieldState, _images: tuple[Image, Image], _mapping: Mapping) -> Both | None:
    return Both.ADD if can_add(state.form) and all(_has_sum(state, side) for side in SIDES) else None


def _has_sum(state: FieldState, side: Side) -> bool:
    """Say whether what the other side added can be added on this one, and the sum be told to its app."""
    own, other, base = state.on(side), state.on(side.other), state.form.on(side.other)
    if not (is_number(own) and is_number(other) and is_number(base)):
        return False
    return is_fit(add(own, subtract(other, base)))


RULES: dict[UpdateRule, Callable[[FieldState, tuple[Image, Image], Mapping], Side | Both | None]] = {
    UpdateRule.MANUAL: lambda _state, _images, _mapping: None,
    UpdateRule.LEFT: lambda _state, _images, _mapping: Side.LEFT,
    UpdateRule.RIGHT: lambda _state, _images, _mapping: Side.RIGHT,
    UpdateRule.NEWEST: _newest,
    UpdateRule.MIN: _extreme(-1),
    UpdateRule.MAX: _extreme(+1),
    UpdateRule.ADD: _add,
}
