"""Rule 4 over real stores: uncoupled records are matched, created on the other side, or told about."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from messages.changes import Change, Operation
from messages.errors import ErrorEvent, ErrorKind, ErrorStatus
from messages.instructions import Action, Reason
from messages.outcomes import Applied, Failed, FailureCode
from messages.records import RecordRef
from store import records as record_store
from store.couplings import Standing
from tests.contract.workers.by_hand import ByHand, applied, by_hand, change, couple, gone, refused

MAPPING_FILE = """
[apps.bc]
[apps.sales]
confirms = "echo"
[apps.erp]

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["email"], ["name"]]
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "email"
right = "mail"

[[mappings]]
name = "order"
left = "bc/order"
right = "sales/deal"
only_coupled = false
[[mappings.fields]]
left = "no"
right = "number"
[[mappings.fields]]
left = "vendor"
right = "supplier"
reference = "vendor"

[[mappings]]
name = "item"
left = "bc/item"
right = "erp/part"
direction = "to_right"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
[[mappings.fields]]
left = "size"
right = "size"
"""
TABLES = ("bc/vendor", "sales/supplier", "bc/order", "sales/deal", "bc/item", "erp/part")
UPDATE = Operation.UPDATE


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Everything is loaded, nothing is there yet."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        hands.load(*TABLES)
        yield hands


def arrive(hands: ByHand, *messages: Change | Applied | Failed) -> None:
    """Apps say this in one batch, and what is due is done."""
    hands.say(*messages)
    hands.do_due_work()


def test_a_new_record_is_created_on_the_other_side(hands: ByHand) -> None:
    """A new record would stay alone, or its counterpart would be created again when it is announced."""
    arrive(hands, change("bc/vendor/1", 1, name="Ada", email="a@x"))
    create = hands.instruction()
    assert (create.app, create.action, create.table, create.key) == ("sales", Action.CREATE, "supplier", None)
    assert (create.fields, create.if_version, create.reason) == ({"title": "Ada", "mail": "a@x"}, None, Reason.CREATE)
    assert hands.pairs() == [("bc/vendor/1", "None", Standing.CREATING)]

    arrive(hands, applied(create, 1, key="S9"))
    assert hands.pairs() == [("bc/vendor/1", "sales/supplier/S9", Standing.SYNCHRONIZED)]
    arrive(hands, change("sales/supplier/S9", 1, title="Ada", mail="a@x"))
    assert (hands.instructions(), len(hands.couplings()), hands.waiting()) == ([], 1, 0)
    assert hands.errors() == []


def test_what_comes_while_it_is_created_follows_it(hands: ByHand) -> None:
    """An edit that crosses the create would be lost."""
    arrive(hands, change("bc/vendor/1", 1, name="Ada"))
    create = hands.instruction()
    arrive(hands, change("bc/vendor/1", 2, UPDATE, name="Ada L."))
    assert hands.instructions() == []
    arrive(hands, applied(create, 1, key="S9"))
    update = hands.instruction()
    assert (update.action, update.key, update.fields) == (Action.UPDATE, "S9", {"title": "Ada L."})


@pytest.mark.parametrize("outcome_too", [False, True], ids=["echo only", "and the outcome after it"])
def test_the_echo_of_an_app_that_confirms_by_echo(hands: ByHand, *, outcome_too: bool) -> None:
    """R15: an app that answers by announcing the new record would see it created once more in the app it came from."""
    arrive(hands, change("bc/vendor/1", 1, name="Ada", email="a@x"))
    create = hands.instruction()
    arrive(hands, change("sales/supplier/S9", 4, title="Ada", mail="a@x", own="more"))
    assert hands.pairs() == [("bc/vendor/1", "sales/supplier/S9", Standing.SYNCHRONIZED)]
    if outcome_too:
        arrive(hands, applied(create, 4, key="S9"))
    assert (hands.instructions(), len(hands.couplings()), hands.waiting()) == ([], 1, 0)


def test_the_echo_of_another_app_waits_for_the_outcome(hands: ByHand) -> None:
    """R15: the announcement may overtake the outcome; the record would be a stranger, and be doubled."""
    arrive(hands, change("sales/supplier/S1", 1, title="Ada", mail="a@x"))
    create = hands.instruction()
    assert (create.app, create.fields) == ("bc", {"name": "Ada", "email": "a@x"})
    arrive(hands, change("bc/vendor/V9", 1, name="Ada", email="a@x"))
    assert (hands.instructions(), hands.waiting()) == ([], 1)
    arrive(hands, applied(create, 1, key="V9"))
    assert hands.pairs() == [("bc/vendor/V9", "sales/supplier/S1", Standing.SYNCHRONIZED)]
    assert (hands.instructions(), hands.waiting()) == ([], 0)


def test_one_that_waited_and_turns_out_to_be_another_is_told_about(hands: ByHand) -> None:
    """Two records of one name would silently become two pairs, though the app has doubled one by mistake."""
    arrive(hands, change("sales/supplier/S1", 1, title="Ada"))
    create = hands.instruction()
    arrive(hands, change("bc/vendor/V5", 1, name="Ada"))
    arrive(hands, applied(create, 1, key="V9"))
    (opened,) = hands.errors()
    assert (opened.event, opened.report.kind) == (ErrorEvent.OPENED, ErrorKind.MATCH_AMBIGUOUS)
    assert opened.report.candidates == ("sales/supplier/S1",)
    assert "bc/vendor/V5" in opened.report.detail
    assert hands.instructions() == []


@pytest.mark.parametrize("matching", [{"mail": "A@X"}, {"title": "ADA"}], ids=["first group", "second group"])
def test_a_match_is_coupled(hands: ByHand, matching: dict[str, Any]) -> None:
    """A customer who is known on both sides would be created twice."""
    arrive(hands, change("bc/item/1", 1, name="x"))  # another mapping's; no match
    hands.instructions()
    arrive(hands, change("sales/supplier/S1", 1, **matching))
    create = hands.instruction()
    arrive(hands, refused(create, FailureCode.VALIDATION_FAILED))
    hands.errors()
    arrive(hands, change("bc/vendor/1", 1, name="Ada", email="a@x"))
    assert hands.coupling("bc/vendor/1").right == RecordRef("sales", "supplier", "S1")
    assert hands.instructions() == []  # differing records wait for the first change


def test_both_sides_of_a_match_in_one_batch(hands: ByHand) -> None:
    """Two sides that announce one customer at once would each create it on the other."""
    arrive(hands, change("bc/vendor/1", 1, name="Ada"), change("sales/supplier/S1", 1, title="ada"))
    assert hands.pairs() == [("bc/vendor/1", "sales/supplier/S1", Standing.SYNCHRONIZED)]
    assert (hands.instructions(), hands.waiting(), hands.errors()) == ([], 0, [])
    assert hands.log("bc/vendor/1")[-1] == "coupled"
    assert hands.log("sales/supplier/S1")[-1] == "coupled"


def test_two_of_one_name_are_not_tied_to_one_partner(hands: ByHand) -> None:
    """The second would be tied to a record that the first has taken, and both be refused by the store."""
    hands.say(change("erp/part/P1", 1, name="bolt"))
    arrive(hands, change("bc/item/1", 1, name="Bolt"), change("bc/item/2", 1, name="bolt"))
    assert hands.coupling("bc/item/1").right == RecordRef("erp", "part", "P1")
    create = hands.instruction()
    assert (create.action, create.coupling) == (Action.CREATE, hands.coupling("bc/item/2").id)


def test_an_app_that_answers_with_a_record_of_another_has_not_created_one(hands: ByHand) -> None:
    """One record would be in two couplings of a mapping; or the store would refuse, and the answer be dead."""
    arrive(hands, change("bc/vendor/1", 1, name="Ada"), change("bc/vendor/2", 1, name="Eve"))
    first, second = hands.instructions()
    arrive(hands, applied(first, 1, key="S1"), applied(second, 2, key="S1"))

    (opened,) = hands.errors()
    assert (opened.report.kind, opened.report.code) == (ErrorKind.APPLY_FAILED, "duplicate")
    assert "S1" in opened.report.detail
    assert sorted(pair[1:] for pair in hands.pairs()) == [
        ("None", Standing.CREATING),
        ("sales/supplier/S1", Standing.SYNCHRONIZED),
    ]


def test_a_refused_create_adopts_the_record_that_was_there(hands: ByHand) -> None:
    """``duplicate`` says that the app has the record; once it is announced the error would stay, nothing be synced."""
    arrive(hands, change("bc/vendor/1", 1, name="Ada", email="a@x"))
    arrive(hands, refused(hands.instruction(), FailureCode.DUPLICATE))
    (opened,) = hands.errors()
    assert (opened.event, opened.report.kind, opened.report.code) == (
        ErrorEvent.OPENED,
        ErrorKind.APPLY_FAILED,
        "duplicate",
    )
    assert "sales/supplier for bc/vendor/1" in opened.report.detail

    arrive(hands, change("sales/supplier/S1", 8, title="ADA", mail="a@x"))
    (resolved,) = hands.errors()
    assert (resolved.event, resolved.report.error) == (ErrorEvent.RESOLVED, opened.report.error)
    assert hands.pairs() == [("bc/vendor/1", "sales/supplier/S1", Standing.SYNCHRONIZED)]
    assert (hands.instructions(), hands.waiting()) == ([], 0)


def ambiguous(hands: ByHand) -> int:
    """A new record of which the other side has two; return the error's number."""
    hands.say(change("erp/part/P1", 1, name="bolt"), change("erp/part/P2", 1, name="Bolt"))
    hands.do_due_work()
    assert (hands.waiting(), hands.instructions()) == (0, [])  # nothing flows to the left
    arrive(hands, change("bc/item/1", 1, name="bolt", size=1))
    (opened,) = hands.errors()
    report = opened.report
    assert (opened.event, report.kind, report.status) == (
        ErrorEvent.OPENED,
        ErrorKind.MATCH_AMBIGUOUS,
        ErrorStatus.OPEN,
    )
    assert (report.candidates, report.candidates_total) == (("erp/part/P1", "erp/part/P2"), 2)
    assert (report.left is not None and report.left.key, report.right, report.coupling) == ("1", None, None)
    assert "bc/item/1" in report.detail
    assert (hands.instructions(), hands.couplings(), hands.waiting()) == ([], [], 1)
    assert hands.log("bc/item/1")[-1] == "error"
    return report.error


def test_several_matches_are_told_about(hands: ByHand) -> None:
    """The record would be tied to the first that comes, or created a third time."""
    ambiguous(hands)


def test_an_ambiguity_is_told_again_only_when_it_looks_different(hands: ByHand) -> None:
    """An operator would decide on what was yesterday; or be told the same thing at every change."""
    number = ambiguous(hands)
    arrive(hands, change("bc/item/1", 2, UPDATE, name="bolt", size=2))
    (updated,) = hands.errors()
    assert (updated.event, updated.report.error, updated.report.revision) == (ErrorEvent.UPDATED, number, 2)
    assert updated.report.left is not None
    assert updated.report.left.fields["size"] == 2
    arrive(hands, change("bc/item/1", 1, UPDATE, name="bolt", size=9))  # stale
    assert hands.errors() == []
    assert [(one.error, one.revision) for one in hands.known_errors()] == [(number, 2)]


def test_couple_ends_an_ambiguity(hands: ByHand) -> None:
    """An operator would say which one it is, and the error stay."""
    number = ambiguous(hands)
    coupling = hands.couple("bc/item/1", "erp/part/P2")
    (resolved,) = hands.errors()
    assert (resolved.event, resolved.report.error, resolved.report.status) == (
        ErrorEvent.RESOLVED,
        number,
        ErrorStatus.RESOLVED,
    )
    assert resolved.report.resolution == "couple"
    assert resolved.report.resolved_at == hands.now
    assert (hands.waiting(), hands.coupling("erp/part/P2").id) == (0, coupling.id)
    assert [one.status for one in hands.known_errors()] == [ErrorStatus.RESOLVED]


def test_an_ambiguity_ends_when_a_candidate_finds_its_partner(hands: ByHand) -> None:
    """The record would be coupled, and an error about it stay open for ever."""
    number = ambiguous(hands)
    arrive(hands, change("erp/part/P2", 2, UPDATE, name="BOLT"))
    assert hands.coupling("bc/item/1").right == RecordRef("erp", "part", "P2")
    (resolved,) = hands.errors()
    assert (resolved.event, resolved.report.error, resolved.report.resolution) == (
        ErrorEvent.RESOLVED,
        number,
        "matched",
    )
    assert hands.waiting() == 0


@pytest.mark.parametrize("how", ["deleted", "coupled"])
def test_an_ambiguity_ends_when_one_candidate_is_left(hands: ByHand, how: str) -> None:
    """The record would wait for a person although there is nothing left to choose from."""
    number = ambiguous(hands)
    if how == "deleted":
        hands.say(gone("erp/part/P1", 2))
    else:
        hands.say(change("bc/item/2", 1, name="nut"))
        hands.couple("bc/item/2", "erp/part/P1")
    hands.do_due_work()

    assert hands.coupling("bc/item/1").right == RecordRef("erp", "part", "P2")
    resolved = [one for one in hands.errors() if one.event is ErrorEvent.RESOLVED]
    assert [(one.report.error, one.report.resolution) for one in resolved] == [(number, "matched")]


def test_an_ambiguity_ends_with_its_record(hands: ByHand) -> None:
    """An error about a record that nobody has any more could never be settled."""
    number = ambiguous(hands)
    arrive(hands, gone("bc/item/1", 2))
    assert [(one.event, one.report.error) for one in hands.errors()] == [(ErrorEvent.RESOLVED, number)]
    assert hands.waiting() == 0


@pytest.mark.parametrize("side", ["bc/vendor/1", "sales/supplier/S1"])
def test_records_that_were_set_apart_stay_alone(hands: ByHand, side: str) -> None:
    """What a person has uncoupled would be coupled again by the next change."""
    refs = [("vendor", RecordRef.parse("bc/vendor/1")), ("vendor", RecordRef.parse("sales/supplier/S1"))]
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, refs)
    others: dict[str, dict[str, Any]] = {"bc/vendor/1": {"name": "Ada"}, "sales/supplier/S1": {"title": "Ada"}}
    arrive(hands, change(side, 1, **others[side]))
    arrive(hands, *(change(record, 2, UPDATE, **fields) for record, fields in others.items()))
    assert (hands.couplings(), hands.instructions(), hands.waiting()) == ([], [], 0)
    assert hands.log(side) == ["uncoupled", "uncoupled"]


def test_a_record_apart_is_no_match(hands: ByHand) -> None:
    """A new record would be tied to one that a person wants left alone."""
    hands.say(change("sales/supplier/S1", 1, title="Ada"))
    with hands.store.transaction() as conn:
        record_store.mark_apart(conn, [("vendor", RecordRef("sales", "supplier", "S1"))])
    hands.do_due_work()
    arrive(hands, change("bc/vendor/1", 1, name="Ada"))
    assert hands.instruction().action is Action.CREATE
    assert hands.pairs() == [("bc/vendor/1", "None", Standing.CREATING)]


@pytest.mark.parametrize("how", ["created", "coupled"])
def test_what_waits_for_a_reference_is_woken(hands: ByHand, how: str) -> None:
    """An order that came before its customer would wait for a change that nobody makes."""
    arrive(hands, change("bc/order/O1", 1, no="7", vendor="1"))
    (opened,) = hands.errors()
    assert (opened.report.kind, opened.report.family.value) == (ErrorKind.REFERENCE_NOT_COUPLED, "integration")
    assert hands.instructions() == []

    if how == "created":
        arrive(hands, change("bc/vendor/1", 1, name="Ada"))
        assert [one.event for one in hands.errors()] == []  # the customer is not there yet
        arrive(hands, applied(hands.instruction(), 1, key="S9"))
    else:
        hands.couple("bc/vendor/1", "sales/supplier/S9")
        hands.do_due_work()
    (create,) = (one for one in hands.instructions() if one.action is Action.CREATE)
    assert (create.table, create.fields) == ("deal", {"number": "7", "supplier": "S9"})
    (resolved,) = hands.errors()
    assert (resolved.event, resolved.report.error) == (ErrorEvent.RESOLVED, opened.report.error)
    arrive(hands, applied(create, 1, key="D1"))
    assert hands.coupling("bc/order/O1").right == RecordRef("sales", "deal", "D1")


def test_nothing_is_created_in_an_app_that_is_only_read(hands: ByHand) -> None:
    """A one-way mapping would write into the app that it reads."""
    arrive(hands, change("erp/part/P1", 1, name="bolt"))
    assert (hands.instructions(), hands.couplings(), hands.waiting()) == ([], [], 0)
    assert hands.log("erp/part/P1")[-1] == "uncoupled"


def test_one_that_is_gone_before_its_turn(hands: ByHand) -> None:
    """A record that was deleted at once would be created on the other side all the same."""
    hands.say(change("bc/vendor/1", 1, name="Ada"))
    hands.say(gone("bc/vendor/1", 2))
    hands.do_due_work()
    assert (hands.instructions(), hands.couplings(), hands.waiting()) == ([], [], 0)


def test_couple_by_hand_before_its_turn(hands: ByHand) -> None:
    """A record that an operator couples at once would be created on the other side as well."""
    hands.say(change("bc/vendor/1", 1, name="Ada"), change("sales/supplier/S1", 1, title="Bea"))
    hands.order(couple("bc/vendor/1", "sales/supplier/S1"))
    hands.do_due_work()
    assert len(hands.couplings()) == 1
    assert (hands.instructions(), hands.waiting()) == ([], 0)
