"""What the demo plays in: it must not wait for what cannot come."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from ops.demo.story import MAPPING_FILE
from ops.demo.world import StuckError, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world that nobody works in."""
    with closing(World(tmp_path, MAPPING_FILE)) as world:
        yield world


def test_does_not_wait_for_a_worker_that_is_gone(world: World) -> None:
    """Else a worker that cannot start would look like a slow one."""
    with subprocess.Popen([sys.executable, "-c", ""]) as worker:
        world.worker = worker
        worker.wait(30)

        with pytest.raises(StuckError, match="the worker has stopped"):
            world.wait_for(lambda: False, "nothing happened")


def test_does_not_wait_for_connectors_that_are_gone(world: World) -> None:
    """Else an app that fell over would look like a slow one."""
    with pytest.raises(StuckError, match="nothing happened"):
        world.wait_for(lambda: False, "nothing happened")


def test_returns_at_once_when_it_is_so(world: World) -> None:
    """Else every scene would take its whole time."""
    world.wait_for(lambda: True, "nothing happened")
