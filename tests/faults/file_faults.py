"""What happens to the embedded store and broker: their files locked by somebody else, or not to be written."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path

from tests.faults.scene import Away, Fault, Scene, Trouble

HELD_S = 4.0
"""Longer than a worker waits for the store's file, shorter than it waits for the broker's."""

AWAY_S = 2.0


@contextmanager
def _locked(name: str, scene: Scene) -> Iterator[Trouble]:
    scene.world.traffic(20, 0.5)
    with closing(sqlite3.connect(scene.world.stage.folder / name, timeout=HELD_S, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        yield Trouble(HELD_S, 30)
        holder.execute("ROLLBACK")


@contextmanager
def _read_only(scene: Scene) -> Iterator[Trouble]:
    """No worker can write to the store; what is open stays so, hence all are started anew."""
    scene.world.traffic(20, 0.5)
    crew, file = scene.world.stage.crew, scene.world.stage.folder / "store.db"
    _protect(file)
    try:
        crew.kill()
        yield Trouble(AWAY_S, 30)
    finally:
        _release(file)


def _protect(file: Path) -> None:
    if os.geteuid() == 0:  # who is not bound by permissions
        subprocess.run(["chattr", "+i", file], check=True)
    else:
        file.chmod(0o400)


def _release(file: Path) -> None:
    if os.geteuid() == 0:
        subprocess.run(["chattr", "-i", file], check=True)
    else:
        file.chmod(0o600)


FILE_FAULTS = [
    Fault("store.db locked", partial(_locked, "store.db"), Away.DATABASE),
    Fault("broker.db locked", partial(_locked, "broker.db"), Away.BROKER),
    Fault("store.db read-only", _read_only, Away.DATABASE),
]
