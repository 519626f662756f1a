"""``loaded`` over real stores: nothing is created before both tables are loaded, and nothing is forgotten then."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

import pytest

from messages import topology
from messages.codec import encode_command
from messages.commands import Done, Loaded, RefusalCode
from messages.instructions import Action
from messages.records import RecordRef
from tests.contract.workers.by_hand import (
    NS,
    ByHand,
    by_hand,
    change,
    command,
    delivery,
)
from tests.contract.workers.command_scene import MAPPING_FILE
from tests.services import empty
from workers.changes import handle_changes
from workers.commands import handle_command


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there, nothing is loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        yield hands


def test_nothing_is_created_before_both_tables_are_loaded(hands: ByHand) -> None:
    """Half of the records would be created on the other side just before they are announced there."""
    hands.say(change("bc/vendor/1", 1, name="Ada"), change("bc/vendor/2", 1, name="Bea"))
    hands.do_due_work()
    first = hands.order(Loaded(app="bc", table="vendor"))
    assert first == Done(
        command="loaded",
        result={"table": "bc/vendor", "opened": [], "waiting_for_the_other_table": ["vendor"], "jobs": []},
    )
    hands.do_due_work()
    hands.say(change("sales/supplier/9", 1, name="ADA"))
    hands.do_due_work()
    assert (hands.instructions(), hands.couplings(), hands.waiting()) == ([], [], 3)
    assert hands.log("bc/vendor/1") == ["queued"]

    second = hands.order(Loaded(app="sales", table="supplier"))
    assert isinstance(second, Done)
    assert second.result["opened"] == ["vendor"]
    assert hands.couplings() == []  # not in the command's own transaction
    hands.do_due_work()
    assert hands.coupling("bc/vendor/1").right == RecordRef("sales", "supplier", "9")
    create = hands.instruction()
    assert (create.action, create.fields) == (Action.CREATE, {"name": "Bea"})
    assert hands.waiting() == 0


def test_a_table_that_is_loaded_stays_loaded(hands: ByHand) -> None:
    """Saying it again would do the work again, or close the gate."""
    hands.load("bc/vendor", "sales/supplier")
    hands.say(change("bc/vendor/1", 1, name="Ada"))
    hands.do_due_work()
    assert len(hands.instructions()) == 1
    hands.load("bc/vendor", "sales/supplier")
    assert (hands.instructions(), len(hands.couplings())) == ([], 1)


def test_a_table_of_no_mapping(hands: ByHand) -> None:
    """A typing error would leave the gate closed, and nobody would know why."""
    answer = hands.refusal(Loaded(app="bc", table="vender"))
    assert answer.code is RefusalCode.NOT_FOUND
    assert "bc/vender" in answer.detail


STEPS = ("a record arrives", "the last table is loaded", "the timers look")


@pytest.mark.parametrize("order", list(permutations(STEPS)), ids=", ".join)
def test_an_arrival_and_the_last_loaded_in_any_order(hands: ByHand, order: tuple[str, ...]) -> None:
    """A record that arrives while its table is declared loaded would wait for ever, or be created twice."""
    hands.load("sales/supplier")
    for step in order:
        if step == STEPS[0]:
            hands.say(change("bc/vendor/1", 1, name="Ada"))
        elif step == STEPS[1]:
            hands.order(Loaded(app="bc", table="vendor"))
        else:
            hands.do_due_work()
    hands.do_due_work()
    assert hands.instruction().fields == {"name": "Ada"}
    assert (len(hands.couplings()), hands.waiting(), hands.due()) == (1, 0, 0)


@pytest.fixture
def at_once(postgres_url: str) -> Iterator[ByHand]:
    """A store in which several transactions are open at once."""
    empty(postgres_url)
    with by_hand(postgres_url, MAPPING_FILE) as hands:
        hands.load("sales/supplier")
        yield hands


def test_an_arrival_while_the_last_table_is_loaded(at_once: ByHand) -> None:
    """The gate would be opened by a worker that cannot see the record, which another is just putting behind it."""
    arriving = at_once.delivered(change("bc/vendor/1", 1, name="Ada"))
    with at_once.store.transaction() as conn:
        handle_changes(conn, at_once.context, [arriving], at_once.now)
        at_once.load("bc/vendor")
    at_once.do_due_work()
    assert at_once.instruction().fields == {"name": "Ada"}
    assert (len(at_once.couplings()), at_once.waiting()) == (1, 0)


def test_the_last_table_is_loaded_while_the_timers_look(at_once: ByHand) -> None:
    """The timers would find the gate closed, forget the record, and nobody would come back for it."""
    loaded = encode_command(command(Loaded(app="bc", table="vendor")), NS, at_once.now)
    with at_once.store.transaction() as conn:
        handle_command(conn, at_once.context, delivery(topology.commands_queue(NS), loaded), at_once.now)
        at_once.say(change("bc/vendor/1", 1, name="Ada"))
        at_once.do_due_work()
    assert at_once.couplings() == []
    at_once.do_due_work()
    assert at_once.instruction().fields == {"name": "Ada"}
    assert (len(at_once.couplings()), at_once.waiting()) == (1, 0)
