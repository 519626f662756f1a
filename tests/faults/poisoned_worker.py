"""A worker that dies over certain messages: ``python -m tests.faults.poisoned_worker``, settings and options as ever.

It is ``recouple work`` but for its store: a statement that bears one of ``MARKS`` in its parameters is the last one.
Marks stand inside of the body of a message, as part of a record's key or of an order, so that they are met when it is
handled, and not when it is marked or buried.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event

from store.connect import Store, open_store
from workers.bootstrap import Doors, work
from workers.plan import Role, WorkPlan
from workers.settings import read_settings

MARKS: Mapping[str, Callable[[], object]] = {
    "deadly-exit": lambda: os._exit(77),
    "deadly-kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "deadly-fault": lambda: ctypes.string_at(0),
}
"""What stands in a message, and how the process dies over it: without a word, by ``kill -9``, by a bad pointer."""


class DeadlyStore(Store):
    """The store as it is; certain statements kill."""

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """As the store gives it."""
        with super().transaction() as connection:
            event.listen(connection, "before_cursor_execute", _before)
            yield connection


def _before(*given: Any) -> None:
    """Die if it is time to; ``given`` is what SQLAlchemy is about to execute."""
    parameters = repr(given[3])
    for mark, die in MARKS.items():
        if mark in parameters:
            die()


def main() -> int:
    """Work in the roles that the command line names, until told to stop, or until a statement kills."""
    doors = Doors(open_store=lambda url: DeadlyStore(open_store(url)._engine))  # noqa: SLF001 - the same, but deadly
    roles = tuple(Role(name) for name in sys.argv[1:]) or tuple(Role)
    return work(read_settings(os.environ), WorkPlan(roles=roles), doors)


if __name__ == "__main__":
    raise SystemExit(main())
