"""Which records a mapping keeps in step: the conditions of ``where``, of which all of a side must hold.

A field that nobody has told us yet lets its record in: unknown is not outside. Null equals nothing that a condition can
name, and is neither less nor greater. A deleted record is judged by what it last held.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Lookup
from types import MappingProxyType
from typing import Any

from msgspec import UNSET

from messages.records import RecordRef
from messages.values import Value, is_number, same
from store.model import Image, Side
from workers.mapping import Comparison, Condition, Mapping
from workers.rules.desk import Touch


def outside(mapping: Mapping, images: tuple[Image, Image]) -> Side | None:
    """Return the side whose record is outside the mapping's ``where``; ``None`` where both are in."""
    if not mapping.where:
        return None
    pairs = zip(Side, images, strict=True)
    return next((side for side, image in pairs if not inside(mapping, side, image)), None)


def inside(mapping: Mapping, side: Side, image: Image) -> bool:
    """Say whether the record on ``side`` is one that the mapping keeps in step, as far as its fields are known."""
    return all(_holds(one, image) for one in mapping.where if one.side is side)


def ignored(record: RecordRef, mapping: Mapping) -> Touch:
    """The line for the log of a record that is not coupled, and stays so for what it holds now."""
    detail = f"outside the where of {mapping.name}: not matched and not created until a change brings it in"
    return Touch(record=record, word="ignored", rule="where", detail=detail)


def _holds(condition: Condition, image: Image) -> bool:
    value = image.fields.get(condition.field, UNSET)
    return value is UNSET or _COMPARE[condition.comparison](value, condition.value)


def _order(value: Value, bound: Any) -> int | None:
    """Return how two numbers or two texts stand to each other, as -1, 0 or 1; anything else is in no order."""
    if is_number(value) and is_number(bound):
        return (value > bound) - (value < bound)
    if isinstance(value, str) and isinstance(bound, str):
        return (value > bound) - (value < bound)  # by code points, which is the order of their bytes in UTF-8
    return None


_COMPARE: Lookup[Comparison, Callable[[Value, Any], bool]] = MappingProxyType(
    {
        Comparison.EQUAL: same,
        Comparison.NOT_EQUAL: lambda value, other: not same(value, other),
        Comparison.LESS: lambda value, bound: _order(value, bound) == -1,
        Comparison.LESS_OR_EQUAL: lambda value, bound: _order(value, bound) in (-1, 0),
        Comparison.GREATER: lambda value, bound: _order(value, bound) == 1,
        Comparison.GREATER_OR_EQUAL: lambda value, bound: _order(value, bound) in (0, 1),
        Comparison.IN: lambda value, listed: any(same(value, one) for one in listed),
        Comparison.NOT_IN: lambda value, listed: not any(same(value, one) for one in listed),
    }
)
