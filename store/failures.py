"""What can be wrong with a store, and which of the drivers' errors mean that it is worth trying again."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_UNAVAILABLE_STATES = ("08", "40", "53", "57", "58", "55P03", "25P03", "25006")
"""Starts of SQLSTATE: connection, rollback (deadlock), resources, intervention (timeouts), I/O; lock not to be had,
idle for too long, read-only standby."""

_UNDEFINED_STATES = ("42P01", "42703")
"""Undefined table and column."""

_REFUSING_STATES = ("28", "3D")
"""No such user or password, no such database."""

_NOT_READY = "a table or column is missing: run `recouple setup`"

_SQLITE_SENTENCES = {
    sqlite3.SQLITE_BUSY: "another process holds the file; try again",
    sqlite3.SQLITE_LOCKED: "another process holds the file; try again",
    sqlite3.SQLITE_READONLY: "the file or its folder is read-only; make both writable for this user",
    sqlite3.SQLITE_IOERR: "the disk fails to read or write; look at the disk",
    sqlite3.SQLITE_FULL: "the disk is full; make room",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened; check that the folder exists and may be written",
    sqlite3.SQLITE_CORRUPT: "the file is damaged; restore it from a backup",
    sqlite3.SQLITE_NOTADB: "the file is no SQLite database; check RECOUPLE_STORE_URL",
}


class StoreUnavailableError(Exception):
    """The database is away, out of connections, or made us give way to another transaction: back off, try again."""


class StoreNotReadyError(Exception):
    """The database was not migrated, or by another version of Recouple."""


class AlreadyCoupledError(Exception):
    """A record is in a coupling of this mapping that is not closed; under one mapping at most once per side.

    Attributes:
        record: ``None`` where the database does not say which.
    """

    def __init__(self, mapping: str, record: object | None) -> None:
        super().__init__(f"{record or 'a record'} is already coupled under {mapping!r}: remove that coupling first")
        self.mapping = mapping
        self.record = record


def translated(error: DBAPIError) -> StoreUnavailableError | StoreNotReadyError | None:
    """Return what ``error`` means for the caller, or ``None`` where it is a fault of ours and must be seen as it is."""
    if isinstance(error.orig, sqlite3.Error):
        return _translated_sqlite(error.orig)
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is None:
        lost = isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated
        return (
            StoreUnavailableError("the database cannot be reached or closed the connection; is it up?")
            if lost
            else None
        )
    return _translated_state(state)


def _translated_state(state: str) -> StoreUnavailableError | StoreNotReadyError | None:
    if state.startswith(_UNDEFINED_STATES):
        return StoreNotReadyError(_NOT_READY)
    if state.startswith(_REFUSING_STATES):
        return StoreUnavailableError(
            f"the database refuses us (SQLSTATE {state}); check user and name in the store URL"
        )
    if state.startswith(_UNAVAILABLE_STATES):
        return StoreUnavailableError(f"the database gave up the transaction (SQLSTATE {state}); try again")
    return None


def _translated_sqlite(original: sqlite3.Error) -> StoreUnavailableError | StoreNotReadyError | None:
    if str(original).startswith(("no such table", "no such column")):
        return StoreNotReadyError(_NOT_READY)
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary result code
    sentence = _SQLITE_SENTENCES.get(code)
    return StoreUnavailableError(f"the SQLite store cannot be used: {sentence}") if sentence else None
