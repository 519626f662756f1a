"""``where`` over real stores: what is outside is heard, and left alone until a change brings it in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from messages.changes import Operation
from messages.commands import Done, Pause, RemoveCoupling, Resume
from messages.errors import ErrorEvent
from store import log as log_store
from tests.contract.workers.by_hand import MANY, ByHand, applied, by_hand, change, gone

UPDATE = Operation.UPDATE
MAPPING_FILE = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
on_deletion = "delete"
where = [{ side = "left", field = "country", is = "in", value = ["DE", "AT"] }]
[[mappings.fields]]
left = "name"
right = "title"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
where = [
    { side = "left", field = "country", is = "=", value = "DE" },
    { side = "right", field = "active", is = "=", value = true },
]
[[mappings.fields]]
left = "name"
right = "name"

[[mappings]]
name = "agent"
left = "bc/agent"
right = "sales/broker"
direction = "to_right"
only_coupled = false
match_on = [["name"]]
where = [{ side = "left", field = "country", is = "=", value = "DE" }]
[[mappings.fields]]
left = "name"
right = "name"
"""


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """A customer and an account that are coupled and agree; the vendors are loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        hands.load("bc/vendor", "sales/supplier")
        hands.say(change("bc/customer/1", 1, name="Ada", country="DE"), change("sales/account/9", 1, title="Ada"))
        hands.couple("bc/customer/1", "sales/account/9")
        yield hands


def last_line(hands: ByHand, record: str) -> tuple[str, str | None]:
    """The last word of the synchronization log about a record, and the rule behind it."""
    with hands.store.reading() as conn:
        line = log_store.of_record(conn, record, MANY)[-1]
    return line.outcome, line.rule


def test_leaving_the_filter_pauses_the_coupling(hands: ByHand) -> None:
    """A customer who moves abroad would be deleted, uncoupled or overwritten in the other app; or be forgotten."""
    hands.say(change("bc/customer/1", 2, UPDATE, country="CH"))
    assert last_line(hands, "bc/customer/1") == ("paused", "where")
    hands.say(change("bc/customer/1", 3, UPDATE, name="Bea"), change("sales/account/9", 2, UPDATE, title="Cyd"))
    assert (hands.instructions(), hands.errors()) == ([], [])
    assert hands.coupling("bc/customer/1").held_by == "where"


def test_a_deletion_outside_the_filter_is_not_passed_on(hands: ByHand) -> None:
    """Records that nobody keeps in step any more would still be deleted on the other side."""
    hands.say(change("bc/customer/1", 2, UPDATE, country="CH"))
    hands.say(gone("bc/customer/1", 3))
    assert (hands.instructions(), hands.errors()) == ([], [])
    assert hands.coupling("bc/customer/1").held_by == "where"


def test_coming_back_makes_up_for_it(hands: ByHand) -> None:
    """What changed while the record was outside would be lost."""
    hands.say(change("bc/customer/1", 2, UPDATE, country="CH", name="Bea"))
    hands.say(change("bc/customer/1", 3, UPDATE, country="AT"))
    assert hands.instruction().fields == {"title": "Bea"}
    assert hands.coupling("bc/customer/1").held_by is None


def test_a_resume_does_not_bring_back_what_is_outside(hands: ByHand) -> None:
    """The end of a pause would write over the filter."""
    assert isinstance(hands.order(Pause(mapping="customer")), Done)
    hands.say(change("bc/customer/1", 2, UPDATE, country="CH", name="Bea"))
    assert isinstance(hands.order(Resume(mapping="customer")), Done)
    hands.do_due_work()
    assert hands.instructions() == []
    assert hands.coupling("bc/customer/1").held_by == "where"


def test_a_held_coupling_can_be_removed(hands: ByHand) -> None:
    """A coupling that never comes back into the filter would stay for ever."""
    hands.say(change("bc/customer/1", 2, UPDATE, country="CH"))
    answer = hands.order(RemoveCoupling(coupling=hands.coupling("bc/customer/1").id))
    assert isinstance(answer, Done), answer


def test_a_new_record_outside_is_not_created(hands: ByHand) -> None:
    """Records that nobody wants in the other app would be created there."""
    hands.say(change("bc/vendor/1", 1, name="Eve", country="CH"))
    assert last_line(hands, "bc/vendor/1") == ("ignored", "where")
    hands.do_due_work()
    assert (hands.instructions(), hands.waiting()) == ([], 0)

    hands.say(change("bc/vendor/1", 2, UPDATE, country="DE"))
    hands.do_due_work()
    assert hands.instruction().fields == {"name": "Eve"}


def test_a_new_record_outside_is_not_matched(hands: ByHand) -> None:
    """A record would be coupled with one that is not to be kept in step."""
    hands.say(change("sales/supplier/7", 1, name="Eve", active=False))
    hands.do_due_work()
    hands.say(change("bc/vendor/1", 1, name="Eve", country="DE"))
    hands.do_due_work()
    sent = hands.instruction()
    assert (sent.app, sent.fields) == ("sales", {"name": "Eve"})
    hands.say(applied(sent, 1, "8"))
    assert ("bc/vendor/1", "sales/supplier/8") in [pair[:2] for pair in hands.pairs()]


def test_a_record_that_was_in_and_left_is_not_matched(hands: ByHand) -> None:
    """The other app's record would be coupled with what the filter has let go meanwhile."""
    assert isinstance(hands.order(Pause(mapping="vendor")), Done)
    hands.say(change("bc/vendor/1", 1, name="Eve", country="DE"))
    hands.do_due_work()
    hands.say(change("bc/vendor/1", 2, UPDATE, country="CH"))
    hands.say(change("sales/supplier/7", 1, name="Eve", active=True))
    assert isinstance(hands.order(Resume(mapping="vendor")), Done)
    hands.do_due_work()
    sent = hands.instruction()
    assert (sent.app, sent.fields) == ("bc", {"name": "Eve"})
    assert hands.waiting() == 0


def test_an_ambiguity_ends_when_the_record_leaves(hands: ByHand) -> None:
    """An error would stay open about a record that nobody wants to match any more."""
    hands.load("bc/agent", "sales/broker")
    hands.say(change("sales/broker/7", 1, name="Eve"), change("sales/broker/8", 1, name="Eve"))
    hands.do_due_work()
    hands.say(change("bc/agent/1", 1, name="Eve", country="DE"))
    hands.do_due_work()
    assert [one.event for one in hands.errors()] == [ErrorEvent.OPENED]
    hands.say(change("bc/agent/1", 2, UPDATE, country="CH"))
    hands.do_due_work()
    assert [one.event for one in hands.errors()] == [ErrorEvent.RESOLVED]
    assert (hands.instructions(), hands.waiting()) == ([], 0)


def test_a_record_that_we_create_may_be_outside(hands: ByHand) -> None:
    """An app that fills in the filtered field itself would make the create look unanswered."""
    hands.say(change("sales/supplier/7", 1, name="Eve", active=True))
    hands.do_due_work()
    sent = hands.instruction()
    hands.say(applied(sent, 1, "1"), change("bc/vendor/1", 2, UPDATE, country="CH"))
    hands.say(change("sales/supplier/7", 2, UPDATE, name="Eva"))
    assert hands.instructions() == []
    assert hands.coupling("bc/vendor/1").held_by == "where"
