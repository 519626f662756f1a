"""Couplings: found by their records, kept whole, at most one per record and mapping."""

from __future__ import annotations

import msgspec
import pytest
from sqlalchemy import Connection

from messages.errors import ErrorKind, ErrorStatus
from messages.topology import MAX_KEY_BYTES
from store import couplings
from store.connect import Store
from store.couplings import AlreadyCoupledError, Standing, standing
from store.model import Coupling, CouplingStatus, OpenError, Side, Wait
from tests.contract.store.samples import NOW, bc, coupling, plain, sales, sent

CLOSED = CouplingStatus.CLOSED
OPEN = OpenError(number=3, kind=ErrorKind.NO_ANSWER, opened_at=NOW)


def test_a_coupling_comes_back_as_it_was(connection: Connection) -> None:
    """Something that a decision rests on would be lost between two batches."""
    [kept] = couplings.insert(connection, [coupling(bc(1), sales(1))])
    assert couplings.lock(connection, [bc(1)]) == {kept.id: kept}
    assert kept.id > 0
    assert msgspec.structs.replace(kept, id=0) == coupling(bc(1), sales(1))
    changed = msgspec.structs.replace(kept, right=sales(2), flight=(), error=None, serial=9)
    couplings.save(connection, [changed])
    assert couplings.lock(connection, [sales(2), sales(1)]) == {kept.id: changed}


def test_lock_finds_by_either_side_and_by_number(connection: Connection) -> None:
    """A coupling of a changed record would not be decided; a late outcome would not find its closed coupling."""
    one, two, over, other = couplings.insert(
        connection,
        [
            plain(bc(1), sales(1)),
            plain(bc(2), None, status=CouplingStatus.CREATING),
            plain(bc(3), sales(3), status=CLOSED),
            plain(bc(1), sales(9), mapping="other"),
        ],
    )
    assert couplings.lock(connection, [sales(1), bc(2), bc(3)]) == {one.id: one, two.id: two}
    assert couplings.lock(connection, [bc(1)], [over.id, 999]) == {one.id: one, over.id: over, other.id: other}
    assert couplings.lock(connection, [], [two.id]) == {two.id: two}


def test_by_record_lists_what_is_not_closed(connection: Connection) -> None:
    """A record that is coupled would look uncoupled, or the other way round."""
    one, other, _over = couplings.insert(
        connection,
        [plain(bc(1), sales(1)), plain(bc(1), sales(2), mapping="other"), plain(bc(4), sales(1), status=CLOSED)],
    )
    found = couplings.by_record(connection, [bc(1), sales(1), bc(4)])
    assert found == {bc(1): [one, other], sales(1): [one], bc(4): []}
    assert couplings.by_record(connection, [bc(1)], "other") == {bc(1): [other]}


def test_counterparts_are_the_records_to_lock_too(connection: Connection) -> None:
    """A worker would change a record whose lock another worker holds."""
    couplings.insert(
        connection,
        [
            plain(bc(1), sales(1)),
            plain(bc(2), sales(1), mapping="other"),
            plain(bc(3), None, status=CouplingStatus.CREATING),
            plain(bc(4), sales(4), status=CLOSED),
        ],
    )
    assert couplings.counterparts(connection, [sales(1), bc(3), bc(4)]) == {bc(1), bc(2)}
    assert couplings.counterparts(connection, [bc(1)]) == {sales(1)}


@pytest.mark.parametrize(
    ("newcomer", "named"),
    [
        (plain(bc(1), sales(2)), bc(1)),
        (plain(bc(2), sales(1)), sales(1)),
        (plain(bc(1), None, status=CouplingStatus.CREATING), bc(1)),
    ],
)
def test_a_record_is_coupled_once_per_mapping(connection: Connection, newcomer: Coupling, named: object) -> None:
    """Two couplings would write to one record, each undoing the other."""
    couplings.insert(connection, [plain(bc(1), sales(1))])
    with pytest.raises(AlreadyCoupledError) as caught:
        couplings.insert(connection, [plain(bc(5), sales(5)), newcomer])
    assert (caught.value.mapping, caught.value.record) == ("customer", named)
    assert couplings.by_record(connection, [bc(5)]) == {bc(5): []}, "nothing of the call is kept"


def test_two_of_one_call_cannot_share_a_record(connection: Connection) -> None:
    """A batch that matches two records with one would couple it twice."""
    with pytest.raises(AlreadyCoupledError):
        couplings.insert(connection, [plain(bc(1), sales(1)), plain(bc(2), sales(1))])


def test_a_closed_coupling_is_in_nobodys_way(connection: Connection) -> None:
    """A record could never be coupled again after it was uncoupled."""
    [first] = couplings.insert(connection, [plain(bc(1), sales(1))])
    couplings.save(connection, [msgspec.structs.replace(first, status=CLOSED)])
    [second] = couplings.insert(connection, [plain(bc(1), sales(1))])
    assert couplings.lock(connection, [bc(1)]) == {second.id: second}


def test_saving_cannot_couple_twice_either(store: Store) -> None:
    """A coupling that is tied to a re-created record could take a record that is in another coupling."""
    with store.transaction() as connection:
        one, _two = couplings.insert(connection, [plain(bc(1), sales(1)), plain(bc(2), sales(2))])
    with pytest.raises(AlreadyCoupledError), store.transaction() as connection:
        couplings.save(connection, [msgspec.structs.replace(one, right=sales(2))])


STANDINGS = [
    (plain(bc(1), sales(1)), Standing.SYNCHRONIZED),
    (plain(bc(2), sales(2), flight=(sent("i"),)), Standing.IN_FLIGHT),
    (plain(bc(3), sales(3), error=OPEN), Standing.SKIPPED),
    (plain(bc(4), sales(4), error=OPEN, flight=(sent("i"),)), Standing.SKIPPED),
    (
        plain(
            bc(5),
            sales(5),
            error=msgspec.structs.replace(OPEN, status=ErrorStatus.RESOLVING),
            flight=(sent("i"),),
        ),
        Standing.IN_FLIGHT,
    ),
    (plain(bc(6), None, status=CouplingStatus.CREATING, flight=(sent("i"),)), Standing.CREATING),
    (plain(bc(7), sales(7), status=CLOSED), Standing.CLOSED),
]


@pytest.mark.parametrize(("each", "expected"), STANDINGS)
def test_standing(each: Coupling, expected: Standing) -> None:
    """An operator would be shown a coupling as synchronized that is skipped, or the other way round."""
    assert standing(each) is expected


def test_pages(connection: Connection) -> None:
    """An operator would be shown the wrong couplings, or miss one between two pages."""
    kept = couplings.insert(connection, [each for each, _ in STANDINGS] + [plain(bc(1), sales(1), mapping="z")])
    assert couplings.page(connection, limit=3) == kept[:3]
    assert couplings.page(connection, limit=99, after_id=kept[2].id) == kept[3:]
    assert couplings.page(connection, mapping="z", limit=9) == kept[-1:]
    assert couplings.page(connection, record=sales(1), limit=9) == [kept[0], kept[-1]]
    assert couplings.page(connection, record=bc(7), limit=9) == [kept[6]]
    assert couplings.page(connection, status=Standing.SKIPPED, limit=9) == kept[2:4]


def test_the_longest_key_can_be_referred_to(connection: Connection) -> None:
    """A record whose key is as long as the wire allows would never be found by a reference, or stop its batch."""
    longest = "é" * (MAX_KEY_BYTES // 2)
    couplings.insert(connection, [plain(bc(longest), sales("A"), mapping="salesperson")])
    wait = Wait("salesperson", Side.LEFT, longest)
    assert couplings.references(connection, [wait]) == {wait: "A"}


def test_references_lead_to_the_other_side(connection: Connection) -> None:
    """A reference would be translated to the wrong record, or to one that does not exist yet."""
    couplings.insert(
        connection,
        [
            plain(bc(1), sales("A"), mapping="salesperson", error=OPEN),
            plain(bc(2), None, mapping="salesperson", status=CouplingStatus.CREATING),
            plain(bc(3), sales("C"), mapping="salesperson", status=CLOSED),
            plain(bc(4), sales("D"), mapping="other"),
        ],
    )
    found = couplings.references(
        connection,
        [Wait("salesperson", Side.LEFT, str(key)) for key in range(1, 5)] + [Wait("salesperson", Side.RIGHT, "A")],
    )
    assert found == {Wait("salesperson", Side.LEFT, "1"): "A", Wait("salesperson", Side.RIGHT, "A"): "1"}
