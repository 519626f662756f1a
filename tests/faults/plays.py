"""Short scenarios for a pair of apps: what its users do, and how a worker dies meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import timedelta
from pathlib import Path

from messages.topology import topology
from tests.acceptance.harness import Backend
from tests.acceptance.simulated import SimulatedApp
from tests.acceptance.wire import Message, command
from tests.faults import checks
from tests.faults.grounds import ROOT
from tests.faults.patient_client import reply_topology
from tests.faults.stage import FaultStage
from tests.faults.steps import Charge, End, Step
from tests.services import remove

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

DYING, REPEATED, CONTESTED, *MEETING = map(str, range(7))
RECORDS = (DYING, REPEATED, CONTESTED, *MEETING)
"""The keys of the records, by the play that they are for: none leaves behind what would change another."""

SMALL = {"RECOUPLE_OUTBOX_LEASE": "1s", "RECOUPLE_BATCH_SIZE": "1"}
PREFETCHED = 2
"""So many messages of a queue a worker with such batches holds at a time."""

REFUSING = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF nextval('refusals') = 1 THEN RAISE EXCEPTION 'as the test wants it' USING ERRCODE = '40001'; END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON instructions DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION refuse();
"""
"""PostgreSQL lets all statements through that give an instruction, and refuses the first commit."""

WITHIN = timedelta(seconds=20)


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
        made = [bc.write(key, name="n", city="c") for key in RECORDS]
        made += [sales.write(key, title="n", town="c") for key in RECORDS]
        self.handle(made)
        orders = [
            command(
                "couple", self.stage.client.reply_to, {"left": f"bc/customer/{key}", "right": f"sales/account/{key}"}
            )
            for key in RECORDS
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

    def said(self) -> list[Message]:
        """The apps do what they were told since; return what they say to it."""
        said = []
        for number, app in enumerate(self.apps):
            arrived = self.stage.client.arrived[f"instructions.{app.name}"]
            said += [message for one in arrived[self._taken[number] :] for message in app.answer(one.event)]
            self._taken[number] = len(arrived)
        return said

    def findings(self, within: timedelta = WITHIN) -> dict[str, list[str]]:
        """Wait until nothing is missing any more, or does not come; return what is wrong."""

        def is_complete() -> bool:
            self.stage.publish(*self.said())
            return self.stage.is_idle() and not any(checks.lost(self.stage))

        with suppress(AssertionError):
            self.stage.wait_long(is_complete, "all to arrive", within)
        return checks.findings(self.stage)


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


def die_at(step: Step, pair: Pair) -> None:
    """A worker dies at this step of the way of one edit."""
    die_over(step, pair, pair.apps[0].write(DYING, name=f"edited before {step}"))


def die_over(step: Step, pair: Pair, *messages: Message) -> None:
    """A worker dies at this step of the way of one of these."""
    before = pair.stage.crew.ends["SIGKILL"]
    for worker in pair.stage.crew.running:
        worker.charge(Charge(step, 1, End.KILL))
    pair.stage.publish(*messages)
    pair.stage.wait_long(lambda: pair.stage.crew.ends["SIGKILL"] > before, "a worker to die", WITHIN)
    for worker in pair.stage.crew.running:
        worker.discharge()
    pair.stage.crew.ready()


def die_with_more_waiting(pair: Pair) -> None:
    """A worker dies over one of more edits than any worker holds."""
    edits = [pair.apps[0].write(DYING, name=f"edit {number}") for number in range(3 * PREFETCHED)]
    die_over(Step.CHANGES_WRITTEN, pair, *edits)


def die_over_conflict(pair: Pair) -> None:
    """Both sides of a coupling are edited in the same field; a worker dies when it is about to tell of the conflict."""
    bc, sales = pair.apps
    pair.handle([bc.write(CONTESTED, name="contested by bc")])
    pair.handle([sales.write(CONTESTED, title="contested by sales")])
    refusals: list[Message] = []

    def is_refused() -> bool:
        refusals.extend(pair.said())
        return bool(refusals)

    pair.stage.wait_long(is_refused, "the app to refuse what its user has changed since", WITHIN)
    die_over(Step.CHANGES_WRITTEN, pair, *refusals)


def refuse_commit(pair: Pair) -> None:
    """The database has a transaction give way at its commit, which would give an instruction."""
    store = pair.stage.store
    with store.transaction() as conn:
        conn.exec_driver_sql(REFUSING)

    def is_refused() -> bool:
        with store.reading() as conn:
            return bool(conn.exec_driver_sql("SELECT is_called FROM refusals").scalar_one())

    pair.stage.publish(pair.apps[0].write(DYING, name="edited, and refused"))
    pair.stage.wait_long(is_refused, "a commit to be refused", WITHIN)


def repeat(pair: Pair) -> None:
    """An edit is published twice."""
    edit = pair.apps[0].write(REPEATED, name="edited, and told twice")
    pair.handle([edit])
    pair.stage.publish(edit)

    def is_over() -> bool:
        return len(pair.stage.outcome(edit)) > 1 or bool(pair.stage.dead())

    pair.stage.wait_long(is_over, "the second to be logged, or buried", WITHIN)


def meet(pair: Pair) -> None:
    """Both sides of a coupling are edited at the same moment, in different fields; that goes on for a while."""
    bc, sales = pair.apps
    for number, key in enumerate(MEETING):
        edits = [bc.write(key, name=f"left {key}"), sales.write(key, town=f"right {key}")]
        if number % 2:  # or the same worker would get both each time
            edits.insert(0, bc.write(DYING, city=f"aside {key}"))
        pair.handle(edits)
