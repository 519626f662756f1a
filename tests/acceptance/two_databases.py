"""Two apps whose records live in two databases, with the reference adapters beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from messages.topology import topology
from ops.demo.northwind import read_customers
from tests.acceptance import app_audit
from tests.acceptance.adapter_stage import AdapterStage
from tests.acceptance.app_audit import Replaced
from tests.acceptance.branches import Branch, as_row, draw_branch
from tests.acceptance.harness import Backend
from tests.acceptance.random_users import UsersApp
from tests.acceptance.random_world import RandomWorld
from tests.acceptance.table_apps import Place, TableApp
from tests.services import remove

ENVIRON = {"RECOUPLE_OUTBOX_LEASE": "1s", "RECOUPLE_RETRY_FIRST": "20ms", "RECOUPLE_RETRY_CEILING": "200ms"}


class Size(NamedTuple):
    """How much happens.

    Attributes:
        customers: Northwind's, dealt out to the branches.
    """

    branches: int
    customers: int
    edits: int


class Places(NamedTuple):
    """The store, the broker and the two apps' databases."""

    store: str
    broker: str
    databases: Sequence[str]


class TableWorld(RandomWorld):
    """Two apps in databases."""

    def __init__(self, stage: AdapterStage, apps: Sequence[TableApp], branches: Sequence[Branch], seed: int) -> None:
        super().__init__(stage, apps, branches, Random(seed))  # noqa: S311 - repeatable, hides nothing
        self.apps = apps

    def load(self, customers: int) -> None:
        """Both apps have these customers already; they are matched, or coupled by command."""
        found = read_customers()[:customers]
        for app in self.apps:
            rows = [[as_row(one, app.name) for one in found[number :: len(self.branches)]] for number in self._numbers]
            if app.name == "bc":
                rows = [
                    [{"number": f"{place}", **row} for place, row in enumerate(each, 1)] for each in rows
                ]  # the other app counts by itself, and so they have the same numbers
            app.create(*rows)
            for table in app.tables:
                for key, row in app.rows(table).items():
                    self.users.remember(app.name, table, str(key), row)
            app_audit.watch(app)
            app.start()
            app.start()  # two of them share the work
            app.adapter("announce")
        self.wait_quiet()
        for branch in self.branches:
            if branch.only_coupled:
                for key in self.apps[0].rows(branch.left):
                    self.operator.order(
                        "couple", left=f"bc/{branch.left.wire}/{key}", right=f"sales/{branch.right.wire}/{key}"
                    )
            self.operator.order("loaded", table=f"bc/{branch.left.wire}")
            self.operator.order("loaded", table=f"sales/{branch.right.wire}")
        self.wait_quiet()

    @property
    def _numbers(self) -> range:
        return range(len(self.branches))

    # --- what they do

    def look(self) -> Any:
        """Say what was not published or not handled yet; return how much was."""
        published = {app.name: app_audit.published(app) for app in self.apps}
        unhandled = {name: ids - self.stage.handled_ids(name) for name, ids in published.items()}
        self.under_way["events not published"] = sum(app.count("recouple_changes") for app in self.apps)
        self.under_way["events not handled"] = sorted(set().union(*unhandled.values()))
        return published, self.instructed()

    def replaced(self, app: UsersApp) -> list[Replaced]:
        """Every update and deletion, as the triggers noted it."""
        return [found for one in self.apps if one is app for found in app_audit.replaced(one)]

    def announce(self) -> None:
        """Let the adapters do it."""
        for app in self.apps:
            app.adapter("announce")

    def instructed(self) -> list[int]:
        """How many instructions each app has answered."""
        return [app.count("recouple_instructions") for app in self.apps]


@contextmanager
def open_world(places: Places, folder: Path, branches: int, seed: int) -> Iterator[TableWorld]:
    """Set all of it up, with mappings of that seed; take it down again."""
    chance = Random(seed)  # noqa: S311 - as above
    drawn = [draw_branch(number, chance) for number in range(branches)]
    mapping = "[apps.bc]\n[apps.sales]\n" + "".join(branch.toml for branch in drawn)
    with ExitStack() as stack:
        stage = AdapterStage(Backend(places.store, places.broker), folder, mapping, ENVIRON)
        if places.broker.startswith("amqp"):
            stack.callback(lambda: remove(places.broker, topology(stage.namespace, ("bc", "sales"))))
        apps = [
            TableApp(
                name,
                Place(database, places.broker, stage.namespace),
                folder,
                *(branch.table(name) for branch in drawn),
            )
            for name, database in zip(("bc", "sales"), places.databases, strict=True)
        ]
        stack.callback(stage.leave)
        stage.open()
        stack.callback(lambda: [worker.stop() for worker in stage.workers if worker.is_running()])
        for app in apps:
            stack.callback(app.stop)
        yield TableWorld(stage, apps, drawn, seed)
        stage.close()
