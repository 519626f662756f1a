"""Opens PostgreSQL: every wait has its time, the server's own limits first and ours a little later."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import psycopg
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext

from store.engine_arguments import POOL_TIMEOUT, milliseconds, unless_named
from store.postgresql_waits import BoundedConnection

STATEMENT_TIMEOUT = timedelta(seconds=30)
_LOCK_SHARE = 2 / 3
"""A wait for a lock ends before the statement's time does: so the two are told apart, whose fault it is."""
_CONNECT_TIMEOUT = timedelta(seconds=5)
_IDLE_TIMEOUT = timedelta(seconds=60)
"""How long a stopped worker may hold its locks before PostgreSQL takes them away."""
_UNACKNOWLEDGED_TIMEOUT = timedelta(seconds=15)
"""How long sent bytes may go unacknowledged by the database's host before the connection counts as lost."""
_LONGER = timedelta(seconds=5)
"""How much later than PostgreSQL should have given up a statement its connection is given up."""

_CLOSED_WAYS = ("enable_seqscan", "enable_hashjoin", "enable_mergejoin")
"""Ways of PostgreSQL that read a table whole. We always look up the rows of a batch, by an index; what is prepared, or
believed of a table, while it is small, would have all of it read when it has grown."""

_OUTDATED_STATES = ("0A000", "25006")
"""What is said on connections that must be made anew. To the server that they were made to, which may have become a
standby behind an address that has moved on; or with statements that were prepared before their table was changed."""


def open_postgresql(url: URL, pool_size: int, statement_timeout: timedelta) -> Engine:
    """Return the engine for the PostgreSQL at ``url``; ``options`` of the URL stand over ours."""
    settings = {
        "timezone": "UTC",
        "lock_timeout": milliseconds(statement_timeout * _LOCK_SHARE),
        "statement_timeout": milliseconds(statement_timeout),
        "idle_in_transaction_session_timeout": milliseconds(_IDLE_TIMEOUT),
        "jit": "off",  # compiling costs more than our short statements take
        **dict.fromkeys(_CLOSED_WAYS, "off"),
    }
    options = [*(f"-c {name}={value}" for name, value in settings.items()), *url.normalized_query.get("options", ())]
    arguments: dict[str, Any] = {
        "application_name": "recouple",
        "connect_timeout": int(_CONNECT_TIMEOUT.total_seconds()),
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": milliseconds(_UNACKNOWLEDGED_TIMEOUT),
    }
    engine = create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        pool_pre_ping=True,
        pool_timeout=POOL_TIMEOUT.total_seconds(),
        hide_parameters=True,  # they hold field values, and errors are logged
        connect_args=unless_named(url, arguments) | {"options": " ".join(options)},
    )

    def connect(_dialect: object, _record: object, args: tuple[Any, ...], named: dict[str, Any]) -> BoundedConnection:
        connection = BoundedConnection.connect(*args, **named)
        limit = _statement_timeout(connection) if "options" in url.query else statement_timeout
        connection.answer_within_s = (limit + _LONGER).total_seconds()
        return connection

    event.listen(engine, "do_connect", connect)
    event.listen(engine, "handle_error", _renew_outdated)
    return engine


def _renew_outdated(context: ExceptionContext) -> None:
    if getattr(context.original_exception, "sqlstate", None) in _OUTDATED_STATES:
        context.is_disconnect = True  # the pool makes all of its connections anew


def _statement_timeout(connection: psycopg.Connection[Any]) -> timedelta:
    """Ask PostgreSQL what holds where the URL may have named another time than ours."""
    rows = connection.execute("SELECT CAST(setting AS bigint) FROM pg_settings WHERE name = 'statement_timeout'")
    (limit_ms,) = rows.fetchone() or (0,)
    connection.rollback()
    return timedelta(milliseconds=limit_ms) if limit_ms else STATEMENT_TIMEOUT
