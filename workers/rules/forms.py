"""One value, two forms: how a field's value is spelled on each side, and when the two spellings agree."""

from __future__ import annotations

from collections.abc import Mapping as Lookup
from typing import TypeAlias

import msgspec
from msgspec import UNSET

from messages.errors import ErrorKind
from messages.values import Known, Value, same
from store.model import Side, Wait
from workers.mapping import MappedField

References: TypeAlias = Lookup[Wait, str]
"""Keys already looked up: the record that is coupled to the one a field points to. Absent: not coupled."""


class Untranslatable(msgspec.Struct, frozen=True, kw_only=True):
    """A value that has no form on the other side, and why."""

    field: MappedField
    kind: ErrorKind
    wait: Wait | None = None


def wait_for(field: MappedField, value: Known, source: Side) -> Wait | None:
    """The reference that ``value`` on ``source`` stands for; ``None`` for what is no reference, null and ``""``."""
    if field.reference is None or value is UNSET or value is None or value == "":
        return None
    return Wait(field.reference, source, str(value))


def translate(field: MappedField, value: Value, source: Side, references: References) -> Value | Untranslatable:
    """Return the form that ``value``, as it stands on ``source``, has on the other side.

    Null and ``""`` pass maps and references untranslated unless the map names them (DESIGN.md section 4).
    """
    if field.values is not None:
        for left, right in field.values:
            if same(left if source is Side.LEFT else right, value):
                return right if source is Side.LEFT else left
        if value is None or value == "":
            return value
        return Untranslatable(field=field, kind=ErrorKind.VALUE_NOT_MAPPED)
    wait = wait_for(field, value, source)
    if wait is None:
        return value
    if wait in references:
        return references[wait]
    return Untranslatable(field=field, kind=ErrorKind.REFERENCE_NOT_COUPLED, wait=wait)


def agree(field: MappedField, left: Known, right: Known, references: References) -> bool:
    """Say whether the two sides hold the same value, each in its own form; two unknowns do not agree."""
    if left is UNSET or right is UNSET:
        return False
    if field.values is None and field.reference is None:
        return same(left, right)
    if field.direction.flows_from(Side.LEFT):
        return same(translate(field, left, Side.LEFT, references), right)
    return same(translate(field, right, Side.RIGHT, references), left)


def in_mapping_terms(field: MappedField, value: Known, side: Side, references: References) -> Known:
    """Return ``value`` as the left side spells it; what cannot be translated stands as it is."""
    if side is Side.LEFT or value is UNSET:
        return value
    translated = translate(field, value, Side.RIGHT, references)
    return value if isinstance(translated, Untranslatable) else translated
