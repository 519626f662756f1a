"""What an operator wants of two living records: which fields it must name, and what each side is written for it.

================ ==================================================================================================
choice           means
================ ==================================================================================================
``keep``         that side wins every contested field; what only one side changed flows as ever
``fields``       per field the side that wins, contested or not; a one-way field is won by the side it flows from
``values``       per field what both sides are to hold, as the left side spells it; a one-way field is written only
                 where it flows to
================ ==================================================================================================

``fields`` and ``values`` together name every contested field, and a group whole: nothing is won by having been left
out.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import UNSET

from messages.values import Value, same
from store.model import Choice, Side, Write
from workers.mapping import Mapping
from workers.rules.differences import FieldState, compare, contested
from workers.rules.forms import Untranslatable, translate
from workers.rules.policies import Both, Verdict
from workers.rules.situation import Situation


def choice_of(situation: Situation) -> Choice | None:
    """What an operator wants: what is ordered now, or what ``couple`` ordered and is still to be done."""
    if situation.choice is not None:
        return situation.choice
    keep = situation.coupling.keep
    return None if keep is None else Choice(keep=keep)


def chosen(choice: Choice, states: tuple[FieldState, ...], disputed: tuple[FieldState, ...]) -> tuple[Verdict, ...]:
    """Return who wins each contested field, and each other field that is named."""
    if choice.keep is not None:
        return tuple(Verdict(state=state, winner=choice.keep, rule=f"keep={choice.keep}") for state in disputed)
    named = [state for state in states if state.field.name in choice.fields or state.field.name in choice.values]
    return tuple(_verdict(choice, state) for state in named)


def _verdict(choice: Choice, state: FieldState) -> Verdict:
    if state.field.name in choice.values:
        return Verdict(state=state, winner=Both.TYPED, rule="value typed")
    side = choice.fields[state.field.name]
    return Verdict(state=state, winner=side, rule=f"{side} chosen")


def typed_writes(situation: Situation, target: Side, states: tuple[FieldState, ...]) -> dict[str, Write]:
    """What ``target`` is written of the typed values; what it holds already is not written.

    The other side's value becomes the base where it is the typed one already; else the base waits until both agree.
    """
    choice, writes = choice_of(situation), {}
    for state in states:
        name = state.field.name
        if choice is None or name not in choice.values or not state.field.direction.flows_from(target.other):
            continue
        own, other = (_form(situation, state, side, choice.values[name]) for side in (target, target.other))
        if isinstance(own, Untranslatable) or same(state.on(target), own):
            continue
        agreed = not isinstance(other, Untranslatable) and same(state.on(target.other), other)
        held = state.on(target.other) if agreed else UNSET
        writes[name] = Write(value=own, held=held, replaced=state.on(target))
    return writes


def _form(situation: Situation, state: FieldState, side: Side, value: Value) -> Value | Untranslatable:
    return value if side is Side.LEFT else translate(state.field, value, Side.LEFT, situation.references)


def disputed_by(situation: Situation) -> tuple[tuple[FieldState, ...], tuple[FieldState, ...]]:
    """Return the state of every mapped field, and of those that a choice has to name."""
    mapping, base = situation.mapping, situation.coupling.base
    states = compare(mapping, situation.images, base, situation.references, insist=True)
    return states, contested(mapping, states)


def faults(situation: Situation, choice: Choice) -> tuple[str, ...]:
    """Return everything that is wrong with a choice, each as a sentence without values; none where it can be done."""
    mapping = situation.mapping
    states, disputed = disputed_by(situation)
    named = choice.fields.keys() | choice.values.keys()
    by_name = {state.field.name: state for state in states}
    found = [f"{name} is no field of the mapping {mapping.name}" for name in sorted(named - by_name.keys())]
    if choice.keep is not None:
        found += [_unknown(state, choice.keep) for state in disputed if state.on(choice.keep) is UNSET]
        return tuple(found)
    missing = [state.field.name for state in disputed if state.field.name not in named]
    if missing:
        found.append(f"not said what becomes of the contested {', '.join(missing)}")
    found += _halved_groups(mapping, named)
    found += _torn_groups(mapping, choice)
    for name, side in choice.fields.items():
        found += _wrong_side(by_name[name], side) if name in by_name else ()
    for name, value in choice.values.items():
        found += _no_form(situation, by_name[name], value) if name in by_name else ()
    return tuple(found)


def _unknown(state: FieldState, side: Side) -> str:
    return f"the {side} side's {state.field.name} is not known"


def _halved_groups(mapping: Mapping, named: set[str]) -> Iterator[str]:
    groups: dict[str, list[str]] = {}
    for field in mapping.fields:
        if field.group is not None:
            groups.setdefault(field.group, []).append(field.name)
    for group, members in groups.items():
        left_out = [name for name in members if name not in named]
        if left_out and len(left_out) < len(members):
            yield f"the group {group} moves as one; {', '.join(left_out)} is not named"


def _torn_groups(mapping: Mapping, choice: Choice) -> Iterator[str]:
    sides: dict[str, set[Side]] = {}
    for field in mapping.fields:
        if field.group is not None and field.name in choice.fields:
            sides.setdefault(field.group, set()).add(choice.fields[field.name])
    yield from (
        f"the group {group} moves as one; choose one side for all of it"
        for group, both in sides.items()
        if len(both) > 1
    )


def _wrong_side(state: FieldState, side: Side) -> Iterator[str]:
    if not state.field.direction.flows_from(side):
        yield f"{state.field.name} does not flow from the {side} side"
    elif state.on(side) is UNSET:
        yield _unknown(state, side)


def _no_form(situation: Situation, state: FieldState, value: Value) -> Iterator[str]:
    if isinstance(_form(situation, state, Side.RIGHT, value), Untranslatable):
        table = "its value map" if state.field.values is not None else "a coupled record"
        yield f"the value typed for {state.field.name} has no form on the right side: {table} does not know it"
