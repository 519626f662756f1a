"""What the embedded store and broker keep is the user's own; the permissions of their files are all its protection."""

from __future__ import annotations

import os
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from messages.topology import topology
from messages.transport.connect import connect
from store.migrate import migrate


@pytest.fixture
def careless() -> Iterator[None]:
    """A process that lets everybody read what it makes."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_files_and_their_folder_are_for_their_owner_only(tmp_path: Path) -> None:
    """Else every user of the machine could read all records, and order whatever he wants."""
    folder = tmp_path / "new"
    migrate(f"sqlite:///{folder / 'store.db'}")
    connect(f"embedded:///{folder / 'broker.db'}").declare(topology("x", ["bc"]))
    readers = [sqlite3.connect(folder / name) for name in ("store.db", "broker.db")]
    for reader in readers:
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()  # brings their logs into being

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    for reader in readers:
        reader.close()

    assert {"store.db-wal", "broker.db-wal"} <= modes.keys()
    assert {name: oct(mode) for name, mode in modes.items() if mode & 0o077} == {}


def test_a_file_that_is_there_keeps_its_permissions(tmp_path: Path) -> None:
    """Else a group that shares an installation would be locked out by the next start."""
    path = tmp_path / "store.db"
    migrate(f"sqlite:///{path}")
    path.chmod(0o660)
    migrate(f"sqlite:///{path}")

    assert stat.S_IMODE(path.stat().st_mode) == 0o660
