"""Two apps, their users and an operator, who do as chance will have it until nothing is left to do."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from datetime import timedelta
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from store.model import Coupling, InstructionState
from tests.acceptance.adapter_stage import WatchedStage
from tests.acceptance.app_audit import Replaced
from tests.acceptance.branches import Branch
from tests.acceptance.random_operator import RandomOperator
from tests.acceptance.random_users import RandomUsers, UsersApp, Words
from tests.acceptance.stories import story
from tests.acceptance.table_apps import AppTable
from workers.mapping import MappingFile
from workers.mapping_file import load_mapping_file

MAX_ROUNDS = 60
LONG = timedelta(seconds=60)


class RandomWorld:
    """The stage with its two apps, their users and the operator.

    Attributes:
        under_way: What was not at rest when it was looked at last.
    """

    def __init__(
        self, stage: WatchedStage, apps: Sequence[UsersApp], branches: Sequence[Branch], chance: Random
    ) -> None:
        self.stage, self.users_apps, self.branches, self.chance = stage, apps, branches, chance
        words = Words()
        self.users = RandomUsers(apps, branches, words, chance)
        self.operator = RandomOperator(stage, self.file, words, chance)
        self.under_way: dict[str, Any] = {}
        self._touched: set[str] = set()

    @cached_property
    def file(self) -> MappingFile:
        """The mapping file as the workers read it."""
        return load_mapping_file(Path(self.stage.environ["RECOUPLE_CONFIG"]))

    # --- what is different where the apps are

    @abstractmethod
    def look(self) -> Any:
        """Say in ``under_way`` what the apps have not said yet; return what grows with everything that happens."""

    @abstractmethod
    def replaced(self, app: UsersApp) -> list[Replaced]:
        """Every update and deletion of a record of the app, whoever made it."""

    @abstractmethod
    def announce(self) -> None:
        """Have every record of both apps said once more, as it stands."""

    @abstractmethod
    def instructed(self) -> list[int]:
        """How many instructions each app has had."""

    # --- what goes on

    def couple_some(self) -> None:
        """Somebody finds two records that belong together and are not coupled, or are no longer."""
        branch = self.chance.choice(self.branches)
        free = [sorted(map(str, self.uncoupled(branch, app.name))) for app in self.users_apps]
        if all(free):
            left, right = (self.chance.choice(keys) for keys in free)
            self.operator.couple(branch.name, f"bc/{branch.left.wire}/{left}", f"sales/{branch.right.wire}/{right}")

    def uncoupled(self, branch: Branch, app: str) -> set[str]:
        """The keys of the app's records in this branch that no coupling names."""
        table, own = branch.table(app), next(one for one in self.users_apps if one.name == app)
        couplings = (one for one in self.stage.couplings() if one.mapping == branch.name)
        named = {record.key for one in couplings for record in (one.left, one.right) if record and record.app == app}
        return {str(key) for key in own.rows(table)} - named

    # --- the end

    def finish(self) -> None:
        """The users have gone home; the operator goes on until no error is open and nothing is left different."""
        self.operator.may_dismiss = False
        self.operator.settled.clear()
        for _ in range(MAX_ROUNDS):
            self.wait_quiet()
            found = self.operator.open_errors()
            for report in found:
                self.operator.settle(report)
            if found:
                continue
            different = self.left_different()
            left_alone = self.left_alone()
            for app, table, key in left_alone:
                self._touched.add(f"{app.name}/{table.wire}/{key}")
                self.users.touch(app, table, key)
            if not different and not left_alone:
                return
            for coupling in different:
                self.operator.settle_coupling(coupling, both_exist=all(self._rows_of(coupling)))
        told = [story(self.stage, self.file, one) for one in self.left_different()[:1]]
        raise AssertionError(
            "\n".join(["the operator comes to no end", f"{self.operator.open_errors()} {self.operator.did}", *told])
        )

    def left_alone(self) -> list[tuple[UsersApp, AppTable, Any]]:
        """Records without a coupling of which an error was dismissed: their next change tries again."""
        dismissed = self.operator.dismissed_records()
        return [
            (app, branch.table(app.name), key)
            for branch in self.branches
            if not branch.only_coupled
            for app in self.users_apps
            for key in app.rows(branch.table(app.name))
            if f"{key}" in self.uncoupled(branch, app.name)
            and f"{app.name}/{branch.table(app.name).wire}/{key}" in dismissed - self._touched
        ]

    def _rows_of(self, coupling: Coupling) -> list[bool]:
        """Say of either record of a coupling whether it is there."""
        branch = next(one for one in self.branches if one.name == coupling.mapping)
        return [
            record is not None and record.key in {str(key) for key in app.rows(branch.table(app.name))}
            for app, record in zip(self.users_apps, (coupling.left, coupling.right), strict=True)
        ]

    def pass_once_more(self) -> None:
        """Say and synchronize everything once more: nothing changes, nobody is instructed."""
        before = self._rows(), self.instructed()
        self.announce()
        for branch in self.branches:
            self.operator.order("synchronize", mapping=branch.name, keep="left")
        self.wait_quiet()
        assert (self._rows(), self.instructed()) == before

    def _rows(self) -> list[Any]:
        return [app.rows(table) for app in self.users_apps for table in app.tables]

    def left_different(self) -> list[Coupling]:
        """Couplings whose records somebody left as they are: coupled while they differed, or an error dismissed."""
        dismissed = {one.coupling for one in self.operator.dismissed()} - self.operator.settled
        return [
            one
            for one in self.stage.couplings()
            if one.id in dismissed or not all(form.agreed for form in one.base.values())
        ]

    def wait_quiet(self) -> None:
        """Wait until nothing is under way any more: in the apps, on the broker, in the store."""
        seen: list[Any] = []

        def is_quiet() -> bool:
            seen.append(self._look())
            return len(seen) > 1 and not self.under_way and seen[-1] == seen[-2]

        try:
            self.stage.wait_long(is_quiet, "all to come to rest", LONG)
        except AssertionError as error:
            stuck = next((one for one in self.stage.couplings() if is_under_way(one)), None)
            told = story(self.stage, self.file, stuck) if stuck else ""
            raise AssertionError(f"it does not come to rest: {self.under_way}\n{told}") from error

    def _look(self) -> Any:
        self.under_way = {
            "commands": self.operator.unanswered(),
            "couplings": [one.id for one in self.stage.couplings() if is_under_way(one)],
        }
        grown = self.look()
        self.under_way["store"] = "" if self.stage.is_idle() else "work is due or the outbox is not empty"
        self.under_way = {what: found for what, found in self.under_way.items() if found}
        return grown


def is_under_way(coupling: Coupling) -> bool:
    """Say whether an app is still to answer something about this coupling."""
    return any(sent.state in (InstructionState.SENT, InstructionState.BACKING_OFF) for sent in coupling.flight)
