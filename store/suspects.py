"""Messages that may have killed a worker: marked before they are handled, and the marks go when they are done.

A mark that another process left behind tells that this process died on the message, or just beside it.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from store.sets import Statement

_NAMES = "queue text, digest text"

_MARK = Statement(
    """
    INSERT INTO suspects (queue, digest, owner, deaths, marked_at)
    SELECT queue, digest, :owner, 0, :now FROM {given} WHERE true ORDER BY queue, digest
    ON CONFLICT (queue, digest) DO UPDATE SET
        deaths = suspects.deaths + CASE WHEN suspects.owner IN ('', excluded.owner) THEN 0 ELSE 1 END,
        owner = excluded.owner, marked_at = excluded.marked_at
    RETURNING queue, digest, deaths
    """,
    times=("now",),
    given=_NAMES,
)
_DOUBTFUL = Statement(
    """
    SELECT s.queue, s.digest FROM {given} JOIN suspects s ON s.queue = given.queue AND s.digest = given.digest
    WHERE s.deaths > 0 OR s.owner NOT IN ('', :owner)
    """,
    given=_NAMES,
)
_TAKE_BACK = Statement(
    """
    UPDATE suspects SET owner = ''
    WHERE (queue, digest) IN (SELECT queue, digest FROM {given}) AND owner = :owner
    """,
    given=_NAMES,
)
_FORGET = Statement("DELETE FROM suspects WHERE (queue, digest) IN (SELECT queue, digest FROM {given})", given=_NAMES)
_PURGE = Statement(
    """
    DELETE FROM suspects WHERE (queue, digest) IN (
        SELECT queue, digest FROM suspects WHERE marked_at < :before ORDER BY marked_at LIMIT :limit
        {for update skip locked}
    )
    """,
    times=("before",),
)


class Suspect(NamedTuple):
    """One message: the queue it waits in, and a digest that it has each time it comes."""

    queue: str
    digest: str


def doubtful(connection: Connection, suspects: Collection[Suspect], owner: str) -> set[Suspect]:
    """Return those over which a process other than ``owner`` died, or which one has at hand."""
    if not suspects:
        return set()
    return {Suspect(row.queue, row.digest) for row in _DOUBTFUL.run(connection, {"owner": owner}, given=suspects)}


def mark(connection: Connection, suspects: Collection[Suspect], owner: str, now: datetime) -> dict[Suspect, int]:
    """Say that the process ``owner`` is about to handle these; return over each how many others died.

    Commit this before they are handled. The same process may say so again: that counts for nothing.
    """
    if not suspects:
        return {}
    given = sorted(set(suspects))
    marked = _MARK.run(connection, {"owner": owner, "now": now}, given=given)
    return {Suspect(row.queue, row.digest): row.deaths for row in marked}


def take_back(connection: Connection, suspects: Collection[Suspect], owner: str) -> None:
    """Say that ``owner`` lives and has given up: the next to mark these counts nothing more than there is."""
    if suspects:
        _TAKE_BACK.run(connection, {"owner": owner}, given=suspects)


def forget(connection: Connection, suspects: Collection[Suspect]) -> None:
    """They are handled, or dead: in the transaction that does either."""
    if suspects:
        _FORGET.run(connection, given=suspects)


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Forget up to ``limit`` of those marked before that moment, which never came again; return how many."""
    return _PURGE.run(connection, {"before": before, "limit": limit}).rowcount
