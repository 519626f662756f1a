"""A word that stands for what nobody may be told: a field value, an app's own words, what an operator typed.

It is put in and looked for in what is said of a document. Names of members are no secret, they are how a fault is
found; where the word was made part of a name, nothing can be said.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any, Final

SENTINEL: Final = "s3nt1n3l"

_SHAPING: Final = frozenset({"type", "specversion", "operation", "action", "code"})
"""Members whose text decides what the rest has to look like; they keep theirs."""


def names_in(body: bytes) -> list[str]:
    """Return the names of all members of all objects, as far as ``body`` can be read."""
    names: list[str] = []

    def note(pairs: list[tuple[str, Any]]) -> None:
        names.extend(name for name, _ in pairs)

    with suppress(ValueError, RecursionError):
        json.loads(body, object_pairs_hook=note, parse_int=str, parse_float=str)
    return names


def untold(words: str, body: bytes) -> None:
    """See that ``words``, which were said of ``body``, tell none of its values."""
    if SENTINEL in words:
        assert any(SENTINEL in name for name in names_in(body)), f"a value is told: {words}"


def planted(body: bytes) -> bytes | None:
    """Return the JSON object ``body`` with the sentinel at the head of every text; ``None`` where it is no object."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return json.dumps(_planted(document)).encode() if isinstance(document, dict) else None


def _planted(value: Any) -> Any:
    if isinstance(value, str):
        return SENTINEL + value
    if isinstance(value, list):
        return [_planted(one) for one in value]
    if isinstance(value, dict):
        return {name: one if name in _SHAPING else _planted(one) for name, one in value.items()}
    return value
