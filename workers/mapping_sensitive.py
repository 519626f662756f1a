"""What one mapping calls sensitive is so under every mapping of the table: errors show unmapped fields, too."""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from store.model import Side
from workers.mapping import MappedField, Mapping, Table


def spread_sensitivity(mappings: Collection[Mapping]) -> dict[str, Mapping]:
    """Return the mappings by name, each with all that any of them calls sensitive in its tables.

    A field that becomes sensitive is so in the table on the other side as well, and from there under further mappings.
    """
    told = {mapping.name: mapping for mapping in mappings}
    while (further := _once(told)) != told:
        told = further
    return told


def _once(mappings: dict[str, Mapping]) -> dict[str, Mapping]:
    sensitive: dict[Table, set[str]] = {}
    for mapping in mappings.values():
        for side in Side:
            sensitive.setdefault(mapping.table(side), set()).update(mapping.sensitive(side))
    return {name: _told(mapping, sensitive) for name, mapping in mappings.items()}


def _told(mapping: Mapping, sensitive: dict[Table, set[str]]) -> Mapping:
    fields = tuple(_field(mapping, field, sensitive) for field in mapping.fields)
    others = {
        side: frozenset(sensitive[mapping.table(side)] - {field.on(side) for field in mapping.fields}) for side in Side
    }
    return replace(mapping, fields=fields, also_sensitive={side: names for side, names in others.items() if names})


def _field(mapping: Mapping, field: MappedField, sensitive: dict[Table, set[str]]) -> MappedField:
    named = any(field.on(side) in sensitive[mapping.table(side)] for side in Side)
    return replace(field, sensitive=True) if named and not field.sensitive else field
