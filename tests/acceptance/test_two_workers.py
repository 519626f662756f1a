"""Two workers on one backlog come to the same end as one: RabbitMQ, PostgreSQL, both apps changing the same records.

All edits are made before the apps see an instruction, so that the end does not depend on who hears of what first: an
instruction that rests on an older version is refused, and decided anew.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from store import couplings as coupling_store
from store import errors as error_store
from store import records as record_store
from store.couplings import standing
from store.errors import ErrorFilters
from store.model import Form
from tests.acceptance.harness import Backend, Stage, open_stage
from tests.acceptance.simulated import SimulatedApp
from tests.acceptance.wire import Message
from tests.services import fresh_database

MAPPING = """
[apps.bc]
[apps.sales]

[[mappings]]
name = "customer"
left = "bc/customer"
right = "sales/account"
detect = "field"
only_coupled = false
match_on = [["no"]]
[[mappings.fields]]
left = "no"
right = "number"
[[mappings.fields]]
left = "name"
right = "title"
[[mappings.fields]]
left = "phone"
right = "telephone"
[[mappings.fields]]
left = "total"
right = "sum"
on_conflict = "add"
"""

COUPLINGS = 500
EDITS = 20
"""Of each pair of records: 10,000 events in all."""

MAX_ROUNDS = 20

NAMES = {"bc": ("no", "name", "phone", "total"), "sales": ("number", "title", "telephone", "sum")}


class Outcome(NamedTuple):
    """How a run ended: what each pair of records and its coupling look like, and what is at odds."""

    couplings: dict[str, Any]
    errors: list[Any]
    rows: dict[str, Any]
    lost: list[Any]


class Run:
    """The two apps, and the workers between them."""

    def __init__(self, stage: Stage, workers: int) -> None:
        self.stage, self.workers = stage, workers
        self.bc = SimulatedApp("bc", "customer", names_instructions=True)
        self.sales = SimulatedApp("sales", "account", names_instructions=False)
        self._answered = {"bc": 0, "sales": 0}

    def work(self) -> None:
        """Let the workers work everything off, with the apps answering, until nobody has anything to say any more."""
        for _ in range(MAX_ROUNDS):
            processes = [self.stage.start_worker("--drain") for _ in range(self.workers)]
            while any(process.is_running() for process in processes):
                self.stage.client.look()
                self._answer()
            assert {process.wait(1) for process in processes} == {0}
            self.stage.client.flush()
            if not self._answer():
                return
        raise AssertionError(f"after {MAX_ROUNDS} rounds the apps are still instructed")

    def _answer(self) -> int:
        answers: list[Message] = []
        for app in (self.bc, self.sales):
            arrived = self.stage.client.arrived[f"instructions.{app.name}"]
            for one in arrived[self._answered[app.name] :]:
                answers += app.answer(one.event)
            self._answered[app.name] = len(arrived)
        self.stage.publish(*answers)
        return len(answers)

    def outcome(self) -> Outcome:
        """Read how it ended, without numbers and times."""
        with self.stage.store.reading() as conn:
            couplings = coupling_store.page(conn, limit=10 * COUPLINGS)
            errors = error_store.page(conn, ErrorFilters(), limit=10 * COUPLINGS)
            images = record_store.read(conn, {one for each in couplings for one in (each.left, each.right) if one})
        return Outcome(
            couplings={
                f"{one.left}–{one.right}": (
                    standing(one),
                    {name: shown(form) for name, form in one.base.items()},
                    [(images[side].exists, images[side].fields) for side in (one.left, one.right) if side],
                )
                for one in couplings
            },
            errors=sorted(
                (one.kind, one.status, one.left.key if one.left else None, [each.field for each in one.differences])
                for one in errors
            ),
            rows={app.name: {key: row.fields for key, row in app.rows.items()} for app in (self.bc, self.sales)},
            lost=[
                line
                for worker in self.stage.workers
                for line in (*worker.events("store.lost"), *worker.events("batch.failed"))
            ],
        )


def shown(form: Form) -> Any:
    """Return a form of a base as something that compares."""
    return (str(form.left), str(form.right), form.agreed)


def announce(run: Run) -> None:
    """Create the records on both sides, and let them be matched."""
    values = [(f"{number}", "base", "555", 100) for number in range(COUPLINGS)]
    for app in (run.bc, run.sales):
        run.stage.publish(*[app.write(each[0], **dict(zip(NAMES[app.name], each, strict=True))) for each in values])
    run.work()
    worker = run.stage.start_worker()
    for table in ("bc/customer", "sales/account"):
        run.stage.order("loaded", table=table)
    run.stage.settle()
    assert worker.stop() == 0


def edits_of(run: Run, number: int) -> Iterator[Message]:
    """What the users of both apps do to one pair: five kinds of histories, by turns."""
    key, kind = f"{number}", number % 5
    bc, sales = run.bc, run.sales
    if kind == 4:
        yield bc.delete(key)
        yield from (sales.write(key, title=f"theirs {step}") for step in range(EDITS - 1))
        return
    for step in range(EDITS):
        left = step % 2 == 0
        if kind == 0:
            yield bc.write(key, name=f"only here {step}")
        elif kind == 1:
            yield bc.write(key, name=f"ours {step}") if left else sales.write(key, telephone=f"{step}")
        elif kind == 2:
            yield bc.write(key, name=f"ours {step}") if left else sales.write(key, title=f"theirs {step}")
        elif left:
            yield bc.write(key, total=100 + step + 2)
        else:
            yield sales.write(key, sum=100 + step + 1)


def backlog(run: Run) -> Sequence[Message]:
    """Every edit: those of one pair in order, those of all pairs mixed, the same in each run."""
    histories = [edits_of(run, number) for number in range(COUPLINGS)]
    turns = [number for number in range(COUPLINGS) for _ in range(EDITS)]
    random.Random(4).shuffle(turns)  # noqa: S311 - mixes, hides nothing
    return [next(histories[number]) for number in turns]


def play(servers: Backend, folder: Path, workers: int) -> Outcome:
    """Run the whole of it with so many workers."""
    with fresh_database(servers.store_url) as store_url:
        backend = Backend(store_url, servers.broker_url)
        with open_stage(backend, folder, MAPPING) as stage:
            run = Run(stage, workers)
            announce(run)
            messages = backlog(run)
            assert len(messages) == COUPLINGS * EDITS
            stage.publish(*messages)
            run.work()
            return run.outcome()


@pytest.mark.timeout(180)
def test_two_workers_come_to_the_same_end_as_one(servers: Backend, tmp_path: Path) -> None:
    """Else updates are lost, or workers stand in each other's way, as soon as somebody starts a second one."""
    two, one = (play(servers, tmp_path / f"{number}", number) for number in (2, 1))

    assert two.lost == one.lost == []
    assert len(two.couplings) == COUPLINGS
    assert two.couplings == one.couplings
    assert two.errors == one.errors
    assert two.rows == one.rows
    for number in range(COUPLINGS):
        check(two.rows, f"{number}", number % 5)


def check(rows: dict[str, Any], key: str, kind: int) -> None:
    """Hold the two apps' records against what their users did."""
    left = rows["bc"][key] or {}
    right = rows["sales"][key]
    last, other = EDITS - 2, EDITS - 1
    if kind == 0:
        assert (left["name"], right["title"]) == (f"only here {other}", f"only here {other}")
    elif kind == 1:
        assert (left["name"], right["title"]) == (f"ours {last}", f"ours {last}")
        assert (left["phone"], right["telephone"]) == (f"{other}", f"{other}")
    elif kind == 2:
        assert (left["name"], right["title"]) == (f"ours {last}", f"theirs {other}")
    elif kind == 3:
        assert left["total"] == right["sum"] == 100 + (last + 2) + (other + 1)
    else:
        assert (left, right["title"]) == ({}, f"theirs {EDITS - 2}")
