"""Apps that answer late, twice, out of order, with every kind of failure, or not at all: in the end the two are equal.

``RECOUPLE_TEST_EDITS`` and ``RECOUPLE_TEST_SEED`` as in ``test_two_databases``; a tenth of the edits.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from messages.topology import topology
from tests.acceptance import end_conditions
from tests.acceptance.adapter_stage import WatchedStage
from tests.acceptance.branches import draw_branch
from tests.acceptance.harness import Backend
from tests.acceptance.unreliable_apps import Habits, UnreliableApp
from tests.acceptance.unreliable_world import UnreliableWorld
from tests.services import fresh_database, remove

EDITS = int(os.environ.get("RECOUPLE_TEST_EDITS", "2000")) // 10
SEED = int(os.environ.get("RECOUPLE_TEST_SEED", "20261121"))
BRANCHES = 2

APPS = '[apps.bc]\nanswer_within = "1s"\n[apps.sales]\nanswer_within = "1s"\n'
ENVIRON = {
    "RECOUPLE_OUTBOX_LEASE": "1s",
    "RECOUPLE_RETRY_FIRST": "10ms",
    "RECOUPLE_RETRY_CEILING": "50ms",
    "RECOUPLE_RETRY_LIMIT": "3",
}


@pytest.mark.timeout(120)
def test_two_unreliable_apps_end_equal(postgres_url: str, amqp_url: str, tmp_path: Path) -> None:
    """Else the two sides are equal only as long as every app behaves."""
    print(f"seed {SEED}")  # noqa: T201
    chance = Random(SEED)  # noqa: S311 - repeatable, hides nothing
    branches = [draw_branch(number, chance) for number in range(BRANCHES)]
    with ExitStack() as stack:
        backend = Backend(stack.enter_context(fresh_database(postgres_url)), amqp_url)
        stage = WatchedStage(backend, tmp_path, APPS + "".join(branch.toml for branch in branches), ENVIRON)
        stack.callback(lambda: remove(amqp_url, topology(stage.namespace, ("bc", "sales"))))
        stack.callback(stage.leave)
        stage.open()
        stack.callback(lambda: [worker.stop() for worker in stage.workers if worker.is_running()])
        apps = [
            UnreliableApp(name, tuple(branch.table(name) for branch in branches), Habits(silent=silent), chance)
            for name, silent in (("bc", 0.0), ("sales", 0.1))
        ]
        world = UnreliableWorld(stage, apps, branches, chance)
        for _ in range(2):
            stage.start_worker()
        world.load()
        for step in range(EDITS):
            world.users.act()
            world.exchange()
            if step % 10 == 9:
                world.operator.act()
            if step % 50 == 49:
                world.couple_some()
        world.finish()
        print(dict(world.users.did), dict(world.operator.did), [app.did for app in apps])  # noqa: T201
        print(dict(end_conditions.check(world)))  # noqa: T201
        world.pass_once_more()
        end_conditions.check(world)
        stage.close()
