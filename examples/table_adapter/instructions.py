"""Does what an instruction asks for: once, in one transaction with the answer to it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.types import NullType

from .config import Config, TableConfig
from .database import CHANGES, INSTRUCTIONS, VERSION, view_of
from .failures import refusal_of
from .wire import Instruction, Order

Outcome: TypeAlias = dict[str, Any]
"""The ``data`` of an outcome, without what every outcome says: a refusal has a ``code``."""

MODIFIED_BY = "recouple"
"""Who changed a record where we did."""

# Two adapters may hold the same instruction; the second waits here until the first has committed, and finds its answer.
LOCK = {
    "postgresql": "SELECT pg_advisory_xact_lock(hashtextextended(:id, 0))",
    "sqlite": "UPDATE recouple_counter SET version = version WHERE :id <> ''",  # whoever writes holds the whole file
}


_JSON = msgspec.json.Encoder(decimal_format="number")


def obey(engine: sa.Engine, config: Config, instruction: Instruction) -> str:
    """Do what is asked, or find out why not; the answer is in the outbox when this returns. Returns a word for the log.

    Raises:
        DBAPIError: the database is away. Nothing is done or answered, the same instruction is to be tried again.
    """
    try:
        with engine.begin() as conn:
            return _answer(conn, instruction, lambda: _carry_out(conn, config, instruction))
    except DBAPIError as error:
        refusal = refusal_of(error)
        if refusal is None:
            raise
    # What was begun is rolled back, whole; the refusal gets a transaction of its own.
    with engine.begin() as conn:
        return _answer(conn, instruction, lambda: refusal)


def _answer(conn: sa.Connection, instruction: Instruction, do: Callable[[], Outcome | None]) -> str:
    """Put the answer into the outbox: the one that was given before, else that of ``do``, which is kept."""
    conn.execute(sa.text(LOCK[conn.dialect.name]), {"id": instruction.id})
    given = _given(conn, instruction)
    if given is not None:
        _say(conn, instruction, given)
        return "answered again"
    outcome = do()
    if outcome is None:
        return "read"
    named = {"instruction": instruction.id, "attempt": instruction.data.attempt}
    text = _JSON.encode(named | outcome).decode()
    conn.execute(sa.insert(INSTRUCTIONS).values(id=instruction.id, attempt=instruction.data.attempt, outcome=text))
    _say(conn, instruction, text)
    return str(outcome.get("code", "applied"))


def _given(conn: sa.Connection, instruction: Instruction) -> str | None:
    """Return the answer that was given before: done is done for every attempt, a refusal was one of its attempt."""
    rows = conn.execute(sa.select(INSTRUCTIONS).where(INSTRUCTIONS.c.id == instruction.id)).all()
    done = (row.outcome for row in rows if "code" not in msgspec.json.decode(row.outcome))
    return next(done, None) or next((row.outcome for row in rows if row.attempt == instruction.data.attempt), None)


def _say(conn: sa.Connection, instruction: Instruction, outcome: str) -> None:
    said = {"instruction": instruction.id, "outcome": outcome, "traceparent": instruction.traceparent}
    conn.execute(sa.insert(CHANGES).values(said))


def _carry_out(conn: sa.Connection, config: Config, instruction: Instruction) -> Outcome | None:
    order = instruction.data
    table = config.tables.get(order.table)
    if table is None:
        return _refused("configuration", f"no table {order.table} is configured here")
    unknown = sorted(order.fields.keys() - set(table.columns))
    if unknown:
        return _refused("configuration", f"{order.table} has no column {', '.join(unknown)} configured here")
    if order.action == "create":
        return _create(conn, table, instruction)
    if order.action not in {"update", "delete", "read"} or order.key is None:
        return _refused("configuration", f"this adapter cannot {order.action} a record without a key")
    return _change(conn, table, instruction, order.key)


def _create(conn: sa.Connection, table: TableConfig, instruction: Instruction) -> Outcome:
    order, into = instruction.data, _table(table)
    values = _values(conn, order) | ({} if order.key is None else {table.key: order.key})
    key = str(conn.execute(sa.insert(into).values(values).returning(into.c[table.key])).scalar_one())
    created = sa.select(sa.func.max(CHANGES.c.version)).where(*_about(order, key), CHANGES.c.operation == "create")
    return {"key": key, **_done(conn, instruction, key, conn.execute(created).scalar_one())}


def _change(conn: sa.Connection, table: TableConfig, instruction: Instruction, key: str) -> Outcome | None:
    """Update, delete or read one record, which nobody else can change until we commit."""
    order, records = instruction.data, _table(table)
    this = records.c[table.key] == sa.bindparam(None, key, NullType())
    version = conn.execute(sa.select(records.c[VERSION]).where(this).with_for_update()).scalar_one_or_none()
    if version is None:
        return _refused("not_found", f"no such record in {order.table}")
    if order.action == "read":
        _tell(conn, instruction, key)
        return None
    if order.if_version not in {None, version}:
        return _refused("version_mismatch", f"the record is at version {version}")
    if order.action == "delete":
        conn.execute(sa.delete(records).where(this))
    elif order.fields:
        conn.execute(sa.update(records).where(this).values(_values(conn, order)))
    return _done(conn, instruction, key, version + 1)


def _tell(conn: sa.Connection, instruction: Instruction, key: str) -> None:
    """Tell the record as it stands: a change that names the instruction, and is the answer to it."""
    said = {"record_table": instruction.data.table, "record_key": key, "operation": "read", **_named(instruction)}
    now = _look(conn, instruction.data, key)
    if now is not None:
        said |= {"version": now.version, "fields": now.fields}
        conn.execute(sa.insert(CHANGES).values(said))


def _done(conn: sa.Connection, instruction: Instruction, key: str, since: int) -> Outcome:
    """Name the instruction in what the triggers wrote, and return the version and what became of the values.

    Changes of other records, made by cascades or triggers of the app, are the app's own: they name no instruction.

    Args:
        since: From this version on the changes of this record are ours, because its lock is. Where nothing changed,
            because it had these values already, there is none.
    """
    ours = sa.update(CHANGES).where(*_about(instruction.data, key), CHANGES.c.version >= since)
    naming = ours.values(_named(instruction) | {"modified_by": MODIFIED_BY}).returning(CHANGES.c.version)
    written = conn.execute(naming).scalars().all()
    now = _look(conn, instruction.data, key)
    if now is None:
        return {"version": max(written)}
    return {"version": now.version, "fields": msgspec.Raw(now.fields.encode())}


def _look(conn: sa.Connection, order: Order, key: str) -> sa.Row[Any] | None:
    """Return the record as Recouple is to see it, ``None`` where it is gone."""
    view = view_of(order.table)
    return conn.execute(sa.select(view).where(view.c.key == sa.bindparam(None, key, NullType()))).one_or_none()


def _about(order: Order, key: str) -> tuple[sa.ColumnElement[bool], sa.ColumnElement[bool]]:
    return CHANGES.c.record_table == order.table, CHANGES.c.record_key == key


def _named(instruction: Instruction) -> dict[str, Any]:
    return {"instruction": instruction.id, "traceparent": instruction.traceparent}


def _table(table: TableConfig) -> sa.TableClause:
    """Return the table with columns of no type: the database takes every value as the type of its column."""
    return sa.table(table.table, *map(sa.column, dict.fromkeys([table.key, VERSION, *table.columns])))


def _values(conn: sa.Connection, order: Order) -> dict[str, Any]:
    """Return the fields as the driver takes them: objects and lists as JSON, for SQLite long numbers as digits."""
    digits_only = conn.dialect.name == "sqlite"

    def bindable(value: Any) -> Any:
        if isinstance(value, (dict, list)):
            return _JSON.encode(value).decode()
        is_wide = isinstance(value, int) and not -(2**63) <= value < 2**63
        return str(value) if digits_only and (is_wide or isinstance(value, Decimal)) else value

    return {name: bindable(value) for name, value in order.fields.items()}


def _refused(code: str, detail: str) -> Outcome:
    return {"code": code, "detail": detail}
