"""Apps and mappings that are paused: what happens is heard and kept, nothing is decided or sent until they resume."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection, Row, text

from store.sets import Statement

_COLUMNS = "scope, name, paused_at, paused_by, reason, error_number"
_GIVEN = "scope text, name text, paused_at time, paused_by text, reason text, error_number int"

_READ = Statement(f"SELECT {_COLUMNS} FROM pauses ORDER BY scope, name", returns=("paused_at",))
_HOLD = Statement(f"SELECT {_COLUMNS} FROM pauses ORDER BY scope, name {{for share}}", returns=("paused_at",))
_SET = Statement(
    f"""
    INSERT INTO pauses ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}} WHERE true ORDER BY scope, name
    ON CONFLICT (scope, name) DO NOTHING RETURNING scope, name
    """,
    given=_GIVEN,
)
_END = Statement(
    f"DELETE FROM pauses WHERE scope = :scope AND name = :name RETURNING {_COLUMNS}",
    returns=("paused_at",),
)


# Those that hold a row join each other, and under load it is never free. For a table PostgreSQL keeps a queue.
_IN_TURN = text("LOCK TABLE pauses IN EXCLUSIVE MODE")

RECOUPLE = "recouple"
"""Who pauses a mapping, where nobody ordered it."""


class Scope(StrEnum):
    """What is paused."""

    APP = "app"
    """Every mapping that has the app on either side."""
    MAPPING = "mapping"
    """One mapping."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """One app or mapping that is paused.

    Attributes:
        by: Who ordered it; ``RECOUPLE``, where the limit of the mapping did it.
        reason: Why, in the operator's words; never logged.
        error: The ``limit_exceeded`` error, where the limit did it.
    """

    scope: Scope
    name: str
    at: datetime
    by: str
    reason: str | None = None
    error: int | None = None

    def __str__(self) -> str:
        return f"{self.scope} {self.name}"


class _Table(Protocol):
    @property
    def app(self) -> str: ...


class Pairing(Protocol):
    """What a pause looks at in a mapping: its name, and the apps of its two tables."""

    @property
    def name(self) -> str:
        """The mapping's name."""

    @property
    def left(self) -> _Table:
        """The left table."""

    @property
    def right(self) -> _Table:
        """The right table."""


class Pauses:
    """All that is paused."""

    def __init__(self, pauses: Iterable[Pause] = ()) -> None:
        self._by_name = {(one.scope, one.name): one for one in pauses}

    def __iter__(self) -> Iterator[Pause]:
        return iter(self._by_name.values())

    def get(self, scope: Scope, name: str) -> Pause | None:
        """The pause of this app or mapping itself, if it is paused."""
        return self._by_name.get((scope, name))

    def of(self, mapping: Pairing) -> str | None:
        """What pauses ``mapping``, as ``mapping <name>`` or ``app <name>``; ``None`` where nothing does."""
        if not self._by_name:
            return None
        places = ((Scope.MAPPING, mapping.name), (Scope.APP, mapping.left.app), (Scope.APP, mapping.right.app))
        return next((str(self._by_name[place]) for place in places if place in self._by_name), None)


def is_pause(held_by: str | None) -> bool:
    """Say whether what holds a coupling is a pause; ``where`` is none: a change of the record ends that by itself."""
    return held_by is not None and held_by.startswith(tuple(f"{scope} " for scope in Scope))


def read(connection: Connection) -> Pauses:
    """Return all that is paused; locks nothing."""
    return Pauses(map(_pause, _READ.run(connection)))


def hold(connection: Connection) -> Pauses:
    """Return all that is paused, and keep every pause from being ended before this transaction ends.

    Whoever puts work off because of a pause holds it: its end would else wake only what was put off before.
    """
    return Pauses(map(_pause, _HOLD.run(connection)))


def begin(connection: Connection, pauses: Collection[Pause]) -> set[tuple[Scope, str]]:
    """Pause these; return those that were not paused already."""
    if not pauses:
        return set()
    given = [(one.scope, one.name, one.at, one.by, one.reason, one.error) for one in pauses]
    return {(Scope(row.scope), row.name) for row in _SET.run(connection, given=given)}


def end(connection: Connection, scope: Scope, name: str) -> Pause | None:
    """End the pause of this app or mapping and return what it was; waits for those that hold it."""
    if connection.dialect.name == "postgresql":
        connection.execute(_IN_TURN)
    found = _END.run(connection, {"scope": scope, "name": name}).one_or_none()
    return None if found is None else _pause(found)


def _pause(row: Row[Any]) -> Pause:
    return Pause(
        scope=Scope(row.scope),
        name=row.name,
        at=row.paused_at,
        by=row.paused_by,
        reason=row.reason,
        error=row.error_number,
    )
