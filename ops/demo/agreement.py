"""Both sides compared field by field, with a translation of our own: nothing here asks the rules."""

from __future__ import annotations

import msgspec
from msgspec import UNSET

from messages.records import RecordRef
from messages.values import Known
from ops.demo.world import World
from store import couplings as coupling_store
from store.model import CouplingStatus
from workers.mapping import MappedField, Mapping
from workers.mapping_file import load_mapping_file

_AT_MOST = 1000


class Apart(msgspec.Struct, frozen=True, kw_only=True):
    """Two coupled records that are not in step: in which fields, by their left names, or which of the two is gone."""

    left: str
    right: str
    fields: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()


class Agreement(msgspec.Struct, frozen=True, kw_only=True):
    """How many records of one mapping are coupled, and which of them are not in step."""

    mapping: str
    couplings: int
    apart: tuple[Apart, ...]


def agreements(world: World) -> list[Agreement]:
    """Return how far the two apps' own records agree, mapping by mapping."""
    mappings = load_mapping_file(world.settings.config).mappings.values()
    return [_agreement(world, mapping) for mapping in mappings]


def _agreement(world: World, mapping: Mapping) -> Agreement:
    """Compare the two apps' own records."""
    pairs, keys = _coupled(world, mapping.name), {}
    for field in mapping.fields:
        if field.reference is not None:
            keys[field.reference] = {left.key: right.key for left, right in _coupled(world, field.reference)}
    lefts, rights = world.bc.records(), world.sales.records()
    apart = []
    for left, right in pairs:
        gone = tuple(str(one) for one in (left, right) if one not in (lefts | rights))
        fields = (
            ()
            if gone
            else tuple(
                field.name
                for field in mapping.fields
                if _in_right_form(field, lefts[left].fields.get(field.left, UNSET), keys)
                != rights[right].fields.get(field.right, UNSET)
            )
        )
        if gone or fields:
            apart.append(Apart(left=str(left), right=str(right), fields=fields, gone=gone))
    return Agreement(mapping=mapping.name, couplings=len(pairs), apart=tuple(apart))


def _coupled(world: World, mapping: str) -> list[tuple[RecordRef, RecordRef]]:
    with world.store.reading() as conn:
        found = coupling_store.page(conn, mapping=mapping, limit=_AT_MOST)
    return [
        (coupling.left, coupling.right)
        for coupling in found
        if coupling.status is CouplingStatus.ACTIVE and coupling.left is not None and coupling.right is not None
    ]


def _in_right_form(field: MappedField, value: Known, keys: dict[str, dict[str, str]]) -> Known:
    if value in (None, "", UNSET):
        return value
    if field.reference is not None:
        return keys[field.reference].get(value, UNSET)
    return dict(field.values).get(value, UNSET) if field.values else value
