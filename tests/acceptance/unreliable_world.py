"""Two apps that cannot be relied on, their users and an operator."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from ops.demo.northwind import read_customers
from tests.acceptance.adapter_stage import WatchedStage
from tests.acceptance.app_audit import Replaced
from tests.acceptance.branches import Branch, as_row
from tests.acceptance.random_users import UsersApp
from tests.acceptance.random_world import RandomWorld
from tests.acceptance.unreliable_apps import UnreliableApp

CUSTOMERS = 20


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
