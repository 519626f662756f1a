"""How commands are answered: once, the same one twice alike, and nobody but who asked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from messages import topology
from messages.codec import encode_command
from messages.commands import Done, Keep, RefusalCode, Refused
from messages.transport.ports import Delivery
from store import commands as command_store
from tests.contract.workers.by_hand import (
    NS,
    REPLIES,
    ByHand,
    applied,
    by_hand,
    command,
    couple,
    delivery,
)
from tests.contract.workers.command_scene import MAPPING_FILE, two


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there, nothing is loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        yield hands


@pytest.mark.parametrize("refused_too", [False, True], ids=["done", "refused"])
def test_the_same_command_twice(hands: ByHand, *, refused_too: bool) -> None:
    """A command that is delivered again would be carried out again, or tell its sender that it was refused."""
    two(hands, right={"title": "Bea", "town": "y"})
    order = couple("bc/customer/1", "sales/account/9" if not refused_too else "sales/supplier/9", keep=Keep.LEFT)
    answers = [hands.order(order, name="c1")]
    before = (hands.couplings(), len(hands.instructions()), hands.log("bc/customer/1"))
    hands.now += timedelta(hours=1)
    answers.append(hands.order(order, name="c1"))
    assert isinstance(answers[0], Refused if refused_too else Done)
    assert answers[0] == answers[1]
    assert before[1] == (0 if refused_too else 1)
    assert (hands.couplings(), hands.instructions(), hands.log("bc/customer/1")) == (before[0], [], before[2])


def test_the_same_answer_is_the_same_byte_for_byte(hands: ByHand) -> None:
    """Whoever tells messages apart by their bytes would take the repeated answer for a second, another one."""
    ordered = encode_command(command(couple("bc/customer/1", "sales/account/9"), "c1"), NS, hands.now)
    told = []
    for _ in range(2):
        hands.deliver_command(delivery(topology.commands_queue(NS), ordered))
        told += hands.published("")
        hands.now += timedelta(hours=1)
    assert told[0] == told[1]


def test_the_answer_stays_what_it_was(hands: ByHand) -> None:
    """An operator who asks again would hear of the state of today as if it were what the command did."""
    two(hands, right={"title": "Bea", "town": "y"})
    first = hands.order(couple("bc/customer/1", "sales/account/9", keep=Keep.LEFT), name="c1")
    hands.say(applied(hands.instruction(), 6))
    assert hands.order(couple("bc/customer/1", "sales/account/9", keep=Keep.LEFT), name="c1") == first


def test_an_id_that_was_used_for_something_else(hands: ByHand) -> None:
    """The second order would be lost behind the answer to the first."""
    first = hands.order(couple("bc/customer/1", "sales/account/9"), name="c1")
    second = hands.order(couple("bc/customer/2", "sales/account/8"), name="c1")
    assert isinstance(second, Refused)
    assert (second.code, len(hands.couplings())) == (RefusalCode.ID_REUSED, 1)
    assert "c1" in second.detail
    assert hands.order(couple("bc/customer/1", "sales/account/9"), name="c1") == first


def ordered(hands: ByHand, **more: Any) -> Delivery:
    """A command on the wire, with these members of ``data`` in place of its own."""
    made = encode_command(command(couple("bc/customer/1", "sales/account/9")), NS, hands.now)
    event = json.loads(made.body)
    event["data"] |= more
    return delivery(topology.commands_queue(NS), replace(made, body=json.dumps(event).encode()))


def test_what_is_wrong_is_told_all_at_once(hands: ByHand) -> None:
    """An operator would mend one fault after the other; or what they typed would stand in a log."""
    hands.deliver_command(ordered(hands, left="nonsense", mapping="Not A Name", keep="upper"))
    (answer,) = hands.answers()
    assert isinstance(answer, Refused)
    assert (answer.command, answer.code) == ("couple", RefusalCode.INVALID)
    assert all(f"data.{name}" in answer.detail for name in ("left", "mapping", "keep"))
    assert hands.couplings() == []
    (line,) = hands.lines
    assert (line.event, line.fields["code"]) == ("command.refused", RefusalCode.INVALID)
    assert not any("nonsense" in str(value) or "Not A Name" in str(value) for value in line.fields.values())


def test_an_invalid_command_does_not_use_up_its_id(hands: ByHand) -> None:
    """Whoever mends a fault and sends the same id would be told that it was used."""
    made = ordered(hands, keep="upper")
    hands.deliver_command(made)
    event = json.loads(made.body)
    del event["data"]["keep"]
    hands.deliver_command(replace(made, body=json.dumps(event).encode()))
    assert [type(one) for one in hands.answers()] == [Refused, Done]


def test_no_command_makes_us_write_into_another_s_queue(hands: ByHand) -> None:
    """Whoever may order could have us put messages into the queue of an app, with our rights."""
    for reply_to in (f"{NS}.commands", f"{NS}.changes.bc", "their.queue", f"{NS}.repliesx"):
        made = ordered(hands)
        forged = replace(made, properties=replace(made.properties, reply_to=reply_to))
        hands.deliver_command(forged)
        (dead,) = hands.dead()
        assert dead.body == forged.body
        assert dead.properties.headers["x-recouple-reason"] == "reply_not_allowed"
        assert dead.routing_key == topology.commands_queue(NS)
        assert (hands.answers(), hands.couplings()) == ([], [])
    assert {line.event for line in hands.lines} == {"change.dead"}


def test_where_the_answer_goes(hands: ByHand) -> None:
    """The answer would reach somebody else, or nobody would know to what it is one."""
    made = ordered(hands)
    hands.deliver_command(made)
    (answer,) = hands.published("")
    assert (answer.exchange, answer.routing_key) == ("", REPLIES)
    assert answer.properties.correlation_id == made.properties.message_id


def test_a_command_that_wants_no_answer(hands: ByHand) -> None:
    """A program that orders and goes would be refused, or its order be lost."""
    made = ordered(hands)
    hands.deliver_command(replace(made, properties=replace(made.properties, reply_to=None)))
    assert (hands.answers(), len(hands.couplings())) == ([], 1)


def test_the_audit(hands: ByHand) -> None:
    """Nobody could tell who ordered what, why, and what came of it."""
    made = ordered(hands)
    hands.deliver_command(replace(made, properties=replace(made.properties, user_id="jane")))
    with hands.store.reading() as conn:
        (row,) = command_store.page(conn, 10)
    assert (row.ordered.source, row.ordered.name, row.ordered.user_id) == ("ops/jane", "couple", "jane")
    assert row.ordered.reason == "why not"
    assert json.loads(row.ordered.body)["left"] == "bc/customer/1"
    assert row.answered_at == hands.now
    (line,) = [one for one in hands.lines if one.event == "command.done"]
    assert (line.fields["by"], line.fields["user_id"]) == ("ops/jane", "jane")
    assert "why not" not in str(line)
