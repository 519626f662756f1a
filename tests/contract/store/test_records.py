"""Images, and records that are apart."""

from __future__ import annotations

import pytest
from sqlalchemy import Connection

from messages.records import RecordRef
from store import couplings, records
from store.failures import TooMuchAtOnceError
from store.model import CouplingStatus, Image, Side
from tests.contract.store.samples import bc, image, plain, sales


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


def test_no_more_is_read_than_asked_for(connection: Connection) -> None:
    """A batch of small edits of large records would take a worker's memory, and the worker with it."""
    records.save(connection, [image(bc(1)), image(bc(2))])
    with pytest.raises(TooMuchAtOnceError, match="2 records"):
        records.lock(connection, [bc(1), bc(2)], 300)
    assert records.lock(connection, [bc(1)], 10_000) == {bc(1): image(bc(1))}
    assert records.lock(connection, [bc(3)], 0) == {bc(3): Image(record=bc(3))}


def test_a_record_is_apart_under_its_mapping_only(connection: Connection) -> None:
    """An uncoupled record would be coupled again by matching, or never under any other mapping."""
    records.mark_apart(connection, [("a", bc(1)), ("b", bc(1)), ("a", bc(2))])
    records.mark_apart(connection, [("a", bc(1))])
    records.clear_apart(connection, [("b", bc(1)), ("a", bc(2))])
    assert records.apart(connection, [bc(1), bc(2), sales(1)]) == {("a", bc(1))}


def test_uncoupled_records_page_by_page(connection: Connection) -> None:
    """Matching would pass over records, take one twice, or offer one that is coupled or gone."""
    records.save(connection, [image(bc(key)) for key in "abcdefgh"])
    records.save(connection, [image(bc("c"), exists=False), image(sales("a"))])
    couplings.insert(
        connection,
        [
            plain(bc("b"), sales("x"), mapping="m"),
            plain(bc("d"), sales("x"), mapping="other"),
            plain(bc("e"), sales("y"), mapping="m", status=CouplingStatus.CLOSED),
        ],
    )
    found, place = [], bc("")
    while True:
        page = records.uncoupled(connection, "m", Side.LEFT, place, 2)
        found.append("".join(record.key for record in page.records))
        if page.last is None:
            break
        place = bc(page.last)
    assert found == ["ad", "ef", "gh", ""]
    counted = records.count_uncoupled(connection, "m", Side.LEFT, (bc(1).app, bc(1).table))
    assert counted == 6
    assert records.uncoupled(connection, "m", Side.RIGHT, bc("g"), 9) == records.Uncoupled((bc("h"),), None)


def test_a_page_of_coupled_records_only_is_not_the_end(connection: Connection) -> None:
    """Matching would stop at the first thousand records that are coupled, and never reach the new ones."""
    many = [f"{number:03}" for number in range(2 * records.SCANNED_PER_UNCOUPLED + 3)]
    records.save(connection, [image(bc(key)) for key in many])
    couplings.insert(connection, [plain(bc(key), sales(key), mapping="m") for key in many[:-1]])
    pages, place = 0, bc("")
    found: tuple[RecordRef, ...] = ()
    while not found:
        page = records.uncoupled(connection, "m", Side.LEFT, place, 1)
        assert page.last is not None
        found, place, pages = page.records, bc(page.last), pages + 1
    assert (found, pages) == ((bc(many[-1]),), 3)
    assert records.uncoupled(connection, "m", Side.LEFT, place, 1) == records.Uncoupled((), None)
