"""``couple`` over real stores: which mapping it means, what becomes of the two records, and when it is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from messages.changes import Operation
from messages.commands import Done, Keep, RefusalCode
from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.outcomes import FailureCode
from messages.records import RecordRef
from store import records as record_store
from store.couplings import Standing
from tests.contract.workers.by_hand import (
    ByHand,
    answer_read,
    applied,
    by_hand,
    change,
    couple,
    gone,
    refused,
)
from tests.contract.workers.command_scene import MAPPING_FILE, two

UPDATE = Operation.UPDATE


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there, nothing is loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        yield hands


def test_couple_finds_the_mapping(hands: ByHand) -> None:
    """An operator would have to know the names of mappings by heart."""
    two(hands)
    answer = hands.order(couple("bc/customer/1", "sales/account/9"))
    (coupling,) = hands.couplings()
    assert answer == Done(
        command="couple", result={"coupling": coupling.id, "mapping": "customer", "status": "synchronized"}
    )
    assert hands.pairs() == [("bc/customer/1", "sales/account/9", Standing.SYNCHRONIZED)]
    assert (hands.instructions(), hands.errors()) == ([], [])
    assert hands.log("bc/customer/1")[-2:] == ["coupled", "done"]
    assert hands.log("sales/account/9")[-2:] == ["coupled", "done"]


def test_the_records_may_be_named_in_either_order(hands: ByHand) -> None:
    """``couple sales/… bc/…`` would be refused, or the sides be mixed up."""
    two(hands)
    hands.couple("sales/account/9", "bc/customer/1")
    assert hands.pairs() == [("bc/customer/1", "sales/account/9", Standing.SYNCHRONIZED)]


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(
    ("keep", "app", "fields"),
    [
        (Keep.LEFT, "sales", {"title": "Ada", "town": "x"}),
        (Keep.RIGHT, "bc", {"name": "Bea", "city": "y"}),
    ],
)
def test_keep_synchronizes_at_once(
    hands: ByHand, keep: Keep, app: str, fields: dict[str, str], *, turned: bool
) -> None:
    """The version that was not meant would win; left and right are the mapping's, however the records are named."""
    two(hands, right={"title": "Bea", "town": "y"})
    names = ("sales/account/9", "bc/customer/1") if turned else ("bc/customer/1", "sales/account/9")
    answer = hands.order(couple(*names, keep=keep))
    assert isinstance(answer, Done)
    assert answer.result["status"] == "in_flight"
    sent = hands.instruction()
    assert (sent.app, sent.action, sent.reason, sent.fields) == (app, Action.UPDATE, Reason.SYNCHRONIZE, fields)
    assert sent.if_version == {"bc": 3, "sales": 5}[app]
    hands.say(applied(sent, 6))
    assert hands.pairs() == [("bc/customer/1", "sales/account/9", Standing.SYNCHRONIZED)]
    assert (hands.instructions(), hands.errors()) == ([], [])


def test_without_keep_differing_records_wait_for_a_change(hands: ByHand) -> None:
    """Coupling alone would overwrite what nobody has looked at."""
    two(hands, right={"title": "Bea", "town": "x"})
    hands.couple("bc/customer/1", "sales/account/9")
    assert (hands.instructions(), hands.errors()) == ([], [])
    hands.say(change("bc/customer/1", 4, UPDATE, name="Ada", city="z"))
    (opened,) = hands.errors()
    assert opened.report.kind is ErrorKind.UPDATE_CONFLICT
    assert [one.field for one in opened.report.differences if one.contested] == ["name", "city"]
    assert hands.instructions() == []


def test_several_mappings_fit(hands: ByHand) -> None:
    """The records would be coupled under whichever comes first in the file."""
    answer = hands.refusal(couple("bc/customer/1", "sales/lead/7"))
    assert answer.code is RefusalCode.INVALID
    assert "prospect, prospect-too" in answer.detail
    assert hands.couplings() == []
    hands.couple("bc/customer/1", "sales/lead/7", "prospect-too")
    assert [one.mapping for one in hands.couplings()] == ["prospect-too"]


NOT_FITTING = {
    "there is no mapping custmer (did you mean 'customer'?); there are: customer, prospect": couple(
        "bc/customer/1", "sales/account/9", "custmer"
    ),
    "no mapping ties bc/customer and sales/supplier": couple("bc/customer/1", "sales/supplier/9"),
    "no mapping ties bc/customer and sales/account": couple("bc/customer/1", "sales/account/9", "vendor"),
    "no mapping ties bc/customer and bc/customer": couple("bc/customer/1", "bc/customer/2"),
}


def test_no_mapping_fits(hands: ByHand) -> None:
    """An operator would be told no, and not why."""
    for said, order in NOT_FITTING.items():
        answer = hands.refusal(order)
        assert (answer.code, hands.couplings()) == (RefusalCode.INVALID, [])
        assert said in answer.detail


def test_records_that_are_not_known_are_asked_for(hands: ByHand) -> None:
    """Two records from before Recouple came could not be coupled without touching them in both apps."""
    answer = hands.order(couple("bc/customer/1", "sales/account/9", keep=Keep.LEFT))
    assert isinstance(answer, Done)
    assert answer.result["status"] == "in_flight"
    reads = {one.app: one for one in hands.instructions()}
    assert {(one.app, one.action, one.key) for one in reads.values()} == {
        ("bc", Action.READ, "1"),
        ("sales", Action.READ, "9"),
    }
    hands.say(answer_read(reads["bc"], 3, name="Ada"))
    assert hands.instructions() == []
    hands.say(answer_read(reads["sales"], 5, title="Bea"))
    sent = hands.instruction()
    assert (sent.app, sent.fields, sent.if_version) == ("sales", {"title": "Ada"}, 5)


def test_only_the_one_that_is_not_known_is_asked_for(hands: ByHand) -> None:
    """An app would be bothered for what we know."""
    hands.say(change("bc/customer/1", 3, name="Ada"))
    hands.couple("bc/customer/1", "sales/account/9")
    assert [(one.app, one.key) for one in hands.instructions()] == [("sales", "9")]


def test_a_record_that_was_never_there(hands: ByHand) -> None:
    """A typing error would leave a coupling with a ghost that is tried for ever."""
    hands.say(change("bc/customer/1", 3, name="Ada"))
    hands.couple("bc/customer/1", "sales/account/999")
    hands.say(refused(hands.instruction(), FailureCode.NOT_FOUND))
    (opened,) = hands.errors()
    assert (opened.report.kind, opened.report.code) == (ErrorKind.APPLY_FAILED, "not_found")
    assert "sales/account/999" in opened.report.detail
    assert hands.pairs() == [("bc/customer/1", "sales/account/999", Standing.CLOSED)]
    hands.couple("bc/customer/1", "sales/account/9")


@pytest.mark.parametrize("dead", ["bc/customer/1", "sales/account/9"])
def test_a_deleted_record_is_not_coupled(hands: ByHand, dead: str) -> None:
    """The first thing to come of the coupling would be a deletion of the other."""
    two(hands)
    hands.say(gone(dead, 9))
    answer = hands.refusal(couple("bc/customer/1", "sales/account/9"))
    assert (answer.code, hands.couplings()) == (RefusalCode.NOT_APPLICABLE, [])
    assert dead in answer.detail


@pytest.mark.parametrize(
    ("left", "right", "taken"),
    [
        ("bc/customer/1", "sales/account/9", "bc/customer/1"),
        ("bc/customer/1", "sales/account/8", "bc/customer/1"),
        ("bc/customer/2", "sales/account/9", "sales/account/9"),
    ],
)
def test_a_record_is_coupled_once(hands: ByHand, left: str, right: str, taken: str) -> None:
    """One record would be synchronized with two, and they with each other."""
    first = hands.couple("bc/customer/1", "sales/account/9")
    hands.instructions()
    answer = hands.refusal(couple(left, right))
    assert answer.code is RefusalCode.DUPLICATE_COUPLING
    assert taken in answer.detail
    assert f"coupling {first.id}" in answer.detail
    assert (hands.instructions(), len(hands.couplings())) == ([], 1)


def test_a_record_is_coupled_once_under_each_mapping(hands: ByHand) -> None:
    """A customer who is also a lead could be synchronized with one of the two only."""
    hands.couple("bc/customer/1", "sales/account/9")
    answer = hands.order(couple("bc/customer/1", "sales/lead/7", "prospect"))
    assert isinstance(answer, Done)
    assert [one.mapping for one in hands.couplings()] == ["customer", "prospect"]


def test_couple_clears_the_marks_of_apart(hands: ByHand) -> None:
    """Records that were once uncoupled would be coupled, and never matched again when that ends."""
    pair = [RecordRef.parse("bc/vendor/1"), RecordRef.parse("sales/supplier/9")]
    other = ("vendor", RecordRef.parse("bc/vendor/2"))
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, [*(("vendor", ref) for ref in pair), other])
    hands.couple("bc/vendor/1", "sales/supplier/9")
    with hands.store.reading() as conn:
        assert record_store.apart(conn, [*pair, other[1]]) == {other}
