"""Images, and records that are apart."""

from __future__ import annotations

from sqlalchemy import Connection

from store import records
from store.model import Image
from tests.contract.store.samples import bc, image, sales


def test_an_image_comes_back_as_it_was(connection: Connection) -> None:
    """Digits, nulls or text of a field would change in the store, and then flow to the other app as a change."""
    records.save(connection, [image(bc("a/b ' é"))])
    records.save(connection, [image(bc("a/b ' é"), version=4), image(sales(1), exists=False)])
    found = records.read(connection, [bc("a/b ' é"), sales(1), sales(2)])
    assert found[bc("a/b ' é")] == image(bc("a/b ' é"), version=4)
    assert str(found[bc("a/b ' é")].fields["exact"]) == "1.10"
    assert found[sales(1)] == image(sales(1), exists=False)
    assert found[sales(2)] == Image(record=sales(2))


def test_locking_gives_known_and_unknown_records(connection: Connection) -> None:
    """The first event of a record would find nothing to lock, and two workers would both take it for the first."""
    records.save(connection, [image(bc(1))])
    for _ in range(2):
        assert records.lock(connection, [bc(2), bc(1)]) == {bc(1): image(bc(1)), bc(2): Image(record=bc(2))}


def test_a_record_is_apart_under_its_mapping_only(connection: Connection) -> None:
    """An uncoupled record would be coupled again by matching, or never under any other mapping."""
    records.mark_apart(connection, [("a", bc(1)), ("b", bc(1)), ("a", bc(2))])
    records.mark_apart(connection, [("a", bc(1))])
    records.clear_apart(connection, [("b", bc(1)), ("a", bc(2))])
    assert records.apart(connection, [bc(1), bc(2), sales(1)]) == {("a", bc(1))}
