"""Two real databases whose users do what they like, an operator who does what they like: in the end the two are equal.

How much happens is set by ``RECOUPLE_TEST_EDITS`` (2,000 by default), what happens by ``RECOUPLE_TEST_SEED``: the same
seed draws the same policies and the same deeds, though not the same moments.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.acceptance import end_conditions
from tests.acceptance.two_databases import Places, Size, TableWorld, open_world
from tests.services import fresh_database

EDITS = int(os.environ.get("RECOUPLE_TEST_EDITS", "2000"))
SEED = int(os.environ.get("RECOUPLE_TEST_SEED", "20261121"))
SIZE = Size(branches=4, customers=91, edits=EDITS)
SMALL = Size(branches=2, customers=12, edits=EDITS // 10)


def live(world: TableWorld, size: Size) -> None:
    """Let two workers, two adapters each side, the users and the operator do their work until nothing is left to do."""
    for _ in range(2):
        world.stage.start_worker()
    world.load(size.customers)
    assert world.instructed() == [0, 0]  # they were the same, and are coupled now
    for step in range(size.edits):
        world.users.act()
        if step % 10 == 9:
            world.operator.act()
        if step % 50 == 49:
            world.couple_some()
        if step in (size.edits // 3, size.edits // 2):
            world.apps[step % 2].restart()
    world.finish()


def play(places: Places, folder: Path, size: Size) -> None:
    """Play it, and see how it ended."""
    print(f"seed {SEED}, {size}")  # noqa: T201
    with open_world(places, folder, size.branches, SEED) as world:
        live(world, size)
        print(dict(world.users.did), dict(world.operator.did))  # noqa: T201
        print(dict(end_conditions.check(world)))  # noqa: T201
        world.pass_once_more()
        end_conditions.check(world)


@pytest.mark.timeout(60 + EDITS / 10)
def test_two_postgresql_databases_end_equal(postgres_url: str, amqp_url: str, tmp_path: Path) -> None:
    """Else two apps drift apart in the long run, or what somebody entered is lost, whatever the policies are."""
    with ExitStack() as stack:
        store, bc, sales = (stack.enter_context(fresh_database(postgres_url)) for _ in range(3))
        play(Places(store, amqp_url, (bc, sales)), tmp_path, SIZE)


@pytest.mark.timeout(60 + EDITS / 10)
def test_two_sqlite_databases_end_equal(tmp_path: Path) -> None:
    """Else the same happens to whoever has only one machine, with nothing installed."""
    store, bc, sales = (f"sqlite:///{tmp_path / name}.db" for name in ("store", "bc", "sales"))
    play(Places(store, f"embedded:///{tmp_path / 'broker.db'}?lease_s=1", (bc, sales)), tmp_path, SMALL)
