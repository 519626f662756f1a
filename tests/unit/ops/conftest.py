"""A world for every test that asks for one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ops.samples import RECOUPLE, World


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder with a mapping file, and nothing set up."""
    for name in [name for name in os.environ if name.startswith("RECOUPLE_")]:
        monkeypatch.delenv(name)
    return World(tmp_path)


@pytest.fixture
def world(bare: World) -> World:
    """The same, set up."""
    assert bare.run("setup").exit_code == 0
    return bare


@pytest.fixture
def served(world: World) -> Iterator[World]:
    """A world in which commands are carried out, jobs too."""
    command = [*RECOUPLE, "work", "--role", "commands", "--role", "relay", "--role", "timers"]
    environ = {**os.environ, **world.environ}
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as worker:
        yield world
        worker.terminate()
        assert worker.wait(20) == 0
