"""What can be wrong with a store, and which of the drivers' errors mean that it is worth trying again."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

_POSTGRESQL_SENTENCES = {
    "08": "the connection to the database was cut; is it up?",
    "0A000": "the database cannot do this just now: it is a standby, or its tables were just changed; try again",
    "25006": "the database is read-only; is it a standby? Name the primary in the store URL",
    "25P03": "the database ended our transaction, which stood idle for too long; try again",
    "25P04": "the database ended our transaction, which lasted too long; try again",
    "28": "the database refuses us; check user and password in the store URL",
    "3D": "there is no such database; check its name in the store URL",
    "40": "the database made us give way to another transaction; try again",
    "42501": "we lack a right in the database; grant it to the user of the store URL",
    "53": "the database lacks a resource that it needs; look at its log",
    "53100": "the disk of the database is full; make room",
    "53300": "the database has no connection left for us; raise its max_connections, or run fewer workers",
    "55P03": "another transaction holds a lock that we need for too long; try again",
    "57": "the database is shutting down or starting; try again",
    "58": "the disk of the database fails to read or write; look at its log",
    "XX001": "the database is damaged; look at its log, restore it from a backup",
    "XX002": "an index of the database is damaged; look at its log, REINDEX",
}
"""What it means and what to do, by SQLSTATE or by its class, its first two characters."""

_TOO_MUCH_STATES = {
    "53200": "the database ran out of memory over one statement; with less at once it may do it",
    "57014": "the database took longer than a statement may take; with less at once it may do it",
}

_LOCKED_STATE = "55P03"
"""Lock not available, in the time that one may be waited for."""

_UNDEFINED_STATES = ("42P01", "42703")
"""Undefined table and column."""

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
    sqlite3.SQLITE_PERM: "the file may not be opened by this user; change its owner or its mode",
    sqlite3.SQLITE_PROTOCOL: "too many processes take locks on the file at once; try again",
}


class StoreUnavailableError(Exception):
    """The database is away, out of connections, or made us give way to another transaction: back off, try again."""


class TooMuchAtOnceError(StoreUnavailableError):
    """One statement took the database too long, or too much of its memory: nothing was committed, less may go through.

    It need not be the fault of what was asked: a database that is slow for another reason says the same.
    """


class RowLockedError(StoreUnavailableError):
    """Another transaction holds a row for longer than we wait for it: nothing was committed, others may go on."""


class StoreNotReadyError(Exception):
    """The database was not migrated, or by another version of Recouple."""


class AlreadyCoupledError(Exception):
    """A record is in a coupling of this mapping that is not closed; under one mapping at most once per side.

    Attributes:
        mapping, record: ``None`` where the database does not say which.
    """

    def __init__(self, mapping: str | None, record: object | None) -> None:
        under = "its mapping" if mapping is None else repr(mapping)
        super().__init__(f"{record or 'a record'} is already coupled under {under}: remove that coupling first")
        self.mapping = mapping
        self.record = record


_COUPLED_ONCE = ("uq_couplings_left", "uq_couplings_right")
"""The indexes that let a record be in one coupling of a mapping; SQLite names their first columns instead."""

_SQLITE_COUPLED_ONCE = ("UNIQUE constraint failed: couplings.left_key", "UNIQUE constraint failed: couplings.right_key")


def translated(error: DBAPIError) -> StoreUnavailableError | StoreNotReadyError | AlreadyCoupledError | None:
    """Return what ``error`` means for the caller, or ``None`` where it is a fault of ours and must be seen as it is."""
    constraint = getattr(getattr(error.orig, "diag", None), "constraint_name", None)
    if constraint in _COUPLED_ONCE or str(error.orig).startswith(_SQLITE_COUPLED_ONCE):
        return AlreadyCoupledError(None, None)
    if isinstance(error.orig, sqlite3.Error):
        return _translated_sqlite(error.orig)
    state: str | None = getattr(error.orig, "sqlstate", None)
    if state is not None:
        return _translated_state(state)
    if isinstance(error, (OperationalError, InterfaceError)) or error.connection_invalidated:
        return StoreUnavailableError(getattr(error.orig, "sentence", _POSTGRESQL_SENTENCES["08"]))
    return None


def _translated_state(state: str) -> StoreUnavailableError | StoreNotReadyError | None:
    if state in _UNDEFINED_STATES:
        return StoreNotReadyError(_NOT_READY)
    if state in _TOO_MUCH_STATES:
        return TooMuchAtOnceError(f"{_TOO_MUCH_STATES[state]} (SQLSTATE {state})")
    if state == _LOCKED_STATE:
        return RowLockedError(f"{_POSTGRESQL_SENTENCES[state]} (SQLSTATE {state})")
    sentence = _POSTGRESQL_SENTENCES.get(state) or _POSTGRESQL_SENTENCES.get(state[:2])
    return StoreUnavailableError(f"{sentence} (SQLSTATE {state})") if sentence else None


def _translated_sqlite(original: sqlite3.Error) -> StoreUnavailableError | StoreNotReadyError | None:
    if str(original).startswith(("no such table", "no such column")):
        return StoreNotReadyError(_NOT_READY)
    code = getattr(original, "sqlite_errorcode", 0) & 0xFF  # the low byte is the primary result code
    sentence = _SQLITE_SENTENCES.get(code)
    return StoreUnavailableError(f"the SQLite store cannot be used: {sentence}") if sentence else None
