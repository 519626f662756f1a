"""An outage makes nobody silent: neither the broker's nor that of all workers ends in a flood of ``no_answer``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from store import instructions as instruction_store
from store.model import InstructionState
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.processes import LOOK_AGAIN_S, WorkerProcess
from tests.acceptance.wire import change
from tests.faults.servers.proxy import Proxy

WITHIN = timedelta(seconds=6)
MAPPING = """
[apps.bc]
[apps.sales]
answer_within = "6s"

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
[[mappings.fields]]
left = "name"
right = "title"
"""
PAIRS = 5
ENOUGH_S = 60


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it, a minute at most."""
    until_s = time.monotonic() + ENOUGH_S
    while not condition():
        assert time.monotonic() < until_s, what
        time.sleep(LOOK_AGAIN_S)


def outlast(within: timedelta) -> None:
    """Wait until so much time has passed, and half as much again."""
    until_s = time.monotonic() + 1.5 * within.total_seconds()
    wait_until(lambda: time.monotonic() >= until_s, "the time to pass")


def instruct(stage: Stage, name: str) -> list[dict[str, Any]]:
    """Pairs of records, of which each left one was changed: as many instructions to ``sales`` wait for their answer."""
    keys = [f"{name}-{number}" for number in range(PAIRS)]
    for key in keys:
        left, right = f"bc/customer/{key}", f"sales/account/{key}"
        stage.couple(change(left, "create", 1, {"name": "x"}), change(right, "create", 1, {"title": "x"}))
    stage.settle(*(change(f"bc/customer/{key}", "update", 2, {"name": "y"}) for key in keys))
    stage.wait(lambda: len(stage.instructions("sales", "account")) == PAIRS, "the instructions")
    return stage.instructions("sales", "account")


def states(stage: Stage) -> set[InstructionState]:
    """In which states there are instructions in flight; none was sent a second time."""
    with stage.store.reading() as conn:
        rows = instruction_store.in_flight(conn, 100)
    assert {row.sent.attempt for row in rows} <= {1}
    return {row.sent.state for row in rows}


@pytest.fixture
def stage(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """A stage on each pair of store and broker."""
    with open_stage(backend, tmp_path, MAPPING) as found:
        yield found


def test_workers_that_come_back_do_not_judge_before_all_is_read(stage: Stage) -> None:
    """After a night without workers every instruction would be an error, a moment before its answer is read.

    Who reads comes back last: a long queue would do the same.
    """
    first = stage.start_worker()
    first.wait_for("worker.started", 1, ENOUGH_S)
    sent = instruct(stage, "back")
    first.stop()
    stage.publish(*(stage.apply(one) for one in sent))
    outlast(WITHIN)
    stage.start_worker("--role", "timers", "--role", "relay").wait_for("worker.started", 1, ENOUGH_S)
    outlast(WITHIN)
    assert states(stage) == {InstructionState.SENT}
    stage.start_worker("--role", "changes").wait_for("worker.started", 1, ENOUGH_S)
    wait_until(lambda: states(stage) == set(), "the answers, handled")
    stage.quiet()
    assert stage.told("customer") == []


@pytest.fixture
def cut_off(servers: Backend, tmp_path: Path) -> Iterator[tuple[Stage, Proxy]]:
    """A stage whose worker reaches the broker by way of a proxy, which its apps do not."""
    with ExitStack() as stack:
        way = stack.enter_context(Proxy(urlsplit(servers.broker_url).port or 5672))
        stage = stack.enter_context(open_stage(servers, tmp_path, MAPPING))
        worker = WorkerProcess(
            tmp_path / "worker", stage.environ | {"RECOUPLE_BROKER_URL": way.url(servers.broker_url)}
        )
        stage.workers.append(worker)
        worker.wait_for("worker.started", 1, ENOUGH_S)
        yield stage, way


def test_while_the_broker_is_away_nobody_is_silent(cut_off: tuple[Stage, Proxy]) -> None:
    """An hour without the broker would be an error for everything in flight; those that matter would not be found."""
    stage, way = cut_off
    sent = instruct(stage, "cut-off")
    way.refuse()
    way.cut()
    stage.publish(*(stage.apply(one) for one in sent[1:]))
    outlast(WITHIN)
    assert states(stage) == {InstructionState.SENT}
    way.accept()
    wait_until(lambda: states(stage) == {InstructionState.UNANSWERED}, "the one that stays silent")
    stage.quiet()
    (told,) = stage.told("customer")
    assert (told["data"]["kind"], told["data"]["right"]["key"]) == ("no_answer", "cut-off-0")
