"""What takes PostgreSQL longer than a statement may is done in smaller pieces; nothing is blamed, nothing is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import text

from store import due as due_store
from store import handled as handled_store
from store.connect import Store, open_store
from store.failures import TooMuchAtOnceError
from tests.acceptance.wire import Message, change, failed
from tests.contract.workers.conftest import LIMIT, Workshop
from tests.contract.workers.test_jobs import errors_left, job_of, keep_errors, purge, results
from tests.services import empty
from workers.bulk.jobs import CHUNK
from workers.changes import handle_changes
from workers.pipeline import process
from workers.retention import AT_ONCE, Keep, Retaining
from workers.slow_work import FIRST
from workers.timing import Timing
from workers.workplace import Workplace

STATEMENT = timedelta(milliseconds=500)
KEEP = Keep(errors=timedelta(days=1), log=timedelta(days=1), handled=timedelta(days=1))
LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)
KEYS = [f"{number}" for number in range(20)]


@pytest.fixture
def store_url(postgres_url: str) -> str:
    """PostgreSQL: SQLite has no time that a statement may take."""
    empty(postgres_url)
    return postgres_url


@pytest.fixture
def impatient(store_url: str) -> Iterator[Store]:
    """The store of the workshop, with half a second for a statement."""
    store = open_store(store_url, statement_timeout=STATEMENT)
    yield store
    store.close()


def slow_down(workshop: Workshop, table: str, doing: str, seconds: float) -> None:
    """Let the database take so long for each row that is updated or deleted; 0 for as ever."""
    body = f"BEGIN PERFORM pg_sleep({seconds}); RETURN COALESCE(NEW, OLD); END"
    with workshop.store.transaction() as conn:
        conn.execute(text(f"DROP TRIGGER IF EXISTS slow ON {table}"))
        if seconds:
            conn.exec_driver_sql(f"CREATE OR REPLACE FUNCTION slow() RETURNS trigger AS $${body}$$ LANGUAGE plpgsql")
            trigger = f"CREATE TRIGGER slow BEFORE {doing} ON {table} FOR EACH ROW EXECUTE FUNCTION slow()"
            conn.exec_driver_sql(trigger)


def timing(workshop: Workshop, store: Store) -> Timing:
    """A worker's timers on this store."""
    return Timing(Workplace(store, workshop.context, lambda: datetime.now(UTC)), LIMIT)


def run(workshop: Workshop, timers: Timing) -> None:
    """Do what is due until nothing is."""
    for _ in range(100):
        if not workshop.count_due():
            return
        timers.step()
    raise AssertionError("it does not end")


def until_due(workshop: Workshop) -> timedelta:
    """For how long the only work there is rests."""
    with workshop.store.transaction() as conn:
        (one,) = due_store.claim(conn, datetime.now(UTC) + timedelta(hours=1), 2)
    return one.due_at - datetime.now(UTC)


def edits() -> list[Message]:
    """A change of each record on the left."""
    return [change(f"bc/customer/{key}", "update", 2, {"name": "new"}) for key in KEYS]


def test_a_chunk_of_a_job_that_takes_too_long_is_halved(workshop: Workshop, impatient: Store) -> None:
    """Else a job over a slow database would be tried again for ever, the same two hundred rows each time."""
    keep_errors(workshop, CHUNK)
    workshop.order(purge(all=True))
    slow_down(workshop, "errors", "DELETE", 0.004)
    run(workshop, timing(workshop, impatient))
    (result,) = results(workshop)
    assert (result["deleted"], result["failed"], errors_left(workshop)) == (CHUNK, 0, [])
    assert {line["kind"] for line in workshop.logged("work.slow")} == {"job"}
    assert workshop.logged("work.failed") == []


def test_one_item_that_takes_too_long_is_put_off_and_not_passed_over(workshop: Workshop, impatient: Store) -> None:
    """Else what was only slow on a bad day would never be done, or nothing else be done beside it."""
    keep_errors(workshop, 3)
    workshop.order(purge(all=True))
    slow_down(workshop, "errors", "DELETE", 1)
    run(workshop, timing(workshop, impatient))
    assert (len(errors_left(workshop)), job_of(workshop).counters.failed) == (3, 0)
    assert until_due(workshop) <= FIRST  # a database is slow for a second more often than for an hour

    slow_down(workshop, "errors", "DELETE", 0)
    with workshop.store.transaction() as conn:
        conn.execute(text("UPDATE due SET due_at = now()"))
    run(workshop, timing(workshop, impatient))
    assert results(workshop)[0]["deleted"] == 3


def test_due_work_that_takes_too_long_is_halved(workshop: Workshop, impatient: Store) -> None:
    """Else the retries of an hour that became due together would be tried again together, for ever."""
    workshop.couple(KEYS)
    workshop.handle(*edits())
    workshop.handle(*(failed("sales", one, "unavailable", retry_after=0) for one in workshop.instructions()))
    slow_down(workshop, "couplings", "UPDATE", 0.05)
    run(workshop, timing(workshop, impatient))
    assert {event["data"]["key"] for event in workshop.instructions()} == set(KEYS)
    assert workshop.logged("work.slow")[0]["rows"] == len(KEYS)
    assert workshop.logged("work.failed") == []


def test_a_batch_that_takes_too_long_is_halved(workshop: Workshop, impatient: Store) -> None:
    """Else a queue would stand still behind a batch that is too large for what the database can do today."""
    workshop.couple(KEYS)
    slow_down(workshop, "couplings", "UPDATE", 0.05)
    process(workshop.handling(handle_changes)._replace(store=impatient), workshop.deliveries(edits()))
    assert {event["data"]["key"] for event in workshop.instructions()} == set(KEYS)
    assert (workshop.sent("dead"), workshop.logged("batch.failed")) == ([], [])


def test_one_message_that_takes_too_long_is_nobody_s_fault(workshop: Workshop, impatient: Store) -> None:
    """Else every message of a bad hour would go to the dead queue."""
    workshop.couple(KEYS)
    slow_down(workshop, "couplings", "UPDATE", 1)
    deliveries = workshop.deliveries(edits()[:2])
    with pytest.raises(TooMuchAtOnceError):
        process(workshop.handling(handle_changes)._replace(store=impatient), deliveries)
    assert (workshop.instructions(), workshop.sent("dead")) == ([], [])

    slow_down(workshop, "couplings", "UPDATE", 0)
    process(workshop.handling(handle_changes)._replace(store=impatient), deliveries)
    assert len(workshop.instructions()) == 2


def keep_long_ago(workshop: Workshop, count: int) -> None:
    """So many messages were handled a long time ago."""
    with workshop.store.transaction() as conn:
        handled_store.claim(conn, [("bc", f"old-{one}", "d") for one in range(count)], LONG_AGO)


def purge_round(workshop: Workshop, store: Store) -> int:
    """Have retention do a round on this store, and return how many of what was handled went."""
    moments = iter([LONG_AGO + timedelta(days=9)])
    clock = partial(next, moments, LONG_AGO + timedelta(days=10))
    loop = Retaining(store, KEEP, clock, timedelta(), lambda: 0.0)
    for _ in range(100):
        if rounds := workshop.logged("retention.purged"):
            return int(rounds[0]["handled"])
        loop.step()
    raise AssertionError("it does not end")


def test_what_retention_cannot_delete_at_once_goes_in_smaller_parts(workshop: Workshop, impatient: Store) -> None:
    """Else a table that has grown over years would be tried again for ever, the same thousand rows each time."""
    keep_long_ago(workshop, 100)
    slow_down(workshop, "handled", "DELETE", 0.02)
    assert purge_round(workshop, impatient) == 100
    rows = [line["rows"] for line in workshop.logged("work.slow")]
    assert (rows[0], min(rows) < 100) == (AT_ONCE, True)


def test_a_row_that_is_too_much_alone_waits_for_the_next_round(workshop: Workshop, impatient: Store) -> None:
    """Else one row would keep all others from going."""
    keep_long_ago(workshop, 1)
    slow_down(workshop, "handled", "DELETE", 1)
    assert purge_round(workshop, impatient) == 0
