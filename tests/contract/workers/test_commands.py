"""Commands over real stores: what they do, what they answer, and that the same one twice does it once."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from messages import topology
from messages.changes import Operation
from messages.codec import encode_command
from messages.commands import Done, Keep, Loaded, RefusalCode, Refused
from messages.errors import ErrorKind
from messages.instructions import Action, Reason
from messages.outcomes import FailureCode
from messages.records import RecordRef
from messages.transport.ports import Delivery
from store import commands as command_store
from store import records as record_store
from store.couplings import Standing
from tests.contract.workers.by_hand import (
    NS,
    REPLIES,
    ByHand,
    answer_read,
    applied,
    by_hand,
    change,
    command,
    couple,
    delivery,
    gone,
    refused,
)
from tests.services import empty
from workers.changes import handle_changes
from workers.commands import handle_command

MAPPING_FILE = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"

[[mappings]]
name = "prospect"
left = "bc/customer"
right = "sales/lead"
[[mappings.fields]]
left = "name"
right = "topic"

[[mappings]]
name = "prospect-too"
left = "bc/customer"
right = "sales/lead"
[[mappings.fields]]
left = "city"
right = "place"

[[mappings]]
name = "vendor"
left = "bc/vendor"
right = "sales/supplier"
only_coupled = false
match_on = [["name"]]
[[mappings.fields]]
left = "name"
right = "name"
"""
UPDATE = Operation.UPDATE


@pytest.fixture
def hands(store_url: str) -> Iterator[ByHand]:
    """Nothing is there, nothing is loaded."""
    with by_hand(store_url, MAPPING_FILE) as hands:
        yield hands


def two(hands: ByHand, left: dict[str, Any] | None = None, right: dict[str, Any] | None = None) -> None:
    """A customer and an account that nobody has coupled."""
    mine, theirs = left or {"name": "Ada", "city": "x"}, right or {"title": "Ada", "town": "x"}
    hands.say(change("bc/customer/1", 3, **mine), change("sales/account/9", 5, **theirs))


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


# ``loaded``


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


# Once and only once, and to nobody else.


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
