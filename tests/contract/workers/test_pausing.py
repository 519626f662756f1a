"""``pause`` and ``resume`` over real stores: everything is heard, nothing is sent, and all of it is made up for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from messages.changes import Operation
from messages.commands import Done, Keep, Order, Pause, RefusalCode, Refused, Resume, Synchronize
from messages.outcomes import FailureCode
from tests.contract.workers.by_hand import ByHand, applied, by_hand, change, couple, refused

MAPPING_FILE = """
[apps.bc]
[apps.sales]
[apps.shop]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "shop/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
"""
UPDATE = Operation.UPDATE
MAPPING, APP = Pause(mapping="customer"), Pause(app="sales")
ENDS = {MAPPING: Resume(mapping="customer"), APP: Resume(app="sales")}


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """A customer and an account that are coupled and agree."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        hands.say(change("bc/customer/1", 1, name="Ada"), change("sales/account/9", 1, title="Ada"))
        hands.couple("bc/customer/1", "sales/account/9")
        yield hands


def done(hands: ByHand, order: Order) -> dict[str, object]:
    """An operator orders this, and it is done."""
    answer = hands.order(order)
    assert isinstance(answer, Done), answer
    return answer.result


@pytest.mark.parametrize("order", ENDS)
def test_nothing_is_sent_while_it_is_paused(hands: ByHand, order: Pause) -> None:
    """An operator who stops everything would watch it go on; or what happened meanwhile would be lost."""
    done(hands, order)
    hands.say(change("bc/customer/1", 2, UPDATE, name="Bea"))
    hands.say(change("bc/customer/1", 3, UPDATE, name="Cyd"))
    hands.do_due_work()
    name = "mapping customer" if order is MAPPING else "app sales"
    assert hands.instructions() == []
    assert hands.coupling("bc/customer/1").held_by == name
    assert hands.log("bc/customer/1")[-2:] == ["paused", "paused"]

    done(hands, ENDS[order])
    hands.do_due_work()
    assert hands.instruction().fields == {"title": "Cyd"}
    assert hands.coupling("bc/customer/1").held_by is None


@pytest.mark.parametrize("order", ENDS)
def test_the_answer_says_what_is_paused(hands: ByHand, order: Pause) -> None:
    """A script could not tell what it has paused."""
    name = "mapping" if order is MAPPING else "app"
    assert done(hands, order) == {name: "customer" if order is MAPPING else "sales", "paused": True}
    assert done(hands, ENDS[order]) == {name: "customer" if order is MAPPING else "sales", "paused": False}
    told = [line for line in hands.lines if line.event.startswith("pause.")]
    assert [(line.event, line.fields["scope"], line.fields["by"]) for line in told] == [
        ("pause.set", name, "ops/jane"),
        ("pause.ended", name, "ops/jane"),
    ]


def test_outcomes_are_taken_while_it_is_paused(hands: ByHand) -> None:
    """What an app did just before the pause would be asked for again, or count as never answered."""
    hands.say(change("bc/customer/1", 2, UPDATE, name="Bea"))
    sent = hands.instruction()
    done(hands, MAPPING)
    hands.say(applied(sent, 2))
    assert hands.coupling("bc/customer/1").flight == ()
    done(hands, ENDS[MAPPING])
    hands.do_due_work()
    assert hands.instructions() == []
    assert hands.errors() == []


def test_other_mappings_go_on(hands: ByHand) -> None:
    """One mapping in trouble would stop them all."""
    hands.load("bc/vendor", "shop/supplier")
    done(hands, APP)
    hands.say(change("bc/vendor/1", 1, name="Eve"))
    hands.do_due_work()
    assert hands.instruction().table == "supplier"


@pytest.mark.parametrize("scope", ["app", "mapping"])
def test_arrivals_wait_for_the_end_of_the_pause(hands: ByHand, scope: str) -> None:
    """Records would be created in an app that is paused, or never."""
    hands.load("bc/vendor", "shop/supplier")
    name = {"app": "shop", "mapping": "vendor"}[scope]
    done(hands, Pause(**{scope: name}))
    hands.say(change("bc/vendor/1", 1, name="Eve"))
    hands.do_due_work()
    assert (hands.instructions(), hands.waiting(), hands.due()) == ([], 1, 0)
    done(hands, Resume(**{scope: name}))
    hands.do_due_work()
    assert hands.instruction().fields == {"name": "Eve"}


def test_what_both_pauses_hold_waits_for_both(hands: ByHand) -> None:
    """The end of one pause would end the other."""
    done(hands, MAPPING)
    done(hands, APP)
    hands.say(change("bc/customer/1", 2, UPDATE, name="Bea"))
    done(hands, ENDS[MAPPING])
    hands.do_due_work()
    assert hands.instructions() == []
    done(hands, ENDS[APP])
    hands.do_due_work()
    assert hands.instruction().fields == {"title": "Bea"}


@pytest.mark.parametrize("second", ENDS)
def test_a_pause_that_follows_at_once_holds_again(hands: ByHand, second: Pause) -> None:
    """What was woken by the end of a pause, and paused again before it was decided, would never be decided."""
    done(hands, MAPPING)
    hands.say(change("bc/customer/1", 2, UPDATE, name="Bea"))
    done(hands, ENDS[MAPPING])
    done(hands, second)
    hands.do_due_work()
    assert hands.instructions() == []
    done(hands, ENDS[second])
    hands.do_due_work()
    assert hands.instruction().fields == {"title": "Bea"}


def test_a_retry_waits_on(hands: ByHand) -> None:
    """An app that is paused because it is down would be sent to all the same."""
    hands.say(change("bc/customer/1", 2, UPDATE, name="Bea"))
    hands.say(refused(hands.instruction(), FailureCode.UNAVAILABLE))
    done(hands, APP)
    hands.now += timedelta(minutes=5)
    hands.do_due_work()
    assert hands.instructions() == []
    done(hands, ENDS[APP])
    hands.now += timedelta(seconds=30)
    hands.do_due_work()
    again = hands.instruction()
    assert (again.fields, again.attempt) == ({"title": "Bea"}, 2)


def test_records_coupled_meanwhile_are_synchronized_afterwards(hands: ByHand) -> None:
    """``couple`` with ``keep`` would write to an app that is paused, or forget which side was to be kept."""
    hands.say(change("bc/customer/2", 1, name="Fay"), change("sales/account/8", 1, title="Gus"))
    done(hands, APP)
    done(hands, couple("bc/customer/2", "sales/account/8", keep=Keep.LEFT))
    hands.do_due_work()
    assert hands.instructions() == []
    done(hands, ENDS[APP])
    hands.do_due_work()
    assert hands.instruction().fields == {"title": "Fay"}


@pytest.mark.parametrize("order", [Pause(app="crm"), Pause(mapping="item"), Resume(app="crm"), Resume(mapping="item")])
def test_what_is_not_there_is_not_paused(hands: ByHand, order: Order) -> None:
    """A slip of the pen would look like a pause, and everything would go on."""
    refusal = hands.refusal(order)
    assert refusal.code is RefusalCode.NOT_FOUND
    assert "there are: " in refusal.detail


@pytest.mark.parametrize("order", ENDS)
def test_a_second_pause_says_who_was_first(hands: ByHand, order: Pause) -> None:
    """Two operators would each think that the pause is theirs to end."""
    done(hands, order)
    refusal = hands.refusal(order)
    assert refusal.code is RefusalCode.NOT_APPLICABLE
    assert "since 2026-03-01 12:00:00Z by ops/jane" in refusal.detail


@pytest.mark.parametrize("order", ENDS.values())
def test_what_is_not_paused_is_not_resumed(hands: ByHand, order: Resume) -> None:
    """An operator would believe to have ended a pause that somebody else had ended, or never began."""
    refusal = hands.refusal(order)
    assert refusal.code is RefusalCode.NOT_APPLICABLE
    assert "is not paused" in refusal.detail


def test_the_same_pause_twice_is_one(hands: ByHand) -> None:
    """A command delivered again would be refused, though it was done."""
    first = hands.order(MAPPING, "p1")
    assert not isinstance(first, Refused)
    assert hands.order(MAPPING, "p1") == first


def test_an_open_error_tells_what_changes_under_a_pause(hands: ByHand) -> None:
    """A choice that was made before would not be stale afterwards, and overwrite what nobody has seen."""
    hands.say(change("bc/customer/1", 2, UPDATE, name="left"), change("sales/account/9", 2, UPDATE, title="right"))
    (before,) = hands.known_errors()
    hands.order(Pause(mapping="customer"))

    hands.say(change("sales/account/9", 3, UPDATE, title="newer"))

    (after,) = hands.known_errors()
    assert (after.error, after.revision) == (before.error, before.revision + 1)
    assert after.actions == ("remove_coupling",)
    hands.order(Resume(mapping="customer"))
    answer = hands.order(Synchronize(error=after.error, revision=before.revision, keep=Keep.LEFT))
    assert isinstance(answer, Refused)
    assert answer.code is RefusalCode.STALE
