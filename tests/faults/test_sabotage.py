"""The checks of the suite can fail: each guarantee is broken once on purpose, in the worker, and is found broken.

Every scenario is played by an honest worker as well: what is found is found because of the sabotage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest

from messages.topology import topology
from tests.acceptance.harness import Backend
from tests.acceptance.simulated import SimulatedApp
from tests.acceptance.wire import Message, command
from tests.faults import checks
from tests.faults.dying_worker import SABOTAGE, TARRY
from tests.faults.grounds import ROOT
from tests.faults.patient_client import reply_topology
from tests.faults.sabotage import Sabotage
from tests.faults.stage import FaultStage
from tests.faults.steps import Charge, End, Step
from tests.services import empty, remove

MAPPING = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
detect = "field"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "city"
right = "town"
"""

RECORDS = 6
SMALL = {"RECOUPLE_OUTBOX_LEASE": "1s", "RECOUPLE_BATCH_SIZE": "1"}

SLOW = {TARRY: f"{Step.CHANGES_WRITTEN} 100"}
"""Time between what a transaction reads and its commit: so that two of them meet."""

WITHIN = timedelta(seconds=20)
NEVER_WITHIN = timedelta(seconds=4)
"""What has not come by then does not come any more."""


class Pair:
    """Two apps whose records are coupled, a crew, and what their users do."""

    def __init__(self, stage: FaultStage) -> None:
        self.stage = stage
        self.apps = [
            SimulatedApp("bc", "customer", names_instructions=True),
            SimulatedApp("sales", "account", names_instructions=True),
        ]
        self._taken = [0, 0]

    def couple(self) -> None:
        """Both apps have the same records; they are coupled."""
        bc, sales = self.apps
        made = [bc.write(f"{key}", name="n", city="c") for key in range(RECORDS)]
        made += [sales.write(f"{key}", title="n", town="c") for key in range(RECORDS)]
        self.handle(made)
        orders = [
            command(
                "couple", self.stage.client.reply_to, {"left": f"bc/customer/{key}", "right": f"sales/account/{key}"}
            )
            for key in range(RECORDS)
        ]
        self.stage.publish(*orders)
        self.stage.wait_long(lambda: {one.id for one in orders} <= self.stage.ledger.answers.keys(), "answers", WITHIN)

    def handle(self, messages: Sequence[Message]) -> None:
        """Publish these, and wait until they are handled."""
        self.stage.publish(*messages)
        self.stage.wait_long(lambda: self.are_handled(messages), "events to be handled", WITHIN)

    def are_handled(self, messages: Sequence[Message]) -> bool:
        """Say whether these are."""
        handled = self.stage.handled_ids("bc") | self.stage.handled_ids("sales")
        return {one.id for one in messages} <= handled

    def answer(self) -> None:
        """The apps do as they are told."""
        for number, app in enumerate(self.apps):
            arrived = self.stage.client.arrived[f"instructions.{app.name}"]
            for one in arrived[self._taken[number] :]:
                self.stage.publish(*app.answer(one.event))
            self._taken[number] = len(arrived)

    def findings(self, within: timedelta = WITHIN) -> dict[str, list[str]]:
        """Wait until nothing is missing any more, or does not come; return what is wrong."""

        def is_complete() -> bool:
            self.answer()
            return self.stage.is_idle() and not any(checks.lost(self.stage))

        with suppress(AssertionError):
            self.stage.wait_long(is_complete, "all to arrive", within)
        return checks.findings(self.stage)


def die_at(step: Step, pair: Pair) -> None:
    """A worker dies at this step of the way of one edit."""
    before = pair.stage.crew.ends["SIGKILL"]
    for worker in pair.stage.crew.running:
        worker.charge(Charge(step, 1, End.KILL))
    pair.stage.publish(pair.apps[0].write("0", name=f"edited before {step}"))
    pair.stage.wait_long(lambda: pair.stage.crew.ends["SIGKILL"] > before, "a worker to die", WITHIN)
    for worker in pair.stage.crew.running:
        worker.discharge()
    pair.stage.crew.ready()


def repeat(pair: Pair) -> None:
    """An edit is published twice."""
    edit = pair.apps[0].write("1", name="edited, and told twice")
    pair.handle([edit])
    pair.stage.publish(edit)
    pair.stage.wait_long(lambda: len(pair.stage.outcome(edit)) > 1, "the second to be logged", WITHIN)


def meet(pair: Pair) -> None:
    """Both sides of a coupling are edited at the same moment, in different fields; that goes on for a while."""
    bc, sales = pair.apps
    for key in range(2, RECORDS):
        edits = [bc.write(f"{key}", name=f"left {key}"), sales.write(f"{key}", town=f"right {key}")]
        if key % 2:  # or the same worker would get both each time
            edits.insert(0, bc.write("0", city=f"aside {key}"))
        pair.handle(edits)


DIE_WRITING, DIE_RELAYING = (partial(die_at, step) for step in (Step.CHANGES_WRITTEN, Step.RELAY_CLAIMED))

PLAYS: dict[Sabotage, tuple[Callable[[Pair], None], str]] = {
    Sabotage.ACKNOWLEDGE_FIRST: (DIE_WRITING, "lost"),
    Sabotage.PUBLISH_UNCOMMITTED: (DIE_WRITING, "contradictions"),
    Sabotage.FORGET_UNCONFIRMED: (DIE_RELAYING, "lost"),
    Sabotage.NO_DEDUPLICATION: (repeat, "doubled"),
    Sabotage.NO_LOCKS: (meet, "unruly"),
}
"""What is played for each, and which check finds what is broken.

What was told and never committed is told again, under the same id, when it is decided again: at another time at least.
"""


@contextmanager
def playing(backend: Backend, folder: Path, workers: int, **environ: str) -> Iterator[Pair]:
    """Set the stage for a pair of apps, with workers of that environment."""
    stage = FaultStage(backend, folder, MAPPING, {**SMALL, "PYTHONPATH": ROOT})
    with ExitStack() as stack:
        stack.callback(lambda: remove(backend.broker_url, topology(stage.namespace, ("bc", "sales"))))
        stack.callback(lambda: remove(backend.broker_url, reply_topology(stage.namespace)))
        stack.callback(stage.leave)
        stage.open()
        stage.man(workers, **environ)
        stack.callback(stage.crew.kill)
        stage.crew.ready()
        pair = Pair(stage)
        pair.couple()
        yield pair


@pytest.fixture
def backend(postgres_url: str, amqp_url: str) -> Backend:
    """An empty store, and RabbitMQ."""
    empty(postgres_url)
    return Backend(postgres_url, amqp_url)


@pytest.mark.parametrize("broken", list(Sabotage))
def test_a_broken_guarantee_is_found(broken: Sabotage, backend: Backend, tmp_path: Path) -> None:
    """Else the suite would be green over a worker that loses, repeats or overwrites what it should not."""
    play, check = PLAYS[broken]
    workers, slow = (2, SLOW) if play is meet else (1, {})
    with playing(backend, tmp_path, workers, **{SABOTAGE: broken.value, **slow}) as pair:
        play(pair)
        assert check in pair.findings(NEVER_WITHIN)


def test_an_honest_worker_plays_all_of_it_without_a_finding(backend: Backend, tmp_path: Path) -> None:
    """Else what is found in a sabotaged worker might be the scenario's own doing."""
    with playing(backend, tmp_path, 2, **SLOW) as pair:
        for play in dict.fromkeys(play for play, _ in PLAYS.values()):
            play(pair)
            assert pair.findings() == {}
        pair.stage.close()
