"""What is sent to PostgreSQL without waiting for its answer: done in order, and what is wrong with it is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from store.connect import Store, StoreUnavailableError
from store.failures import RowLockedError, TooMuchAtOnceError
from store.sets import Statement

_INTO = "INSERT INTO loaded (app, table_name, loaded_at)"
PUT = Statement(f"{_INTO} SELECT app, 't', {{now}} FROM {{given}}", given="app text")
SLOW = Statement("SELECT pg_sleep(CAST(s AS float8) / 1000) FROM {given}", given="s int")
DIVIDE = Statement(f"{_INTO} SELECT 1 / n, 't', {{now}} FROM {{given}}", given="n int")

COUNT = text("SELECT count(*) FROM loaded")


PUT_A, PUT_B = partial(PUT.send, given=[("a",)]), partial(PUT.send, given=[("b",)])
FAIL = partial(DIVIDE.send, given=[(0,)])


@pytest.fixture
def store(shared_store: Store) -> Store:
    """A store on PostgreSQL; the other database answers at once."""
    return shared_store


def do(store: Store, *steps: Callable[[Connection], object]) -> None:
    """Do all these in one transaction."""
    with store.transaction() as conn:
        for step in steps:
            step(conn)


def limit(name: str, milliseconds: int) -> Callable[[Connection], object]:
    """Set one of PostgreSQL's time limits for the transaction."""
    return lambda conn: conn.exec_driver_sql(f"SET LOCAL {name} = {milliseconds}")


def patience(seconds: float) -> Callable[[Connection], object]:
    """Set how long the connection waits for an answer."""
    return lambda conn: setattr(conn.connection.driver_connection, "answer_within_s", seconds)


def pause(milliseconds: int) -> Callable[[Connection], object]:
    """Let the answer come in before the next is sent; it makes no difference whether it has."""
    return lambda _: time.sleep(milliseconds / 1000)


def count(connection: Connection) -> int:
    """How many rows there are."""
    return int(connection.execute(COUNT).scalar_one())


def test_what_is_asked_next_sees_what_was_sent(store: Store) -> None:
    """A batch would decide on what was there before it wrote."""
    with store.transaction() as conn:
        PUT.send(conn, given=[("a",)])
        PUT.send(conn, given=[("b",)])
        assert count(conn) == 2


def test_what_was_sent_last_is_committed(store: Store) -> None:
    """The last statements of each batch would be lost."""
    with store.transaction() as conn:
        PUT.send(conn, given=[("a",)])
    with store.reading() as conn:
        assert count(conn) == 1


def test_nobody_waits_for_its_answer(store: Store) -> None:
    """A batch would take as long as all of its statements, and what it does between them."""
    with store.transaction() as conn:
        began_s = time.monotonic()
        SLOW.send(conn, given=[(500,)])
        sent_s = time.monotonic() - began_s
        count(conn)
        assert time.monotonic() - began_s >= 0.5
    assert sent_s < 0.4


def test_a_fault_is_told_at_the_commit_and_nothing_is_kept(store: Store) -> None:
    """A half-written batch would be acknowledged."""
    with pytest.raises(DBAPIError, match="division by zero"):
        do(store, PUT_A, FAIL, PUT_B)
    with store.reading() as conn:
        assert count(conn) == 0


@pytest.mark.parametrize("wait_ms", [0, 50])
def test_after_a_fault_the_connection_goes_on(store: Store, wait_ms: int) -> None:
    """A poisonous message would cost a connection each time, and be taken for an outage of the database."""
    pids = set()
    for _ in range(3):
        with pytest.raises(DBAPIError, match="division by zero"):
            do(store, FAIL, pause(wait_ms), PUT_A, pause(wait_ms), PUT_B)
        with pytest.raises(DBAPIError, match="division by zero"):
            do(store, FAIL, count)
        with store.reading() as conn:
            pids.add(conn.execute(text("SELECT pg_backend_pid()")).scalar_one())
    assert len(pids) == 1


def test_what_is_sent_within_a_savepoint_ends_with_it(store: Store) -> None:
    """A refused command would leave something behind."""

    def refuse(conn: Connection) -> None:
        savepoint = conn.begin_nested()
        PUT_B(conn)
        savepoint.rollback()

    do(store, PUT_A, refuse)
    with store.reading() as conn:
        assert count(conn) == 1


def test_each_of_many_may_take_its_time(store: Store) -> None:
    """Some slow statements in a row would count as a frozen database, and be tried again for ever."""
    do(store, patience(0.6), *[partial(SLOW.send, given=[(300,)])] * 4, PUT_A, patience(60))
    with store.reading() as conn:
        assert count(conn) == 1


def test_a_frozen_database_is_noticed(store: Store) -> None:
    """A worker would hang for ever in the commit of what it has sent."""
    began_s = time.monotonic()
    with pytest.raises(StoreUnavailableError, match="does not answer in time"):
        do(store, patience(0.5), partial(SLOW.send, given=[(20_000,)]))
    assert time.monotonic() - began_s < 10


def test_too_slow_and_locked_are_told_apart(store: Store) -> None:
    """Neither would a batch be halved, nor a command set aside for a row that somebody holds."""
    with pytest.raises(TooMuchAtOnceError):
        do(store, limit("statement_timeout", 100), partial(SLOW.send, given=[(5000,)]))
    with store.transaction() as holder:
        PUT.run(holder, given=[("a",)])
        with pytest.raises(RowLockedError):
            do(store, limit("lock_timeout", 100), PUT_A)
