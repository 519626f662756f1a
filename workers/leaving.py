"""A worker that is told to stop leaves in time, also while its main thread waits for a store or a broker that hangs."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from workers.logs import get_logger

log = get_logger("workers.leaving")

LATE_EXIT_CODE: Final = 1
"""The exit code of a worker that had to leave something undone; it comes again, to whoever is there."""

GRACE = timedelta(seconds=1.5)
"""How much longer than its loops the worker itself may take."""

_LOOK_S = 0.1
_TELL_WITHIN_S = 0.3


@contextmanager
def leaving_in_time(
    is_over: Callable[[], bool], within: timedelta, leave: Callable[[int], None] = os._exit
) -> Iterator[None]:
    """Have the process end when what runs inside has not ended ``within`` so long, and ``GRACE``, after ``is_over``."""
    ended = threading.Event()
    watched = (ended, is_over, within + GRACE, leave)
    threading.Thread(target=_watch, args=watched, name="leaving", daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _watch(
    ended: threading.Event, is_over: Callable[[], bool], within: timedelta, leave: Callable[[int], None]
) -> None:
    while not is_over():
        if ended.wait(_LOOK_S):
            return
    if not ended.wait(within.total_seconds()):
        teller = threading.Thread(target=log.info, args=("worker.stopped",), kwargs={"late": ["main"]}, daemon=True)
        teller.start()
        teller.join(_TELL_WITHIN_S)  # what hangs may be the output that the log is written to
        leave(LATE_EXIT_CODE)
