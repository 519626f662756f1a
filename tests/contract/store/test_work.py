"""Outbox, due work, arrivals: what is still to be done, taken by one worker at a time."""

from __future__ import annotations

import msgspec
from sqlalchemy import Connection

from messages.errors import ErrorKind
from store import arrivals, due, outbox
from store.arrivals import Arrival
from store.connect import Store
from store.due import Due, DueKind
from store.model import OpenError, Side
from tests.contract.store.samples import NOW, SECOND, bc, publication, sales


def test_a_publication_comes_back_as_it_was(connection: Connection) -> None:
    """Bytes or headers of a message would change on their way through the outbox; dead letters hold any bytes."""
    odd = publication(bytes(range(256)))
    outbox.put(connection, [(odd, None), (publication(b""), "i1")])
    first, second = outbox.claim(connection, 10, NOW, SECOND)
    assert (first.publication, first.instruction) == (odd, None)
    assert (second.publication, second.instruction) == (publication(b""), "i1")


def test_a_claimed_publication_is_leased(connection: Connection) -> None:
    """Two relays would publish the same, or what a killed relay had claimed would never be published."""
    outbox.put(connection, [(publication(str(number).encode()), None) for number in range(3)])
    first = outbox.claim(connection, 2, NOW, SECOND)
    assert [each.publication.body for each in first] == [b"0", b"1"]
    assert [each.publication.body for each in outbox.claim(connection, 9, NOW, SECOND)] == [b"2"]
    assert outbox.claim(connection, 9, NOW + SECOND / 2, SECOND) == []
    assert len(outbox.claim(connection, 9, NOW + SECOND, SECOND)) == 3


def test_published_is_gone_and_released_is_back(connection: Connection) -> None:
    """A published message would be published again, or a refused one only after its lease."""
    outbox.put(connection, [(publication(str(number).encode()), None) for number in range(3)])
    claimed = outbox.claim(connection, 9, NOW, SECOND)
    outbox.done(connection, [claimed[0].id])
    outbox.release(connection, [claimed[1].id])
    assert outbox.claim(connection, 9, NOW, SECOND) == [claimed[1]]
    assert outbox.count(connection) == 2


def test_work_is_claimed_when_it_is_due(connection: Connection) -> None:
    """A retry would go out too early, or an instruction that is not answered would never be noticed."""
    items = [
        Due(kind=DueKind.ANSWER, instruction="i1", coupling=3, due_at=NOW + SECOND),
        Due(kind=DueKind.ARRIVAL, record=bc("a/b"), mapping="customer", due_at=NOW),
        Due(kind=DueKind.WAKE, coupling=4, due_at=NOW - SECOND),
    ]
    due.put(connection, items)
    claimed = due.claim(connection, NOW, 9)
    assert [msgspec.structs.replace(each, id=0) for each in claimed] == [items[2], items[1]]
    assert due.count(connection, NOW) == 2
    assert due.claim(connection, NOW, 1) == claimed[:1]
    assert due.claim(connection, NOW, 9, [DueKind.ARRIVAL, DueKind.RETRY]) == claimed[1:]
    assert due.kinds_due(connection, NOW) == {DueKind.WAKE, DueKind.ARRIVAL}
    due.delete(connection, [each.id for each in claimed])
    assert due.claim(connection, NOW, 9) == []
    assert due.kinds_due(connection, NOW) == set()
    assert [each.instruction for each in due.claim(connection, NOW + SECOND, 9)] == ["i1"]


def test_an_answer_cancels_what_was_due(connection: Connection) -> None:
    """An answered instruction would be sent again, or what its publishing confirms would be forgotten."""
    due.put(
        connection,
        [
            Due(kind=kind, instruction=instruction, due_at=NOW)
            for kind in (DueKind.RETRY, DueKind.ANSWER, DueKind.PUBLISHED)
            for instruction in ("i1", "i2")
        ],
    )
    due.cancel(connection, ["i1", "i3"])
    left = {(each.kind, each.instruction) for each in due.claim(connection, NOW, 9)}
    assert left == {
        (DueKind.PUBLISHED, "i1"),
        (DueKind.RETRY, "i2"),
        (DueKind.ANSWER, "i2"),
        (DueKind.PUBLISHED, "i2"),
    }


def test_what_a_timer_has_at_hand_is_not_cancelled(shared_store: Store) -> None:
    """A worker that holds a coupling would wait for a timer that waits for the coupling."""
    with shared_store.transaction() as connection:
        due.put(connection, [Due(kind=DueKind.RETRY, instruction="i1", due_at=NOW)])
    with shared_store.transaction() as timer, shared_store.transaction() as worker:
        [taken] = due.claim(timer, NOW, 1)
        due.cancel(worker, ["i1"])
        due.delete(timer, [taken.id])
    with shared_store.reading() as connection:
        assert due.count(connection, NOW) == 0


WAITING = Arrival(mapping="customer", record=bc(1), side=Side.LEFT, since=NOW, waits_for="i1")
GATED = Arrival(mapping="customer", record=sales(2), side=Side.RIGHT, since=NOW - SECOND, gated=True)


def test_an_arrival_comes_back_as_it_was(connection: Connection) -> None:
    """A record that waits to be matched would be forgotten, or matched on the wrong side."""
    arrivals.put(connection, [WAITING, GATED])
    assert arrivals.lock(connection, [("customer", bc(1)), ("customer", sales(2)), ("z", bc(1))]) == [WAITING, GATED]
    later = msgspec.structs.replace(WAITING, waits_for=None, since=NOW + SECOND)
    arrivals.put(connection, [later])
    assert arrivals.lock(connection, [("customer", bc(1))]) == [later]
    arrivals.remove(connection, [("customer", bc(1))])
    assert arrivals.lock(connection, [("customer", bc(1))]) == []
    assert arrivals.count(connection) == 1


def test_an_arrival_that_comes_again_waits_on(connection: Connection) -> None:
    """A further event of a record that waits would make it forget what it waits for, or its open error."""
    ambiguous = OpenError(number=4, kind=ErrorKind.MATCH_AMBIGUOUS, opened_at=NOW, candidates=("bc/customer/1",))
    known = msgspec.structs.replace(WAITING, error=ambiguous)
    arrivals.put(connection, [known])
    again = msgspec.structs.replace(WAITING, since=NOW + SECOND, waits_for=None)
    arrivals.arrive(connection, [again, GATED])
    found = arrivals.read(connection, [("customer", bc(1)), ("customer", sales(2)), ("z", bc(1))])
    assert {each.record: each for each in found} == {bc(1): known, sales(2): GATED}


def test_arrivals_by_what_they_wait_for(connection: Connection) -> None:
    """An arrival would wait for ever after its create was answered, or its tables were loaded."""
    other = msgspec.structs.replace(GATED, mapping="other")
    later = msgspec.structs.replace(GATED, record=sales(3), since=NOW)
    arrivals.put(connection, [WAITING, later, GATED, other])
    assert arrivals.waiting_for(connection, ["i1", "i2"]) == [WAITING]
    assert arrivals.gated(connection, "customer", 9) == [GATED, later]
    assert arrivals.gated(connection, "customer", 1) == [GATED]
    assert arrivals.count_gated(connection, "customer") == 2


def test_gated_arrivals_page_by_page(connection: Connection) -> None:
    """A job would settle the same arrivals over and over, or leave some behind the gate."""
    several = [msgspec.structs.replace(GATED, record=sales(key)) for key in "cab"]
    arrivals.put(connection, [*several, msgspec.structs.replace(GATED, record=sales("0"), since=NOW)])
    found, place = "", arrivals.FIRST
    while page := arrivals.gated(connection, "customer", 2, place):
        found += "".join(one.record.key for one in page) + " "
        place = (page[-1].since, page[-1].record)
    assert found == "ab c0 "
