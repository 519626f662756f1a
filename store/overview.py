"""How things stand as a whole, in numbers, for ``recouple health`` and the previews of bulk commands; read only."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Connection, and_, func, select, text

from messages.errors import ErrorStatus, Family
from store import tables
from store.couplings import Standing
from store.model import InstructionState, Side


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """Something that waits.

    Attributes:
        waiting: How much of it.
        oldest_at: Since when the oldest of it is there.
        ready_at: Since when some of it could have been done; later than ``oldest_at`` where it was put off, or tried.
    """

    waiting: int
    oldest_at: datetime | None
    ready_at: datetime | None


class InFlight(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions to one app that are neither applied nor failed."""

    app: str
    sent: int = 0
    backing_off: int = 0
    unanswered: int = 0


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """Errors of one family that are not over."""

    family: Family
    open: int = 0
    resolving: int = 0


def outbox(connection: Connection) -> Backlog:
    """Return what is committed and still to be published."""
    table = tables.outbox
    ready = func.coalesce(table.c.leased_until, table.c.put_at)
    columns = (func.min(table.c.put_at).label("oldest"), func.min(ready).label("ready"))
    row = connection.execute(select(func.count().label("waiting"), *columns)).one()
    return Backlog(waiting=row.waiting, oldest_at=row.oldest, ready_at=row.ready)


def overdue(connection: Connection, now: datetime) -> Backlog:
    """Return the work of the timers that is due by now."""
    table = tables.due
    query = select(func.count().label("waiting"), func.min(table.c.due_at).label("oldest"))
    row = connection.execute(query.where(table.c.due_at <= now)).one()
    return Backlog(waiting=row.waiting, oldest_at=row.oldest, ready_at=row.oldest)


def instructions(connection: Connection) -> list[InFlight]:
    """Return, per app, the instructions that are neither applied nor failed."""
    table = tables.instructions
    query = (
        select(table.c.app, table.c.state, func.count().label("many"))
        .where(text("state NOT IN ('applied', 'failed')"))  # as the index has it, or SQLite would not use it
        .group_by(table.c.app, table.c.state)
    )
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(query):
        found.setdefault(row.app, {})[InstructionState(row.state).value] = row.many
    return [InFlight(app=app, **many) for app, many in sorted(found.items())]


def errors(connection: Connection) -> list[Standings]:
    """Return, per family, the errors that are not over; a family without any is among them."""
    table = tables.errors
    query = (
        select(table.c.family, table.c.status, func.count().label("many"))
        .where(table.c.status.in_((ErrorStatus.OPEN, ErrorStatus.RESOLVING)))
        .group_by(table.c.family, table.c.status)
    )
    found = {(row.family, row.status): row.many for row in connection.execute(query)}
    return [
        Standings(
            family=family,
            open=found.get((family, ErrorStatus.OPEN), 0),
            resolving=found.get((family, ErrorStatus.RESOLVING), 0),
        )
        for family in Family
    ]


def couplings(connection: Connection, mapping: str) -> dict[Standing, int]:
    """Return how many couplings of a mapping there are that are not closed, by where they stand."""
    table = tables.couplings
    query = select(table.c.standing, func.count().label("many")).where(
        table.c.mapping == mapping, table.c.standing != Standing.CLOSED
    )
    return {Standing(row.standing): row.many for row in connection.execute(query.group_by(table.c.standing))}


def uncoupled(connection: Connection, mapping: str, side: Side, app: str, table_name: str) -> int:
    """Return how many records of a table exist that are not coupled under ``mapping``, those left apart too."""
    records, coupled = tables.records, tables.couplings
    same = and_(
        coupled.c[f"{side}_key"] == records.c.key,
        coupled.c[f"{side}_table"] == records.c.table_name,
        coupled.c[f"{side}_app"] == records.c.app,
        coupled.c.mapping == mapping,
        ~coupled.c.closed,
    )
    query = (
        select(func.count())
        .select_from(records)
        .where(
            records.c.app == app,
            records.c.table_name == table_name,
            records.c.alive,
            ~select(coupled.c.id).where(same).exists(),
        )
    )
    return connection.execute(query).scalar_one()
