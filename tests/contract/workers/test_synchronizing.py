"""``synchronize`` over real stores: by side, by field and by value, and what becomes the base."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from messages.changes import Operation
from messages.commands import Dismiss, Done, Keep, RefusalCode, Synchronize
from messages.errors import ErrorKind, ErrorStatus
from messages.instructions import Reason
from messages.outcomes import FailureCode
from messages.values import Value
from store.couplings import Standing
from tests.contract.workers.by_hand import ByHand, applied, change, couple, refused
from tests.contract.workers.one_transaction import in_one_transaction

UPDATE = Operation.UPDATE
MAPPING_FILE = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
detect = "field"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "street"
right = "line1"
group = "address"
[[mappings.fields]]
left = "city"
right = "line2"
group = "address"
[[mappings.fields]]
left = "rank"
right = "grade"
values = { A = "gold", B = "silver" }
[[mappings.fields]]
left = "seller"
right = "owner"
reference = "seller"
[[mappings.fields]]
left = "credit"
right = "limit"
direction = "to_right"

[[mappings]]
name = "seller"
left = "bc/seller"
right = "sales/owner"
[[mappings.fields]]
left = "name"
right = "name"
"""
LEFT, RIGHT = "bc/customer/1", "sales/account/9"


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Two customers and two sellers who agree."""
    with in_one_transaction(store_url, MAPPING_FILE) as hands:
        hands.say(change("bc/seller/s", 1, name="S"), change("sales/owner/o", 1, name="S"))
        hands.couple("bc/seller/s", "sales/owner/o")
        hands.say(
            change(LEFT, 1, name="x", street="x", city="x", rank="A", seller="", credit=1),
            change(RIGHT, 1, title="x", line1="x", line2="x", grade="gold", owner="", limit=1),
        )
        hands.couple(LEFT, RIGHT)
        yield hands


def conflict(hands: ByHand, left: dict[str, Value], right: dict[str, Value]) -> int:
    """Both users change something; return the number of the error."""
    hands.say(change(LEFT, 2, UPDATE, **left), change(RIGHT, 2, UPDATE, **right))
    (opened,) = hands.errors()
    assert opened.report.kind is ErrorKind.UPDATE_CONFLICT
    assert hands.instructions() == []
    return opened.report.error


def sent(hands: ByHand, order: Synchronize) -> dict[str, dict[str, Value]]:
    """Order it; what each app is told to write. All of it is confirmed, and the error is over."""
    answer = hands.order(order)
    assert isinstance(answer, Done), answer
    told = {one.app: one for one in hands.instructions()}
    assert {one.reason for one in told.values()} <= {Reason.SYNCHRONIZE}
    hands.say(*(applied(one, 9) for one in told.values()))
    assert hands.instructions() == []
    assert all(one.status is ErrorStatus.RESOLVED for one in hands.known_errors())
    assert hands.pairs()[-1] == (LEFT, RIGHT, Standing.SYNCHRONIZED)
    return {app: one.fields for app, one in told.items()}


def nothing_follows(hands: ByHand) -> None:
    """Both agree: one more synchronization sends nothing."""
    assert sent(hands, Synchronize(coupling=hands.coupling(LEFT).id, keep=Keep.LEFT)) == {}


@pytest.mark.parametrize(
    ("keep", "bc", "sales"),
    [
        (Keep.LEFT, {"street": "r"}, {"title": "l", "limit": 5}),
        (Keep.RIGHT, {"street": "r", "name": "r"}, {"limit": 5}),
    ],
)
def test_keep_settles_what_is_contested_and_merges_the_rest(
    hands: ByHand, keep: Keep, bc: dict[str, Value], sales: dict[str, Value]
) -> None:
    """The side that wins would win what the other alone has changed, or what is not contested would be left behind."""
    error = conflict(hands, {"name": "l", "credit": 5}, {"title": "r", "line1": "r"})
    assert sent(hands, Synchronize(error=error, keep=keep)) == {"bc": bc, "sales": sales}
    nothing_follows(hands)


def test_each_field_its_own_side(hands: ByHand) -> None:
    """An operator could only choose whole records, and lose one user's work whichever they choose."""
    error = conflict(hands, {"name": "l", "rank": "B"}, {"title": "r", "grade": ""})
    order = Synchronize(error=error, fields={"name": Keep.LEFT, "rank": Keep.RIGHT})
    assert sent(hands, order) == {"sales": {"title": "l"}, "bc": {"rank": ""}}
    nothing_follows(hands)


def test_a_field_that_is_not_contested_may_be_named(hands: ByHand) -> None:
    """An operator could not take back what only one side has changed."""
    error = conflict(hands, {"name": "l", "rank": "B"}, {"title": "r"})
    order = Synchronize(error=error, fields={"name": Keep.LEFT, "rank": Keep.RIGHT})
    assert sent(hands, order) == {"sales": {"title": "l"}, "bc": {"rank": "A"}}


def test_a_value_that_neither_side_held(hands: ByHand) -> None:
    """Only one of the two would be told, or the value be taken for a user's change and flow back."""
    error = conflict(hands, {"name": "l"}, {"title": "r"})
    assert sent(hands, Synchronize(error=error, values={"name": "t"})) == {"bc": {"name": "t"}, "sales": {"title": "t"}}
    nothing_follows(hands)


def test_a_value_that_one_side_holds_already(hands: ByHand) -> None:
    """An app would be told to write what it has, and refuse it or raise its version for nothing."""
    error = conflict(hands, {"name": "l"}, {"title": "r"})
    assert sent(hands, Synchronize(error=error, values={"name": "r"})) == {"bc": {"name": "r"}}
    nothing_follows(hands)


def test_the_typed_value_becomes_the_base_when_both_have_it(hands: ByHand) -> None:
    """A user who sets a field back to the old value would be overruled by the base of before."""
    error = conflict(hands, {"name": "l"}, {"title": "r"})
    sent(hands, Synchronize(error=error, values={"name": "t"}))
    hands.say(change(LEFT, 20, UPDATE, name="x"))
    assert hands.instruction().fields == {"title": "x"}
    assert hands.errors()[-1].report.status is ErrorStatus.RESOLVED  # and none was opened since


def test_one_of_the_two_refuses_the_typed_value(hands: ByHand) -> None:
    """Half a choice would be taken for a whole one: the value stands on one side only, and nobody is told."""
    error = conflict(hands, {"name": "l"}, {"title": "r"})
    assert isinstance(hands.order(Synchronize(error=error, values={"name": "t"})), Done)
    told = {one.app: one for one in hands.instructions()}
    hands.say(applied(told["bc"], 9))
    assert hands.known_errors()[-1].status is ErrorStatus.RESOLVING
    hands.say(refused(told["sales"], FailureCode.VALIDATION_FAILED))
    report = hands.known_errors()[-1]
    assert (report.error, report.kind, report.status) == (error, ErrorKind.APPLY_FAILED, ErrorStatus.OPEN)
    assert [(one.left, one.right) for one in report.differences if one.field == "name"] == [("t", "r")]
    assert sent(hands, Synchronize(error=error, fields={"name": Keep.RIGHT})) == {"bc": {"name": "r"}}
    nothing_follows(hands)


def test_typed_values_are_spelled_as_the_left_side_does(hands: ByHand) -> None:
    """An operator would have to know both spellings, or the right app be sent one that it does not know."""
    error = conflict(hands, {"rank": "B", "seller": "?"}, {"grade": "", "owner": "!"})
    order = Synchronize(error=error, values={"rank": "B", "seller": "s"})
    assert sent(hands, order) == {"bc": {"seller": "s"}, "sales": {"grade": "silver", "owner": "o"}}
    nothing_follows(hands)


def test_a_group_moves_as_one(hands: ByHand) -> None:
    """A street of one town would be written to the other: an address that nobody has."""
    error = conflict(hands, {"street": "l"}, {"line2": "r"})
    for named in ("street", "city"):
        answer = hands.refusal(Synchronize(error=error, fields={named: Keep.LEFT}))
        assert answer.code is RefusalCode.INVALID
        assert "the group address moves as one" in answer.detail
    found = sent(hands, Synchronize(error=error, fields={"street": Keep.LEFT, "city": Keep.LEFT}))
    assert found == {"sales": {"line1": "l", "line2": "x"}}
    nothing_follows(hands)


def test_a_one_way_field_keeps_its_direction(hands: ByHand) -> None:
    """A choice would write against the direction of the mapping, where nothing may ever be written."""
    error = conflict(hands, {"name": "l"}, {"title": "r", "limit": 7})
    for order in (
        Synchronize(error=error, fields={"name": Keep.LEFT, "credit": Keep.RIGHT}),
        Synchronize(error=error, fields={"credit": Keep.RIGHT}, values={"name": "l"}),
    ):
        answer = hands.refusal(order)
        assert answer.code is RefusalCode.INVALID
        assert "credit does not flow from the right side" in answer.detail
    order = Synchronize(error=error, fields={"name": Keep.LEFT, "credit": Keep.LEFT})
    assert sent(hands, order) == {"sales": {"title": "l", "limit": 1}}


def test_a_typed_value_of_a_one_way_field(hands: ByHand) -> None:
    """The source of a one-way field would be written by what an operator types."""
    error = conflict(hands, {"name": "l"}, {"title": "r"})
    order = Synchronize(error=error, fields={"name": Keep.LEFT}, values={"credit": 3})
    assert sent(hands, order) == {"sales": {"title": "l", "limit": 3}}
    hands.say(change(LEFT, 20, UPDATE, credit=4))
    assert hands.instruction().fields == {"limit": 4}


def test_every_fault_of_a_choice_is_told_at_once(hands: ByHand) -> None:
    """An operator would mend fault after fault, part of a wrong choice be carried out, or what was typed be told."""
    error = conflict(hands, {"name": "l", "street": "l"}, {"title": "r", "line1": "r"})
    before = hands.known_errors(), hands.couplings()
    fields = {"street": Keep.LEFT, "credit": Keep.RIGHT, "nmae": Keep.LEFT}
    answer = hands.refusal(Synchronize(error=error, fields=fields, values={"rank": "secret", "seller": "nobody"}))
    assert answer.code is RefusalCode.INVALID
    for fault in (
        "nmae is no field of the mapping customer",
        "not said what becomes of the contested name",
        "the group address moves as one; city is not named",
        "credit does not flow from the right side",
        "the value typed for rank has no form on the right side: its value map does not know it",
        "the value typed for seller has no form on the right side: a coupled record does not know it",
    ):
        assert fault in answer.detail
    assert "secret" not in answer.detail
    assert "nobody" not in answer.detail
    assert (hands.known_errors(), hands.couplings(), hands.instructions()) == (*before, [])


def test_records_that_differed_when_they_were_coupled(hands: ByHand) -> None:
    """Differences from before the coupling could be settled by touching the records only."""
    hands.say(change("bc/customer/2", 1, name="l"), change("sales/account/8", 1, title="r"))
    answer = hands.order(couple("bc/customer/2", "sales/account/8"))
    assert isinstance(answer, Done)
    hands.order(Synchronize(coupling=hands.coupling("bc/customer/2").id, keep=Keep.RIGHT))
    instructed = hands.instruction()
    assert (instructed.app, instructed.fields) == ("bc", {"name": "r"})
    hands.say(applied(instructed, 2))
    assert hands.pairs()[-1][2] is Standing.SYNCHRONIZED
    hands.say(change("sales/account/8", 2, UPDATE, title="z"))
    assert hands.instruction().fields == {"name": "z"}


def test_a_manual_synchronization_sends_what_was_dismissed(hands: ByHand) -> None:
    """What an app refused would have to be changed once more before it could be sent again."""
    hands.say(change(LEFT, 2, UPDATE, name="l"))
    hands.say(refused(hands.instruction(), FailureCode.VALIDATION_FAILED))
    (opened,) = hands.errors()
    assert isinstance(hands.order(Dismiss(error=opened.report.error)), Done)
    assert sent(hands, Synchronize(coupling=opened.report.coupling, keep=Keep.LEFT)) == {"sales": {"title": "l"}}
    nothing_follows(hands)
