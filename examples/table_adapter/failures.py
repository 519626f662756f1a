"""What the words of a database mean to Recouple: an error becomes one of the failure codes of the contract."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy.exc import DataError, DBAPIError, InterfaceError, OperationalError

MAX_DETAIL_CHARACTERS = 200

# The longest beginning of the SQLSTATE that stands here decides
# (https://www.postgresql.org/docs/current/errcodes-appendix.html).
POSTGRESQL = {
    "23505": "duplicate",  # unique violation
    "23P01": "duplicate",  # exclusion violation
    "23": "validation_failed",  # not null, check, foreign key
    "22": "validation_failed",  # too long, no such date, out of range
    "42804": "validation_failed",  # a text for a number
    "P0001": "validation_failed",  # a trigger of the app says no
    "44": "validation_failed",  # check option of a view
    "42501": "permission_denied",
    "42": "configuration",  # no such table, no such column
    "40": "unavailable",  # deadlock, serialization failure
    "55P03": "unavailable",  # lock not available
    "57014": "unavailable",  # statement timeout
}

AWAY = ("08", "53", "57P")
"""Connection lost, out of resources, shutting down: nothing is answered, the instruction waits in its queue."""

# As above, by the beginning of the extended result code's name (https://sqlite.org/rescode.html).
SQLITE = {
    "SQLITE_CONSTRAINT_UNIQUE": "duplicate",
    "SQLITE_CONSTRAINT_PRIMARYKEY": "duplicate",
    "SQLITE_CONSTRAINT_ROWID": "duplicate",
    "SQLITE_CONSTRAINT": "validation_failed",
    "SQLITE_MISMATCH": "validation_failed",
    "SQLITE_TOOBIG": "validation_failed",
    "SQLITE_READONLY": "permission_denied",
    "SQLITE_PERM": "permission_denied",
    "SQLITE_AUTH": "permission_denied",
    "SQLITE_ERROR": "configuration",  # no such table, no such column
    "SQLITE_BUSY": "unavailable",
    "SQLITE_LOCKED": "unavailable",
}


def refusal_of(error: DBAPIError) -> dict[str, Any] | None:
    """Return code and detail of the refusal, ``None`` where the database itself is away and can keep no answer."""
    if error.connection_invalidated:
        return None
    original: Any = error.orig
    if isinstance(original, sqlite3.Error):
        return _refusal(SQLITE, getattr(original, "sqlite_errorname", ""), str(original))
    if original.sqlstate is None:  # the driver's own words, not the server's
        if isinstance(error, (OperationalError, InterfaceError)):
            return None
        code = "validation_failed" if isinstance(error, DataError) else "other"
        return {"code": code, "detail": shortened(str(original))}
    if original.sqlstate.startswith(AWAY):
        return None
    # the primary message only: what follows it repeats the values
    return _refusal(POSTGRESQL, original.sqlstate, original.diag.message_primary or "")


def _refusal(codes: dict[str, str], name: str, words: str) -> dict[str, Any]:
    found = max((beginning for beginning in codes if name.startswith(beginning)), key=len, default=None)
    return {"code": "other" if found is None else codes[found], "detail": shortened(words)}


def shortened(words: str) -> str:
    """Return the first line of what the database says, and not too much of it."""
    lines = words.splitlines() or [""]
    return lines[0][:MAX_DETAIL_CHARACTERS]
