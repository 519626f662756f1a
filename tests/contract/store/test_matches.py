"""Which uncoupled records match, and which creates are in flight for a value."""

from __future__ import annotations

from sqlalchemy import Connection

from store import couplings, matches, records
from store.matches import Candidates
from store.model import CouplingStatus, Side
from tests.contract.store.samples import bc, image, plain, sales

MAPPING = "customer"
KEY = (MAPPING, Side.RIGHT, 0, "v")


def _announce(connection: Connection, *keys: object) -> None:
    records.save(connection, [image(sales(key)) for key in keys])
    matches.save(connection, [(MAPPING, Side.RIGHT, sales(key), ((0, "v"),)) for key in keys])


def test_candidates_could_all_be_coupled(connection: Connection) -> None:
    """A record would be matched with one that is gone, coupled already, or apart."""
    _announce(connection, *"abcdefg")
    records.save(connection, [image(sales("a"), exists=False)])
    records.mark_apart(connection, [(MAPPING, sales("b")), ("other", sales("c"))])
    couplings.insert(
        connection,
        [
            plain(bc(1), sales("d"), mapping=MAPPING),
            plain(bc(1), sales("e"), mapping="other"),
            plain(bc(2), sales("f"), mapping=MAPPING, status=CouplingStatus.CLOSED),
            plain(sales("g"), None, mapping=MAPPING, status=CouplingStatus.CREATING),
        ],
    )
    found = matches.candidates(connection, [KEY])
    # g is coupled on the left; on the right it would be another coupling
    assert found == {KEY: Candidates(tuple(sales(key) for key in "cefg"), 4)}


def test_candidates_are_of_one_group_side_and_value(connection: Connection) -> None:
    """A record would be matched by its name with another's city."""
    entries = [
        (MAPPING, Side.RIGHT, sales("right"), ((0, "v"), (1, "w"))),
        (MAPPING, Side.LEFT, bc("left"), ((0, "v"),)),
        (MAPPING, Side.RIGHT, sales("group"), ((1, "v"),)),
        ("other", Side.RIGHT, sales("right"), ((0, "u"),)),
    ]
    records.save(connection, [image(ref) for ref in {entry[2] for entry in entries}])
    matches.save(connection, entries)
    keys = [KEY, (MAPPING, Side.LEFT, 0, "v"), (MAPPING, Side.RIGHT, 0, "nothing"), ("other", Side.RIGHT, 0, "u")]
    found = matches.candidates(connection, keys)
    assert [found[key].records for key in keys] == [(sales("right"),), (bc("left"),), (), (sales("right"),)]


def test_saving_replaces_all_values_of_a_record(connection: Connection) -> None:
    """A record would be matched by a value that it no longer has."""
    records.save(connection, [image(sales("a")), image(sales("b"))])
    for values in (((0, "v"), (1, "w")), ((1, "x"),)):
        matches.save(connection, [(MAPPING, Side.RIGHT, sales(key), values) for key in "ab"])
    matches.save(connection, [(MAPPING, Side.RIGHT, sales("b"), ())])
    keys = [KEY, (MAPPING, Side.RIGHT, 1, "w"), (MAPPING, Side.RIGHT, 1, "x")]
    found = matches.candidates(connection, keys)
    assert [found[key].records for key in keys] == [(), (), (sales("a"),)]


def test_many_candidates_are_counted_and_not_all_returned(connection: Connection) -> None:
    """A value that everybody has would fill the memory, or an operator would be told a wrong number."""
    _announce(connection, *range(30))
    found = matches.candidates(connection, [KEY])[KEY]
    assert (len(found.records), found.total) == (21, 30)


def test_long_and_odd_values_match_like_others(connection: Connection) -> None:
    """A field of a megabyte, or with a NUL in it, would stop every batch that it is in."""
    records.save(connection, [image(sales("a"))])
    for value in ("x" * 1_000_000, "a\0b", "é" * 200):
        matches.lock_values(connection, [(MAPPING, value)])
        matches.save(connection, [(MAPPING, Side.RIGHT, sales("a"), ((0, value),))])
        matches.mark_creating(connection, [(MAPPING, value, "i", Side.LEFT)])
        keys = [(MAPPING, Side.RIGHT, 0, value), (MAPPING, Side.RIGHT, 0, value + "y")]
        assert [matches.candidates(connection, keys)[key].total for key in keys] == [1, 0]
        assert matches.creating(connection, [(MAPPING, value)]) == {(MAPPING, value): [("i", Side.LEFT)]}


def test_creates_in_flight(connection: Connection) -> None:
    """Two records with one match value that come together would both be created (R15)."""
    matches.mark_creating(
        connection,
        [(MAPPING, "v", "i1", Side.LEFT), (MAPPING, "w", "i1", Side.LEFT), (MAPPING, "v", "i2", Side.RIGHT)],
    )
    matches.mark_creating(connection, [(MAPPING, "v", "i1", Side.LEFT)])
    assert matches.values_of(connection, ["i1", "i3"]) == {(MAPPING, "v"), (MAPPING, "w")}
    found = matches.creating(connection, [(MAPPING, "v"), (MAPPING, "nothing"), ("other", "v")])
    assert found == {(MAPPING, "v"): [("i1", Side.LEFT), ("i2", Side.RIGHT)]}
    matches.clear_creating(connection, ["i1"])
    assert matches.creating(connection, [(MAPPING, "v"), (MAPPING, "w")]) == {(MAPPING, "v"): [("i2", Side.RIGHT)]}


def test_forgetting_what_a_mapping_is_matched_by(connection: Connection) -> None:
    """A mapping would be matched by values from long ago, or another one could not be matched any more."""
    records.save(connection, [image(sales(key)) for key in "abcde"])
    for name in (MAPPING, "other"):
        values = ((0, "v"), (1, "w"))
        matches.save(connection, [(name, Side.RIGHT, sales(key), values) for key in "abcde"])
    steps, place = 0, ""
    while (key := matches.forget(connection, MAPPING, place, 3)) is not None:
        steps, place = steps + 1, key
    assert steps == 2
    found = matches.candidates(connection, [KEY, (MAPPING, Side.RIGHT, 1, "w"), ("other", Side.RIGHT, 1, "w")])
    assert [each.total for each in found.values()] == [0, 0, 5]
