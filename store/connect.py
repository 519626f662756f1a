"""Opens a store by its URL: SQLite for one machine, PostgreSQL for many."""

from __future__ import annotations

import sqlite3
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from store.failures import StoreNotReadyError, StoreUnavailableError, translated
from store.revisions import current_revision, head_revision

__all__ = ["Store", "StoreNotReadyError", "StoreUnavailableError", "open_store"]

_BUSY_TIMEOUT = timedelta(seconds=15)
_SWITCH_ATTEMPTS = 100
_SWITCH_PAUSE = timedelta(milliseconds=20)
_CONNECT_TIMEOUT = timedelta(seconds=5)
_STATEMENT_TIMEOUT = timedelta(seconds=30)
_IDLE_TIMEOUT = timedelta(seconds=60)
"""How long a stopped worker may hold its locks before PostgreSQL takes them away."""
_UNACKNOWLEDGED_TIMEOUT = timedelta(seconds=15)
"""How long sent bytes may go unacknowledged by the database's host before the connection counts as lost."""


class Store:
    """One database. Thread-safe; connections are pooled.

    Attributes:
        url: Without the password.
        dialect: ``sqlite`` or ``postgresql``.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._reading = engine.execution_options(recouple_reading=True)
        self.url = engine.url.render_as_string(hide_password=True)
        self.dialect = engine.dialect.name

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Give a connection inside a transaction, committed at the end and rolled back on an error.

        Raises:
            StoreUnavailableError: try again; after a failed commit it is not known whether it took place.
            StoreNotReadyError: a table is missing.
        """
        with _translating(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a connection for reading; nothing is kept.

        Raises:
            StoreUnavailableError: try again.
            StoreNotReadyError: a table is missing.
        """
        with _translating(), self._reading.connect() as connection:
            if self.dialect == "postgresql":
                connection.execution_options(postgresql_readonly=True)
            yield connection

    def check_ready(self) -> None:
        """See that the store was migrated to this version of Recouple.

        Raises:
            StoreNotReadyError: it was not.
            StoreUnavailableError: the database is away.
        """
        revision = None
        if not self._is_missing_file():  # to look at it would make an empty one
            with self.reading() as connection:
                revision = current_revision(connection)
        if revision == head_revision():
            return
        if revision is None:
            raise StoreNotReadyError(f"the store {self.url} is empty: run `recouple setup`")
        raise StoreNotReadyError(
            f"the store {self.url} is at revision {revision}, this version of Recouple needs {head_revision()}: "
            "run `recouple setup`; if that does not help, the store was made by a newer version, use that one"
        )

    def _is_missing_file(self) -> bool:
        name = self._engine.url.database or ""
        return self.dialect == "sqlite" and not name.startswith("file:") and not Path(name).exists()

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


def open_store(url: str, *, pool_size: int = 5, statement_timeout: timedelta | None = None) -> Store:
    """Return the store at ``url``, ``sqlite:///FILE`` or ``postgresql+psycopg://…``; connects on first use.

    ``statement_timeout`` is PostgreSQL's, 30 seconds if not given; it bounds the wait for a lock, too.

    Raises:
        ValueError: the URL is none, or of another database.
        StoreUnavailableError: the folder of the SQLite file cannot be made.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
    except (ArgumentError, NoSuchModuleError):
        raise ValueError(
            "the store URL cannot be read: write sqlite:///FILE or postgresql+psycopg://USER@HOST/NAME"
        ) from None
    if backend == "sqlite":
        return Store(_open_sqlite(parsed, pool_size))
    if backend == "postgresql":
        return Store(_open_postgresql(parsed, pool_size, statement_timeout or _STATEMENT_TIMEOUT))
    raise ValueError(f"the store URL names {backend}: only sqlite and postgresql+psycopg are supported")


@contextmanager
def _translating() -> Iterator[None]:
    try:
        yield
    except PoolTimeoutError as error:
        raise StoreUnavailableError("all connections to the database are in use; try again") from error
    except DBAPIError as error:
        meaning = translated(error)
        if meaning is None:
            raise
        raise meaning from error


def _open_postgresql(url: URL, pool_size: int, statement_timeout: timedelta) -> Engine:
    settings = {
        "timezone": "UTC",
        "lock_timeout": _milliseconds(statement_timeout),
        "statement_timeout": _milliseconds(statement_timeout),
        "idle_in_transaction_session_timeout": _milliseconds(_IDLE_TIMEOUT),
        "jit": "off",  # compiling costs more than our short statements take
    }
    arguments: dict[str, Any] = {
        "application_name": "recouple",
        "connect_timeout": int(_CONNECT_TIMEOUT.total_seconds()),
        "keepalives_idle": 5,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": _milliseconds(_UNACKNOWLEDGED_TIMEOUT),
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }
    return create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_size=pool_size,
        pool_pre_ping=True,
        pool_timeout=_BUSY_TIMEOUT.total_seconds(),
        hide_parameters=True,  # they hold field values, and errors are logged
        connect_args=_unless_named(url, arguments),
    )


def _open_sqlite(url: URL, pool_size: int) -> Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("the store URL names no file: write sqlite:///FILE; several connections share it")
    try:
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"the folder of {url.database} cannot be made: {error.strerror}") from error
    engine = create_engine(
        url,
        pool_size=pool_size,
        pool_timeout=_BUSY_TIMEOUT.total_seconds(),
        hide_parameters=True,
        connect_args=_unless_named(url, {"check_same_thread": False, "timeout": _BUSY_TIMEOUT.total_seconds()}),
    )
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin_sqlite does
    connection.create_function(
        "unbase64", 1, lambda text: None if text is None else b64decode(text), deterministic=True
    )
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()
    _use_write_ahead_log(connection)


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Readers and the one writer do not wait for each other; the file remembers it.

    While two processes open a new file at once SQLite refuses without waiting, whatever the busy timeout.
    """
    for attempts_left in reversed(range(_SWITCH_ATTEMPTS)):
        try:
            connection.execute("PRAGMA journal_mode=WAL").close()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or not attempts_left:
                raise
            time.sleep(_SWITCH_PAUSE.total_seconds())
        else:
            return


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that reads first and writes later could not be made to wait for another writer, only to fail.
    reading = connection.get_execution_options().get("recouple_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _milliseconds(duration: timedelta) -> int:
    return round(duration / timedelta(milliseconds=1))


def _unless_named(url: URL, arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the URL itself says."""
    return {name: value for name, value in arguments.items() if name not in url.query}
