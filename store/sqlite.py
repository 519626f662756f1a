"""Opens an SQLite file: one writer at a time, in whatever process, and readers beside it."""

from __future__ import annotations

import sqlite3
import time
from base64 import b64decode
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry

from store.engine_arguments import POOL_TIMEOUT, unless_named
from store.failures import StoreUnavailableError

BUSY_TIMEOUT = timedelta(seconds=15)
"""How long a transaction waits for another writer."""
_SWITCH_ATTEMPTS = 100
_SWITCH_PAUSE = timedelta(milliseconds=20)


def open_sqlite(url: URL, pool_size: int) -> Engine:
    """Return the engine for the SQLite file at ``url``.

    Raises:
        ValueError: the URL names no file.
        StoreUnavailableError: its folder cannot be made.
    """
    if not url.database or url.database == ":memory:":
        raise ValueError("the store URL names no file: write sqlite:///FILE; several connections share it")
    is_plain = not url.database.startswith("file:")
    if is_plain:
        _make_folder(Path(url.database).parent)
    engine = create_engine(
        url,
        pool_size=pool_size,
        pool_timeout=POOL_TIMEOUT.total_seconds(),
        hide_parameters=True,
        connect_args=unless_named(url, {"check_same_thread": False, "timeout": BUSY_TIMEOUT.total_seconds()}),
    )
    event.listen(engine, "connect", _prepare)
    event.listen(engine, "begin", _begin)
    event.listen(engine, "handle_error", _renew_read_only)
    if is_plain:
        _SameFile(url.database).watch(engine)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailableError(f"the folder {folder} cannot be made: {error.strerror}") from error


class _SameFile:
    """Sees that connections have the file that bears the name: one that was deleted or moved takes writes as before."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._was_there = False

    def watch(self, engine: Engine) -> None:
        event.listen(engine, "do_connect", self._before_connecting)
        event.listen(engine, "connect", self._on_connected)
        event.listen(engine, "checkout", self._on_checkout)
        event.listen(engine, "commit", self._before_commit)

    def _before_connecting(self, *_: object) -> None:
        if self._was_there and self._identity() is None:  # SQLite would make an empty one
            raise StoreUnavailableError(f"{self._path} is gone: put it back, or restore it from a backup")
        if self._identity() is None:  # ours alone, whatever the umask; SQLite makes its log beside it likewise
            with suppress(OSError):  # SQLite says it better
                Path(self._path).touch(mode=0o600)

    def _on_connected(self, _connection: object, record: ConnectionPoolEntry) -> None:
        record.info["file"] = self._identity()
        self._was_there = True

    def _on_checkout(self, _connection: object, record: ConnectionPoolEntry, _proxy: object) -> None:
        if record.info["file"] != self._identity():
            raise DisconnectionError  # the pool connects anew

    def _before_commit(self, connection: Connection) -> None:
        if connection.info["file"] != self._identity():
            raise StoreUnavailableError(f"{self._path} was deleted or replaced; nothing was written")

    def _identity(self) -> tuple[int, int] | None:
        try:
            found = Path(self._path).stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


def _prepare(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver begins nothing by itself: _begin does
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


def _renew_read_only(context: ExceptionContext) -> None:
    """A connection that was made while the file could only be read can never write: the pool makes them anew."""
    if getattr(context.original_exception, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
        context.is_disconnect = True


def _begin(connection: Connection) -> None:
    # A transaction that reads first and writes later could not be made to wait for another writer, only to fail.
    reading = connection.get_execution_options().get("recouple_reading")
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")
