"""What the tests of the workers' parts share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from store.connect import Store, open_store
from store.migrate import migrate


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A migrated SQLite store."""
    url = f"sqlite:///{tmp_path / 'store.db'}"
    migrate(url)
    opened = open_store(url)
    yield opened
    opened.close()
