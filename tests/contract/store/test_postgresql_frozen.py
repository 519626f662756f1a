"""A PostgreSQL that is frozen, cut off or not there yet holds nobody for longer than it may."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Connection, make_url, text

from store.connect import Store, open_store
from store.failures import StoreUnavailableError
from store.sets import Statement
from tests.full_line import full_line
from tests.servers.postgresql import PostgresqlServer

STATEMENT = timedelta(seconds=1)
ANSWER_S, ALIVE_S, CONNECT_S = 6.0, 5.0, 2.0
"""How long PostgreSQL may take for a statement of at most one second, to show that it is there, and to let us in."""

AHEAD = Statement("INSERT INTO kept SELECT id FROM {given}", given="id int")

SPARE_S = 4.0
"""How much longer a machine may take that has other things to do."""


class OursError(Exception):
    """A fault of our own, in the middle of a transaction."""


@pytest.fixture
def store(own_postgresql: PostgresqlServer) -> Iterator[Store]:
    """A store there with an empty table."""
    url = make_url(own_postgresql.url).update_query_dict({"connect_timeout": str(int(CONNECT_S))})
    store = open_store(url.render_as_string(hide_password=False), statement_timeout=STATEMENT)
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE IF EXISTS kept"))
        connection.execute(text("CREATE TABLE kept (id int)"))
    yield store
    own_postgresql.thaw()
    store.close()


def sends_a_statement(connection: Connection) -> None:
    """It is sent, and its answer does not come."""
    connection.execute(text("INSERT INTO kept VALUES (1)"))


def sends_ahead(connection: Connection) -> None:
    """It is sent together with others, and no answer comes."""
    for _ in range(3):
        AHEAD.send(connection, given=[(1,)])


def sends_more_than_fits(connection: Connection) -> None:
    """It cannot even be sent."""
    connection.execute(text("SELECT length(:long)"), {"long": "x" * 50_000_000})


def commits(_: Connection) -> None:
    """Whether it took place will not be known."""


def rolls_back(_: Connection) -> None:
    """Something of our own goes wrong."""
    raise OursError


MEETING = (sends_a_statement, sends_ahead, sends_more_than_fits, commits, rolls_back)


def held_by(store: Store, go_on: Callable[[Connection], None], frozen: Barrier) -> float:
    """Return for how long a transaction is held that goes on once the server is ``frozen``."""
    began_s = 0.0

    def transact() -> None:
        nonlocal began_s
        with store.transaction() as connection:
            connection.execute(text("SELECT 1"))
            frozen.wait()
            frozen.wait()
            began_s = time.monotonic()
            go_on(connection)

    with pytest.raises(StoreUnavailableError, match="does not answer"):
        transact()
    return time.monotonic() - began_s


def test_a_frozen_server_holds_no_transaction_for_longer_than_it_may(
    store: Store, own_postgresql: PostgresqlServer
) -> None:
    """Else a worker stands still for ever behind a database that hangs, and nobody reads of it."""
    frozen = Barrier(len(MEETING) + 1, timeout=30)
    with ThreadPoolExecutor(len(MEETING)) as pool:
        held = {one.__name__: pool.submit(held_by, store, one, frozen) for one in MEETING}
        frozen.wait()
        own_postgresql.freeze()
        frozen.wait()
        held_s = {name: one.result() for name, one in held.items()}
    assert {name: one_s for name, one_s in held_s.items() if one_s > ANSWER_S + SPARE_S} == {}

    own_postgresql.thaw()
    with store.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM kept")).scalar_one() == 0


def test_a_frozen_server_is_noticed_before_anything_is_sent_to_it(
    store: Store, own_postgresql: PostgresqlServer
) -> None:
    """Else each idle connection of the pool costs the time of a whole statement, one after the other."""
    own_postgresql.freeze()
    started_s = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached: .*timeout"), store.transaction():
        pass
    assert time.monotonic() - started_s < ALIVE_S + CONNECT_S + SPARE_S

    started_s = time.monotonic()
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached: .*timeout"), store.transaction():
        pass
    assert time.monotonic() - started_s < CONNECT_S + SPARE_S, "it accepts connections, and says nothing"

    own_postgresql.thaw()
    with store.transaction() as connection:
        connection.execute(text("INSERT INTO kept VALUES (1)"))


def test_a_host_that_swallows_what_is_sent_holds_nobody() -> None:
    """Else a worker whose database is behind a new firewall stands still for the two minutes that TCP tries."""
    with full_line() as port:
        store = open_store(f"postgresql+psycopg://somebody@127.0.0.1:{port}/x?connect_timeout={CONNECT_S:.0f}")
        started_s = time.monotonic()
        with pytest.raises(StoreUnavailableError, match=r"cannot be reached: .*timeout"), store.transaction():
            pass
        assert time.monotonic() - started_s < CONNECT_S + SPARE_S


def test_a_store_on_a_frozen_server_is_closed_at_once(store: Store, own_postgresql: PostgresqlServer) -> None:
    """Else a worker that is asked to stop would wait for the database until it is killed."""
    own_postgresql.freeze()
    started_s = time.monotonic()
    store.close()
    assert time.monotonic() - started_s < 1


def test_a_standby_is_away(store: Store, own_postgresql: PostgresqlServer) -> None:
    """Else messages would go to the dead queue while the database is being switched over."""
    marker = own_postgresql.data / "standby.signal"
    marker.touch()
    own_postgresql.restart()
    try:
        with store.reading() as connection:
            assert connection.execute(text("SELECT pg_is_in_recovery()")).scalar_one()
        for _ in range(2):
            with pytest.raises(StoreUnavailableError, match="standby"), store.transaction() as connection:
                connection.execute(text("INSERT INTO kept VALUES (1)"))
    finally:
        marker.unlink()
        own_postgresql.restart()


def test_a_crash_is_away_until_the_server_is_back(store: Store, own_postgresql: PostgresqlServer) -> None:
    """Else a worker would die, or blame its messages, when the database does."""

    def crash() -> None:
        with store.transaction() as connection:
            connection.execute(text("INSERT INTO kept VALUES (1)"))
            own_postgresql.kill()
            connection.execute(text("INSERT INTO kept VALUES (2)"))

    with pytest.raises(StoreUnavailableError, match="cut"):
        crash()
    with pytest.raises(StoreUnavailableError, match=r"cannot be reached: .*refused"), store.transaction():
        pass
    own_postgresql.start()
    with store.transaction() as connection:
        assert connection.execute(text("SELECT count(*) FROM kept")).scalar_one() == 0
