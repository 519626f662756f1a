"""Who ordered what, and the answer: the same command twice has one effect and gets the same answer twice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from store.failures import StoreUnavailableError
from store.handled import Claim
from store.sets import Statement
from store.tables import commands as table

_COLUMNS = "id, digest, source, name, body, reason, user_id, ordered_at"

_INSERT = Statement(
    f"""
    INSERT INTO commands ({_COLUMNS}) SELECT {_COLUMNS} FROM {{given}} WHERE true ORDER BY id
    ON CONFLICT (id) DO NOTHING RETURNING id
    """,
    given="id text, digest text, source text, name text, body text, reason text, user_id text, ordered_at time",
)
_EARLIER = Statement(
    "SELECT c.id, c.digest, c.answer, c.answered_at FROM {given} JOIN commands c ON c.id = given.id",
    returns=("answered_at",),
    given="id text",
)
_ANSWER = Statement(
    """
    UPDATE commands SET answer = given.answer, answered_at = given.answered_at FROM {given} WHERE commands.id = given.id
    """,
    given="id text, answer text, answered_at time",
)


class Ordered(msgspec.Struct, frozen=True):
    """One command as it came.

    Attributes:
        body: Its data, as JSON text.
        reason: Why, in the operator's words; never logged.
        user_id: Who the broker says it was.
    """

    id: str
    digest: str
    source: str
    name: str
    body: str
    reason: str | None
    user_id: str | None
    at: datetime


class ClaimedCommand(msgspec.Struct, frozen=True):
    """What a command is to us, and the answer that was given to it before, as JSON text, and when."""

    state: Claim
    answer: str | None = None
    answered_at: datetime | None = None


class CommandRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the audit; ``number`` counts the commands."""

    number: int
    ordered: Ordered
    answer: str | None
    answered_at: datetime | None


def claim(connection: Connection, commands: Sequence[Ordered]) -> list[ClaimedCommand]:
    """Claim each command and say, in order, what it is. Of two alike in one call the first is new.

    Waits for other transactions that claimed the same id.
    """
    if not commands:
        return []
    first: dict[str, Ordered] = {}
    for command in commands:
        first.setdefault(command.id, command)
    new = set(_INSERT.run(connection, given=map(_row, first.values())).scalars())
    earlier = _earlier(connection, first.keys() - new)
    claims = []
    for command in commands:
        if command.id in new:
            new.remove(command.id)
            earlier[command.id] = (command.digest, ClaimedCommand(Claim.DUPLICATE))
            claims.append(ClaimedCommand(Claim.NEW))
            continue
        digest, duplicate = earlier[command.id]
        claims.append(duplicate if digest == command.digest else ClaimedCommand(Claim.REUSED))
    return claims


def answer(connection: Connection, answers: Sequence[tuple[str, str, datetime]]) -> int:
    """Keep the answers: command id, JSON text, when; return how many of the commands there are."""
    return _ANSWER.run(connection, given=answers).rowcount if answers else 0


def page(connection: Connection, limit: int, after: int = 0) -> list[CommandRow]:
    """Return up to ``limit`` commands in the order in which they came, beginning after number ``after``."""
    query = select(table).where(table.c.number > after).order_by(table.c.number).limit(limit)
    return [
        CommandRow(
            number=row.number,
            ordered=Ordered(
                row.id, row.digest, row.source, row.name, row.body, row.reason, row.user_id, row.ordered_at
            ),
            answer=row.answer,
            answered_at=row.answered_at,
        )
        for row in connection.execute(query)
    ]


def _earlier(connection: Connection, ids: set[str]) -> dict[str, tuple[str, ClaimedCommand]]:
    """Return the digest of each command that came before, and what it is to us if its digest is the same."""
    if not ids:
        return {}
    found = {
        row.id: (row.digest, ClaimedCommand(Claim.DUPLICATE, row.answer, row.answered_at))
        for row in _EARLIER.run(connection, given=[(id_,) for id_ in ids])
    }
    if len(found) < len(ids):
        raise StoreUnavailableError("a command was deleted while it was claimed; try again")
    return found


def _row(command: Ordered) -> tuple[object, ...]:
    reason = None if command.reason is None else command.reason.replace("\0", "\ufffd")  # no text column takes a NUL
    return (
        command.id,
        command.digest,
        command.source,
        command.name,
        command.body,
        reason,
        command.user_id,
        command.at,
    )
