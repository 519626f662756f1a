"""Which events and outcomes were handled before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection

from store.failures import StoreUnavailableError
from store.sets import Statement

_IDS = "app text, id text"

_INSERT = Statement(
    """
    INSERT INTO handled (app, id, digest, handled_at)
    SELECT app, id, digest, :now FROM {given} WHERE true ORDER BY app, id
    ON CONFLICT DO NOTHING RETURNING app, id
    """,
    times=("now",),
    given=f"{_IDS}, digest text",
)
_DIGESTS = Statement(
    """
    SELECT app, id, digest FROM (
        SELECT app, id, (SELECT h.digest FROM handled h WHERE h.app = given.app AND h.id = given.id) AS digest
        FROM {given}
    ) AS found WHERE digest IS NOT NULL
    """,
    given=_IDS,
)
_DELETE = Statement("DELETE FROM handled WHERE (app, id) IN (SELECT app, id FROM {given})", given=_IDS)
_PURGE = Statement(
    """
    DELETE FROM handled WHERE (app, id) IN (
        SELECT app, id FROM handled WHERE handled_at < :before ORDER BY handled_at LIMIT :limit {for update skip locked}
    )
    """,
    times=("before",),
)


class Claim(StrEnum):
    """What an event id is to us."""

    NEW = "new"
    """Not handled before; it is ours now."""
    DUPLICATE = "duplicate"
    """The same event was handled before."""
    REUSED = "reused"
    """An event with this id and other content was handled before."""


def claim(connection: Connection, events: Sequence[tuple[str, str, str]], now: datetime) -> list[Claim]:
    """Claim ``(app, id, digest)`` of each event and say, in order, what it is.

    Waits for other transactions that claimed the same id. Of two alike in one call the first is new.

    Raises:
        StoreUnavailableError: an id was forgotten by somebody else at this very moment; try again.
    """
    if not events:
        return []
    first: dict[tuple[str, str], str] = {}
    for app, id_, digest in events:
        first.setdefault((app, id_), digest)
    inserted = _INSERT.run(connection, {"now": now}, given=[(*key, digest) for key, digest in first.items()])
    new = {(row.app, row.id) for row in inserted}
    digests = _digests_of(connection, first.keys() - new)
    claims = []
    for app, id_, digest in events:
        key = (app, id_)
        if key in new:
            new.remove(key)
            digests[key] = digest
            claims.append(Claim.NEW)
        else:
            claims.append(Claim.DUPLICATE if digests[key] == digest else Claim.REUSED)
    return claims


def forget(connection: Connection, keys: Sequence[tuple[str, str]]) -> None:
    """Forget the events ``(app, id)``: what went to dead is not remembered as handled."""
    if keys:
        _DELETE.run(connection, given=keys)


def purge(connection: Connection, before: datetime, limit: int) -> int:
    """Forget up to ``limit`` of those handled before that moment and return how many; then they would be new again."""
    return _PURGE.run(connection, {"before": before, "limit": limit}).rowcount


def _digests_of(connection: Connection, keys: set[tuple[str, str]]) -> dict[tuple[str, str], str]:
    if not keys:
        return {}
    digests = {(row.app, row.id): row.digest for row in _DIGESTS.run(connection, given=keys)}
    if len(digests) < len(keys):
        raise StoreUnavailableError("an event id was forgotten while it was claimed; try again")
    return digests
