"""How long work that takes the database too long is left alone: a moment at first, longer each further time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from store.due import Due

FIRST = timedelta(seconds=2)
"""A database may be slow for a second; twice as long each further time that it is too slow for the same work."""

LONGEST = timedelta(minutes=5)
"""Each attempt holds up other work for as long as a statement may take."""

_ANY = datetime(1, 1, 1, tzinfo=UTC)

MOST = 1000
"""So many pieces of work are remembered; of more the ones that were slow first begin anew."""


class SlowWork:
    """What the timers of one process remember of work that was too slow; another process begins anew."""

    def __init__(self) -> None:
        self._rests: dict[Due, timedelta] = {}

    def rest(self, one: Due) -> timedelta:
        """Return for how long to leave alone what was too slow once more."""
        work = _work(one)
        rest = min(LONGEST, 2 * self._rests.pop(work, FIRST / 2))
        self._rests[work] = rest
        if len(self._rests) > MOST:
            del self._rests[next(iter(self._rests))]
        return rest

    def forget(self, done: Iterable[Due]) -> None:
        """These went through."""
        if self._rests:
            for one in done:
                self._rests.pop(_work(one), None)


def _work(one: Due) -> Due:
    """Return what is the same each time that ``one`` is due."""
    return replace(one, id=0, due_at=_ANY, starts=0)
