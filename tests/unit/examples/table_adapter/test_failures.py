"""Database errors and the failure codes that they become."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pytest
from sqlalchemy.exc import DBAPIError

from examples.table_adapter.failures import MAX_DETAIL_CHARACTERS, POSTGRESQL, SQLITE, refusal_of, shortened
from messages.outcomes import FailureCode


def wrapped(error: Exception, base: type = psycopg.Error) -> DBAPIError:
    """The error as SQLAlchemy raises it."""
    found = DBAPIError.instance("SELECT 1", (), error, base)
    assert isinstance(found, DBAPIError)
    return found


@pytest.mark.parametrize(
    ("sqlstate", "code"),
    [
        ("23505", "duplicate"),
        ("23P01", "duplicate"),
        ("23502", "validation_failed"),
        ("23503", "validation_failed"),
        ("23514", "validation_failed"),
        ("22001", "validation_failed"),
        ("P0001", "validation_failed"),
        ("42804", "validation_failed"),
        ("42501", "permission_denied"),
        ("42P01", "configuration"),
        ("42703", "configuration"),
        ("40P01", "unavailable"),
        ("40001", "unavailable"),
        ("55P03", "unavailable"),
        ("57014", "unavailable"),
        ("0A000", "other"),
        ("57P01", None),
        ("53300", None),
        ("08006", None),
    ],
)
def test_postgresql(sqlstate: str, code: str | None) -> None:
    """Else the night operator would look for the cause in the wrong place, or a restart would be an error."""
    refusal = refusal_of(wrapped(psycopg.errors.lookup(sqlstate)("words")))

    assert (None if refusal is None else refusal["code"]) == code


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (psycopg.OperationalError("connection failed"), None),
        (psycopg.InterfaceError("the connection is closed"), None),
        (psycopg.DataError("text fields cannot contain NUL"), "validation_failed"),
        (psycopg.ProgrammingError("cannot adapt type"), "other"),
    ],
)
def test_the_driver_itself(error: psycopg.Error, code: str | None) -> None:
    """Else a value that the driver does not take would be tried again for ever, or an outage refused for good."""
    refusal = refusal_of(wrapped(error))

    assert (None if refusal is None else refusal["code"]) == code


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("INSERT INTO t VALUES (1, 'a', 1)", "duplicate"),
        ("INSERT INTO t VALUES (2, 'a', 0)", "duplicate"),
        ("INSERT INTO t VALUES (2, NULL, 0)", "validation_failed"),
        ("INSERT INTO t VALUES (2, 'b', -1)", "validation_failed"),
        ("INSERT INTO t VALUES ('x', 'b', 1)", "validation_failed"),
        ("UPDATE nowhere SET x = 1", "configuration"),
        ("PRAGMA query_only = ON; DELETE FROM t", "permission_denied"),
    ],
)
def test_sqlite(statement: str, code: str) -> None:
    """As for PostgreSQL."""
    with sqlite3.connect(":memory:") as conn:
        conn.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, x CHECK (x >= 0))")
        conn.execute("INSERT INTO t VALUES (1, 'a', 0)")
        with pytest.raises(sqlite3.Error) as raised:
            conn.executescript(statement)
    conn.close()

    refusal = refusal_of(wrapped(raised.value, sqlite3.Error))

    assert refusal is not None
    assert refusal["code"] == code
    assert refusal["detail"]


def test_only_codes_of_the_contract() -> None:
    """Else Recouple would put the answer to dead."""
    known: dict[str, Any] = POSTGRESQL | SQLITE

    assert set(known.values()) <= set(FailureCode)


def test_words_are_one_line_and_not_many() -> None:
    """Else the values that a database repeats after its message would travel with it."""
    assert shortened("no\nDETAIL: Jane's phone") == "no"
    assert shortened("") == ""
    assert len(shortened("x" * 1000)) == MAX_DETAIL_CHARACTERS
