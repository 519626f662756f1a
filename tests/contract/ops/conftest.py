"""An installation on each kind of store, with the command line to it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.unit.ops.samples import World


@pytest.fixture
def world(tmp_path: Path, store_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """A folder with a mapping file, set up; lines are long enough that nothing is folded."""
    for name in [name for name in os.environ if name.startswith("RECOUPLE_")]:
        monkeypatch.delenv(name)
    world = World(tmp_path)
    world.environ |= {"RECOUPLE_STORE_URL": store_url, "COLUMNS": "4000"}
    assert world.run("setup").exit_code == 0
    return world
