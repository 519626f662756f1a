"""``where`` of a mapping, read condition by condition; whatever is wrong is noted with its place."""

from __future__ import annotations

from typing import Any

from messages.documents import is_fit
from messages.values import Value, is_number
from store.model import Side
from workers.mapping import Comparison, Condition
from workers.mapping_raw import NUMBERS, Faults, Section

_LISTS = (Comparison.IN, Comparison.NOT_IN)
_ORDERS = (Comparison.LESS, Comparison.LESS_OR_EQUAL, Comparison.GREATER, Comparison.GREATER_OR_EQUAL)


def read_where(section: Section, faults: Faults) -> tuple[Condition, ...]:
    """Return the conditions of a mapping that are in order."""
    written = section.typed("where", list)
    if written is not None and not written:
        section.fault("where must hold a condition, or be left out")
    places = [Section(one, f"{section.place}.where[{number}]", faults) for number, one in enumerate(written or (), 1)]
    return tuple(found for place in places if (found := _read_condition(place)) is not None)


def _read_condition(section: Section) -> Condition | None:
    side = section.choice("side", Side)
    comparison = section.choice("is", Comparison)
    field, value = section.required_text("field"), section.anything("value")
    for name in ("side", "is", "value"):
        if not section.has(name):
            section.fault(f"{name} is missing")
    section.close()
    if value is None or comparison is None:
        return None
    sentence = _why_not(comparison, value)
    if sentence is not None:
        section.fault(sentence)
    if sentence is not None or side is None or not field:
        return None
    kept = tuple(value) if isinstance(value, list) else value
    return Condition(side=side, field=field, comparison=comparison, value=kept)


def _why_not(comparison: Comparison, value: Value) -> str | None:
    """Say why nothing can be compared so; ``None`` where it can."""
    if comparison in _LISTS:
        return _why_no_list(comparison, value)
    if isinstance(value, list):
        return f"value is a list, which is for is = 'in' and 'not in', not '{comparison}'"
    kind = _kind(value)
    if kind is None:
        return f"value must be a text, a number, or true or false; {NUMBERS}"
    if kind == "flag" and comparison in _ORDERS:
        return f"is = '{comparison}' compares numbers or texts: true and false are neither less nor greater"
    return None


def _why_no_list(comparison: Comparison, value: Value) -> str | None:
    if not isinstance(value, list):
        return f'value must be a list, because is = \'{comparison}\': ["DE", "AT"]'
    if not value:
        return "value must not be an empty list"
    kinds = {_kind(one) for one in value}
    if None in kinds:
        return f"value must be a list of texts, numbers, or true or false; {NUMBERS}"
    return None if len(kinds) == 1 else "value mixes texts, numbers, and true or false; a list holds one kind"


def _kind(value: Any) -> str | None:
    if isinstance(value, bool):
        return "flag"
    if isinstance(value, str):
        return None if "\0" in value else "text"
    return "number" if is_number(value) and is_fit(value) else None
