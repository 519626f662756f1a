"""The app's database: what is installed in it, and its outbox."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

import sqlalchemy as sa
from sqlalchemy import event

from .config import Config, ConfigError, TableConfig

VERSION = "recouple_version"
"""The column that `install` adds to every table; nobody but its triggers writes it."""

SQLITE_TRIGGERS = ("created", "updated", "renamed", "deleted")

CHANGES = sa.table(
    "recouple_changes",
    sa.column("id", sa.BigInteger),
    sa.column("said_at", sa.Text),
    sa.column("record_table", sa.Text),
    sa.column("record_key", sa.Text),
    sa.column("operation", sa.Text),
    sa.column("version", sa.BigInteger),
    sa.column("fields", sa.Text),
    sa.column("modified_by", sa.Text),
    sa.column("instruction", sa.Text),
    sa.column("outcome", sa.Text),
    sa.column("traceparent", sa.Text),
)
INSTRUCTIONS = sa.table(
    "recouple_instructions",
    sa.column("id", sa.Text),
    sa.column("attempt", sa.Integer),
    sa.column("outcome", sa.Text),
)


def open_database(url: str) -> sa.Engine:
    """Return an engine for the database at ``url``: ``postgresql+psycopg://…`` or ``sqlite:///…``.

    Raises:
        ConfigError: it is neither.
    """
    try:
        engine = sa.create_engine(url, pool_pre_ping=True)
    except (sa.exc.ArgumentError, ImportError) as error:
        raise ConfigError(f"database: no such kind of URL ({type(error).__name__})") from error
    if engine.dialect.name not in {"postgresql", "sqlite"}:
        raise ConfigError(f"database: {engine.dialect.name}: this adapter knows postgresql and sqlite")
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA foreign_keys = ON"))
    return engine


def view_of(wire: str) -> sa.TableClause:
    """Return the view that shows a table as Recouple sees it: key, version, and the fields as a JSON text."""
    return sa.table(f"recouple_{wire}", sa.column("key"), sa.column("version"), sa.column("fields"))


def install(engine: sa.Engine, config: Config) -> None:
    """Add our tables, and to each of the app's a version and triggers; safe to run again, also with other columns.

    Raises:
        ConfigError: a table or a column does not exist.
    """
    check(engine, config)
    text = Path(__file__).with_name(f"schema_{engine.dialect.name}.sql").read_text(encoding="utf-8")
    once, each = text.split("-- For every table:\n")
    quote = engine.dialect.identifier_preparer.quote
    with engine.begin() as conn:
        _run(conn, once)
    for wire, table in config.tables.items():
        with engine.begin() as conn:
            if VERSION not in _columns(conn, table.table):
                conn.exec_driver_sql(f"ALTER TABLE {quote(table.table)} ADD COLUMN {VERSION} bigint NOT NULL DEFAULT 0")
            _run(conn, each.format_map(_names(wire, table, engine.dialect)))


def check(engine: sa.Engine, config: Config) -> None:
    """See that every table and column is there, before anything is installed or run.

    Raises:
        ConfigError: with everything that is missing.
    """
    with engine.connect() as conn:
        missing = []
        for wire, table in config.tables.items():
            there = _columns(conn, table.table)
            missing += [f"tables.{wire}: no table {table.table}"] if not there else []
            wanted = [table.key, *table.columns] if there else []
            missing += [f"tables.{wire}: {table.table} has no column {one}" for one in wanted if one not in there]
    if missing:
        raise ConfigError("; ".join(missing))


def is_installed(engine: sa.Engine, config: Config) -> bool:
    """Say whether `install` was run for every table."""
    inspector = sa.inspect(engine)
    return inspector.has_table(CHANGES.name) and {view_of(wire).name for wire in config.tables} <= set(
        inspector.get_view_names()
    )


def announce(engine: sa.Engine, config: Config) -> int:
    """Put every record into the outbox as it stands, and return how many there are."""
    announced = 0
    with engine.begin() as conn:
        for wire in config.tables:
            view = view_of(wire)
            as_text = sa.cast(view.c.key, sa.Text)
            rows = sa.select(sa.literal(wire), as_text, sa.literal("read"), view.c.version, view.c.fields)
            names = ["record_table", "record_key", "operation", "version", "fields"]
            put = sa.insert(CHANGES).from_select(names, rows)
            announced += conn.execute(put, execution_options={"preserve_rowcount": True}).rowcount
    return announced


def publish_some(engine: sa.Engine, limit: int, publish: Callable[[Sequence[sa.Row[Any]]], None]) -> int:
    """Hand the oldest rows of the outbox to ``publish``, and remove them when it returns; return how many there were.

    If we die in between they are published again: the same events, which Recouple takes once. On PostgreSQL other
    adapters pass over the rows meanwhile; SQLite locks no rows, and two adapters may both publish one.
    """
    with engine.begin() as conn:
        oldest = sa.select(CHANGES).order_by(CHANGES.c.id).limit(limit).with_for_update(skip_locked=True)
        rows = conn.execute(oldest).all()
        if rows:
            publish(rows)
            conn.execute(sa.delete(CHANGES).where(CHANGES.c.id.in_([row.id for row in rows])))
    return len(rows)


def _columns(conn: sa.Connection, table: str) -> set[str]:
    inspector = sa.inspect(conn)
    return {column["name"] for column in inspector.get_columns(table)} if inspector.has_table(table) else set()


def _run(conn: sa.Connection, script: str) -> None:
    """Run several statements at once, which only the driver itself does."""
    driver = cast("Any", conn.connection.driver_connection)
    (driver.executescript if conn.dialect.name == "sqlite" else driver.execute)(script)


def _names(wire: str, table: TableConfig, dialect: sa.Dialect) -> dict[str, str]:
    """Return what stands in the braces of the schema."""
    quote = dialect.identifier_preparer.quote
    columns = [quote(name) for name in table.columns]
    as_texts = ["'" + name.replace("'", "''") + "'" for name in table.columns]
    names = {"view": "", "function": "_changed", **{what: f"_{what}" for what in SQLITE_TRIGGERS}}
    unlike, watched = (
        ("IS NOT", columns) if dialect.name == "sqlite" else ("IS DISTINCT FROM", [quote(table.key), *columns])
    )
    return {
        "wire": wire,
        "table": quote(table.table),
        "key": quote(table.key),
        "columns": ", ".join(columns),
        "pairs": ", ".join(f"{text}, {column}" for text, column in zip(as_texts, columns, strict=True)),
        "differs": " OR ".join(f"OLD.{name} {unlike} NEW.{name}" for name in watched),
        **{what: quote(f"recouple_{wire}{suffix}") for what, suffix in names.items()},
    }
