"""The ids of what was handled before."""

from __future__ import annotations

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
