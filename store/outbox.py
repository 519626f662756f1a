"""What is committed and still to be published; a row goes when the broker has confirmed it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType

import msgspec
from sqlalchemy import Connection, func, select

from messages.transport.ports import Properties, Publication
from store.documents import Document
from store.numbers import fresh
from store.sets import Statement, numbers
from store.tables import outbox as table

ENOUGH_BYTES = 512 * 1024
"""So much is read into memory at once, whatever the limit; the last message may go beyond."""

_PROPERTIES = Document(Properties)
_NO_TURNS: Mapping[str, datetime] = MappingProxyType({})

_PUT = Statement(
    """
    INSERT INTO outbox (exchange, routing_key, body, properties, instruction, put_at, leased_until, turn_at)
    SELECT exchange, routing_key, body, properties, instruction, {now}, turn, turn FROM {given}
    """,
    given="exchange text, routing_key text, body bytes, properties text, instruction text, turn time",
)
_HAND_OVER = Statement(
    """
    INSERT INTO outbox (id, exchange, routing_key, body, properties, instruction, put_at, leased_until)
    SELECT id, exchange, routing_key, body, properties, instruction, {now}, :until FROM {given}
    """,
    times=("until",),
    given="id int, exchange text, routing_key text, body bytes, properties text, instruction text",
)
_FREE = "(leased_until IS NULL OR leased_until <= :now)"
_ANSWERS = f"FROM outbox WHERE exchange = '' AND {_FREE} ORDER BY id LIMIT"
_TURNS = f"FROM outbox WHERE exchange <> '' AND turn_at <= :now AND {_FREE} ORDER BY turn_at, id LIMIT"
_AT_ONCE = f"FROM outbox WHERE exchange <> '' AND turn_at IS NULL AND {_FREE} ORDER BY id LIMIT"
# The rows are picked first, in a part of its own: PostgreSQL may run a subquery with a limit more than once.
_CLAIM = Statement(
    f"""
    WITH picked AS MATERIALIZED (
        SELECT * FROM (
            SELECT 1 AS line, id, length(body) AS bytes {_ANSWERS} :limit {{for update skip locked}}) AS answers
        UNION ALL SELECT * FROM (
            SELECT 2 AS line, id, length(body) AS bytes {_TURNS} :half {{for update skip locked}}) AS turns
        UNION ALL SELECT * FROM (
            SELECT 3 AS line, id, length(body) AS bytes {_AT_ONCE} :limit {{for update skip locked}}) AS at_once
        LIMIT :limit
    ), taken AS (
        SELECT id, sum(bytes) OVER (ORDER BY line, id ROWS UNBOUNDED PRECEDING) - bytes AS before FROM picked
    )
    UPDATE outbox SET leased_until = :until WHERE id {{among}}SELECT id FROM taken WHERE before < :enough{{end}}
    RETURNING id, exchange, routing_key, body, properties, instruction
    """,
    times=("now", "until"),
)
_HAS_READY = Statement(
    f"SELECT EXISTS (SELECT 1 {_ANSWERS} 1) OR EXISTS (SELECT 1 {_TURNS} 1) OR EXISTS (SELECT 1 {_AT_ONCE} 1) AS found",
    times=("now",),
)
_BACKLOG = Statement(
    "SELECT count(*) FROM (SELECT 1 FROM outbox WHERE exchange <> '' AND turn_at IS NULL LIMIT :most) AS first"
)
_PUT_OFF = Statement(
    "UPDATE outbox SET leased_until = :until, turn_at = :until WHERE id {among}SELECT id FROM {given}{end}",
    times=("until",),
    given="id int",
)
_DONE = Statement("DELETE FROM outbox WHERE id {among}SELECT id FROM {given}{end}", given="id int")
_RELEASE = Statement(
    "UPDATE outbox SET leased_until = NULL WHERE id {among}SELECT id FROM {given}{end}", given="id int"
)


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
    turns: Mapping[str, datetime] = _NO_TURNS,
) -> None:
    """Add these, in order, each with the instruction that publishing confirms, if any.

    Args:
        turns: By message id, the moment before which nobody gets it; what is not named goes out at once.
    """
    if publications:
        _PUT.send(connection, given=[_row(*each, turns) for each in publications])


def hand_over(
    connection: Connection, publications: Sequence[tuple[Publication, str | None]], until: datetime
) -> list[Waiting]:
    """Add these as ``put`` does, claimed already; once this is committed, nobody else gets them until that moment."""
    ids = fresh(connection, "outbox", "id", len(publications))
    waiting = [Waiting(id_, *each) for id_, each in zip(ids, publications, strict=True)]
    if waiting:
        rows = [(one.id, *_row(one.publication, one.instruction, _NO_TURNS)[:-1]) for one in waiting]
        _HAND_OVER.send(connection, {"until": until}, given=rows)
    return waiting


def claim(
    connection: Connection, limit: int, now: datetime, lease: timedelta, enough_bytes: int = ENOUGH_BYTES
) -> list[Waiting]:
    """Return up to ``limit`` that nobody else gets until ``now + lease``; no more once their bodies are as large.

    Answers to commands go before all others: somebody waits for each. What had to wait for its turn fills half of the
    rest at most, so that neither it nor what goes out at once, oldest first, holds up the other.
    """
    given = {"now": now, "until": now + lease, "limit": limit, "half": (limit + 1) // 2, "enough": enough_bytes}
    rows = _CLAIM.run(connection, given).all()
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
        for row in sorted(rows, key=lambda row: (row.exchange != "", row.id))
    ]


def done(connection: Connection, ids: Collection[int]) -> None:
    """Delete what was published."""
    if ids:
        _DONE.send(connection, given=numbers(ids))


def release(connection: Connection, ids: Collection[int]) -> None:
    """Give back what was not published, to be claimed again at once."""
    if ids:
        _RELEASE.send(connection, given=numbers(ids))


def put_off(connection: Connection, ids: Collection[int], until: datetime) -> None:
    """Let what was not published wait for a later turn, out of the way of all else."""
    if ids:
        _PUT_OFF.send(connection, {"until": until}, given=numbers(ids))


def has_ready(connection: Connection, now: datetime) -> bool:
    """Say whether there is anything to be claimed now."""
    return bool(_HAS_READY.run(connection, {"now": now}).scalar_one())


def backlog(connection: Connection, most: int) -> int:
    """Return how many wait that may go at once, claimed ones too; does not count further than ``most``."""
    found: int = _BACKLOG.run(connection, {"most": most}).scalar_one()
    return found


def is_empty(connection: Connection) -> bool:
    """Say whether nothing waits, claimed or to be published later."""
    return connection.execute(select(table.c.id).limit(1)).first() is None


def count(connection: Connection) -> int:
    """Return how many wait, claimed ones too; walks through all of them."""
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def _row(publication: Publication, instruction: str | None, turns: Mapping[str, datetime]) -> tuple[object, ...]:
    properties, turn = _PROPERTIES.write(publication.properties), turns.get(publication.properties.message_id or "")
    return (publication.exchange, publication.routing_key, publication.body, properties, instruction, turn)
