"""What goes wrong with one message, one coupling or one delivery costs nobody else anything."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations

import pytest
from sqlalchemy import update

from store.couplings import Standing
from store.tables import couplings
from tests.acceptance.wire import Message, applied, change, command, failed
from tests.contract.workers.conftest import Workshop


def edit(key: str, version: int, name: str) -> Message:
    """Return an update on the left."""
    return change(f"bc/customer/{key}", "update", version, {"name": name})


def spoil(workshop: Workshop, key: str) -> None:
    """Damage the stored coupling of this key, as a faulty disk or a hand in the database would."""
    with workshop.store.transaction() as conn:
        damaged = conn.execute(update(couplings).where(couplings.c.left_key == key).values(state='{"id": "damaged"'))
    assert damaged.rowcount == 1


@pytest.mark.parametrize("position", [0, 3, 6])
def test_a_message_whose_handling_fails_costs_that_message_only(workshop: Workshop, position: int) -> None:
    """Else one damaged row stops an app's whole queue, for ever, as the batch comes again and fails again."""
    keys = [f"{number}" for number in range(7)]
    workshop.couple(keys)
    spoil(workshop, keys[position])
    messages = [edit(key, 2, "new") for key in keys]
    workshop.handle(*messages)

    instructed = {event["data"]["key"] for event in workshop.instructions()}
    assert instructed == set(keys) - {keys[position]}
    (dead,) = workshop.sent("dead")
    assert dead.body == messages[position].body
    assert dead.headers["x-recouple-reason"] == "failed_here"
    assert "report it" in dead.headers["x-recouple-detail"]
    (line,) = workshop.logged("batch.failed")
    assert line["level"] == "error"
    assert line["raised"].startswith("msgspec.")


def test_what_failed_can_be_sent_again_once_the_cause_is_gone(workshop: Workshop) -> None:
    """Else ``dead replay`` would bring nothing but duplicates."""
    workshop.couple(["1", "2"])
    with workshop.store.reading() as conn:
        sound = conn.execute(couplings.select().where(couplings.c.left_key == "1")).one().state
    spoil(workshop, "1")
    message = edit("1", 2, "new")
    workshop.handle(message, edit("2", 2, "new"))
    with workshop.store.transaction() as conn:
        conn.execute(update(couplings).where(couplings.c.left_key == "1").values(state=sound))
    workshop.instructions()
    workshop.handle(message)

    assert [event["data"]["key"] for event in workshop.instructions()] == ["1"]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in another batch"])
def test_the_duplicate_of_an_event_changes_nothing(workshop: Workshop, *, together: bool) -> None:
    """Else every redelivery sends instructions again, counts twice, or touches an error."""
    workshop.couple(["1", "2"])
    events = [
        edit("1", 2, "new"),
        edit("2", 2, "ours"),
        change("sales/account/2", "update", 2, {"title": "theirs"}),
    ]
    workshop.handle(*events, *(events if together else ()))
    before = workshop.knowledge()
    workshop.handle(*events)

    assert workshop.knowledge() == before
    assert len(workshop.instructions()) == 1
    assert len(workshop.sent("errors")) == 1
    assert workshop.outcomes("bc/customer/1").count("duplicate") == 1 + together


def test_due_work_that_fails_costs_that_work_only_and_is_put_off(workshop: Workshop) -> None:
    """Else one damaged row ends the worker that comes across it, each time that it is started."""
    keys = [f"{number}" for number in range(9)]
    workshop.couple(keys)
    workshop.handle(*(edit(key, 2, "new") for key in keys))
    refusals = [failed("sales", one, "unavailable", retry_after=0) for one in workshop.instructions()]
    workshop.handle(*refusals)
    spoil(workshop, "4")
    steps = workshop.do_due_work()

    assert {event["data"]["key"] for event in workshop.instructions()} == set(keys) - {"4"}
    assert workshop.count_due() == 0
    (line,) = workshop.logged("work.failed")
    assert (line["kind"], line["raised"].split(".")[0]) == ("retry", "msgspec")
    assert steps < 20


def outcomes_of(workshop: Workshop, kind: str) -> Sequence[Message]:
    """Start an instruction to the right, and return its outcome and a user's change there, whichever came first."""
    workshop.handle(edit("1", 2, "new"))
    (instruction,) = workshop.instructions()
    if kind == "applied":
        user = change("sales/account/1", "update", 3, {"town": "y"})
        return [applied("sales", instruction, 2), user]
    user = change("sales/account/1", "update", 2, {"town": "y"})
    return [failed("sales", instruction, "version_mismatch"), user]


@pytest.mark.parametrize("kind", ["applied", "refused"])
@pytest.mark.parametrize("order", list(permutations(range(2))), ids=str)
def test_a_change_and_an_outcome_in_one_batch_end_the_same_in_either_order(
    workshop: Workshop, kind: str, order: tuple[int, int]
) -> None:
    """Else what becomes of a record depends on which of two workers, or queues, was the faster."""
    workshop.couple(["1"])
    messages = outcomes_of(workshop, kind)
    workshop.handle(*(messages[position] for position in order))

    instructions = {event["data"]["table"]: event["data"] for event in workshop.instructions()}
    errors = [error.event["data"]["kind"] for error in workshop.sent("errors")]
    if kind == "applied":
        assert {table: data["fields"] for table, data in instructions.items()} == {"customer": {"city": "y"}}
        assert errors == []
        assert workshop.standing("1") is Standing.IN_FLIGHT
    else:
        assert instructions == {}
        assert errors == ["update_conflict"]
        assert workshop.standing("1") is Standing.SKIPPED


def test_a_command_that_fails_in_recouple_is_answered_all_the_same(workshop: Workshop) -> None:
    """Else an operator waits for an answer that never comes, and the commands behind it wait with them."""
    workshop.couple(["1"])
    spoil(workshop, "1")
    reply_to = f"{workshop.context.namespace}.replies.test"
    again = command("couple", reply_to, {"left": "bc/customer/1", "right": "sales/account/2"})
    workshop.order(again)

    (answer,) = workshop.answers(reply_to)
    assert answer["type"] == "recouple.command.refused"
    assert answer["data"]["code"] == "failed"
    (dead,) = workshop.sent("dead")
    assert dead.body == again.body
