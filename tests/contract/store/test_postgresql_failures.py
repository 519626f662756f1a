"""What PostgreSQL says when it cannot, and what the store makes of it: away, too much at once, or a fault of ours."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import pytest
from sqlalchemy import Connection, make_url, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from store.connect import Store, open_store
from store.failures import StoreUnavailableError, TooMuchAtOnceError
from store.postgresql_waits import BoundedConnection

SHORT = timedelta(milliseconds=300)
INCOMPRESSIBLE = "SELECT string_agg(md5(CAST(i AS text)), '') FROM generate_series(1, 999) AS i"


def run(connection: Connection, *statements: str) -> None:
    """Execute statements."""
    for statement in statements:
        connection.execute(text(statement))


def run_alone(store: Store, *statements: str) -> None:
    """Execute statements in a transaction of their own."""
    with store.transaction() as connection:
        run(connection, *statements)


@pytest.fixture
def pair(postgres_url: str) -> Iterator[Store]:
    """A store on PostgreSQL with a table of two rows, whose statements may take 300 ms."""
    store = open_store(postgres_url, statement_timeout=SHORT)
    run_alone(
        store,
        "DROP TABLE IF EXISTS pair",
        "CREATE TABLE pair (id int PRIMARY KEY, name text UNIQUE CHECK (name <> ''), tag varchar(3))",
        "INSERT INTO pair VALUES (1, 'a'), (2, 'b')",
    )
    yield store
    run_alone(store, "DROP TABLE pair")
    store.close()


def is_there(connection: Connection, pid: int) -> bool:
    """Return whether the session is still there."""
    rows = connection.execute(text("SELECT pg_stat_clear_snapshot() FROM pg_stat_activity WHERE pid = :p"), {"p": pid})
    return rows.first() is not None


def is_terminated(store: Store) -> None:
    """An administrator ends the session, or a server that shuts down ends all."""
    with store.transaction() as connection:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        run_alone(store, f"SELECT pg_terminate_backend({pid}, 5000)")
        run(connection, "SELECT 1")


def is_idle_for_too_long(store: Store) -> None:
    """A worker stands still in the middle of a transaction, for a minute as a rule."""
    with store.transaction() as connection, store.transaction() as other:
        pid = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        run(connection, "SET idle_in_transaction_session_timeout = 1")
        for _ in range(200):
            if not is_there(other, pid):
                break
            run(other, "SELECT pg_sleep(0.02)")
        run(connection, "SELECT 1")


def gives_way_to_a_change(store: Store) -> None:
    """What a transaction read was changed meanwhile; under READ COMMITTED PostgreSQL says so rarely, a cluster may."""
    with store.transaction() as connection:
        run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SELECT * FROM pair")
        run_alone(store, "UPDATE pair SET tag = 'x'")
        run(connection, "UPDATE pair SET tag = 'y'")


def meets_a_deadlock(store: Store) -> None:
    """Two transactions wait for each other."""
    with store.transaction() as connection:
        run(connection, "SET deadlock_timeout = '100ms'", "UPDATE pair SET tag = 'x' WHERE id = 1")
        locked = threading.Event()

        def cross() -> None:
            with suppress(StoreUnavailableError), store.transaction() as other:
                run(other, "SET deadlock_timeout = '10s'", "UPDATE pair SET tag = 'y' WHERE id = 2")
                locked.set()
                run(other, "UPDATE pair SET tag = 'y' WHERE id = 1")

        crossing = threading.Thread(target=cross)
        crossing.start()
        try:
            assert locked.wait(5)
            run(connection, "SET lock_timeout = 0", "UPDATE pair SET tag = 'x' WHERE id = 2")
        finally:
            connection.rollback()
            crossing.join()


def waits_for_a_lock(store: Store) -> None:
    """Another worker is slow, or stopped, and holds a lock."""
    with store.transaction() as slow, store.transaction() as connection:
        run(slow, "UPDATE pair SET tag = 'x' WHERE id = 1")
        run(connection, "UPDATE pair SET tag = 'y' WHERE id = 1")


def writes_where_only_reading_is_allowed(store: Store) -> None:
    """The primary has become a standby."""
    with store.transaction() as connection:
        run(connection, "SET TRANSACTION READ ONLY", "UPDATE pair SET tag = 'x'")


def meets_a_table_that_was_changed(store: Store) -> None:
    """A statement was prepared, and then a migration changed what it returns."""
    with store.transaction() as one, store.transaction() as two, store.transaction() as three:
        for connection in (one, two, three):
            run(connection, *["SELECT id FROM pair"] * 10)
    run_alone(store, "ALTER TABLE pair ALTER id TYPE bigint")
    run_alone(store, "SELECT id FROM pair")


def lacks_a_right(store: Store) -> None:
    """A table was made by another user."""
    with store.transaction() as connection:
        run(connection, "GRANT USAGE ON SCHEMA public TO pg_monitor")  # a schema made by hand is not open to all
        run(connection, "SET LOCAL ROLE pg_monitor", "SELECT * FROM pair")


@pytest.mark.parametrize(
    ("fail", "said"),
    [
        (is_terminated, "57P01|was cut"),
        (is_idle_for_too_long, "25P03|was cut"),
        (gives_way_to_a_change, "40001"),
        (meets_a_deadlock, "40P01"),
        (waits_for_a_lock, "55P03"),
        (writes_where_only_reading_is_allowed, "25006"),
        (meets_a_table_that_was_changed, "0A000"),
        (lacks_a_right, "42501"),
    ],
)
def test_what_passes_is_away(pair: Store, fail: Callable[[Store], None], said: str) -> None:
    """Else an outage would be blamed on the messages that it meets, and they would go to the dead queue one by one."""
    with pytest.raises(StoreUnavailableError, match=said) as caught:
        fail(pair)
    assert not isinstance(caught.value, TooMuchAtOnceError), "to do less at once helps nobody"
    for _ in range(4):
        run_alone(pair, "SELECT id FROM pair")


@pytest.mark.parametrize(
    "state", ["08006", "53100", "53300", "53400", "57P02", "57P03", "57P05", "58030", "58P01", "XX001", "XX002"]
)
def test_what_is_hard_to_bring_about_is_away_as_well(pair: Store, state: str) -> None:
    """Else a full disk, or a damaged index, would send every message to the dead queue."""
    raising = f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{state}'; END $$"
    with pytest.raises(StoreUnavailableError, match=f"SQLSTATE {state}") as caught:
        run_alone(pair, raising)
    assert not isinstance(caught.value, TooMuchAtOnceError)


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("SELECT pg_sleep(20)", "57014"),
        ("DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '53200'; END $$", "53200"),
    ],
)
def test_too_much_at_once_is_told_from_away(pair: Store, statement: str, state: str) -> None:
    """Else a batch that is too large for the time that it may take would be tried again, whole, for ever."""
    with pytest.raises(TooMuchAtOnceError, match=f"SQLSTATE {state}"):
        run_alone(pair, statement)


@pytest.mark.parametrize(
    ("statement", "state"),
    [
        ("UPDATE pair SET tag = 'long'", "22001"),
        ("SELECT CAST('\"\\u0000\"' AS jsonb)", "22P05"),
        ("SELECT 1 / 0", "22012"),
        (
            "UPDATE pair SET name = (SELECT string_agg(md5(CAST(i AS text)), '') FROM generate_series(1, 999) AS i)",
            "54000",
        ),
        ("SELECT CAST(repeat('[', 100000) AS json)", "54001"),
        ("UPDATE pair SET name = ''", "23514"),
        ("UPDATE pair SET name = 'a'", "23505"),
        ("SELEC", "42601"),
    ],
)
def test_a_fault_of_what_was_asked_is_seen_as_it_is(pair: Store, statement: str, state: str) -> None:
    """Else one message that the database cannot take would be tried again for ever, and hold up its queue."""
    with pytest.raises(DBAPIError) as caught:
        run_alone(pair, statement)
    assert getattr(caught.value.orig, "sqlstate", None) == state


@contextmanager
def opened(url: URL) -> Iterator[Store]:
    """A store at another URL of the same server."""
    store = open_store(url.render_as_string(hide_password=False))
    yield store
    store.close()


def test_who_is_not_let_in_is_told_why(pair: Store, postgres_url: str) -> None:
    """Else an operator would look for a network fault where the database has said what is wrong."""
    url, name, password = make_url(postgres_url), f"recouple_test_{secrets.token_hex(4)}", secrets.token_hex(8)
    run_alone(pair, f"CREATE ROLE {name} LOGIN CONNECTION LIMIT 0 PASSWORD '{password}'")
    refused = pytest.raises(StoreUnavailableError, match=r"cannot be reached: .*too many connections for role")
    with opened(url.set(username=name, password=password)) as crowded, refused as caught, crowded.transaction():
        pass
    run_alone(pair, f"DROP ROLE {name}")
    assert password not in str(caught.value)
    refused = pytest.raises(StoreUnavailableError, match=r'cannot be reached: .*"nosuch" does not exist')
    with opened(url.set(database="nosuch")) as nowhere, refused, nowhere.transaction():
        pass


def test_options_of_the_url_stand_beside_ours(postgres_url: str) -> None:
    """Else whoever names a schema in the URL would lose every time limit, and the time zone."""
    url = make_url(postgres_url).update_query_dict({"options": "-c statement_timeout=1234 -c search_path=somewhere"})
    store = open_store(url.render_as_string(hide_password=False))
    with store.reading() as connection:
        names = ("search_path", "statement_timeout", "lock_timeout", "timezone")
        told = [connection.execute(text(f"SHOW {name}")).scalar_one() for name in names]
        assert told == ["somewhere", "1234ms", "20s", "UTC"]
        bounded = connection.connection.driver_connection
        assert isinstance(bounded, BoundedConnection)
        assert bounded.answer_within_s == pytest.approx(6.234)
    store.close()
