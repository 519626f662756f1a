"""A connection to PostgreSQL that is cut, wherever it is: away, harmless to repeat, and nothing stays behind."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import text

from store.connect import Store, open_store
from store.failures import StoreUnavailableError
from tests.faults.servers.proxy import Direction, Proxy
from tests.footprint import growth
from tests.servers.postgresql import PostgresqlServer

OUTAGES = 200
OBJECTS_PER_OUTAGE = 2
MEMORY_BYTES = 4 * 1024 * 1024
"""How much the process may grow over all outages: less than a connection, let alone two hundred."""


@pytest.fixture
def proxy(own_postgresql: PostgresqlServer) -> Iterator[Proxy]:
    """A network to the server that can be cut."""
    with Proxy(own_postgresql.port) as between:
        yield between


@pytest.fixture(params=["disable", "require"], ids=["plain", "TLS"])
def store(request: pytest.FixtureRequest, own_postgresql: PostgresqlServer, proxy: Proxy) -> Iterator[Store]:
    """A store behind it with an empty table."""
    store = open_store(f"{proxy.url(own_postgresql.url)}?sslmode={request.param}")
    with store.transaction() as connection:
        connection.execute(text("DROP TABLE IF EXISTS kept"))
        connection.execute(text("CREATE TABLE kept (id int PRIMARY KEY)"))
    yield store
    store.close()


def keep(store: Store, number: int) -> None:
    """Write a row, such that to repeat it is harmless."""
    with store.transaction() as connection:
        connection.execute(text("INSERT INTO kept VALUES (:id) ON CONFLICT DO NOTHING"), {"id": number})


@pytest.mark.parametrize("direction", Direction)
def test_a_cut_anywhere_in_a_transaction_is_away_and_may_be_repeated(
    store: Store, proxy: Proxy, direction: Direction
) -> None:
    """Else a batch whose COMMIT was not answered would be taken for a fault, and its messages go to the dead queue."""
    for count in range(0, 120, 3):
        proxy.cut_after(count, direction)
        while proxy.cuts <= count // 3:
            with suppress(StoreUnavailableError):
                keep(store, count)
        keep(store, count)
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM kept")).scalar_one() == 40


def test_the_unknown_outcome_of_a_commit_is_away(store: Store, proxy: Proxy) -> None:
    """Else the messages of a batch that took place would be called faulty."""

    def commit() -> None:
        with store.transaction() as connection:
            connection.execute(text("INSERT INTO kept VALUES (1)"))
            proxy.cut_after(0, Direction.TO_CLIENT)

    with pytest.raises(StoreUnavailableError, match="cut"):
        commit()
    with store.reading() as connection:
        assert connection.execute(text("SELECT count(*) FROM kept")).scalar_one() == 1, "it did take place"


def test_two_hundred_outages_leave_nothing_behind(store: Store, proxy: Proxy) -> None:
    """Else a worker that lives through a week of bad network runs out of memory, or of descriptors, one day."""

    def meet_it() -> None:
        with store.transaction() as connection:
            proxy.cut()
            connection.execute(text("SELECT 1"))

    def outage() -> None:
        with pytest.raises(StoreUnavailableError):
            meet_it()
        keep(store, 1)

    grown = growth(outage, OUTAGES)
    assert grown.threads <= 0
    assert grown.descriptors <= 0
    assert grown.objects < OBJECTS_PER_OUTAGE * OUTAGES
    assert grown.memory_bytes < MEMORY_BYTES
