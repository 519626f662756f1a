"""How much of a mapping's allowance of deletions and creations is used up, in thousandths of one of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import TypeAlias

import msgspec
from sqlalchemy import Connection

from messages.instructions import Action
from store.model import Side
from store.sets import Statement, words

Key: TypeAlias = tuple[str, Side, Action]
"""What is limited: deletions, or creations, towards one side of a mapping."""

_KEY = "mapping text, side text, action text"

_INSERT_MISSING = Statement(
    """
    INSERT INTO brake_levels (mapping, side, action, level, measured_at)
    SELECT mapping, side, action, 0, :now FROM {given} WHERE true ORDER BY mapping, side, action
    ON CONFLICT (mapping, side, action) DO NOTHING
    """,
    times=("now",),
    given=_KEY,
)
_LOCK = Statement(
    """
    SELECT b.mapping, b.side, b.action, b.level, b.measured_at FROM {given} JOIN brake_levels b
    ON b.mapping = given.mapping AND b.side = given.side AND b.action = given.action
    ORDER BY b.mapping, b.side, b.action {for update of b}
    """,
    returns=("measured_at",),
    given=_KEY,
)
_SAVE = Statement(
    """
    UPDATE brake_levels SET level = given.level, measured_at = given.measured_at FROM {given}
    WHERE brake_levels.mapping = given.mapping AND brake_levels.side = given.side
    AND brake_levels.action = given.action
    """,
    given=f"{_KEY}, level int, measured_at time",
)
# In the order in which batches lock them: a plain update would take them as it finds them.
_RESET = Statement(
    """
    UPDATE brake_levels SET level = 0 FROM (
        SELECT mapping, side, action FROM brake_levels WHERE mapping IN (SELECT mapping FROM {given})
        ORDER BY mapping, side, action {for update}
    ) AS locked
    WHERE brake_levels.mapping = locked.mapping AND brake_levels.side = locked.side
    AND brake_levels.action = locked.action
    """,
    given="mapping text",
)


class Level(msgspec.Struct, frozen=True):
    """How full it was, and when that was measured."""

    thousandths: int
    at: datetime


def lock(connection: Connection, keys: Collection[Key], now: datetime) -> dict[Key, Level]:
    """Lock these until the transaction ends, and return how full they are; a new one is empty."""
    if not keys:
        return {}
    given = sorted(set(keys))
    _INSERT_MISSING.run(connection, {"now": now}, given=given)
    return {
        (row.mapping, Side(row.side), Action(row.action)): Level(row.level, row.measured_at)
        for row in _LOCK.run(connection, given=given)
    }


def save(connection: Connection, levels: Mapping[Key, Level]) -> None:
    """Keep how full these are, locked before."""
    if levels:
        _SAVE.run(connection, given=[(*key, level.thousandths, level.at) for key, level in levels.items()])


def reset(connection: Connection, mappings: Collection[str]) -> None:
    """Empty all that these mappings have used up."""
    if mappings:
        _RESET.run(connection, given=words(mappings))
