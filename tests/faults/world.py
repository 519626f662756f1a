"""The world of a run: two apps that cannot be relied on, their users, an operator, and somebody who sends rubbish."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from datetime import datetime
from random import Random
from typing import Any

from tests.acceptance.bad_messages import raw
from tests.acceptance.branches import Branch, draw_branch
from tests.acceptance.unreliable_apps import Habits, UnreliableApp
from tests.acceptance.unreliable_world import UnreliableWorld
from tests.faults.stage import FaultStage

APPS = '[apps.bc]\nanswer_within = "2s"\n[apps.sales]\nanswer_within = "2s"\n'

ENVIRON = {
    "RECOUPLE_OUTBOX_LEASE": "1s",
    "RECOUPLE_RETRY_FIRST": "10ms",
    "RECOUPLE_RETRY_CEILING": "50ms",
    "RECOUPLE_RETRY_LIMIT": "3",
    "RECOUPLE_BATCH_SIZE": "20",
}

BETWEEN_S = 0.02
"""How long everybody rests between two things that users do."""

SPOILT, EAGER = 0.02, 0.15
"""How often, beside what users do, somebody sends rubbish, and an operator orders something."""

_NUMBERS = itertools.count(1)


def draw_branches(chance: Random) -> list[Branch]:
    """Return three branches: with and without creations, with conflicts by record and by field."""
    while True:
        drawn = [draw_branch(number, chance) for number in range(3)]
        creating = {one.only_coupled for one in drawn}
        detected = {"record" if '"record"' in one.toml else "field" for one in drawn}
        if len(creating) == len(detected) == 2:
            return drawn


def mapping_of(branches: list[Branch]) -> str:
    """Return the mapping file."""
    return APPS + "".join(branch.toml for branch in branches)


class FaultWorld(UnreliableWorld):
    """Two unreliable apps that go on while everything around them breaks.

    Attributes:
        store_answers: Whether the operator can look at the store; else nobody orders anything that needs a look.
        eager: How often, beside what users do, an operator orders something.
        back_at: When a server that was started anew let clients in; ``None`` where none was since the last look.
    """

    stage: FaultStage

    def __init__(self, stage: FaultStage, branches: list[Branch], chance: Random) -> None:
        habits = {"bc": Habits(refuses=0.05, late=0.3), "sales": Habits(silent=0.02, refuses=0.05, late=0.3)}
        apps = [
            UnreliableApp(name, tuple(branch.table(name) for branch in branches), habits[name], chance)
            for name in ("bc", "sales")
        ]
        super().__init__(stage, apps, branches, chance)
        self.store_answers, self.eager = True, EAGER
        self.back_at: datetime | None = None

    def traffic(self, actions: int, within_s: float, enough: Callable[[], bool] = lambda: False) -> None:
        """Let everybody work: until they have done so much, so much time is over, or it is enough."""
        until = time.monotonic() + within_s
        done = 0
        while time.monotonic() < until and not enough():
            if done < actions:
                self._act()
                done += 1
            rest = time.monotonic() + BETWEEN_S
            while time.monotonic() < rest:
                self.exchange()
            self.stage.tend()

    def _act(self) -> None:
        self.users.act()
        chance = self.chance.random()
        if chance < SPOILT:
            self.stage.spoil(raw(f"{{ rubbish {next(_NUMBERS)}".encode()))
        elif chance < SPOILT + self.eager:
            self._order()

    def _order(self) -> None:
        """What the operator sees is ordered about; where there is nothing to see, something about all there may be."""
        if self.store_answers:
            self.operator.act()
        if self.eager > EAGER or not self.store_answers:
            self.operator.order("retry_all", mapping=self.chance.choice(self.branches).name)

    def look(self) -> Any:
        """Besides what the apps have to say, look at what the broker has not taken yet."""
        grown = super().look()
        self.under_way["not published"] = self.stage.client.unpublished
        return grown
