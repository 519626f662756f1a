"""The gate before a mapping that creates: nothing is matched or created before both of its tables were announced."""

from __future__ import annotations

from workers.mapping import Mapping


def both_loaded(mapping: Mapping, tables: set[tuple[str, str]]) -> bool:
    """Say whether both tables of ``mapping`` have announced all of their records."""
    return {(mapping.left.app, mapping.left.name), (mapping.right.app, mapping.right.name)} <= tables
