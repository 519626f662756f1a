"""What is committed and still to be published; a row goes when the broker has confirmed it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec
from sqlalchemy import Connection, func, select

from messages.transport.ports import Properties, Publication
from store.documents import Document
from store.sets import Statement, numbers
from store.tables import outbox as table

_PROPERTIES = Document(Properties)
_AT_ONCE: Mapping[str, datetime] = MappingProxyType({})

_PUT = Statement(
    """
    INSERT INTO outbox (exchange, routing_key, body, properties, instruction, put_at, leased_until)
    SELECT exchange, routing_key, body, properties, instruction, {now}, turn FROM {given}
    """,
    given="exchange text, routing_key text, body bytes, properties text, instruction text, turn time",
)
# The rows are picked first, in a part of its own: PostgreSQL may run a subquery with a limit more than once.
_CLAIM = Statement(
    """
    WITH picked AS MATERIALIZED (
        SELECT id FROM outbox WHERE leased_until IS NULL OR leased_until <= :now ORDER BY id LIMIT :limit
        {for update skip locked}
    )
    UPDATE outbox SET leased_until = :until FROM picked WHERE outbox.id = picked.id
    RETURNING outbox.id, exchange, routing_key, body, properties, instruction
    """,
    times=("now", "until"),
)
_DONE = Statement("DELETE FROM outbox WHERE id IN (SELECT id FROM {given})", given="id int")
_RELEASE = Statement("UPDATE outbox SET leased_until = NULL WHERE id IN (SELECT id FROM {given})", given="id int")


class Waiting(msgspec.Struct, frozen=True):
    """One message to be published.

    Attributes:
        instruction: Set where publishing itself confirms the instruction (apps that confirm ``none``).
    """

    id: int
    publication: Publication
    instruction: str | None


def put(
    connection: Connection,
    publications: Sequence[tuple[Publication, str | None]],
    turns: Mapping[str, datetime] = _AT_ONCE,
) -> None:
    """Add these, in order, each with the instruction that publishing confirms, if any.

    Args:
        turns: By message id, the moment before which nobody gets it; what is not named goes out at once.
    """
    if publications:
        _PUT.run(connection, given=[_row(*each, turns) for each in publications])


def claim(connection: Connection, limit: int, now: datetime, lease: timedelta) -> list[Waiting]:
    """Return up to ``limit``, oldest first, that nobody else gets until ``now + lease``."""
    rows = _CLAIM.run(connection, {"now": now, "until": now + lease, "limit": limit}).all()
    return [
        Waiting(
            row.id,
            Publication(
                exchange=row.exchange,
                routing_key=row.routing_key,
                body=row.body,
                properties=_PROPERTIES.read(row.properties),
            ),
            row.instruction,
        )
        for row in sorted(rows, key=lambda row: row.id)
    ]


def done(connection: Connection, ids: Collection[int]) -> None:
    """Delete what was published."""
    if ids:
        _DONE.run(connection, given=numbers(ids))


def release(connection: Connection, ids: Collection[int]) -> None:
    """Give back what was not published, to be claimed again at once."""
    if ids:
        _RELEASE.run(connection, given=numbers(ids))


def count(connection: Connection) -> int:
    """Return how many wait, claimed ones too."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def oldest(connection: Connection) -> datetime | None:
    """Return when the first of those that wait was put."""
    return connection.execute(select(table.c.put_at).order_by(table.c.id).limit(1)).scalar_one_or_none()


def _row(publication: Publication, instruction: str | None, turns: Mapping[str, datetime]) -> tuple[object, ...]:
    properties, turn = _PROPERTIES.write(publication.properties), turns.get(publication.properties.message_id or "")
    return (publication.exchange, publication.routing_key, publication.body, properties, instruction, turn)
