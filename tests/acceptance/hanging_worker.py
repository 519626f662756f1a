"""A worker whose first loop that works hangs in the store, for good: ``python -m tests.acceptance.hanging_worker``.

It is what a driver does that waits for an answer without end, in a call that no signal and no exception gets out of.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import msgspec
from sqlalchemy import Connection, Engine

from store.connect import Store, open_store
from workers.bootstrap import Doors, WorkPlan, work
from workers.settings import read_settings

STUCK_AFTER = timedelta(seconds=2)
"""Less than the setting allows: the test waits for it."""


class HangingStore(Store):
    """The store, until the loop of the changes asks it for a transaction."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As the store gives it, or never."""
        if threading.current_thread().name == "changes":
            hang()
        with super().transaction() as connection:
            yield connection


def hang() -> None:
    """Wait for what will not come."""
    threading.Event().wait()


def open_hanging(url: str) -> Store:
    """Open the store."""
    engine: Engine = open_store(url)._engine  # noqa: SLF001 - what it wraps
    return HangingStore(engine)


def main() -> int:
    """Work until it hangs."""
    settings = msgspec.structs.replace(read_settings(os.environ), stuck_after=STUCK_AFTER)
    return work(settings, WorkPlan(), Doors(open_store=open_hanging))


if __name__ == "__main__":
    raise SystemExit(main())
