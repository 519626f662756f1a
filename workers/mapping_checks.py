"""What has to fit together in a mapping: one small function per rule, each with the fault that it finds.

They run on mappings that may have other faults; what was faulty counts as left out, and an empty name as not written.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import combinations

import msgspec

from messages.values import Value, is_number
from store.model import Side
from workers.mapping import Confirms, DeletionRule, Direction, MappedField, Mapping, Ordering, UpdateRule
from workers.mapping_raw import Section
from workers.spelling import did_you_mean

_ARITHMETIC = (UpdateRule.MIN, UpdateRule.MAX, UpdateRule.ADD)


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """A mapping as it was read, with the places where its faults are noted."""

    mapping: Mapping
    section: Section
    field_sections: Sequence[Section]


def check_drafts(drafts: Sequence[Draft]) -> None:
    """Note every fault of every mapping, and between them, at its place."""
    for draft in drafts:
        for check in MAPPING_CHECKS:
            for sentence in check(draft.mapping):
                draft.section.fault(sentence)
        for field, section in zip(draft.mapping.fields, draft.field_sections, strict=True):
            for field_check in FIELD_CHECKS:
                for sentence in field_check(draft.mapping, field):
                    section.fault(sentence)
        _check_doubled_fields(draft)
        _check_references(draft, [each.mapping for each in drafts])
    for one, other in combinations(drafts, 2):
        if one.mapping.name and one.mapping.name == other.mapping.name:
            other.section.fault(f"an earlier mapping has the name {one.mapping.name!r} too")


def _two_tables(mapping: Mapping) -> Iterator[str]:
    if mapping.left.name and mapping.left == mapping.right:
        yield f"left and right are the same table, {mapping.left}"


def _confirmed(mapping: Mapping) -> Iterator[str]:
    towards = {Side.LEFT: Direction.TO_LEFT, Side.RIGHT: Direction.TO_RIGHT}
    for side in Side:
        if mapping.app(side).confirms is Confirms.NONE and mapping.direction is not towards[side]:
            yield (
                f"{mapping.app(side).name!r} confirms nothing (confirms = 'none'), so it can only be the target: "
                f"write direction = '{towards[side]}'"
            )


def _deletes_safely(mapping: Mapping) -> Iterator[str]:
    if mapping.on_deletion is DeletionRule.DELETE:
        for app, why in _unchecked_apps(mapping):
            yield (
                f"on_deletion = 'delete' could delete a record that was changed meanwhile, because {app!r} does not "
                f"check versions ({why})"
            )


def _matches_on_mapped_fields(mapping: Mapping) -> Iterator[str]:
    fields = {field.name: field for field in mapping.fields}
    for name in dict.fromkeys(name for group in mapping.match_on for name in group):
        field = fields.get(name)
        if field is None:
            yield f"match_on: no mapped field has the left name {name!r}{did_you_mean(name, fields)}"
        elif field.reference is not None:
            yield f"match_on: {name!r} is a reference, and two keys cannot be compared"
        elif any(_doubles(values) for values in zip(*field.values or (), strict=True)):
            yield f"match_on: {name!r} has a value map that is not one-to-one, so that its values cannot be compared"
    for group in mapping.match_on:
        if len(set(group)) < len(group):
            yield f"match_on: a group names a field twice: {', '.join(group)}"


def _groups_move_together(mapping: Mapping) -> Iterator[str]:
    first: dict[str, MappedField] = {}
    for field in mapping.fields:
        if field.group is None:
            continue
        other = first.setdefault(field.group, field)
        if field.direction is not other.direction:
            yield (
                f"group {field.group!r}: {other.name!r} flows {other.direction} and {field.name!r} flows "
                f"{field.direction}; the fields of a group share their direction"
            )
        if _rule(mapping, field) is not _rule(mapping, other):
            yield (
                f"group {field.group!r}: {other.name!r} has on_conflict = '{_rule(mapping, other)}' and {field.name!r} "
                f"'{_rule(mapping, field)}'; the fields of a group share their rule"
            )


MAPPING_CHECKS: tuple[Callable[[Mapping], Iterator[str]], ...] = (
    _two_tables,
    _confirmed,
    _deletes_safely,
    _matches_on_mapped_fields,
    _groups_move_together,
)


def _value_map_is_clear(_: Mapping, field: MappedField) -> Iterator[str]:
    for side in Side:
        if field.values is None or not field.direction.flows_from(side):
            continue
        for one, other in _doubles([pair[0 if side is Side.LEFT else 1] for pair in field.values]):
            yield (
                f"values: pairs {one} and {other} have the same {side} value, so that its {side.other} value is not "
                f"known; {_one_to_one(field)}"
            )


def _one_to_one(field: MappedField) -> str:
    return "a two-way value map is one-to-one" if field.direction is Direction.BOTH else f"it flows {field.direction}"


def _values_or_reference(_: Mapping, field: MappedField) -> Iterator[str]:
    if field.values is not None and field.reference is not None:
        yield "a field has values or a reference, not both"


def _arithmetic_needs_numbers(mapping: Mapping, field: MappedField) -> Iterator[str]:
    rule = field.on_conflict
    if rule not in _ARITHMETIC:
        return
    if field.direction is not Direction.BOTH:
        yield f"on_conflict = '{rule}' is for two-way fields, and this one flows {field.direction}"
    if field.group is not None:
        yield f"on_conflict = '{rule}' settles one field, and a group moves together: manual, left, right or newest"
    if field.values is not None or field.reference is not None:
        yield f"on_conflict = '{rule}' is for plain numbers, without values and reference"
    if rule is UpdateRule.ADD:
        for app, why in _unchecked_apps(mapping):
            yield f"on_conflict = 'add' could count a change twice, because {app!r} does not check versions ({why})"


FIELD_CHECKS: tuple[Callable[[Mapping, MappedField], Iterator[str]], ...] = (
    _value_map_is_clear,
    _values_or_reference,
    _arithmetic_needs_numbers,
)


def _check_doubled_fields(draft: Draft) -> None:
    """A field goes by its left name, so that must be its own; two may share a right name only if they flow apart."""
    numbered = list(
        zip(draft.mapping.fields, draft.field_sections, range(1, len(draft.field_sections) + 1), strict=True)
    )
    for (one, _, number), (other, section, _) in combinations(numbered, 2):
        if one.left and one.left == other.left:
            section.fault(f"the left field {one.left!r} is mapped already, as fields[{number}]")
        if (
            one.right
            and one.right == other.right
            and any(one.direction.flows_from(side) and other.direction.flows_from(side) for side in Side)
        ):
            section.fault(
                f"the right field {one.right!r} is mapped already, in the same direction, as fields[{number}]"
            )


def _check_references(draft: Draft, mappings: Iterable[Mapping]) -> None:
    named = {mapping.name: mapping for mapping in mappings}
    for field, section in zip(draft.mapping.fields, draft.field_sections, strict=True):
        if field.reference is None:
            continue
        target = named.get(field.reference)
        if target is None:
            section.fault(f"reference: there is no mapping {field.reference!r}{did_you_mean(field.reference, named)}")
            continue
        ours, theirs = _apps(draft.mapping), _apps(target)
        if all(ours) and all(theirs) and ours != theirs:
            section.fault(
                f"reference: mapping {field.reference!r} has {theirs[0]} on the left and {theirs[1]} on the right, "
                f"it must have {ours[0]} and {ours[1]} as this one has"
            )


def _apps(mapping: Mapping) -> tuple[str, str]:
    return mapping.left.app, mapping.right.app


def _rule(mapping: Mapping, field: MappedField) -> UpdateRule:
    return field.on_conflict or mapping.on_update_conflict


def _unchecked_apps(mapping: Mapping) -> Iterator[tuple[str, str]]:
    """Yield the apps that cannot refuse what rests on an older record, and why; a time is no version to be checked."""
    apps = {mapping.left_app.name: mapping.left_app, mapping.right_app.name: mapping.right_app}
    for name, app in apps.items():
        if not app.checks_version:
            yield name, "checks_version = false"
        elif app.order is Ordering.TIME:
            yield name, "order = 'time'"


def _doubles(values: Iterable[Value]) -> list[tuple[int, int]]:
    """Return the places, from one, of values that are the same as an earlier one, each with the place of that one."""
    first: dict[Hashable, int] = {}
    doubles = []
    for number, value in enumerate(values, 1):
        # Scalars only. As in messages.values.same: 1 is 1.0, and true is neither.
        key = (True, Decimal(value)) if is_number(value) else (False, value)
        if first.setdefault(key, number) != number:
            doubles.append((first[key], number))
    return doubles
