"""Several transactions at once, on PostgreSQL: SQLite has one writer."""

from __future__ import annotations

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text

from store import arrivals, couplings, due, handled, loaded, matches, outbox, records
from store.arrivals import Arrival
from store.connect import Store
from store.couplings import AlreadyCoupledError
from store.due import Due, DueKind
from store.handled import Claim
from store.model import CouplingStatus, Side
from tests.contract.store.samples import NOW, SECOND, bc, image, plain, publication, sales

T = TypeVar("T")

ROUNDS = 15
WORKERS = 4
TIMEOUT_S = 30


def _together(store: Store, works: Collection[Callable[[Connection], T]]) -> list[T]:
    """Run each of ``works`` in a transaction of its own, all begun at the same moment."""
    barrier = Barrier(len(works))

    def run(work: Callable[[Connection], T]) -> T:
        with store.transaction() as connection:
            barrier.wait(TIMEOUT_S)
            return work(connection)

    with ThreadPoolExecutor(len(works)) as pool:
        return [future.result(TIMEOUT_S) for future in [pool.submit(run, work) for work in works]]


def _lock_values(connection: Connection, numbers: range) -> None:
    matches.lock_values(connection, [("customer", str(number)) for number in numbers])


def _lock_arrivals(connection: Connection, numbers: range) -> None:
    arrivals.lock(connection, [("customer", bc(number)) for number in numbers])


def _lock_records(connection: Connection, numbers: range) -> None:
    records.lock(connection, [make(number) for number in numbers for make in (bc, sales)])


def _lock_couplings(connection: Connection, numbers: range) -> None:
    couplings.lock(connection, [make(number) for number in numbers for make in (bc, sales)])


def _locking(lock: Callable[[Connection, range], None], numbers: range) -> Callable[[Connection], None]:
    return lambda connection: lock(connection, numbers)


@pytest.mark.parametrize("lock", [_lock_values, _lock_arrivals, _lock_records, _lock_couplings])
def test_overlapping_locks_never_deadlock(shared_store: Store, lock: Callable[[Connection, range], None]) -> None:
    """Two batches about the same records would stop each other, and one of them would be rolled back."""
    known = range(ROUNDS * 100)
    with shared_store.transaction() as connection:
        couplings.insert(connection, [plain(bc(number), sales(-number)) for number in known])
        waiting = [Arrival(mapping="customer", record=bc(number), side=Side.LEFT, since=NOW) for number in known]
        arrivals.put(connection, waiting)
    for number in range(ROUNDS):
        # Every round some of the rows to be locked are there from the round before, and some are still to be made.
        first, last = number * 100, number * 100 + 400
        forwards, backwards = range(first, last), range(last, first, -1)
        _together(shared_store, [_locking(lock, numbers) for numbers in (forwards, backwards) * 2])


def test_a_lock_sees_what_the_one_before_it_wrote(shared_store: Store) -> None:
    """Two events on one record would be decided on the same image, and the first would be lost."""

    def count(connection: Connection) -> None:
        version = records.lock(connection, [bc(1)])[bc(1)].version or 0
        records.save(connection, [image(bc(1), version=version + 1)])

    for _ in range(ROUNDS):
        _together(shared_store, [count] * WORKERS)
    with shared_store.reading() as connection:
        assert records.read(connection, [bc(1)])[bc(1)].version == ROUNDS * WORKERS


def test_a_coupling_closed_while_we_waited_is_not_ours(shared_store: Store) -> None:
    """A worker would decide a coupling that another one has just closed."""
    with shared_store.transaction() as connection:
        [kept] = couplings.insert(connection, [plain(bc(1), sales(1))])
    with ThreadPoolExecutor(1) as pool:
        with shared_store.transaction() as first:
            couplings.lock(first, [bc(1)])

            def second() -> dict[int, object]:
                with shared_store.transaction() as connection:
                    return dict(couplings.lock(connection, [bc(1)]))

            future = pool.submit(second)
            _wait_until_blocked(shared_store)
            closed = plain(bc(1), sales(1), id=kept.id, status=CouplingStatus.CLOSED)
            couplings.save(first, [closed])
        assert future.result(TIMEOUT_S) == {}


def _wait_until_blocked(store: Store) -> None:
    for _ in range(2000):
        with store.reading() as connection:
            blocked = connection.execute(
                text("SELECT pg_sleep(0.005), count(*) AS waiting FROM pg_locks WHERE NOT granted")
            ).one()
        if blocked.waiting:
            return
    pytest.fail("the second transaction does not wait for the first")


def test_two_tables_that_are_loaded_at_once(shared_store: Store) -> None:
    """Neither would see the other, and what waits for both of them would wait for ever."""

    def note(connection: Connection, table: str) -> set[tuple[str, str]]:
        loaded.mark(connection, "bc", table, NOW)
        return loaded.all(connection)

    seen = _together(shared_store, [partial(note, table="customer"), partial(note, table="item")])

    assert {("bc", "customer"), ("bc", "item")} in seen


def test_one_event_is_new_to_one_worker(shared_store: Store) -> None:
    """An event that is delivered to two workers at once would be applied twice, or the two would deadlock."""
    for number in range(ROUNDS):
        events = [("bc", f"{number}-{event}", "d") for event in range(20)]
        forwards = _together(
            shared_store,
            [
                lambda connection, given=given: handled.claim(connection, given, NOW)  # type: ignore[misc]
                for given in (events, events[::-1], events)
            ],
        )
        by_event = zip(forwards[0], forwards[1][::-1], forwards[2], strict=True)
        assert all(sorted(claims) == [Claim.DUPLICATE, Claim.DUPLICATE, Claim.NEW] for claims in by_event)


def test_an_event_whose_worker_failed_is_new_to_the_next(shared_store: Store) -> None:
    """An event would be lost when the worker that claimed it first is rolled back."""
    with shared_store.transaction() as first, ThreadPoolExecutor(1) as pool:
        handled.claim(first, [("bc", "1", "d")], NOW)

        def second() -> list[Claim]:
            with shared_store.transaction() as connection:
                return handled.claim(connection, [("bc", "1", "d")], NOW)

        future = pool.submit(second)
        _wait_until_blocked(shared_store)
        first.rollback()
        assert future.result(TIMEOUT_S) == [Claim.NEW]


def test_relays_claim_different_publications(shared_store: Store) -> None:
    """Two relays would publish everything twice, or wait for each other."""
    with shared_store.transaction() as connection:
        outbox.put(connection, [(publication(), None)] * 100)
    claimed = _together(
        shared_store, [lambda connection: [each.id for each in outbox.claim(connection, 20, NOW, SECOND)]] * WORKERS
    )
    ids = [id_ for each in claimed for id_ in each]
    assert [len(each) for each in claimed] == [20] * WORKERS
    assert len(set(ids)) == len(ids)


def test_timers_claim_different_work(shared_store: Store) -> None:
    """Two timers would both send an instruction again."""
    with shared_store.transaction() as connection:
        due.put(connection, [Due(kind=DueKind.WAKE, coupling=number, due_at=NOW) for number in range(100)])
    barrier = Barrier(WORKERS)

    def claim(connection: Connection) -> list[int]:
        claimed = [each.id for each in due.claim(connection, NOW, 20)]
        barrier.wait(TIMEOUT_S)  # hold the locks until everybody has claimed
        due.delete(connection, claimed)
        return claimed

    claims = _together(shared_store, [claim] * WORKERS)
    assert len({id_ for each in claims for id_ in each}) == 20 * WORKERS


def test_one_of_two_couplings_of_a_record_is_refused(shared_store: Store) -> None:
    """Two operators who couple one record at once would both succeed."""

    def couple(number: int) -> Callable[[Connection], bool]:
        def work(connection: Connection) -> bool:
            try:
                couplings.insert(connection, [plain(bc(1), sales(number))])
            except AlreadyCoupledError:
                return False
            return True

        return work

    assert sorted(_together(shared_store, [couple(1), couple(2)])) == [False, True]
