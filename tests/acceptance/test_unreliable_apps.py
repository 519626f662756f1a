"""Apps that answer late, twice, out of order, with every kind of failure, or not at all: in the end the two are equal.

``RECOUPLE_TEST_EDITS`` and ``RECOUPLE_TEST_SEED`` as in ``test_two_databases``; a tenth of the edits.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import pytest

from messages.topology import topology
from ops.demo.northwind import read_customers
from tests.acceptance import end_conditions
from tests.acceptance.adapter_stage import WatchedStage
from tests.acceptance.app_audit import Replaced
from tests.acceptance.branches import Branch, as_row, draw_branch
from tests.acceptance.harness import Backend
from tests.acceptance.random_users import UsersApp
from tests.acceptance.random_world import RandomWorld
from tests.acceptance.unreliable_apps import Habits, UnreliableApp
from tests.services import fresh_database, remove

EDITS = int(os.environ.get("RECOUPLE_TEST_EDITS", "2000")) // 10
SEED = int(os.environ.get("RECOUPLE_TEST_SEED", "20261121"))
CUSTOMERS = 20
BRANCHES = 2

APPS = '[apps.bc]\nanswer_within = "1s"\n[apps.sales]\nanswer_within = "1s"\n'
ENVIRON = {
    "RECOUPLE_OUTBOX_LEASE": "1s",
    "RECOUPLE_RETRY_FIRST": "10ms",
    "RECOUPLE_RETRY_CEILING": "50ms",
    "RECOUPLE_RETRY_LIMIT": "3",
}


class UnreliableWorld(RandomWorld):
    """Two apps that cannot be relied on."""

    def __init__(
        self, stage: WatchedStage, apps: Sequence[UnreliableApp], branches: Sequence[Branch], chance: Random
    ) -> None:
        super().__init__(stage, apps, branches, chance)
        self.apps = apps
        self._taken = {app.name: 0 for app in apps}

    def load(self) -> None:
        """Both apps announce the customers that they have."""
        for number, row in enumerate(read_customers()[:CUSTOMERS]):
            branch = self.branches[number % len(self.branches)]
            for app in self.apps:
                table, fields = branch.table(app.name), as_row(row, app.name)
                self.users.remember(app.name, table, app.insert_one(fields, table), fields)
        self.wait_quiet()
        for branch in self.branches:
            for key in self.apps[0].rows(branch.left) if branch.only_coupled else ():
                left, right = f"bc/{branch.left.wire}/{key}", f"sales/{branch.right.wire}/{key}"
                self.operator.order("couple", left=left, right=right)
            for app in self.apps:
                self.operator.order("loaded", table=f"{app.name}/{branch.table(app.name).wire}")
        self.wait_quiet()

    def exchange(self) -> None:
        """The apps take what they were told, and say some of what they have to say."""
        self.stage.client.look()
        for app in self.apps:
            arrived = self.stage.client.arrived[f"instructions.{app.name}"]
            for one in arrived[self._taken[app.name] :]:
                app.take(one.event)
            self._taken[app.name] = len(arrived)
            self.stage.publish(*app.speak())

    def finish(self) -> None:
        """As ever; what an app did in silence comes out once the operator has met most of it."""
        self.wait_quiet()
        for app in self.apps:
            app.come_to_its_senses()
        super().finish()

    def look(self) -> Any:
        """Let the apps go on; say what they have not said, and what of it was not handled yet."""
        self.exchange()
        self.under_way["not said"] = sum(len(app.waiting) for app in self.apps)
        unhandled = {app.name: app.said - self.stage.handled_ids(app.name) for app in self.apps}
        self.under_way["not handled"] = sorted(set().union(*unhandled.values()))
        return [len(app.said) for app in self.apps], dict(self._taken)

    def announce(self) -> None:
        """Let the apps do it."""
        for app in self.apps:
            app.announce()

    def instructed(self) -> list[int]:
        """How many instructions each app has taken, repeats included."""
        return list(self._taken.values())

    def replaced(self, app: UsersApp) -> list[Replaced]:
        """Every update and deletion, as the app noted it."""
        return [found for one in self.apps if one is app for found in one.replaced]


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
