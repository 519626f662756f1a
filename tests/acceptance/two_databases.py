"""Two apps whose users and operator do as chance will have it, with workers and adapters between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from messages.topology import topology
from ops.demo.northwind import read_customers
from store.model import Coupling, CouplingStatus, InstructionState
from tests.acceptance import app_audit
from tests.acceptance.adapter_stage import AdapterStage
from tests.acceptance.branches import Branch, as_row, draw_branch
from tests.acceptance.harness import Backend
from tests.acceptance.random_operator import RandomOperator
from tests.acceptance.random_users import RandomUsers, Words
from tests.acceptance.stories import story
from tests.acceptance.table_apps import Place, TableApp
from tests.services import remove
from workers.mapping import MappingFile
from workers.mapping_file import load_mapping_file

ENVIRON = {"RECOUPLE_OUTBOX_LEASE": "1s", "RECOUPLE_RETRY_FIRST": "20ms", "RECOUPLE_RETRY_CEILING": "200ms"}
MAX_ROUNDS = 60
LONG = timedelta(seconds=30)


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


class World:
    """The stage with its two apps, their users and the operator."""

    def __init__(self, stage: AdapterStage, apps: Sequence[TableApp], branches: Sequence[Branch], seed: int) -> None:
        self.stage, self.apps, self.branches = stage, apps, branches
        chance, words = Random(seed), Words()  # noqa: S311 - repeatable, hides nothing
        self.chance = chance
        self.users = RandomUsers(apps, branches, words, chance)
        self.operator = RandomOperator(stage, self.file, words, chance)
        self._under_way: dict[str, Any] = {}

    @cached_property
    def file(self) -> MappingFile:
        """The mapping file as the workers read it."""
        return load_mapping_file(Path(self.stage.environ["RECOUPLE_CONFIG"]))

    # --- the beginning

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

    # --- what goes on

    def couple_some(self) -> None:
        """Somebody finds two records that belong together and are not coupled, or are no longer."""
        branch = self.chance.choice(self.branches)
        free = [sorted(map(str, self.uncoupled(branch, app.name))) for app in self.apps]
        if all(free):
            left, right = (self.chance.choice(keys) for keys in free)
            self.operator.couple(branch.name, f"bc/{branch.left.wire}/{left}", f"sales/{branch.right.wire}/{right}")

    def uncoupled(self, branch: Branch, app: str) -> set[str]:
        """The keys of the app's records in this branch that no coupling names."""
        table, own = branch.table(app), next(one for one in self.apps if one.name == app)
        couplings = (one for one in self.stage.couplings() if one.mapping == branch.name)
        named = {record.key for one in couplings for record in (one.left, one.right) if record and record.app == app}
        return {str(key) for key in own.rows(table)} - named

    # --- the end

    def finish(self) -> None:
        """The users have gone home; the operator goes on until no error is open and nothing is left different."""
        self.operator.may_dismiss = False
        self.operator.synchronized.clear()
        for _ in range(MAX_ROUNDS):
            self.wait_quiet()
            found = self.operator.open_errors()
            for report in found:
                self.operator.settle(report)
            if found:
                continue
            different = self.left_different()
            if not different:
                return
            for coupling in different:
                if coupling.status is CouplingStatus.CREATING:
                    self.operator.order("remove_coupling", coupling=coupling.id)
                else:
                    self.operator.synchronize(coupling)
        told = [story(self.stage, self.file, one) for one in self.left_different()]
        raise AssertionError("\n".join(["the operator comes to no end", f"{self.operator.open_errors()}", *told]))

    def left_different(self) -> list[Coupling]:
        """Couplings whose records somebody left as they are: coupled while they differed, or an error dismissed."""
        dismissed = self.operator.dismissed() - self.operator.synchronized
        return [
            one
            for one in self.stage.couplings()
            if one.id in dismissed or not all(form.agreed for form in one.base.values())
        ]

    def wait_quiet(self) -> None:
        """Wait until nothing is under way any more: in the apps, on the broker, in the store."""
        seen: list[Any] = []

        def is_quiet() -> bool:
            seen.append(self._activity())
            return len(seen) > 1 and not self._under_way and seen[-1] == seen[-2]

        try:
            self.stage.wait_long(is_quiet, "all to come to rest", LONG)
        except AssertionError as error:
            stuck = next((one for one in self.stage.couplings() if is_under_way(one)), None)
            told = story(self.stage, self.file, stuck) if stuck else ""
            raise AssertionError(f"it does not come to rest: {self._under_way}\n{told}") from error

    def _activity(self) -> Any:
        """Look what is under way; return what grows with everything that happens."""
        published = {app.name: app_audit.published(app) for app in self.apps}
        unhandled = {name: ids - self.stage.handled_ids(name) for name, ids in published.items()}
        self._under_way = {
            "commands not answered": self.operator.unanswered(),
            "events not published": sum(app.count("recouple_changes") for app in self.apps),
            "events not handled": sorted(set().union(*unhandled.values())),
            "couplings": [one.id for one in self.stage.couplings() if is_under_way(one)],
            "store": "" if self.stage.is_idle() else "work is due or the outbox is not empty",
        }
        self._under_way = {what: found for what, found in self._under_way.items() if found}
        return published, self.instructed()

    def instructed(self) -> list[int]:
        """How many instructions each app has answered."""
        return [app.count("recouple_instructions") for app in self.apps]


def is_under_way(coupling: Coupling) -> bool:
    """Say whether an app is still to answer something about this coupling."""
    return any(sent.state in (InstructionState.SENT, InstructionState.BACKING_OFF) for sent in coupling.flight)


@contextmanager
def open_world(places: Places, folder: Path, branches: int, seed: int) -> Iterator[World]:
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
        stage.open()
        stack.callback(lambda: [worker.stop() for worker in stage.workers if worker.is_running()])
        for app in apps:
            stack.callback(app.stop)
        yield World(stage, apps, drawn, seed)
        stage.close()
