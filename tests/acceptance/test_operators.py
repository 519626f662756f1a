"""Operators who order at the same time, orders that come twice, workers that die over an order.

What several workers do is played on PostgreSQL and RabbitMQ; the rest on both backends.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from store import commands as command_store
from store import couplings as coupling_store
from tests.acceptance.cases import APPS, Pair, mapping, seen
from tests.acceptance.clients import REPLIES
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.processes import WorkerProcess
from tests.acceptance.wire import Message, command
from tests.services import fresh_database

MAPPING = "\n".join((APPS, mapping("disputed", "name")))
DISPUTED = 12
SHORT = {"RECOUPLE_OUTBOX_LEASE": "1s"}
"""Nobody waits long for what a dead worker had taken."""


@pytest.fixture
def busy(servers: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage on PostgreSQL and RabbitMQ, on which one worker works so far."""
    with fresh_database(servers.store_url) as store_url:
        backend = Backend(store_url, servers.broker_url)
        with open_stage(backend, tmp_path, MAPPING, SHORT) as opened:
            opened.start_worker()
            yield opened


@pytest.fixture
def stage(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage on each backend, on which one worker works."""
    if backend.broker_url.startswith("embedded"):
        backend = backend._replace(broker_url=f"{backend.broker_url}?lease_s=1")
    with open_stage(backend, tmp_path, MAPPING, SHORT) as opened:
        opened.start_worker()
        yield opened


def disputes(stage: Stage, number: int = DISPUTED) -> dict[int, Pair]:
    """So many update conflicts, by the number of the error."""
    pairs = [Pair(stage, "disputed", f"{one}") for one in range(number)]
    for pair in pairs:
        pair.couple(name="base")
    stage.settle(*[pair.edit("left", 2, name="left's") for pair in pairs])
    refusals = [stage.refuse(pair.sent_to("right")[0], "version_mismatch") for pair in pairs]
    stage.settle(*[pair.edit("right", 2, name="right's") for pair in pairs], *refusals)
    return {pair.told[-1]["error"]: pair for pair in pairs}


def orders(stage: Stage, errors: dict[int, Pair], **data: Any) -> list[Message]:
    """An order to synchronize each of these errors, as it was shown."""
    return [command("synchronize", stage.client.reply_to, {**seen(pair.told[-1]), **data}) for pair in errors.values()]


def answers(stage: Stage, ordered: Message) -> list[dict[str, Any]]:
    """Every answer to one order, without what is new in each message: its type and its data."""
    arrived = [one for one in stage.client.arrived[REPLIES] if one.properties["correlation_id"] == ordered.id]
    return [{"type": one.event["type"], **one.event["data"]} for one in arrived]


def await_answers(stage: Stage, ordered: Sequence[Message], each: int = 1) -> None:
    """Wait until each order has so many answers and all that follows has come; there are no more than that."""
    stage.wait(lambda: all(len(answers(stage, one)) >= each for one in ordered), "the answers")
    stage.quiet()
    assert {len(answers(stage, one)) for one in ordered} == {each}


def start_second(stage: Stage) -> WorkerProcess:
    """Have a second worker at work."""
    second = stage.start_worker()
    stage.wait(lambda: second.events("worker.started"), "the second worker")
    return second


def synchronizations(pair: Pair) -> list[dict[str, Any]]:
    """What was instructed because an operator chose."""
    sent = (*pair.sent_to("left"), *pair.sent_to("right"))
    return [event for event in sent if event["data"]["reason"] == "synchronize"]


# --- at the same time


def test_of_two_operators_at_once_one_decides_and_the_other_is_told(busy: Stage) -> None:
    """Else the second overwrites what the first has just settled, and neither knows."""
    errors = disputes(busy)
    start_second(busy)
    ann, ben = (orders(busy, errors, keep=side) for side in ("left", "right"))

    busy.publish(*[order for both in zip(ann, ben, strict=True) for order in both])
    await_answers(busy, [*ann, *ben])

    for number, pair, *both in zip(errors, errors.values(), ann, ben, strict=True):
        found = [answers(busy, one)[0] for one in both]
        assert Counter(one.get("code", "done") for one in found) == {"done": 1, "stale": 1}
        (stale,) = (one for one in found if one.get("code") == "stale")
        assert (stale["error"]["error"], stale["error"]["status"]) == (number, "resolving")
        assert [one["command"] for one in stale["error"]["history"]] == ["synchronize"]
        (instruction,) = synchronizations(pair)
        (result,) = (one["result"] for one in found if "result" in one)
        assert [one["id"] for one in result["instructions"]] == [instruction["id"]]
    worked = [len(worker.events("command.done")) + len(worker.events("command.refused")) for worker in busy.workers]
    assert all(worked), "both workers had a part in it"


def test_an_order_published_twice_at_once_has_one_effect_and_one_answer_twice(busy: Stage) -> None:
    """Else a program that publishes again after a lost connection does a thing twice."""
    errors = disputes(busy)
    start_second(busy)
    ordered = orders(busy, errors, keep="left")

    busy.publish(*[order for order in ordered for _ in range(2)])
    await_answers(busy, ordered, each=2)

    for one, pair in zip(ordered, errors.values(), strict=True):
        first, second = answers(busy, one)
        assert first == second
        assert first["type"] == "recouple.command.done"
        assert len(synchronizations(pair)) == 1
        assert [handling["id"] for handling in pair.told[-1]["history"]] == [one.id]


# --- workers that die


def test_a_worker_killed_after_the_commit_leaves_the_answer_to_the_next(stage: Stage) -> None:
    """Else the operator waits in vain, orders again, and is told that it does not apply."""
    errors = disputes(stage, 3)
    assert stage.workers[0].stop() == 0
    ordered = orders(stage, errors, keep="left")
    doomed = stage.start_worker("--role", "commands")  # decides, and publishes nothing
    stage.publish(*ordered)
    stage.wait(lambda: answered(stage) >= {one.id for one in ordered}, "the answers to be committed")
    kill(doomed)
    assert not any(answers(stage, one) for one in ordered)

    stage.start_worker()
    stage.wait(lambda: all(answers(stage, one) for one in ordered), "the answers")
    stage.quiet()

    for one in ordered:
        first, *again = answers(stage, one)
        assert first["type"] == "recouple.command.done"
        assert again in ([], [first])  # the last may have been killed before it acknowledged: it is answered once more
    assert {len(synchronizations(pair)) for pair in errors.values()} == {1}


def test_a_worker_killed_before_the_commit_has_done_nothing_and_the_next_does_it(busy: Stage) -> None:
    """Else an order is lost, or half of it stays. The worker is held where it locks the coupling, and dies there."""
    errors = disputes(busy, 1)
    (pair,) = errors.values()
    assert busy.workers[0].stop() == 0
    doomed = busy.start_worker("--role", "commands")
    (ordered,) = orders(busy, errors, keep="left")
    with busy.store.transaction() as conn:
        assert coupling_store.lock(conn, (), [pair.coupling or 0])
        busy.publish(ordered)
        busy.wait(lambda: somebody_waits(busy), "the worker to wait for the lock")
        kill(doomed)
    assert answered(busy).isdisjoint({ordered.id})
    assert synchronizations(pair) == []

    busy.start_worker()
    await_answers(busy, [ordered])

    assert answers(busy, ordered)[0]["type"] == "recouple.command.done"
    assert len(synchronizations(pair)) == 1


def kill(worker: WorkerProcess) -> None:
    """End it in the middle of what it does."""
    worker.signal(signal.SIGKILL)
    assert worker.wait(5) == -signal.SIGKILL


def answered(stage: Stage) -> set[str]:
    """The orders to which an answer is committed."""
    with stage.store.reading() as conn:
        return {one.ordered.id for one in command_store.page(conn, 1000) if one.answer is not None}


def somebody_waits(stage: Stage) -> bool:
    """Say whether a transaction of this database waits for the lock of another."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with stage.store.reading() as conn:
        return bool(conn.execute(sa.text(waiting)).scalar())
