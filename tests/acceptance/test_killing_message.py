"""A message that kills the process which handles it: few deaths, one dead letter, and nobody else notices."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pytest

from store import log as log_store
from tests.acceptance.clients import REPLIES, wait_for
from tests.acceptance.harness import Backend, Stage, open_stage, record_of
from tests.acceptance.processes import WorkerProcess
from tests.acceptance.wire import Message, change, command
from tests.mapping_files import ONE_FIELD
from workers.suspects import MAX_DEATHS, SUSPECT_AFTER

AROUND, BESIDE = 300, 5
AT_MOST = 6
"""How many processes a message may kill in all."""

ENOUGH_S = 200
"""Every death is a process more to be started, which takes seconds on a machine with much to do."""

pytestmark = pytest.mark.timeout(ENOUGH_S + 60)

CODES = {"deadly-exit": 77, "deadly-kill": -signal.SIGKILL, "deadly-fault": -signal.SIGSEGV}


class PoisonedWorker(WorkerProcess):
    """A worker that dies over certain messages."""

    command: ClassVar[tuple[str, ...]] = (sys.executable, "-m", "tests.faults.poisoned_worker")


class Supervisor:
    """Starts a worker anew when it has died, as a service manager does, but not for ever.

    Attributes:
        ends: The exit codes of those that have died.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage, self.ends = stage, list[int]()
        self._start()

    def look(self) -> None:
        """See to the worker, and gather what has arrived."""
        if not self._worker.is_running():
            self.ends.append(self._worker.wait(0))
            assert len(self.ends) <= 3 * AT_MOST, f"it dies and dies: {self.ends}"
            self._start()
        self._stage.client.look()

    def stop(self) -> int:
        """Stop the worker; return its exit code."""
        self._worker.wait_for("worker.started", 1, ENOUGH_S)
        return self._worker.stop()

    def _start(self) -> None:
        stage = self._stage
        self._worker = PoisonedWorker(stage.folder / f"poisoned-{len(self.ends)}", stage.environ)
        stage.workers.append(self._worker)


@pytest.fixture
def stage(backend: Backend, tmp_path: Path) -> Iterator[Stage]:
    """Short leases, so that nobody waits long for the dead."""
    if backend.broker_url.startswith("embedded"):
        backend = backend._replace(broker_url=f"{backend.broker_url}?lease_s=1")
    with open_stage(backend, tmp_path, ONE_FIELD, {"RECOUPLE_OUTBOX_LEASE": "1s"}) as stage:
        yield stage


def edit(key: str, version: int = 2) -> Message:
    """A user's edit in the left app."""
    return change(f"bc/customer/{key}", "update", version, {"name": f"new {key}"})


def couple(stage: Stage, keys: list[str]) -> None:
    """Couple the records of these keys."""
    worker = stage.start_worker()
    worker.wait_for("worker.started", 1, ENOUGH_S)
    for key in keys:
        stage.couple(
            change(f"bc/customer/{key}", "create", 1, {"name": "base"}),
            change(f"sales/account/{key}", "create", 1, {"title": "base"}),
        )
    assert worker.stop() == 0


def sent(stage: Stage) -> list[dict[str, Any]]:
    """Every instruction to the right app, as often as it was told."""
    return stage.instructions("sales", "account")


def times_handled(stage: Stage, messages: list[Message]) -> Counter[str]:
    """How often each event was handled, duplicates not counted."""
    found: Counter[str] = Counter({one.id: 0 for one in messages})
    with stage.store.reading() as conn:
        for one in messages:
            lines = log_store.of_record(conn, record_of(one), limit=10)
            found.update(line.event or "" for line in lines if line.event == one.id and line.outcome != "duplicate")
    return found


def wait(stage: Stage, supervisor: Supervisor, dead: int, answers: int) -> None:
    """Wait until so much is dead and so many commands are answered."""
    until_s = time.monotonic() + ENOUGH_S

    def done() -> bool:
        return len(stage.dead()) >= dead and len(stage.client.arrived[REPLIES]) >= answers

    while not done() and time.monotonic() < until_s:
        supervisor.look()
    assert done(), (len(stage.dead()), len(stage.client.arrived[REPLIES]), supervisor.ends)


def wait_handled(stage: Stage, supervisor: Supervisor, others: list[Message]) -> None:
    """Wait until each of these was handled."""
    enough = timedelta(seconds=ENOUGH_S)
    wait_for(lambda: times_handled(stage, others).total() >= len(others), supervisor.look, "all others", enough)


@pytest.mark.parametrize("mark", ["deadly-exit", "deadly-fault"])
def test_a_change_that_kills_costs_few_deaths_and_itself(stage: Stage, mark: str) -> None:
    """Else one message stops an app's queue for ever, or takes down with it what happens to be near."""
    keys = [f"beside {mark} {number}".replace("deadly", "a") for number in range(BESIDE)]
    couple(stage, keys)
    answered = len(stage.client.arrived[REPLIES])
    beside = [edit(key) for key in keys]
    around = [edit(f"around {keys[0]} {number}") for number in range(AROUND)]
    poison = edit(mark)
    stage.publish(*around[: AROUND // 2], *beside[:2], poison, *beside[2:], *around[AROUND // 2 :])
    order = {"left": f"bc/customer/x {keys[0]}", "right": f"sales/account/x {keys[0]}"}
    stage.publish(command("couple", stage.client.reply_to, order))
    supervisor = Supervisor(stage)
    wait(stage, supervisor, 1, answered + 1)
    others = [*around, *beside]
    wait_handled(stage, supervisor, others)
    stage.quiet()

    assert supervisor.stop() == 0
    assert set(supervisor.ends) == {CODES[mark]}
    assert len(supervisor.ends) == SUSPECT_AFTER + MAX_DEATHS <= AT_MOST
    (dead,) = stage.dead()
    assert (dead.body, dead.headers["x-recouple-reason"]) == (poison.body, "killed_worker")
    assert set(times_handled(stage, others).values()) == {1}
    told = {(event["id"], event["data"]["key"], event["data"]["action"]) for event in sent(stage)}
    updated = [key for _, key, action in told if action == "update"]  # told again after a death, with the same id
    assert sorted(updated) == keys


def test_a_command_and_a_change_that_kill_do_not_drag_others_along(stage: Stage) -> None:
    """Else of two poisons in two queues each, and what is near it, would be charged with what the other did."""
    poison, order = edit("deadly-kill"), {"left": "bc/customer/deadly-exit", "right": "sales/account/y"}
    others = [edit(f"around {number}") for number in range(20)]
    commands = [command("couple", stage.client.reply_to, order)]
    commands += [
        command("couple", stage.client.reply_to, {"left": f"bc/customer/{n}", "right": f"sales/account/{n}"})
        for n in range(5)
    ]
    stage.publish(*others[:10], poison, *others[10:], *commands)
    supervisor = Supervisor(stage)
    wait(stage, supervisor, 2, len(commands))
    wait_handled(stage, supervisor, others)
    stage.quiet()

    assert supervisor.stop() == 0
    ends = Counter(supervisor.ends)
    assert ends[CODES["deadly-exit"]] <= AT_MOST
    assert ends[CODES["deadly-kill"]] <= AT_MOST
    assert ends.total() == ends[CODES["deadly-exit"]] + ends[CODES["deadly-kill"]]
    assert {dead.body for dead in stage.dead()} == {poison.body, commands[0].body}
    assert set(times_handled(stage, others).values()) == {1}
    answers = {one.properties["correlation_id"]: one.event for one in stage.client.arrived[REPLIES]}
    assert answers.keys() == {one.id for one in commands}
    kinds = {id_: answer["type"].rpartition(".")[2] for id_, answer in answers.items()}
    assert kinds == {one.id: "refused" if one is commands[0] else "done" for one in commands}
    assert answers[commands[0].id]["data"]["code"] == "failed"
