"""Somebody holds the row of one coupling for long, by hand in ``psql`` or in a worker that hangs: who has to wait?"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from store.connect import open_store
from tests.acceptance.clients import REPLIES, wait_for
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.wire import Message, change, command
from tests.mapping_files import ONE_FIELD
from tests.services import fresh_database

ANSWER_WITHIN = timedelta(seconds=5)
"""Nobody waits longer than this for the answer to a command about what is not locked."""


@pytest.fixture
def stage(postgres_url: str, amqp_url: str, tmp_path: Path) -> Iterator[Stage]:
    """PostgreSQL, which locks rows; SQLite has one lock for the whole file."""
    with (
        fresh_database(postgres_url) as store_url,
        open_stage(Backend(store_url, amqp_url), tmp_path, ONE_FIELD) as found,
    ):
        yield found


def conflict(stage: Stage, key: str) -> int:
    """Have both apps change one pair of records, and return the number of its coupling."""
    records = f"bc/customer/{key}", f"sales/account/{key}"
    created = [change(one, "create", 1, {name: "x"}) for one, name in zip(records, ("name", "title"), strict=True)]
    number = stage.couple(*created)
    instructed = len(stage.instructions("sales", "account"))
    stage.settle(change(records[0], "update", 2, {"name": "ours"}))
    (instruction,) = stage.instructions("sales", "account")[instructed:]
    stage.settle(change(records[1], "update", 2, {"title": "theirs"}))
    stage.settle(stage.refuse(instruction, "version_mismatch"))
    return number


@contextmanager
def locked(stage: Stage, coupling: int) -> Iterator[None]:
    """Hold the row of a coupling, as a transaction does that somebody forgot to end."""
    store = open_store(stage.backend.store_url)
    try:
        with store.transaction() as conn:
            conn.execute(text("SELECT 1 FROM couplings WHERE id = :id FOR UPDATE"), {"id": coupling})
            yield
    finally:
        store.close()


def keep_left(stage: Stage, coupling: int) -> Message:
    """The order to settle a conflict."""
    return command("synchronize", stage.client.reply_to, {"coupling": coupling, "keep": "left"})


def answers(stage: Stage, order: Message) -> list[str]:
    """What was answered to it so far."""
    return [one.event["type"] for one in stage.client.arrived[REPLIES] if one.properties["correlation_id"] == order.id]


def test_what_waited_for_a_lock_is_done_once(stage: Stage) -> None:
    """One forgotten transaction, and an operator's order would be lost, or refused, or carried out at each attempt."""
    worker = stage.start_worker()
    numbers = [conflict(stage, f"{number}") for number in range(3)]
    instructed = len(stage.instructions("sales", "account"))
    orders = [keep_left(stage, number) for number in numbers]
    with locked(stage, numbers[0]):
        stage.publish(*orders)
        stage.wait(lambda: worker.events("message.locked"), "the worker to have waited in vain")
        assert answers(stage, orders[0]) == []
    stage.wait(lambda: all(answers(stage, order) for order in orders), "the answers")
    stage.quiet()
    assert [answers(stage, order) for order in orders] == [["recouple.command.done"]] * len(orders)
    given = stage.instructions("sales", "account")[instructed:]
    assert sorted(one["data"]["key"] for one in given) == ["0", "1", "2"]
    assert stage.dead() == []


def test_a_command_on_a_locked_row_holds_up_no_other(stage: Stage) -> None:
    """One forgotten transaction would keep every operator waiting."""
    stage.start_worker()
    locked_one, other = (conflict(stage, f"{number}") for number in range(2))
    order = keep_left(stage, other)
    with locked(stage, locked_one):
        stage.publish(keep_left(stage, locked_one), order)
        wait_for(lambda: bool(answers(stage, order)), stage.client.look, "the answer", ANSWER_WITHIN)
