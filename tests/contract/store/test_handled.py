"""The ids of what was handled before."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import Connection

from store import handled
from store.connect import Store
from store.handled import Claim
from tests.contract.store.samples import NOW


def test_each_event_is_new_once(store: Store) -> None:
    """A redelivered event would be decided again, or another app's event of the same id would be dropped."""
    with store.transaction() as connection:
        first = handled.claim(connection, [("bc", "1", "x"), ("sales", "1", "x")], NOW)
    with store.transaction() as connection:
        second = handled.claim(connection, [("bc", "2", "x"), ("bc", "1", "x"), ("sales", "1", "y")], NOW)
    assert first == [Claim.NEW, Claim.NEW]
    assert second == [Claim.NEW, Claim.DUPLICATE, Claim.REUSED]


def test_two_alike_in_one_batch(connection: Connection) -> None:
    """A batch that holds an event twice would apply it twice, or fail."""
    events = [("bc", "2", "x"), ("bc", "1", "x"), ("bc", "1", "x"), ("bc", "1", "y"), ("bc", "2", "x")]
    expected = [Claim.NEW, Claim.NEW, Claim.DUPLICATE, Claim.REUSED, Claim.DUPLICATE]
    assert handled.claim(connection, events, NOW) == expected


def test_what_went_to_dead_is_not_remembered(connection: Connection) -> None:
    """A replayed dead message would be dropped as a duplicate."""
    handled.claim(connection, [("bc", "1", "x"), ("sales", "1", "x")], NOW)
    handled.forget(connection, [("bc", "1")])
    assert handled.claim(connection, [("bc", "1", "x"), ("sales", "1", "x")], NOW) == [Claim.NEW, Claim.DUPLICATE]


def test_purging_forgets_the_oldest_first(connection: Connection) -> None:
    """The ids would fill the disk, or one that may still come again would be forgotten."""
    for hour, id_ in enumerate("abc"):
        handled.claim(connection, [("bc", id_, "x")], NOW + timedelta(hours=hour))
    assert handled.purge(connection, NOW + timedelta(hours=2), 1) == 1
    assert handled.purge(connection, NOW + timedelta(hours=2), 9) == 1
    claims = handled.claim(connection, [("bc", id_, "x") for id_ in "abc"], NOW)
    assert claims == [Claim.NEW, Claim.NEW, Claim.DUPLICATE]
